//! A ledger that fails and waits as a test says.

use async_trait::async_trait;
use atlas_router::ledger::{
    Balance, BudgetLedger, GroupBy, Hold, HoldId, Kind, LedgerError, Line, MemoryLedger, Month, Reserve, Reserved,
    Scope,
};
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens to a call of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is done.
    Done,
    /// It fails and is not done.
    Lost,
    /// It fails, can be repeated, and is known to be not done.
    Refused,
    /// It is done and its answer is lost.
    Late,
    /// It is done after that time.
    Slow(Duration),
    /// It never answers, and is not done.
    Never,
}

/// Which call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Reserve,
    Send,
    Settle,
    Release,
}

#[derive(Debug, Clone)]
pub(super) struct Fated {
    pub(super) inner: MemoryLedger,
    fates: Arc<Mutex<VecDeque<(Op, Fate)>>>,
    pub(super) settlements: Arc<Mutex<Vec<(HoldId, Usd)>>>,
    /// How often something was given back, or was to be.
    pub(super) releases: Arc<AtomicU32>,
}

impl Fated {
    /// For each kind of call its fates in turn; then all are done.
    pub(super) fn new(fates: impl IntoIterator<Item = (Op, Fate)>) -> Self {
        let fates = Arc::new(Mutex::new(fates.into_iter().collect()));
        Self { inner: MemoryLedger::new(Stage::Dev), fates, settlements: Arc::default(), releases: Arc::default() }
    }

    async fn meet<T: Send>(
        &self,
        op: Op,
        done: impl Future<Output = Result<T, LedgerError>> + Send,
    ) -> Result<T, LedgerError> {
        let fate = {
            let mut fates = self.fates.lock().unwrap();
            let at = fates.iter().position(|(one, _)| *one == op);
            at.and_then(|at| fates.remove(at)).map_or(Fate::Done, |(_, fate)| fate)
        };
        let lost = || LedgerError::new(Kind::Unavailable, "fated", "call");
        match fate {
            Fate::Done => done.await,
            Fate::Lost => Err(lost()),
            Fate::Refused => Err(lost().without_effect()),
            Fate::Late => {
                done.await?;
                Err(lost())
            }
            Fate::Slow(time) => {
                tokio::time::sleep(time).await;
                done.await
            }
            Fate::Never => std::future::pending().await,
        }
    }
}

#[async_trait]
impl BudgetLedger for Fated {
    fn stage(&self) -> Stage {
        self.inner.stage()
    }

    async fn limit(&self, limits: Vec<(Scope, Option<Usd>)>) -> Result<(), LedgerError> {
        self.inner.limit(limits).await
    }

    async fn reserve(&self, request: Reserve, now: Timestamp) -> Result<Reserved, LedgerError> {
        self.meet(Op::Reserve, self.inner.reserve(request, now)).await
    }

    async fn send(&self, hold: HoldId, now: Timestamp) -> Result<(), LedgerError> {
        self.meet(Op::Send, self.inner.send(hold, now)).await
    }

    async fn settle(&self, hold: HoldId, cost: Usd, now: Timestamp) -> Result<Vec<Alert>, LedgerError> {
        self.meet(Op::Settle, async {
            self.settlements.lock().unwrap().push((hold, cost));
            self.inner.settle(hold, cost, now).await
        })
        .await
    }

    async fn release(&self, hold: HoldId, now: Timestamp) -> Result<(), LedgerError> {
        self.releases.fetch_add(1, Ordering::Relaxed);
        self.meet(Op::Release, self.inner.release(hold, now)).await
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        self.inner.sweep(now, limit).await
    }

    async fn unreconciled(&self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        self.inner.unreconciled(now, limit).await
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        self.inner.hold(id).await
    }

    async fn balance(&self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        self.inner.balance(scope, month).await
    }

    async fn report(&self, month: Month, by: GroupBy) -> Result<Vec<Line>, LedgerError> {
        self.inner.report(month, by).await
    }

    async fn purge(&self, month: Month, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        self.inner.purge(month, now, limit).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_check_of_a_ledger_sweeps_is_held_by_no_other_of_a_shared_one() {
    use atlas_router::conformance::{
        a_settlement_puts_the_cost_in_the_place_of_the_hold, expired_holds_are_refunded_unless_they_were_sent,
    };
    let slow = Fated::new([(Op::Send, Fate::Slow(Duration::from_secs(1)))]);
    let shared = Arc::new(slow.inner.clone());
    // The first stands between its reservation and its sending while the second runs from beginning to end.
    tokio::join!(
        a_settlement_puts_the_cost_in_the_place_of_the_hold(Arc::new(slow)),
        expired_holds_are_refunded_unless_they_were_sent(shared),
    );
}
