//! What readers ask of one snapshot.

use super::error::{BACKEND, failed};
use super::record::{COLUMNS, FROM, Reader, WIDTH, event, record};
use crate::cursor::Cursor;
use crate::error::{Kind, StoreError};
use crate::kernel::{check_limit, readable};
use crate::store::{Count, Filter, HistoryOptions, JobRef, ListOptions, Order, Page, Scope, Statistics};
use atlas_schema::{AuditEvent, CorrelationId, JobId, JobKind, JobRecord, QueueName, Stage, TenantId, Timestamp};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, OptionalExtension, Params, params, params_from_iter};
use std::time::Duration;

/// The most jobs that one page looks at: a filter that few jobs match gives short pages, not long calls.
const SCAN: usize = 10_000;
/// A page ends once its payloads and results have this many bytes of JSON: one page of large results fits in memory.
const PAGE_BYTES: usize = 16 * 1024 * 1024;

pub(super) fn find(
    conn: &Connection,
    reference: &JobRef,
    operation: &'static str,
) -> Result<Option<JobId>, StoreError> {
    let query =
        |sql: &str, params: &dyn Fn(&mut rusqlite::CachedStatement<'_>) -> rusqlite::Result<Option<[u8; 16]>>| {
            conn.prepare_cached(sql).and_then(|mut statement| params(&mut statement))
        };
    let found = match reference {
        JobRef::Id(id) => query("SELECT id FROM atlas_jobs_job WHERE id = ?1", &|statement| {
            statement.query_row(params![id.as_bytes()], |row| row.get(0)).optional()
        }),
        JobRef::External(tenant, id) => query(
            "SELECT id FROM atlas_jobs_job WHERE tenant = ?1 AND external_id = ?2 AND external_id IS NOT NULL",
            &|statement| statement.query_row(params![tenant.as_str(), id.as_str()], |row| row.get(0)).optional(),
        ),
        JobRef::Idempotency(tenant, key) => query(
            "SELECT id FROM atlas_jobs_job WHERE tenant = ?1 AND idempotency_key = ?2 AND idempotency_key IS NOT NULL",
            &|statement| statement.query_row(params![tenant.as_str(), key.as_str()], |row| row.get(0)).optional(),
        ),
    };
    Ok(found.map_err(|error| failed(operation, error))?.map(JobId::from_bytes))
}

pub(super) fn get(
    conn: &Connection,
    stage: Stage,
    references: &[JobRef],
) -> Result<Vec<Option<JobRecord>>, StoreError> {
    check_limit(references.len(), 0, BACKEND, "get")?;
    let sql = format!(
        "SELECT {COLUMNS}, j.payload, r.result FROM {FROM} LEFT JOIN atlas_jobs_result r ON r.id = j.id
         WHERE j.id = ?1"
    );
    let one = |reference: &JobRef| {
        let Some(id) = find(conn, reference, "get")? else { return Ok(None) };
        let records = collect(conn, &sql, params![id.as_bytes()], "get", |row| full(row, stage))?;
        Ok(records.into_iter().next())
    };
    references.iter().map(one).collect()
}

/// A whole record, from [`COLUMNS`], the payload and the result.
fn full(row: &Reader<'_>, stage: Stage) -> Result<JobRecord, StoreError> {
    let payload = row.json(WIDTH)?;
    let mut record = record(row, stage)?.map_payload(|()| payload);
    record.result = row.maybe_json(WIDTH + 1)?;
    Ok(record)
}

