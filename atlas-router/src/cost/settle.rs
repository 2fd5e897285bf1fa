//! After the call: what the provider's usage costs.

use super::bound::{dearest_tier, prompt};
use super::{Billing, CostError, TokenUsage};
use crate::catalogue::{Amount, Factor, Model};
use atlas_schema::Usd;
use serde::{Deserialize, Serialize};

/// The cost of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settled {
    /// In whole nano-dollars, rounded up.
    pub cost: Usd,
    /// The answer named a service tier that the row has no price for: the dearest one that the row has was taken.
    pub unknown_tier: bool,
    /// The answer tells of web searches that the row has no price for: they are not in the cost.
    pub unpriced_searches: bool,
}

/// Turns usage into cost, by the service tier that the answer names, or that the request asked for if it names none.
///
/// # Errors
/// [`CostError`] if the request asked for a service tier or region that the row has no price for.
pub fn settle(
    model: &Model,
    billing: &Billing,
    usage: &TokenUsage,
    answered: Option<&str>,
) -> Result<Settled, CostError> {
    let region = billing.region(model)?;
    let (tier, unknown_tier) = match answered {
        Some("default" | "standard") => (Factor::ONE, false),
        Some(name) => match model.service_tiers.get(name) {
            Some(factor) => (*factor, false),
            None => {
                (model.service_tiers.values().copied().max().map_or(Factor::ONE, |most| most.max(Factor::ONE)), true)
            }
        },
        None => (dearest_tier(model, &billing.service_tier)?, false),
    };
    let (long_input, long_output) = match model.long {
        Some(long) if usage.prompt() > long.above => (long.input, long.output),
        _ => (Factor::ONE, Factor::ONE),
    };
    let reply = Amount::tokens(usage.completion(), model.prices.output, long_output);
    let searches = usage.web_searches.saturating_mul(model.web_search.unwrap_or(0));
    let cost = prompt(usage, model, long_input).plus(reply).times(tier, region).plus(Amount::fee(searches)).round_up();
    Ok(Settled { cost, unknown_tier, unpriced_searches: usage.web_searches > 0 && model.web_search.is_none() })
}
