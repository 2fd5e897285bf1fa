//! The reference store: everything in one map behind one lock.
//!
//! It keeps nothing when the process ends, and is as exact as the durable stores while it lasts: tests of hosts may
//! use it in their place. [`kept`] has the rows and their indexes; what a call means is in the kernel.

mod kept;
mod rows;

use crate::clock::Moment;
use crate::cursor::Cursor;
use crate::error::{Kind, StoreError};
use crate::kernel::{self, Rows, check_limit};
use crate::lease::SilenceWatch;
use crate::spec::NewJob;
use crate::store::{
    Capabilities, CommandOutcome, CommandRequest, Count, Enqueued, Exchange, Exchanged, HistoryOptions, JobRef,
    JobStore, ListOptions, Order, OutboxExchange, OutboxItem, Page, PurgeOptions, Purged, QueueChange, QueueState,
    Scope, Statistics, SweepOptions, Swept, Waker, Wakeups,
};
use async_trait::async_trait;
use atlas_schema::{Actor, AuditEvent, JobRecord, Stage};
use kept::MemoryRows;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) const BACKEND: &str = "memory";

/// A store in memory. Clones share one set of jobs.
#[derive(Clone)]
pub struct MemoryJobs {
    stage: Stage,
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    waker: Waker,
}

struct Inner {
    rows: MemoryRows,
    watch: SilenceWatch,
}

impl MemoryJobs {
    /// An empty store for one stage.
    pub fn new(stage: Stage) -> Self {
        let inner = Mutex::new(Inner { rows: MemoryRows::new(stage), watch: SilenceWatch::new() });
        Self { stage, shared: Arc::new(Shared { inner, waker: Waker::new() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No code of ours panics under the lock; if it did, the rows would still be whole.
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryJobs").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[async_trait]
impl JobStore for MemoryJobs {
    fn stage(&self) -> Stage {
        self.stage
    }

    fn capabilities(&self) -> Capabilities {
        self.lock().rows.capabilities()
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Result<Vec<Enqueued>, StoreError> {
        let enqueued = kernel::enqueue(&mut self.lock().rows, jobs, now.wall)?;
        self.shared.waker.wake();
        Ok(enqueued)
    }

    async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        let gives_back = exchange.gives_back();
        let exchanged = kernel::exchange(&mut self.lock().rows, exchange)?;
        if gives_back {
            self.shared.waker.wake();
        }
        Ok(exchanged)
    }

    async fn command(
        &self,
        requests: Vec<CommandRequest>,
        actor: Actor,
        now: Moment,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let outcomes = kernel::command(&mut self.lock().rows, requests, &actor, now.wall)?;
        self.shared.waker.wake();
        Ok(outcomes)
    }

    async fn get(&self, references: Vec<JobRef>) -> Result<Vec<Option<JobRecord>>, StoreError> {
        check_limit(references.len(), 0, BACKEND, "get")?;
        let mut inner = self.lock();
        references
            .iter()
            .map(|reference| {
                let id = inner.rows.find(reference)?;
                Ok(id.and_then(|id| inner.rows.full(id)))
            })
            .collect()
    }

    async fn list(&self, options: ListOptions) -> Result<Page<JobRecord>, StoreError> {
        check_limit(options.limit, 1, BACKEND, "list")?;
        let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, "list").with_source(source);
        let after = options.cursor.as_ref().map(|cursor| cursor.job(&options)).transpose().map_err(foreign)?;
        let inner = self.lock();
        let keys: Box<dyn Iterator<Item = _>> = match (options.order, after) {
            (Order::OldestFirst, None) => Box::new(inner.rows.by_time().iter()),
            (Order::NewestFirst, None) => Box::new(inner.rows.by_time().iter().rev()),
            (Order::OldestFirst, Some(after)) => {
                Box::new(inner.rows.by_time().range((Bound::Excluded(after), Bound::Unbounded)))
            }
            (Order::NewestFirst, Some(after)) => Box::new(inner.rows.by_time().range(..after).rev()),
        };
        let mut items = Vec::new();
        for (_, id) in keys {
            let matches = inner.rows.bare(*id).is_some_and(|record| options.filter.matches(record));
            if !matches {
                continue;
            }
            if items.len() == options.limit {
                let next = items.last().map(|last: &JobRecord| Cursor::after_job(&options, last.created_at, last.id));
                return Ok(Page { items, next });
            }
            items.extend(inner.rows.full(*id));
        }
        Ok(Page { items, next: None })
    }

    async fn history(&self, options: HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        check_limit(options.limit, 1, BACKEND, "history")?;
        let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, "history").with_source(source);
        let after = options.cursor.as_ref().map(|cursor| cursor.version(options.job)).transpose().map_err(foreign)?;
        let inner = self.lock();
        let events = inner.rows.events(options.job);
        let from = events.partition_point(|event| after.is_some_and(|after| event.version <= after));
        let items: Vec<_> = events[from..].iter().take(options.limit).cloned().collect();
        let more = events.len() - from > items.len();
        let next = items.last().filter(|_| more).map(|last| Cursor::after_version(options.job, last.version));
        Ok(Page { items, next })
    }

    async fn outbox(&self, exchange: OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
        kernel::outbox(&mut self.lock().rows, &exchange)
    }

    async fn sweep(&self, options: SweepOptions) -> Result<Swept, StoreError> {
        let swept = {
            let Inner { rows, watch } = &mut *self.lock();
            kernel::sweep(rows, watch, &options)?
        };
        if swept.expired > 0 {
            self.shared.waker.wake();
        }
        Ok(swept)
    }

    async fn statistics(&self, scope: Scope) -> Result<Statistics, StoreError> {
        let inner = self.lock();
        if scope.parent.is_some() {
            let counts = inner.rows.children(&scope).map(|record| Count {
                queue: record.queue.clone(),
                kind: record.kind.clone(),
                status: record.status,
                jobs: 1,
                processing: Count::processing_of(record),
            });
            return Ok(Statistics::new(counts.collect(), None));
        }
        Ok(Statistics::new(inner.rows.counts(&scope), inner.rows.oldest_pending(&scope)))
    }

    async fn purge(&self, options: PurgeOptions) -> Result<Purged, StoreError> {
        kernel::purge(&mut self.lock().rows, &options)
    }

    async fn queues(&self, changes: Vec<QueueChange>, _now: Moment) -> Result<Vec<QueueState>, StoreError> {
        let states = kernel::queues(&mut self.lock().rows, &changes)?;
        self.shared.waker.wake();
        Ok(states)
    }

    fn wakeups(&self) -> Option<Wakeups> {
        Some(self.shared.waker.subscribe())
    }
}
