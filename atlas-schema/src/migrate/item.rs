//! `DynamoDB` items: `{"id": {"S": "…"}, …}` as exports and streams carry them, to plain JSON.

use super::outcome::QuarantineReason;
use super::parse;
use crate::pointer::JsonPointer;
use serde_json::{Map, Value};

/// Takes the types off if the record carries them; the flag tells whether it did.
///
/// A record carries types if it has attributes and every one is an object with one key, a type name: plain records have
/// texts at the top, so none is taken for an item. The wrapper of full exports, `{"Item": {…}}`, comes off too.
pub(super) fn unmarshal(mut map: Map<String, Value>) -> Result<(Map<String, Value>, bool), QuarantineReason> {
    if map.len() == 1
        && let Some(Value::Object(item)) = map.get_mut("Item")
        && is_item(item)
    {
        map = std::mem::take(item);
    }
    if !is_item(&map) {
        return Ok((map, false));
    }
    attributes(map, &JsonPointer::root()).map(|plain| (plain, true))
}

fn is_item(map: &Map<String, Value>) -> bool {
    const TYPES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"];
    let is_typed = |value: &Value| match value {
        Value::Object(inner) if inner.len() == 1 => inner.keys().all(|key| TYPES.contains(&key.as_str())),
        _ => false,
    };
    !map.is_empty() && map.values().all(is_typed)
}

fn attributes(map: Map<String, Value>, at: &JsonPointer) -> Result<Map<String, Value>, QuarantineReason> {
    map.into_iter()
        .map(|(key, value)| {
            let value = plain(value, &|| at.key(&key))?;
            Ok((key, value))
        })
        .collect()
}

fn plain(value: Value, at: &dyn Fn() -> JsonPointer) -> Result<Value, QuarantineReason> {
    let malformed = || QuarantineReason::MalformedItem { pointer: at() };
    let Value::Object(map) = value else { return Err(malformed()) };
    let mut entries = map.into_iter();
    let (Some((kind, inner)), None) = (entries.next(), entries.next()) else { return Err(malformed()) };
    match (kind.as_str(), inner) {
        // Binary stays the base64 text the export carries.
        ("S" | "B", inner @ Value::String(_)) | ("BOOL", inner @ Value::Bool(_)) => Ok(inner),
        ("NULL", Value::Bool(true)) => Ok(Value::Null),
        ("N", Value::String(text)) => number(&text, malformed),
        ("M", Value::Object(map)) => attributes(map, &at()).map(Value::Object),
        ("L", Value::Array(items)) => {
            items.into_iter().enumerate().map(|(i, item)| plain(item, &|| at().index(i))).collect()
        }
        ("SS" | "BS", Value::Array(items)) if items.iter().all(Value::is_string) => Ok(Value::Array(items)),
        ("NS", Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                Value::String(text) => number(&text, malformed),
                _ => Err(malformed()),
            })
            .collect(),
        _ => Err(malformed()),
    }
}

fn number(text: &str, malformed: impl Fn() -> QuarantineReason) -> Result<Value, QuarantineReason> {
    match parse::strict(text.as_bytes()) {
        Ok(number @ Value::Number(_)) => Ok(number),
        Err(reason @ QuarantineReason::NumberOutOfRange) => Err(reason),
        _ => Err(malformed()),
    }
}
