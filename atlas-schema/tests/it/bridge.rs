//! The bridge: a document, stored and shown again, is the same document.

#![allow(clippy::needless_pass_by_value)]

use atlas_schema::bridge::{BridgeError, Placement, Stored, store, view};
use atlas_schema::{ExtractionJob, JobId, JobRecord, JobStatus, Stage, Timestamp, read};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};

fn document(fields: Value) -> ExtractionJob {
    let mut job = json!({"id": "extract_1757000000000_abc", "type": "sync", "status": "pending",
        "url": "https://example.org/a", "params": {"extractionInstructions": "names"},
        "createdAt": 1_757_000_000_000_i64, "updatedAt": 1_757_000_005_000_i64, "correlationId": "corr_1"});
    for (key, value) in fields.as_object().into_iter().flatten() {
        job[key] = value.clone();
    }
    read::from_value(job).unwrap_or_else(|faults| panic!("{faults}"))
}

fn stored(job: ExtractionJob) -> Stored {
    store(job, &Placement::new(Stage::Dev)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_key_of_a_legacy_job_is_made_of_its_time_and_id() {
    let record = stored(document(json!({}))).record;
    let again = stored(document(json!({"status": "processing", "url": "https://example.org/b"}))).record;
    assert_eq!(record.id, again.id);
    assert_eq!(record.id.as_uuid().get_version_num(), 7);
    let later = Timestamp::from_millis(1_757_000_000_001).unwrap();
    assert!(record.external_id.as_ref().is_some_and(|id| JobId::of_external(id, later) > record.id));
    assert_ne!(record.id, stored(document(json!({"id": "extract_1757000000000_abd"}))).record.id);
}

#[test]
fn a_job_that_was_processing_waits_for_the_next_worker() {
    let record = stored(document(json!({"status": "processing"}))).record;
    let lease = record.lease.unwrap();
    assert_eq!((lease.worker.as_str(), lease.expires_at), ("migration", record.updated_at));
    assert_eq!((record.epoch, record.attempt), (1, 1));
}

#[test]
fn a_document_without_a_correlation_id_gets_the_one_of_its_id() {
    let mut job = document(json!({}));
    job.correlation_id = None;
    let id = stored(job.clone()).record.correlation_id;
    assert!(id.as_str().starts_with("mig_"));
    assert_eq!(stored(job).record.correlation_id, id);
}

#[test]
fn a_stored_result_of_another_kind_is_refused() {
    let mut record = stored(document(json!({"status": "completed", "result": {"success": true, "data": [1]}}))).record;
    for other in [json!({"sent": true}), json!(null)] {
        record.result = Some(other);
        assert_eq!(view(record.clone(), None), Err(BridgeError::Result));
    }
}

#[test]
fn a_job_made_here_has_a_document_too() {
    let mut record = stored(document(json!({}))).record;
    record.external_id = None;
    record.payload.instructions = None;
    record.payload.schema = Some(json!({"type": "object"}));
    let shown = view(record.clone(), None).unwrap();
    assert_eq!(shown.id.as_str(), record.id.to_string());
    assert_eq!(read::check(&shown), Ok(()));
}

fn documents() -> impl Strategy<Value = ExtractionJob> {
    let text = || "[a-zé ]{1,20}";
    let result =
        (any::<bool>(), prop::collection::vec(any::<i32>(), 0..3), text()).prop_map(|(success, data, error)| {
            let mut result = json!({"success": success, "data": data});
            if !success {
                result["error"] = json!(error);
            }
            result
        });
    let params = (text(), 1_u32..=100, 1_u32..=10, 1000_u32..=300_000, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(text, pages, depth, timeout, unified, gpt5, model)| {
            let mut params = json!({"extractionInstructions": text, "maxPages": pages, "maxDepth": depth,
                "timeout": timeout, "UNIFIED_EXTRACTOR_ENABLED": unified, "GPT5_ENABLED": gpt5});
            if model {
                params["modelOverride"] = json!("gpt-5-mini");
            }
            params
        });
    let status = select(JobStatus::ALL.map(JobStatus::as_str).to_vec());
    let kind = select(vec!["sync", "async", "ai-process", "batch", "webhook"]);
    let log = text().prop_map(
        |text| json!({"timestamp": 1_757_000_000_001_i64, "level": "WARN", "message": text, "data": {"a": 1}}),
    );
    (status, kind, params, prop::option::of(result), prop::option::of(text()), prop::collection::vec(log, 0..3)).prop_map(
        |(status, kind, params, result, error, logs)| {
            let (result, error) = match status {
                "completed" => {
                    let mut result = result.unwrap_or(json!({"success": true, "data": [1]}));
                    // What completed without success found nothing.
                    if result["success"] == json!(false) {
                        result["data"] = json!([]);
                    }
                    (Some(result), None)
                },
                "failed" | "timeout" => (result, Some(error.unwrap_or("it broke".into()))),
                _ => (result, error),
            };
            document(json!({"status": status, "type": kind, "params": params, "result": result, "error": error, "logs": logs}))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20_261_121), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stored_and_shown_again_is_the_same_document(job in documents()) {
        let Stored { record, extra } = stored(job.clone());
        prop_assert_eq!(read::check(&record), Ok(()));
        let bytes = read::to_canonical_vec(&record).unwrap_or_default();
        let record: JobRecord<_> = read::from_slice(&bytes).unwrap_or_else(|faults| panic!("{faults}"));
        prop_assert_eq!(view(record, extra), Ok(job));
    }
}
