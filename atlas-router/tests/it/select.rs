//! Selection: the predecessor's rules, mended; nothing replaced in silence; decisions that come out the same again.

use crate::{Rng, built_in, cases, day, with};
use atlas_router::catalogue::{Catalogue, Effort, ModelId, Structured};
use atlas_router::cost::Billing;
use atlas_router::select::{
    Decision, DefaultPolicy, ScoreFactor, SelectError, Situation, Skip, Strategy, Task, replay, score, select,
};
use atlas_schema::{ErrorCategory, ExtractionType, Stage};

fn situation(stage: Stage) -> Situation {
    Situation::new(stage, day("2026-11-26"))
}

fn decide(task: &Task, situation: &Situation) -> Result<Decision, SelectError> {
    select(&built_in(), &DefaultPolicy::new(), task, situation)
}

fn first(task: &Task, situation: &Situation) -> String {
    decide(task, situation).unwrap().chain[0].model.to_string()
}

/// A task that scores the given number of keywords and of pages.
fn task(keywords: usize, pages: u32) -> Task {
    let words = ["analyze", "compare", "evaluate"];
    let mut task = Task::new(words[..keywords].join(" "));
    task.max_pages = pages;
    task
}

#[test]
fn the_rules_are_those_of_the_predecessor() {
    let preview = situation(Stage::Preview);
    let rule = |task: &Task, situation: &Situation| decide(task, situation).unwrap().rule;
    assert_eq!(rule(&Task::new("Extract title"), &preview), "preview_trivial");
    assert_eq!(rule(&task(2, 1), &preview), "preview_light");
    assert_eq!(rule(&task(2, 6), &preview), "preview_medium");
    let mut thrifty = task(2, 6);
    thrifty.kind = ExtractionType::Batch;
    assert_eq!(rule(&thrifty, &preview), "preview_medium_thrifty");
    let mut hard = task(3, 6);
    hard.instructions.push_str(&" x".repeat(500));
    assert_eq!(score(&hard, &preview).complexity, 8000);
    assert_eq!(rule(&hard, &preview), "preview_hard");
    let mut reasoning = Task::new("Extract title");
    reasoning.requires_reasoning = true;
    assert_eq!(rule(&reasoning, &preview), "preview_reasoning");
    assert_eq!(rule(&hard, &situation(Stage::Production)), "stable");
    assert_eq!(rule(&hard, &situation(Stage::Staging)), "stable_hard");
    let forced = with(preview.clone(), |situation| situation.force_stable = true);
    assert_eq!(first(&Task::new("Extract title"), &forced), "gpt-4o");
    let strategy = with(situation(Stage::Production), |situation| situation.strategy = Strategy::Preview);
    assert_eq!(rule(&Task::new("Extract title"), &strategy), "preview_trivial");
}

#[test]
fn a_workshop_is_no_shop_and_biology_is_no_logic() {
    let factors = |text: &str, url: &str| {
        let mut task = Task::new(text);
        task.url = Some(url.into());
        let factors = score(&task, &situation(Stage::Preview)).factors;
        let of = |factor| factors.iter().find(|one| one.factor == factor).map_or(0, |one| one.points);
        (of(ScoreFactor::Keywords), of(ScoreFactor::Shop))
    };
    assert_eq!(factors("x", "https://workshop.example.org/restore/byproducts"), (0, 0));
    assert_eq!(factors("x", "https://example.org/x?ref=shop#store"), (0, 0));
    assert_eq!(factors("x", "https://shop.example.org/"), (0, 1000));
    assert_eq!(factors("x", "https://example.org/Product/7"), (0, 1000));
    assert_eq!(factors("x", "no address: shop"), (0, 0));
    assert_eq!(
        factors("biological infrastructure, unstructured, reason, complexion, inference", "https://e.org"),
        (0, 0)
    );
    assert_eq!(factors("Structured patterns", "https://e.org"), (2000, 0));
    assert_eq!(factors("analysing, Comparisons, LOGICAL and multi-step", "https://e.org"), (3000, 0));
    assert_eq!(factors("analyze analyzes analyzed", "https://e.org"), (1000, 0));
}

#[test]
fn the_length_of_instructions_counts_characters_up_to_a_thousand() {
    let length = |text: &str| score(&Task::new(text), &situation(Stage::Preview)).complexity;
    assert_eq!((length(""), length(&"é".repeat(100)), length(&"x".repeat(50_000))), (0, 300, 3000));
}

