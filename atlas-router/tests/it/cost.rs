//! Costs: the bound holds over every rule, settlement is exact, nothing without a price is let through.

use crate::{Rng, built_in, cases, with};
use atlas_router::catalogue::{Catalogue, Model};
use atlas_router::cost::{
    Billing, CacheTime, Consistency, CostError, Expectation, ServiceTier, TokenUsage, expected, settle, upper_bound,
};

fn model(id: &str) -> Model {
    built_in().model(id).unwrap().clone()
}

fn usd(text: &str) -> atlas_schema::Usd {
    text.parse().unwrap()
}

/// Some request for a model, within what its row allows.
fn billing(rng: &mut Rng, model: &Model) -> Billing {
    let edge = model.long.map_or(model.max_input, |long| long.above);
    let input = match rng.below(4) {
        0 => rng.below(model.max_input + 1),
        1 => edge.saturating_add(rng.below(3)).saturating_sub(1).min(model.max_input),
        2 => rng.below(2000),
        _ => model.max_input - rng.below(3),
    };
    let mut billing = Billing::new(input, 1 + rng.below(model.max_output));
    billing.replies = 1 + u32::try_from(rng.below(4)).unwrap();
    let named: Vec<ServiceTier> = model.service_tiers.keys().cloned().map(ServiceTier::Named).collect();
    billing.service_tier = match rng.below(3) {
        0 => ServiceTier::Default,
        1 => ServiceTier::Auto,
        _ => named.get(usize::try_from(rng.below(named.len() as u64 + 1)).unwrap()).cloned().unwrap_or_default(),
    };
    billing.regional = model.regional.is_some() && rng.below(2) == 0;
    billing.cache_time = *rng.pick(&[CacheTime::Short, CacheTime::Long]);
    billing.web_searches = if model.web_search.is_some() { u32::try_from(rng.below(5)).unwrap() } else { 0 };
    billing
}

/// Some usage that such a request can have, and the tier that may answer it.
fn usage(rng: &mut Rng, model: &Model, billing: &Billing) -> (TokenUsage, Option<String>) {
    let prompt = if rng.below(2) == 0 { billing.input_tokens } else { rng.below(billing.input_tokens + 1) };
    let cached = rng.below(prompt + 1);
    let short = rng.below(prompt - cached + 1);
    let long = if billing.cache_time == CacheTime::Long { rng.below(prompt - cached - short + 1) } else { 0 };
    let most = billing.output_cap * u64::from(billing.replies);
    let completion = if rng.below(2) == 0 { most } else { rng.below(most + 1) };
    let reasoning = rng.below(completion + 1);
    let usage = TokenUsage {
        input: prompt - cached - short - long,
        cached,
        cache_write: short,
        cache_write_long: long,
        output: completion - reasoning,
        reasoning,
        web_searches: rng.below(u64::from(billing.web_searches) + 1),
    };
    let answered = match &billing.service_tier {
        ServiceTier::Default => rng.pick(&[None, Some("default".to_owned())]).clone(),
        ServiceTier::Named(name) => rng.pick(&[None, Some("default".to_owned()), Some(name.clone())]).clone(),
        _ => {
            let mut names: Vec<Option<String>> = model.service_tiers.keys().cloned().map(Some).collect();
            names.extend([None, Some("default".to_owned())]);
            rng.pick(&names).clone()
        }
    };
    (usage, answered)
}

/// The same figures by other means: fractions of whole numbers, written down rule by rule.
fn reference(model: &Model, billing: &Billing, usage: &TokenUsage, answered: Option<&str>) -> i64 {
    let long = model.long.filter(|long| usage.prompt() > long.above);
    let (long_in, long_out) =
        long.map_or((1000, 1000), |long| (long.input.as_thousandths(), long.output.as_thousandths()));
    let tier = match (answered, &billing.service_tier) {
        (Some("default"), _) | (None, ServiceTier::Default) => 1000,
        (Some(name), _) => model.service_tiers[name].as_thousandths(),
        (None, ServiceTier::Named(name)) => model.service_tiers[name].as_thousandths().max(1000),
        _ => model.service_tiers.values().map(|factor| factor.as_thousandths()).max().unwrap_or(0).max(1000),
    };
    let region = if billing.regional { model.regional.unwrap().as_thousandths() } else { 1000 };
    let prices = &model.prices;
    let prompt = u128::from(usage.input) * u128::from(prices.input.as_picos())
        + u128::from(usage.cached) * u128::from(prices.cached.as_picos())
        + u128::from(usage.cache_write) * u128::from(prices.cache_write.as_picos())
        + u128::from(usage.cache_write_long) * u128::from(prices.cache_write_long.as_picos());
    let reply = u128::from(usage.output + usage.reasoning) * u128::from(prices.output.as_picos());
    let tokens = prompt * u128::from(long_in) + reply * u128::from(long_out);
    let fees = u128::from(usage.web_searches) * u128::from(model.web_search.unwrap_or(0));
    let nanos = (tokens * u128::from(tier) * u128::from(region)).div_ceil(1_000_000_000_000) + fees;
    i64::try_from(nanos).unwrap()
}

