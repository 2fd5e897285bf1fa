//! Everything that may be wrong with a schema, found before it is used.

use super::finite::{Regress, regress};
use super::{SchemaFault, SchemaFaultKind, pattern};
use atlas_schema::JsonPointer;
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// More sub-schemas and references than this are refused.
const MAX_NODES: usize = 2000;
/// Deeper nesting is refused.
pub(super) const MAX_DEPTH: usize = 64;
/// Reports stop here.
const MAX_FAULTS: usize = 50;

/// Keywords whose value is one schema.
const ONE: [&str; 10] = [
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is an object of schemas.
const NAMED: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// Compiles the validator: local references only, formats checked, patterns without backtracking and of bounded size.
pub(super) fn validator(schema: &Value) -> Result<Validator, SchemaFault> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(true)
        .with_pattern_options(PatternOptions::regex().size_limit(pattern::SIZE_LIMIT).dfa_size_limit(pattern::SIZE_LIMIT))
        .build(schema)
        .map_err(|error| fault(
            JsonPointer::parse(error.schema_path().as_str()).unwrap_or_default(),
            SchemaFaultKind::NotASchema,
            "correct this keyword: the schema does not compile (look-around and back-references are not supported in patterns)",
        ))
}

pub(super) fn fault(pointer: JsonPointer, kind: SchemaFaultKind, message: &str) -> SchemaFault {
    SchemaFault { pointer, kind, message: message.into() }
}

/// Every fault of a schema, in document order; empty for one that can be used.
pub(super) fn faults(schema: &Value) -> Vec<SchemaFault> {
    let Value::Object(top) = schema else {
        let message = "give a JSON Schema object that describes one record";
        return vec![fault(JsonPointer::root(), SchemaFaultKind::NotASchema, message)];
    };
    let mut walk = Walk { root: schema, faults: Vec::new(), nodes: 0, patterns: pattern::Budget::default() };
    walk.record(top);
    walk.schema(schema, &JsonPointer::root(), 0);
    // The costlier checks presume a bounded schema whose references lead somewhere.
    if walk.faults.is_empty() {
        walk.meta();
    }
    let regress = if walk.faults.is_empty() { regress(schema) } else { None };
    match regress {
        Some(Regress::Endless) => {
            let message = "make a member of the cycle optional: every record would have to be endless";
            walk.add(JsonPointer::root(), SchemaFaultKind::Endless, message);
        }
        Some(Regress::Loops) => {
            let message = "let the cycle go through a member: a `$ref` leads back to the place it stands at";
            walk.add(JsonPointer::root(), SchemaFaultKind::Endless, message);
        }
        Some(Regress::Multiplies) => {
            let message = "refer to each part once: the references multiply to over 10000 checks of one value";
            walk.add(JsonPointer::root(), SchemaFaultKind::TooLarge, message);
        }
        None => {}
    }
    walk.faults.truncate(MAX_FAULTS);
    walk.faults
}

struct Walk<'a> {
    root: &'a Value,
    faults: Vec<SchemaFault>,
    nodes: usize,
    patterns: pattern::Budget,
}

