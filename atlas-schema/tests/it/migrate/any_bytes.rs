//! What holds for any bytes: an outcome, the same outcome again, a valid job or the original, nothing lost.
//!
//! `ATLAS_CASES` sets the number of cases per property (default 10 000), `ATLAS_SEED` where they begin (20261121).

use super::{bytes_of, fixtures};
use atlas_schema::migrate::{Migrated, Migration, Secrets, Shape, SideRecord, migrate};
use atlas_schema::{ExtractionJob, JsonPointer, read};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

fn cases() -> ProptestConfig {
    let number = |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (cases, seed) = (number("ATLAS_CASES", 10_000), number("ATLAS_SEED", 20_261_121));
    let cases = u32::try_from(cases).unwrap();
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..ProptestConfig::default() }
}

/// The promises that hold for any input.
fn holds(bytes: &[u8]) {
    let outcome = migrate(bytes);
    match &outcome {
        Migration::Migrated(done) => {
            let canonical = bytes_of(&done.job);
            assert_eq!(read::from_slice::<ExtractionJob>(&canonical).as_ref(), Ok(&done.job));
            let again = migrate(&canonical);
            let again = again.migrated().expect("a job stays a job");
            assert_eq!((&again.job, again.shape), (&done.job, Shape::Canonical));
            assert_eq!(bytes_of(&again.job), canonical);
            if let Some(side) = &done.side {
                let text = serde_json::to_vec(side).unwrap();
                assert_eq!(&serde_json::from_slice::<SideRecord>(&text).unwrap(), side);
            }
            accounted(bytes, done);
        }
        Migration::Quarantined(held) => {
            assert!(held.original == bytes || matches!(held.secrets, Secrets::Removed(_)));
            let again = migrate(&held.original);
            assert_eq!(again.quarantined().map(|held| &held.reason), Some(&held.reason));
        }
    }
}

/// Takes `DynamoDB` types off and opens JSON texts, as the pointers of an outcome see the record.
fn opened(bytes: &[u8], done: &Migrated) -> Value {
    let mut value: Value = serde_json::from_slice(bytes).unwrap();
    for note in &done.notes {
        let code = serde_json::to_value(note.code).unwrap();
        if code == "item_unmarshalled" {
            value = value.get("Item").map_or_else(|| plain(&value), plain);
        }
    }
    for note in &done.notes {
        let code = serde_json::to_value(note.code).unwrap();
        if code == "text_parsed"
            && let Some(text) = value.pointer_mut(note.pointer.as_str())
        {
            *text = serde_json::from_str(text.as_str().unwrap()).unwrap();
        }
    }
    value
}

fn plain(item: &Value) -> Value {
    let untyped = |value: &Value| match value.as_object().and_then(|map| map.iter().next()) {
        Some((kind, inner)) => match (kind.as_str(), inner) {
            ("N", Value::String(text)) => serde_json::from_str(text).unwrap(),
            ("NULL", _) => Value::Null,
            ("M", inner) => plain(inner),
            ("L", Value::Array(items)) => {
                let wrapped: Vec<Value> = items.iter().map(|i| plain(&json!({"x": i}))["x"].clone()).collect();
                Value::Array(wrapped)
            }
            ("NS", Value::Array(items)) => {
                items.iter().map(|n| serde_json::from_str::<Value>(n.as_str().unwrap()).unwrap()).collect()
            }
            (_, inner) => inner.clone(),
        },
        None => value.clone(),
    };
    Value::Object(item.as_object().unwrap().iter().map(|(k, v)| (k.clone(), untyped(v))).collect())
}

fn leaves(value: &Value, at: &JsonPointer, found: &mut Vec<(JsonPointer, Value)>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| leaves(value, &at.key(key), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, value)| leaves(value, &at.index(i), found)),
        // Null says nothing.
        Value::Null => {}
        leaf => found.push((at.clone(), leaf.clone())),
    }
}

