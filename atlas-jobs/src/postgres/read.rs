//! What readers ask of one snapshot.

use super::Db;
use super::error::BACKEND;
use super::record::{FROM, JOB, Reader, STATE, WIDTH, code, event, full, group_of};
use super::session::{Param, Session};
use crate::cursor::Cursor;
use crate::error::{Kind, StoreError};
use crate::kernel::{check_limit, readable};
use crate::store::{Count, HistoryOptions, JobRef, ListOptions, Order, Page, Scope, Statistics};
use atlas_schema::{AuditEvent, JobId, JobRecord, JobStatus, Timestamp};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The most jobs that one page looks at: a filter that few jobs match gives short pages, not long calls.
const SCAN: usize = 10_000;
/// A page ends once its payloads and results have this many bytes of JSON: one page of large results fits in memory.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

impl Db {
    pub(super) async fn get(&self, references: &[JobRef]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        const OPERATION: &str = "get";
        check_limit(references.len(), 0, BACKEND, OPERATION)?;
        let client = self.client(OPERATION).await?;
        let session = Session::new(&client, OPERATION);
        let mut found: Vec<Option<JobId>> = Vec::with_capacity(references.len());
        let (mut at, mut tenants, mut keys, mut external) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for reference in references {
            let named = match reference {
                JobRef::Id(id) => {
                    found.push(Some(*id));
                    continue;
                }
                JobRef::External(tenant, id) => (tenant, None, Some(id.as_str())),
                JobRef::Idempotency(tenant, key) => (tenant, Some(key.as_str()), None),
            };
            at.push(found.len());
            found.push(None);
            tenants.push(named.0.as_str());
            keys.push(named.1);
            external.push(named.2);
        }
        if !at.is_empty() {
            // They are named otherwise: no id to look for.
            let none: Vec<_> = at.iter().map(|_| Some(JobId::MIN.as_uuid()).filter(|_| false)).collect();
            let there = self.find(session, &tenants, &keys, &none, &external).await?;
            for (place, id) in at.into_iter().zip(there) {
                found[place] = id;
            }
        }
        let ids: Vec<JobId> = found.iter().flatten().copied().collect();
        let jobs = self.read(session, &ids).await?;
        Ok(found.into_iter().map(|id| id.and_then(|id| jobs.get(&id).cloned())).collect())
    }

