//! What holds for any schema and any set of strategies.

use crate::support::{URL, json_ld, page};
use atlas_engine::shape::Shape;
use atlas_engine::strategy::{Fit, select};
use atlas_engine::{Engine, EngineError};
use atlas_schema::{ExtractionRequest, StrategyName};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// JSON made of what schemas are made of, mostly put together wrongly.
fn schema() -> impl Strategy<Value = Value> {
    let words = [
        "object",
        "array",
        "string",
        "integer",
        "null",
        "#",
        "#/$defs/a",
        "#/properties/b",
        "#a",
        "",
        "%",
        "#/%7",
        "x:y",
        "^a{2,9}$",
        "(",
        r"\\p{L}{1000}",
        "[",
        "date",
        "uri",
        "a",
        "b",
        "minutes",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    let keys = vec![
        "type",
        "properties",
        "items",
        "required",
        "$ref",
        "$defs",
        "a",
        "b",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "enum",
        "const",
        "pattern",
        "patternProperties",
        "additionalProperties",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "format",
        "$schema",
        "$id",
        "$anchor",
        "x-atlas",
        "title",
        "uniqueItems",
        "dependentSchemas",
        "prefixItems",
        "path",
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        let object = prop::collection::vec((prop::sample::select(keys.clone()), inner.clone()), 0..6);
        prop_oneof![
            3 => object.prop_map(|members| Value::Object(members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::Array),
        ]
    })
}

fn candidates() -> impl Strategy<Value = Vec<(StrategyName, Fit)>> {
    let name = prop::sample::select(vec!["direct", "plan", "model", "crawl", "other"]);
    let one = (name, 0_u8..=100, "[a-z ]{0,9}");
    prop::collection::vec(one, 0..8).prop_map(|all| {
        let mut named: Vec<(StrategyName, Fit)> = Vec::new();
        for (name, score, reason) in all {
            let name = StrategyName::new(name).unwrap();
            if named.iter().all(|(known, _)| *known != name) {
                named.push((name, Fit::suits(score, reason)));
            }
        }
        named
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn selection_is_a_function_that_places_every_candidate_once(candidates in candidates(), only in prop::option::of("direct|plan|none")) {
        let only = only.map(|name| StrategyName::new(&*name).unwrap());
        let selection = select(&candidates, only.as_ref());
        prop_assert_eq!(&selection, &select(&candidates, only.as_ref()));
        let known = only.as_ref().is_none_or(|only| candidates.iter().any(|(name, _)| name == only));
        prop_assert_eq!(selection.is_some(), known);
        let Some(selection) = selection else { return Ok(()) };
        let mut placed: Vec<usize> = selection.chain.iter().chain(&selection.skipped).map(|choice| choice.index).collect();
        placed.sort_unstable();
        prop_assert_eq!(placed, (0..candidates.len()).collect::<Vec<_>>());
        for choice in selection.chain.iter().chain(&selection.skipped) {
            prop_assert_eq!(&candidates[choice.index].0, &choice.name);
            prop_assert_eq!(candidates[choice.index].1.score, choice.score);
        }
        if let Some(only) = only {
            prop_assert!(selection.chain.iter().all(|choice| choice.name == only));
        } else {
            prop_assert!(selection.chain.iter().all(|choice| choice.score > 0));
            prop_assert!(selection.skipped.iter().all(|choice| choice.score == 0));
            prop_assert!(selection.chain.windows(2).all(|pair|
                pair[0].score > pair[1].score || (pair[0].score == pair[1].score && pair[0].index < pair[1].index)));
        }
    }

    #[test]
    fn any_json_is_a_usable_schema_or_is_refused_with_faults(schema in schema()) {
        match Shape::compile(&schema) {
            Ok(shape) => {
                let record = json!({ "a": { "b": ["x", 1] }, "b": null });
                prop_assert_eq!(shape.accepts(&record), shape.violations(&record).is_empty());
            }
            Err(error) => prop_assert!(!error.faults.is_empty()),
        }
    }

    #[test]
    fn a_schema_under_a_property_is_filled_or_refused(schema in schema()) {
        let wanted = json!({ "type": "object", "properties": { "a": schema.clone(), "name": { "type": "string" } }, "$defs": { "a": schema } });
        let html = json_ld(r#"{"@type": "Thing", "name": "x", "a": {"b": ["y", 1, {"a": "z"}]}, "b": "2"}"#);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        match runtime.block_on(Engine::default().extract_page(&page(&html), &ExtractionRequest::new(URL, wanted.clone()))) {
            Ok(result) => {
                let shape = Shape::compile(&wanted).unwrap();
                prop_assert!(result.data.iter().all(|record| shape.accepts(record)), "{:?}", result.data);
            }
            Err(error) => prop_assert!(matches!(error, EngineError::Schema(_)), "{error}"),
        }
    }
}
