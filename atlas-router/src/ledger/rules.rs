//! What happens to holds and balances: the same for every ledger that can read and write rows in one transaction.

use super::error::{Exceeded, Kind, LedgerError};
use super::hold::{Hold, HoldId, HoldState, Reserve};
use super::scope::{Balance, Month, Scope};
use super::{ALERT_PERCENT, MAX_BATCH, Reserved};
use atlas_schema::{Alert, AlertKind, Severity, Stage, Timestamp, Usd};
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

/// Refuses limits that no ledger takes.
pub(super) fn check_limits(
    stage: Stage,
    limits: &[(Scope, Option<Usd>)],
    backend: &'static str,
) -> Result<(), LedgerError> {
    let refuse = |kind, why: &'static str| Err(LedgerError::new(kind, backend, "limit").with_source(why));
    for (scope, limit) in limits {
        if matches!(scope, Scope::Stage(other) if *other != stage) {
            return refuse(Kind::WrongStage, "a scope names another stage");
        }
        if limit.is_some_and(|limit| limit < Usd::ZERO) {
            return refuse(Kind::InvalidInput, "a limit must not be negative");
        }
    }
    Ok(())
}

/// Refuses to forget what callers may still come back to: a hold may stay open for a day, and its caller repeat itself for another.
pub(super) fn check_purge(month: Month, now: Timestamp, backend: &'static str) -> Result<(), LedgerError> {
    if month < Month::of(now.saturating_sub(Duration::from_hours(48))) {
        return Ok(());
    }
    let error = LedgerError::new(Kind::InvalidInput, backend, "purge");
    Err(error.with_source("a month must have ended two days ago before its holds are forgotten"))
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
        if !is_of(&hold, &request) {
            return Err(refuse(rows, Kind::Conflict, OPERATION));
        }
        let alerts = raised_before(rows, &hold, stage, now)?;
        return Ok(Reserved { hold, alerts });
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
        alerts.extend(alert(&hold, scope, balance, stage, now));
        rows.put_balance(scope, month, balance)?;
    }
    rows.put_hold(&hold)?;
    Ok(Reserved { hold, alerts })
}

fn balances<R: Rows>(rows: &mut R, scopes: &[Scope], month: Month) -> Result<Vec<(Scope, Balance)>, LedgerError> {
    scopes.iter().map(|scope| Ok((scope.clone(), rows.balance(scope, month)?))).collect()
}

/// The first scope in which the amount has no room. Without a limit that is the end of the range of money: a sum that stopped there
/// could not be taken apart again.
fn no_room(balances: &[(Scope, Balance)], amount: Usd) -> Option<Exceeded> {
    balances.iter().find_map(|(scope, balance)| {
        let (limit, used) = (balance.limit.unwrap_or(Usd::MAX), balance.used());
        let fits = used.checked_add(amount).is_some_and(|sum| sum <= limit);
        (!fits).then(|| Exceeded { scope: scope.clone(), limit, used, asked: amount })
    })
}

/// Whether a hold came of that request, at whatever time: then the request is a repetition.
fn is_of(hold: &Hold, request: &Reserve) -> bool {
    let Reserve { id, scopes, amount, expires_in, model, strategy, correlation_id } = request;
    hold.id == *id
        && hold.scopes == *scopes
        && hold.amount == *amount
        && hold.expires_at == hold.created_at.saturating_add(*expires_in)
        && hold.model == *model
        && hold.strategy == *strategy
        && hold.correlation_id == *correlation_id
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
        return if hold.cost == cost {
            raised_before(rows, &hold, stage, now)
        } else {
            Err(refuse(rows, Kind::Conflict, OPERATION))
        };
    }
    let held = if hold.state.is_open() { hold.amount } else { Usd::ZERO };
    let mut alerts = Vec::new();
    for scope in &hold.scopes {
        let mut balance = rows.balance(scope, hold.month)?;
        balance.held = less(balance.held, held);
        balance.settled = balance.settled.saturating_add(cost);
        alerts.extend(alert(&hold, scope, &mut balance, stage, now));
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
    let mut count = 0;
    for hold in expired {
        let id = hold.id;
        match refund(rows, hold) {
            Err(error) if error.kind() == Kind::Corrupt => pass_over(rows.backend(), &id),
            done => done.map(|()| count += 1)?,
        }
    }
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
    // All are read before any is written: what can't be read leaves nothing half done.
    for (scope, mut balance) in balances(rows, &hold.scopes, hold.month)? {
        balance.held = less(balance.held, hold.amount);
        rows.put_balance(&scope, hold.month, &balance)?;
    }
    hold.state = HoldState::Released;
    rows.put_hold(&hold)
}

