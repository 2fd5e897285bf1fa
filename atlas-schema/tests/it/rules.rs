//! Each cross-field rule: a record that keeps it, and the same record breaking it and nothing else.

use crate::samples::{alert, event, evidence, job, record, request, result, with, without};
use atlas_schema::read::{self, FaultKind, Record, Rule};
use atlas_schema::{Alert, AuditEvent, Evidence, ExtractionJob, ExtractionRequest, ExtractionResult, JobRecord};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The rules that `value` breaks and where; it must break nothing else.
fn broken<T: Record>(value: &Value) -> Vec<(String, Rule)> {
    assert!(read::matches_schema::<T>(value), "the schema objects: {:?}", read::validate::<T>(value));
    let faults = read::validate::<T>(value).err().into_iter().flatten();
    let rules = faults.map(|fault| match fault.kind {
        FaultKind::Rule(rule) => (fault.pointer.to_string(), rule),
        other => panic!("{other:?} at {}", fault.pointer),
    });
    let rules: Vec<_> = rules.collect();
    assert_eq!(read::from_value::<T>(value.clone()).is_ok(), rules.is_empty());
    rules
}

#[test]
fn every_sample_keeps_every_rule() {
    assert_eq!(broken::<ExtractionJob>(&job()), []);
    assert_eq!(broken::<ExtractionRequest>(&request()), []);
    assert_eq!(broken::<ExtractionResult>(&result()), []);
    assert_eq!(broken::<JobRecord>(&record()), []);
    assert_eq!(broken::<AuditEvent>(&event()), []);
    assert_eq!(broken::<Alert>(&alert()), []);
    assert_eq!(broken::<Evidence>(&evidence()), []);
}

