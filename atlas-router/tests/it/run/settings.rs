//! What each setting of atlas-config becomes.

use super::*;
use crate::with;
use atlas_config::Settings;
use atlas_router::catalogue::Effort;
use atlas_router::run::{Planned, SetupError, limit_stage};
use atlas_router::select::Strategy;
use std::sync::Mutex;

/// A model for each size, all of which fall back to `old`, the stable family.
const SIZES: &str = r#"
version = "test"

[sources]
here = "https://example.org/prices"

[tiers]
nano = ["n"]
mini = ["m"]
full = ["new"]
stable = ["old"]

[fallbacks]
nano = ["stable"]
mini = ["stable"]
full = ["stable"]
"#;

fn sizes() -> Catalogue {
    let row = |id: &str, efforts: &str| {
        format!(
            "[[model]]\nid = \"{id}\"\nprovider = \"a\"\nfamily = \"f\"\nencoding = \"bytes\"\nmax_input = 1000\nmax_output = 1000\n\
             {efforts}price = {{ input = \"0.001\", output = \"0.01\", source = \"here\", day = \"2026-11-26\" }}\n"
        )
    };
    let reasons = "efforts = [\"minimal\", \"low\", \"high\"]\ndefault_effort = \"low\"\n";
    let rows = [row("n", reasons), row("m", reasons), row("new", reasons), row("old", "")].concat();
    Catalogue::read(&format!("{SIZES}\n{rows}")).unwrap()
}

fn settings(values: &[(&str, &str)]) -> Settings {
    Settings::from_map([("ATLAS_STAGE", "dev")].iter().chain(values).copied()).unwrap()
}

fn router(values: &[(&str, &str)], client: &ScriptedLlm) -> Router {
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let builder =
        Router::builder(sizes(), ledger).with_clock(Arc::new(Noon)).with_counter(ByteCounter::new()).with_seed(7);
    builder.with_client("a", Arc::new(client.clone())).with_settings(&settings(values)).unwrap().build().unwrap()
}

fn anything() -> Request {
    with(request(), |request| request.task = Task::new("say hi"))
}

fn planned(values: &[(&str, &str)]) -> Planned {
    router(values, &ScriptedLlm::new([])).plan(&anything()).unwrap()
}

/// The models of the chain that a setting leads to.
fn chain(values: &[(&str, &str)]) -> Vec<String> {
    planned(values).decision.chain.iter().map(|link| link.model.to_string()).collect()
}

#[test]
fn the_generation_is_that_of_the_settings() {
    for (values, strategy, first) in [
        (&[("ATLAS_DEFAULT_MODEL_STRATEGY", "gpt5_preview")][..], Strategy::Preview, "n"),
        (&[("ATLAS_DEFAULT_MODEL_STRATEGY", "auto")], Strategy::Preview, "n"),
        (&[("ATLAS_DEFAULT_MODEL_STRATEGY", "gpt4_stable")], Strategy::Stable, "old"),
        (&[("ATLAS_GPT5_ENABLED", "false")], Strategy::Stable, "old"),
        (&[("ATLAS_DEFAULT_MODEL_STRATEGY", "auto"), ("ATLAS_GPT5_ENABLED", "false")], Strategy::Stable, "old"),
    ] {
        let decision = planned(values).decision;
        assert_eq!((decision.situation.strategy, decision.chain[0].model.as_str()), (strategy, first), "{values:?}");
    }
    let forced = planned(&[("ATLAS_FORCE_GPT4", "true")]).decision;
    assert!(forced.situation.force_stable && forced.chain[0].model.as_str() == "old");
}

#[test]
fn the_size_and_the_fallback_are_those_of_the_settings_and_decisions_say_so() {
    for (size, first) in [("auto", "n"), ("nano", "n"), ("mini", "m"), ("full", "new")] {
        assert_eq!(chain(&[("ATLAS_GPT5_MODEL_SELECTION", size)]), [first, "old"]);
        let alone = [("ATLAS_GPT5_MODEL_SELECTION", size), ("ATLAS_GPT5_FALLBACK_ENABLED", "false")];
        assert_eq!(chain(&alone), [first]);
    }
    let decision =
        planned(&[("ATLAS_GPT5_MODEL_SELECTION", "full"), ("ATLAS_GPT5_FALLBACK_ENABLED", "false")]).decision;
    assert_eq!((decision.policy.as_str(), decision.rule.as_str()), ("sized/full", "preview_sized_full"));
    assert_eq!(decision.skipped[0].to_string(), "old: of the stable family, and falling back to that is turned off");
    // Who asks for the stable family gets it, and a stable size is the task's.
    let stable = [
        ("ATLAS_GPT5_MODEL_SELECTION", "full"),
        ("ATLAS_GPT5_FALLBACK_ENABLED", "false"),
        ("ATLAS_FORCE_GPT4", "true"),
    ];
    assert_eq!(chain(&stable), ["old"]);
    let wanting = with(request(), |request| request.task = Task::new("say hi").wanting("stable"));
    let router = router(&[("ATLAS_GPT5_FALLBACK_ENABLED", "false")], &ScriptedLlm::new([]));
    assert_eq!(router.plan(&wanting).unwrap().decision.chain[0].model.as_str(), "old");
}

#[tokio::test(start_paused = true)]
async fn models_that_may_not_reason_do_so_as_little_as_they_can() {
    for (value, expected) in [("true", Effort::High), ("false", Effort::Minimal)] {
        let client = ScriptedLlm::new([ok()]);
        let router = router(&[("ATLAS_GPT5_REASONING_ENABLED", value)], &client);
        let request = with(anything(), |request| request.effort = Some(Effort::High));
        router.run(&request, &CancellationToken::new()).await.unwrap();
        assert_eq!(client.calls()[0].effort, Some(expected), "{value}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_budget_of_the_stage_and_its_alerts_are_those_of_the_settings() {
    for (value, told) in [("true", 2), ("false", 0)] {
        let values = settings(&[("ATLAS_MONTHLY_BUDGET", "1"), ("ATLAS_COST_ALERTS_ENABLED", value)]);
        let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
        limit_stage(&*ledger, &values).await.unwrap();
        let scope = Scope::Stage(Stage::Dev);
        let balance = ledger.balance(&scope, Month::of(now())).await.unwrap();
        assert_eq!(balance.limit, Some(Usd::from_nanos(1_000_000_000)));
        let heard = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&heard);
        let builder =
            Router::builder(sizes(), ledger.clone()).with_counter(ByteCounter::new()).with_clock(Arc::new(Noon));
        let builder = builder.with_client("a", Arc::new(ScriptedLlm::new([ok()])));
        let builder = builder.with_alerts(move |_| *counted.lock().unwrap() += 1);
        let router = builder.with_settings(&values).unwrap().build();
        ledger.limit(vec![(scope, Some(BOUND))]).await.unwrap();
        router.unwrap().run(&anything(), &CancellationToken::new()).await.unwrap();
        assert_eq!(*heard.lock().unwrap(), told, "{value}");
    }
}

#[test]
fn settings_of_another_stage_than_the_ledgers_are_refused() {
    let ledger = Arc::new(MemoryLedger::new(Stage::Preview));
    let refused = Router::builder(sizes(), ledger).with_settings(&settings(&[])).unwrap_err();
    assert_eq!(refused, SetupError::WrongStage);
}
