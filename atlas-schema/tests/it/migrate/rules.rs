//! The rules by name: weak spots of the predecessor and bad inputs, each as a claim.

use super::{bytes_of, edited, fixture, fixtures, migrated, quarantined};
use atlas_schema::migrate::{
    AttachError, Migration, NoteCode, QuarantineReason, Quarantined, Secrets, Shape, SideRecord, migrate,
};
use atlas_schema::{ExtractionType, JobStatus, JsonPointer, ModelOverride, read};
use serde_json::{Value, json};

fn pointer(text: &str) -> JsonPointer {
    JsonPointer::parse(text).unwrap()
}

/// A flat record of the old format around the given fields; null takes one away.
fn old(fields: Value) -> Vec<u8> {
    let mut record = json!({"id": "old-job-123", "status": "queued", "url": "https://example.com",
        "extractionInstructions": "Test", "created_at": 1_757_000_000_000_i64, "updated_at": 1_757_000_000_001_i64});
    for (key, value) in fields.as_object().unwrap() {
        match value {
            Value::Null => record.as_object_mut().unwrap().remove(key),
            value => record.as_object_mut().unwrap().insert(key.clone(), value.clone()),
        };
    }
    serde_json::to_vec(&record).unwrap()
}

#[test]
fn legacy_job_is_readable() {
    let done = migrated(fixture("L01-accepted"));
    assert_eq!(done.shape, Shape::LambdaAccepted);
    let mut job = serde_json::to_value(&done.job).unwrap();
    let correlation = job["correlationId"].take();
    assert!(correlation.as_str().unwrap().starts_with("mig_"));
    assert_eq!(
        job,
        json!({"id":"extract_1756970000000_a1b2c3d4e","type":"sync","status":"pending","url":"https://ex.org/staff",
            "params":{"extractionInstructions":"names","maxPages":2,"maxDepth":2,"timeout":20000,
                "UNIFIED_EXTRACTOR_ENABLED":true,"GPT5_ENABLED":false},
            "result":null,"error":null,"createdAt":1_756_970_000_000_i64,"updatedAt":1_756_970_000_000_i64,"logs":[],
            "correlationId":null,"schemaVersion":"1.0.0"})
    );
    assert_eq!(done.side.unwrap().entries[&pointer("/params/formats")], json!(["structured"]));
}

#[test]
fn failed_inline_job_and_timed_out_job_read_as_documented() {
    let failed = migrated(fixture("L03-failed")).job;
    assert_eq!((failed.status, failed.error.as_deref()), (JobStatus::Failed, Some("HTTP 404: Not Found")));
    let result = serde_json::to_value(failed.result).unwrap();
    assert_eq!(result, json!({"success": false, "data": [], "error": "HTTP 404: Not Found"}));

    let late = migrated(fixture("L13-timed-out")).job;
    assert_eq!((late.status, late.error.as_deref()), (JobStatus::Timeout, Some("Timeout with partial results")));
    assert_eq!(serde_json::to_value(late.result).unwrap(), json!({"success": false, "data": [{"name": "Ann"}]}));
}

#[test]
fn every_migrated_job_passes_strict_reading() {
    for (name, bytes) in fixtures() {
        if let Migration::Migrated(done) = migrate(&bytes) {
            let read = read::from_slice(&bytes_of(&done.job));
            assert_eq!(read.as_ref(), Ok(&done.job), "{name}");
        }
    }
}

#[test]
fn migration_never_reports_success_without_data() {
    for result in [json!({"success": true, "data": []}), json!({"success": true, "data": null}), json!({"data": []})] {
        let done = migrated(old(json!({"status": "done", "result": result})));
        assert!(!done.job.result.unwrap().success);
    }
    let without = migrated(fixture("L18-old-format"));
    assert_eq!(without.job.status, JobStatus::Completed);
    assert!(!without.job.result.unwrap().success);
}

