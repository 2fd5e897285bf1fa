//! JSON Schemas in the subset that providers can hold a model to.
//!
//! The subset is that of `OpenAI`'s structured outputs, read in November 2026; what it refuses, other providers refuse or ignore. A
//! schema is rewritten where that keeps its meaning: each object closed, each property required and, where it was optional,
//! nullable. What can't be kept is refused here, with its place, before a provider does so at the price of a round trip.

use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// Limits of the subset: properties in all, levels of objects and arrays, values of all enumerations, characters of all names,
/// enumerations and constants, and characters of one enumeration of more than 250 values.
const MOST_PROPERTIES: usize = 5000;
const MOST_LEVELS: usize = 10;
const MOST_VALUES: usize = 1000;
const MOST_CHARACTERS: usize = 120_000;
const LARGE_ENUM: usize = 250;
const MOST_ENUM_CHARACTERS: usize = 15_000;
/// No schema within the limits nests further, whatever its keywords; what does is a circle or hostile.
const MOST_DEPTH: usize = 64;
/// Nor has it more parts, nor as many bytes with every place written out: references that multiply are followed no further.
const MOST_PARTS: usize = 20_000;
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// What a value takes beside its text, about.
const VALUE_BYTES: usize = 32;

/// Keywords that say nothing about a reply: beside a reference, the one that is closer to the use is kept.
const HINTS: [&str; 10] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
];

/// Keywords that no provider can hold a model to.
const REFUSED: [&str; 14] = [
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "prefixItems",
    "contains",
    "$dynamicRef",
];

/// A schema that is not of the subset, with everything that is in the way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema has {} fault(s):{}", .faults.len(), crate::text::lines(.faults))]
pub struct SchemaError {
    /// The faults, in the order of the schema.
    pub faults: Vec<SchemaFault>,
}

/// One thing that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaFault {
    /// Where: a JSON Pointer into the schema; empty for the whole.
    pub pointer: String,
    /// What it must be.
    pub rule: &'static str,
}

impl fmt::Display for SchemaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "the schema" } else { &self.pointer };
        write!(f, "{place}: {}", self.rule)
    }
}

/// A schema of the subset.
pub(super) struct Strict {
    pub(super) schema: Value,
    /// Places of the schema whose property was optional and may now be null instead.
    pub(super) nullable: Vec<String>,
}

struct Rewriting<'a> {
    root: &'a Value,
    faults: Vec<SchemaFault>,
    nullable: Vec<String>,
    properties: usize,
    values: usize,
    characters: usize,
    parts: usize,
    bytes: usize,
    /// It was found to be more than is followed, and that was said.
    is_full: bool,
}

/// A schema rewritten into the subset.
pub(super) fn strict(schema: &Value) -> Result<Strict, SchemaError> {
    let (faults, nullable) = (Vec::new(), Vec::new());
    let mut state = Rewriting {
        root: schema,
        faults,
        nullable,
        properties: 0,
        values: 0,
        characters: 0,
        parts: 0,
        bytes: 0,
        is_full: false,
    };
    if schema.get("type").and_then(Value::as_str) != Some("object") || schema.get("anyOf").is_some() {
        state.fault("", "must be of type object at its root, without anyOf");
    }
    let rewritten = state.node(schema, "", 1, 0);
    for (count, most, rule) in [
        (state.properties, MOST_PROPERTIES, "must have at most 5000 properties in all"),
        (state.values, MOST_VALUES, "must have at most 1000 values in all its enumerations"),
        (state.characters, MOST_CHARACTERS, "must have at most 120000 characters in names, enumerations and constants"),
    ] {
        if count > most {
            state.fault("", rule);
        }
    }
    let Rewriting { faults, nullable, .. } = state;
    if faults.is_empty() { Ok(Strict { schema: rewritten, nullable }) } else { Err(SchemaError { faults }) }
}

/// Whether a provider takes it as the name of a schema.
pub(super) fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(letter)
}

/// About so many bytes of memory.
fn size(value: &Value) -> usize {
    let within = match value {
        Value::String(text) => text.len(),
        Value::Array(all) => all.iter().map(size).fold(0, usize::saturating_add),
        Value::Object(map) => map.iter().fold(0, |sum: usize, (key, one)| sum.saturating_add(key.len() + size(one))),
        _ => 0,
    };
    within.saturating_add(VALUE_BYTES)
}

fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

impl Rewriting<'_> {
    fn fault(&mut self, pointer: &str, rule: &'static str) {
        // One report of a circle is enough.
        if self.faults.len() < 100 {
            self.faults.push(SchemaFault { pointer: pointer.into(), rule });
        }
    }

    /// Counts what is about to be built, and tells whether it may be.
    fn has_room(&mut self, parts: usize, bytes: usize, pointer: &str) -> bool {
        (self.parts, self.bytes) = (self.parts.saturating_add(parts), self.bytes.saturating_add(bytes));
        let has_room = self.parts <= MOST_PARTS && self.bytes <= MOST_BYTES;
        if !has_room && !self.is_full {
            self.is_full = true;
            self.fault(pointer, "must not multiply by references beside other keywords: at most 20000 parts or 16 MiB");
        }
        has_room
    }

    /// A subschema, at a level of objects and arrays and at a depth of keywords.
    fn node(&mut self, schema: &Value, pointer: &str, level: usize, depth: usize) -> Value {
        if !self.has_room(1, pointer.len(), pointer) {
            return Value::Null;
        }
        let Value::Object(map) = schema else {
            self.fault(pointer, "must be a schema in braces");
            return Value::Null;
        };
        if level > MOST_LEVELS {
            self.fault(pointer, "must be at most 10 levels deep");
            return Value::Null;
        }
        if depth > MOST_DEPTH {
            self.fault(pointer, "must not nest so deeply, nor refer to itself beside other keywords");
            return Value::Null;
        }
        if let Some(merged) = self.merged(map, pointer) {
            return self.node(&merged, pointer, level, depth + 1);
        }
        let mut out = Map::new();
        for (key, value) in map {
            let place = child(pointer, key);
            match key.as_str() {
                refused if REFUSED.contains(&refused) => {
                    self.fault(&place, "must not be there: models can't be held to it");
                }
                "allOf" => self.fault(&place, "must have one entry at most: merge them"),
                // Hints for others, and defaults that say nothing.
                "$schema" | "$id" | "$comment" | "required" | "properties" | "additionalProperties" => {}
                "default" if value.is_null() => {}
                hint if hint.starts_with("x-") => {}
                "anyOf" => {
                    let all = value.as_array().map_or(&[][..], Vec::as_slice).iter().enumerate();
                    let all = all.map(|(at, one)| self.node(one, &child(&place, &at.to_string()), level, depth + 1));
                    out.insert(key.clone(), all.collect());
                }
                "items" => {
                    out.insert(key.clone(), self.node(value, &place, level + 1, depth + 1));
                }
                "$defs" | "definitions" => {
                    let defs = value.as_object().into_iter().flatten().map(|(name, one)| {
                        self.characters += name.chars().count();
                        // What is defined counts from where it is used, which the provider looks at.
                        (name.clone(), self.node(one, &child(&place, name), 1, depth + 1))
                    });
                    out.insert(key.clone(), Value::Object(defs.collect()));
                }
                "enum" | "const" => {
                    self.values(key, value, &place);
                    out.insert(key.clone(), value.clone());
                }
                _ => {
                    out.insert(key.clone(), value.clone());
                }
            }
        }
        if has_type(map, "object") || map.contains_key("properties") {
            self.object(map, &mut out, pointer, level, depth);
        }
        if has_type(map, "array") && !map.contains_key("items") {
            self.fault(pointer, "must say what its items are");
        }
        Value::Object(out)
    }

    /// The schema with what stands beside a reference, or in an `allOf` of one, put into what that names. Both hold, so what they
    /// say differently is a fault.
    fn merged(&mut self, map: &Map<String, Value>, pointer: &str) -> Option<Value> {
        let (target, dropped) = if let (Some(reference), true) = (map.get("$ref"), map.len() > 1) {
            let target =
                reference.as_str().and_then(|text| text.strip_prefix('#')).and_then(|at| self.root.pointer(at));
            if target.is_none() {
                self.fault(&child(pointer, "$ref"), "must name a place of this schema, such as #/$defs/name");
            }
            (target?, "$ref")
        } else if let Some([only]) = map.get("allOf").and_then(Value::as_array).map(Vec::as_slice) {
            (only, "allOf")
        } else {
            return None;
        };
        let target = target.as_object()?;
        let bytes = target.iter().fold(0_usize, |sum, (key, value)| sum.saturating_add(key.len() + size(value)));
        if !self.has_room(0, bytes, pointer) {
            return None;
        }
        // It speaks of the properties that stand with it, and of no others.
        for (one, other, key) in [(map, target, "additionalProperties"), (target, map, "properties")] {
            if leaves_out(one, other) {
                self.fault(&child(pointer, key), "must stand with all properties in one place: write both out there");
            }
        }
        let mut merged = target.clone();
        for (key, value) in map.iter().filter(|(key, _)| *key != dropped) {
            let is_hint = HINTS.contains(&key.as_str()) || key.starts_with("x-");
            if !is_hint && target.get(key).is_some_and(|known| known != value) {
                self.fault(
                    &child(pointer, key),
                    "must not differ from what is referred to: write both out in one place",
                );
            }
            merged.insert(key.clone(), value.clone());
        }
        Some(Value::Object(merged))
    }

    fn values(&mut self, key: &str, value: &Value, place: &str) {
        let all =
            if key == "enum" { value.as_array().map_or(&[][..], Vec::as_slice) } else { std::slice::from_ref(value) };
        let characters: usize = all.iter().filter_map(Value::as_str).map(|text| text.chars().count()).sum();
        if key == "enum" {
            self.values += all.len();
            if all.len() > LARGE_ENUM && characters > MOST_ENUM_CHARACTERS {
                self.fault(place, "must have at most 15000 characters in an enumeration of more than 250 values");
            }
        }
        self.characters += characters;
    }

    fn object(
        &mut self,
        map: &Map<String, Value>,
        out: &mut Map<String, Value>,
        pointer: &str,
        level: usize,
        depth: usize,
    ) {
        if map.get("additionalProperties").is_some_and(|value| *value != Value::Bool(false)) {
            self.fault(&child(pointer, "additionalProperties"), "must be false: use an array of names and values");
        }
        let Some(Value::Object(properties)) = map.get("properties") else {
            self.fault(pointer, "must name its properties");
            return;
        };
        let required: BTreeSet<&str> = match map.get("required") {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => BTreeSet::new(),
        };
        let place = child(pointer, "properties");
        let mut closed = Map::new();
        for (name, property) in properties {
            let place = child(&place, name);
            self.properties += 1;
            self.characters += name.chars().count();
            let mut property = self.node(property, &place, level + 1, depth + 1);
            if !required.contains(name.as_str()) {
                property = nullable(property);
                self.nullable.push(place);
            }
            closed.insert(name.clone(), property);
        }
        out.insert("required".into(), closed.keys().cloned().map(Value::String).collect());
        out.insert("properties".into(), Value::Object(closed));
        out.insert("additionalProperties".into(), Value::Bool(false));
    }
}