impl Walk<'_> {
    fn add(&mut self, pointer: JsonPointer, kind: SchemaFaultKind, message: &str) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(fault(pointer, kind, message));
        }
    }

    /// The top must describe one object.
    fn record(&mut self, top: &Map<String, Value>) {
        if let Some(dialect) = top.get("$schema").and_then(Value::as_str)
            && !dialect.trim_end_matches('#').ends_with("json-schema.org/draft/2020-12/schema")
        {
            let message = "use draft 2020-12 (https://json-schema.org/draft/2020-12/schema) or leave `$schema` out";
            self.add(JsonPointer::root().key("$schema"), SchemaFaultKind::NotASchema, message);
        }
        let object = match top.get("type") {
            None => ["properties", "$ref", "allOf", "anyOf", "oneOf", "additionalProperties"]
                .iter()
                .any(|key| top.contains_key(*key)),
            Some(Value::String(name)) => name == "object",
            Some(Value::Array(names)) => names.iter().any(|name| name == "object"),
            Some(_) => true,
        };
        if !object {
            let message =
                "describe one record: `type` must be `object` with `properties` (a list of records comes by itself)";
            self.add(JsonPointer::root(), SchemaFaultKind::NotARecord, message);
        }
    }

    /// Conformance with the meta-schema. The meta-schema's report names pointers and keywords; values are left out.
    fn meta(&mut self) {
        let validator = jsonschema::draft202012::meta::validator();
        let pointers: Vec<JsonPointer> = validator
            .iter_errors(self.root)
            .take(MAX_FAULTS)
            .map(|error| JsonPointer::parse(error.instance_path().as_str()).unwrap_or_default())
            .collect();
        for pointer in pointers {
            self.add(
                pointer,
                SchemaFaultKind::NotASchema,
                "correct this: it is not valid in JSON Schema draft 2020-12",
            );
        }
    }

    fn schema(&mut self, schema: &Value, pointer: &JsonPointer, depth: usize) {
        self.nodes += 1;
        if self.nodes == MAX_NODES + 1 || depth == MAX_DEPTH + 1 {
            let message = "make the schema smaller: at most 2000 sub-schemas, nested at most 64 deep";
            self.add(pointer.clone(), SchemaFaultKind::TooLarge, message);
        }
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return;
        }
        let object = match schema {
            Value::Object(object) => object,
            Value::Bool(_) => return,
            _ => return self.add(pointer.clone(), SchemaFaultKind::NotASchema, "a schema is an object or a boolean"),
        };
        self.reference(object, pointer);
        self.patterns(object, pointer);
        self.contradictions(object, pointer);
        for key in ONE {
            if let Some(inner) = object.get(key) {
                self.schema(inner, &pointer.key(key), depth + 1);
            }
        }
        for key in LIST {
            for (at, inner) in object.get(key).and_then(Value::as_array).into_iter().flatten().enumerate() {
                self.schema(inner, &pointer.key(key).index(at), depth + 1);
            }
        }
        for key in NAMED {
            for (name, inner) in object.get(key).and_then(Value::as_object).into_iter().flatten() {
                self.schema(inner, &pointer.key(key).key(name), depth + 1);
            }
        }
    }

    fn reference(&mut self, object: &Map<String, Value>, pointer: &JsonPointer) {
        for key in ["$dynamicRef", "$recursiveRef"] {
            if object.contains_key(key) {
                self.add(pointer.key(key), SchemaFaultKind::DanglingReference, "use `$ref` to a place in this schema");
            }
        }
        // A base of its own would let local-looking references lead elsewhere.
        if object.contains_key("$id") && !pointer.as_str().is_empty() {
            self.add(pointer.key("$id"), SchemaFaultKind::RemoteReference, "leave `$id` out below the top");
        }
        let Some(target) = object.get("$ref") else { return };
        let at = pointer.key("$ref");
        match target.as_str() {
            None => self.add(at, SchemaFaultKind::NotASchema, "`$ref` is a string such as `#/$defs/address`"),
            Some("") => self.add(
                at,
                SchemaFaultKind::DanglingReference,
                "an empty `$ref` names nothing: use `#` or `#/$defs/…`",
            ),
            Some(target) if !target.starts_with('#') => {
                self.add(
                    at,
                    SchemaFaultKind::RemoteReference,
                    "copy the schema into `$defs`: nothing is fetched for a `$ref`",
                );
            }
            Some(target) => match resolve(self.root, target) {
                None => self.add(at, SchemaFaultKind::DanglingReference, "this `$ref` leads nowhere in the schema"),
                Some(_) if only_references(self.root, target) => {
                    self.add(at, SchemaFaultKind::Endless, "this `$ref` leads back to itself");
                }
                Some(_) => {}
            },
        }
    }

    fn patterns(&mut self, object: &Map<String, Value>, pointer: &JsonPointer) {
        let single = object.get("pattern").and_then(Value::as_str).map(|pattern| (pointer.key("pattern"), pattern));
        let named = object.get("patternProperties").and_then(Value::as_object).into_iter().flatten();
        let named = named.map(|(pattern, _)| (pointer.key("patternProperties"), pattern.as_str()));
        let refused: Vec<_> = single
            .into_iter()
            .chain(named)
            .filter_map(|(at, pattern)| self.patterns.refusal(pattern).map(|why| (at, why)))
            .collect();
        for (at, why) in refused {
            self.add(at, SchemaFaultKind::Pattern, why);
        }
    }

    fn contradictions(&mut self, object: &Map<String, Value>, pointer: &JsonPointer) {
        const RANGES: [(&str, &str); 4] = [
            ("minimum", "maximum"),
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
            ("minProperties", "maxProperties"),
        ];
        for (low, high) in RANGES {
            let number = |key: &str| object.get(key).and_then(Value::as_f64);
            if let (Some(least), Some(most)) = (number(low), number(high))
                && least > most
            {
                let message = format!("`{low}` is over `{high}`: no value fits");
                self.add(pointer.key(low), SchemaFaultKind::Contradictory, &message);
            }
        }
        let types = types_of(object);
        if object.get("enum").and_then(Value::as_array).is_some_and(Vec::is_empty) {
            self.add(pointer.key("enum"), SchemaFaultKind::Contradictory, "list at least one value");
        } else if let (Some(types), Some(allowed)) = (&types, object.get("enum").and_then(Value::as_array))
            && !allowed.iter().any(|value| types.iter().any(|name| is_a(value, name)))
        {
            self.add(pointer.key("enum"), SchemaFaultKind::Contradictory, "no listed value is of the `type`");
        }
        if let (Some(types), Some(value)) = (&types, object.get("const"))
            && !types.iter().any(|name| is_a(value, name))
        {
            self.add(pointer.key("const"), SchemaFaultKind::Contradictory, "the `const` is not of the `type`");
        }
        self.required(object, pointer);
        self.all_of(object, types, pointer);
    }

    fn required(&mut self, object: &Map<String, Value>, pointer: &JsonPointer) {
        let properties = object.get("properties").and_then(Value::as_object);
        let closed = object.get("additionalProperties") == Some(&Value::Bool(false))
            && !object.contains_key("patternProperties");
        for (at, name) in object.get("required").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let Some(name) = name.as_str() else { continue };
            let property = properties.and_then(|properties| properties.get(name));
            let impossible = match property {
                Some(property) => property == &Value::Bool(false),
                None => closed,
            };
            if impossible {
                let message = "a required member is not allowed by `properties`";
                self.add(pointer.key("required").index(at), SchemaFaultKind::Contradictory, message);
            }
        }
    }

    fn all_of(&mut self, object: &Map<String, Value>, types: Option<Vec<String>>, pointer: &JsonPointer) {
        let mut possible = types;
        for (at, part) in object.get("allOf").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let part =
                part.get("$ref").and_then(Value::as_str).and_then(|target| resolve(self.root, target)).unwrap_or(part);
            let Some(more) = part.as_object().and_then(types_of) else { continue };
            let left = match possible {
                None => more,
                Some(before) => {
                    let both = |a: &String, b: &String| a == b || (a == "number" && b == "integer");
                    let mut left: Vec<String> =
                        more.iter().filter(|b| before.iter().any(|a| both(a, b))).cloned().collect();
                    left.extend(before.iter().filter(|b| more.iter().any(|a| a != *b && both(a, b))).cloned());
                    left
                }
            };
            if left.is_empty() {
                let message = "the parts of `allOf` want different types: no value fits";
                return self.add(pointer.key("allOf").index(at), SchemaFaultKind::Contradictory, message);
            }
            possible = Some(left);
        }
    }
}

