//! Bad settings: each refused by name, all at once, with no value in any message.

use crate::settings::{KEY, guarded};
use atlas_config::{
    Secret, Settings, SettingsError,
    settings::{Problem, ProblemKind, Rule},
};
use proptest::prelude::*;
use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

fn only(given: &[(&str, &str)]) -> Problem {
    let error = Settings::from_map(given.iter().copied()).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
    error.problems()[0].clone()
}

#[test]
fn bad_input_01_keys_that_look_like_numbers_or_lists_stay_texts() {
    for key in ["1234567890123456", "true", "[1,2]", "ключ-ключ-ключ-🔑", " padded "] {
        let settings = Settings::from_map([("MASTER_API_KEY", key)]).unwrap();
        assert_eq!(settings.service().master_api_key.as_ref().map(Secret::expose), Some(key));
        let quoted = format!("ATLAS_MASTER_API_KEY = {key:?}");
        let settings = Settings::loader().with_toml("file", &quoted).load().unwrap();
        assert_eq!(settings.service().master_api_key.as_ref().map(Secret::expose), Some(key));
    }
}

#[test]
fn bad_input_02_a_secret_in_a_numeric_field_shows_nowhere() {
    let secret = "sk-live-4242424242424242";
    for field in Settings::fields().filter(|field| matches!(field.rule, Rule::Whole { .. })) {
        let problem = only(&[(field.name, secret)]);
        assert!(!format!("{problem} {problem:?}").contains("4242"), "{}", field.name);
    }
}

#[test]
fn bad_input_03_a_syntax_error_on_a_secrets_line_tells_the_line_only() {
    let text = "ATLAS_LEASE = 5000\nATLAS_OPENAI_API_KEY = sk-live-4242\n";
    let error = Settings::loader().with_toml("atlas.toml", text).load().unwrap_err();
    assert_eq!(error.problems()[0].kind, ProblemKind::Syntax { line: 2 });
    assert_eq!(error.to_string(), "1 fault in the settings:\n  atlas.toml: syntax error in line 2");
    assert!(!format!("{error:?}").contains("4242"));
}

#[test]
fn bad_input_04_a_misspelt_name_is_refused_with_the_name_that_was_meant() {
    for (given, meant) in [
        ("ATLAS_RETRYS", "ATLAS_RETRIES"),
        ("ATLAS_RETRIE", "ATLAS_RETRIES"),
        ("atlas_retries", "ATLAS_RETRIES"),
        ("ATLAS_CONCURENCY", "ATLAS_CONCURRENCY"),
        ("ATLAS_STAEG", "ATLAS_STAGE"),
    ] {
        assert_eq!(only(&[(given, "5")]).kind, ProblemKind::Unknown { suggestion: Some(meant) }, "{given}");
    }
    assert_eq!(only(&[("ATLAS_SOMETHING_ELSE", "5")]).kind, ProblemKind::Unknown { suggestion: None });
    // Something pasted where a name belongs.
    let problem = only(&[("ATLAS_sk-live-4242", "5")]);
    assert!(!problem.to_string().contains("4242"));
}

#[test]
fn bad_input_05_numbers_are_digits_from_end_to_end() {
    for text in
        ["300abc", " 80 ", "80 ", "1e3", "0x50", "+5", "-5", "5.0", "007", "٥", "5\u{a0}", "18446744073709551616"]
    {
        let problem = only(&[("WORKER_TIMEOUT", text)]);
        assert!(matches!(problem.kind, ProblemKind::Invalid { .. }), "{text}: {problem}");
    }
    assert_eq!(only(&[("WORKER_TIMEOUT", "")]).kind, ProblemKind::Empty);
    for text in ["1e3", "1,000", "$10", "1.0000000001", ".5", "5.", "-5", "NaN", "inf"] {
        assert!(matches!(only(&[("MONTHLY_BUDGET", text)]).kind, ProblemKind::Invalid { .. }), "{text}");
    }
}

#[test]
fn bad_input_06_a_number_out_of_range_is_refused_with_the_range() {
    let problem = only(&[("WORKER_TIMEOUT", "1000")]);
    assert_eq!(problem.to_string(), "WORKER_TIMEOUT: must be a whole number (s) from 1 to 900, in digits only");
}

#[test]
fn bad_input_07_a_stage_is_one_of_four_words() {
    let long = "d".repeat(300);
    for text in ["../prod x", "PROD", "prod", "Dev", "dev ", "dev/", &long] {
        let problem = only(&[("STAGE", text)]);
        assert_eq!(problem.name, "STAGE");
        assert!(matches!(problem.kind, ProblemKind::Invalid { .. }), "{text}");
    }
}

