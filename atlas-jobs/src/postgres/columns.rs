//! New jobs as the columns of one statement, or row by row if they are few.

use super::error::BACKEND;
use super::groups::{Group, Names, are_in_one, group_in};
use super::record::{More, follow};
use super::rows::uuids;
use super::session::{Conn, Param, Session};
use crate::error::{Kind, StoreError};
use crate::state::Applied;
use atlas_schema::{JobId, JobRecord, Timestamp};
use serde_json::Value;
use std::collections::HashMap;
use tokio_postgres::Row;

/// So many jobs go as rows: about as many as callers that add one each at the same time.
const FEW: usize = 16;

/// The statements that add jobs, by [`Manner`].
pub(super) struct InsertSql {
    plain: Statements,
    free: Statements,
    quiet: Statements,
}

/// How jobs are added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// A key that is taken may be an error, and then nothing is added.
    Plain,
    /// Jobs whose keys are taken are left out.
    Free,
    /// The same, and listeners are not told: [`TELL`] follows.
    Quiet,
}

/// Tells those who listen that there is work, if any of these jobs still waits for somebody.
pub(super) const TELL: &str =
    "SELECT atlas_jobs_notify() WHERE EXISTS (SELECT FROM atlas_jobs_ready WHERE id = ANY($1::uuid[]))";

/// One job, up to [`FEW`], or any number.
struct Statements {
    one: String,
    few: String,
    many: String,
}

impl InsertSql {
    pub(super) fn new() -> Self {
        Self {
            plain: Statements::new(false, true),
            free: Statements::new(true, true),
            quiet: Statements::new(true, false),
        }
    }
}

impl Statements {
    fn new(free: bool, told: bool) -> Self {
        let rest = marked(include_str!("sql/insert_rest.sql"), "{if told}", told);
        let sql = |sql: &str| format!("{}{rest}", marked(sql, "{if free}", free));
        let rows = |count| {
            let rows: Vec<String> = (0..count).map(row).collect();
            sql(&include_str!("sql/insert_few.sql").replace("{rows}", &rows.join(", ")))
        };
        Self { one: rows(1), few: rows(FEW), many: sql(include_str!("sql/insert.sql")) }
    }
}

/// With what stands between a mark and its end, or without.
fn marked(sql: &str, mark: &str, with: bool) -> String {
    let mut text = String::with_capacity(sql.len());
    for (at, piece) in sql.split(mark).enumerate() {
        let (inside, rest) = if at == 0 { ("", piece) } else { piece.split_once("{end}").unwrap_or(("", piece)) };
        text.push_str(if with { inside } else { "" });
        text.push_str(rest);
    }
    text
}

/// The types of [`Columns`], in order.
const TYPES: [&str; 16] = [
    "uuid", "int4", "int4", "int2", "int2", "text", "text", "text", "text", "text", "uuid", "text", "text", "int8",
    "int8", "text",
];

/// The parameters of one row.
fn row(at: usize) -> String {
    let first = at * TYPES.len() + 1;
    let params: Vec<String> = TYPES.iter().zip(first..).map(|(name, no)| format!("${no}::{name}")).collect();
    format!("({})", params.join(", "))
}