pub(super) fn types_of(object: &Map<String, Value>) -> Option<Vec<String>> {
    match object.get("type")? {
        Value::String(name) => Some(vec![name.clone()]),
        Value::Array(names) => Some(names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()),
        _ => None,
    }
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// The place a local reference names: `#`, `#/pointer` or `#anchor`.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    if fragment.is_empty() || fragment.starts_with('/') {
        // Fragments are percent-encoded; `%25` and `%22` occur in practice.
        let decoded = percent_decoded(fragment)?;
        return root.pointer(&decoded);
    }
    anchor(root, fragment, 0)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn anchor<'a>(schema: &'a Value, name: &str, depth: usize) -> Option<&'a Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    match schema {
        Value::Object(object) if object.get("$anchor").and_then(Value::as_str) == Some(name) => Some(schema),
        Value::Object(object) => object.values().find_map(|inner| anchor(inner, name, depth + 1)),
        Value::Array(entries) => entries.iter().find_map(|inner| anchor(inner, name, depth + 1)),
        _ => None,
    }
}

/// Whether following `$ref` after `$ref` from `target` never arrives at anything else.
fn only_references(root: &Value, target: &str) -> bool {
    let mut seen = HashSet::new();
    let mut target = target;
    while seen.insert(target) {
        match resolve(root, target).and_then(|place| place.get("$ref")).and_then(Value::as_str) {
            Some(next) => target = next,
            None => return false,
        }
    }
    true
}
