//! Ending what nobody else ends.

use super::DynamoJobs;
use super::error::{BACKEND, CONFLICT, code, failed, is_refused};
use super::item::{Item, Stored, keyed, text};
use super::keys;
use super::lists::Walk;
use super::read::{Range, read_beat, string};
use super::transition::{Settled, Task, Terms};
use crate::error::StoreError;
use crate::kernel::{Beat, MOST_PAGES, check_limit, readable};
use crate::state::{self, Command};
use crate::store::{SweepOptions, Swept};
use atlas_schema::{Actor, JobId, JobStatus, Timestamp, WorkerId};
use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;
use std::time::Duration;

const OPERATION: &str = "sweep";
/// A worker without leases is forgotten after so long. It only bounds the table: an earlier or later time loses nothing.
const FORGET_AFTER: Duration = Duration::from_hours(24);

/// A worker as a sweep finds it.
struct Worker {
    id: WorkerId,
    beat: Option<Beat>,
    item: Item,
}

impl DynamoJobs {
    pub(super) async fn clean(&self, options: &SweepOptions) -> Result<Swept, StoreError> {
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        let mut swept = Swept::default();
        let mut left = options.limit;
        self.end_due(options.now.wall, &mut left, &mut swept).await?;
        let workers = self.workers().await?;
        let silent = self.silent(&workers, options);
        for worker in workers.iter().filter(|worker| silent.contains(&worker.id)) {
            if left > 0 {
                let dead = options.dead.contains(&worker.id);
                let expired = self.expire(worker, dead, options.now.wall, left).await?;
                swept.expired += expired;
                left -= expired;
            }
            self.forget(worker, options.now.wall).await?;
        }
        swept.more = left == 0;
        Ok(swept)
    }

    /// Ends jobs past their deadline, and cancels that no handler answered in time.
    async fn end_due(&self, now: Timestamp, left: &mut usize, swept: &mut Swept) -> Result<(), StoreError> {
        let task = |(_, id): (Timestamp, JobId)| Task {
            job: id,
            decide: Box::new(move |before: &Stored| {
                let late = before.record.deadline.is_some_and(|deadline| deadline <= now);
                let command = if late { Command::TimeOut } else { Command::EndCancel };
                // Whoever changed the job since the index was read has seen to it.
                state::apply(&before.record, command, now, Actor::Sweeper {}).map_err(|_| ())
            }),
        };
        let terms = Terms { yield_to_others: true, ..Terms::default() };
        let mut after = None;
        // Those that can't be read hide none behind them.
        for _ in 0..MOST_PAGES {
            let due = (0..self.shards().spread)
                .map(|shard| Range::new(keys::due(shard), keys::behind(after), keys::through(now)))
                .map(|range| range.in_index(keys::INDEX_2));
            let limit = *left;
            let places = self.timed_places(due.collect(), keys::G2S, limit, OPERATION).await?;
            let full = places.len() == limit;
            after = places.last().copied();
            let tasks: Vec<Task<'_, ()>> = places.into_iter().map(task).collect();
            for settled in self.settle(&tasks, HashMap::new(), &terms, OPERATION).await? {
                if let Settled::Done(after) = settled {
                    *left -= 1;
                    match after.record.status {
                        JobStatus::Timeout => swept.timed_out += 1,
                        _ => swept.cancelled += 1,
                    }
                }
            }
            if !full || *left == 0 {
                break;
            }
        }
        Ok(())
    }

    async fn workers(&self) -> Result<Vec<Worker>, StoreError> {
        let shards = (0..self.shards().spread).map(|shard| Range::all(keys::beats(shard))).collect();
        let items = self.query_each(shards, usize::MAX, OPERATION).await?;
        let mut workers: Vec<Worker> = Vec::with_capacity(items.len());
        for item in items {
            let read = read_beat(&item, OPERATION).map(Some);
            let read = readable(read, &string(&item, keys::SK).unwrap_or("a worker"))?;
            workers.extend(read.map(|(id, beat)| Worker { id, beat, item }));
        }
        workers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(workers)
    }

    /// Who has been silent for a whole lease, as this process has watched it.
    fn silent(&self, workers: &[Worker], options: &SweepOptions) -> HashSet<WorkerId> {
        let mut watch = self.inner.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let silent = workers.iter().filter(|worker| {
            let seen = |beat: Beat| watch.is_silent(&worker.id, beat.count, beat.lease, options.now.steady);
            // A lease whose worker was never seen can't be renewed by anyone.
            options.dead.contains(&worker.id) || worker.beat.is_none_or(seen)
        });
        let silent = silent.map(|worker| worker.id.clone()).collect();
        let known: HashSet<&WorkerId> = workers.iter().map(|worker| &worker.id).collect();
        watch.retain(|worker| known.contains(worker));
        silent
    }

    /// Ends the leases of a worker, unless it was heard of again.
    async fn expire(&self, worker: &Worker, dead: bool, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let decide = |before: &Stored| {
            let record = &before.record;
            let holds = record.lease.as_ref().is_some_and(|lease| lease.worker == worker.id);
            let command = Command::ExpireLease { epoch: record.epoch };
            holds.then(|| state::apply(record, command, now, Actor::Sweeper {}).ok()).flatten()
        };
        let mut terms = Terms { yield_to_others: true, ..Terms::default() };
        if !dead {
            terms.shared = self.while_beat_stands(&worker.id, worker.beat.map(|beat| beat.count));
        }
        let walk = Walk { worker: &worker.id, decide: &decide, terms, limit, operation: OPERATION };
        Ok(self.go_through(&walk).await?.done)
    }

    /// Forgets a silent worker that was last seen long ago and holds nothing.
    async fn forget(&self, worker: &Worker, now: Timestamp) -> Result<(), StoreError> {
        let long_ago = now.saturating_sub(FORGET_AFTER);
        let reader = super::item::Reader::new(&worker.item, OPERATION);
        // A job of it that was brought lately may not show yet, nor its list.
        let (seen, met) = (reader.maybe_time("seen")?, reader.maybe_time("metat")?);
        if seen.is_none_or(|seen| seen >= long_ago)
            || met.is_some_and(|met| met >= long_ago)
            || !self.has_no_lists(&worker.id, OPERATION).await?
        {
            return Ok(());
        }
        let key = keys::beat(&worker.id, self.shards().spread);
        let mut delete = self.client().delete_item().table_name(self.table()).set_key(Some(keyed(key)));
        // Whoever needs the worker meanwhile has changed one of these.
        let mut conditions = Vec::new();
        for name in ["mark", "met"] {
            if let Some(value) = string(&worker.item, name) {
                conditions.push(format!("{name} = :{name}"));
                delete = delete.expression_attribute_values(format!(":{name}"), text(value));
            } else {
                conditions.push(format!("attribute_not_exists({name})"));
            }
        }
        let delete = delete.condition_expression(conditions.join(" and "));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) || code(&error) == Some(CONFLICT) => Ok(()),
            Err(error) => Err(failed(OPERATION, &error)),
        }
    }
}
