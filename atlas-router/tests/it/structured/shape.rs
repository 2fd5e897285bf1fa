//! Documents aligned with a schema and held to it.

use super::*;
use atlas_router::client::JsonSchema;
use atlas_router::structured::{Mismatch, Shape, Why};
use serde_json::json;

fn loose(schema: Value) -> Shape {
    Shape::new(JsonSchema::loose("s", schema).unwrap()).unwrap()
}

/// A shape of one property.
fn of(property: &Value) -> Shape {
    loose(json!({"type": "object", "properties": {"a": property}, "required": ["a"], "additionalProperties": false}))
}

#[test]
fn values_that_say_the_same_in_another_form_are_turned_and_told() {
    use RepairKind::*;
    let choice = json!({"anyOf": [{"type": "integer"}, {"type": "null"}]});
    let rows = [
        (json!({"type": "number"}), "\"1.5\"", json!(1.5), TextAsNumber),
        (json!({"type": "integer"}), "\" 42 \"", json!(42), TextAsNumber),
        (json!({"type": ["integer", "null"]}), "\"-7\"", json!(-7), TextAsNumber),
        (json!({"type": "integer"}), "\"18446744073709551615\"", json!(u64::MAX), TextAsNumber),
        (json!({"type": "string"}), "42", json!("42"), NumberAsText),
        (json!({"type": "boolean"}), "\"True\"", json!(true), TextAsBoolean),
        (json!({"type": ["integer", "null"]}), "\"null\"", Value::Null, TextAsNull),
        (json!({"type": "string", "enum": ["Red", "green"]}), "\"RED \"", json!("Red"), EnumCase),
        (json!({"const": "Red"}), "\"red\"", json!("Red"), EnumCase),
        (choice, "\"3\"", json!(3), TextAsNumber),
    ];
    for (schema, written, value, kind) in rows {
        let read =
            of(&schema).read(&format!("{{\"a\": {written}}}")).unwrap_or_else(|error| panic!("{schema}: {error}"));
        assert_eq!(read.value["a"], value, "{schema}");
        let told: Vec<_> = read.repairs.listed.iter().map(|one| (one.pointer.as_str(), one.kind)).collect();
        assert_eq!(told, [("/a", kind)], "{schema}");
    }
}

#[test]
fn references_are_followed_and_circles_of_them_end() {
    let shape = loose(json!({
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/n"}, "next": {"$ref": "#"}},
        "$defs": {"n": {"type": "integer"}},
    }));
    let read = shape.read(r#"{"a": "1", "next": {"a": "2", "next": {"a": "3"}}}"#).unwrap();
    assert_eq!(read.value, json!({"a": 1, "next": {"a": 2, "next": {"a": 3}}}));
}

#[test]
fn what_would_lose_something_or_could_mean_two_things_is_left_and_refused() {
    let rows = [
        (json!({"type": "integer"}), "\"4.5\""),
        (json!({"type": "integer"}), "4.5"),
        (json!({"type": "number"}), "\"1,000\""),
        (json!({"type": "number"}), "\"0x10\""),
        (json!({"type": "number"}), "\"1e-400\""),
        (json!({"type": "number"}), "\"007\""),
        (json!({"type": "number"}), "\"0.1234567890123456789\""),
        (json!({"type": "integer"}), "\"123456789012345678901234567890\""),
        (json!({"type": "integer"}), "true"),
        (json!({"type": "string"}), "1.50"),
        (json!({"type": "string"}), "null"),
        (json!({"type": "boolean"}), "\"yes\""),
        (json!({"type": "boolean"}), "1"),
        (json!({"type": "string", "enum": ["Red", "RED"]}), "\"red\""),
        (json!({"type": "array", "items": {"type": "string"}}), "\"one\""),
    ];
    for (schema, written) in rows {
        let error = of(&schema).read(&format!("{{\"a\": {written}}}")).expect_err(&schema.to_string());
        assert!(
            matches!(&error.why, Why::Unfit { mismatches, .. } if mismatches[0].pointer == "/a"),
            "{schema}: {error}"
        );
    }
}

#[test]
fn a_value_that_fits_is_never_touched() {
    let shape = of(&json!({"type": ["string", "integer"]}));
    let read = shape.read("{\"a\": \"42\"}").unwrap();
    assert_eq!((read.value, read.repairs.is_empty()), (json!({"a": "42"}), true));
}

#[test]
fn values_deep_in_lists_choices_and_references_are_aligned_where_they_are() {
    let shape = loose(json!({
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"anyOf": [
            {"type": "object", "properties": {"kind": {"const": "n"}, "of": {"type": "integer"}}, "required": ["kind", "of"]},
            {"type": "object", "properties": {"kind": {"const": "t"}, "of": {"type": "string"}}, "required": ["kind", "of"]},
        ]}}, "rest": {"type": "object", "additionalProperties": {"$ref": "#/$defs/flag"}}},
        "$defs": {"flag": {"type": "boolean"}},
    }));
    let read =
        shape.read(r#"{"items": [{"kind": "t", "of": 1}, {"kind": "n", "of": "1"}], "rest": {"x": "false"}}"#).unwrap();
    assert_eq!(read.value, json!({"items": [{"kind": "t", "of": "1"}, {"kind": "n", "of": 1}], "rest": {"x": false}}));
    let places: Vec<_> = read.repairs.listed.iter().map(|one| one.pointer.as_str()).collect();
    assert_eq!(places, ["/items/0/of", "/items/1/of", "/rest/x"]);
}

