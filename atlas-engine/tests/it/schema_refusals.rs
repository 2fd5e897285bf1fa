//! Bad input: schemas that are none, contradict themselves, never end, reach outside or cost too much.

use atlas_engine::shape::{SchemaError, SchemaFaultKind, Shape};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn refused(schema: &Value) -> SchemaError {
    Shape::compile(schema).expect_err("the schema should be refused")
}

fn kinds(schema: &Value) -> Vec<(String, SchemaFaultKind)> {
    refused(schema).faults.into_iter().map(|fault| (fault.pointer.to_string(), fault.kind)).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "callers write the property in place")]
fn with(property: Value) -> Value {
    json!({ "type": "object", "properties": { "a": property } })
}

#[test]
fn a_schema_that_is_not_one_is_refused() {
    for schema in [json!(null), json!("object"), json!([]), json!(3), json!(true)] {
        assert_eq!(kinds(&schema), [(String::new(), SchemaFaultKind::NotASchema)]);
    }
    assert_eq!(kinds(&with(json!({ "type": "strnig" })))[0].1, SchemaFaultKind::NotASchema);
    assert_eq!(kinds(&with(json!({ "minLength": -1 })))[0].1, SchemaFaultKind::NotASchema);
    assert_eq!(kinds(&with(json!(7)))[0], ("/properties/a".into(), SchemaFaultKind::NotASchema));
}

#[test]
fn a_schema_of_anything_but_one_record_is_refused() {
    for schema in [json!({ "type": "string" }), json!({ "type": "array", "items": { "type": "object" } }), json!({})] {
        assert_eq!(kinds(&schema), [(String::new(), SchemaFaultKind::NotARecord)]);
    }
}

#[test]
fn bad_input_18_references_that_cycle_are_empty_or_lead_outside_are_refused_without_a_network() {
    let cycle = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/x" } },
        "$defs": { "x": { "$ref": "#/$defs/y" }, "y": { "$ref": "#/$defs/x" } } });
    assert!(kinds(&cycle).iter().all(|(_, kind)| *kind == SchemaFaultKind::Endless));
    assert_eq!(
        kinds(&with(json!({ "$ref": "" }))),
        [("/properties/a/$ref".into(), SchemaFaultKind::DanglingReference)]
    );
    assert_eq!(kinds(&with(json!({ "$ref": "#/$defs/none" })))[0].1, SchemaFaultKind::DanglingReference);
    for target in ["https://example.com/s.json", "file:///etc/passwd", "other.json", "//example.com/x", "urn:x:y"] {
        let found = kinds(&with(json!({ "$ref": target })));
        assert_eq!(found, [("/properties/a/$ref".into(), SchemaFaultKind::RemoteReference)]);
        assert!(!refused(&with(json!({ "$ref": target }))).to_string().contains(target));
    }
}

#[test]
fn bad_input_19_a_pattern_that_would_explode_is_refused_within_50_ms() {
    for pattern in [r"^(\p{L}{1,1000}){1,1000}$", "((a{100}){100}){100}", &"a".repeat(2000)] {
        let schema = with(json!({ "type": "string", "pattern": pattern }));
        // The quickest of some tries: a busy machine slows single ones.
        let tries = (0..10).map(|_| {
            let started = Instant::now();
            assert_eq!(kinds(&schema), [("/properties/a/pattern".into(), SchemaFaultKind::Pattern)]);
            started.elapsed()
        });
        assert!(tries.min().unwrap() < Duration::from_millis(50));
    }
}

#[test]
fn a_pattern_that_costs_little_to_write_cannot_cost_much_to_compile() {
    // What a repetition repeats is weighed with it, and what needs backtracking has no linear form.
    for pattern in [r"\p{L}{1000}", r"(\p{L}|\p{N}){900}", "(?=x)y"] {
        let at: Vec<String> = kinds(&each([pattern.to_owned()])).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(at, ["/properties/p0000/pattern"], "{pattern}");
    }
    assert!(Shape::compile(&each([r"[\s\S]{1000}", "(a*)*b"].map(str::to_owned))).is_ok());
}

/// One property for each of `patterns`.
fn each(patterns: impl IntoIterator<Item = String>) -> Value {
    let properties: serde_json::Map<String, Value> = patterns
        .into_iter()
        .enumerate()
        .map(|(at, pattern)| (format!("p{at:04}"), json!({ "type": "string", "pattern": pattern })))
        .collect();
    json!({ "type": "object", "properties": properties })
}

#[test]
fn bad_input_19_many_patterns_share_one_budget_and_the_first_over_it_is_named() {
    // A pattern weighs 100, what it holds, and that again for each repetition; all together 50,000.
    let medium = |at: usize| format!("^[a-z]{{100}}{at:04}$");
    let weight = 100 + 400 + 6;
    let fit = 50_000 / weight;
    assert!(Shape::compile(&each((0..fit).map(medium))).is_ok());
    let over = kinds(&each((0..fit + 20).map(medium)));
    assert_eq!(over, [(format!("/properties/p{fit:04}/pattern"), SchemaFaultKind::Pattern)]);
    // Long ones without any repetition count too.
    let long = |at: usize| format!("{at:04}{}", "b".repeat(896));
    assert!(Shape::compile(&each((0..50).map(long))).is_ok());
    assert_eq!(kinds(&each((0..51).map(long))).len(), 1);
    let named: serde_json::Map<String, Value> = (0..501).map(|at| (format!("^{at}{{1}}"), json!({}))).collect();
    let found = kinds(&json!({ "type": "object", "patternProperties": named }));
    assert_eq!(found, [("/patternProperties".into(), SchemaFaultKind::Pattern)]);
}

