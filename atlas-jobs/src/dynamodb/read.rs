//! Reading items, consistently, in sets.

use super::DynamoJobs;
use super::error::{BACKEND, cancelled, corrupt, failed};
use super::item::{Item, Reader, Stored, text};
use super::keys::{self, Key};
use crate::error::{Kind, StoreError};
use crate::kernel::{Beat, check_limit, readable};
use crate::store::JobRef;
use atlas_schema::{JobId, JobRecord, Timestamp, WorkerId};
use aws_sdk_dynamodb::operation::transact_get_items::TransactGetItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Get, KeysAndAttributes, TransactGetItem};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// The most keys of one request. Amazon `DynamoDB` API Reference, `BatchGetItem`.
const BATCH: usize = 100;

/// Which part of a partition is read.
#[derive(Debug, Clone)]
pub(super) struct Range {
    /// `None` for the table itself.
    pub(super) index: Option<&'static str>,
    pub(super) partition: String,
    /// From this sort key on.
    pub(super) from: String,
    /// Up to this sort key.
    pub(super) to: String,
    pub(super) backwards: bool,
}

impl Range {
    /// A part of a partition of the table.
    pub(super) fn new(partition: String, from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { index: None, partition, from: from.into(), to: to.into(), backwards: false }
    }

    /// All of a partition of the table.
    pub(super) fn all(partition: String) -> Self {
        // A sort key has at least one byte, and ours are ASCII.
        Self::new(partition, "\u{1}", "\u{7f}")
    }

    pub(super) const fn in_index(mut self, index: &'static str) -> Self {
        self.index = Some(index);
        self
    }

    pub(super) const fn reversed(mut self, backwards: bool) -> Self {
        self.backwards = backwards;
        self
    }
}

impl DynamoJobs {
    /// The items of some keys, which may be named twice.
    pub(super) async fn read_all(
        &self,
        keys: Vec<Key>,
        operation: &'static str,
    ) -> Result<HashMap<Key, Item>, StoreError> {
        let keys: Vec<Key> = keys.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let requests = keys.chunks(BATCH).map(|chunk| self.read_batch(chunk.to_vec(), operation));
        let requests: Vec<_> = requests.collect();
        let found: Vec<Vec<Item>> =
            futures_util::stream::iter(requests).buffer_unordered(self.in_flight()).try_collect().await?;
        found
            .into_iter()
            .flatten()
            .map(|item| {
                let reader = Reader::new(&item, operation);
                let key = (reader.text(keys::PK)?.to_owned(), reader.text(keys::SK)?.to_owned());
                Ok((key, item))
            })
            .collect()
    }

    async fn read_batch(&self, keys: Vec<Key>, operation: &'static str) -> Result<Vec<Item>, StoreError> {
        if let [key] = keys.as_slice() {
            return Ok(self.read_one(key.clone(), operation).await?.into_iter().collect());
        }
        let mut wanted: Vec<Item> = keys.into_iter().map(super::item::keyed).collect();
        let mut found = Vec::with_capacity(wanted.len());
        // A reply has 16 MB at most, or what the table's capacity allows: the rest is asked for again, as long as each
        // reply brings something.
        loop {
            let keys = KeysAndAttributes::builder().set_keys(Some(wanted)).consistent_read(true).build();
            let keys = keys.map_err(|_| corrupt(operation, "a request could not be built"))?;
            let answer = self.client().batch_get_item().request_items(self.table(), keys).send().await;
            let answer = answer.map_err(|error| failed(operation, &error))?;
            let some: Vec<Item> = answer.responses.into_iter().flatten().flat_map(|(_, items)| items).collect();
            let none = some.is_empty();
            found.extend(some);
            wanted = answer.unprocessed_keys.into_iter().flatten().flat_map(|(_, keys)| keys.keys).collect();
            if wanted.is_empty() {
                return Ok(found);
            }
            if none {
                return Err(StoreError::new(Kind::Busy, BACKEND, operation).with_source("reads were throttled"));
            }
        }
    }

    pub(super) async fn read_one(&self, key: Key, operation: &'static str) -> Result<Option<Item>, StoreError> {
        let get = self.client().get_item().table_name(self.table()).consistent_read(true);
        let get = get.key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
        Ok(get.send().await.map_err(|error| failed(operation, &error))?.item)
    }

