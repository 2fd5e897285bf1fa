//! Rows of a database, copied out for a group of calls, changed by the rules and copied back.
//!
//! A database that is asked over a network can't be read row by row from within the rules. So what a group of calls needs is known
//! beforehand: the holds that they name, then the balances of their scopes. A row that was not copied out is a fault, never an
//! empty row: an unknown limit must not read as none.

use super::error::{Kind, LedgerError};
use super::hold::{Hold, HoldId, HoldState, Reserve};
use super::rules::{self, Rows};
use super::scope::{Balance, Month, Scope};
use super::{MAX_BATCH, Reserved};
use atlas_schema::{Alert, Stage, Timestamp, Usd};
use std::collections::{BTreeMap, BTreeSet};

/// What a ledger is asked to do.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Reserve(Reserve, Timestamp),
    Send(HoldId),
    Settle(HoldId, Usd, Timestamp),
    Release(HoldId),
    /// Refund it if it has expired and was not sent.
    Expire(HoldId, Timestamp),
}

/// What it answers.
#[derive(Debug)]
pub(super) enum Answer {
    Reserved(Reserved),
    Settled(Vec<Alert>),
    Done,
    /// Whether it was refunded.
    Expired(bool),
}

impl Call {
    /// The hold that it is about.
    pub(super) const fn hold(&self) -> HoldId {
        match self {
            Self::Reserve(request, _) => request.id,
            Self::Send(id) | Self::Settle(id, ..) | Self::Release(id) | Self::Expire(id, _) => *id,
        }
    }

    pub(super) const fn operation(&self) -> &'static str {
        match self {
            Self::Reserve(..) => "reserve",
            Self::Send(_) => "send",
            Self::Settle(..) => "settle",
            Self::Release(_) => "release",
            Self::Expire(..) => "sweep",
        }
    }

    /// The balances that it may read or change, given its hold if there is one.
    pub(super) fn balances(&self, stage: Stage, hold: Option<&Hold>) -> Vec<Place> {
        let (scopes, month) = match (self, hold) {
            (Self::Send(_), _) => return Vec::new(),
            (_, Some(hold)) => (&hold.scopes, hold.month),
            // What is malformed is refused and reads nothing.
            (Self::Reserve(request, now), None) if rules::check(stage, request).is_ok() => {
                (&request.scopes, Month::of(*now))
            }
            _ => return Vec::new(),
        };
        scopes.iter().map(|scope| (scope.to_string(), month)).collect()
    }
}

/// Where a balance is kept: the scope's key and the month. Their order is that in which rows are locked.
pub(super) type Place = (String, Month);

/// Rows that were copied out, and what has changed of them.
#[derive(Debug)]
pub(super) struct Sheet {
    backend: &'static str,
    holds: BTreeMap<HoldId, Hold>,
    balances: BTreeMap<Place, Balance>,
    /// The holds that changed, with the state in which they were copied out.
    changed_holds: BTreeMap<HoldId, Option<HoldState>>,
    changed_balances: BTreeSet<Place>,
}

impl Sheet {
    /// The holds that calls are about, as far as there are such.
    pub(super) fn new(backend: &'static str, holds: impl IntoIterator<Item = Hold>) -> Self {
        Self {
            backend,
            holds: holds.into_iter().map(|hold| (hold.id, hold)).collect(),
            balances: BTreeMap::new(),
            changed_holds: BTreeMap::new(),
            changed_balances: BTreeSet::new(),
        }
    }

    /// The balances that a call needs.
    pub(super) fn needs(&self, call: &Call, stage: Stage) -> Vec<Place> {
        call.balances(stage, self.holds.get(&call.hold()))
    }

    pub(super) fn add_balance(&mut self, place: Place, balance: Balance) {
        self.balances.insert(place, balance);
    }

    /// Decides a call on the sheet. What is refused changes nothing.
    pub(super) fn decide(&mut self, stage: Stage, call: &Call) -> Result<Answer, LedgerError> {
        match call {
            Call::Reserve(request, now) => rules::reserve(self, stage, request.clone(), *now).map(Answer::Reserved),
            Call::Send(id) => rules::send(self, *id).map(|()| Answer::Done),
            Call::Settle(id, cost, now) => rules::settle(self, stage, *id, *cost, *now).map(Answer::Settled),
            Call::Release(id) => rules::release(self, *id).map(|()| Answer::Done),
            Call::Expire(id, now) => rules::expire(self, *id, *now).map(Answer::Expired),
        }
    }

    /// The holds to write, each with the state that it had; `None` if it is new.
    pub(super) fn changed_holds(&self) -> impl Iterator<Item = (&Hold, Option<HoldState>)> {
        self.changed_holds.iter().filter_map(|(id, before)| Some((self.holds.get(id)?, *before)))
    }

    /// The balances to write, in order.
    pub(super) fn changed_balances(&self) -> impl Iterator<Item = (&Place, &Balance)> {
        self.changed_balances.iter().filter_map(|place| self.balances.get_key_value(place))
    }

    pub(super) fn is_unchanged(&self) -> bool {
        self.changed_holds.is_empty() && self.changed_balances.is_empty()
    }
}

impl Rows for Sheet {
    fn backend(&self) -> &'static str {
        self.backend
    }

    fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, LedgerError> {
        Ok(self.holds.get(&id).cloned())
    }

    fn put_hold(&mut self, hold: &Hold) -> Result<(), LedgerError> {
        let before = self.holds.insert(hold.id, hold.clone()).map(|before| before.state);
        self.changed_holds.entry(hold.id).or_insert(before);
        Ok(())
    }

    fn balance(&mut self, scope: &Scope, month: Month) -> Result<Balance, LedgerError> {
        let missing = || {
            LedgerError::new(Kind::Internal, self.backend, "decide").with_source("a balance was not read beforehand")
        };
        self.balances.get(&(scope.to_string(), month)).copied().ok_or_else(missing)
    }

    fn put_balance(&mut self, scope: &Scope, month: Month, balance: &Balance) -> Result<(), LedgerError> {
        let place = (scope.to_string(), month);
        self.changed_balances.insert(place.clone());
        self.balances.insert(place, *balance);
        Ok(())
    }

    /// None: those who keep a sheet refund what is in the way in calls of their own, and then ask again.
    fn expired(&mut self, _: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError> {
        debug_assert!(limit <= MAX_BATCH);
        Ok(Vec::new())
    }
}