pub(super) fn list(conn: &Connection, stage: Stage, options: &ListOptions) -> Result<Page<JobRecord>, StoreError> {
    check_limit(options.limit, 1, BACKEND, "list")?;
    let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, "list").with_source(source);
    let after = options.cursor.as_ref().map(|cursor| cursor.job(options)).transpose().map_err(foreign)?;
    let (sql, bounds) = list_query(options, after);
    let fail = |error| failed("list", error);
    let mut statement = conn.prepare_cached(&sql).map_err(fail)?;
    let mut rows = statement.query(params_from_iter(bounds)).map_err(fail)?;
    let mut items: Vec<JobRecord> = Vec::new();
    let (mut scanned, mut bytes) = (0, 0);
    let mut last = None;
    while let Some(row) = rows.next().map_err(fail)? {
        if items.len() == options.limit || scanned == SCAN || bytes >= PAGE_BYTES {
            let next = last.map(|(at, id)| Cursor::after_job(options, at, id));
            return Ok(Page { items, next });
        }
        let row = Reader::new(row, "list");
        scanned += 1;
        last = Some((row.time(7)?, row.id(0)?));
        // Only what was asked for is read whole: one that can't be is in the way of nobody who wants others.
        let matched = || -> Result<Option<(JobRecord, usize)>, StoreError> {
            if !may_match(&row, &options.filter)? || !options.filter.matches(&record(&row, stage)?) {
                return Ok(None);
            }
            Ok(Some((full(&row, stage)?, row.size(WIDTH)? + row.size(WIDTH + 1)?)))
        };
        let found = match last {
            Some((_, id)) if options.readable_only => readable(matched(), &id)?,
            _ => matched()?,
        };
        if let Some((job, size)) = found {
            bytes += size;
            items.push(job);
        }
    }
    Ok(Page { items, next: None })
}

/// Whether a row can match, by the columns that say so.
fn may_match(row: &Reader<'_>, filter: &Filter) -> Result<bool, StoreError> {
    let is = |at, wanted: Option<&str>| match wanted {
        Some(wanted) => Ok(row.get::<String>(at)? == wanted),
        None => Ok::<_, StoreError>(true),
    };
    Ok(is(2, filter.kind.as_ref().map(AsRef::as_ref))?
        && is(3, filter.queue.as_ref().map(AsRef::as_ref))?
        && (filter.statuses.is_empty() || filter.statuses.contains(&row.status(9)?)))
}

/// The part of the filter that an index serves, in its order; the rest is checked row by row.
fn list_query(options: &ListOptions, after: Option<(Timestamp, JobId)>) -> (String, Vec<Sql>) {
    let filter = &options.filter;
    let (compare, direction) = match options.order {
        Order::NewestFirst => ("<", "DESC"),
        Order::OldestFirst => (">", "ASC"),
    };
    let mut conditions = Vec::new();
    let mut bounds = Vec::new();
    let mut bind = |value: Sql| {
        bounds.push(value);
        bounds.len()
    };
    if let Some(parent) = filter.parent {
        conditions
            .push(format!("j.parent = ?{} AND j.parent IS NOT NULL", bind(Sql::Blob(parent.as_bytes().to_vec()))));
    } else if let Some(tenant) = &filter.tenant {
        conditions.push(format!("j.tenant = ?{}", bind(Sql::Text(tenant.to_string()))));
    }
    if let Some(from) = filter.created_from {
        conditions.push(format!("j.created_at >= ?{}", bind(Sql::Integer(from.as_millis()))));
    }
    if let Some(before) = filter.created_before {
        conditions.push(format!("j.created_at < ?{}", bind(Sql::Integer(before.as_millis()))));
    }
    if let Some((at, id)) = after {
        let (at, id) = (bind(Sql::Integer(at.as_millis())), bind(Sql::Blob(id.as_bytes().to_vec())));
        conditions.push(format!("(j.created_at, j.id) {compare} (?{at}, ?{id})"));
    }
    let conditions = if conditions.is_empty() { "1".to_string() } else { conditions.join(" AND ") };
    let sql = format!(
        "SELECT {COLUMNS}, j.payload, r.result FROM {FROM} LEFT JOIN atlas_jobs_result r ON r.id = j.id
         WHERE {conditions} ORDER BY j.created_at {direction}, j.id {direction}"
    );
    (sql, bounds)
}

