//! New jobs as the columns of one statement.

use super::error::BACKEND;
use super::groups::{Group, Names, group_in};
use super::record::{More, follow};
use super::rows::uuids;
use super::session::{Conn, Param, Session};
use crate::error::{Kind, StoreError};
use crate::state::Applied;
use atlas_schema::{JobId, Timestamp};
use serde_json::Value;
use std::collections::HashMap;
use tokio_postgres::Row;

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
        for applied in new {
            let record = &applied.record;
            let group = group_in(groups, record, operation)?;
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

    /// Runs a statement that takes all of them.
    pub(super) async fn run<C: Conn>(
        &self,
        session: Session<'_, C>,
        sql: &'static str,
    ) -> Result<Vec<Row>, StoreError> {
        let ids = uuids(&self.ids);
        let parents: Vec<_> = self.parents.iter().map(|parent| parent.as_ref().map(JobId::as_uuid)).collect();
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
        session.rows(sql, &params).await
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
