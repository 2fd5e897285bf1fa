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
use crate::kernel::{MOST_PAGES, check_limit};
use crate::store::{MAX_PAGE, Purge, PurgeOptions, Purged};
use atlas_schema::{JobId, JobStatus, Timestamp};
use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::str::FromStr;

const OPERATION: &str = "purge";
/// The most items of one request. Amazon `DynamoDB` API Reference, `BatchWriteItem`.
pub(super) const BATCH: usize = 25;

impl DynamoJobs {
    pub(super) async fn remove(&self, options: &PurgeOptions) -> Result<Purged, StoreError> {
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        if let Purge::Jobs(all) | Purge::Unreadable(all) = &options.what {
            check_limit(all.len(), 0, BACKEND, OPERATION)?;
        }
        let purged = match &options.what {
            Purge::Ended { status, before } => self.remove_ended(*status, *before, options.limit).await?,
            Purge::Jobs(all) => {
                let wanted = |job: &Stored| job.record.status != JobStatus::Processing;
                let found = self.load_readable(all.iter().copied().take(options.limit), OPERATION).await?;
                let jobs = self.delete(found.into_values().flatten().filter(wanted).collect()).await?;
                Purged { jobs, more: all.len() > options.limit }
            }
            Purge::Unreadable(all) => {
                let jobs = self.discard(all.iter().copied().take(options.limit).collect()).await?;
                Purged { jobs, more: all.len() > options.limit }
            }
        };
        self.clear_litter().await?;
        Ok(purged)
    }

    async fn remove_ended(&self, status: JobStatus, before: Timestamp, limit: usize) -> Result<Purged, StoreError> {
        let (mut purged, mut after) = (Purged::default(), None);
        // The index may still name jobs that are gone or redriven, and jobs that can't be read: they hide none behind them.
        for _ in 0..MOST_PAGES {
            let places = self.ended(status, before, after, limit - purged.jobs).await?;
            let full = places.len() == limit - purged.jobs;
            after = places.last().copied();
            let found = self.load_readable(places.into_iter().map(|(_, id)| id), OPERATION).await?;
            let wanted =
                |job: &Stored| job.record.status == status && job.record.finished_at.is_some_and(|at| at < before);
            purged.jobs += self.delete(found.into_values().flatten().filter(wanted).collect()).await?;
            purged.more = full && purged.jobs > 0;
            if !full || purged.jobs == limit {
                break;
            }
        }
        Ok(purged)
    }

    async fn ended(
        &self,
        status: JobStatus,
        before: Timestamp,
        after: Option<(Timestamp, JobId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, JobId)>, StoreError> {
        let shards = (0..self.shards().spread)
            .map(|shard| Range::new(keys::ended(status, shard), keys::behind(after), keys::before(before)))
            .map(|range| range.in_index(keys::INDEX_1));
        self.timed_places(shards.collect(), keys::G1S, limit, OPERATION).await
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
            self.delete_batch(batch, OPERATION).await?;
        }
        self.clear_artifacts(id, incarnation, OPERATION).await?;
        let delete = self.client().delete_item().table_name(self.table()).set_key(Some(keyed(place)));
        delete.send().await.map(|_| ()).map_err(|error| failed(OPERATION, &error))
    }

    pub(super) async fn delete_batch(&self, batch: &[keys::Key], operation: &'static str) -> Result<(), StoreError> {
        let request = |key: &keys::Key| {
            let delete = DeleteRequest::builder().set_key(Some(keyed(key.clone()))).build();
            delete.map(|delete| WriteRequest::builder().delete_request(delete).build())
        };
        let requests: Result<Vec<_>, _> = batch.iter().map(request).collect();
        let mut left = requests.map_err(|_| corrupt(operation, "a request could not be built"))?;
        while !left.is_empty() {
            let before = left.len();
            let sent = self.client().batch_write_item().request_items(self.table(), left).send().await;
            let answer = sent.map_err(|error| failed(operation, &error))?;
            let unprocessed: HashMap<String, Vec<WriteRequest>> = answer.unprocessed_items.unwrap_or_default();
            left = unprocessed.into_values().flatten().collect();
            if left.len() == before {
                return Err(StoreError::new(Kind::Busy, BACKEND, operation).with_source("deletions were throttled"));
            }
        }
        Ok(())
    }
}
