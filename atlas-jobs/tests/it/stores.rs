//! Each store of ours passes the exported suite.

use atlas_jobs::{JobStore, MemoryJobs};
use atlas_schema::Stage;
use std::sync::Arc;

pub(crate) async fn memory() -> Arc<dyn JobStore> {
    Arc::new(MemoryJobs::new(Stage::Dev))
}

mod memory_store {
    atlas_jobs::job_store_conformance!(
        crate::stores::memory; base, claims, ordering, leases, listing, outbox, controls
    );
}

#[cfg(feature = "sqlite")]
pub(crate) async fn sqlite() -> Arc<dyn JobStore> {
    // The folder goes when the process does: a test's file must outlast the function that made it.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    let options = atlas_jobs::sqlite::SqliteOptions::new(folder.join("jobs.db"), Stage::Dev)
        .with_durability(atlas_jobs::sqlite::Durability::Process);
    Arc::new(atlas_jobs::SqliteJobs::open_with(options).await.unwrap())
}

#[cfg(feature = "sqlite")]
mod sqlite_store {
    atlas_jobs::job_store_conformance!(
        crate::stores::sqlite; base, claims, ordering, leases, listing, outbox, controls
    );
}

#[cfg(feature = "postgres")]
testkit::with_postgres! {
    pub(crate) async fn postgres() -> Arc<dyn JobStore> {
        Arc::new(crate::postgres::fresh().await)
    }

    mod postgres_store {
        atlas_jobs::job_store_conformance!(
            crate::stores::postgres; base, claims, ordering, leases, listing, outbox, controls
        );
    }
}