#[test]
fn what_the_caller_insists_on_is_taken_or_refused_and_never_replaced() {
    let preview = situation(Stage::Preview);
    let wanted = |name: &str, situation: &Situation| decide(&Task::new("x").wanting(name), situation);
    let decision = wanted("gpt-6-astra", &preview).unwrap();
    assert_eq!(
        (decision.chain.len(), decision.chain[0].model.as_str(), decision.rule.as_str()),
        (1, "gpt-6-astra", "wanted")
    );
    assert_eq!(wanted("full", &preview).unwrap().chain[0].model.as_str(), "gpt-6.1-sol");
    let unknown = wanted("gpt-99", &preview).unwrap_err();
    assert!(matches!(&unknown, SelectError::UnknownName { .. }));
    assert_eq!(unknown.category(), ErrorCategory::InvalidInput);
    let forbidden = wanted("gpt-6-luna", &situation(Stage::Production)).unwrap_err();
    assert!(matches!(&forbidden, SelectError::Forbidden { .. }));
    assert_eq!(forbidden.category(), ErrorCategory::Forbidden);
    assert!(matches!(wanted("nano", &situation(Stage::Production)), Ok(decision)
        if decision.chain.iter().all(|link| link.model.as_str().starts_with("gpt-4") || link.model.as_str().starts_with("gpt-5.4"))));
}

#[test]
fn a_model_past_its_day_is_refused_with_its_successor_and_one_near_it_is_taken_with_a_notice() {
    let on = |text: &str| Situation::new(Stage::Preview, day(text));
    let task = Task::new("x").wanting("gpt-5-nano");
    let decision = decide(&task, &on("2026-12-10")).unwrap();
    let notice = decision.chain[0].notice.clone().unwrap();
    assert_eq!((notice.days_left, notice.successor.unwrap().as_str()), (1, "gpt-6-luna"));
    let error = decide(&task, &on("2026-12-11")).unwrap_err();
    assert_eq!(error.to_string(), "gpt-5-nano does not answer since 2026-12-11: ask for gpt-6-luna");
    assert!(decide(&task, &on("2026-10-01")).unwrap().chain[0].notice.is_none());
    // The stable family goes on after its generation has ended.
    let later = Situation::new(Stage::Production, day("2027-01-14"));
    let decision = decide(&Task::new("x"), &later).unwrap();
    assert_eq!(decision.chain[0].model.as_str(), "gpt-5.4-mini");
    assert!(
        decision.skipped.iter().any(|one| one.model.as_str() == "gpt-4o" && matches!(one.reason, Skip::Retired { .. }))
    );
}

#[test]
fn a_cap_leaves_out_what_could_cost_more_and_keeps_the_order_of_the_rest() {
    let mut preview = situation(Stage::Preview);
    preview.billing = Some(Billing::new(10_000, 4000));
    let mut task = Task::new("x");
    task.requires_reasoning = true;
    let free = decide(&task, &preview).unwrap();
    assert_eq!(free.chain[0].model.as_str(), "gpt-6.1-sol");
    task.max_cost = Some("0.04".parse().unwrap());
    let capped = decide(&task, &preview).unwrap();
    assert_eq!(capped.chain[0].model.as_str(), "gpt-6.1-terra", "the best that is within the cap, not the cheapest");
    assert!(capped.chain.iter().all(|link| link.bound.unwrap() <= task.max_cost.unwrap()));
    task.max_cost = Some("0.000001".parse().unwrap());
    let error = decide(&task, &preview).unwrap_err();
    assert_eq!(error.category(), ErrorCategory::Budget);
    assert!(error.to_string().contains("gpt-6.1-sol: could cost $0.065, over the cap"), "{error}");
}

#[test]
fn a_prompt_over_every_window_says_so_for_each_model() {
    let mut preview = situation(Stage::Preview);
    preview.billing = Some(Billing::new(50_000_000, 1000));
    let SelectError::NoModel { skipped, .. } = decide(&Task::new("x"), &preview).unwrap_err() else { panic!() };
    assert!(skipped.iter().all(|one| matches!(&one.reason, Skip::Unpriced { why } if why.contains("50000000"))
        || matches!(one.reason, Skip::Retired { .. })));
}

