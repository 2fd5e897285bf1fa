//! A new file appears whole or not at all: it is made under another name beside its place, then given its own.
//!
//! Removing a half-made file under its own name would be no way: another process may have opened it meanwhile, and what it
//! writes would go with it.

use super::error::{BACKEND, failed};
use super::{SqliteOptions, write_to};
use crate::error::{Kind, StoreError};
use crate::random::Random;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What SQLite may have beside a file.
const BESIDE: [&str; 4] = ["", "-journal", "-wal", "-shm"];

/// Makes the file, unless another process does so first.
pub(super) fn make(options: &SqliteOptions) -> Result<(), StoreError> {
    let random = Random::from_os()
        .map_err(|error| StoreError::new(Kind::Unavailable, BACKEND, "open").with_source(error))?
        .u64();
    let draft = beside(&options.path, &format!(".new-{random:016x}"));
    let made = whole(&SqliteOptions { path: draft.clone(), ..options.clone() });
    if made.is_ok() {
        // A link, not a rename: it leaves what is there alone. Where it fails, because someone else was first or because
        // the file system knows no links, opening the name itself is what is left to do, and says what is wrong.
        if let Err(error) = std::fs::hard_link(&draft, &options.path) {
            tracing::debug!(kind = ?error.kind(), "the new file is opened in its place");
        }
    }
    for file in BESIDE.map(|end| beside(&draft, end)) {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(kind = ?error.kind(), "a draft of a new job file is left: remove `*.new-*` beside it");
            }
            _ => {}
        }
    }
    made
}

/// A file that needs no log beside it.
fn whole(options: &SqliteOptions) -> Result<(), StoreError> {
    let conn = write_to(options)?;
    // Closing does this too, but says nothing if it can't.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(|error| failed("open", error))
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}
