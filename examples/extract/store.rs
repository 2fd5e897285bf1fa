//! The job database: opening it, and saying what to do when that fails.

use anyhow::{Result, anyhow};
use atlas_jobs::{JobManager, Kind, SqliteJobs, StoreError};
use atlas_schema::Stage;
use std::path::Path;
use std::sync::Arc;

/// Opens the database, making it if there is none.
pub(crate) async fn open(path: &Path) -> Result<JobManager> {
    let store = SqliteJobs::open(path, Stage::Dev).await.map_err(|error| explain(&error, path))?;
    Ok(JobManager::new(Arc::new(store))?)
}

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
