//! The job database: opening it, and saying what to do when that fails.

use anyhow::{Result, anyhow};
use atlas_jobs::{JobManager, SqliteJobs, StoreError};
use atlas_schema::Stage;
use std::path::Path;
use std::sync::Arc;

/// Opens the database, making it if there is none.
pub(crate) async fn open(path: &Path) -> Result<JobManager> {
    let store = SqliteJobs::open(path, Stage::Dev).await.map_err(|error| explain(&error, path))?;
    Ok(JobManager::new(Arc::new(store))?)
}

/// A store's failure with the database's name: the advice is in the kind.
pub(crate) fn explain(error: &StoreError, path: &Path) -> anyhow::Error {
    anyhow!("the job database {}: {}", path.display(), error.kind().advice())
}