    pub(super) async fn list(&self, options: &ListOptions) -> Result<Page<JobRecord>, StoreError> {
        const OPERATION: &str = "list";
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, OPERATION).with_source(source);
        let after = options.cursor.as_ref().map(|cursor| cursor.job(options)).transpose().map_err(foreign)?;
        let query = ListQuery::new(options, after);
        let client = self.client(OPERATION).await?;
        let session = Session::new(&client, OPERATION);
        let rows = session.rows(&query.sql, &query.params()).await?;
        // The last row says how far the index was read, and holds no job.
        let groups: Result<Vec<i32>, _> = jobs_in(&rows).map(|row| group_of(row, OPERATION)).collect();
        let names = self.groups.names(session, groups?.into_iter()).await?;
        let mut items = Vec::with_capacity(options.limit);
        let (mut looked, mut last) = (0, None);
        for row in jobs_in(&rows).take(options.limit) {
            let row = Reader::new(row, OPERATION);
            let id = row.id(1)?;
            (looked, last) = (looked + 1, Some((row.time(2)?, id)));
            let job = full(row, self.stage, &names).map(Some);
            items.extend(if options.readable_only { readable(job, &id)? } else { job? });
        }
        let Some(end) = rows.iter().find(|row| !is_job(row)) else { return Ok(Page { items, next: None }) };
        let end = Reader::new(end, OPERATION);
        // More matched than fit, by number or by size: go on after the last that is here.
        let (matched, scanned) = (end.number::<usize>(WIDTH + 3)?, end.number::<usize>(WIDTH + 4)?);
        let next = match last {
            Some(last) if matched > looked => Some(last),
            _ if scanned == SCAN => Some((end.time(2)?, end.id(1)?)),
            _ => None,
        };
        Ok(Page { next: next.map(|(at, id)| Cursor::after_job(options, at, id)), items })
    }

    pub(super) async fn history(&self, options: &HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        const OPERATION: &str = "history";
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, OPERATION).with_source(source);
        let job = options.job;
        let after = options.cursor.as_ref().map(|cursor| cursor.version(job)).transpose().map_err(foreign)?;
        let after = super::record::int(after.unwrap_or(0));
        let limit = i64::try_from(options.limit + 1).unwrap_or(i64::MAX);
        let client = self.client(OPERATION).await?;
        let session = Session::new(&client, OPERATION);
        let rows = session.rows(include_str!("sql/history.sql"), &[&job.as_uuid(), &after, &limit]).await?;
        let read = |row| event(Reader::new(row, OPERATION), 0, job);
        let items: Result<Vec<AuditEvent>, _> = rows.iter().take(options.limit).map(read).collect();
        let items = items?;
        let more = rows.len() > options.limit;
        let next = items.last().filter(|_| more).map(|last| Cursor::after_version(job, last.version));
        Ok(Page { items, next })
    }

    pub(super) async fn statistics(&self, scope: &Scope) -> Result<Statistics, StoreError> {
        const OPERATION: &str = "statistics";
        let client = self.client(OPERATION).await?;
        let session = Session::new(&client, OPERATION);
        let tenant = scope.tenant.as_ref().map(AsRef::<str>::as_ref);
        let queue = scope.queue.as_ref().map(AsRef::<str>::as_ref);
        let kind = scope.kind.as_ref().map(AsRef::<str>::as_ref);
        let rows = match scope.parent {
            Some(parent) => {
                let params: [Param<'_>; 4] = [&parent.as_uuid(), &tenant, &queue, &kind];
                session.rows(include_str!("sql/children.sql"), &params).await?
            }
            None => session.rows(include_str!("sql/counts.sql"), &[&tenant, &queue, &kind]).await?,
        };
        let read = |row| {
            let row = Reader::new(row, OPERATION);
            let processing = Duration::from_millis(u64::try_from(row.get::<i64>(4)?).unwrap_or(0));
            let (queue, kind) = (row.text(0)?, row.text(1)?);
            Ok(Count { queue, kind, status: row.status(2)?, jobs: row.number(3)?, processing })
        };
        let counts: Vec<Count> = rows.iter().map(read).collect::<Result<_, StoreError>>()?;
        let mut oldest = None;
        // Where nothing waits, to look for it might be a walk over all that did. Those of other tenants are not counted here.
        let any = tenant.is_some() || counts.iter().any(|count| count.status == JobStatus::Pending);
        if any && scope.parent.is_none() {
            let rows = session.rows(include_str!("sql/oldest.sql"), &[&queue, &kind]).await?;
            oldest = rows.first().map(|row| Reader::new(row, OPERATION).maybe_time(0)).transpose()?.flatten();
        }
        Ok(Statistics::new(counts, oldest))
    }
}

fn is_job(row: &Row) -> bool {
    row.try_get::<_, Option<i32>>(0).ok().flatten().is_some()
}

fn jobs_in(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| is_job(row))
}

/// A page in one statement: a bounded piece of the index, those of it that match, those of them that fit.
struct ListQuery {
    sql: String,
    bounds: Vec<Box<dyn ToSql + Sync + Send>>,
}

