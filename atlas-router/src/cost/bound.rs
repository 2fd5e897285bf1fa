//! Before the call: the most it can cost, and what it likely costs.

use super::{Billing, CacheTime, CostError, ServiceTier, TokenUsage, settle};
use crate::catalogue::{Amount, Factor, Model, Rate};
use atlas_schema::Usd;

/// The most that a request can cost, whatever the provider counts within the prompt's bound and the output cap.
///
/// All of the prompt is taken at the dearest thing that can happen to it (read, cached or written to the cache), the
/// long-context price from the first token over its threshold, the reply to its cap for each reply asked for, in the dearest
/// of the service tiers that may answer: the one asked for or the normal one, and for [`ServiceTier::Auto`] any.
///
/// # Errors
/// [`CostError`] if the row has no price for something the request asks for, or the request does not fit the model. Nothing
/// without a price is let through.
pub fn upper_bound(model: &Model, billing: &Billing) -> Result<Usd, CostError> {
    fits(model, billing)?;
    let (region, tier) = (billing.region(model)?, dearest_tier(model, &billing.service_tier)?);
    let prices = &model.prices;
    let written = match billing.cache_time {
        CacheTime::Short => prices.cache_write,
        CacheTime::Long => prices.cache_write.max(prices.cache_write_long),
    };
    let prompt_rate = prices.input.max(prices.cached).max(written);
    let tokens = |input: Factor, output: Factor| {
        let replies = billing.output_cap.saturating_mul(u64::from(billing.replies));
        Amount::tokens(billing.input_tokens, prompt_rate, input).plus(Amount::tokens(replies, prices.output, output))
    };
    let short = tokens(Factor::ONE, Factor::ONE);
    let sum = match model.long {
        // The provider may count fewer tokens than the bound and so stay below the threshold: the dearer of both.
        Some(long) if billing.input_tokens > long.above => short.max(tokens(long.input, long.output)),
        _ => short,
    };
    let searches = match (billing.web_searches, model.web_search) {
        (0, _) => 0,
        (count, Some(fee)) => fee.saturating_mul(u64::from(count)),
        (_, None) => return Err(CostError::WebSearch { model: model.id.clone() }),
    };
    Ok(sum.times(tier, region).plus(Amount::fee(searches)).round_up())
}

/// What is thought to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expectation {
    /// Tokens of the prompt that will be read from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens of the prompt, beside those, that the provider will write to its cache and charge as such.
    pub written_tokens: u64,
    /// Tokens of all replies together, reasoning included.
    pub output_tokens: u64,
}

/// What a request likely costs: `prompt_tokens` as counted, not as bounded, and the reply as expected, both at the price of the
/// service tier that is asked for.
///
/// # Errors
/// As [`upper_bound`].
pub fn expected(model: &Model, billing: &Billing, prompt_tokens: u64, likely: Expectation) -> Result<Usd, CostError> {
    fits(model, billing)?;
    let cached = likely.cached_tokens.min(prompt_tokens);
    let most = billing.output_cap.saturating_mul(u64::from(billing.replies));
    let written = likely.written_tokens.min(prompt_tokens - cached);
    let (cache_write, cache_write_long) = match billing.cache_time {
        CacheTime::Short => (written, 0),
        CacheTime::Long => (0, written),
    };
    let usage = TokenUsage {
        input: prompt_tokens - cached - written,
        cached,
        cache_write,
        cache_write_long,
        output: likely.output_tokens.min(most),
        ..TokenUsage::default()
    };
    Ok(settle(model, billing, &usage, None)?.cost)
}

fn fits(model: &Model, billing: &Billing) -> Result<(), CostError> {
    if billing.replies == 0 {
        return Err(CostError::NoReply);
    }
    if billing.input_tokens > model.max_input {
        let (tokens, max) = (billing.input_tokens, model.max_input);
        return Err(CostError::Window { model: model.id.clone(), tokens, max });
    }
    if billing.output_cap == 0 || billing.output_cap > model.max_output {
        return Err(CostError::OutputCap { model: model.id.clone(), max: model.max_output });
    }
    Ok(())
}

/// The dearest tier that may answer such a request. One that is cheaper than the normal tier may be answered in the normal
/// one, so it is never counted on.
pub(super) fn dearest_tier(model: &Model, asked: &ServiceTier) -> Result<Factor, CostError> {
    let factor = match asked {
        ServiceTier::Default => Factor::ONE,
        ServiceTier::Auto => model.service_tiers.values().copied().max().unwrap_or(Factor::ONE),
        ServiceTier::Named(name) => {
            *model.service_tiers.get(name).ok_or_else(|| CostError::ServiceTier { model: model.id.clone() })?
        }
    };
    Ok(factor.max(Factor::ONE))
}

/// The price of a token of the prompt by what happened to it.
pub(super) fn prompt(usage: &TokenUsage, model: &Model, factor: Factor) -> Amount {
    let prices = &model.prices;
    let parts: [(u64, Rate); 4] = [
        (usage.input, prices.input),
        (usage.cached, prices.cached),
        (usage.cache_write, prices.cache_write),
        (usage.cache_write_long, prices.cache_write_long),
    ];
    parts.into_iter().fold(Amount::default(), |sum, (count, rate)| sum.plus(Amount::tokens(count, rate, factor)))
}