pub(super) fn history(conn: &Connection, options: &HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
    check_limit(options.limit, 1, BACKEND, "history")?;
    let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, "history").with_source(source);
    let job = options.job;
    let after = options.cursor.as_ref().map(|cursor| cursor.version(job)).transpose().map_err(foreign)?;
    let head = "SELECT head ->> 'correlationId' FROM atlas_jobs_job WHERE id = ?1";
    let correlation = collect(conn, head, params![job.as_bytes()], "history", |row| row.text::<CorrelationId>(0))?;
    let Some(correlation) = correlation.first() else { return Ok(Page { items: Vec::new(), next: None }) };
    let sql = "SELECT version, epoch, attempt, at, actor, kind, from_status, to_status, reason, error
               FROM atlas_jobs_event WHERE job = ?1 AND version > ?2 ORDER BY version LIMIT ?3";
    let after = super::record::int(after.unwrap_or(0));
    let limit = i64::try_from(options.limit + 1).unwrap_or(i64::MAX);
    let bounds = params![job.as_bytes(), after, limit];
    let mut items = collect(conn, sql, bounds, "history", |row| event(row, job, correlation))?;
    let more = items.len() > options.limit;
    items.truncate(options.limit);
    let next = items.last().filter(|_| more).map(|last| Cursor::after_version(job, last.version));
    Ok(Page { items, next })
}

pub(super) fn statistics(conn: &Connection, scope: &Scope) -> Result<Statistics, StoreError> {
    let read = |row: &Reader<'_>| {
        let count = Count {
            queue: row.text(0)?,
            kind: row.text(1)?,
            status: row.status(2)?,
            jobs: row.number(4)?,
            processing: Duration::from_millis(row.number(5)?),
        };
        Ok((row.text::<TenantId>(3)?, count))
    };
    let counts = match scope.parent {
        Some(parent) => collect(
            conn,
            "SELECT j.queue, j.kind, s.status, j.tenant, count(*),
               coalesce(sum(max(s.finished_at - s.started_at, 0)), 0)
             FROM atlas_jobs_job j CROSS JOIN atlas_jobs_state s ON s.id = j.id
             WHERE j.parent = ?1 AND j.parent IS NOT NULL GROUP BY 1, 2, 3, 4",
            params![parent.as_bytes()],
            "statistics",
            read,
        )?,
        None => collect(
            conn,
            "SELECT queue, kind, status, tenant, jobs, processing_ms FROM atlas_jobs_count",
            [],
            "statistics",
            read,
        )?,
    };
    let covered = counts.into_iter().filter(|(tenant, count)| scope.covers(tenant, &count.queue, &count.kind));
    let oldest = if scope.parent.is_some() { None } else { oldest_pending(conn, scope)? };
    Ok(Statistics::new(covered.map(|(_, count)| count).collect(), oldest))
}

/// Jumps from queue to kind to rank along the index: the cost does not grow with the number of jobs.
fn oldest_pending(conn: &Connection, scope: &Scope) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT queue, kind, rank, run_at FROM atlas_jobs_ready WHERE (queue, kind, rank) > (?1, ?2, ?3)
               ORDER BY queue, kind, rank, run_at LIMIT 1";
    let mut at = (String::new(), String::new(), i64::MIN);
    let mut oldest: Option<Timestamp> = None;
    loop {
        let next = collect(conn, sql, params![at.0, at.1, at.2], "statistics", |row| {
            Ok((row.text::<QueueName>(0)?, row.text::<JobKind>(1)?, row.get::<i64>(2)?, row.time(3)?))
        })?;
        let Some((queue, kind, rank, run_at)) = next.into_iter().next() else { return Ok(oldest) };
        let wanted = scope.queue.as_ref().is_none_or(|q| *q == queue) && scope.kind.as_ref().is_none_or(|k| *k == kind);
        if wanted {
            oldest = Some(oldest.map_or(run_at, |oldest| oldest.min(run_at)));
        }
        at = (queue.to_string(), kind.to_string(), rank);
    }
}

fn collect<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    operation: &'static str,
    read: impl Fn(&Reader<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let fail = |error| failed(operation, error);
    let mut statement = conn.prepare_cached(sql).map_err(fail)?;
    let mut rows = statement.query(params).map_err(fail)?;
    let mut all = Vec::new();
    while let Some(row) = rows.next().map_err(fail)? {
        all.push(read(&Reader::new(row, operation))?);
    }
    Ok(all)
}
