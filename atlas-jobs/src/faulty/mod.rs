//! A store whose calls fail as calls over a network do: for tests of whatever uses a store.
//!
//! [`FaultyStore`] wraps any store and forwards every method. A [`FaultPlan`] says which calls fail, by chance from one
//! seed or by number, and how. What comes through stays true to the contract: a call that failed had no effect, or its
//! error says that either may hold. So whatever a worker, a manager or a program of the host's gets wrong over this
//! store, it would get wrong over a real one.

mod memory;
mod plan;

pub use plan::{Fault, FaultPlan, FaultRates, Operation};

use crate::clock::Moment;
use crate::error::StoreError;
use crate::random::Random;
use crate::spec::NewJob;
use crate::store::{
    Capabilities, CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, HistoryOptions, JobRef, JobStore,
    ListOptions, OutboxExchange, OutboxItem, Page, PurgeOptions, Purged, QueueChange, QueueState, Scope, Statistics,
    SweepOptions, Swept, Wakeups,
};
use async_trait::async_trait;
use atlas_schema::{Actor, AuditEvent, JobRecord, Stage};
use futures_util::future::BoxFuture;
use memory::Answers;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const BACKEND: &str = "faulty";

/// A fault that struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Struck {
    /// Which method.
    pub operation: Operation,
    /// Which call of it, from 1.
    pub call: u64,
    /// What went wrong.
    pub fault: Fault,
}

/// A store whose calls fail by plan. Clones share one plan, one seed and one count.
///
/// # Example: an acknowledgement is lost after its commit
/// ```
/// use atlas_jobs::faulty::{Fault, FaultPlan, FaultyStore, Operation};
/// use atlas_jobs::{JobManager, JobSpec, Kind, MemoryJobs};
/// use atlas_schema::{IdempotencyKey, JobKind, Stage};
/// use std::sync::Arc;
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let plan = FaultPlan::none().with_fault(Operation::Enqueue, 1, Fault::After(Kind::Unavailable));
/// let jobs = JobManager::new(Arc::new(FaultyStore::new(Arc::new(MemoryJobs::new(Stage::Dev)), plan, 7)))?;
/// let spec = JobSpec::new(JobKind::new("greet")?, &"Ann")?.with_idempotency_key(IdempotencyKey::new("ann")?);
///
/// assert!(jobs.enqueue(spec.clone()).await.is_err());
/// let again = jobs.enqueue(spec).await?;
/// assert!(matches!(again, atlas_jobs::Accepted::Existing(_)), "the first one had arrived");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn JobStore>,
    state: Arc<Mutex<State>>,
}

struct State {
    plan: FaultPlan,
    random: Random,
    calls: BTreeMap<Operation, u64>,
    struck: Vec<Struck>,
    late: Vec<Late>,
    answers: Answers,
}

/// A second delivery under way.
struct Late {
    after: u32,
    deliver: BoxFuture<'static, ()>,
}

impl FaultyStore {
    /// Over `inner`, failing by `plan`. One seed gives the same faults for the same calls.
    pub fn new(inner: Arc<dyn JobStore>, plan: FaultPlan, seed: u64) -> Self {
        let state = State {
            plan,
            random: Random::seeded(seed),
            calls: BTreeMap::new(),
            struck: Vec::new(),
            late: Vec::new(),
            answers: Answers::default(),
        };
        Self { inner, state: Arc::new(Mutex::new(state)) }
    }

    /// The store beneath, which does not fail.
    pub const fn inner(&self) -> &Arc<dyn JobStore> {
        &self.inner
    }

    /// Fails by another plan from the next call on. Counts go on, and second deliveries under way are still made.
    pub fn set_plan(&self, plan: FaultPlan) {
        self.lock().plan = plan;
    }

