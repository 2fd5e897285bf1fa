//! References to the whole of a schema, for servers that follow only those into its definitions, such as llama.cpp.

use serde_json::{Map, Value};
use std::borrow::Cow;

/// Keywords whose values are no schemas.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
/// Keywords whose values are schemas by names.
const NAMED: [&str; 5] = ["$defs", "definitions", "dependentSchemas", "patternProperties", "properties"];

/// The schema with a copy of its root among its definitions, to which all references to the root lead. It means the same.
pub(crate) fn without_root(schema: &Value) -> Cow<'_, Value> {
    let Value::Object(root) = schema else { return Cow::Borrowed(schema) };
    if !refers(schema, false) {
        return Cow::Borrowed(schema);
    }
    let none = Map::new();
    let known = root.get("$defs").and_then(Value::as_object).unwrap_or(&none);
    let name = (0..=known.len()).map(|n| format!("root{n}")).find(|name| !known.contains_key(name)).unwrap_or_default();
    let mut rewritten = schema.clone();
    redirect(&mut rewritten, false, &format!("#/$defs/{name}"));
    let mut copy = rewritten.clone();
    if let (Some(copied), Some(root)) = (copy.as_object_mut(), rewritten.as_object_mut()) {
        // They would make the copy a document of its own, which has no such definitions.
        for name in ["$defs", "$id", "$schema", "$anchor"] {
            copied.remove(name);
        }
        if let Value::Object(defs) = root.entry("$defs").or_insert_with(|| Value::Object(Map::new())) {
            defs.insert(name, copy);
        }
    }
    Cow::Owned(rewritten)
}

fn is_root(key: &str, value: &Value) -> bool {
    key == "$ref" && value.as_str() == Some("#")
}

/// `is_named` if the keys are names of a host's, not keywords.
fn refers(schema: &Value, is_named: bool) -> bool {
    match schema {
        Value::Array(all) => all.iter().any(|one| refers(one, false)),
        Value::Object(map) => map.iter().any(|(key, value)| match key.as_str() {
            _ if is_named => refers(value, false),
            data if DATA.contains(&data) => false,
            key => is_root(key, value) || refers(value, NAMED.contains(&key)),
        }),
        _ => false,
    }
}

fn redirect(schema: &mut Value, is_named: bool, to: &str) {
    match schema {
        Value::Array(all) => all.iter_mut().for_each(|one| redirect(one, false, to)),
        Value::Object(map) => {
            for (key, value) in map {
                match key.as_str() {
                    _ if is_named => redirect(value, false, to),
                    data if DATA.contains(&data) => {}
                    key if is_root(key, value) => *value = to.into(),
                    key => redirect(value, NAMED.contains(&key), to),
                }
            }
        }
        _ => {}
    }
}
