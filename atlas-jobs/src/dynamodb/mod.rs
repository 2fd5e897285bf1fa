//! The store on Amazon `DynamoDB`: one table, two sparse indexes, no clock and no client of its own.
//!
//! # The table
//!
//! | Item | Key | Holds |
//! |---|---|---|
//! | job | `J#id` / `M` | the record with version and epoch, small payloads and results, the latest events |
//! | event | `J#id` / `E#incarnation#version` | a transition that has no more room in the job's item |
//! | payload, result | `J#id` / `payload#…`, `result#…` | what is too large for the job's item |
//! | names | `I#tenant#key`, `X#tenant#id` | the job that holds a key, for as long as the job is there |
//! | lists | `L#n`, `T#tenant#n`, `C#parent#n` / time and id | where a job stands in a list |
//! | leases | `W#worker` / `L#…` | the jobs that one request of a worker claimed, with their epochs |
//! | beats | `B#n` / worker | a worker's last sign of life |
//! | queues | `Q#n` / queue, `N#queue` | pause, limits, pace; the running jobs of a limited queue |
//! | counts | `K#n` / queue, kind, tenant, lane | statistics |
//! | outbox | `O#key` | what must follow |
//! | litter | `G#n` | what a purge has still to clear away |
//!
//! Index `atlas-1` holds ready jobs by their order of claims, ended jobs by their end, and waiting outbox entries by
//! their time; `atlas-2` holds unfinished jobs by what is due next. Both project keys only, and an item stands in one
//! while it matters there. No partition of an index is a mere status or queue: each is spread over shards.
//!
//! # What holds, and why
//!
//! - A transition is one transaction: the job on condition of its version, with its event; its outbox, the list of what
//!   is claimed, the counters. Everything that must be right is read from the table itself, consistently. The indexes may lag: what
//!   they give is a hint that the transaction's condition judges. A stale hint costs a refused write, never a double claim.
//! - Lists are items of the table, not an index, so that a job is listed exactly once however far an index lags.
//! - No job is leased without standing on a list of its worker, from which a sweep or a worker that lost a reply finds it. A
//!   list is deleted only after everything on it was seen to be over, and may as well stay: see `leases.rs`.
//! - An acknowledgement is decided about the job as its claim left it, unread: the condition on its version judges that.
//! - A claim carries the condition that the worker's beat still stands, so that nothing of an older exchange lands
//!   after a newer one has begun, however late the network delivers it.
//! - Silence is watched on this process's steady clock: see [`SilenceWatch`].
//! - The client's own retries may stay on: writes are conditional, transactions carry a request token, and the few
//!   single writes know themselves again.
//!
//! The plain life of a job writes its item twice, and next to nothing beside it: a claim of many jobs and their completion are
//! some eight requests in all.
//!
//! Statistics are sums of items that change while they are read: each count is one that was true during the call.

mod body;
mod change;
mod claim;
mod discard;
mod enqueue;
mod error;
mod events;
mod exchange;
mod item;
mod keys;
mod lanes;
mod leases;
mod list;
mod lists;
mod options;
mod outbox;
mod picks;
mod purge;
mod queues;
mod read;
mod stats;
mod sweep;
mod table;
mod transition;
mod write;

pub use options::DynamoOptions;
pub use table::create_table;

use crate::clock::Moment;
use crate::error::{Kind, StoreError};
use crate::lease::SilenceWatch;
use crate::random::Random;
use crate::spec::NewJob;
use crate::store::{
    Capabilities, CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, HistoryOptions, JobRef, JobStore,
    ListOptions, OutboxExchange, OutboxItem, Page, PurgeOptions, Purged, QueueChange, QueueState, Scope, Statistics,
    SweepOptions, Swept, Waker, Wakeups,
};
use async_trait::async_trait;
use atlas_schema::{Actor, AuditEvent, JobRecord, Stage};
use aws_sdk_dynamodb::Client;
use error::BACKEND;
use item::Shards;
use lanes::Lanes;
use leases::Leases;
use object_store::ObjectStore;
use picks::Picks;
use std::fmt;
use std::sync::{Arc, Mutex};

/// Jobs in a table of `DynamoDB`. Clones share one client.
#[derive(Clone)]
pub struct DynamoJobs {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    options: DynamoOptions,
    shards: Shards,
    lanes: Lanes,
    leases: Leases,
    picks: Picks,
    random: Random,
    watch: Mutex<SilenceWatch>,
    waker: Waker,
}

