//! Numbers and switches of params: read leniently, moved into range, never lost.

use super::note::NoteCode;
use super::source::{Source, Trace};
use crate::pointer::JsonPointer;
use serde_json::{Number, Value};

/// A number without a fraction, in the range in which JSON numbers are exact.
pub(super) fn whole(number: &Number) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if let Some(integer) = number.as_i64() {
        return Some(integer);
    }
    let float = number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < EXACT)?;
    // Exact: whole and within 2^53.
    #[allow(clippy::cast_possible_truncation)]
    let integer = float as i64;
    Some(integer)
}

/// What a field of params allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) default: u32,
}

/// The field as a number in its range, from the top of the record or from params; the top wins.
///
/// `read` turns what was written into the unit of the format and says if it changed it.
pub(super) fn bounded(
    key: &'static str,
    range: Range,
    read: fn(i64) -> (i64, Option<NoteCode>),
    (root, params): (&mut Source, &mut Source),
    trace: &mut Trace,
) -> u32 {
    let mut found = None;
    for source in [root, params] {
        let pointer = source.pointer(key);
        let Some(value) = source.take(key) else { continue };
        let (written, from_text) = match &value {
            Value::Number(number) => (whole(number), false),
            Value::String(text) => (text.trim().parse().ok(), true),
            _ => (None, false),
        };
        let Some(written) = written else {
            trace.unreadable(pointer, value);
            continue;
        };
        if let Some((before, _)) = found {
            let code = if before == written { NoteCode::Redundant } else { NoteCode::Conflict };
            trace.note_kept(code, pointer, value);
            continue;
        }
        if from_text {
            trace.note(NoteCode::FromText, pointer.clone());
        }
        found = Some((written, place(written, range, read, pointer, value, trace)));
    }
    found.map_or_else(
        || {
            trace.note(NoteCode::Defaulted, JsonPointer::root().key("params").key(key));
            range.default
        },
        |(_, placed)| placed,
    )
}

fn place(
    written: i64,
    range: Range,
    read: fn(i64) -> (i64, Option<NoteCode>),
    pointer: JsonPointer,
    value: Value,
    trace: &mut Trace,
) -> u32 {
    let (meant, code) = read(written);
    if let Some(code) = code {
        trace.note(code, pointer.clone());
    }
    let placed = meant.clamp(range.min.into(), range.max.into());
    if placed != meant {
        trace.note_kept(NoteCode::Clamped, pointer, value);
    }
    u32::try_from(placed).unwrap_or(range.default)
}

/// A switch; absent means `default`, which no note tells: old records never had it.
pub(super) fn switch(key: &str, default: bool, params: &mut Source, trace: &mut Trace) -> bool {
    let pointer = params.pointer(key);
    match params.take(key) {
        None => default,
        Some(Value::Bool(on)) => on,
        Some(Value::String(text)) if matches!(text.as_str(), "true" | "false") => {
            trace.note(NoteCode::FromText, pointer);
            text == "true"
        }
        Some(other) => {
            trace.unreadable(pointer, other);
            default
        }
    }
}