#[test]
fn an_optional_property_that_is_absent_is_null_in_a_strict_schema_and_that_is_told() {
    let schema = json!({
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}, "c": {"type": ["integer", "null"]}},
        "required": ["a", "c"],
    });
    let shape = Shape::new(JsonSchema::strict("s", &schema).unwrap()).unwrap();
    let read = shape.read("{\"a\": \"x\", \"c\": 1}").unwrap();
    assert_eq!(read.value, json!({"a": "x", "b": null, "c": 1}));
    assert_eq!(read.repairs.listed[0].kind, RepairKind::AbsentAsNull);
    assert!(shape.read("{\"a\": \"x\"}").is_err(), "one that was required is not made up");
}

#[test]
fn of_several_documents_the_one_that_fits_is_taken_and_two_that_differ_are_none() {
    let shape = of(&json!({"type": "integer"}));
    let read = shape.read("I found {\"b\": 1} in [1] and so {\"a\": 2}.").unwrap();
    assert_eq!(read.value, json!({"a": 2}));
    assert!(read.repairs.has(RepairKind::OneOfSeveral));
    assert!(shape.read("{\"a\": 2} or again {\"a\": 2}").is_ok());
    let error = shape.read("{\"a\": 2} or {\"a\": 3}").unwrap_err();
    assert_eq!(error.why, Why::Unread(ReadError::Several));
}

#[test]
fn mismatches_name_places_and_rules_of_the_schema_and_never_values() {
    let schema = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z]+$"},
            "age": {"type": "integer", "minimum": 0},
            "of": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": false},
        },
        "required": ["name"],
    });
    // Optional in a strict schema: a choice of it and null, of which the one that was meant is told.
    let shape = Shape::new(JsonSchema::strict("s", &schema).unwrap()).unwrap();
    let error = shape.read(r#"{"name": "Ada Lovelace", "age": -36, "of": {"y": "secret"}}"#).unwrap_err();
    let Why::Unfit { mismatches, has_more: false } = &error.why else { panic!("{error}") };
    let mut told: Vec<String> = mismatches.iter().map(Mismatch::to_string).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "/age: must satisfy minimum: 0",
            "/name: must satisfy pattern: \"^[a-z]+$\"",
            "/of: must have no properties but those of the schema",
            "/of: must have the property \"x\"",
        ]
    );
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("Ada") && !shown.contains("secret") && !shown.contains("36"), "{shown}");
}

#[test]
fn mismatches_are_bounded_however_much_is_wrong() {
    let shape = loose(json!({"type": "array", "items": {"type": "integer"}}));
    let told = |shape: &Shape, text: &str| match shape.read(text).unwrap_err().why {
        Why::Unfit { mismatches, has_more: true } => mismatches,
        other => panic!("{other}"),
    };
    let is_whole = |told: &[Mismatch]| told.len() == 1 && told[0].rule.contains("too large to tell");
    assert_eq!(told(&shape, &format!("[{}]", vec!["true"; 1000].join(","))).len(), 20);
    // The validator would keep all mismatches, with copies of what they are of.
    for text in [format!("[{}]", vec!["true"; 2000].join(",")), format!("[true, \"{}\"]", "x".repeat(70_000))] {
        assert!(is_whole(&told(&shape, &text)));
    }
    // Each mismatch would have a pointer of its own to that place.
    let deep = format!("{{\"{}\": [{}]}}", "k".repeat(20_000), vec!["true"; 20_000].join(","));
    let lists = json!({"additionalProperties": {"type": "array", "items": {"type": "integer"}}});
    let error = loose(lists).read(&deep).unwrap_err();
    assert!(
        matches!(&error.why, Why::Unfit { mismatches, has_more: true } if mismatches[0].pointer.is_empty()),
        "{error}"
    );
    let key = "k".repeat(100_000);
    let error =
        loose(json!({"additionalProperties": {"type": "integer"}})).read(&format!("{{\"{key}\": true}}")).unwrap_err();
    assert!(error.to_string().len() < 1000, "a place is bounded, too");
}

