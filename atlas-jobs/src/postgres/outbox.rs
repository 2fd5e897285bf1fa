//! Taking and settling outbox entries.

use super::Db;
use super::error::{BACKEND, failed};
use super::record::{Reader, outbox_entry};
use super::session::Session;
use crate::error::StoreError;
use crate::kernel::{check_limit, readable};
use crate::store::{Delivery, OutboxExchange, OutboxItem};
use atlas_schema::{JobId, Timestamp};
use std::str::FromStr;
use std::time::Duration;

const OPERATION: &str = "outbox";

/// Someone else has taken it since, or it is gone: the word of a late deliverer does not count.
const DONE: &str = "DELETE FROM atlas_jobs_outbox o
 USING unnest($1::uuid[], $2::int8[], $3::text[], $4::int4[]) AS said (job, version, topic, tries)
 WHERE o.job = said.job AND o.version = said.version AND o.topic = said.topic AND o.tries = said.tries";
const AGAIN: &str = "UPDATE atlas_jobs_outbox o SET visible_at = least(atlas_jobs_now() + said.wait, 253402300799999)
 FROM unnest($1::uuid[], $2::int8[], $3::text[], $4::int4[], $5::int8[]) AS said (job, version, topic, tries, wait)
 WHERE o.job = said.job AND o.version = said.version AND o.topic = said.topic AND o.tries = said.tries";
const TAKE: &str = "WITH due AS MATERIALIZED (
   SELECT seq FROM atlas_jobs_outbox WHERE topic = $1 AND visible_at <= atlas_jobs_now()
   ORDER BY visible_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED
 ), taken AS (
   UPDATE atlas_jobs_outbox SET tries = tries + 1, visible_at = least(atlas_jobs_now() + $3, 253402300799999)
   WHERE seq = ANY (ARRAY(SELECT seq FROM due))
   RETURNING seq, job, tries, topic, fields, version, epoch, attempt, at, actor, kind, source, target, reason, error,
     correlation_id
 )
 SELECT job, tries, topic, fields, version, epoch, attempt, at, actor, kind, source, target, reason, error,
   correlation_id FROM taken ORDER BY at, seq";

/// What deliverers said of entries, column by column.
#[derive(Default)]
struct Said<'a> {
    jobs: Vec<JobId>,
    versions: Vec<i64>,
    topics: Vec<&'a str>,
    tries: Vec<i32>,
    waits: Vec<i64>,
}

impl<'a> Said<'a> {
    /// A key that is none of ours names nothing that could be settled.
    fn put(&mut self, key: &'a str, tries: u32, wait: Duration) {
        let mut parts = key.splitn(3, ':');
        let job = parts.next().and_then(|id| JobId::from_str(id).ok());
        let version = parts.next().and_then(|version| version.parse().ok());
        if let (Some(job), Some(version), Some(topic), Ok(tries)) = (job, version, parts.next(), i32::try_from(tries)) {
            self.jobs.push(job);
            self.versions.push(version);
            self.topics.push(topic);
            self.tries.push(tries);
            self.waits.push(millis(wait));
        }
    }
}

/// At most as many milliseconds as there are in all of time.
fn millis(wait: Duration) -> i64 {
    let most = Timestamp::MAX.as_millis();
    i64::try_from(wait.as_millis()).map_or(most, |wait| wait.min(most))
}

impl Db {
    pub(super) async fn outbox(&self, exchange: &OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
        check_limit(exchange.limit, 0, BACKEND, OPERATION)?;
        let (mut done, mut again) = (Said::default(), Said::default());
        for settlement in &exchange.settlements {
            match settlement.delivery {
                Delivery::Done => done.put(&settlement.key, settlement.tries, Duration::ZERO),
                Delivery::Again(wait) => again.put(&settlement.key, settlement.tries, wait),
            }
        }
        let mut client = self.client(OPERATION).await?;
        let transaction = self.begin(&mut client, OPERATION).await?;
        let session = Session::new(&transaction, OPERATION);
        if !done.jobs.is_empty() {
            let jobs = super::rows::uuids(&done.jobs);
            session.rows(DONE, &[&jobs, &done.versions, &done.topics, &done.tries]).await?;
        }
        if !again.jobs.is_empty() {
            let jobs = super::rows::uuids(&again.jobs);
            session.rows(AGAIN, &[&jobs, &again.versions, &again.topics, &again.tries, &again.waits]).await?;
        }
        let mut items = Vec::new();
        let hidden = millis(exchange.visibility);
        for topic in &exchange.topics {
            let room = i64::try_from(exchange.limit - items.len()).unwrap_or(i64::MAX);
            for row in session.rows(TAKE, &[topic, &room, &hidden]).await? {
                let row = Reader::new(&row, OPERATION);
                let job = row.id(0)?;
                let read = || {
                    let tries = u32::try_from(row.get::<i32>(1)?).map_err(|_| row.bad())?;
                    Ok(Some(OutboxItem::new(outbox_entry(row, 2, job)?, tries)))
                };
                // One that can't be read is hidden like the others, so that it is not in their way.
                items.extend(readable(read(), &job)?);
            }
        }
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        Ok(items)
    }
}