impl fmt::Debug for DynamoJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoJobs")
            .field("table", &self.inner.options.table)
            .field("stage", &self.inner.options.stage)
            .finish_non_exhaustive()
    }
}

impl DynamoJobs {
    /// Opens a table that [`create_table`] or a deployment has made, and pins its shards if it is new.
    ///
    /// The client brings region, credentials, timeouts and retries; standard retries are safe. It needs the rights to
    /// `GetItem`, `BatchGetItem`, `Query`, `PutItem`, `UpdateItem`, `DeleteItem`, `BatchWriteItem` and
    /// `ConditionCheckItem` on the table, and to `Query` its indexes.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no such table, [`Kind::WrongStage`], [`Kind::NewerVersion`],
    /// [`Kind::Corrupt`] for what is no table of this crate, [`Kind::PermissionDenied`], [`Kind::InvalidInput`] for an
    /// impossible option, [`Kind::Busy`] and [`Kind::Unavailable`]. Nothing is changed then.
    pub async fn open(client: Client, options: DynamoOptions) -> Result<Self, StoreError> {
        options.check()?;
        let random =
            Random::from_os().map_err(|error| StoreError::new(Kind::Internal, BACKEND, "open").with_source(error))?;
        let shards = table::prepare(&client, &options).await?;
        let lanes = Lanes::new(shards.lanes, random.u64());
        let inner = Inner {
            client,
            options,
            shards,
            lanes,
            leases: Leases::default(),
            picks: Picks::default(),
            random,
            watch: Mutex::new(SilenceWatch::new()),
            waker: Waker::new(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    fn client(&self) -> &Client {
        &self.inner.client
    }

    fn table(&self) -> &str {
        &self.inner.options.table
    }

    fn artifacts(&self) -> Option<&Arc<dyn ObjectStore>> {
        self.inner.options.artifacts.as_ref()
    }

    fn artifact_prefix(&self) -> &str {
        &self.inner.options.artifact_prefix
    }

    fn in_flight(&self) -> usize {
        self.inner.options.in_flight
    }

    fn shards(&self) -> Shards {
        self.inner.shards
    }

    fn lanes(&self) -> &Lanes {
        &self.inner.lanes
    }

    fn leases(&self) -> &Leases {
        &self.inner.leases
    }

    fn picks(&self) -> &Picks {
        &self.inner.picks
    }

    fn random(&self) -> &Random {
        &self.inner.random
    }
}

#[async_trait]
impl JobStore for DynamoJobs {
    fn stage(&self) -> Stage {
        self.inner.options.stage
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::minimal();
        can.durable = true;
        can.shared = true;
        (can.max_payload_bytes, can.max_result_bytes) = body::largest(self.artifacts());
        can.queue_pause = true;
        can.queue_concurrency = true;
        can.queue_rate = true;
        can.strict_order = self.shards().ready == 1;
        can
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Result<Vec<Enqueued>, StoreError> {
        let enqueued = self.add(jobs, now.wall).await?;
        self.inner.waker.wake();
        Ok(enqueued)
    }

    async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        self.trade(exchange).await
    }

    async fn command(
        &self,
        requests: Vec<CommandRequest>,
        actor: Actor,
        now: Moment,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let outcomes = self.order(requests, &actor, now.wall).await?;
        self.inner.waker.wake();
        Ok(outcomes)
    }

    async fn get(&self, references: Vec<JobRef>) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.read(&references).await
    }

    async fn list(&self, options: ListOptions) -> Result<Page<JobRecord>, StoreError> {
        self.page(&options).await
    }

    async fn history(&self, options: HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        self.trail(&options).await
    }

    async fn outbox(&self, exchange: OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
        self.deliver(&exchange).await
    }

    async fn sweep(&self, options: SweepOptions) -> Result<Swept, StoreError> {
        let swept = self.clean(&options).await?;
        if swept.expired > 0 {
            self.inner.waker.wake();
        }
        Ok(swept)
    }

    async fn statistics(&self, scope: Scope) -> Result<Statistics, StoreError> {
        self.tally(&scope).await
    }

    async fn purge(&self, options: PurgeOptions) -> Result<Purged, StoreError> {
        self.remove(&options).await
    }

    async fn queues(&self, changes: Vec<QueueChange>, _now: Moment) -> Result<Vec<QueueState>, StoreError> {
        let states = self.control(&changes).await?;
        self.inner.waker.wake();
        Ok(states)
    }

    fn wakeups(&self) -> Option<Wakeups> {
        Some(self.inner.waker.subscribe())
    }
}
