//! What happens to holds and balances: the same for every ledger that can read and write rows in one transaction.

use super::error::{Exceeded, Kind, LedgerError};
use super::hold::{Hold, HoldId, HoldState, Reserve};
use super::scope::{Balance, Month, Scope};
use super::{ALERT_PERCENT, MAX_BATCH, Reserved};
use atlas_schema::{Alert, AlertKind, CorrelationId, Severity, Stage, Timestamp, Usd};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most scopes of one hold.
pub(super) const MAX_SCOPES: usize = 8;

/// Rows of a ledger within one transaction.
pub(super) trait Rows {
    /// For messages.
    fn backend(&self) -> &'static str;

    fn hold(&mut self, id: HoldId) -> Result<Option<Hold>, LedgerError>;
    fn put_hold(&mut self, hold: &Hold) -> Result<(), LedgerError>;
    /// All zero for a scope that was never used.
    fn balance(&mut self, scope: &Scope, month: Month) -> Result<Balance, LedgerError>;
    /// All but the limit.
    fn put_balance(&mut self, scope: &Scope, month: Month, balance: &Balance) -> Result<(), LedgerError>;
    /// Holds that are not sent and expire at `now` or before, oldest first.
    fn expired(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Hold>, LedgerError>;
}

fn refuse<R: Rows>(rows: &R, kind: Kind, operation: &'static str) -> LedgerError {
    LedgerError::new(kind, rows.backend(), operation)
}

/// Refuses a request that no ledger takes: the kind, and why.
pub(super) fn check(stage: Stage, request: &Reserve) -> Result<(), (Kind, &'static str)> {
    let distinct: BTreeSet<&Scope> = request.scopes.iter().collect();
    if request.scopes.is_empty() || request.scopes.len() > MAX_SCOPES || distinct.len() != request.scopes.len() {
        return Err((Kind::InvalidInput, "name 1 to 8 scopes, each once"));
    }
    if request.scopes.iter().any(|scope| matches!(scope, Scope::Stage(other) if *other != stage)) {
        return Err((Kind::WrongStage, "a scope names another stage"));
    }
    if request.amount < Usd::ZERO {
        return Err((Kind::InvalidInput, "an amount must not be negative"));
    }
    if !(Duration::from_secs(1)..=Duration::from_hours(24)).contains(&request.expires_in) {
        return Err((Kind::InvalidInput, "a hold must expire after 1 second to 1 day"));
    }
    Ok(())
}

pub(super) fn reserve<R: Rows>(
    rows: &mut R,
    stage: Stage,
    request: Reserve,
    now: Timestamp,
) -> Result<Reserved, LedgerError> {
    const OPERATION: &str = "reserve";
    check(stage, &request).map_err(|(kind, why)| refuse(rows, kind, OPERATION).with_source(why))?;
    if let Some(hold) = rows.hold(request.id)? {
        return if is_of(&hold, &request) {
            Ok(Reserved { hold, alerts: Vec::new() })
        } else {
            Err(refuse(rows, Kind::Conflict, OPERATION))
        };
    }
    let month = Month::of(now);
    let mut balances = balances(rows, &request.scopes, month)?;
    if no_room(&balances, request.amount).is_some() {
        // Money of callers that died before they sent anything may be in the way.
        while sweep(rows, now, MAX_BATCH)? > 0 {}
        balances = self::balances(rows, &request.scopes, month)?;
        if let Some(exceeded) = no_room(&balances, request.amount) {
            return Err(LedgerError::of_exceeded(exceeded, rows.backend()));
        }
    }
    let hold = Hold {
        id: request.id,
        month,
        scopes: request.scopes,
        amount: request.amount,
        state: HoldState::Held,
        cost: Usd::ZERO,
        created_at: now,
        expires_at: now.saturating_add(request.expires_in),
        model: request.model,
        strategy: request.strategy,
        correlation_id: request.correlation_id,
    };
    let mut alerts = Vec::new();
    for (scope, balance) in &mut balances {
        balance.held = balance.held.saturating_add(hold.amount);
        alerts.extend(alert(scope, month, balance, stage, now, hold.correlation_id.as_ref()));
        rows.put_balance(scope, month, balance)?;
    }
    rows.put_hold(&hold)?;
    Ok(Reserved { hold, alerts })
}

fn balances<R: Rows>(rows: &mut R, scopes: &[Scope], month: Month) -> Result<Vec<(Scope, Balance)>, LedgerError> {
    scopes.iter().map(|scope| Ok((scope.clone(), rows.balance(scope, month)?))).collect()
}

/// The first scope in which the amount has no room.
fn no_room(balances: &[(Scope, Balance)], amount: Usd) -> Option<Exceeded> {
    balances.iter().find_map(|(scope, balance)| {
        let (limit, used) = (balance.limit?, balance.used());
        // Past the range of money nothing has room.
        let fits = used.checked_add(amount).is_some_and(|sum| sum <= limit);
        (!fits).then(|| Exceeded { scope: scope.clone(), limit, used, asked: amount })
    })
}

/// Whether a hold came of that request: then the request is a repetition.
fn is_of(hold: &Hold, request: &Reserve) -> bool {
    hold.scopes == request.scopes && hold.amount == request.amount && hold.model == request.model
}

pub(super) fn send<R: Rows>(rows: &mut R, id: HoldId) -> Result<(), LedgerError> {
    const OPERATION: &str = "send";
    let mut hold = rows.hold(id)?.ok_or_else(|| refuse(rows, Kind::NotFound, OPERATION))?;
    match hold.state {
        HoldState::Sent => Ok(()),
        HoldState::Held => {
            hold.state = HoldState::Sent;
            rows.put_hold(&hold)
        }
        HoldState::Settled | HoldState::Released => Err(refuse(rows, Kind::NotHeld, OPERATION)),
    }
}

pub(super) fn settle<R: Rows>(
    rows: &mut R,
    stage: Stage,
    id: HoldId,
    cost: Usd,
    now: Timestamp,
) -> Result<Vec<Alert>, LedgerError> {
    const OPERATION: &str = "settle";
    if cost < Usd::ZERO {
        return Err(refuse(rows, Kind::InvalidInput, OPERATION).with_source("a cost must not be negative"));
    }
    let mut hold = rows.hold(id)?.ok_or_else(|| refuse(rows, Kind::NotFound, OPERATION))?;
    if hold.state == HoldState::Settled {
        return if hold.cost == cost { Ok(Vec::new()) } else { Err(refuse(rows, Kind::Conflict, OPERATION)) };
    }
    let held = if hold.state.is_open() { hold.amount } else { Usd::ZERO };
    let mut alerts = Vec::new();
    for scope in &hold.scopes {
        let mut balance = rows.balance(scope, hold.month)?;
        balance.held = less(balance.held, held);
        balance.settled = balance.settled.saturating_add(cost);
        alerts.extend(alert(scope, hold.month, &mut balance, stage, now, hold.correlation_id.as_ref()));
        rows.put_balance(scope, hold.month, &balance)?;
    }
    (hold.state, hold.cost) = (HoldState::Settled, cost);
    rows.put_hold(&hold)?;
    Ok(alerts)
}

pub(super) fn release<R: Rows>(rows: &mut R, id: HoldId) -> Result<(), LedgerError> {
    const OPERATION: &str = "release";
    let hold = rows.hold(id)?.ok_or_else(|| refuse(rows, Kind::NotFound, OPERATION))?;
    match hold.state {
        HoldState::Released => Ok(()),
        HoldState::Held => refund(rows, hold),
        HoldState::Sent | HoldState::Settled => Err(refuse(rows, Kind::NotHeld, OPERATION)),
    }
}

pub(super) fn sweep<R: Rows>(rows: &mut R, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
    let expired = rows.expired(now, limit.min(MAX_BATCH))?;
    let count = expired.len();
    expired.into_iter().try_for_each(|hold| refund(rows, hold))?;
    Ok(count)
}

/// Refunds one hold if it has expired and was not sent, and tells whether it did: for ledgers that look for such holds first
/// and lock them after.
#[cfg(any(feature = "postgres", feature = "dynamodb"))]
pub(super) fn expire<R: Rows>(rows: &mut R, id: HoldId, now: Timestamp) -> Result<bool, LedgerError> {
    match rows.hold(id)? {
        Some(hold) if hold.state == HoldState::Held && hold.expires_at <= now => refund(rows, hold).map(|()| true),
        _ => Ok(false),
    }
}

fn refund<R: Rows>(rows: &mut R, mut hold: Hold) -> Result<(), LedgerError> {
    for scope in &hold.scopes {
        let mut balance = rows.balance(scope, hold.month)?;
        balance.held = less(balance.held, hold.amount);
        rows.put_balance(scope, hold.month, &balance)?;
    }
    hold.state = HoldState::Released;
    rows.put_hold(&hold)
}

/// What is held never falls under zero.
fn less(held: Usd, by: Usd) -> Usd {
    held.checked_sub(by).unwrap_or(Usd::ZERO).max(Usd::ZERO)
}

/// The alert of a threshold that was passed just now, and the mark that it was raised.
fn alert(
    scope: &Scope,
    month: Month,
    balance: &mut Balance,
    stage: Stage,
    now: Timestamp,
    correlation_id: Option<&CorrelationId>,
) -> Vec<Alert> {
    let Some(limit) = balance.limit.filter(|limit| *limit > Usd::ZERO) else { return Vec::new() };
    let used = balance.used();
    let passed = |percent: &u8| {
        let share = i128::from(limit.as_nanos()) * i128::from(*percent);
        *percent > balance.alerted && i128::from(used.as_nanos()) * 100 >= share
    };
    let passed: Vec<u8> = ALERT_PERCENT.into_iter().filter(passed).collect();
    let Some(highest) = passed.last() else { return Vec::new() };
    balance.alerted = *highest;
    let raised = passed.into_iter().map(|percent| Alert {
        key: format!("budget/{scope}/{month}/{percent}"),
        severity: if percent >= 95 { Severity::Critical } else { Severity::Warning },
        kind: AlertKind::Budget { percent, used, limit },
        stage,
        at: now,
        message: format!(
            "{scope} has used ${used} of ${limit} in {month}: raise the limit, or look at what is spending it"
        ),
        correlation_id: correlation_id.cloned(),
    });
    raised.collect()
}