#[test]
fn schemas_that_are_none_or_lead_outside_or_multiply_are_refused_or_do_no_harm() {
    for schema in [
        json!({"type": 7}),
        json!({"pattern": "("}),
        json!({"$ref": "https://example.org/s"}),
        json!({"$ref": "#/nowhere"}),
    ] {
        assert!(Shape::new(JsonSchema::loose("s", schema.clone()).unwrap()).is_err(), "{schema}");
    }
    let double = |to: u32| json!({"anyOf": [{"$ref": format!("#/$defs/{to}")}, {"$ref": format!("#/$defs/{to}")}]});
    let defs: serde_json::Map<_, _> = (0..10).map(|at| (at.to_string(), double(at + 1))).collect();
    let mut schema = json!({"$ref": "#/$defs/0", "$defs": defs});
    schema["$defs"]["10"] = json!({"type": "integer"});
    assert!(loose(schema).read("\"x\"").is_err());
}

#[test]
fn a_reply_that_was_cut_off_fits_if_its_beginning_does_and_says_so() {
    let shape = loose(
        json!({"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}, "required": ["a"]}),
    );
    let read = shape.read("{\"a\": [1, 2, 3").unwrap();
    assert_eq!((read.value, read.repairs.is_truncated), (json!({"a": [1, 2]}), true));
    let error = shape.read("{\"b\": [1, 2, 3").unwrap_err();
    assert!(error.is_truncated && error.to_string().contains("cut off"), "{error}");
    let read = shape.read("A draft: {\"a\": [1]}. And now: {\"b\": 1, \"a\": [").unwrap_err();
    assert!(read.is_truncated, "{read}");
    let draft = shape.read("A draft: {\"a\": [1]}. And now: {\"b\": 1").unwrap();
    assert!(draft.repairs.is_truncated, "what was cut off may have been the answer");
}

#[test]
fn a_text_that_was_cut_off_becomes_no_number_and_no_word_of_a_list() {
    for property in [
        json!({"type": "integer"}),
        json!({"type": ["integer", "null"]}),
        json!({"type": "string", "enum": ["12", "123"]}),
        json!({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}),
    ] {
        let list = json!({"type": "array", "items": property});
        let shape = loose(json!({"properties": {"a": property, "l": list}, "additionalProperties": property}));
        for (text, value) in
            [("{\"a\": \"12", json!({})), ("{\"b\": \"12", json!({})), ("{\"l\": [\"12\", \"12", json!({"l": ["12"]}))]
        {
            let read = shape.read(text).unwrap();
            let value = if value["l"].is_array() && property["enum"].is_null() { json!({"l": [12]}) } else { value };
            assert_eq!((read.value, read.repairs.is_truncated), (value, true), "{property}: {text}");
        }
    }
    // By whatever keyword, and if there is nothing else.
    let word = json!({"type": "string", "enum": ["12", "123"]});
    let error = loose(word.clone()).read("\"12").unwrap_err();
    assert!(error.is_truncated, "{error}");
    assert_eq!(loose(word.clone()).read("\"12\"").unwrap().value, json!("12"));
    let by_pattern = loose(json!({"type": "object", "patternProperties": {"^p": word}}));
    assert_eq!(by_pattern.read("{\"p1\": \"12\", \"p2\": \"12").unwrap().value, json!({"p1": "12"}));
    let free = of(&json!({"anyOf": [{"type": "string"}, {"type": "null"}]}));
    assert_eq!(free.read("{\"a\": \"wor").unwrap().value, json!({"a": "wor"}));
}

#[test]
fn what_there_is_to_compare_with_a_choice_is_counted_so_that_large_choices_end() {
    let names: Vec<String> = (0..10_000).map(|at| format!("n{at}")).collect();
    let turned = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let shape = loose(json!({"type": "array", "items": {"anyOf": [{"type": "object", "required": names}, turned]}}));
    assert!(shape.read("[{\"n\": \"1\"}]").is_ok());
    let many = format!("[{}]", vec!["{\"n\": \"1\"}"; 2_500].join(","));
    assert!(shape.read(&many).is_err(), "the last ones are left as they are");
}
