//! The predecessor's weak spots, each as a test that says it.

use crate::settings::{KEY, guarded};
use atlas_config::{
    Settings, SettingsError,
    settings::{Environment, ModelStrategy, ProblemKind},
};
use std::time::Duration;

fn names(error: &SettingsError) -> Vec<&str> {
    error.problems().iter().map(|problem| problem.name.as_str()).collect()
}

#[test]
fn production_checks_run_in_production() {
    for key in ["test", "test-api-key", "TEST_KEY_0123456789", "changeme", "short"] {
        let given = [("STAGE", "production"), ("MASTER_API_KEY", key), ("OPENAI_API_KEY", "sk-1")];
        let error = Settings::from_map(given).unwrap_err();
        assert_eq!(names(&error), ["ATLAS_MASTER_API_KEY", "ATLAS_OPENAI_API_KEY"], "{key}");
        let development = [("STAGE", "dev"), ("MASTER_API_KEY", key), ("OPENAI_API_KEY", "sk-1")];
        assert!(Settings::from_map(development).is_ok());
    }
}

#[test]
fn the_models_in_use_are_computed_from_the_checked_settings_and_stable_in_production() {
    let settings = Settings::from_map(guarded("production", &[])).unwrap();
    assert!(!settings.models().uses_gpt5());
    assert_eq!(settings.models().strategy, ModelStrategy::Gpt4Stable);
}

#[test]
fn a_worker_that_outlives_its_function_is_refused_by_name() {
    let error = Settings::from_map([("LAMBDA_TIMEOUT", "120"), ("WORKER_TIMEOUT", "280")]).unwrap_err();
    assert_eq!(names(&error), ["ATLAS_WORKER_TIMEOUT"]);
    assert!(matches!(error.problems()[0].kind, ProblemKind::Contradiction { .. }));
    assert!(Settings::from_map([("LAMBDA_TIMEOUT", "281")]).is_ok());
}

#[test]
fn forcing_the_stable_models_alone_is_no_contradiction() {
    let settings = Settings::from_map([("FORCE_GPT4", "true")]).unwrap();
    assert!(!settings.models().gpt5_enabled);
    assert!(!settings.models().uses_gpt5());
    let both = Settings::from_map([("FORCE_GPT4", "true"), ("GPT5_ENABLED", "true")]).unwrap_err();
    assert_eq!(names(&both), ["ATLAS_FORCE_GPT4"]);
}

#[test]
fn a_strategy_that_its_flags_forbid_is_refused_instead_of_changed_in_silence() {
    for other in [("GPT5_ENABLED", "false"), ("FORCE_GPT4", "true")] {
        let error = Settings::from_map([("DEFAULT_MODEL_STRATEGY", "gpt5_preview"), other]).unwrap_err();
        assert_eq!(names(&error), ["ATLAS_DEFAULT_MODEL_STRATEGY"]);
    }
}

#[test]
fn the_stage_decides_the_environment() {
    let environment = |stage| Settings::from_map(guarded(stage, &[])).unwrap().environment();
    assert_eq!(environment("dev"), Environment::Development);
    assert_eq!(environment("preview"), Environment::Development);
    assert_eq!(environment("staging"), Environment::Production);
    assert_eq!(environment("production"), Environment::Production);
    let mixed = Settings::from_map([("STAGE", "dev"), ("NODE_ENV", "production")]).unwrap_err();
    assert_eq!(names(&mixed), ["ATLAS_NODE_ENV"]);
    let test = Settings::from_map(guarded("production", &[("NODE_ENV", "test")])).unwrap_err();
    assert_eq!(names(&test), ["ATLAS_NODE_ENV"]);
    assert_eq!(Settings::from_map([("NODE_ENV", "test")]).unwrap().environment(), Environment::Test);
}

#[test]
fn an_unknown_word_or_a_number_out_of_range_is_never_the_preset() {
    for (name, text) in [
        ("WORKER_TIMEOUT", "1000"),
        ("WORKER_TIMEOUT", "0"),
        ("DEFAULT_MODEL_STRATEGY", "gpt5"),
        ("GPT5_MODEL_SELECTION", "Mini"),
        ("NODE_ENV", "prod"),
        ("COST_ALERTS_ENABLED", "on"),
        ("MONTHLY_BUDGET", "0.99"),
        ("MONTHLY_BUDGET", "100000.01"),
        ("LAMBDA_MEMORY_SIZE", "127"),
    ] {
        let error = Settings::from_map([(name, text)]).unwrap_err();
        assert_eq!(names(&error), [name], "{text}");
        assert!(matches!(error.problems()[0].kind, ProblemKind::Invalid { .. }));
    }
}

#[test]
fn each_stage_has_its_own_budget_and_cache() {
    let of = |stage| {
        let settings = Settings::from_map(guarded(stage, &[])).unwrap();
        (settings.models().monthly_budget.to_string(), settings.deployment().cache_ttl)
    };
    assert_eq!(of("preview"), ("500".to_owned(), Duration::from_mins(5)));
    assert_eq!(of("staging"), ("1000".to_owned(), Duration::from_mins(10)));
    assert_eq!(of("production"), ("2000".to_owned(), Duration::from_hours(1)));
}

#[test]
fn settings_cannot_be_changed_after_loading() {
    // Shared references only: `Settings` has no method that takes `&mut self`, and its fields are private.
    let settings = Settings::from_map([("MASTER_API_KEY", KEY)]).unwrap();
    let copy = settings.clone();
    assert_eq!(format!("{settings:?}"), format!("{copy:?}"));
}
