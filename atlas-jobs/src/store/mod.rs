//! The trait that a host implements to keep jobs.

mod command;
mod enqueue;
mod exchange;
mod ext;
mod list;
mod outbox;
mod queues;
mod stats;
mod sweep;
mod wake;

pub use command::{CommandOutcome, CommandRequest, JobCommand};
pub use enqueue::{Enqueued, JobRef, UNREADABLE};
pub use exchange::{Ack, AckAction, AckOutcome, Claim, Exchange, Exchanged, Held, HeldOutcome};
pub use ext::JobStoreExt;
pub use list::{Filter, HistoryOptions, ListOptions, MAX_NESTING, MAX_PAGE, Order, Page};
pub use outbox::{Delivery, OutboxExchange, OutboxItem, Settlement};
pub use queues::{Pace, QueueChange, QueueState};
pub use stats::{Count, Scope, Statistics};
pub use sweep::{Purge, PurgeOptions, Purged, SweepOptions, Swept};
pub use wake::{Waker, Wakeups};

use crate::clock::Moment;
use crate::error::StoreError;
use crate::spec::NewJob;
use async_trait::async_trait;
use atlas_schema::{Actor, AuditEvent, JobRecord, Stage};
use std::fmt;

/// Durable storage for jobs, implemented by the host application.
///
/// Each method takes a set and answers item by item, so that one round trip and one commit serve many jobs. What a
/// single job does is decided by [`state::apply`](crate::state::apply); a store only makes it durable.
///
/// # Contract
///
/// - **Whole.** Record, version, audit event and outbox of one transition are written together or not at all. An item
///   is whole; a call is whole up to [`Capabilities::atomic_items`] items. A refused item never stops the others.
/// - **Exclusive.** A pending job is handed to one claim only, and to nobody while its lease lasts.
/// - **Fenced.** A claim raises the job's epoch, which never resets. A worker's word counts in its own epoch only;
///   otherwise the answer is `Lost` and nothing changes.
/// - **Terminal is terminal.** Only a redrive leaves an end, and the old outcome stays in the history.
/// - **Idempotent.** The same idempotency key (or job id) with the same body gives the job that is there; another body
///   gives a conflict that says what differs. A completion handed in twice is `Repeated`.
/// - **No clock decides safety.** A lease ends by silence, watched on a steady clock or judged by the store's own
///   clock: see [`SilenceWatch`](crate::SilenceWatch). `now` in the options is the caller's; a store with a clock of
///   its own ([`Capabilities::own_clock`]) uses that instead.
/// - **Own kinds only.** A claim gets jobs of the queues and kinds it names; others are left for others.
/// - **Listing is stable.** A job that is there for the whole of a listing is listed exactly once. A page may be short
///   or empty; only a missing cursor ends a list.
/// - **Complete statistics.** They count every job, at a cost that does not grow with the number of jobs.
/// - **Stages don't mix.** A record of another stage is refused with [`Kind::WrongStage`](crate::Kind::WrongStage).
/// - **Cancel safe.** Dropping a future may lose the reply, never leave half a write.
/// - **No retries inside.** Report the failure: the worker loop decides when to try again.
/// - **Bounded.** No call does unbounded work: limits above [`MAX_PAGE`] are refused as invalid input.
/// - **Readable.** What is accepted can be read back: payloads and results above the sizes of [`Capabilities`], or with
///   more than [`MAX_NESTING`] levels of arrays and objects, are refused.
/// - **Damage stays where it is.** What can't be read any more is reported in the log and passed over by exchanges, sweeps,
///   commands, purges and the outbox, which serve all others, also those behind more of it than a page holds. Only
///   [`Purge::Unreadable`] deletes it. A claim holds nothing of it, and a worker that has its lease is
///   told so ([`AckOutcome::Unreadable`]). Only who asks to read it, by name or by a list that it belongs in, gets
///   [`Kind::Corrupt`](crate::Kind::Corrupt), with [`StoreError::is_in_one_row`]. Damage of the file, the tables or the server
///   is not passed over: every call that meets it fails. No suite can damage a store that it does not know: this is the one
///   promise that `conformance` leaves to the store's own tests.
///
/// Clones and wrappers share one store and forward every method. The `conformance` feature checks all of this but that.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync + 'static {
    /// The stage whose jobs this store keeps.
    fn stage(&self) -> Stage;

    /// What this store can do.
    fn capabilities(&self) -> Capabilities;

    /// Adds jobs. One answer per job, in order. Within one call, too, the first of two jobs with one key wins.
    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Result<Vec<Enqueued>, StoreError>;

    /// A worker's one round trip: hands in outcomes, says what it still works on, takes new jobs.
    ///
    /// It keeps the worker's leases alive. Acknowledgements are applied before jobs are claimed. A worker has one
    /// exchange under way at a time and raises [`Exchange::beat`] each time; a beat that is not higher than the last
    /// is refused with [`Kind::Conflict`](crate::Kind::Conflict) and changes nothing.
    async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, StoreError>;

    /// Cancels, redrives, abandons or concludes jobs. One answer per request, in order.
    async fn command(
        &self,
        requests: Vec<CommandRequest>,
        actor: Actor,
        now: Moment,
    ) -> Result<Vec<CommandOutcome>, StoreError>;

    /// Reads jobs. One answer per reference, in order; `None` for those that are not there.
    async fn get(&self, references: Vec<JobRef>) -> Result<Vec<Option<JobRecord>>, StoreError>;

    /// One page of the jobs that match a filter, ordered by creation time and id.
    async fn list(&self, options: ListOptions) -> Result<Page<JobRecord>, StoreError>;

    /// One page of a job's audit trail, oldest first; empty if the job is not there.
    async fn history(&self, options: HistoryOptions) -> Result<Page<AuditEvent>, StoreError>;

    /// Hands in deliveries and takes entries of the outbox that are due. An entry is handed out again after the
    /// visibility time if nobody settles it.
    async fn outbox(&self, exchange: OutboxExchange) -> Result<Vec<OutboxItem>, StoreError>;

    /// Ends what nobody else ends: leases of silent workers, jobs past their deadline, unanswered cancels.
    async fn sweep(&self, options: SweepOptions) -> Result<Swept, StoreError>;

    /// Counts of the jobs in a scope.
    async fn statistics(&self, scope: Scope) -> Result<Statistics, StoreError>;

    /// Deletes ended jobs with their history, keys and settled outbox entries.
    async fn purge(&self, options: PurgeOptions) -> Result<Purged, StoreError>;

    /// Changes queues, then gives the state of every queue that was ever changed.
    async fn queues(&self, changes: Vec<QueueChange>, now: Moment) -> Result<Vec<QueueState>, StoreError>;

    /// Hints that there may be work. They may be lost or doubled: polling is the floor. Default: none.
    fn wakeups(&self) -> Option<Wakeups> {
        None
    }
}

