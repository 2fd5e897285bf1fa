//! The chain of versions, ready for a next one.

use atlas_schema::migrate::steps::{CHAIN, Chain, Gap, NoPath, Step, Version};
use serde_json::{Map, Value, json};

fn rename(mut record: Map<String, Value>) -> Map<String, Value> {
    let value = record.remove("maxPages").unwrap_or(json!(10));
    record.insert("pages".into(), value);
    record.insert("schemaVersion".into(), json!("1.1.0"));
    record
}

fn stamp(mut record: Map<String, Value>) -> Map<String, Value> {
    record.insert("schemaVersion".into(), json!("2.0.0"));
    record
}

const V1: Version = Version(1, 0, 0);
const V1_1: Version = Version(1, 1, 0);
const V2: Version = Version(2, 0, 0);
const FIRST: Step = Step { from: V1, to: V1_1, apply: rename };
const SECOND: Step = Step { from: V1_1, to: V2, apply: stamp };

fn record() -> Map<String, Value> {
    json!({"schemaVersion": "1.0.0", "maxPages": 3}).as_object().unwrap().clone()
}

#[test]
fn an_old_record_takes_every_step_and_a_new_one_none() {
    let chain = Chain::new(V2, &[FIRST, SECOND]).unwrap();
    let lifted = chain.lift(V1, record()).unwrap();
    assert_eq!(Value::Object(lifted.clone()), json!({"schemaVersion": "2.0.0", "pages": 3}));
    assert_eq!(chain.lift(V2, lifted.clone()).unwrap(), lifted);
    assert_eq!(chain.path(V1_1).unwrap().len(), 1);
}

#[test]
fn a_chain_with_a_gap_is_refused() {
    assert_eq!(Chain::new(V2, &[FIRST]).unwrap_err(), Gap { index: 1 });
    assert_eq!(Chain::new(V2, &[SECOND, FIRST]).unwrap_err(), Gap { index: 1 });
    let back = Step { from: V2, to: V1, apply: stamp };
    assert_eq!(Chain::new(V1, &[back]).unwrap_err(), Gap { index: 0 });
}

#[test]
fn versions_without_a_path_are_told_apart() {
    let chain = Chain::new(V1_1, &[FIRST]).unwrap();
    assert_eq!(chain.lift(V2, record()).unwrap_err(), NoPath::Future);
    assert_eq!(chain.lift(Version(0, 9, 0), record()).unwrap_err(), NoPath::Unknown);
    assert_eq!(chain.lift(Version(1, 0, 5), record()).unwrap_err(), NoPath::Unknown);
}

#[test]
fn the_shipped_chain_ends_at_the_written_version() {
    let current = Version::parse(atlas_schema::SchemaVersion::CURRENT.as_str()).unwrap();
    assert!(CHAIN.path(current).unwrap().is_empty());
}
