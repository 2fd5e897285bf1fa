//! What one call is held at and what it costs in the end.

use super::attempt::{CallAttempt, Charge, End};
use super::health::Passing;
use super::money::Money;
use super::request::Request;
use super::{Detail, How, Tried};
use crate::call::{Billed, Event, Target, classify};
use crate::catalogue::Model;
use crate::client::ClientError;
use crate::cost::{Billing, TokenUsage, settle};
use crate::ledger::{HoldId, Reserve};
use atlas_schema::Usd;
use std::time::Duration;

pub(super) fn reserve(request: &Request, how: How, target: &Target, hold: HoldId) -> Reserve {
    let mut reserve = Reserve::new(hold, request.scopes.clone(), target.bound, target.model.clone());
    // A minute more than the call may take, so that no hold expires under a call.
    let most = match how {
        How::Whole => request.call_timeout.min(request.timeout),
        // Its reader may take as long as the request has.
        How::Streamed => request.timeout,
    };
    let expires = most.saturating_add(Duration::from_mins(1));
    reserve.expires_in = expires.min(Duration::from_hours(24));
    reserve.strategy.clone_from(&request.strategy);
    reserve.correlation_id.clone_from(&request.correlation_id);
    reserve
}

/// The cost of usage; the bound if the row has no price for it, which planning has ruled out. `None` if no call can have used that
/// much: then nobody can tell what it cost, and a number out of the air must not use up every budget.
pub(super) fn price(
    model: &Model,
    billing: &Billing,
    usage: TokenUsage,
    tier: Option<&str>,
    bound: Usd,
) -> Option<Usd> {
    let (prompt, completion) = (usage.prompt(), usage.completion());
    let replies = billing.output_cap.saturating_mul(u64::from(billing.replies));
    let searches = u64::from(billing.web_searches);
    if prompt > model.max_input || completion > replies || usage.web_searches > searches {
        tracing::warn!(model = %model.id, prompt, completion, "the provider bills more than the call can have used");
        return None;
    }
    Some(settle(model, billing, &usage, tier).map_or(bound, |settled| settled.cost))
}

/// Settles with the cost, if it is known, and notes how it stands in the ledger.
pub(super) async fn charge(attempt: &mut CallAttempt, money: Money, cost: Option<Usd>) {
    let bound = attempt.bound;
    // The guard leaves a sent hold as it is.
    attempt.charge = Charge::Open(bound);
    let Some(cost) = cost else { return };
    if cost > bound {
        tracing::warn!(%cost, %bound, "a call cost more than its bound: check its row of the catalogue and the token counter");
    }
    // Noted beforehand: if nobody waits for the ledger any more, the guard settles it all the same.
    attempt.charge = Charge::Settled(cost);
    if let Err(error) = money.settle(cost).await {
        tracing::warn!(%error, %cost, "a call could not be settled; it stays counted at its bound");
        attempt.charge = Charge::Open(bound);
    }
}

/// Accounts for a call that failed; `passing` if that says something about its model.
pub(super) async fn failed(
    attempt: &mut CallAttempt,
    passing: Option<Passing>,
    money: Money,
    model: &Model,
    detail: &Detail,
    error: ClientError,
) -> Tried {
    let (verdict, retry_after) = (classify(error.fault()), error.retry_after());
    if let Some(passing) = passing {
        passing.failed(verdict, retry_after);
    }
    attempt.usage = error.usage();
    attempt.end = End::Failed { fault: error.fault().clone(), verdict, retry_after };
    let cost = match (error.usage(), verdict.billed) {
        (Some(usage), _) => price(model, &detail.billing, usage, None, attempt.bound),
        (None, Billed::Nothing) => Some(Usd::ZERO),
        // It stays counted at its bound until it is reconciled.
        (None, Billed::Unknown) => None,
    };
    charge(attempt, money, cost).await;
    if attempt.usage.is_none() && attempt.charge == Charge::Settled(Usd::ZERO) {
        attempt.charge = Charge::Nothing;
    }
    Tried::Next(Event::Failed { verdict, retry_after, spent: attempt.charge.most() })
}
