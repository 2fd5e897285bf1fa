//! Budgets that hold: reserve before a call, settle after it, never more than the limit in between.
//!
//! A reservation is a *hold* of a call's upper bound in each of its scopes (stage, tenant, job and so on) for the month, in
//! UTC, of the reservation. It is taken in one atomic step, or refused; so no number of callers or processes can reserve more
//! than a limit. A hold is marked *sent* before its request leaves. From then on the money may be gone: an expired hold that
//! was not sent is refunded, an expired hold that was sent stays counted until someone [settles](BudgetLedger::settle) it with
//! what the provider says. What happens to a hold is decided in [`Hold`]'s own rules, the same for every ledger; ledgers only
//! store.

#[cfg(feature = "dynamodb")]
mod dynamodb;
mod error;
#[cfg(any(feature = "postgres", feature = "dynamodb"))]
mod group;
mod hold;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod report;
mod rules;
mod scope;
#[cfg(any(feature = "postgres", feature = "dynamodb"))]
mod sheet;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "dynamodb"))]
mod stored;

#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoLedger;
pub use error::{Exceeded, Kind, LedgerError};
pub use hold::{Hold, HoldId, HoldState, Reserve};
pub use memory::MemoryLedger;
#[cfg(feature = "postgres")]
pub use postgres::PostgresLedger;
pub use scope::{Balance, Month, Scope};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteLedger;

use async_trait::async_trait;
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use std::fmt;

/// The shares of a limit, in percent, at whose passing an alert is raised: once each per scope and month, and again to a call
/// that is repeated, since its first answer may have been lost. Repetitions have the same [`Alert::key`].
pub const ALERT_PERCENT: [u8; 2] = [80, 95];

/// Most entries that one call lists, refunds or forgets.
pub const MAX_BATCH: usize = 1000;

/// Most calls of one process that wait for a ledger outside of it at the same time: further reservations are refused as
/// [`Kind::Unavailable`]. Twice as many may wait of what sends, settles, gives back and reads.
pub const MAX_WAITING: usize = 4096;

/// Where reservations are kept, implemented by this crate's backends or by the host.
///
/// # Contract
///
/// - **Hard.** In no scope with a limit do holds and settled costs together ever pass it by a reservation, whatever the number
///   of callers, processes and crashes. Only a settlement over its hold can, and is counted in full. A scope without a limit ends
///   where the range of money does; what is settled beyond that stays at its end.
/// - **Whole.** A call takes effect in all scopes or in none; after a retryable failure either may hold, and repeating the
///   call is safe: the same hold is not taken twice, the same settlement not counted twice.
/// - **Time is given.** `now` comes with the call. A clock that is wrong can refund an unsent hold early, and then
///   [`send`](Self::send) refuses it; it can't let anything be spent that was not reserved. What is reserved counts in the month that
///   the clock of its caller says, whoever settles it: processes whose clocks are a month apart spend of two months, and of each no
///   more than its limit.
/// - **No retries inside.**
///
/// Clones share one ledger. The `conformance` feature checks these.
#[async_trait]
pub trait BudgetLedger: fmt::Debug + Send + Sync + 'static {
    /// The stage whose money this is.
    fn stage(&self) -> Stage;

    /// Sets the limit per month of each scope, from now on and for the present month; `None` takes it away. A limit under what is
    /// already used takes nothing back and lets nothing more in.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] for a negative limit, [`Kind::WrongStage`] for another stage's scope: none is set then.
    async fn limit(&self, limits: Vec<(Scope, Option<Usd>)>) -> Result<(), LedgerError>;

    /// Takes a hold in all its scopes, or in none. Expired unsent holds in its way are refunded first. The same request again
    /// gives the same hold, and again the alerts of thresholds that its scopes still pass.
    ///
    /// # Errors
    /// [`Kind::Exceeded`] with the first scope that has no room; [`Kind::Conflict`] if another request took that id, whatever of it is
    /// different.
    async fn reserve(&self, request: Reserve, now: Timestamp) -> Result<Reserved, LedgerError>;

    /// Marks a hold as sent: call this before the request leaves, and do not send it if this fails. Again is no change.
    ///
    /// # Errors
    /// [`Kind::NotHeld`] if it was refunded, released or settled.
    async fn send(&self, hold: HoldId, now: Timestamp) -> Result<(), LedgerError>;

    /// Puts the cost in the place of the hold, whatever state that is in: a cost that comes late is still a cost. The same cost
    /// again is no change, and tells alerts as a repeated reservation does.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if it was settled with another cost.
    async fn settle(&self, hold: HoldId, cost: Usd, now: Timestamp) -> Result<Vec<Alert>, LedgerError>;

    /// Gives back a hold whose request never left. Again is no change.
    ///
    /// # Errors
    /// [`Kind::NotHeld`] if it was sent: then only a settlement ends it.
    async fn release(&self, hold: HoldId, now: Timestamp) -> Result<(), LedgerError>;

    /// Refunds at most `limit` expired holds that were not sent, and tells how many.
    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, LedgerError>;

    /// At most `limit` holds that were sent and have expired without a settlement, oldest first: ask the provider, then settle
    /// each.
    async fn unreconciled(&self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError>;

    /// The hold of that id.
    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, LedgerError>;

    /// What a scope has used in a month.
    async fn balance(&self, scope: &Scope, month: Month) -> Result<Balance, LedgerError>;

    /// What calls of a month cost, added up by what `by` names, by name, as far as their holds are still there.
    ///
    /// **After a [`purge`](Self::purge) of that month it is short, and does not say so.** A [`balance`](Self::balance) stays whole.
    async fn report(&self, month: Month, by: GroupBy) -> Result<Vec<Line>, LedgerError>;

    /// Forgets at most `limit` holds of a month that is over, of those that were settled or given back, and tells how many: nobody else
    /// deletes them, so call it for each month that is old enough, again and again until it forgets none.
    ///
    /// Limits and balances stay, to the nano-dollar. A [`report`](Self::report) of that month tells only of what is left from then on,
    /// without a word of the rest: **take it, and keep it, before the first purge of its month**. And a hold that was forgotten is one that never was, for whoever asks, settles or reserves again. Open holds stay for
    /// as long as they are open.
    ///
    /// # Errors
    /// [`Kind::InvalidInput`] unless the month ended two days before `now` or earlier: until then callers may still repeat themselves.
    async fn purge(&self, month: Month, now: Timestamp, limit: usize) -> Result<usize, LedgerError>;
}

/// A hold was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserved {
    /// It.
    pub hold: Hold,
    /// Thresholds that it passed, for the first time in its month, or that were passed before a repetition: hand them to whoever
    /// watches, who knows them again by their keys.
    pub alerts: Vec<Alert>,
}

/// What a report adds up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupBy {
    /// The request that caused the calls.
    CorrelationId,
    /// The model.
    Model,
    /// The strategy that called.
    Strategy,
    /// The day, in UTC, of the reservation.
    Day,
}

/// A line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// The name that it adds up for; empty for calls that have none.
    pub name: String,
    /// Calls that were settled.
    pub calls: u64,
    /// What they cost.
    pub settled: Usd,
    /// What is held and not settled.
    pub held: Usd,
}