/// What a store can do beyond the contract, and up to which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is an ability of its own, not a state")]
pub struct Capabilities {
    /// Jobs survive the end of the process.
    pub durable: bool,
    /// Several processes may use one store at a time.
    pub shared: bool,
    /// The store judges time by a clock of its own.
    pub own_clock: bool,
    /// So many items of one call are written as one.
    pub atomic_items: usize,
    /// The largest payload, in bytes of JSON.
    pub max_payload_bytes: usize,
    /// The largest result, in bytes of JSON.
    pub max_result_bytes: usize,
    /// Claims come strictly in their order, of jobs that were added by short transactions; otherwise nearly so, as where a queue is
    /// spread over shards or an index lags behind.
    pub strict_order: bool,
    /// Queues can be paused.
    pub queue_pause: bool,
    /// Queues can be limited to a number of running jobs, over all workers.
    pub queue_concurrency: bool,
    /// Queues can be limited to a number of claims per second, over all workers.
    pub queue_rate: bool,
}

impl Capabilities {
    /// A store that can do no more than the contract, with the sizes every store should take: payloads of 256 KiB,
    /// results of 4 MiB.
    pub const fn minimal() -> Self {
        Self {
            durable: false,
            shared: false,
            own_clock: false,
            atomic_items: 1,
            max_payload_bytes: 256 * 1024,
            max_result_bytes: 4 * 1024 * 1024,
            strict_order: false,
            queue_pause: false,
            queue_concurrency: false,
            queue_rate: false,
        }
    }
}
