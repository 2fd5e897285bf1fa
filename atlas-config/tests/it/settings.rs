//! What good settings give.

use atlas_config::{
    Resource, Settings,
    settings::{Environment, Field, ModelStrategy, Part, Preset, Rule},
};
use atlas_schema::{Stage, Usd};
use std::{collections::BTreeSet, path::PathBuf, time::Duration};

pub(crate) const KEY: &str = "k7Qm-2vXw-91Zr-Lp0s";

/// Settings that a guarded stage accepts, and then `more`.
pub(crate) fn guarded<'a>(stage: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![("ATLAS_STAGE", stage), ("ATLAS_MASTER_API_KEY", KEY), ("ATLAS_OPENAI_API_KEY", KEY)];
    all.extend_from_slice(more);
    all
}

#[test]
fn nothing_given_is_a_complete_development_setting() {
    let settings = Settings::from_map::<&str, &str>([]).unwrap();
    assert_eq!(settings.stage(), Stage::Dev);
    assert_eq!(settings.environment(), Environment::Development);
    assert_eq!(settings.deployment().region, "us-west-2");
    assert_eq!(settings.deployment().lambda_timeout, Duration::from_mins(5));
    assert_eq!(settings.deployment().worker_timeout, Duration::from_secs(280));
    assert_eq!(settings.deployment().lambda_memory, 1024);
    assert_eq!(settings.models().monthly_budget, Usd::from_dollars(1000).unwrap());
    assert_eq!(settings.engine().timeout, Duration::from_mins(2));
    assert_eq!(settings.database(), PathBuf::from("atlas-codex-jobs-dev.db"));
    assert!(settings.service().master_api_key.is_none());
}

#[test]
fn every_preset_is_a_value_under_its_own_rule() {
    for stage in Stage::ALL {
        let all = guarded(stage.as_str(), &[]);
        let settings = Settings::from_map(all).unwrap();
        let preset = Settings::fields().filter(|field| field.preset != Preset::Absent).count();
        assert!(settings.entries().len() >= preset, "{stage}");
    }
}

#[test]
fn names_are_unique_and_carry_the_prefix() {
    let mut seen = BTreeSet::new();
    for field in Settings::fields() {
        assert!(
            field.name.starts_with("ATLAS_")
                && field.name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        );
        for name in std::iter::once(&field.name).chain(field.aliases) {
            assert!(seen.insert(*name), "{name} names two settings");
        }
        assert!(!field.doc.is_empty() && field.doc.ends_with('.'), "{}", field.name);
    }
}

#[test]
fn every_variable_of_the_predecessor_is_read() {
    let known: BTreeSet<&str> = Settings::fields().flat_map(|field| field.aliases).copied().collect();
    for name in [
        "NODE_ENV",
        "STAGE",
        "SERVERLESS_STAGE",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "MASTER_API_KEY",
        "CORS_ORIGIN",
        "OPENAI_API_KEY",
        "GPT5_ENABLED",
        "GPT5_MODEL_SELECTION",
        "GPT5_FALLBACK_ENABLED",
        "GPT5_REASONING_ENABLED",
        "FORCE_GPT4",
        "UNIFIED_EXTRACTOR_ENABLED",
        "DEFAULT_MODEL_STRATEGY",
        "QUEUE_URL",
        "WEBSOCKET_API_ENDPOINT",
        "ARTIFACTS_BUCKET",
        "CONNECTIONS_TABLE",
        "LAMBDA_TIMEOUT",
        "WORKER_TIMEOUT",
        "LAMBDA_MEMORY_SIZE",
        "MONTHLY_BUDGET",
        "COST_ALERTS_ENABLED",
        "FEATURE_ASYNC_PROCESSING",
        "FEATURE_BATCH_PROCESSING",
        "FEATURE_WEBHOOK_SUPPORT",
        "FEATURE_ADVANCED_LOGGING",
    ] {
        assert!(known.contains(name), "{name}");
    }
}

#[test]
fn names_of_the_predecessor_work_and_ours_may_agree_with_them() {
    let settings =
        Settings::from_map([("STAGE", "preview"), ("ATLAS_STAGE", "preview"), ("MONTHLY_BUDGET", "99.50")]).unwrap();
    assert_eq!(settings.stage(), Stage::Preview);
    assert_eq!(settings.models().monthly_budget.to_string(), "99.5");
}

#[test]
fn the_budget_is_exact_to_the_nano_dollar() {
    let settings = Settings::from_map([("ATLAS_MONTHLY_BUDGET", "1000.000000001")]).unwrap();
    assert_eq!(settings.models().monthly_budget.as_nanos(), 1_000_000_000_001);
}

#[test]
fn booleans_are_read_as_the_predecessor_did() {
    for (text, expected) in [("true", true), ("1", true), ("YES", true), ("False", false), ("0", false), ("no", false)]
    {
        let settings = Settings::from_map([("FEATURE_BATCH_PROCESSING", text)]).unwrap();
        assert_eq!(settings.service().batch_processing, expected, "{text}");
    }
}

