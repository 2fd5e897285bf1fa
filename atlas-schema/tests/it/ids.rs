//! Ids: one spelling, one rule, the same by hand, by JSON and by schema.

use atlas_schema::{ExternalId, IdempotencyKey, JobId, JobKind, JsonPointer, Stage, TenantId, Timestamp};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use serde_json::json;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).unwrap()
}

#[test]
fn job_ids_are_version_7_and_sort_by_creation_time() {
    let ids: Vec<JobId> = (0..100).map(|i| JobId::from_parts(at(1_756_970_000_000 + i), [255; 10])).collect();
    assert!(ids.is_sorted() && ids.iter().map(ToString::to_string).is_sorted());
    assert!(ids.iter().map(JobId::as_bytes).is_sorted());
    assert!(ids.iter().all(|id| id.as_uuid().get_version_num() == 7));
    assert_eq!(ids[0], JobId::from_parts(at(1_756_970_000_000), [255; 10]), "the same inputs give the same id");
}

#[test]
fn a_job_id_has_one_spelling() {
    let id = JobId::from_parts(at(1_756_970_000_000), [171; 10]);
    assert_eq!(id.to_string().parse(), Ok(id));
    let text = id.to_string();
    for other in [
        text.to_uppercase(),
        text.replace('-', ""),
        format!("{{{text}}}"),
        format!("urn:uuid:{text}"),
        text[1..].into(),
    ] {
        assert!(other.parse::<JobId>().is_err(), "{other}");
        assert!(serde_json::from_value::<JobId>(json!(other)).is_err(), "{other}");
    }
}

#[test]
fn an_id_error_names_the_rule_and_never_the_text() {
    let error = TenantId::new("s3cret tenant").unwrap_err().to_string();
    assert!(error.contains("tenant id") && !error.contains("s3cret"), "{error}");
}

#[test]
fn legacy_ids_are_external_ids() {
    for id in ["extract_1756970000000_a1b2c3d4e", "crawl_V1StGXR8_Z5jdHi6B-myT", "old-job-123"] {
        assert_eq!(ExternalId::new(id).unwrap().as_str(), id);
    }
    for bad in ["", "a b", "a/b", "\u{e9}", "a\n", &"x".repeat(129)] {
        assert!(ExternalId::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_stage_is_read_exactly() {
    for bad in ["PROD", "prod", " dev", "dev ", "../prod x", "", "Dev", &"d".repeat(300)] {
        assert!(bad.parse::<Stage>().is_err(), "{bad:?}");
    }
    assert!(Stage::ALL.iter().all(|stage| stage.as_str().parse() == Ok(*stage)));
}

#[test]
fn a_time_tells_milliseconds_from_seconds() {
    assert!(Timestamp::from_millis(1_756_970_000).is_err());
    assert_eq!(at(1_756_970_000_000).to_string(), "2025-09-04T07:13:20Z");
    assert_eq!(Timestamp::MAX.saturating_add(std::time::Duration::MAX), Timestamp::MAX);
    assert_eq!(Timestamp::MIN.saturating_sub(std::time::Duration::MAX), Timestamp::MIN);
}

proptest! {
    #[test]
    fn an_id_is_accepted_by_new_exactly_when_by_json(text in any::<String>(), plain in "[a-z0-9_.A-Z -]{0,70}") {
        for text in [text, plain] {
            prop_assert_eq!(JobKind::new(&text).is_ok(), serde_json::from_value::<JobKind>(json!(text)).is_ok());
            prop_assert_eq!(IdempotencyKey::new(&text).is_ok(), serde_json::from_value::<IdempotencyKey>(json!(text)).is_ok());
        }
    }

    #[test]
    fn a_pointer_made_of_parts_gives_the_parts_back(parts in proptest::collection::vec(any::<String>(), 0..5)) {
        let pointer = parts.iter().fold(JsonPointer::root(), |at, part| at.key(part));
        prop_assert!(pointer.parts().eq(parts));
        prop_assert_eq!(JsonPointer::parse(pointer.as_str()).ok(), (pointer.as_str().chars().count() <= 1024).then_some(pointer));
    }
}
