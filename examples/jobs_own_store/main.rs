//! A host's own store: a `HashMap` behind a `Mutex`, written with the public API only, that passes the exported suite.
//!
//! What a command does to a job is not the store's to decide: it loads a record, asks `state::apply`, and keeps record,
//! event and outbox together or not at all. Here the lock makes a call whole; in a database a transaction would.
//! `cargo test --example jobs_own_store` runs the suite, `cargo run --example jobs_own_store` a few jobs.

mod rows;

use async_trait::async_trait;
use atlas_jobs::state::{Command, Reject};
use atlas_jobs::store::{
    CommandOutcome, CommandRequest, Count, Delivery, Enqueued, Exchange, Exchanged, HistoryOptions, JobCommand, JobRef,
    ListOptions, MAX_PAGE, Order, OutboxExchange, OutboxItem, Page, Purge, PurgeOptions, Purged, QueueChange,
    QueueState, Scope, Statistics, SweepOptions, Swept,
};
use atlas_jobs::{
    Capabilities, Cursor, HandlerError, JobManager, JobSpec, JobStore, Kind, Moment, NewJob, StoreError, Worker,
    handler_fn,
};
use atlas_schema::{Actor, AuditEvent, JobId, JobKind, JobRecord, JobStatus, Stage};
use rows::{Inner, Waiting, bounded, unfit};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A store of one stage.
#[derive(Debug)]
struct MapStore {
    stage: Stage,
    inner: Mutex<Inner>,
}

type Answer<T> = Result<T, StoreError>;

const fn error(kind: Kind, operation: &'static str) -> StoreError {
    StoreError::new(kind, "map", operation)
}

