//! What one call is held at and what it costs in the end.

use super::attempt::{CallAttempt, Charge, End};
use super::health::Passing;
use super::money::Money;
use super::request::Request;
use super::{Detail, Tried};
use crate::call::{Billed, Event, Target, classify};
use crate::catalogue::Model;
use crate::client::ClientError;
use crate::cost::{Billing, TokenUsage, settle};
use crate::ledger::{HoldId, Reserve};
use atlas_schema::Usd;
use std::time::Duration;

pub(super) fn reserve(request: &Request, target: &Target, hold: HoldId) -> Reserve {
    let mut reserve = Reserve::new(hold, request.scopes.clone(), target.bound, target.model.clone());
    // A minute more than the call may take, so that no hold expires under a call.
    let expires = request.call_timeout.min(request.timeout).saturating_add(Duration::from_mins(1));
    reserve.expires_in = expires.min(Duration::from_hours(24));
    reserve.strategy.clone_from(&request.strategy);
    reserve.correlation_id.clone_from(&request.correlation_id);
    reserve
}

/// The cost of usage; the bound if the row has no price for it, which planning has ruled out.
pub(super) fn price(model: &Model, billing: &Billing, usage: TokenUsage, tier: Option<&str>, bound: Usd) -> Usd {
    settle(model, billing, &usage, tier).map_or(bound, |settled| settled.cost)
}

/// Settles, and says how it stands in the ledger if that failed.
pub(super) async fn charge(money: Money, cost: Usd, bound: Usd) -> Charge {
    match money.settle(cost).await {
        Ok(()) => Charge::Settled(cost),
        Err(error) => {
            tracing::warn!(%error, %cost, "a call could not be settled; it stays counted at its bound");
            Charge::Open(bound)
        }
    }
}

/// Accounts for a call that failed.
pub(super) async fn failed(
    attempt: &mut CallAttempt,
    passing: Passing,
    money: Money,
    model: &Model,
    detail: &Detail,
    error: ClientError,
) -> Tried {
    let (verdict, retry_after) = (classify(error.fault()), error.retry_after());
    passing.failed(verdict, retry_after);
    attempt.usage = error.usage();
    attempt.charge = match (error.usage(), verdict.billed) {
        (Some(usage), _) => {
            let cost = price(model, &detail.billing, usage, None, attempt.bound);
            charge(money, cost, attempt.bound).await
        }
        (None, Billed::Nothing) => match charge(money, Usd::ZERO, attempt.bound).await {
            Charge::Settled(_) => Charge::Nothing,
            open => open,
        },
        // The guard leaves a sent hold as it is: counted at its bound until it is reconciled.
        (None, Billed::Unknown) => Charge::Open(attempt.bound),
    };
    attempt.end = End::Failed { fault: error.fault().clone(), verdict, retry_after };
    Tried::Next(Event::Failed { verdict, retry_after, spent: attempt.charge.most() })
}