#[test]
fn bad_input_08_a_resource_of_another_stage_is_refused_at_start() {
    for (name, text) in [
        ("CONNECTIONS_TABLE", "atlas-codex-connections-production"),
        ("CONNECTIONS_TABLE", "connections"),
        ("CONNECTIONS_TABLE", "atlas-codex-jobs-dev"),
        ("ARTIFACTS_BUCKET", "atlas-codex-artifacts-production"),
        ("QUEUE_URL", "https://sqs.us-west-2.amazonaws.com/123456789012/atlas-codex-queue-production"),
        ("QUEUE_URL", "https://sqs.eu-west-1.amazonaws.com/123456789012/atlas-codex-queue-dev"),
        ("WEBSOCKET_API_ENDPOINT", "wss://a.execute-api.us-west-2.amazonaws.com/production"),
    ] {
        let problem = only(&[("ATLAS_STAGE", "dev"), (name, text)]);
        assert_eq!(problem.name, format!("ATLAS_{name}"));
        assert!(matches!(problem.kind, ProblemKind::Contradiction { .. }), "{text}");
    }
    let queue = "https://sqs.us-west-2.amazonaws.com/999999999999/atlas-codex-queue-dev";
    let problem = only(&[("QUEUE_URL", queue), ("ATLAS_AWS_ACCOUNT_ID", "123456789012")]);
    assert_eq!(problem.name, "ATLAS_QUEUE_URL");
    assert!(!problem.to_string().contains("999"));
}

#[test]
fn bad_input_09_a_test_key_in_production_is_refused() {
    let mut given = guarded("production", &[]);
    given[1].1 = "test-key-0123456789";
    assert_eq!(only(&given).name, "ATLAS_MASTER_API_KEY");
}

#[test]
fn bad_input_10_a_worker_timeout_that_reaches_the_functions_is_refused() {
    assert_eq!(only(&[("WORKER_TIMEOUT", "300")]).name, "ATLAS_WORKER_TIMEOUT");
    assert_eq!(only(&[("LAMBDA_TIMEOUT", "280"), ("WORKER_TIMEOUT", "280")]).name, "ATLAS_WORKER_TIMEOUT");
}

#[test]
fn bad_input_11_five_faults_are_five_lines_of_one_report() {
    let given = [
        ("ATLAS_RETRYS", "5"),
        ("WORKER_TIMEOUT", "1000"),
        ("MONTHLY_BUDGET", "much"),
        ("FORCE_GPT4", "maybe"),
        ("ATLAS_LEASE", ""),
    ];
    let error = Settings::from_map(given).unwrap_err();
    assert_eq!(error.problems().len(), 5);
    assert_eq!(error.to_string().lines().count(), 6, "a heading and five lines: {error}");
}

#[test]
fn bad_input_12_what_is_no_text_is_refused_by_name() {
    let refused = |value: OsString| {
        let error = Settings::from_map([("ATLAS_USER_AGENT", value)]).unwrap_err();
        assert_eq!(error.problems()[0].name, "ATLAS_USER_AGENT");
        error.problems()[0].kind.clone()
    };
    assert_eq!(refused(OsString::from_vec(vec![0xff, 0xfe])), ProblemKind::NotUtf8);
    assert_eq!(refused("a\0b".into()), ProblemKind::ControlCharacter);
    assert_eq!(refused("key\n".into()), ProblemKind::ControlCharacter);
    assert_eq!(refused("x".repeat(1 << 20).into()), ProblemKind::TooLong { max: 8192 });
    let name = OsString::from_vec(b"ATLAS_\xff".to_vec());
    assert!(Settings::from_map([(name, OsString::from("x"))]).is_err());
}

#[test]
fn two_names_of_one_setting_must_agree() {
    let problem = only(&[("STAGE", "dev"), ("SERVERLESS_STAGE", "preview")]);
    assert_eq!(problem.kind, ProblemKind::Disagreement { with: "SERVERLESS_STAGE" });
    assert_eq!(only(&[("ATLAS_AWS_REGION", "a"), ("AWS_REGION", "b")]).name, "AWS_REGION");
}

#[test]
fn a_url_with_credentials_or_another_scheme_is_refused() {
    for text in
        ["https://user:pw@sqs.us-west-2.amazonaws.com/1/atlas-codex-queue-dev", "ftp://x/atlas-codex-queue-dev", "x"]
    {
        assert!(matches!(only(&[("QUEUE_URL", text)]).kind, ProblemKind::Invalid { .. }), "{text}");
    }
}

