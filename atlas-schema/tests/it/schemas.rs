//! The published schemas: equal to the types, strict, and as any validator of draft 2020-12 reads them.

use crate::samples::{alert, event, evidence, job, quarantined, record, request, result, side};
use atlas_schema::schema::published;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn schema_files_equal_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
    let mut expected = BTreeSet::new();
    for one in published() {
        let (path, text) = (folder.join(format!("{}.json", one.name)), format!("{:#}\n", one.schema));
        if update {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(found == text, "{} is stale: run `cargo xtask schemas`", one.name);
        expected.insert(format!("{}.json", one.name));
    }
    let there = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(there.collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_published_schema_is_valid_draft_2020_12_and_accepts_its_sample() {
    let samples = [alert(), event(), evidence(), job(), request(), result(), record(), quarantined(), side()];
    assert_eq!(published().len(), samples.len());
    for (one, sample) in published().iter().zip(samples) {
        assert_eq!(one.schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert!(jsonschema::meta::is_valid(&one.schema), "{}", one.name);
        assert!(jsonschema::is_valid(&one.schema, &sample), "{}", one.name);
    }
}

#[test]
fn every_object_is_closed_and_every_integer_bounded() {
    for one in published() {
        let mut subschemas = Vec::new();
        walk(&one.schema, &mut subschemas);
        assert!(subschemas.len() > 5);
        for schema in subschemas {
            let is = |kind: &str| {
                schema["type"] == kind || schema["type"].as_array().is_some_and(|k| k.contains(&kind.into()))
            };
            let open = schema.get("properties").is_none() && schema.get("patternProperties").is_none();
            assert!(!is("object") || open || schema["additionalProperties"] == false, "{}: {schema}", one.name);
            assert!(
                !is("integer") || (schema["minimum"].is_i64() && schema["maximum"].is_i64()),
                "{}: {schema}",
                one.name
            );
            assert!(!is("number"), "{}: a float: {schema}", one.name);
            assert!(schema.get("format").is_none(), "{}: a format nobody asserts: {schema}", one.name);
        }
    }
}

fn walk<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    if value.get("type").is_some_and(|kind| kind.is_string() || kind.is_array()) {
        found.push(value);
    }
    match value {
        Value::Object(map) => map.values().for_each(|inner| walk(inner, found)),
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, found)),
        _ => {}
    }
}