impl MapStore {
    fn new(stage: Stage) -> Self {
        Self { stage, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl JobStore for MapStore {
    fn stage(&self) -> Stage {
        self.stage
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::minimal();
        can.atomic_items = MAX_PAGE;
        can.strict_order = true;
        can
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Answer<Vec<Enqueued>> {
        if jobs.iter().any(|job| job.record().stage != self.stage) {
            return Err(error(Kind::WrongStage, "enqueue"));
        }
        let (can, mut inner) = (self.capabilities(), self.lock());
        Ok(jobs.into_iter().map(|job| inner.enqueue(job, can, now.wall)).collect())
    }

    async fn exchange(&self, exchange: Exchange) -> Answer<Exchanged> {
        let Exchange { worker, beat, lease, now, acks, held, reconcile, claim, .. } = exchange;
        bounded(claim.as_ref().map_or(0, |claim| claim.limit), 0, "exchange")?;
        if lease < Duration::from_millis(1) {
            return Err(error(Kind::InvalidInput, "exchange"));
        }
        let (most, now) = (self.capabilities().max_result_bytes, now.wall);
        let mut inner = self.lock();
        if inner.beats.get(&worker).is_some_and(|(last, _)| *last >= beat) {
            return Err(error(Kind::Conflict, "exchange"));
        }
        inner.beats.insert(worker.clone(), (beat, lease));
        let actor = Actor::Worker { id: worker.clone() };
        let reported = acks.iter().map(|ack| (ack.job, ack.epoch));
        let known: HashSet<(JobId, u64)> = reported.chain(held.iter().map(|held| (held.job, held.epoch))).collect();
        let mut exchanged = Exchanged::default();
        exchanged.acks = acks.into_iter().map(|ack| inner.acknowledge(ack, most, now, actor.clone())).collect();
        exchanged.held = held.into_iter().map(|held| inner.hold(held)).collect();
        if reconcile {
            let ours = |job: &JobRecord| job.lease.as_ref().is_some_and(|lease| lease.worker == worker);
            for id in inner.ids(|job| ours(job) && !known.contains(&(job.id, job.epoch)), |job| job.id) {
                let epoch = inner.jobs.get(&id).map_or(0, |row| row.record.epoch);
                let release = Command::Release { epoch, delay: Duration::ZERO };
                exchanged.reconciled +=
                    usize::from(matches!(inner.apply(id, release, now, actor.clone()), Some(Ok(_))));
            }
        }
        if let Some(wanted) = claim {
            exchanged.claimed = inner.claim(&wanted, &worker, lease, now);
        }
        Ok(exchanged)
    }

    async fn command(&self, requests: Vec<CommandRequest>, actor: Actor, now: Moment) -> Answer<Vec<CommandOutcome>> {
        let (most, mut inner) = (self.capabilities().max_result_bytes, self.lock());
        let one = |CommandRequest { job, if_version, command }| {
            let Some(row) = inner.jobs.get(&job) else { return CommandOutcome::NotFound };
            let current = row.record.version;
            if if_version.is_some_and(|version| version != current) {
                return CommandOutcome::Rejected(Reject::VersionConflict { current });
            }
            if let JobCommand::Conclude { result } = &command
                && let Some(reject) = unfit(result, "the result", most)
            {
                return CommandOutcome::Rejected(reject);
            }
            match inner.apply(job, command.into(), now.wall, actor.clone()) {
                Some(Ok((status, version))) => CommandOutcome::Applied { status, version },
                Some(Err(reject)) => CommandOutcome::Rejected(reject),
                None => CommandOutcome::NotFound,
            }
        };
        Ok(requests.into_iter().map(one).collect())
    }

    async fn get(&self, references: Vec<JobRef>) -> Answer<Vec<Option<JobRecord>>> {
        bounded(references.len(), 0, "get")?;
        let inner = self.lock();
        Ok(references.iter().map(|reference| inner.find(reference).cloned()).collect())
    }

    async fn list(&self, options: ListOptions) -> Answer<Page<JobRecord>> {
        let limit = bounded(options.limit, 1, "list")?;
        let foreign = |source| error(Kind::InvalidInput, "list").with_source(source);
        let after = options.cursor.as_ref().map(|cursor| cursor.job(&options)).transpose().map_err(foreign)?;
        let inner = self.lock();
        let mut ids = inner.ids(|job| options.filter.matches(job), |job| (job.created_at, job.id));
        if options.order == Order::NewestFirst {
            ids.reverse();
        }
        let beyond = |job: &JobRecord| match (after, options.order) {
            (None, _) => true,
            (Some(after), Order::OldestFirst) => (job.created_at, job.id) > after,
            (Some(after), Order::NewestFirst) => (job.created_at, job.id) < after,
        };
        let rows = ids.iter().filter_map(|id| inner.jobs.get(id)).filter(|row| beyond(&row.record));
        let mut items: Vec<JobRecord> = rows.take(limit + 1).map(|row| row.record.clone()).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| Cursor::after_job(&options, last.created_at, last.id));
        Ok(Page { items, next })
    }

    async fn history(&self, options: HistoryOptions) -> Answer<Page<AuditEvent>> {
        let limit = bounded(options.limit, 1, "history")?;
        let foreign = |source| error(Kind::InvalidInput, "history").with_source(source);
        let after = options.cursor.as_ref().map(|cursor| cursor.version(options.job)).transpose().map_err(foreign)?;
        let inner = self.lock();
        let events = inner.jobs.get(&options.job).map_or(&[][..], |row| &row.events);
        let left: Vec<_> = events.iter().filter(|event| after.is_none_or(|after| event.version > after)).collect();
        let items: Vec<AuditEvent> = left.iter().take(limit).map(|event| (*event).clone()).collect();
        let more = left.len() > items.len();
        let next = items.last().filter(|_| more).map(|last| Cursor::after_version(options.job, last.version));
        Ok(Page { items, next })
    }

    async fn outbox(&self, exchange: OutboxExchange) -> Answer<Vec<OutboxItem>> {
        let (limit, now, mut inner) = (bounded(exchange.limit, 0, "outbox")?, exchange.now.wall, self.lock());
        for settlement in exchange.settlements {
            match inner.outbox.get_mut(&settlement.key) {
                // The word of a deliverer that was too slow does not count.
                Some(waiting) if waiting.tries == settlement.tries => match settlement.delivery {
                    Delivery::Again(wait) => waiting.visible_at = now.saturating_add(wait),
                    Delivery::Done => drop(inner.outbox.remove(&settlement.key)),
                },
                _ => {}
            }
        }
        let due = |waiting: &&mut Waiting| {
            waiting.visible_at <= now && exchange.topics.contains(&waiting.entry.topic.as_str())
        };
        let take = |waiting: &mut Waiting| {
            waiting.tries += 1;
            waiting.visible_at = now.saturating_add(exchange.visibility);
            OutboxItem::new(waiting.entry.clone(), waiting.tries)
        };
        Ok(inner.outbox.values_mut().filter(due).take(limit).map(take).collect())
    }

    async fn sweep(&self, options: SweepOptions) -> Answer<Swept> {
        bounded(options.limit, 1, "sweep")?;
        Ok(self.lock().sweep(&options))
    }

    async fn statistics(&self, scope: Scope) -> Answer<Statistics> {
        let inner = self.lock();
        let covered = |job: &&JobRecord| {
            scope.covers(&job.tenant, &job.queue, &job.kind) && scope.parent.is_none_or(|id| job.parent == Some(id))
        };
        let records = || inner.jobs.values().map(|row| &row.record).filter(covered);
        let count = |job: &JobRecord| Count {
            queue: job.queue.clone(),
            kind: job.kind.clone(),
            status: job.status,
            jobs: 1,
            processing: Count::processing_of(job),
        };
        let pending = records().filter(|job| job.status == JobStatus::Pending && scope.parent.is_none());
        Ok(Statistics::new(records().map(count).collect(), pending.map(|job| job.run_at).min()))
    }

    async fn purge(&self, options: PurgeOptions) -> Answer<Purged> {
        let (limit, mut inner) = (bounded(options.limit, 1, "purge")?, self.lock());
        let ids = match options.what {
            Purge::Ended { status, before } => inner.ids(
                |job| job.status == status && job.finished_at.is_some_and(|at| at < before),
                |job| (job.finished_at, job.id),
            ),
            Purge::Jobs(ids) => {
                bounded(ids.len(), 0, "purge")?;
                ids
            }
            Purge::Unreadable(ids) => {
                bounded(ids.len(), 0, "purge")?;
                // What is in memory can be read.
                Vec::new()
            }
        };
        let runs = |id: &JobId| inner.jobs.get(id).is_some_and(|row| row.record.status == JobStatus::Processing);
        let gone: Vec<JobId> = ids.iter().take(limit).filter(|id| !runs(id)).copied().collect();
        let jobs = gone.iter().filter(|id| inner.jobs.remove(id).is_some()).count();
        Ok(Purged { jobs, more: ids.len() > limit })
    }

    async fn queues(&self, changes: Vec<QueueChange>, _: Moment) -> Answer<Vec<QueueState>> {
        // Its capabilities say so: it can't pause queues.
        if changes.is_empty() { Ok(Vec::new()) } else { Err(error(Kind::Unsupported, "queues")) }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Arc::new(MapStore::new(Stage::Dev));
    let jobs = JobManager::new(store.clone())?;
    let square = JobKind::new("square")?;
    let specs: Result<Vec<_>, _> = (1..=5).map(|n| JobSpec::new(square.clone(), &n)).collect();
    jobs.enqueue_many(specs?).await?;
    let handler = handler_fn(|_, n: u64| async move { Ok::<_, HandlerError>(n * n) });
    let worker = Worker::builder(store).handler(square, Arc::new(handler)).stop_when_drained(true).build()?;
    let report = worker.run(CancellationToken::new()).await?;
    assert_eq!(report.completed, 5);
    let results = jobs.list(ListOptions::default().with_order(Order::OldestFirst)).await?.items;
    let sum: u64 = results.iter().filter_map(|job| job.result.as_ref()?.as_u64()).sum();
    assert_eq!(sum, 55);
    println!("5 jobs in a store of the host's own; their results add up to {sum}");
    Ok(())
}

#[cfg(test)]
mod suite {
    use super::{Arc, JobStore, MapStore, Stage};

    pub(crate) async fn fresh() -> Arc<dyn JobStore> {
        Arc::new(MapStore::new(Stage::Dev))
    }

    atlas_jobs::job_store_conformance!(crate::suite::fresh; base, claims, ordering, leases, listing, outbox);
}
