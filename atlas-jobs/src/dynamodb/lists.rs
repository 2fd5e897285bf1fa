//! The lists of what workers have claimed, in the table: written with the claims, read page by page, deleted once nothing
//! on them is held any more.

use super::DynamoJobs;
use super::item::{Item, Stored, keyed, text};
use super::keys::{self, Key};
use super::leases::Lease;
use super::purge::BATCH;
use super::read::{Range, string};
use super::transition::{Settled, Task, Terms};
use crate::error::StoreError;
use crate::state::Applied;
use atlas_schema::{JobId, WorkerId};
use std::collections::{BTreeSet, HashMap};

/// The most lists of one page: with the most jobs that a request can claim, some 150 KB.
const PAGE: usize = 25;
/// The most jobs that are looked at together.
const CHUNK: usize = 100;
/// The most items that are read in one transaction, whose items have 4 MB at most. Amazon DynamoDB Developer Guide, "Amazon
/// DynamoDB Transactions: How it works".
pub(super) const TOGETHER: usize = 10;
/// So many lists are worth a request that deletes them.
pub(super) const DELETE_AT: usize = BATCH;
const HELD: &str = "held";

/// A list as it was read.
struct List {
    key: Key,
    leases: Vec<Lease>,
    /// Something on it can't be read: it is not deleted.
    damaged: bool,
}

/// What to do with the jobs that a worker's lists name.
pub(super) struct Walk<'a> {
    pub(super) worker: &'a WorkerId,
    /// What to write about a job; nothing if it is to stay as it is.
    pub(super) decide: &'a Decide<'a>,
    pub(super) terms: Terms,
    /// How many jobs are written at most.
    pub(super) limit: usize,
    pub(super) operation: &'static str,
}

type Decide<'a> = dyn Fn(&Stored) -> Option<Applied<()>> + Send + Sync + 'a;

/// What going through a worker's lists came to.
#[derive(Debug, Default)]
pub(super) struct Through {
    /// So many jobs were written.
    pub(super) done: usize,
    /// The shared check was not met: nothing more was tried.
    pub(super) stale: bool,
    /// What may still be held on each list that stays and can be read.
    pub(super) left: Vec<(Key, Vec<Lease>)>,
    /// Jobs that did not show yet what a list says of them.
    pub(super) unclear: BTreeSet<JobId>,
}

/// The list that a request writes.
pub(super) fn list_item(key: &Key, leases: &[Lease]) -> Item {
    let entries: Vec<String> =
        leases.iter().map(|lease| format!("{}#{}#{}", lease.job, lease.epoch, lease.incarnation)).collect();
    let mut item = keyed(key.clone());
    item.insert(HELD.into(), text(entries.join(" ")));
    item
}

