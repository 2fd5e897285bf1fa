//! JSON text to a value, by the strict reader's own parser: no key twice, no integer rounded, no depth bomb.

use super::outcome::QuarantineReason;
use crate::read::{self, FaultKind};
use serde_json::Value;

/// Reads JSON text strictly; the first fault is the reason.
pub(super) fn strict(bytes: &[u8]) -> Result<Value, QuarantineReason> {
    read::parse(bytes).map_err(|faults| match faults.iter().next().map(|fault| fault.kind) {
        Some(FaultKind::DuplicateKey) => QuarantineReason::DuplicateKey,
        Some(FaultKind::TooDeep) => QuarantineReason::TooDeep,
        Some(FaultKind::Number) => QuarantineReason::NumberOutOfRange,
        Some(FaultKind::TooLarge) => QuarantineReason::TooLarge,
        _ => QuarantineReason::NotJson,
    })
}

/// Levels of objects and lists; 0 for a single value.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