#[test]
fn repetition_counts_multiply_however_they_are_nested() {
    for pattern in [
        "(((a{100})b){100}c){100}",
        "((a{100})){100}",
        "a{100}{100}",
        "(?:(a{1,100})|b){0,99}",
        "(a{100}){,100}",
        "(a{99999999999999999999999})",
    ] {
        let found = kinds(&with(json!({ "type": "string", "pattern": pattern })));
        assert_eq!(found, [("/properties/a/pattern".into(), SchemaFaultKind::Pattern)], "{pattern}");
    }
    for pattern in
        [r"^\d{4}-\d{2}-\d{2}$", r"^[\]{9999}]$", r"\{9999\}", "(a{30}){30}", "(a{900})(b{900})", "[^]{2}]{3}"]
    {
        let compiled = Shape::compile(&with(json!({ "type": "string", "pattern": pattern })));
        assert!(compiled.is_ok(), "{pattern}: {compiled:?}");
    }
}

/// `count` definitions, each made of the next one.
fn chain(count: usize, part: impl Fn(Value) -> Value) -> Value {
    let mut definitions: serde_json::Map<String, Value> =
        (0..count).map(|at| (format!("d{at}"), part(json!({ "$ref": format!("#/$defs/d{}", at + 1) })))).collect();
    definitions.insert(format!("d{count}"), json!({ "type": "string" }));
    json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#/$defs/d0" } }, "$defs": definitions })
}

#[test]
fn references_that_double_at_each_step_are_judged_in_few_steps() {
    // Each would take 2^40 steps one by one.
    for key in ["allOf", "anyOf", "oneOf"] {
        let found = kinds(&chain(40, |next| json!({ key: [next.clone(), next] })));
        assert_eq!(found[0].1, SchemaFaultKind::TooLarge, "{key}");
    }
    let members = chain(
        20,
        |next| json!({ "type": "object", "required": ["l", "r"], "properties": { "l": next.clone(), "r": next } }),
    );
    assert!(Shape::compile(&members).is_ok());
    assert!(Shape::compile(&chain(3, |next| json!({ "allOf": [next.clone(), next] }))).is_ok());
}

#[test]
fn a_reference_back_to_its_own_place_is_refused_even_among_alternatives() {
    let schema = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/a" } },
        "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }, { "type": "string" }] } } });
    assert_eq!(kinds(&schema)[0].1, SchemaFaultKind::Endless);
    assert_eq!(kinds(&json!({ "type": "object", "not": { "$ref": "#" } }))[0].1, SchemaFaultKind::Endless);
}

#[test]
fn a_recursive_schema_that_must_nest_for_ever_is_refused() {
    let endless = json!({ "type": "object", "properties": { "child": { "$ref": "#" } }, "required": ["child"] });
    assert_eq!(kinds(&endless)[0].1, SchemaFaultKind::Endless);
    let by_list = json!({ "type": "object", "properties": { "list": { "type": "array", "minItems": 1, "items": { "$ref": "#" } } },
        "required": ["list"] });
    assert_eq!(kinds(&by_list)[0].1, SchemaFaultKind::Endless);
}

#[test]
fn a_recursive_schema_that_may_end_is_accepted() {
    for child in [json!({ "$ref": "#" }), json!({ "anyOf": [{ "type": "null" }, { "$ref": "#" }] })] {
        let schema = json!({ "type": "object", "properties": { "name": { "type": "string" }, "child": child } });
        assert!(Shape::compile(&schema).is_ok());
    }
}

#[test]
fn contradictions_are_refused_all_at_once() {
    let schema = json!({ "type": "object", "additionalProperties": false, "required": ["ghost"], "properties": {
        "a": { "type": "string", "minLength": 5, "maxLength": 2 },
        "b": { "type": "integer", "enum": ["x"] },
        "c": { "enum": [] },
        "d": { "allOf": [{ "type": "string" }, { "type": "number" }] },
        "e": { "type": "boolean", "const": 3 } } });
    let found = kinds(&schema);
    let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(
        pointers,
        [
            "/required/0",
            "/properties/a/minLength",
            "/properties/b/enum",
            "/properties/c/enum",
            "/properties/d/allOf/1",
            "/properties/e/const"
        ]
    );
    assert!(found.iter().all(|(_, kind)| *kind == SchemaFaultKind::Contradictory));
}

#[test]
fn a_schema_too_large_or_too_deep_is_refused() {
    let many: serde_json::Map<String, Value> =
        (0..3000).map(|at| (format!("f{at}"), json!({ "type": "string" }))).collect();
    assert_eq!(kinds(&json!({ "type": "object", "properties": many }))[0].1, SchemaFaultKind::TooLarge);
    let mut deep = json!({ "type": "string" });
    for _ in 0..200 {
        deep = json!({ "type": "object", "properties": { "a": deep } });
    }
    assert_eq!(kinds(&deep)[0].1, SchemaFaultKind::TooLarge);
    let chain: serde_json::Map<String, Value> = (0..1500)
        .map(|at| {
            (
                format!("d{at}"),
                json!({ "type": "object", "properties": { "a": { "$ref": format!("#/$defs/d{}", (at + 1) % 1500) } } }),
            )
        })
        .collect();
    let schema = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/d0" } }, "$defs": chain });
    assert_eq!(kinds(&schema)[0].1, SchemaFaultKind::TooLarge);
}

#[test]
fn messages_tell_what_to_do_and_hold_no_value() {
    let secret = "hunter2";
    let error =
        refused(&with(json!({ "const": secret, "type": "integer", "$ref": format!("https://{secret}.example/") })));
    assert_eq!(error.faults.len(), 2);
    assert!(!error.to_string().contains(secret) && !format!("{error:?}").contains(secret));
}