#[test]
fn settled_never_exceeds_reserved_over_every_row_and_billing_rule() {
    let catalogue = built_in();
    let models: Vec<&Model> = catalogue.models().collect();
    let mut rng = Rng::new(2);
    for case in 0..cases(100_000) {
        let model = rng.pick(&models);
        let billing = billing(&mut rng, model);
        let reserved = upper_bound(model, &billing).unwrap();
        let (usage, answered) = usage(&mut rng, model, &billing);
        let settled = settle(model, &billing, &usage, answered.as_deref()).unwrap();
        assert!(settled.cost <= reserved, "case {case}: {} {billing:?} {usage:?} {answered:?}", model.id);
        assert!(!settled.unknown_tier && !settled.unpriced_searches);
        assert_eq!(settled.cost.as_nanos(), reference(model, &billing, &usage, answered.as_deref()), "case {case}");
    }
}

/// Prompt, cached, cache write, completion, reasoning.
type Recorded = (u64, u64, u64, u64, u64);

/// Usages as providers gave them, and the cost worked out by hand from the row.
const RECORDED: [(&str, Recorded, &str); 6] = [
    // Cached tokens are part of the prompt: 1 000 at 0.125 and 1 000 at 1.25, never 2 000 at 1.25 as well.
    ("gpt-5", (2000, 1000, 0, 500, 0), "0.006375"),
    // Reasoning tokens are part of the completion, and never stand in its place.
    ("gpt-5-mini", (1000, 0, 0, 3000, 2500), "0.00625"),
    // Cache reads on a model with a price for writes.
    ("gpt-5.6-luna", (10_000, 8000, 0, 100, 0), "0.00068"),
    ("gpt-5.6-sol", (10_000, 4000, 6000, 1000, 400), "0.0516"),
    // Over the threshold the whole request costs more: 300 000 at 10, 1 000 at 45.
    ("gpt-5.5", (300_000, 0, 0, 1000, 0), "3.045"),
    ("gpt-4o", (1234, 1000, 0, 56, 0), "0.002395"),
];

#[test]
fn recorded_usages_settle_to_the_nano_dollar_with_no_token_counted_twice() {
    for (id, (prompt, cached, write, completion, reasoning), cost) in RECORDED {
        let (usage, consistency) = TokenUsage::of_wholes(prompt, cached, write, completion, reasoning);
        assert_eq!(consistency, Consistency::Consistent);
        let settled = settle(&model(id), &Billing::new(prompt, 4000), &usage, Some("default")).unwrap();
        assert_eq!(settled.cost, usd(cost), "{id}");
    }
}

#[test]
fn the_four_requests_whose_reservation_falls_short_elsewhere_are_covered() {
    // No cap named and 60 000 tokens of reasoning: there is no request without a cap.
    let capped = Billing::new(1000, 64_000);
    let thought = TokenUsage { input: 1000, reasoning: 60_000, output: 500, ..TokenUsage::default() };
    // A prompt over the long-context threshold.
    let long = Billing::new(300_000, 1000);
    let read = TokenUsage { input: 300_000, output: 1000, ..TokenUsage::default() };
    // All of the prompt written to the cache.
    let written = TokenUsage { cache_write: 300_000, output: 1000, ..TokenUsage::default() };
    // The account's own tier is the dearest one.
    let auto = with(Billing::new(300_000, 1000), |billing| billing.service_tier = ServiceTier::Auto);
    let sol = model("gpt-6-sol");
    for (billing, usage, tier) in [
        (&capped, &thought, "default"),
        (&long, &read, "default"),
        (&long, &written, "default"),
        (&auto, &written, "ultrafast"),
    ] {
        let (most, cost) =
            (upper_bound(&sol, billing).unwrap(), settle(&sol, billing, usage, Some(tier)).unwrap().cost);
        assert!(cost <= most && cost.as_nanos() * 3 >= most.as_nanos(), "{cost} of {most}");
    }
}

#[test]
fn a_usage_whose_parts_are_larger_than_the_whole_is_told_and_counts_the_whole_once() {
    let (usage, consistency) = TokenUsage::of_wholes(100, 80, 50, 10, 40);
    assert_eq!(consistency, Consistency::PartsOverWhole);
    assert_eq!((usage.prompt(), usage.completion()), (100, 10));
    let (usage, consistency) = TokenUsage::of_wholes(u64::MAX, u64::MAX, u64::MAX, u64::MAX, u64::MAX);
    assert_eq!(consistency, Consistency::PartsOverWhole);
    assert_eq!((usage.prompt(), usage.completion()), (u64::MAX, u64::MAX));
    // Absurd numbers end at the end of the range, without a panic.
    let cost = settle(&model("gpt-6-astra"), &Billing::new(1, 1), &usage, None).unwrap().cost;
    assert_eq!(cost, atlas_schema::Usd::MAX);
    assert_eq!(usage.to_record().output_tokens, 0);
}

