//! Deleting what is old.
//!
//! A job goes in one transaction, with its names, its places in lists and its count. What only it could lead to - its
//! events, its payload and result - is noted as litter in the same transaction and cleared away after: an interrupted
//! purge is finished by the next one, and an id that is used again meanwhile has another incarnation, by which all of its
//! own is named.

use super::DynamoJobs;
use super::change::Change;
use super::enqueue::{names, places};
use super::error::{BACKEND, corrupt, failed};
use super::item::{Item, Stored, keyed};
use super::keys;
use super::read::{Range, string};
use super::write::{Shared, Written};
use crate::error::{Kind, StoreError};
use crate::kernel::check_limit;
use crate::store::{MAX_PAGE, Purge, PurgeOptions, Purged};
use atlas_schema::{JobId, JobStatus, Timestamp};
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::str::FromStr;

const OPERATION: &str = "purge";
/// The most items of one request. Amazon `DynamoDB` API Reference, `BatchWriteItem`.
const BATCH: usize = 25;

impl DynamoJobs {
    pub(super) async fn remove(&self, options: &PurgeOptions) -> Result<Purged, StoreError> {
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        let (ids, more) = match &options.what {
            Purge::Ended { status, before } => {
                let ids = self.ended(*status, *before, options.limit).await?;
                let more = ids.len() == options.limit;
                (ids, more)
            }
            Purge::Jobs(all) => {
                check_limit(all.len(), 0, BACKEND, OPERATION)?;
                let ids: Vec<JobId> = all.iter().copied().take(options.limit).collect();
                (ids, all.len() > options.limit)
            }
        };
        let found = self.load_readable(ids, OPERATION).await?;
        let wanted = |job: &Stored| match &options.what {
            // The index may lag behind a redrive.
            Purge::Ended { status, before } => {
                job.record.status == *status && job.record.finished_at.is_some_and(|at| at < *before)
            }
            Purge::Jobs(_) => job.record.status != JobStatus::Processing,
        };
        let jobs = self.delete(found.into_values().flatten().filter(wanted).collect()).await?;
        self.clear_litter().await?;
        // The index still names jobs that are gone, or have changed: until it has caught up, it would name them again.
        let more = more && (jobs > 0 || matches!(options.what, Purge::Jobs(_)));
        Ok(Purged { jobs, more })
    }

    async fn ended(&self, status: JobStatus, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let shards = (0..self.shards().spread)
            .map(|shard| Range::new(keys::ended(status, shard), "\u{1}", keys::before(before)).in_index(keys::INDEX_1));
        let items = self.query_each(shards.collect(), limit, OPERATION).await?;
        let mut places: Vec<(Timestamp, JobId)> =
            items.iter().filter_map(|item| string(item, keys::G1S)).filter_map(keys::parse_timed).collect();
        places.sort_unstable();
        places.truncate(limit);
        Ok(places.into_iter().map(|(_, id)| id).collect())
    }

    /// Deletes jobs as they were read; one that has changed meanwhile stays.
    async fn delete(&self, jobs: Vec<Stored>) -> Result<usize, StoreError> {
        let spread = self.shards().spread;
        let changes = jobs.iter().map(|job| {
            let record = &job.record;
            let mut change = Change::default();
            change.delete_job(keys::job(record.id), record.version, &job.incarnation);
            for name in names(record).into_iter().filter(|name| *name != keys::job(record.id)) {
                change.delete(name);
            }
            for place in places(record, spread) {
                change.delete(place);
            }
            let shard = keys::shard(record.id.as_bytes(), spread);
            change.put(keyed((keys::litter(shard), keys::litter_place(record.id, &job.incarnation))));
            change.count(Some(record), None);
            change
        });
        let outcomes = self.write(changes.collect(), &Shared::default(), OPERATION).await?;
        Ok(outcomes.iter().filter(|outcome| matches!(outcome, Written::Done)).count())
    }

    /// Clears away what deleted jobs have left, at most of so many jobs as one purge deletes.
    async fn clear_litter(&self) -> Result<(), StoreError> {
        let shards = (0..self.shards().spread).map(|shard| Range::all(keys::litter(shard))).collect();
        let items = self.query_each(shards, MAX_PAGE, OPERATION).await?;
        let places: Vec<keys::Key> = items
            .iter()
            .filter_map(|item| Some((string(item, keys::PK)?.to_owned(), string(item, keys::SK)?.to_owned())))
            .collect();
        let clear: Vec<_> = places.into_iter().map(|place| self.clear(place)).collect();
        futures_util::stream::iter(clear).buffer_unordered(self.in_flight()).try_collect::<()>().await
    }

    async fn clear(&self, place: keys::Key) -> Result<(), StoreError> {
        let bad = || corrupt(OPERATION, "a note of litter names no job");
        let (id, incarnation) = place.1.split_once('#').ok_or_else(bad)?;
        let id = JobId::from_str(id).map_err(|_| bad())?;
        let (from, to) = (keys::event(id, incarnation, 0), keys::event(id, incarnation, u64::MAX >> 11));
        let events = self.query_all(Range::new(from.0, from.1, to.1), usize::MAX, OPERATION).await?;
        let key = |item: &Item| Some((string(item, keys::PK)?.to_owned(), string(item, keys::SK)?.to_owned()));
        let mut gone: Vec<keys::Key> = events.iter().filter_map(key).collect();
        gone.extend([super::body::PAYLOAD, super::body::RESULT].map(|part| keys::body(id, incarnation, part)));
        for batch in gone.chunks(BATCH) {
            self.delete_batch(batch).await?;
        }
        self.clear_artifacts(id, incarnation, OPERATION).await?;
        let delete = self.client().delete_item().table_name(self.table()).set_key(Some(keyed(place)));
        delete.send().await.map(|_| ()).map_err(|error| failed(OPERATION, &error))
    }

    async fn delete_batch(&self, batch: &[keys::Key]) -> Result<(), StoreError> {
        let request = |key: &keys::Key| {
            let delete = DeleteRequest::builder().set_key(Some(keyed(key.clone()))).build();
            delete.map(|delete| WriteRequest::builder().delete_request(delete).build())
        };
        let requests: Result<Vec<_>, _> = batch.iter().map(request).collect();
        let mut left = requests.map_err(|_| corrupt(OPERATION, "a request could not be built"))?;
        while !left.is_empty() {
            let before = left.len();
            let sent = self.client().batch_write_item().request_items(self.table(), left).send().await;
            let answer = sent.map_err(|error| failed(OPERATION, &error))?;
            let unprocessed: HashMap<String, Vec<WriteRequest>> = answer.unprocessed_items.unwrap_or_default();
            left = unprocessed.into_values().flatten().collect();
            if left.len() == before {
                return Err(StoreError::new(Kind::Busy, BACKEND, OPERATION).with_source("deletions were throttled"));
            }
        }
        Ok(())
    }
}