/// The columns of new jobs.
#[derive(Default)]
pub(super) struct Columns<'a> {
    ids: Vec<JobId>,
    groups: Vec<i32>,
    lanes: Vec<i32>,
    attempts: Vec<i16>,
    priorities: Vec<i16>,
    schemas: Vec<&'static str>,
    correlations: Vec<&'a str>,
    tenants: Vec<&'a str>,
    external: Vec<Option<&'a str>>,
    keys: Vec<Option<&'a str>>,
    parents: Vec<Option<JobId>>,
    follows: Vec<Option<String>>,
    more: Vec<Option<String>>,
    run_at: Vec<i64>,
    deadlines: Vec<Option<i64>>,
    payloads: Vec<String>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(
        new: impl Iterator<Item = &'a Applied>,
        groups: &HashMap<Names, Group>,
        operation: &'static str,
    ) -> Result<Self, StoreError> {
        let mut columns = Self::default();
        let text = |value: Result<String, serde_json::Error>| {
            value.map_err(|error| StoreError::new(Kind::Internal, BACKEND, operation).with_source(error))
        };
        let mut last: Option<(&JobRecord, Group)> = None;
        for applied in new {
            let record = &applied.record;
            let group = match last {
                Some((before, group)) if are_in_one(before, record) => group,
                _ => group_in(groups, record, operation)?,
            };
            last = Some((record, group));
            columns.ids.push(record.id);
            columns.groups.push(group.no);
            columns.lanes.push(group.lane);
            columns.attempts.push(i16::try_from(record.max_attempts).unwrap_or(i16::MAX));
            columns.priorities.push(record.priority);
            columns.schemas.push(record.schema_version.as_str());
            columns.correlations.push(record.correlation_id.as_str());
            columns.tenants.push(record.tenant.as_str());
            columns.external.push(record.external_id.as_ref().map(AsRef::as_ref));
            columns.keys.push(record.idempotency_key.as_ref().map(AsRef::as_ref));
            columns.parents.push(record.parent);
            columns.follows.push(follow(record).map(|follow: Value| follow.to_string()));
            let more = More::of(record, &applied.event.actor);
            columns.more.push(more.map(|more| text(serde_json::to_string(&more))).transpose()?);
            columns.run_at.push(record.run_at.as_millis());
            columns.deadlines.push(record.deadline.map(Timestamp::as_millis));
            columns.payloads.push(text(serde_json::to_string(&record.payload))?);
        }
        Ok(columns)
    }

    /// Whether no job has a key that another may have too.
    fn are_keyless(&self) -> bool {
        self.keys.iter().chain(&self.external).all(Option::is_none)
    }

    /// Adds those whose keys are free.
    pub(super) async fn insert<C: Conn>(
        &self,
        session: Session<'_, C>,
        sql: &InsertSql,
        manner: Manner,
    ) -> Result<Vec<Row>, StoreError> {
        let ids = uuids(&self.ids);
        let parents: Vec<_> = self.parents.iter().map(|parent| parent.as_ref().map(JobId::as_uuid)).collect();
        // A few with keys go the careful way at once: callers that repeat themselves add few at a time.
        let sql = match manner {
            Manner::Plain if ids.len() > FEW || self.are_keyless() => &sql.plain,
            Manner::Plain | Manner::Free => &sql.free,
            Manner::Quiet => &sql.quiet,
        };
        if ids.len() <= FEW {
            let row = |at: usize| -> Option<[Param<'_>; 16]> {
                Some([
                    ids.get(at)?,
                    self.groups.get(at)?,
                    self.lanes.get(at)?,
                    self.attempts.get(at)?,
                    self.priorities.get(at)?,
                    self.schemas.get(at)?,
                    self.correlations.get(at)?,
                    self.tenants.get(at)?,
                    self.external.get(at)?,
                    self.keys.get(at)?,
                    parents.get(at)?,
                    self.follows.get(at)?,
                    self.more.get(at)?,
                    self.run_at.get(at)?,
                    self.deadlines.get(at)?,
                    self.payloads.get(at)?,
                ])
            };
            let (id, word) = (None::<&JobId>.map(JobId::as_uuid), None::<&str>);
            let (byte2, byte4, byte8) = (None::<i16>, None::<i32>, None::<i64>);
            let none: [Param<'_>; 16] = [
                &id, &byte4, &byte4, &byte2, &byte2, &word, &word, &word, &word, &word, &id, &word, &word, &byte8,
                &byte8, &word,
            ];
            let (sql, rows) = if ids.len() <= 1 { (&sql.one, 1) } else { (&sql.few, FEW) };
            let params: Vec<Param<'_>> = (0..rows).flat_map(|at| row(at).unwrap_or(none)).collect();
            return session.rows(sql, &params).await;
        }
        let params: [Param<'_>; 16] = [
            &ids,
            &self.groups,
            &self.lanes,
            &self.attempts,
            &self.priorities,
            &self.schemas,
            &self.correlations,
            &self.tenants,
            &self.external,
            &self.keys,
            &parents,
            &self.follows,
            &self.more,
            &self.run_at,
            &self.deadlines,
            &self.payloads,
        ];
        session.rows(&sql.many, &params).await
    }

    /// The job rows of records from elsewhere, with their own times; those whose keys are free.
    pub(super) async fn import<C: Conn>(
        &self,
        session: Session<'_, C>,
        created: &[i64],
    ) -> Result<Vec<Row>, StoreError> {
        let ids = uuids(&self.ids);
        let parents: Vec<_> = self.parents.iter().map(|parent| parent.as_ref().map(JobId::as_uuid)).collect();
        let sql = "INSERT INTO atlas_jobs_job (id, grp, max_attempts, priority, schema_version, correlation_id, tenant,
              external_id, idempotency_key, parent, follow, more, payload, created_at)
            SELECT * FROM unnest($1::uuid[], $2::int4[], $3::int2[], $4::int2[], $5::text[], $6::text[], $7::text[],
              $8::text[], $9::text[], $10::uuid[], $11::text[], $12::text[], $13::text[], $14::int8[])
            ON CONFLICT DO NOTHING RETURNING id";
        let params: [Param<'_>; 14] = [
            &ids,
            &self.groups,
            &self.attempts,
            &self.priorities,
            &self.schemas,
            &self.correlations,
            &self.tenants,
            &self.external,
            &self.keys,
            &parents,
            &self.follows,
            &self.more,
            &self.payloads,
            &created,
        ];
        session.rows(sql, &params).await
    }
}
