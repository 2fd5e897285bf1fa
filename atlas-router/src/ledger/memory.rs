//! The reference ledger: in memory, for one process and for tests.

use super::error::LedgerError;
use super::hold::{Hold, HoldId, HoldState, Reserve};
use super::report;
use super::rules::{self, Rows};
use super::scope::{Balance, Month, Scope};
use super::{BudgetLedger, GroupBy, Line, MAX_BATCH, Reserved};
use async_trait::async_trait;
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A ledger in memory. Clones share it.
#[derive(Debug, Clone)]
pub struct MemoryLedger {
    stage: Stage,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    holds: HashMap<HoldId, Hold>,
    /// Open holds by the time they expire: unsent ones and sent ones.
    unsent: BTreeSet<(Timestamp, HoldId)>,
    sent: BTreeSet<(Timestamp, HoldId)>,
    /// Holds that are no longer open.
    ended: BTreeSet<(Month, HoldId)>,
    limits: HashMap<Scope, Usd>,
    balances: HashMap<(Scope, Month), Balance>,
}

impl MemoryLedger {
    /// An empty ledger of that stage.
    pub fn new(stage: Stage) -> Self {
        Self { stage, inner: Arc::default() }
    }

    /// A panic while it is held leaves rows that were written one by one: each of them whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows for Inner {
    fn backend(&self) -> &'static str {
        "memory"
    }

    fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        Ok(self.holds.get(&id).cloned())
    }

    fn put_hold(&mut self, hold: &Hold) -> Result<(), LedgerError> {
        let place = (hold.expires_at, hold.id);
        self.unsent.remove(&place);
        self.sent.remove(&place);
        match hold.state {
            HoldState::Held => self.unsent.insert(place),
            HoldState::Sent => self.sent.insert(place),
            HoldState::Settled | HoldState::Released => self.ended.insert((hold.month, hold.id)),
        };
        self.holds.insert(hold.id, hold.clone());
        Ok(())
    }

    fn balance(&mut self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        let mut balance = self.balances.get(&(scope.clone(), month)).copied().unwrap_or_default();
        balance.limit = self.limits.get(scope).copied();
        Ok(balance)
    }

    fn put_balance(&mut self, scope: &Scope, month: Month, balance: &Balance) -> Result<(), LedgerError> {
        self.balances.insert((scope.clone(), month), *balance);
        Ok(())
    }

    fn expired(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        let due = self.unsent.iter().take_while(|(at, _)| *at <= now).take(limit);
        Ok(due.filter_map(|(_, id)| self.holds.get(id).cloned()).collect())
    }
}

#[async_trait]
impl BudgetLedger for MemoryLedger {
    fn stage(&self) -> Stage {
        self.stage
    }

    async fn limit(&self, limits: Vec<(Scope, Option<Usd>)>) -> Result<(), LedgerError> {
        rules::check_limits(self.stage, &limits, "memory")?;
        let mut inner = self.lock();
        for (scope, limit) in limits {
            match limit {
                Some(limit) => inner.limits.insert(scope, limit),
                None => inner.limits.remove(&scope),
            };
        }
        Ok(())
    }

    async fn reserve(&self, request: Reserve, now: Timestamp) -> Result<Reserved, LedgerError> {
        rules::reserve(&mut *self.lock(), self.stage, request, now)
    }

    async fn send(&self, hold: HoldId, _: Timestamp) -> Result<(), LedgerError> {
        rules::send(&mut *self.lock(), hold)
    }

    async fn settle(&self, hold: HoldId, cost: Usd, now: Timestamp) -> Result<Vec<Alert>, LedgerError> {
        rules::settle(&mut *self.lock(), self.stage, hold, cost, now)
    }

    async fn release(&self, hold: HoldId, _: Timestamp) -> Result<(), LedgerError> {
        rules::release(&mut *self.lock(), hold)
    }

    async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        rules::sweep(&mut *self.lock(), now, limit)
    }

    async fn unreconciled(&self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        let inner = self.lock();
        let due = inner.sent.iter().take_while(|(at, _)| *at <= now).take(limit.min(MAX_BATCH));
        Ok(due.filter_map(|(_, id)| inner.holds.get(id).cloned()).collect())
    }

    async fn hold(&self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        self.lock().hold(id)
    }

    async fn balance(&self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        self.lock().balance(scope, month)
    }

    async fn report(&self, month: Month, by: GroupBy) -> Result<Vec<Line>, LedgerError> {
        let inner = self.lock();
        Ok(report::add_up(inner.holds.values().filter(|hold| hold.month == month), by))
    }

    async fn purge(&self, month: Month, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        rules::check_purge(month, now, "memory")?;
        let mut inner = self.lock();
        let places = (month, HoldId::from_bytes([0; 16]))..=(month, HoldId::from_bytes([0xff; 16]));
        let ended: Vec<_> = inner.ended.range(places).take(limit.min(MAX_BATCH)).copied().collect();
        for place in &ended {
            inner.ended.remove(place);
            inner.holds.remove(&place.1);
        }
        Ok(ended.len())
    }
}
