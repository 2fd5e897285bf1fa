//! Where in its table the rows of workers are, as far as this process knows.
//!
//! Each beat writes a worker's row anew, and somebody's old snapshot keeps the server from removing the versions before: whoever
//! looks the row up by its key walks past all of them. So a beat says where it put the row, the next one looks there first, and
//! what else the transaction does finds it by a setting of that transaction.

use super::Db;
use super::error::BACKEND;
use super::record::Reader;
use super::request::Request;
use super::session::{Conn, Session};
use crate::error::{Kind, StoreError};
use atlas_schema::WorkerId;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_postgres::Row;

/// More workers than a process has at a time: those that ended are forgotten.
const MOST: usize = 1000;

pub(super) const BEAT: &str = include_str!("sql/beat.sql");
/// For a claim that follows in a transaction of its own.
pub(super) const MARK: &str =
    "WITH own AS (UPDATE atlas_jobs_worker SET xact = pg_current_xact_id() WHERE name = $1 AND beat = $2
   RETURNING ctid)
 SELECT set_config('atlas_jobs.worker', ctid::text, true) FROM own";

/// The places, as the server writes them.
#[derive(Default)]
pub(super) struct Beats(Mutex<HashMap<WorkerId, String>>);

impl Beats {
    pub(super) fn place(&self, worker: &WorkerId) -> Option<String> {
        self.known().get(worker).cloned()
    }

    pub(super) fn note(&self, worker: &WorkerId, place: String) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(worker.clone(), place);
    }

    /// For a beat that was refused: perhaps only since somebody else wrote the row in that very moment.
    pub(super) fn forget(&self, worker: &WorkerId) {
        self.known().remove(worker);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<WorkerId, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Db {
    /// Begins an exchange that goes step by step: the worker's number.
    pub(super) async fn beat<C: Conn>(&self, session: Session<'_, C>, request: &Request) -> Result<i32, StoreError> {
        let (worker, queues) = (request.worker.as_str(), Vec::<&str>::new());
        let mut place = self.beats.place(&request.worker);
        let mut rows = session.rows(BEAT, &[&worker, &request.beat, &request.lease_ms, &queues, &place]).await?;
        if rows.is_empty() {
            // Servers differ in whether an update by place follows a row that moves in that very moment.
            self.beats.forget(&request.worker);
            place = None;
            rows = session.rows(BEAT, &[&worker, &request.beat, &request.lease_ms, &queues, &place]).await?;
        }
        self.beaten(request, &rows)?.get(0)
    }

    /// The row of a beat that was accepted.
    pub(super) fn beaten<'a>(&self, request: &Request, rows: &'a [Row]) -> Result<Reader<'a>, StoreError> {
        let Some(row) = rows.first() else {
            return Err(StoreError::new(Kind::Conflict, BACKEND, "exchange"));
        };
        let row = Reader::new(row, "exchange");
        self.beats.note(&request.worker, row.get(3)?);
        Ok(row)
    }
}
