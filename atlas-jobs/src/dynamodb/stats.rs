//! Counts, from the counters that every transition keeps.

use super::DynamoJobs;
use super::change::place;
use super::error::corrupt;
use super::item::{Item, Reader, Stored};
use super::keys::{self, ListScope};
use super::read::{Range, string};
use crate::error::StoreError;
use crate::kernel::unreadable;
use crate::store::{Count, Scope, Statistics};
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, QueueName, TenantId, Timestamp};
use futures_util::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const OPERATION: &str = "statistics";

/// The sum of the lanes of one counter: jobs and milliseconds by status. A single lane may be below zero.
type Sum = [(i64, i64); 6];

impl DynamoJobs {
    pub(super) async fn tally(&self, scope: &Scope) -> Result<Statistics, StoreError> {
        if let Some(parent) = scope.parent {
            return self.tally_children(parent, scope).await;
        }
        let sums = self.sums(scope.queue.as_ref(), scope.kind.as_ref(), OPERATION).await?;
        let waiting: BTreeSet<(QueueName, JobKind)> = sums
            .iter()
            .filter(|(_, sum)| sum[place(JobStatus::Pending)].0 > 0)
            .map(|((queue, kind, _), _)| (queue.clone(), kind.clone()))
            .filter(|(queue, kind)| {
                scope.queue.as_ref().is_none_or(|q| q == queue) && scope.kind.as_ref().is_none_or(|k| k == kind)
            })
            .collect();
        let mut counts = Vec::new();
        for ((queue, kind, tenant), sum) in &sums {
            if !scope.covers(tenant, queue, kind) {
                continue;
            }
            for status in JobStatus::ALL {
                let (jobs, millis) = sum[place(status)];
                counts.push(Count {
                    queue: queue.clone(),
                    kind: kind.clone(),
                    status,
                    jobs: u64::try_from(jobs).unwrap_or(0),
                    processing: Duration::from_millis(u64::try_from(millis).unwrap_or(0)),
                });
            }
        }
        let partitions = waiting.iter().flat_map(|(queue, kind)| {
            (0..self.shards().ready).map(|shard| self.earliest(keys::ready(queue, kind, shard), OPERATION))
        });
        let partitions: Vec<_> = partitions.collect();
        let earliest: Vec<Option<Timestamp>> =
            futures_util::stream::iter(partitions).buffer_unordered(self.in_flight()).try_collect().await?;
        Ok(Statistics::new(counts, earliest.into_iter().flatten().min()))
    }

    async fn tally_children(&self, parent: JobId, scope: &Scope) -> Result<Statistics, StoreError> {
        let lists = (0..self.shards().spread).map(|shard| Range::all(keys::list(&ListScope::Parent(parent), shard)));
        let places = self.query_each(lists.collect(), usize::MAX, OPERATION).await?;
        let child = |place: &Item| string(place, keys::SK).and_then(keys::parse_timed).map(|(_, id)| keys::job(id));
        let children: Vec<(keys::Key, &Item)> =
            places.iter().filter_map(|place| Some((child(place)?, place))).collect();
        let found = self.read_all(children.iter().map(|(key, _)| key.clone()).collect(), OPERATION).await?;
        let mut counts = Vec::with_capacity(children.len());
        for (key, place) in &children {
            let Some(item) = found.get(key) else { continue };
            let (tenant, count) = match Stored::read(item, OPERATION) {
                // A child counts whether its record can be read or not, or its batch would wait for ever.
                Err(error) if unreadable(&error, &key.0) => match by_attributes(place, item) {
                    Ok(counted) => counted,
                    Err(_) => continue,
                },
                stored => of_record(stored?.record),
            };
            if scope.covers(&tenant, &count.queue, &count.kind) {
                counts.push(count);
            }
        }
        Ok(Statistics::new(counts, None))
    }

    /// How many jobs of a queue run.
    pub(super) async fn running(&self, queue: &QueueName, operation: &'static str) -> Result<u64, StoreError> {
        let sums = self.sums(Some(queue), None, operation).await?;
        let running: i64 = sums.values().map(|sum| sum[place(JobStatus::Processing)].0).sum();
        Ok(u64::try_from(running).unwrap_or(0))
    }

    async fn sums(
        &self,
        queue: Option<&QueueName>,
        kind: Option<&JobKind>,
        operation: &'static str,
    ) -> Result<BTreeMap<(QueueName, JobKind, TenantId), Sum>, StoreError> {
        let prefix = match (queue, kind) {
            (Some(queue), Some(kind)) => format!("{queue}#{kind}#"),
            (Some(queue), None) => format!("{queue}#"),
            _ => String::new(),
        };
        let (from, to) = (if prefix.is_empty() { "\u{1}".into() } else { prefix.clone() }, format!("{prefix}\u{7f}"));
        let shards = self.shards();
        let partitions = (0..shards.spread.min(shards.lanes))
            .map(|shard| Range::new(keys::counts(shard), from.as_str(), to.as_str()));
        let items = self.query_each(partitions.collect(), usize::MAX, operation).await?;
        let mut sums: BTreeMap<_, Sum> = BTreeMap::new();
        for item in &items {
            let sum = sums.entry(group(item, operation)?).or_default();
            let reader = Reader::new(item, operation);
            for (place, (jobs, millis)) in sum.iter_mut().enumerate() {
                *jobs += reader.maybe_number::<i64>(&format!("n{place}"))?.unwrap_or(0);
                *millis += reader.maybe_number::<i64>(&format!("t{place}"))?.unwrap_or(0);
            }
        }
        Ok(sums)
    }
}

fn of_record(record: JobRecord<()>) -> (TenantId, Count) {
    let processing = Count::processing_of(&record);
    (record.tenant, Count { queue: record.queue, kind: record.kind, status: record.status, jobs: 1, processing })
}

/// What a job counts as by its place in a list, and by what its item says beside the record.
fn by_attributes(place: &Item, item: &Item) -> Result<(TenantId, Count), StoreError> {
    let reader = Reader::new(place, OPERATION);
    let (queue, kind) = (reader.parsed("queue")?, reader.parsed("kind")?);
    let item = Reader::new(item, OPERATION);
    let status = item.text("stat")?;
    let status = JobStatus::ALL.into_iter().find(|one| one.as_str() == status).ok_or_else(|| item.bad())?;
    Ok((reader.parsed("tenant")?, Count { queue, kind, status, jobs: 1, processing: Duration::ZERO }))
}

fn group(item: &Item, operation: &'static str) -> Result<(QueueName, JobKind, TenantId), StoreError> {
    let bad = || corrupt(operation, "a counter names no queue, kind and tenant");
    let key = string(item, keys::SK).ok_or_else(bad)?;
    let mut parts = key.split('#');
    let mut next = || parts.next().ok_or_else(bad);
    let (queue, kind, tenant) = (next()?, next()?, next()?);
    Ok((queue.parse().map_err(|_| bad())?, kind.parse().map_err(|_| bad())?, tenant.parse().map_err(|_| bad())?))
}