/// Whether a schema forbids properties that the other one names.
fn leaves_out(map: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let names = |map: &Map<String, Value>, name: &str| map.get("properties").is_some_and(|all| all.get(name).is_some());
    let others = other.get("properties").and_then(Value::as_object);
    map.get("additionalProperties").is_some_and(|rest| *rest != Value::Bool(true))
        && others.into_iter().flatten().any(|(name, _)| !names(map, name))
}

fn has_type(map: &Map<String, Value>, name: &str) -> bool {
    match map.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(all)) => all.iter().any(|one| one == name),
        _ => false,
    }
}

/// The schema, or null.
fn nullable(schema: Value) -> Value {
    let Value::Object(mut map) = schema else { return schema };
    let nothing = || serde_json::json!({ "type": "null" });
    if has_type(&map, "null") {
        return Value::Object(map);
    }
    // Values that are listed would have to list null, too: a choice of two says it without touching the list.
    if map.contains_key("enum") || map.contains_key("const") || !map.contains_key("type") {
        if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
            if !choices.contains(&nothing()) {
                choices.push(nothing());
            }
            return Value::Object(map);
        }
        return serde_json::json!({ "anyOf": [map, nothing()] });
    }
    let types = match map.remove("type") {
        Some(Value::Array(mut types)) => {
            types.push("null".into());
            types
        }
        one => one.into_iter().chain(["null".into()]).collect(),
    };
    map.insert("type".into(), Value::Array(types));
    Value::Object(map)
}