#[test]
fn limits_that_exclude_each_other_are_refused() {
    assert_eq!(only(&[("ATLAS_FETCH_TIMEOUT", "120001")]).name, "ATLAS_FETCH_TIMEOUT");
    assert_eq!(only(&[("ATLAS_RETRY_PAUSE", "60001")]).name, "ATLAS_RETRY_PAUSE");
    let loopback = guarded("production", &[("ATLAS_EGRESS_ALLOW_LOOPBACK", "true")]);
    assert_eq!(only(&loopback).name, "ATLAS_EGRESS_ALLOW_LOOPBACK");
}

#[test]
fn a_guarded_stage_names_every_key_that_is_missing() {
    for stage in ["staging", "production"] {
        let error = Settings::from_map([("STAGE", stage)]).unwrap_err();
        assert_eq!(error.problems().len(), 2);
        assert!(error.problems().iter().all(|problem| matches!(problem.kind, ProblemKind::Missing { .. })));
    }
}

/// Every way in which settings could be printed.
fn prints(secret: &str, given: &[(String, String)]) -> String {
    let shown = |result: Result<Settings, SettingsError>| match result {
        Ok(settings) => {
            let entries: Vec<_> = settings.entries().iter().map(|entry| (entry, entry.shown())).collect();
            format!("{settings:?} {settings:#?} {entries:?} {:?}", Secret::new(secret))
        }
        Err(error) => format!("{error} {error:?} {error:#?}"),
    };
    let loader = Settings::loader().with_layer("map", given.iter().cloned());
    format!("{} {loader:?}", shown(loader.load()))
}

proptest! {
    #![proptest_config(crate::cases(256))]

    #[test]
    fn no_secret_is_ever_printed(secret in "CANARY[a-zA-Z0-9+/=_ -]{8,40}", at in 0usize..1000, stage in "dev|production|\\PC{0,9}") {
        // The secret lands in its own setting, and in some other one by mistake.
        let fields: Vec<_> = Settings::fields().collect();
        let wrong = fields[at % fields.len()];
        let visible = matches!(wrong.rule, Rule::Text(_));
        let mut given: Vec<(String, String)> = vec![
            ("ATLAS_MASTER_API_KEY".into(), secret.clone()), ("OPENAI_API_KEY".into(), secret.clone()), ("STAGE".into(), stage),
        ];
        if !visible && wrong.name != "ATLAS_STAGE" {
            given.push((wrong.name.into(), secret.clone()));
        }
        given.push(("ATLAS_UNKNOWN".into(), secret.clone()));
        prop_assert!(!prints(&secret, &given).contains("CANARY"));
        given.pop();
        prop_assert!(!prints(&secret, &given).contains("CANARY"));
    }

    #[test]
    fn a_text_is_read_or_reported_and_never_replaced(at in 0usize..1000, text in "\\PC{1,12}|[0-9]{1,7}|true|no|1e3") {
        let fields: Vec<_> = Settings::fields().collect();
        let field = fields[at % fields.len()];
        match Settings::from_map([(field.name, text.as_str())]) {
            Ok(settings) => {
                let entry = settings.entries().iter().find(|entry| entry.field().name == field.name).unwrap();
                prop_assert_eq!(entry.origin(), Some("map"));
                prop_assert!(field.is_secret() || entry.shown() == text);
            }
            Err(error) => prop_assert!(!error.problems().is_empty()),
        }
    }

    #[test]
    fn as_many_faults_as_are_made_are_reported(picks in proptest::collection::btree_set(0usize..1000, 1..12)) {
        let fields: Vec<_> = Settings::fields().filter(|field| !matches!(field.rule, Rule::Secret | Rule::Text(_)) && field.name != "ATLAS_STAGE").collect();
        let names: std::collections::BTreeSet<&str> = picks.iter().map(|at| fields[at % fields.len()].name).collect();
        let error = Settings::from_map(names.iter().map(|name| (*name, "§"))).unwrap_err();
        prop_assert_eq!(error.problems().iter().map(|problem| problem.name.as_str()).collect::<std::collections::BTreeSet<_>>(), names);
    }

    #[test]
    fn no_toml_text_makes_the_loader_panic(text in "\\PC{0,60}|ATLAS_[A-Z]{1,5} = \\PC{0,20}\n\\PC{0,20}") {
        let _ = Settings::loader().with_toml("file", &text).load();
    }
}

#[test]
fn a_real_key_of_a_guarded_stage_is_kept_whole() {
    let settings = Settings::from_map(guarded("production", &[])).unwrap();
    assert_eq!(settings.models().openai_api_key.as_ref().map(Secret::expose), Some(KEY));
}