type Broken = (Rule, &'static str, Vec<(String, Rule)>);

/// For each rule, a record that breaks it at the place named.
fn breaches() -> Vec<Broken> {
    let failed = || with(without(job(), "/result"), "/status", json!("failed"));
    let ended = |status: &str| {
        with(with(without(record(), "/lease"), "/status", json!(status)), "/finishedAt", json!(1_756_970_009_000_i64))
    };
    let unsuccessful = with(without(with(result(), "/success", json!(false)), "/outcome"), "/data", json!([]));
    vec![
        (
            Rule::UrlIsUsable,
            "/url",
            broken::<ExtractionJob>(&with(job(), "/url", json!("https://user:pass@example.org/"))),
        ),
        (Rule::RequestSaysWhat, "", broken::<ExtractionRequest>(&without(request(), "/schema"))),
        (Rule::CompletedNeedsResult, "/result", broken::<ExtractionJob>(&without(job(), "/result"))),
        (Rule::CompletedHasNoError, "/error", broken::<ExtractionJob>(&with(job(), "/error", json!("late")))),
        (Rule::ResultOnlyWhenCompleted, "/result", broken::<JobRecord>(&with(record(), "/result", json!(null)))),
        (Rule::FailedNeedsError, "/error", broken::<ExtractionJob>(&failed())),
        (Rule::FailedNeedsError, "/error", broken::<JobRecord>(&ended("timeout"))),
        (Rule::UnsuccessfulNeedsError, "/error", broken::<ExtractionResult>(&without(unsuccessful, "/evidence"))),
        (
            Rule::UpdatedAfterCreated,
            "/updatedAt",
            broken::<ExtractionJob>(&with(job(), "/updatedAt", json!(1_756_969_999_999_i64))),
        ),
        (Rule::LeaseWhileProcessing, "/lease", broken::<JobRecord>(&without(record(), "/lease"))),
        (Rule::FinishedWhenEnded, "/finishedAt", broken::<JobRecord>(&without(ended("cancelled"), "/finishedAt"))),
        (Rule::AttemptWithinEpoch, "/attempt", broken::<JobRecord>(&with(record(), "/attempt", json!(2)))),
        (
            Rule::AttemptWithinMax,
            "/attempt",
            broken::<JobRecord>(&with(with(record(), "/attempt", json!(4)), "/epoch", json!(4))),
        ),
        (
            Rule::DoneWithinTotal,
            "/progress/done",
            broken::<JobRecord>(&with(record(), "/progress", json!({"done": 3, "total": 2}))),
        ),
        (Rule::SpanInOrder, "/spans/0/end", broken::<Evidence>(&with(evidence(), "/spans/0/end", json!(9)))),
        (
            Rule::EvidenceHasValue,
            "/evidence/~10~1price",
            broken::<ExtractionResult>(&with(result(), "/evidence/~10~1price", json!([evidence()]))),
        ),
        (
            Rule::EvidenceHasPage,
            "/evidence/~10~1name/0/document",
            broken::<ExtractionResult>(&with(result(), "/evidence/~10~1name/0/document", json!(1))),
        ),
        (
            Rule::DerivedHasInputs,
            "/evidence/~10~1name/0/source/inputs",
            broken::<ExtractionResult>(&with(
                result(),
                "/evidence/~10~1name/0/source",
                json!({"kind": "derived", "inputs": ["/0/price"]}),
            )),
        ),
        (
            Rule::DerivedHasInputs,
            "/source/inputs",
            broken::<Evidence>(&with(evidence(), "/source", json!({"kind": "derived", "inputs": []}))),
        ),
        (Rule::OutcomeFitsData, "/outcome", broken::<ExtractionResult>(&with(result(), "/outcome", json!("empty")))),
        (Rule::StrategyWasUsed, "/strategy", broken::<ExtractionResult>(&with(result(), "/strategy", json!("plan")))),
        (Rule::FirstEventHasNoFrom, "/from", broken::<AuditEvent>(&without(event(), "/from"))),
        (Rule::FailureEventNeedsError, "/error", broken::<AuditEvent>(&without(event(), "/error"))),
    ]
}

#[test]
fn each_rule_is_broken_alone_at_its_place() {
    let mut seen = BTreeSet::new();
    for (rule, pointer, found) in breaches() {
        assert_eq!(found, [(pointer.to_owned(), rule)]);
        seen.insert(rule);
    }
    assert_eq!(seen, Rule::ALL.iter().copied().collect(), "every rule has a breach");
}

#[test]
fn rule_names_are_distinct_and_stable_words() {
    let names: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    assert!(names.iter().all(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
}

// Weak spots of the original, section 1: these passed there.

#[test]
fn completed_without_a_result_is_refused() {
    for nothing in [json!(null), json!({"success": false, "data": [1], "error": "none"})] {
        let found = broken::<ExtractionJob>(&with(job(), "/result", nothing));
        assert_eq!(found, [("/result".to_owned(), Rule::CompletedNeedsResult)]);
    }
    let found_nothing = json!({"success": false, "data": [], "error": "the page holds no such data"});
    assert_eq!(broken::<ExtractionJob>(&with(job(), "/result", found_nothing)), []);
}

#[test]
fn failed_without_an_error_is_refused() {
    let failed = with(with(job(), "/result", json!(null)), "/status", json!("failed"));
    assert_eq!(broken::<ExtractionJob>(&failed), [("/error".to_owned(), Rule::FailedNeedsError)]);
}

#[test]
fn updated_before_created_is_refused() {
    let found = broken::<JobRecord>(&with(record(), "/createdAt", json!(1_756_970_001_001_i64)));
    assert_eq!(found, [("/updatedAt".to_owned(), Rule::UpdatedAfterCreated)]);
    assert_eq!(broken::<JobRecord>(&with(record(), "/createdAt", json!(1_756_970_001_000_i64))), []);
}

#[test]
fn a_completed_job_that_timed_out_is_refused() {
    let both = with(job(), "/error", json!("Timeout with partial results"));
    assert_eq!(broken::<ExtractionJob>(&both), [("/error".to_owned(), Rule::CompletedHasNoError)]);
    let partial = json!({"success": false, "data": [{"name": "Soup"}]});
    let timeout = with(with(both, "/status", json!("timeout")), "/result", partial);
    assert_eq!(broken::<ExtractionJob>(&timeout), [], "the job's error explains its result");
}

#[test]
fn success_without_data_from_the_page_is_refused() {
    let emptied = with(without(result(), "/evidence"), "/data", json!([]));
    for outcome in ["complete", "partial"] {
        let found = broken::<ExtractionResult>(&with(emptied.clone(), "/outcome", json!(outcome)));
        assert_eq!(found, [("/outcome".to_owned(), Rule::OutcomeFitsData)]);
    }
    assert_eq!(broken::<ExtractionResult>(&with(emptied, "/outcome", json!("empty"))), []);
}

#[test]
fn evidence_points_as_rfc_6901_says() {
    let listed = with(result(), "/data", json!([{"name": "Soup", "a/b~c": [1, 2], "": {"-": 0}}]));
    for (pointer, there) in [
        ("", true),
        ("/0", true),
        ("/0/a~1b~0c/1", true),
        ("/0//-", true),
        ("/00", false),
        ("/+0", false),
        ("/-", false),
        ("/0/a~1b~0c/2", false),
        ("/0/a~1b~0c/-", false),
        ("/0/name/0", false),
        ("/0/a", false),
        ("/1", false),
    ] {
        let mut listed = listed.clone();
        listed["evidence"][pointer] = json!([evidence()]);
        let expected = if there { vec![] } else { vec![Rule::EvidenceHasValue] };
        let rules: Vec<_> = broken::<ExtractionResult>(&listed).into_iter().map(|(_, rule)| rule).collect();
        assert_eq!(rules, expected, "{pointer:?}");
    }
}

#[test]
fn a_result_that_names_a_strategy_that_did_not_run_is_refused() {
    let found = broken::<ExtractionResult>(&with(result(), "/strategy", json!("unified_extractor")));
    assert_eq!(found, [("/strategy".to_owned(), Rule::StrategyWasUsed)]);
}

#[test]
fn unusable_addresses_are_refused() {
    for url in [
        "http://",
        "https://",
        "http:///path",
        "http://example.org\\@other.test/",
        "https://:80/",
        "https://example.org:99999/",
        "http://[::1",
        "http://a b",
        "https://user@example.org/",
        "https://:secret@example.org/",
        "http://exa%mple.org/",
        "http://1.2.3.4.5/",
        "ftp://example.org/",
        "javascript://x/%0aalert(1)",
        "mailto://x",
        "https:/example.org",
        "HTTPS://example.org",
        "https://example.org/\n",
        "https://exam\u{ef}ple.org/",
        "//example.org/x",
        "example.org",
        "data:text/html,x1",
        "file:///etc/passwd",
    ] {
        assert!(read::validate::<ExtractionJob>(&with(job(), "/url", json!(url))).is_err(), "{url:?}");
    }
    for url in
        ["http://a", "https://example.org/a?b=c#d", "http://[::1]:8080/", "http://192.0.2.1/", "https://xn--e1a.test/"]
    {
        assert_eq!(broken::<ExtractionJob>(&with(job(), "/url", json!(url))), [], "{url}");
    }
    assert_eq!(broken::<ExtractionRequest>(&with(request(), "/url", json!("file:///srv/page.html"))), []);
}

#[test]
fn a_result_of_null_is_a_result_of_a_stored_job() {
    let done = with(with(without(record(), "/lease"), "/status", json!("completed")), "/result", json!(null));
    let done = with(done, "/finishedAt", json!(1_756_970_001_000_i64));
    let typed: JobRecord = read::from_value(done.clone()).unwrap();
    assert_eq!(typed.result, Some(Value::Null));
    assert_eq!(serde_json::to_value(&typed).unwrap(), done);
}

#[test]
fn schema_faults_and_broken_rules_are_reported_together() {
    let bad = with(with(job(), "/result", json!(null)), "/params/maxPages", json!("5"));
    let faults = read::from_value::<ExtractionJob>(bad).unwrap_err();
    let kinds: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.kind.as_str())).collect();
    assert_eq!(kinds, [("/params/maxPages", "wrong_type"), ("/result", "completed_needs_result")]);
}