#[test]
fn migration_never_reports_success_for_a_job_that_did_not_complete() {
    for status in ["failed", "cancelled", "processing", "timeout", "queued"] {
        let result = json!({"success": true, "data": [{"a": 1}]});
        let done = migrated(old(json!({"status": status, "result": result})));
        let result = done.job.result.unwrap();
        assert!(!result.success, "{status}");
        assert_eq!(result.data, [json!({"a": 1})]);
        assert!(done.notes.iter().any(|note| note.code == NoteCode::SuccessRefused));
    }
}

#[test]
fn completed_with_a_result_that_failed_is_failed() {
    let result = json!({"success": false, "data": [], "error": "HTTP 500"});
    let done = migrated(old(json!({"status": "done", "result": result})));
    assert_eq!((done.job.status, done.job.error.as_deref()), (JobStatus::Failed, Some("HTTP 500")));
    let done = migrated(old(json!({"status": "done", "result": {"success": false, "data": [1]}})));
    assert_eq!((done.job.status, done.job.error.as_deref()), (JobStatus::Failed, Some("no error was recorded")));
}

#[test]
fn bad_input_14_two_versions_are_decided_by_rule_or_quarantined() {
    // Decided by the tag: the older names can't be in a tagged record.
    let reason = quarantined(fixture("A1-two-versions")).reason;
    assert_eq!(
        reason,
        QuarantineReason::AmbiguousVersion { fields: vec![pointer("/created_at"), pointer("/schemaVersion")] }
    );
    // No rule says which id is right, or which of two results.
    assert_eq!(quarantined(fixture("A2-two-ids")).reason.code(), "ambiguous_version");
    let two = old(json!({"status": "done", "result": {"success": true, "data": [1]}, "data": [2]}));
    assert_eq!(quarantined(two).reason.code(), "ambiguous_version");
    // A rule says so: the top wins, the other is kept.
    let two = migrated(old(json!({"prompt": "other", "params": {"url": "https://other.example"}})));
    assert_eq!(two.job.params.extraction_instructions, "Test");
    assert_eq!(two.job.url, "https://example.com");
    let side = two.side.unwrap();
    assert_eq!(side.entries[&pointer("/prompt")], json!("other"));
    assert_eq!(side.entries[&pointer("/params/url")], json!("https://other.example"));
}

#[test]
fn bad_input_15_future_version_is_refused_untouched() {
    let bytes = fixture("F1-future");
    let held = quarantined(&bytes);
    assert_eq!(held.reason, QuarantineReason::FutureVersion);
    assert_eq!(held.original, bytes);
    assert_eq!(held.secrets, Secrets::Unchecked);
    for version in [json!("1.0.1"), json!("1.10.0"), json!("2.0.0")] {
        assert_eq!(
            quarantined(edited("C1-canonical", |v| v["schemaVersion"] = version)).reason.code(),
            "future_version"
        );
    }
    for version in [json!("0.9.0"), json!("1.0"), json!("1.0.0-beta"), json!("01.0.0"), json!(1), json!("")] {
        assert_eq!(
            quarantined(edited("C1-canonical", |v| v["schemaVersion"] = version)).reason.code(),
            "unknown_version"
        );
    }
}