fn read_list(worker: &WorkerId, item: &Item) -> List {
    let name = |name| string(item, name).unwrap_or_default().to_owned();
    let key = (name(keys::PK), name(keys::SK));
    let entry = |text: &str| {
        let mut parts = text.splitn(3, '#');
        let (job, epoch, incarnation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        Some(Lease { worker: worker.clone(), job, incarnation: incarnation.into(), epoch })
    };
    let entries: Vec<Option<Lease>> = string(item, HELD).unwrap_or_default().split(' ').map(entry).collect();
    let damaged = entries.iter().any(Option::is_none);
    List { key, leases: entries.into_iter().flatten().collect(), damaged }
}

impl DynamoJobs {
    /// Decides about the jobs that a worker's lists name. Lists of which nothing is held any more are deleted.
    pub(super) async fn go_through(&self, walk: &Walk<'_>) -> Result<Through, StoreError> {
        let mut through = Through::default();
        let mut after = None;
        loop {
            let range = Range::all(keys::leases(walk.worker));
            let (items, next) = self.query(&range, after, PAGE, walk.operation).await?;
            let lists: Vec<List> = items.iter().map(|item| read_list(walk.worker, item)).collect();
            let jobs: BTreeSet<JobId> = lists.iter().flat_map(|list| &list.leases).map(|lease| lease.job).collect();
            let found = self.visit(walk, jobs, &mut through).await?;
            let over = |lease: &Lease| match found.get(&lease.job) {
                Some(Some(job)) => lease.is_over(job),
                Some(None) => true,
                None => false,
            };
            let mut spent = Vec::new();
            for mut list in lists {
                let (ended, held) = list.leases.into_iter().partition::<Vec<_>, _>(over);
                for lease in &ended {
                    self.leases().ended(lease);
                }
                let unclear = held.iter().filter(|lease| match found.get(&lease.job) {
                    Some(Some(job)) => lease.is_ahead_of(job),
                    other => other.is_none(),
                });
                through.unclear.extend(unclear.map(|lease| lease.job));
                list.leases = held;
                if list.damaged {
                    // Nor is it remembered: what can't be read of it would not count.
                    tracing::error!(list = list.key.1, "a list of leases can't be read: it stays until it is mended");
                } else if list.leases.is_empty() {
                    spent.push(list.key);
                } else {
                    through.left.push((list.key, list.leases));
                }
            }
            self.leases().spent(spent);
            after = next;
            if after.is_none() || through.stale || through.done == walk.limit {
                self.delete_spent(1).await;
                return Ok(through);
            }
        }
    }

    /// Decides about jobs until the limit is reached. Gives them as they are now, `None` for those that are not there;
    /// those of which that is not known are left out.
    async fn visit(
        &self,
        walk: &Walk<'_>,
        jobs: BTreeSet<JobId>,
        through: &mut Through,
    ) -> Result<HashMap<JobId, Option<Stored>>, StoreError> {
        let mut found = HashMap::with_capacity(jobs.len());
        let mut missing = Vec::new();
        let mut jobs = jobs.into_iter().peekable();
        let task = |job: JobId| Task {
            job,
            decide: Box::new(|before: &Stored| (walk.decide)(before).ok_or_else(|| Box::new(before.clone()))),
        };
        while jobs.peek().is_some() && !through.stale && through.done < walk.limit {
            let some: Vec<JobId> = jobs.by_ref().take(CHUNK.min(walk.limit - through.done)).collect();
            let tasks: Vec<Task<'_, Box<Stored>>> = some.iter().copied().map(task).collect();
            let settled = self.settle(&tasks, HashMap::new(), &walk.terms, walk.operation).await?;
            for (id, settled) in some.into_iter().zip(settled) {
                match settled {
                    Settled::Done(after) => {
                        through.done += 1;
                        found.insert(id, Some(*after));
                    }
                    Settled::Answer(job) => {
                        found.insert(id, Some(*job));
                    }
                    Settled::Missing => missing.push(id),
                    Settled::Stale => through.stale = true,
                    Settled::Unreadable | Settled::Passed => {}
                }
            }
        }
        match self.truly_missing(&missing, walk.operation).await {
            Ok(gone) => found.extend(gone.into_iter().map(|id| (id, None))),
            // What was written above must be told. These stay as they are.
            Err(error) => tracing::warn!(kind = ?error.kind(), "whether jobs on a list are gone is looked at later"),
        }
        Ok(found)
    }

    /// Those of some jobs that are not there. What brings a job and the list that names it shows them one after the other
    /// to plain reads, and only to a transaction at once.
    async fn truly_missing(&self, jobs: &[JobId], operation: &'static str) -> Result<Vec<JobId>, StoreError> {
        let mut gone = Vec::new();
        for some in jobs.chunks(TOGETHER) {
            // Where one of them is being written, all stay for the next time.
            let keys: Vec<Key> = some.iter().copied().map(keys::job).collect();
            if let Some(items) = self.read_together(&keys, operation).await? {
                let absent = some.iter().zip(items).filter(|(_, item)| item.is_none());
                gone.extend(absent.map(|(job, _)| *job));
            }
        }
        Ok(gone)
    }

    /// Reads a worker's lists if this process knows too little of them: they would grow in number otherwise.
    pub(super) async fn know_lists(&self, worker: &WorkerId, operation: &'static str) -> Result<(), StoreError> {
        let partition = keys::leases(worker);
        if self.leases().must_read(&partition) {
            let before = self.leases().begin_read(&partition);
            let decide = |_: &Stored| None;
            let walk = Walk { worker, decide: &decide, terms: Terms::default(), limit: usize::MAX, operation };
            let through = self.go_through(&walk).await?;
            self.leases().read(&partition, &before, through.left);
        }
        Ok(())
    }

    /// Deletes the lists on which everything is over, if there are at least so many. What fails is done later: nothing
    /// depends on it.
    pub(super) async fn delete_spent(&self, least: usize) {
        let mut spent = self.leases().take_spent(least);
        while !spent.lists.is_empty() {
            let batch: Vec<Key> = spent.lists.iter().take(BATCH).cloned().collect();
            if let Err(error) = self.delete_batch(&batch, "exchange").await {
                tracing::debug!(kind = ?error.kind(), "lists of leases are deleted later");
                return;
            }
            spent.lists.drain(..batch.len());
        }
    }

    /// Whether nothing names a worker.
    pub(super) async fn has_no_lists(&self, worker: &WorkerId, operation: &'static str) -> Result<bool, StoreError> {
        Ok(self.query_all(Range::all(keys::leases(worker)), 1, operation).await?.is_empty())
    }
}
