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
/// So many lists are worth a request that deletes them.
pub(super) const DELETE_AT: usize = BATCH;
const HELD: &str = "held";

/// A list as it was read.
struct List {
    key: Key,
    leases: Vec<Listed>,
    /// Something on it can't be read: it is not deleted.
    damaged: bool,
}

/// A job on a list.
enum Listed {
    Lease(Lease),
    /// An earlier build wrote no epoch.
    Job(JobId),
}

impl Listed {
    const fn job(&self) -> JobId {
        match self {
            Self::Lease(lease) => lease.job,
            Self::Job(job) => *job,
        }
    }

    fn is_over(&self, worker: &WorkerId, job: &Stored) -> bool {
        match self {
            Self::Lease(lease) => lease.is_over(job),
            Self::Job(_) => job.record.lease.as_ref().is_none_or(|lease| lease.worker != *worker),
        }
    }
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
    /// What may still be held on each list that stays.
    pub(super) left: Vec<(Key, Vec<Lease>)>,
}

/// The list that a request writes.
pub(super) fn list_item(key: &Key, leases: &[Lease]) -> Item {
    let entries: Vec<String> =
        leases.iter().map(|lease| format!("{}#{}#{}", lease.job, lease.epoch, lease.incarnation)).collect();
    let mut item = keyed(key.clone());
    item.insert(HELD.into(), text(entries.join(" ")));
    item
}

fn read_list(worker: &WorkerId, item: &Item) -> Option<List> {
    let key = (string(item, keys::PK)?.to_owned(), string(item, keys::SK)?.to_owned());
    if !key.1.starts_with(keys::LIST) {
        let job = key.1.parse().ok();
        return Some(List { damaged: job.is_none(), leases: job.map(Listed::Job).into_iter().collect(), key });
    }
    let entry = |text: &str| {
        let mut parts = text.splitn(3, '#');
        let (job, epoch, incarnation) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        Some(Listed::Lease(Lease { worker: worker.clone(), job, incarnation: incarnation.into(), epoch }))
    };
    let entries: Vec<Option<Listed>> = string(item, HELD)?.split(' ').map(entry).collect();
    let damaged = entries.iter().any(Option::is_none);
    Some(List { key, leases: entries.into_iter().flatten().collect(), damaged })
}

impl DynamoJobs {
    /// Decides about the jobs that a worker's lists name. Lists of which nothing is held any more are deleted.
    pub(super) async fn go_through(&self, walk: &Walk<'_>) -> Result<Through, StoreError> {
        let mut through = Through::default();
        let mut after = None;
        loop {
            let range = Range::all(keys::leases(walk.worker));
            let (items, next) = self.query(&range, after, PAGE, walk.operation).await?;
            let lists: Vec<List> = items.iter().filter_map(|item| read_list(walk.worker, item)).collect();
            let jobs: BTreeSet<JobId> = lists.iter().flat_map(|list| &list.leases).map(Listed::job).collect();
            let found = self.visit(walk, jobs, &mut through).await?;
            let over = |listed: &Listed| match found.get(&listed.job()) {
                Some(Some(job)) => listed.is_over(walk.worker, job),
                Some(None) => true,
                None => false,
            };
            let mut spent = Vec::new();
            for mut list in lists {
                list.leases.retain(|listed| !over(listed));
                if list.damaged {
                    tracing::error!(list = list.key.1, "a list of leases can't be read: it stays until it is mended");
                } else if list.leases.is_empty() {
                    spent.push(list.key);
                    continue;
                }
                let leases = list.leases.into_iter().filter_map(|listed| match listed {
                    Listed::Lease(lease) => Some(lease),
                    Listed::Job(_) => None,
                });
                through.left.push((list.key, leases.collect()));
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
                    Settled::Missing => {
                        found.insert(id, None);
                    }
                    Settled::Stale => through.stale = true,
                    Settled::Unreadable | Settled::Passed => {}
                }
            }
        }
        Ok(found)
    }

    /// Reads a worker's lists if this process knows too little of them: they would grow in number otherwise.
    pub(super) async fn know_lists(&self, worker: &WorkerId, operation: &'static str) -> Result<(), StoreError> {
        if self.leases().must_read(&keys::leases(worker)) {
            let decide = |_: &Stored| None;
            let walk = Walk { worker, decide: &decide, terms: Terms::default(), limit: usize::MAX, operation };
            let through = self.go_through(&walk).await?;
            self.leases().read(&keys::leases(worker), through.left);
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
