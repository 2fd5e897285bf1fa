//! Stores that break a promise on purpose: whatever is meant to catch a broken store is held against them.

use async_trait::async_trait;
use atlas_jobs::store::{
    Claim, CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, HistoryOptions, JobRef, ListOptions,
    OutboxExchange, OutboxItem, Page, PurgeOptions, Purged, QueueChange, QueueState, Scope, Statistics, SweepOptions,
    Swept, Wakeups,
};
use atlas_jobs::{Capabilities, JobStore, JobStoreExt, MemoryJobs, Moment, NewJob, StoreError, conformance};
use atlas_schema::{Actor, AuditEvent, JobRecord, JobStatus, Stage, WorkerId};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// A worker's word counts in any epoch: the predicate on the epoch is gone.
    StaleEpochs,
    /// A claim gets what the claim of another worker got just before: two transactions that read the same rows, without
    /// `SKIP LOCKED` and without a check of what they changed.
    SharedClaims,
}

/// A store with one promise less.
#[derive(Debug)]
pub(crate) struct Mutant {
    inner: Arc<dyn JobStore>,
    broken: Broken,
    last: Mutex<Option<(WorkerId, Vec<JobRecord>)>>,
}

type Answer<T> = Result<T, StoreError>;

impl Mutant {
    pub(crate) fn new(inner: Arc<dyn JobStore>, broken: Broken) -> Self {
        Self { inner, broken, last: Mutex::new(None) }
    }

    /// The epoch in which a late word would count.
    async fn present(&self, job: atlas_schema::JobId, epoch: u64) -> Answer<u64> {
        let record = self.inner.get_one(JobRef::Id(job)).await?;
        let running = record.filter(|record| record.status == JobStatus::Processing);
        Ok(running.map_or(epoch, |record| record.epoch))
    }

    /// Adds to an answer what another worker claimed last, if there was room for it.
    fn share(&self, worker: &WorkerId, wanted: &Claim, claimed: &mut Vec<JobRecord>) {
        let mut last = self.last.lock().unwrap();
        let own = claimed.clone();
        if let Some((other, jobs)) = &*last
            && other != worker
        {
            let left = wanted.limit.saturating_sub(claimed.len());
            claimed.extend(jobs.iter().filter(|job| wanted.queues.contains(&job.queue)).take(left).cloned());
        }
        if !own.is_empty() {
            *last = Some((worker.clone(), own));
        }
    }
}

#[async_trait]
impl JobStore for Mutant {
    fn stage(&self) -> Stage {
        self.inner.stage()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Answer<Vec<Enqueued>> {
        self.inner.enqueue(jobs, now).await
    }
    async fn exchange(&self, mut exchange: Exchange) -> Answer<Exchanged> {
        if self.broken == Broken::StaleEpochs {
            for ack in &mut exchange.acks {
                ack.epoch = self.present(ack.job, ack.epoch).await?;
            }
            for held in &mut exchange.held {
                held.epoch = self.present(held.job, held.epoch).await?;
            }
            return self.inner.exchange(exchange).await;
        }
        let worker = exchange.worker.clone();
        let wanted = exchange.claim.clone();
        let mut exchanged = self.inner.exchange(exchange).await?;
        if let Some(wanted) = wanted {
            self.share(&worker, &wanted, &mut exchanged.claimed);
        }
        Ok(exchanged)
    }
    async fn command(&self, requests: Vec<CommandRequest>, actor: Actor, now: Moment) -> Answer<Vec<CommandOutcome>> {
        self.inner.command(requests, actor, now).await
    }
    async fn get(&self, references: Vec<JobRef>) -> Answer<Vec<Option<JobRecord>>> {
        self.inner.get(references).await
    }
    async fn list(&self, options: ListOptions) -> Answer<Page<JobRecord>> {
        self.inner.list(options).await
    }
    async fn history(&self, options: HistoryOptions) -> Answer<Page<AuditEvent>> {
        self.inner.history(options).await
    }
    async fn outbox(&self, exchange: OutboxExchange) -> Answer<Vec<OutboxItem>> {
        self.inner.outbox(exchange).await
    }
    async fn sweep(&self, options: SweepOptions) -> Answer<Swept> {
        self.inner.sweep(options).await
    }
    async fn statistics(&self, scope: Scope) -> Answer<Statistics> {
        self.inner.statistics(scope).await
    }
    async fn purge(&self, options: PurgeOptions) -> Answer<Purged> {
        self.inner.purge(options).await
    }
    async fn queues(&self, changes: Vec<QueueChange>, now: Moment) -> Answer<Vec<QueueState>> {
        self.inner.queues(changes, now).await
    }
    fn wakeups(&self) -> Option<Wakeups> {
        self.inner.wakeups()
    }
}

/// Whether a check of the exported suite refuses a store.
fn refuses<F: Future<Output = ()>>(check: impl Fn(Arc<dyn JobStore>) -> F, broken: Broken) -> bool {
    let mutant = Mutant::new(Arc::new(MemoryJobs::new(Stage::Dev)), broken);
    catch_unwind(AssertUnwindSafe(|| conformance::block_on(check(Arc::new(mutant))))).is_err()
}

#[test]
fn the_suite_catches_a_store_that_does_not_check_epochs() {
    assert!(refuses(conformance::claims::a_late_worker_is_lost, Broken::StaleEpochs));
    assert!(refuses(conformance::leases::a_silent_worker_loses_its_leases, Broken::StaleEpochs));
}

#[test]
fn the_suite_catches_a_store_that_hands_a_job_to_two_workers() {
    assert!(refuses(conformance::claims::claim_is_exclusive, Broken::SharedClaims));
}
