//! Records under lease, as this connection wrote them last.
//!
//! Most records that a call asks for were claimed by the same process a moment before. While nobody else has written to
//! the file they need not be read again: the writer looks at SQLite's `data_version`, which changes with every commit of
//! another connection, once it holds the write lock, and forgets all it knew if it has to. So it does when a transaction
//! or a part of one is taken back.

use atlas_schema::{JobId, JobRecord, JobStatus};
use rusqlite::Connection;
use std::collections::HashMap;

/// The most records that are kept: a few megabytes.
const MOST: usize = 10_000;

/// What is known without reading.
#[derive(Debug, Default)]
pub(super) struct Leased {
    records: HashMap<JobId, JobRecord<()>>,
    version: Option<i64>,
}

impl Leased {
    /// At the start of a transaction that holds the write lock, or between two. True if another connection has written
    /// since the last call.
    pub(super) fn look(&mut self, conn: &Connection) -> rusqlite::Result<bool> {
        let version = conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
        let changed = self.version.replace(version) != Some(version);
        if changed {
            self.records.clear();
        }
        Ok(changed)
    }

    /// After writes were taken back.
    pub(super) fn forget_all(&mut self) {
        self.records.clear();
    }

    pub(super) fn forget(&mut self, id: JobId) {
        self.records.remove(&id);
    }

    pub(super) fn get(&self, id: JobId) -> Option<&JobRecord<()>> {
        self.records.get(&id)
    }

    /// After a record was written.
    pub(super) fn wrote(&mut self, mut record: JobRecord<()>) {
        if record.status != JobStatus::Processing {
            self.records.remove(&record.id);
            return;
        }
        if self.records.len() >= MOST {
            self.records.clear();
        }
        record.result = None;
        self.records.insert(record.id, record);
    }
}
