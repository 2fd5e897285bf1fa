//! The job database: opening it, and saying what to do when that fails.

use anyhow::{Result, anyhow};
use atlas_jobs::{JobManager, Kind, SqliteJobs, StoreError};
use atlas_schema::Stage;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Opens the database, making it if there is none. The store itself comes along, to be [closed](close) at the end.
pub(crate) async fn open(path: &Path) -> Result<(SqliteJobs, JobManager)> {
    let store = SqliteJobs::open(path, Stage::Dev).await.map_err(|error| explain(&error, path))?;
    Ok((store.clone(), JobManager::new(Arc::new(store))?))
}

/// Closes the database, so that all is in the one file. A page that still runs after an interruption keeps it open: then the
/// files beside it hold the rest, and the next run reads them.
pub(crate) async fn close(store: SqliteJobs, manager: JobManager) {
    drop(manager);
    // Running out of time is told by the files that stay.
    let _ = tokio::time::timeout(CLOSING, store.close()).await;
}

/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(5);

/// A store's failure with the database's name. SQLite says little about a file it can't open; the folder tells more.
pub(crate) fn explain(error: &StoreError, path: &Path) -> anyhow::Error {
    let advice = match error.kind() {
        Kind::Unavailable if path.is_dir() => "it is a directory: name a file, such as --db atlas.db",
        Kind::Unavailable if path.parent().is_some_and(|dir| !dir.as_os_str().is_empty() && !dir.is_dir()) => {
            "its directory does not exist: make it, or name another with --db"
        }
        Kind::Unavailable => "it can't be opened or made: check the rights of its directory, or name another with --db",
        kind => kind.advice(),
    };
    anyhow!("the job database {}: {advice}", path.display())
}