    /// The items of some keys, a few, as they stand at one moment, in order; nothing if one of them is being written.
    pub(super) async fn read_together(
        &self,
        keys: &[Key],
        operation: &'static str,
    ) -> Result<Option<Vec<Option<Item>>>, StoreError> {
        let broken = |_| corrupt(operation, "a request could not be built");
        let mut read = self.client().transact_get_items();
        for key in keys {
            let key = super::item::keyed(key.clone());
            let get = Get::builder().table_name(self.table()).set_key(Some(key)).build();
            read = read.transact_items(TransactGetItem::builder().get(get.map_err(broken)?).build());
        }
        match read.send().await {
            Ok(answer) => Ok(Some(answer.responses.into_iter().flatten().map(|one| one.item).collect())),
            Err(error) => match error.as_service_error() {
                Some(TransactGetItemsError::TransactionCanceledException(reasons)) => {
                    for code in reasons.cancellation_reasons().iter().filter_map(|reason| reason.code()) {
                        if !matches!(code, "None" | "TransactionConflict") {
                            return Err(cancelled(operation, code));
                        }
                    }
                    Ok(None)
                }
                _ => Err(failed(operation, &error)),
            },
        }
    }

    /// One reply of a query, and where it ended if there is more.
    pub(super) async fn query(
        &self,
        range: &Range,
        after: Option<Item>,
        limit: usize,
        operation: &'static str,
    ) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let (pk, sk) = match range.index {
            None => (keys::PK, keys::SK),
            Some(keys::INDEX_1) => (keys::G1P, keys::G1S),
            Some(_) => (keys::G2P, keys::G2S),
        };
        let mut query = self.client().query().table_name(self.table()).set_index_name(range.index.map(Into::into));
        // Only the table itself can be read consistently.
        query = query.consistent_read(range.index.is_none()).scan_index_forward(!range.backwards);
        query = query
            .key_condition_expression(format!("{pk} = :partition and {sk} between :low and :high"))
            .expression_attribute_values(":partition", text(&range.partition))
            .expression_attribute_values(":low", text(&range.from))
            .expression_attribute_values(":high", text(&range.to));
        query = query.set_limit(i32::try_from(limit.max(1)).ok()).set_exclusive_start_key(after);
        let answer = query.send().await.map_err(|error| failed(operation, &error))?;
        Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
    }

    /// Up to `limit` items of a range.
    pub(super) async fn query_all(
        &self,
        range: Range,
        limit: usize,
        operation: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        let mut all = Vec::new();
        let mut after = None;
        while all.len() < limit {
            let (items, next) = self.query(&range, after, limit - all.len(), operation).await?;
            all.extend(items);
            after = next;
            if after.is_none() {
                break;
            }
        }
        Ok(all)
    }

    /// Up to `limit` items of each of several ranges.
    pub(super) async fn query_each(
        &self,
        ranges: Vec<Range>,
        limit: usize,
        operation: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        let queries: Vec<_> = ranges.into_iter().map(|range| self.query_all(range, limit, operation)).collect();
        let found: Vec<Vec<Item>> =
            futures_util::stream::iter(queries).buffer_unordered(self.in_flight()).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The first places of several ranges that are sorted by time, in that order over all of them.
    pub(super) async fn timed_places(
        &self,
        ranges: Vec<Range>,
        attribute: &str,
        limit: usize,
        operation: &'static str,
    ) -> Result<Vec<(Timestamp, JobId)>, StoreError> {
        let items = self.query_each(ranges, limit, operation).await?;
        let mut places: Vec<(Timestamp, JobId)> =
            items.iter().filter_map(|item| string(item, attribute)).filter_map(keys::parse_timed).collect();
        places.sort_unstable();
        places.truncate(limit);
        Ok(places)
    }

    pub(super) async fn load(&self, id: JobId, operation: &'static str) -> Result<Option<Stored>, StoreError> {
        let item = self.read_one(keys::job(id), operation).await?;
        item.map(|item| Stored::read(&item, operation)).transpose()
    }

    /// The jobs of some ids; those that are not there are left out.
    pub(super) async fn load_all(
        &self,
        ids: impl IntoIterator<Item = JobId>,
        operation: &'static str,
    ) -> Result<HashMap<JobId, Stored>, StoreError> {
        let items = self.read_all(ids.into_iter().map(keys::job).collect(), operation).await?;
        let stored = items.values().map(|item| Stored::read(item, operation).map(|stored| (stored.id(), stored)));
        stored.collect()
    }

    /// The same; `None` for one that can't be read.
    pub(super) async fn load_readable(
        &self,
        ids: impl IntoIterator<Item = JobId>,
        operation: &'static str,
    ) -> Result<HashMap<JobId, Option<Stored>>, StoreError> {
        let ids: BTreeSet<JobId> = ids.into_iter().collect();
        let items = self.read_all(ids.iter().copied().map(keys::job).collect(), operation).await?;
        let mut found = HashMap::with_capacity(items.len());
        for id in ids {
            if let Some(item) = items.get(&keys::job(id)) {
                found.insert(id, readable(Stored::read(item, operation).map(Some), &id)?);
            }
        }
        Ok(found)
    }

    pub(super) async fn read(&self, references: &[JobRef]) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let operation = "get";
        check_limit(references.len(), 0, BACKEND, operation)?;
        let name = |reference: &JobRef| match reference {
            JobRef::Id(_) => None,
            JobRef::External(tenant, id) => Some(keys::external(tenant, id.as_str())),
            JobRef::Idempotency(tenant, key) => Some(keys::idempotency(tenant, key.as_str())),
        };
        let names: Vec<Key> = references.iter().filter_map(name).collect();
        let named = self.read_all(names, operation).await?;
        let mut ids = Vec::with_capacity(references.len());
        for reference in references {
            ids.push(match (reference, name(reference)) {
                (JobRef::Id(id), _) => Some(*id),
                (_, Some(key)) => named.get(&key).map(|item| Reader::new(item, operation).parsed("id")).transpose()?,
                _ => None,
            });
        }
        let found = self.load_all(ids.iter().flatten().copied(), operation).await?;
        let whole = self.whole_records(found.into_values().collect(), operation).await?;
        let whole: HashMap<JobId, JobRecord> = whole.into_iter().map(|record| (record.id, record)).collect();
        // A name that was taken over between the two reads leads to a job that has another name by now: that is fine,
        // it had this one during the call.
        Ok(ids.into_iter().map(|id| id.and_then(|id| whole.get(&id).cloned())).collect())
    }

    /// Whole records as readers see them: with the end of the lease that the worker's last beat gives.
    pub(super) async fn whole_records(
        &self,
        jobs: Vec<Stored>,
        operation: &'static str,
    ) -> Result<Vec<JobRecord>, StoreError> {
        let workers = jobs.iter().filter_map(|job| job.record.lease.as_ref()).map(|lease| lease.worker.clone());
        let beats = self.beats(workers.collect(), operation).await?;
        let mut records: Vec<JobRecord> = self.complete(jobs, operation).await?.into_iter().flatten().collect();
        for lease in records.iter_mut().filter_map(|record| record.lease.as_mut()) {
            if let Some(beat) = beats.get(&lease.worker) {
                lease.expires_at = beat.seen_at.saturating_add(beat.lease);
            }
        }
        Ok(records)
    }

    async fn beats(
        &self,
        workers: BTreeSet<WorkerId>,
        operation: &'static str,
    ) -> Result<HashMap<WorkerId, Beat>, StoreError> {
        if workers.is_empty() {
            return Ok(HashMap::new());
        }
        let items =
            self.read_all(workers.iter().map(|w| keys::beat(w, self.shards().spread)).collect(), operation).await?;
        let mut beats = HashMap::new();
        for item in items.values() {
            let (worker, beat) = read_beat(item, operation)?;
            beats.extend(beat.map(|beat| (worker, beat)));
        }
        Ok(beats)
    }
}

/// A worker's last beat; none if it never had one, as that of a job from elsewhere.
pub(super) fn read_beat(item: &Item, operation: &'static str) -> Result<(WorkerId, Option<Beat>), StoreError> {
    let reader = Reader::new(item, operation);
    let worker = reader.parsed(keys::SK)?;
    let Some(count) = reader.maybe_number("beat")? else { return Ok((worker, None)) };
    let lease = Duration::from_millis(reader.number("lease")?);
    let seen_at = reader.maybe_time("seen")?.ok_or_else(|| reader.bad())?;
    Ok((worker, Some(Beat { count, lease, seen_at })))
}

/// The value of a text attribute.
pub(super) fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).map(String::as_str)
}