#[test]
fn bad_input_16_depth_bomb_is_quarantined_on_a_small_stack() {
    let bomb = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let run = move || {
        assert_eq!(quarantined(bomb(100_000)).reason, QuarantineReason::TooDeep);
        let inside = old(json!({"params": bomb(100_000)}));
        assert_eq!(quarantined(inside).reason, QuarantineReason::TooDeep);
        // Each text fits, both together do not.
        let text = format!("{{\"data\":{}}}", bomb(119));
        assert_eq!(quarantined(old(json!({"status": "done", "result": text}))).reason, QuarantineReason::TooDeep);
        let text = format!("{{\"data\":{}}}", bomb(110));
        assert_eq!(migrated(old(json!({"status": "done", "result": text}))).job.status, JobStatus::Completed);
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}

#[test]
fn bad_input_17_numbers_are_kept_exactly_or_quarantined() {
    let exact = br#"{"id":"a","status":"queued","url":"https://e.org","prompt":"x","createdAt":1757000000000,
        "big":9007199254740993,"small":-9223372036854775808,"most":18446744073709551615}"#;
    let side = migrated(exact).side.unwrap();
    assert_eq!(side.entries[&pointer("/big")].to_string(), "9007199254740993");
    assert_eq!(side.entries[&pointer("/small")].to_string(), "-9223372036854775808");
    assert_eq!(side.entries[&pointer("/most")].to_string(), "18446744073709551615");
    for number in ["1e400", "18446744073709551616", "-9223372036854775809"] {
        let text = format!(r#"{{"id":"a","params":"{{\"n\":{number}}}"}}"#);
        assert_eq!(quarantined(text).reason, QuarantineReason::NumberOutOfRange, "{number}");
    }
    assert_eq!(quarantined(r#"{"id":"a","id":"b"}"#).reason, QuarantineReason::DuplicateKey);
    assert_eq!(quarantined(r#"{"id":"a","params":"{\"a\":1,\"a\":2}"}"#).reason, QuarantineReason::DuplicateKey);
    assert_eq!(quarantined(r#"{"id":NaN}"#).reason, QuarantineReason::NotJson);
}

#[test]
fn bad_input_20_sixty_seconds_and_sixty_thousand_milliseconds_are_the_same() {
    for (written, meant) in [(60, 60_000), (60_000, 60_000), (999, 300_000), (1000, 1000), (0, 1000), (1, 1000)] {
        assert_eq!(migrated(old(json!({"timeout": written}))).job.params.timeout, meant, "{written}");
        assert_eq!(migrated(old(json!({"params": {"timeout": written}}))).job.params.timeout, meant, "{written}");
    }
}

#[test]
fn odd_limits_are_read_leniently_clamped_and_kept() {
    for (written, meant, kept) in [
        (json!("5"), 5, false),
        (json!(5.0), 5, false),
        (json!(500), 100, true),
        (json!(-3), 1, true),
        (json!(2.5), 10, true),
        (json!("many"), 10, true),
        (json!([5]), 10, true),
        (json!(u64::MAX), 10, true),
    ] {
        let done = migrated(old(json!({"params": {"maxPages": written}})));
        assert_eq!(done.job.params.max_pages, meant, "{written}");
        let side = done.side.map(|side| side.entries[&pointer("/params/maxPages")].clone());
        assert_eq!(side, kept.then_some(written));
    }
    let done = migrated(old(json!({"maxDepth": 3, "params": {"maxDepth": 4}})));
    assert_eq!(done.job.params.max_depth, 3);
    assert_eq!(done.side.unwrap().entries[&pointer("/params/maxDepth")], json!(4));
    let model = json!({"modelOverride": "gpt-5-nano", "GPT5_ENABLED": "true", "UNIFIED_EXTRACTOR_ENABLED": false});
    let params = migrated(old(json!({"params": model}))).job.params;
    assert_eq!(params.model_override.map(ModelOverride::as_str), Some("gpt-5-nano"));
    assert!(params.gpt5_enabled && !params.unified_extractor_enabled);
}

#[test]
fn bad_input_21_missing_time_is_quarantined_never_now() {
    let untimed = json!({"created_at": null, "updated_at": null});
    assert_eq!(quarantined(old(untimed)).reason, QuarantineReason::NoTime);
    let inside = json!({"created_at": null, "updated_at": null, "id": "extract_1757000000123_abc"});
    let job = migrated(old(inside)).job;
    assert_eq!((job.created_at.as_millis(), job.updated_at.as_millis()), (1_757_000_000_123, 1_757_000_000_123));
    // Unreadable is missing, and kept.
    let odd = json!({"created_at": "yesterday", "updated_at": 12, "id": "extract_1757000000123_abc"});
    let done = migrated(old(odd));
    assert_eq!(done.job.created_at.as_millis(), 1_757_000_000_123);
    assert_eq!(done.side.unwrap().entries[&pointer("/created_at")], json!("yesterday"));
}

#[test]
fn bad_input_22_migrating_twice_gives_identical_bytes() {
    for (name, bytes) in fixtures() {
        assert_eq!(migrate(&bytes), migrate(&bytes), "{name}");
        let Migration::Migrated(once) = migrate(&bytes) else { continue };
        let first = bytes_of(&once.job);
        let twice = migrated(&first);
        assert_eq!(bytes_of(&twice.job), first, "{name}");
        assert_eq!((twice.shape, twice.side, twice.notes.len()), (Shape::Canonical, None, 0), "{name}");
    }
}

#[test]
fn bad_input_23_unmappable_keys_are_kept_and_counted() {
    let params = json!({"maxLinks": 5, "forceMultiPage": true, "outputSchema": {"a": {"b": 1}}, "postProcessing": "x",
        "formats": ["json"], "headers": {"Accept": "text/html"}, "onlyMainContent": true, "waitFor": 10,
        "searchQuery": "q", "includeSubdomains": false, "autoExecute": true, "budget": 0.5});
    let done = migrated(old(json!({"params": params, "owner": "a"})));
    let side = done.side.unwrap();
    assert_eq!(side.len(), 13);
    for (key, value) in params.as_object().unwrap() {
        assert_eq!(&side.entries[&pointer("/params").key(key)], value);
    }
    let bytes = serde_json::to_vec(&side).unwrap();
    assert_eq!(serde_json::from_slice::<SideRecord>(&bytes).unwrap(), side);
}

#[test]
fn bad_input_24_api_keys_are_removed_and_reported() {
    for (name, bytes) in fixtures() {
        let outcome = migrate(&bytes);
        let unchecked = outcome.quarantined().is_some_and(|held| held.secrets == Secrets::Unchecked);
        let hidden = |text: &str| !text.contains("k-secret");
        let stored = match &outcome {
            Migration::Migrated(done) => format!("{done:?}"),
            Migration::Quarantined(held) => {
                String::from_utf8(held.original.clone()).unwrap() + &format!("{:?}", held.notes)
            }
        };
        assert!(unchecked || hidden(&stored), "{name}: {stored}");
    }
    let at = |name: &str| match migrate(&fixture(name)) {
        Migration::Migrated(done) => done.removed_secrets,
        Migration::Quarantined(held) => match held.secrets {
            Secrets::Removed(at) => at,
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(at("M2-message-ai"), [pointer("/apiKey")]);
    assert_eq!(at("S2-secrets-quarantined"), [pointer("/params/api_key")]);
    assert_eq!(at("L11-native-maps"), [pointer("/userId")]);
    let all = at("S1-secrets");
    for place in ["/params/apiKey", "/params/headers/Authorization", "/url", "/error"] {
        assert!(all.contains(&pointer(place)), "{place} {all:?}");
    }
    assert_eq!(all.len(), 4);
    assert_eq!(migrated(fixture("S1-secrets")).job.url, "https://ex.org/a?x=1");
}

#[test]
fn what_is_kept_beside_the_jobs_is_read_back_by_the_strict_rules() {
    let more = [&b"\xff\xfe not UTF-8 \0"[..], b"", b"[]", b"{\"schemaVersion\": \"9.0.0\"}"].map(<[u8]>::to_vec);
    for bytes in fixtures().into_iter().map(|(_, bytes)| bytes).chain(more) {
        match migrate(&bytes) {
            Migration::Migrated(done) => {
                let Some(side) = done.side else { continue };
                let written = read::to_canonical_vec(&side).unwrap();
                assert_eq!(read::from_slice::<SideRecord>(&written).unwrap(), side);
            }
            Migration::Quarantined(held) => {
                let written = read::to_canonical_vec(&*held).unwrap();
                assert_eq!(read::from_slice::<Quarantined>(&written).unwrap(), *held);
                assert_eq!(migrate(&held.original).quarantined().map(|again| &again.reason), Some(&held.reason));
            }
        }
    }
}

#[test]
fn an_original_that_is_no_hex_is_refused_by_its_place() {
    let held = |text: &str| {
        json!({"schemaVersion": "1.0.0", "reason": {"reason": "not_json"}, "secrets": {"state": "unchecked"},
            "notes": [], "original": {"encoding": "hex", "text": text}})
    };
    assert_eq!(read::from_value::<Quarantined>(held("ff0a")).unwrap().original, [255, 10]);
    for bad in ["f", "fF", "zz"] {
        let faults = read::from_value::<Quarantined>(held(bad)).unwrap_err();
        assert_eq!(faults.iter().next().unwrap().pointer.as_str(), "/original/text", "{bad}");
    }
}

#[test]
fn completed_without_data_stays_completed_and_says_so() {
    for name in ["L04-plan-null-data", "L18-old-format"] {
        let job = migrated(fixture(name)).job;
        let result = job.result.unwrap();
        assert_eq!((job.status, job.error, result.success), (JobStatus::Completed, None, false), "{name}");
        assert!(result.data.is_empty() && result.error.is_some(), "{name}");
    }
}

#[test]
fn what_a_page_said_is_not_taken_for_a_secret() {
    let result = json!({"success": true, "data": [{"token": "A1", "password": "8 characters"}]});
    let done = migrated(old(json!({"status": "done", "result": result})));
    assert_eq!(done.job.result.unwrap().data, [json!({"token": "A1", "password": "8 characters"})]);
    assert_eq!(done.removed_secrets, []);
    // A log line is not a page.
    let log =
        json!([{"timestamp": 1_757_000_000_000_i64, "level": "info", "message": "x", "data": {"apiKey": "k-secret"}}]);
    let done = migrated(old(json!({"logs": log})));
    assert_eq!(done.removed_secrets, [pointer("/logs/0/data/apiKey")]);
}

#[test]
fn statuses_and_types_of_every_writer_are_known_and_no_others() {
    for (status, meant) in [
        ("queued", JobStatus::Pending),
        ("running", JobStatus::Processing),
        ("done", JobStatus::Completed),
        ("success", JobStatus::Completed),
        ("complete", JobStatus::Completed),
        ("error", JobStatus::Failed),
        ("canceled", JobStatus::Cancelled),
    ] {
        assert_eq!(migrated(old(json!({"status": status}))).job.status, meant);
    }
    for status in [json!("exploded"), json!(""), json!("Done"), json!(3)] {
        assert_eq!(quarantined(old(json!({"status": status}))).reason, QuarantineReason::UnknownStatus);
    }
    assert_eq!(quarantined(old(json!({"status": null}))).reason, QuarantineReason::NoStatus);
    assert_eq!(migrated(old(json!({"type": "ai_process"}))).job.kind, ExtractionType::AiProcess);
    assert_eq!(quarantined(old(json!({"type": "mine"}))).reason, QuarantineReason::UnknownType);
}

#[test]
fn only_web_addresses_are_pages() {
    for (url, code) in [
        ("ftp://example.com", "unsupported_scheme"),
        ("javascript:alert(1)", "unsupported_scheme"),
        ("mailto:a@example.com", "unsupported_scheme"),
        ("example.com/a", "invalid_url"),
        ("https://", "invalid_url"),
        ("pending", "no_url"),
        ("", "no_url"),
    ] {
        assert_eq!(quarantined(old(json!({"url": url}))).reason.code(), code, "{url}");
    }
    let respelt = migrated(old(json!({"url": " https://bücher.example/a b "})));
    assert_eq!(respelt.job.url, "https://xn--bcher-kva.example/a%20b");
    let long = format!("https://example.com/{}", "a".repeat(2048));
    assert_eq!(quarantined(old(json!({"url": long}))).reason.code(), "invalid_url");
}

#[test]
fn a_prompt_names_its_page_in_one_way_or_none() {
    let ask = |prompt: &str| {
        let outcome = migrate(&edited("L07-queued-ai", |v| v["prompt"] = json!(prompt)));
        outcome.migrated().map(|done| done.job.url.clone())
    };
    assert_eq!(ask("get titles from ex.org").as_deref(), Some("https://ex.org"));
    assert_eq!(ask("Titles on www.ex.org/news, please.").as_deref(), Some("https://www.ex.org/news"));
    assert_eq!(ask("see https://ex.org/a and (https://ex.org/a)").as_deref(), Some("https://ex.org/a"));
    assert_eq!(ask("compare https://a.example with https://b.example"), None);
    assert_eq!(ask("titles from a.example and from b.example"), None);
    assert_eq!(ask("what is node.js"), None);
    assert_eq!(ask("titles from yesterday"), None);
    assert_eq!(ask("titles from 10.0.0.1"), None);
}

#[test]
fn parts_attach_to_their_job_and_to_no_other() {
    let part = quarantined(fixture("L10-part"));
    assert_eq!(part.reason.code(), "orphan");
    let mut parent = migrated(edited("L06-queued", |v| v["id"] = json!("extract_1757046869000_k2m9x1q7z")));
    parent.attach(&part).unwrap();
    let once = parent.clone();
    parent.attach(&part).unwrap();
    assert_eq!(parent, once);
    let at = pointer("/parts/extract_1757046869000_k2m9x1q7z_page_0");
    assert_eq!(once.side.unwrap().entries[&at]["status"], json!("completed"));
    let mut other = migrated(old(json!({})));
    assert_eq!(other.attach(&part), Err(AttachError::AnotherJob));
    let none = quarantined(old(json!({"url": null})));
    assert_eq!(other.attach(&none), Err(AttachError::NotAPart));
    assert_eq!(other.side, None);
    let id = |id: &str| edited("L10-part", |v| v["id"] = json!(id));
    for name in ["crawl_1_page_12", "crawl_1_crawl", "crawl_1_extract", "crawl_1_page_3_extract"] {
        let QuarantineReason::Orphan { parent } = quarantined(id(name)).reason else { panic!("{name}") };
        assert_eq!(parent.as_str(), "crawl_1");
    }
}

#[test]
fn cut_texts_stay_whole_beside_the_job() {
    let long = "é".repeat(5001);
    let done = migrated(old(json!({"status": "failed", "error": long})));
    assert_eq!(done.job.error.unwrap().chars().count(), 5000);
    assert_eq!(done.side.unwrap().entries[&pointer("/error")], json!(long));
    let long = "a".repeat(10_001);
    assert_eq!(quarantined(old(json!({"extractionInstructions": long}))).reason, QuarantineReason::InstructionsTooLong);
    let key = "k".repeat(1100);
    assert_eq!(quarantined(old(json!({key: 1}))).reason, QuarantineReason::KeyTooLong);
}

#[test]
fn money_is_taken_digit_by_digit() {
    for (number, usd) in
        [("0.1", "0.1"), ("1e-7", "0.0000001"), ("3", "3"), ("0.00052", "0.00052"), ("1e-10", "0.000000001")]
    {
        let text = format!(r#"{{"success":true,"data":[1],"metadata":{{"cost":{number}}}}}"#);
        let job = migrated(old(json!({"status": "done", "result": text}))).job;
        assert_eq!(job.result.unwrap().cost.unwrap().settled.unwrap().to_string(), usd);
    }
}
