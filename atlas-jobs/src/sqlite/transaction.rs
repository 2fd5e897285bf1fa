//! What the writer's calls work with in the middle of a transaction: statements, and counts that are written at its end.

use super::error::{corrupt, failed};
use super::leased::Leased;
use super::record::{Reader, code};
use crate::error::StoreError;
use crate::store::Count;
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, QueueName, Stage, TenantId};
use rusqlite::{Connection, Params, params};
use serde::Serialize;
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// So many groups are looked through one by one.
const RECENT: usize = 8;

type Group = (QueueName, JobKind, JobStatus, TenantId);

pub(super) struct SqliteRows<'c> {
    pub(super) conn: &'c Connection,
    pub(super) stage: Stage,
    pub(super) operation: &'static str,
    /// Changes of the counts that are not written yet: jobs and milliseconds.
    recent: Vec<(Group, i64, i64)>,
    /// Those of further groups.
    counts: HashMap<Group, (i64, i64)>,
    pub(super) leased: &'c mut Leased,
    /// Ready jobs that were found: whoever loads one of them will ask for its payload, which stands in the same row.
    pub(super) found: HashSet<JobId>,
    pub(super) payloads: HashMap<JobId, Value>,
}
impl<'c> SqliteRows<'c> {
    pub(super) fn new(conn: &'c Connection, stage: Stage, operation: &'static str, leased: &'c mut Leased) -> Self {
        let (counts, found, payloads) = (HashMap::new(), HashSet::new(), HashMap::new());
        Self { conn, stage, operation, recent: Vec::new(), counts, leased, found, payloads }
    }

    /// Writes what was only added up so far.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let sql = "INSERT INTO atlas_jobs_count (queue, kind, status, tenant, jobs, processing_ms)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (queue, kind, status, tenant) DO UPDATE
                   SET jobs = jobs + excluded.jobs, processing_ms = processing_ms + excluded.processing_ms";
        let recent = std::mem::take(&mut self.recent).into_iter();
        let rest = std::mem::take(&mut self.counts).into_iter().map(|(group, (jobs, millis))| (group, jobs, millis));
        for ((queue, kind, status, tenant), jobs, millis) in recent.chain(rest) {
            if (jobs, millis) != (0, 0) {
                self.run(sql, params![queue.as_str(), kind.as_str(), code(status), tenant.as_str(), jobs, millis])?;
            }
        }
        Ok(())
    }

    pub(super) fn fail(&self, error: rusqlite::Error) -> StoreError {
        failed(self.operation, error)
    }

    pub(super) fn run(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(params)).map_err(|e| self.fail(e))
    }

    pub(super) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.all(sql, params, read)?.into_iter().next())
    }

    pub(super) fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl Fn(&Reader<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.conn.prepare_cached(sql).map_err(|e| self.fail(e))?;
        let mut rows = statement.query(params).map_err(|e| self.fail(e))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next().map_err(|e| self.fail(e))? {
            all.push(read(&Reader::new(row, self.operation))?);
        }
        Ok(all)
    }

    pub(super) fn json(&self, value: &impl Serialize) -> Result<String, StoreError> {
        serde_json::to_string(value).map_err(|_| corrupt(self.operation, "a record has no JSON form"))
    }

    pub(super) fn maybe_json(&self, value: Option<&impl Serialize>) -> Result<Option<String>, StoreError> {
        value.map(|value| self.json(value)).transpose()
    }

    pub(super) fn count<P>(&mut self, record: &JobRecord<P>, by: i64) {
        let millis = i64::try_from(Count::processing_of(record).as_millis()).unwrap_or(i64::MAX);
        let millis = by.saturating_mul(millis);
        let same = |(queue, kind, status, tenant): &Group| {
            (queue, kind, *status, tenant) == (&record.queue, &record.kind, record.status, &record.tenant)
        };
        // One call seldom meets more groups than these: a copy of the names for each job would cost more.
        if let Some((_, jobs, sum)) = self.recent.iter_mut().find(|(group, ..)| same(group)) {
            *jobs += by;
            *sum = sum.saturating_add(millis);
            return;
        }
        let group = (record.queue.clone(), record.kind.clone(), record.status, record.tenant.clone());
        if self.recent.len() < RECENT {
            self.recent.push((group, by, millis));
            return;
        }
        let count = self.counts.entry(group).or_default();
        count.0 += by;
        count.1 = count.1.saturating_add(millis);
    }
}