    /// How often `operation` was called.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.lock().calls.get(&operation).copied().unwrap_or(0)
    }

    /// Every fault that struck, in order.
    pub fn struck(&self) -> Vec<Struck> {
        self.lock().struck.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing of the host's runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn strike(&self, operation: Operation) -> Option<Fault> {
        let State { plan, random, calls, struck, .. } = &mut *self.lock();
        let call = calls.entry(operation).or_default();
        *call += 1;
        let fault = plan.strike(operation, *call, random);
        struck.extend(fault.map(|fault| Struck { operation, call: *call, fault }));
        fault
    }

    /// Makes the second deliveries that are due now that one more call was made.
    async fn deliver_late(&self) {
        let due: Vec<Late> = {
            let mut state = self.lock();
            for late in &mut state.late {
                late.after = late.after.saturating_sub(1);
            }
            let (due, waiting) = std::mem::take(&mut state.late).into_iter().partition(|late| late.after == 0);
            state.late = waiting;
            due
        };
        for late in due {
            late.deliver.await;
        }
    }

    /// One call with what goes wrong with it, apart from staleness, which is each operation's own.
    async fn pass<T, F>(&self, operation: Operation, fault: Option<Fault>, call: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(Arc<dyn JobStore>) -> BoxFuture<'static, Result<T, StoreError>> + Send + Sync,
    {
        let failed = |kind| Err(StoreError::new(kind, BACKEND, operation.as_str()));
        let inner = || Arc::clone(&self.inner);
        let answer = match fault {
            Some(Fault::Before(kind)) => return failed(kind),
            Some(Fault::After(kind)) => match call(inner()).await {
                Ok(_) => failed(kind),
                Err(error) => Err(error),
            },
            Some(Fault::Twice) => {
                let first = call(inner()).await;
                // The answer to the duplicate reaches nobody.
                drop(call(inner()).await);
                first
            }
            Some(Fault::Repeated) => {
                drop(call(inner()).await);
                call(inner()).await
            }
            Some(Fault::Late(after)) => {
                let first = call(inner()).await;
                let again = call(inner());
                let deliver = Box::pin(async move { drop(again.await) });
                self.lock().late.push(Late { after: after.saturating_add(1), deliver });
                first
            }
            Some(Fault::Delay(wait)) => {
                tokio::time::sleep(wait).await;
                call(inner()).await
            }
            Some(Fault::Lag(wait)) => {
                let answer = call(inner()).await;
                tokio::time::sleep(wait).await;
                answer
            }
            Some(Fault::Stale) | None => call(inner()).await,
        };
        self.deliver_late().await;
        answer
    }

    /// A read, which may be answered as it was before.
    async fn read<T, F>(&self, operation: Operation, question: impl fmt::Debug + Send, call: F) -> Result<T, StoreError>
    where
        T: Clone + Send + 'static,
        F: Fn(Arc<dyn JobStore>) -> BoxFuture<'static, Result<T, StoreError>> + Send + Sync,
    {
        let fault = self.strike(operation);
        let question = self.lock().plan.may_be_stale(operation).then(|| format!("{} {question:?}", operation.as_str()));
        if fault == Some(Fault::Stale)
            && let Some(earlier) = question.as_ref().and_then(|question| self.lock().answers.earlier(question))
        {
            return Ok(earlier);
        }
        let answer = self.pass(operation, fault, call).await?;
        if let Some(question) = question {
            self.lock().answers.note(question, answer.clone());
        }
        Ok(answer)
    }
}

impl fmt::Debug for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStore").field("inner", &self.inner).finish_non_exhaustive()
    }
}

#[async_trait]
impl JobStore for FaultyStore {
    fn stage(&self) -> Stage {
        self.inner.stage()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Result<Vec<Enqueued>, StoreError> {
        let fault = self.strike(Operation::Enqueue);
        self.pass(Operation::Enqueue, fault, move |store| {
            let jobs = jobs.clone();
            Box::pin(async move { store.enqueue(jobs, now).await })
        })
        .await
    }

    async fn exchange(&self, mut exchange: Exchange) -> Result<Exchanged, StoreError> {
        let fault = self.strike(Operation::Exchange);
        if fault == Some(Fault::Stale) {
            exchange.claim = None;
        }
        self.pass(Operation::Exchange, fault, move |store| {
            let exchange = exchange.clone();
            Box::pin(async move { store.exchange(exchange).await })
        })
        .await
    }

    async fn command(
        &self,
        requests: Vec<CommandRequest>,
        actor: Actor,
        now: Moment,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let fault = self.strike(Operation::Command);
        self.pass(Operation::Command, fault, move |store| {
            let (requests, actor) = (requests.clone(), actor.clone());
            Box::pin(async move { store.command(requests, actor, now).await })
        })
        .await
    }

    async fn get(&self, references: Vec<JobRef>) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.read(Operation::Get, references.clone(), move |store| {
            let references = references.clone();
            Box::pin(async move { store.get(references).await })
        })
        .await
    }

    async fn list(&self, options: ListOptions) -> Result<Page<JobRecord>, StoreError> {
        self.read(Operation::List, options.clone(), move |store| {
            let options = options.clone();
            Box::pin(async move { store.list(options).await })
        })
        .await
    }

    async fn history(&self, options: HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        self.read(Operation::History, options.clone(), move |store| {
            let options = options.clone();
            Box::pin(async move { store.history(options).await })
        })
        .await
    }

    async fn outbox(&self, mut exchange: OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
        let fault = self.strike(Operation::Outbox);
        if fault == Some(Fault::Stale) {
            exchange.limit = 0;
        }
        self.pass(Operation::Outbox, fault, move |store| {
            let exchange = exchange.clone();
            Box::pin(async move { store.outbox(exchange).await })
        })
        .await
    }

    async fn sweep(&self, options: SweepOptions) -> Result<Swept, StoreError> {
        let fault = self.strike(Operation::Sweep);
        if fault == Some(Fault::Stale) {
            return Ok(Swept::default());
        }
        self.pass(Operation::Sweep, fault, move |store| {
            let options = options.clone();
            Box::pin(async move { store.sweep(options).await })
        })
        .await
    }

    async fn statistics(&self, scope: Scope) -> Result<Statistics, StoreError> {
        self.read(Operation::Statistics, scope.clone(), move |store| {
            let scope = scope.clone();
            Box::pin(async move { store.statistics(scope).await })
        })
        .await
    }

    async fn purge(&self, options: PurgeOptions) -> Result<Purged, StoreError> {
        let fault = self.strike(Operation::Purge);
        self.pass(Operation::Purge, fault, move |store| {
            let options = options.clone();
            Box::pin(async move { store.purge(options).await })
        })
        .await
    }

    async fn queues(&self, changes: Vec<QueueChange>, now: Moment) -> Result<Vec<QueueState>, StoreError> {
        let fault = self.strike(Operation::Queues);
        self.pass(Operation::Queues, fault, move |store| {
            let changes = changes.clone();
            Box::pin(async move { store.queues(changes, now).await })
        })
        .await
    }

    fn wakeups(&self) -> Option<Wakeups> {
        self.inner.wakeups()
    }
}