#[test]
fn foreign_variables_are_passed_over() {
    let given = [("PATH", "/bin"), ("HOME", ""), ("MY_ATLAS_X", "1"), ("ATLAS", "x"), ("ATLAS_CASES", "10")];
    assert!(Settings::from_map(given).is_ok());
    let other = Settings::loader().with_layer("map", [("ATLAS_URI", "mongodb://x")]);
    assert!(other.load().is_err());
    assert!(other.ignoring("ATLAS_URI").load().is_ok());
}

#[test]
fn bad_input_13_the_environment_wins_over_a_file_and_provenance_shows_both() {
    let settings = Settings::loader()
        .with_toml("atlas.toml", "ATLAS_CONCURRENCY = 2\nATLAS_LEASE = \"5000\"\nATLAS_COST_ALERTS_ENABLED = false\n")
        .with_layer("environment", [("ATLAS_CONCURRENCY", "9")])
        .load()
        .unwrap();
    assert_eq!(settings.jobs().concurrency, 9);
    assert_eq!(settings.jobs().lease, Duration::from_secs(5));
    assert!(!settings.models().cost_alerts_enabled);
    let entry = |name| settings.entries().iter().find(|entry| entry.field().name == name).unwrap();
    assert_eq!(entry("ATLAS_CONCURRENCY").origin(), Some("environment"));
    assert_eq!(entry("ATLAS_CONCURRENCY").overridden().collect::<Vec<_>>(), ["atlas.toml"]);
    assert_eq!(entry("ATLAS_LEASE").origin(), Some("atlas.toml"));
    assert_eq!(entry("ATLAS_RETRIES").origin(), None);
}

#[test]
fn a_host_without_a_part_needs_nothing_for_it() {
    let bare = Settings::loader().with_layer("map", [("ATLAS_STAGE", "production")]);
    assert_eq!(bare.load().unwrap_err().problems().len(), 2);
    assert!(bare.without(Part::Service).without(Part::Models).load().is_ok());
}

#[test]
fn the_egress_policy_follows_the_settings() {
    let given = [("ATLAS_EGRESS_ALLOW", "10.1.0.0/16, fd00:1::/32"), ("ATLAS_EGRESS_DENY", "8.8.8.0/24")];
    let policy = Settings::from_map(given).unwrap().egress();
    assert!(policy.check_ip("10.1.2.3".parse().unwrap()).is_ok());
    assert!(policy.check_ip("10.2.2.3".parse().unwrap()).is_err());
    assert!(policy.check_ip("8.8.8.8".parse().unwrap()).is_err());
    assert!(policy.check_ip("127.0.0.1".parse().unwrap()).is_err());
    let local = Settings::from_map([("ATLAS_EGRESS_ALLOW_LOOPBACK", "true")]).unwrap().egress();
    assert!(local.check_ip("127.0.0.1".parse().unwrap()).is_ok());
}

#[test]
fn resources_of_the_own_stage_are_accepted() {
    let given = guarded(
        "staging",
        &[
            ("QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012/atlas-codex-queue-staging"),
            ("AWS_REGION", "eu-central-1"),
            ("ATLAS_AWS_ACCOUNT_ID", "123456789012"),
            ("ARTIFACTS_BUCKET", "atlas-codex-artifacts-staging"),
            ("CONNECTIONS_TABLE", "atlas-codex-connections-staging"),
            ("WEBSOCKET_API_ENDPOINT", "wss://abc.execute-api.eu-central-1.amazonaws.com/staging"),
        ],
    );
    let settings = Settings::from_map(given).unwrap();
    assert_eq!(settings.names().name(Resource::Queue).as_str(), "atlas-codex-queue-staging");
}

#[test]
fn what_is_given_by_hand_wins_over_what_the_stage_presets() {
    let uses = |given: &[(&str, &str)]| {
        let settings = Settings::from_map(given.iter().copied()).unwrap();
        (settings.models().uses_gpt5(), settings.models().strategy)
    };
    assert_eq!(uses(&[]), (true, ModelStrategy::Gpt5Preview));
    assert_eq!(uses(&[("GPT5_ENABLED", "false")]), (false, ModelStrategy::Gpt4Stable));
    assert_eq!(uses(&guarded("production", &[])), (false, ModelStrategy::Gpt4Stable));
    assert_eq!(uses(&guarded("production", &[("GPT5_ENABLED", "true")])), (true, ModelStrategy::Auto));
    assert_eq!(
        uses(&guarded("production", &[("DEFAULT_MODEL_STRATEGY", "gpt5_preview")])),
        (true, ModelStrategy::Gpt5Preview)
    );
    assert_eq!(uses(&guarded("production", &[("FORCE_GPT4", "false")])), (false, ModelStrategy::Gpt4Stable));
}

#[test]
fn the_table_states_its_bounds() {
    let field = |name: &str| -> &'static Field { Settings::fields().find(|field| field.name == name).unwrap() };
    assert_eq!(field("ATLAS_WORKER_TIMEOUT").rule, Rule::Whole { min: 1, max: 900, unit: "s" });
    assert_eq!(field("ATLAS_LAMBDA_MEMORY_SIZE").rule, Rule::Whole { min: 128, max: 10_240, unit: "MiB" });
    assert_eq!(field("ATLAS_MONTHLY_BUDGET").rule, Rule::Dollars { min: 1, max: 100_000 });
    assert!(field("ATLAS_OPENAI_API_KEY").is_secret());
}