#[test]
fn models_that_can_not_do_what_is_needed_are_left_out() {
    let mut task = Task::new("x").wanting("gpt-4-turbo");
    task.structured = Structured::JsonSchema;
    let early = Situation::new(Stage::Dev, day("2026-01-01"));
    let SelectError::NoModel { skipped, .. } = decide(&task, &early).unwrap_err() else { panic!() };
    assert!(matches!(skipped[0].reason, Skip::Structured { can: Structured::JsonObject }));
    let effort = with(situation(Stage::Dev), |situation| situation.effort = Some(Effort::None));
    let decision = decide(&Task::new("x").wanting("full"), &effort).unwrap();
    assert!(decision.skipped.iter().any(|one| one.model.as_str() == "gpt-6.1-sol" && one.reason == Skip::Effort));
}

#[test]
fn models_whose_breaker_is_open_come_last_but_are_not_lost() {
    let mut preview = situation(Stage::Preview);
    preview.resting.insert(ModelId::new("gpt-6-luna"));
    let decision = decide(&Task::new("x"), &preview).unwrap();
    assert_ne!(decision.chain[0].model.as_str(), "gpt-6-luna");
    assert_eq!(decision.chain.last().unwrap().model.as_str(), "gpt-6-luna");
}

/// Some task in some situation.
fn any(rng: &mut Rng, catalogue: &Catalogue) -> (Task, Situation) {
    let words = ["analyze", "title", "compare", "prices", "infer", "é", "multi-step", "list"];
    let mut task = Task::new((0..rng.below(60)).map(|_| *rng.pick(&words)).collect::<Vec<_>>().join(" "));
    task.max_pages = u32::try_from(rng.below(25)).unwrap();
    task.max_depth = u32::try_from(rng.below(5)).unwrap();
    task.estimated_volume = u32::try_from(rng.below(300)).unwrap();
    task.requires_reasoning = rng.below(8) == 0;
    task.kind = *rng.pick(&[ExtractionType::Sync, ExtractionType::Batch, ExtractionType::AiProcess]);
    task.structured = *rng.pick(&[Structured::None, Structured::JsonObject, Structured::JsonSchema]);
    let names: Vec<String> = catalogue
        .models()
        .map(|model| model.id.to_string())
        .chain(catalogue.tiers().map(ToString::to_string))
        .collect();
    task.wanted = (rng.below(3) == 0).then(|| rng.pick(&names).clone());
    task.max_cost =
        (rng.below(3) == 0).then(|| atlas_schema::Usd::from_nanos(i64::try_from(rng.below(1_000_000_000)).unwrap()));
    let days = ["2026-11-26", "2026-12-11", "2027-01-14", "2027-06-01"];
    let mut situation = Situation::new(*rng.pick(&Stage::ALL), day(rng.pick::<&str>(&days)));
    situation.strategy = *rng.pick(&[Strategy::Auto, Strategy::Preview, Strategy::Stable]);
    situation.force_stable = rng.below(5) == 0;
    situation.billing = (rng.below(2) == 0).then(|| Billing::new(rng.below(300_000), 1 + rng.below(20_000)));
    for _ in 0..rng.below(3) {
        situation.resting.insert(ModelId::new(rng.pick(&names).as_str()));
    }
    (task, situation)
}

#[test]
fn decisions_replay_bit_for_bit_and_their_chains_keep_every_rule() {
    let (catalogue, policy) = (built_in(), DefaultPolicy::new());
    let mut rng = Rng::new(3);
    let mut decided = 0;
    for case in 0..cases(20_000) {
        let (task, situation) = any(&mut rng, &catalogue);
        let Ok(decision) = select(&catalogue, &policy, &task, &situation) else { continue };
        decided += 1;
        let bytes = serde_json::to_vec(&decision).unwrap();
        let stored: Decision = serde_json::from_slice(&bytes).unwrap();
        let again = replay(&stored, &catalogue, &policy).unwrap();
        assert_eq!(serde_json::to_vec(&again).unwrap(), bytes, "case {case}");
        for link in &decision.chain {
            let model = catalogue.model(link.model.as_str()).unwrap();
            assert!(model.lives_on(situation.day) && model.structured >= task.structured, "case {case}: {}", model.id);
            assert!(task.max_cost.is_none_or(|cap| link.bound.is_none_or(|bound| bound <= cap)), "case {case}");
        }
    }
    assert!(decided > cases(20_000) / 3, "{decided}");
}
