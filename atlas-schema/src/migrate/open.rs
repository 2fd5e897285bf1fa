//! Opening: from bytes to an object whose JSON texts are read and whose secrets are out.

use super::note::NoteCode;
use super::outcome::QuarantineReason;
use super::source::Trace;
use super::steps::{CHAIN, NoPath, Version};
use super::{item, parse, secrets};
use crate::pointer::JsonPointer;
use serde_json::{Map, Value};

/// A legacy record, readable.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) map: Map<String, Value>,
    /// The version the record claims.
    pub(super) version: Option<String>,
}

/// The fields that writers stored as JSON text.
const TEXTS: [&str; 5] = ["params", "result", "partialResults", "logs", "data"];

/// Deepest record that still fits into a job and a side record, which add levels of their own to `serde_json`'s 127.
const MAX_DEPTH: usize = 120;

/// Bytes to an object of a known version, with `DynamoDB` types taken off and lifted to the newest version.
pub(super) fn open(bytes: &[u8], trace: &mut Trace) -> Result<Opened, QuarantineReason> {
    let Value::Object(map) = parse::strict(bytes)? else { return Err(QuarantineReason::NotAnObject) };
    let (map, was_item) = item::unmarshal(map)?;
    if was_item {
        trace.note(NoteCode::ItemUnmarshalled, JsonPointer::root());
    }
    let version = match map.get("schemaVersion") {
        None | Some(Value::Null) => return Ok(Opened { map, version: None }),
        Some(Value::String(text)) => text.clone(),
        Some(_) => return Err(QuarantineReason::UnknownVersion),
    };
    let number = Version::parse(&version).ok_or(QuarantineReason::UnknownVersion)?;
    match CHAIN.lift(number, map) {
        Ok(map) => Ok(Opened { map, version: Some(version) }),
        Err(NoPath::Future) => Err(QuarantineReason::FutureVersion),
        Err(NoPath::Unknown) => Err(QuarantineReason::UnknownVersion),
    }
}

/// Reads the JSON texts in place; the names of the fields that were text come back. A text that is not JSON stays.
pub(super) fn read_texts(map: &mut Map<String, Value>) -> Result<Vec<&'static str>, QuarantineReason> {
    let mut read = Vec::new();
    for key in TEXTS {
        let Some(Value::String(text)) = map.get(key) else { continue };
        match parse::strict(text.as_bytes()) {
            // A text that spells a text or a number is meant as a text.
            Ok(value @ (Value::Object(_) | Value::Array(_) | Value::Null)) => {
                map.insert(key.to_owned(), value);
                read.push(key);
            }
            Ok(_) | Err(QuarantineReason::NotJson) => {}
            Err(reason) => return Err(reason),
        }
    }
    if map.values().any(|value| parse::depth(value) >= MAX_DEPTH) {
        return Err(QuarantineReason::TooDeep);
    }
    Ok(read)
}

/// The record with null for its secrets and where they were, for a quarantine; `None` if it had none or can't be read.
pub(super) fn without_secrets(bytes: &[u8]) -> Option<(Vec<u8>, Vec<JsonPointer>)> {
    let mut map = open(bytes, &mut Trace::default()).ok()?.map;
    let texts = read_texts(&mut map).ok()?;
    let removed = secrets::blank(&mut map);
    for key in texts {
        if let Some(value) = map.get_mut(key) {
            *value = Value::String(value.to_string());
        }
    }
    let original = serde_json::to_vec(&Value::Object(map)).ok()?;
    (!removed.is_empty()).then_some((original, removed))
}
