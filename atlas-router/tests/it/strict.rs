//! Schemas in the subset that providers can hold a model to.

use crate::{Rng, rounds};
use atlas_router::client::JsonSchema;
use serde_json::{Value, json};

fn strict(schema: &Value) -> Result<JsonSchema, Vec<(String, &'static str)>> {
    JsonSchema::strict("s", schema)
        .map_err(|error| error.faults.into_iter().map(|fault| (fault.pointer, fault.rule)).collect())
}

/// Where a schema is refused.
fn refused(schema: &Value) -> Vec<String> {
    strict(schema).map(|_| ()).unwrap_err().into_iter().map(|(pointer, _)| pointer).collect()
}

#[allow(clippy::needless_pass_by_value)] // It reads better where it is used.
fn object(properties: Value) -> Value {
    json!({ "type": "object", "properties": properties })
}

#[test]
fn objects_are_closed_and_what_was_optional_may_be_null() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "x-atlas": { "type": "money" },
        "properties": {
            "name": { "type": "string", "default": null },
            "kind": { "enum": ["a", "b"] },
            "either": { "anyOf": [{ "type": "string" }, { "type": "integer" }] },
            "rows": { "type": ["array", "null"], "items": { "type": "object", "properties": { "x": { "type": "number" } }, "required": ["x"] } },
            "node": { "$ref": "#/$defs/node" },
        },
        "required": ["name"],
        "$defs": { "node": { "type": "object", "properties": { "next": { "$ref": "#/$defs/node" } }, "required": [] } },
    });
    let strict = strict(&schema).unwrap();
    let want = json!({
        "type": "object",
        "properties": {
            "name": { "type": "string" },
            "kind": { "anyOf": [{ "enum": ["a", "b"] }, { "type": "null" }] },
            "either": { "anyOf": [{ "type": "string" }, { "type": "integer" }, { "type": "null" }] },
            "rows": {
                "type": ["array", "null"],
                "items": { "type": "object", "properties": { "x": { "type": "number" } }, "required": ["x"], "additionalProperties": false },
            },
            "node": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] },
        },
        "required": ["either", "kind", "name", "node", "rows"],
        "additionalProperties": false,
        "$defs": {
            "node": {
                "type": "object",
                "properties": { "next": { "anyOf": [{ "$ref": "#/$defs/node" }, { "type": "null" }] } },
                "required": ["next"],
                "additionalProperties": false,
            },
        },
    });
    let mut got = strict.schema().clone();
    got["required"].as_array_mut().unwrap().sort_by_key(|name| name.as_str().map(str::to_owned));
    assert_eq!(got, want);
    let mut nullable = strict.nullable().to_vec();
    nullable.sort();
    let places = [
        "/$defs/node/properties/next",
        "/properties/either",
        "/properties/kind",
        "/properties/node",
        "/properties/rows",
    ];
    assert_eq!(nullable, places);
}

#[test]
fn what_is_strict_stays_as_it_is() {
    let once = strict(&object(json!({ "a": { "type": "string", "pattern": "^x" }, "b": object(json!({})) }))).unwrap();
    let twice = strict(once.schema()).unwrap();
    assert_eq!(once.schema(), twice.schema());
    assert!(twice.nullable().is_empty());
}

#[test]
fn words_beside_a_reference_and_an_all_of_one_are_put_into_what_they_name() {
    let mut schema = object(json!({
        "a": { "$ref": "#/$defs/text", "description": "mine" },
        "b": { "allOf": [{ "$ref": "#/$defs/text" }] },
    }));
    schema["required"] = json!(["a", "b"]);
    schema["$defs"] = json!({ "text": { "type": "string", "description": "its" } });
    let strict = strict(&schema).unwrap();
    assert_eq!(strict.schema()["properties"]["a"], json!({ "type": "string", "description": "mine" }));
    assert_eq!(strict.schema()["properties"]["b"], json!({ "$ref": "#/$defs/text" }));
}

#[test]
fn what_stands_beside_a_reference_and_differs_from_it_is_refused_by_its_place() {
    let with = |property: Value| {
        let mut schema = object(json!({ "a": property }));
        schema["$defs"] = json!({
            "count": { "type": "integer", "minimum": 1, "title": "its", "x-hint": 1 },
            "row": { "type": "object", "properties": { "x": { "type": "string" } }, "required": ["x"] },
        });
        schema
    };
    let count = |key: &str, value: Value| with(json!({ "$ref": "#/$defs/count", key: value }));
    let all = |key: &str, value: Value| with(json!({ "allOf": [{ "type": "integer", "minimum": 1 }], key: value }));
    for (key, value) in [("minimum", json!(0)), ("minimum", json!(5)), ("type", json!("string"))] {
        assert_eq!(refused(&count(key, value.clone())), [format!("/properties/a/{key}")]);
        assert_eq!(refused(&all(key, value)), [format!("/properties/a/{key}")]);
    }
    let row = |key: &str, value: Value| with(json!({ "$ref": "#/$defs/row", key: value }));
    assert_eq!(refused(&row("properties", json!({ "y": { "type": "string" } }))), ["/properties/a/properties"]);
    assert_eq!(refused(&row("required", json!([]))), ["/properties/a/required"]);
    // What says the same, says more, or says nothing of a reply is put together.
    for (key, value) in [("minimum", json!(1)), ("maximum", json!(9)), ("title", json!("mine")), ("x-hint", json!(2))] {
        let schema = strict(&count(key, value.clone())).unwrap();
        let got = schema.schema()["properties"]["a"].clone();
        assert!(key == "x-hint" || got[key] == value, "{got}");
        assert_eq!(got["minimum"], 1);
    }
}