/// Each leaf of the record is in the job, in the side record, among the removed secrets, or changed by a noted rule.
fn accounted(bytes: &[u8], done: &Migrated) {
    let (mut record, mut job) = (Vec::new(), Vec::new());
    leaves(&opened(bytes, done), &JsonPointer::root(), &mut record);
    leaves(&serde_json::to_value(&done.job).unwrap(), &JsonPointer::root(), &mut job);
    for (pointer, leaf) in record {
        let under = |outer: &JsonPointer| {
            let rest = pointer.as_str().strip_prefix(outer.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let kept = done.side.iter().flat_map(|side| &side.entries).any(|(at, _)| under(at));
        let removed = done.removed_secrets.iter().any(under);
        let noted = done.notes.iter().any(|note| note.pointer == pointer);
        let same = |other: &Value| *other == leaf || (leaf.is_number() && other.as_f64() == leaf.as_f64());
        let there = job.iter().any(|(_, value)| same(value));
        let blank = leaf.as_str().is_some_and(|text| text.trim().is_empty());
        assert!(kept || removed || noted || there || blank, "{pointer} of {:?} is lost", done.shape);
    }
}

fn corpus() -> &'static [Value] {
    static CORPUS: OnceLock<Vec<Value>> = OnceLock::new();
    CORPUS.get_or_init(|| fixtures().iter().map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect())
}

fn odd_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-5_i64..2000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z{\\[\"é ]{0,12}".prop_map(Value::from),
        select(vec![
            "queued",
            "completed",
            "failed",
            "https://ex.org",
            "pending",
            "extract",
            "ai_process",
            "1.0.0",
            "2.0.0",
            "2025-09-04T10:00:00Z",
            "2025-09-04 10:00:00",
            "1757000000000",
            "{\"a\":1}",
            "[1,{\"data\":2}]",
            "{\"success\":true,\"dat",
        ])
        .prop_map(Value::from),
        select(vec![1_757_000_000_000_i64, 1_757_000_005_000, 253_402_300_799_999, 12]).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "id",
            "jobId",
            "type",
            "status",
            "url",
            "params",
            "result",
            "data",
            "error",
            "prompt",
            "input",
            "timeout",
            "maxPages",
            "createdAt",
            "updatedAt",
            "created",
            "updated",
            "created_at",
            "updated_at",
            "completedAt",
            "completed_at",
            "logs",
            "message",
            "timestamp",
            "level",
            "success",
            "metadata",
            "cost",
            "total",
            "actual",
            "evidence",
            "partialResults",
            "_timeout",
            "_truncated",
            "apiKey",
            "token",
            "correlationId",
            "S",
            "N",
            "M",
            "schemaVersion",
            "extractionInstructions",
            "userId",
            "user_id",
            "heartbeat",
            "progress",
            "aiGenerated",
            "modelOverride",
            "GPT5_ENABLED",
            "processingTime",
            "totalItems",
            "pagesProcessed",
            "a~b/c",
        ])
        .prop_map(str::to_owned),
        "[a-z]{0,6}",
    ]
}

/// Puts a value somewhere into an object: at its top, or inside one of its objects, or inside its JSON text.
fn put(target: &mut Value, place: Index, key: String, value: Value) {
    let Some(map) = target.as_object_mut() else { return };
    let inner: Vec<String> =
        map.iter().filter(|(_, v)| v.is_object() || v.is_string()).map(|(k, _)| k.clone()).collect();
    let choice = place.index(inner.len() + 1);
    let Some(name) = inner.get(choice) else {
        map.insert(key, value);
        return;
    };
    match map.get_mut(name) {
        Some(Value::String(text)) => match serde_json::from_str::<Map<String, Value>>(text) {
            Ok(mut inside) => {
                inside.insert(key, value);
                *text = Value::Object(inside).to_string();
            }
            Err(_) => *text += "é",
        },
        Some(inside) => drop(inside.as_object_mut().map(|inside| inside.insert(key, value))),
        None => {}
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn random_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes);
    }

    #[test]
    fn mutated_records_lose_nothing(
        base in any::<Index>(),
        edits in prop::collection::vec((any::<Index>(), key(), odd_value()), 0..5),
        gone in prop::collection::vec(key(), 0..3),
    ) {
        let mut record = base.get(corpus()).clone();
        for (place, key, value) in edits {
            put(&mut record, place, key, value);
        }
        if let Some(map) = record.as_object_mut() {
            map.retain(|key, _| !gone.contains(key));
        }
        holds(&serde_json::to_vec(&record).unwrap());
    }

    #[test]
    fn cut_and_flipped_records_are_never_a_panic(
        base in any::<Index>(), cut in any::<Index>(), flip in any::<Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = serde_json::to_vec(base.get(corpus())).unwrap();
        let at = flip.index(bytes.len());
        bytes[at] = byte;
        holds(&bytes);
        bytes.truncate(cut.index(bytes.len()));
        holds(&bytes);
    }
}

#[test]
fn every_fixture_keeps_the_promises() {
    for (_, bytes) in fixtures() {
        holds(&bytes);
    }
}
