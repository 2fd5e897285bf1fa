//! A ledger with the fault that the tests of this folder must find: it looks whether there is room, and adds after that.

use async_trait::async_trait;
use atlas_router::ledger::{
    Balance, BudgetLedger, GroupBy, Hold, HoldId, Kind, LedgerError, Line, Month, Reserve, Reserved, Scope,
};
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Callers that have looked and wait for those of other processes: their number, and the folder in which each process says that
/// its own have.
#[derive(Debug)]
pub(super) struct Meeting {
    pub(super) callers: u64,
    pub(super) processes: usize,
    pub(super) folder: PathBuf,
    pub(super) name: String,
}

/// Over a ledger without limits of its own.
#[derive(Debug)]
pub(super) struct Careless {
    inner: Arc<dyn BudgetLedger>,
    limits: Mutex<BTreeMap<Scope, Option<Usd>>>,
    meeting: Option<Meeting>,
    looked: AtomicU64,
}

impl Careless {
    pub(super) fn new(inner: Arc<dyn BudgetLedger>, meeting: Option<Meeting>) -> Self {
        Self { inner, limits: Mutex::default(), meeting, looked: AtomicU64::new(0) }
    }

    /// Between looking and adding.
    async fn pause(&self) {
        let looked = self.looked.fetch_add(1, Ordering::SeqCst) + 1;
        let Some(Meeting { callers, processes, folder, name }) = &self.meeting else {
            return tokio::task::yield_now().await;
        };
        if looked == *callers {
            std::fs::write(folder.join(name), "").unwrap();
        }
        // The first time each waits until all have looked.
        let mut rounds = 0;
        while looked <= *callers && std::fs::read_dir(folder).unwrap().count() < *processes {
            // Some minutes: the other process must have failed.
            assert!(rounds < 100_000, "the other process does not come");
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[async_trait]
impl BudgetLedger for Careless {
    fn stage(&self) -> Stage {
        self.inner.stage()
    }

    async fn limit(&self, limits: Vec<(Scope, Option<Usd>)>) -> Result<(), LedgerError> {
        self.limits.lock().unwrap().extend(limits);
        Ok(())
    }

    async fn reserve(&self, request: Reserve, now: Timestamp) -> Result<Reserved, LedgerError> {
        for scope in &request.scopes {
            let limit = self.limits.lock().unwrap().get(scope).copied().flatten();
            let used = self.inner.balance(scope, Month::of(now)).await?.used();
            if limit.is_some_and(|limit| used.saturating_add(request.amount) > limit) {
                return Err(LedgerError::new(Kind::Exceeded, "careless", "reserve"));
            }
        }
        self.pause().await;
        self.inner.reserve(request, now).await
    }

    async fn send(&self, hold: HoldId, now: Timestamp) -> Result<(), LedgerError> {
        self.inner.send(hold, now).await
    }

    async fn settle(&self, hold: HoldId, cost: Usd, now: Timestamp) -> Result<Vec<Alert>, LedgerError> {
        self.inner.settle(hold, cost, now).await
    }

    async fn release(&self, hold: HoldId, now: Timestamp) -> Result<(), LedgerError> {
        self.inner.release(hold, now).await
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