#[test]
fn nothing_without_a_price_is_let_through() {
    let claude = model("claude-haiku-5-5");
    let asked = |change: fn(&mut Billing)| {
        let mut billing = Billing::new(10, 10);
        change(&mut billing);
        upper_bound(&claude, &billing).unwrap_err()
    };
    assert!(matches!(asked(|b| b.regional = true), CostError::Regional { .. }));
    assert!(matches!(asked(|b| b.web_searches = 1), CostError::WebSearch { .. }));
    assert!(matches!(asked(|b| b.service_tier = ServiceTier::Named("priority".into())), CostError::ServiceTier { .. }));
    assert!(matches!(asked(|b| b.replies = 0), CostError::NoReply));
    assert!(matches!(asked(|b| b.output_cap = 0), CostError::OutputCap { .. }));
    assert!(matches!(asked(|b| b.output_cap = 128_001), CostError::OutputCap { .. }));
    assert!(matches!(asked(|b| b.input_tokens = 1_000_001), CostError::Window { .. }));
}

#[test]
fn an_answer_in_a_tier_that_the_row_does_not_know_costs_the_dearest_and_says_so() {
    let sol = model("gpt-6-sol");
    let usage = TokenUsage { input: 1000, ..TokenUsage::default() };
    let settled = settle(&sol, &Billing::new(1000, 1), &usage, Some("warp")).unwrap();
    assert!(settled.unknown_tier);
    assert_eq!(settled.cost, usd("0.012"));
    let claude = model("claude-haiku-5-5");
    let searched = TokenUsage { web_searches: 1, ..usage };
    assert!(settle(&claude, &Billing::new(1000, 1), &searched, None).unwrap().unpriced_searches);
}

#[test]
fn a_cheaper_tier_is_never_counted_on_before_it_has_answered() {
    let luna = model("gpt-6-luna");
    let flex = with(Billing::new(1000, 100), |billing| billing.service_tier = ServiceTier::Named("flex".into()));
    assert_eq!(upper_bound(&luna, &flex).unwrap(), upper_bound(&luna, &Billing::new(1000, 100)).unwrap());
    let usage = TokenUsage { input: 1000, ..TokenUsage::default() };
    assert_eq!(settle(&luna, &flex, &usage, Some("flex")).unwrap().cost, usd("0.00005"));
}

#[test]
fn the_expected_cost_is_that_of_the_expected_usage() {
    let luna = model("gpt-6-luna");
    let billing = Billing::new(2000, 500);
    let likely = Expectation { cached_tokens: 400, output_tokens: 100, ..Expectation::default() };
    assert_eq!(expected(&luna, &billing, 1000, likely).unwrap(), usd("0.000114"));
    let capped = Expectation { output_tokens: 10_000, ..Expectation::default() };
    assert!(expected(&luna, &billing, 2000, capped).unwrap() <= upper_bound(&luna, &billing).unwrap());
}

#[test]
fn the_expected_cost_is_within_five_percent_of_what_recorded_usages_settle_to() {
    for (id, (prompt, cached, write, completion, _), cost) in RECORDED {
        let likely = Expectation { cached_tokens: cached, written_tokens: write, output_tokens: completion };
        // Chat templates are counted a token or so off.
        for counted in [prompt - prompt / 100, prompt, prompt + prompt / 100] {
            let estimate = expected(&model(id), &Billing::new(prompt + prompt / 100, 4000), counted, likely).unwrap();
            let off = estimate.as_nanos().abs_diff(usd(cost).as_nanos());
            assert!(off * 20 <= usd(cost).as_nanos().unsigned_abs(), "{id}: {estimate} for {cost}");
        }
    }
}

#[test]
fn rates_of_a_fraction_of_a_nano_dollar_round_up_once_per_call() {
    let text = "sources = { here = \"https://example.org/\" }\n[[model]]\nid = \"m\"\nprovider = \"p\"\nfamily = \"f\"\nmax_input = 9000\n\
        max_output = 9\nprice = { input = \"0.0001\", output = \"0.0001\", source = \"here\", day = \"2026-11-21\" }\n";
    let catalogue = Catalogue::read(text).unwrap();
    let cost = |input| {
        let usage = TokenUsage { input, ..TokenUsage::default() };
        settle(catalogue.model("m").unwrap(), &Billing::new(9000, 1), &usage, None).unwrap().cost.as_nanos()
    };
    assert_eq!((cost(0), cost(1), cost(10), cost(11), cost(9000)), (0, 1, 1, 2, 900));
}