/// A damaged hold keeps its money, and must not keep that of all others.
pub(super) fn pass_over(backend: &'static str, id: &dyn std::fmt::Display) {
    tracing::error!(backend, hold = %id, "a stored hold can't be read and was passed over: repair or restore it");
}

/// Too many calls of this process wait already: this one was not taken on.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "dynamodb"))]
pub(super) fn crowded(backend: &'static str, operation: &'static str) -> LedgerError {
    LedgerError::new(Kind::Unavailable, backend, operation)
        .without_effect()
        .with_source("too many calls wait for the ledger already: begin fewer at once, or see why it is slow")
}

/// What is held never falls under zero.
fn less(held: Usd, by: Usd) -> Usd {
    held.checked_sub(by).unwrap_or(Usd::ZERO).max(Usd::ZERO)
}

/// The alerts of thresholds that were passed just now, and the mark that they were raised.
fn alert(hold: &Hold, scope: &Scope, balance: &mut Balance, stage: Stage, now: Timestamp) -> Vec<Alert> {
    let mut passed = passed(balance);
    passed.retain(|percent| *percent > balance.alerted);
    balance.alerted = passed.last().copied().unwrap_or(balance.alerted);
    told(hold, scope, balance, passed, stage, now)
}

/// For a call that is repeated: the answer to the first one, with its alerts, may have been lost, and the marks stay. So they
/// are told again, as far as they still hold.
fn raised_before<R: Rows>(rows: &mut R, hold: &Hold, stage: Stage, now: Timestamp) -> Result<Vec<Alert>, LedgerError> {
    let mut alerts = Vec::new();
    for (scope, balance) in balances(rows, &hold.scopes, hold.month)? {
        let mut passed = passed(&balance);
        passed.retain(|percent| *percent <= balance.alerted);
        alerts.extend(told(hold, &scope, &balance, passed, stage, now));
    }
    Ok(alerts)
}

/// The thresholds that are passed, in percent.
fn passed(balance: &Balance) -> Vec<u8> {
    let Some(limit) = balance.limit.filter(|limit| *limit > Usd::ZERO) else { return Vec::new() };
    let used = i128::from(balance.used().as_nanos()) * 100;
    let share = |percent: u8| i128::from(limit.as_nanos()) * i128::from(percent);
    ALERT_PERCENT.into_iter().filter(|percent| used >= share(*percent)).collect()
}

fn told(hold: &Hold, scope: &Scope, balance: &Balance, passed: Vec<u8>, stage: Stage, now: Timestamp) -> Vec<Alert> {
    let Some(limit) = balance.limit else { return Vec::new() };
    let (used, month) = (balance.used(), hold.month);
    let raised = passed.into_iter().map(|percent| Alert {
        key: format!("budget/{scope}/{month}/{percent}"),
        severity: if percent >= 95 { Severity::Critical } else { Severity::Warning },
        kind: AlertKind::Budget { percent, used, limit },
        stage,
        at: now,
        message: format!(
            "{scope} has used ${used} of ${limit} in {month}: raise the limit, or look at what is spending it"
        ),
        correlation_id: hold.correlation_id.clone(),
    });
    raised.collect()
}