#[test]
fn a_schema_closed_beside_a_reference_forbids_what_that_names_and_is_refused_by_its_place() {
    let closed = |target: Value, beside: Value| {
        let mut property = beside;
        property["$ref"] = json!("#/$defs/row");
        let mut schema = object(json!({ "a": property }));
        schema["$defs"] = json!({ "row": target });
        schema
    };
    let row = object(json!({ "x": { "type": "string" } }));
    let shut = crate::with(row.clone(), |row| row["additionalProperties"] = json!(false));
    let place = "/properties/a/additionalProperties";
    assert_eq!(refused(&closed(row.clone(), json!({ "additionalProperties": false }))), [place]);
    assert_eq!(refused(&closed(shut.clone(), json!({ "additionalProperties": false }))), [place]);
    let all = json!({ "allOf": [row.clone()], "additionalProperties": false });
    assert_eq!(refused(&object(json!({ "a": all }))), [place]);
    // And the other way round.
    let open = json!({ "type": "object", "additionalProperties": false, "properties": {} });
    let beside = json!({ "properties": { "x": { "type": "string" } } });
    assert!(refused(&closed(open, beside)).contains(&"/properties/a/properties".to_owned()));
    // With all that it names beside it, it says the same.
    let both = json!({ "properties": { "x": { "type": "string" } }, "additionalProperties": false });
    assert!(strict(&closed(row, both)).is_ok());
    assert!(strict(&closed(shut, json!({ "description": "mine" }))).is_ok());
}

#[test]
fn a_schema_and_a_temperature_are_read_back_by_the_rules_by_which_they_were_made() {
    use atlas_router::client::Temperature;
    let schema = object(json!({ "a": { "type": "string" }, "b": object(json!({ "c": { "enum": [1] } })) }));
    for made in [JsonSchema::strict("s", &schema).unwrap(), JsonSchema::loose("s", json!({ "not": {} })).unwrap()] {
        let written = serde_json::to_value(&made).unwrap();
        assert_eq!(serde_json::from_value::<JsonSchema>(written.clone()).unwrap(), made);
        let changes: [fn(&mut Value); 5] = [
            |it| it["name"] = json!("two words"),
            |it| {
                it["schema"] = json!({
                    "type": "object", "properties": {}, "required": [], "additionalProperties": false, "x-mine": 1,
                });
            },
            |it| it["schema"] = json!({ "type": "array", "items": {} }),
            |it| it["nullable"] = json!(["a"]),
            |it| it["more"] = json!(1),
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let changed = crate::with(written.clone(), change);
            // A loose schema may be any.
            let may = !made.is_strict() && matches!(at, 1 | 2);
            assert_eq!(serde_json::from_value::<JsonSchema>(changed.clone()).is_ok(), may, "{changed}");
        }
    }
    assert_eq!(serde_json::from_str::<Temperature>("2000").unwrap().as_thousandths(), 2000);
    assert_eq!(serde_json::to_string(&Temperature::ZERO).unwrap(), "0");
    for text in ["2001", "-1", "0.5", "70000"] {
        assert!(serde_json::from_str::<Temperature>(text).is_err(), "{text}");
    }
}

#[test]
fn what_no_model_can_be_held_to_is_refused_by_its_place() {
    assert_eq!(refused(&json!({ "type": "array", "items": { "type": "string" } })), [""]);
    assert_eq!(refused(&json!(true)), ["", ""]);
    let keyword = |key: &str, value: Value| refused(&object(json!({ "a/b": { "type": "string", key: value } })));
    for key in ["oneOf", "not", "if", "dependentRequired", "patternProperties", "prefixItems"] {
        assert_eq!(keyword(key, json!([])), [format!("/properties/a~1b/{key}")], "{key}");
    }
    assert_eq!(keyword("allOf", json!([{}, {}])), ["/properties/a~1b/allOf"]);
    assert_eq!(refused(&object(json!({ "a": { "type": "array" } }))), ["/properties/a"]);
    assert_eq!(refused(&object(json!({ "a": { "type": "object" } }))), ["/properties/a"]);
    let map = json!({ "type": "object", "properties": {}, "additionalProperties": { "type": "string" } });
    assert_eq!(refused(&object(json!({ "a": map }))), ["/properties/a/additionalProperties"]);
    assert_eq!(refused(&object(json!({ "a": { "$ref": "other.json", "title": "t" } }))), ["/properties/a/$ref"]);
    for name in ["", "two words", &"x".repeat(65)] {
        assert!(JsonSchema::strict(name, &object(json!({}))).is_err(), "{name:?}");
    }
}