impl ListQuery {
    fn new(options: &ListOptions, after: Option<(Timestamp, JobId)>) -> Self {
        let filter = &options.filter;
        let (compare, direction) = match options.order {
            Order::NewestFirst => ("<", "DESC"),
            Order::OldestFirst => (">", "ASC"),
        };
        let mut bounds: Vec<Box<dyn ToSql + Sync + Send>> = Vec::new();
        let mut bind = |value: Box<dyn ToSql + Sync + Send>| {
            bounds.push(value);
            bounds.len()
        };
        // What an index serves, in its order.
        let mut indexed = Vec::new();
        if let Some(parent) = filter.parent {
            indexed.push(format!("parent = ${}", bind(Box::new(parent.as_uuid()))));
        } else if let Some(tenant) = &filter.tenant {
            indexed.push(format!("tenant = ${}", bind(Box::new(tenant.to_string()))));
        }
        if let Some(from) = filter.created_from {
            indexed.push(format!("created_at >= ${}", bind(Box::new(from.as_millis()))));
        }
        if let Some(before) = filter.created_before {
            indexed.push(format!("created_at < ${}", bind(Box::new(before.as_millis()))));
        }
        if let Some((at, id)) = after {
            let (at, id) = (bind(Box::new(at.as_millis())), bind(Box::new(id.as_uuid())));
            indexed.push(format!("(created_at, id) {compare} (${at}::int8, ${id}::uuid)"));
        }
        // What is looked at job by job.
        let mut looked = Vec::new();
        if let Some(tenant) = filter.tenant.as_ref().filter(|_| filter.parent.is_some()) {
            looked.push(format!("g.tenant = ${}", bind(Box::new(tenant.to_string()))));
        }
        if let Some(queue) = &filter.queue {
            looked.push(format!("l.queue = ${}", bind(Box::new(queue.to_string()))));
        }
        if let Some(kind) = &filter.kind {
            looked.push(format!("l.kind = ${}", bind(Box::new(kind.to_string()))));
        }
        if !filter.statuses.is_empty() {
            let codes: Vec<i16> = filter.statuses.iter().map(|status| code(*status)).collect();
            looked.push(format!("s.status = ANY(${}::int2[])", bind(Box::new(codes))));
        }
        let both = |conditions: Vec<String>| {
            if conditions.is_empty() { "true".to_string() } else { conditions.join(" AND ") }
        };
        let limit = bind(Box::new(i64::try_from(options.limit + 1).unwrap_or(i64::MAX)));
        let columns = vec!["NULL"; 22].join(", ");
        let sql = format!(
            "WITH piece AS MATERIALIZED (
               SELECT id, created_at FROM atlas_jobs_job WHERE {indexed} ORDER BY created_at {direction}, id {direction}
               LIMIT {SCAN}
             ), hit AS MATERIALIZED (
               SELECT j.id, j.created_at,
                 octet_length(j.payload)::int8 + coalesce(octet_length(s.result), 0) AS size
               FROM piece JOIN ({FROM}) ON j.id = piece.id
               JOIN atlas_jobs_group g ON g.no = j.grp JOIN atlas_jobs_lane l ON l.no = g.lane
               WHERE {looked} ORDER BY piece.created_at {direction}, piece.id {direction} LIMIT ${limit}
             ), sized AS (
               SELECT id, sum(size) OVER (ORDER BY created_at {direction}, id {direction}) - size AS before FROM hit
             )
             (SELECT {JOB}, {STATE}, j.payload, s.result, 0::int8, 0::int8, 0::int8
              FROM sized h JOIN ({FROM}) ON j.id = h.id WHERE h.before < {PAGE_BYTES}
              ORDER BY j.created_at {direction}, j.id {direction})
             UNION ALL
             SELECT NULL, (SELECT id FROM piece ORDER BY created_at {back}, id {back} LIMIT 1),
               (SELECT created_at FROM piece ORDER BY created_at {back}, id {back} LIMIT 1), {columns}, NULL, NULL,
               0, (SELECT count(*) FROM hit), (SELECT count(*) FROM piece)",
            indexed = both(indexed),
            looked = both(looked),
            back = if direction == "DESC" { "ASC" } else { "DESC" },
        );
        Self { sql, bounds }
    }

    fn params(&self) -> Vec<Param<'_>> {
        self.bounds.iter().map(|bound| -> Param<'_> { &**bound }).collect()
    }
}