#[test]
fn limits_are_checked_to_the_last() {
    let properties = |count: usize| {
        object(
            (0..count)
                .map(|at| (format!("p{at}"), json!({ "type": "string" })))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        )
    };
    assert!(strict(&properties(5000)).is_ok());
    assert_eq!(refused(&properties(5001)), [""]);
    let nested = |levels: usize| (1..levels).fold(object(json!({})), |inner, _| object(json!({ "a": inner })));
    assert!(strict(&nested(10)).is_ok());
    assert_eq!(refused(&nested(11)), ["/properties/a".repeat(10)]);
    let choice = |count: usize, length: usize| {
        let values: Vec<String> = (0..count).map(|at| format!("{at:0length$}")).collect();
        object(json!({ "a": { "enum": values } }))
    };
    assert!(strict(&choice(1000, 3)).is_ok());
    assert_eq!(refused(&choice(1001, 3)), [""]);
    assert!(strict(&choice(300, 50)).is_ok());
    assert_eq!(refused(&choice(300, 51)), ["/properties/a/enum"]);
    assert!(strict(&choice(250, 479)).is_ok());
    assert_eq!(refused(&choice(250, 480)), [""], "119751 and a name are within, 120001 are not");
}

#[test]
fn circles_and_deep_nests_end() {
    let mut circle = object(json!({ "a": { "$ref": "#/$defs/c", "title": "t" } }));
    circle["$defs"] = json!({ "c": { "$ref": "#/$defs/c", "title": "u" } });
    assert!(!refused(&circle).is_empty());
    // Ten levels that each name the next ten times over.
    let mut wide = object(json!({ "a": { "$ref": "#/$defs/d0", "title": "t" } }));
    let many = |next: usize| {
        let of = |at: usize| (format!("p{at}"), json!({ "$ref": format!("#/$defs/d{next}"), "title": "t" }));
        object((0..10).map(of).collect::<serde_json::Map<_, _>>().into())
    };
    wide["$defs"] = (0..12).map(|at| (format!("d{at}"), many((at + 1) % 12))).collect::<serde_json::Map<_, _>>().into();
    assert!(refused(&wide).len() <= 103);
    // A large text that is referred to often, and a long name above many.
    let often = (0..1000).map(|at| (format!("p{at}"), json!({ "$ref": "#/$defs/large", "title": "t" })));
    let mut large = object(often.collect::<serde_json::Map<_, _>>().into());
    large["$defs"] = json!({ "large": { "type": "string", "description": "d".repeat(100_000) } });
    let too_many = |schema: &Value| {
        let faults = strict(schema).map(|_| ()).unwrap_err();
        assert!(faults.iter().any(|(_, rule)| rule.contains("16 MiB")), "{faults:?}");
    };
    too_many(&large);
    let many = (0..1000).map(|at| (format!("p{at}"), json!({ "type": "string" })));
    let many = object(many.collect::<serde_json::Map<_, _>>().into());
    too_many(&object(json!({ "n".repeat(100_000): many })));
    let deep = (0..200).fold(json!({ "type": "string" }), |inner, _| json!({ "anyOf": [inner] }));
    assert!(!refused(&object(json!({ "a": deep }))).is_empty());
}

#[test]
fn a_schema_is_refused_or_rewritten_into_one_that_stays() {
    let mut rng = Rng::new(26);
    for case in 0..rounds(1000, 10) {
        let schema = json!({ "type": "object", "properties": { "a": part(&mut rng, 0), "b": part(&mut rng, 0) } });
        let Ok(once) = strict(&schema) else { continue };
        let twice = strict(once.schema()).unwrap_or_else(|faults| panic!("case {case}: {faults:?}"));
        assert_eq!(once.schema(), twice.schema(), "case {case}");
    }
}

fn part(rng: &mut Rng, depth: u64) -> Value {
    if depth > 4 {
        return json!({ "type": "string" });
    }
    match rng.below(9) {
        0 => json!({ "type": ["string", "null"], "default": null }),
        1 => json!({ "enum": ["a", null, 3] }),
        2 => json!({ "anyOf": [part(rng, depth + 1), part(rng, depth + 1)] }),
        3 => json!({ "allOf": [part(rng, depth + 1)], "title": "t" }),
        4 => json!({ "type": "array", "items": part(rng, depth + 1) }),
        5 => json!({ "type": "object", "properties": { "x": part(rng, depth + 1) }, "required": ["x"] }),
        6 => json!({ "type": "object", "properties": { "x": part(rng, depth + 1), "y": part(rng, depth + 1) } }),
        7 => json!({ "const": "k", "x-hint": 1 }),
        _ => json!({ "type": "integer", "minimum": 0 }),
    }
}
