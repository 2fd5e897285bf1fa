//! Times: from numbers, from text, from the id, and never from a clock.

use super::note::NoteCode;
use super::outcome::QuarantineReason;
use super::shape::Shape;
use super::source::{Source, Trace};
use crate::pointer::JsonPointer;
use crate::time::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

/// When a job was made and when it last changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// Finds both times.
///
/// Created: `createdAt`, `created_at`, `created`, the milliseconds inside the id, and last what says when it ended or was
/// sent. Updated: `updatedAt`, `updated_at`, `updated`, `completedAt`, `completed_at`, the message's `timestamp`, and last
/// the creation time. A field of either list that was not needed and says something else goes to the side record.
pub(super) fn times(root: &mut Source, id: &str, shape: Shape, trace: &mut Trace) -> Result<Times, QuarantineReason> {
    let created = ["createdAt", "created_at", "created"];
    let updated: &[&str] = if shape.is_message() {
        &["updatedAt", "updated_at", "updated", "completedAt", "completed_at", "timestamp"]
    } else {
        &["updatedAt", "updated_at", "updated", "completedAt", "completed_at"]
    };
    let first_created = first(root, &created, trace);
    let first_updated = first(root, updated, trace);
    let at = |key: &str| root.pointer(key);
    let inside = millis_in(id);
    let created = match (first_created, inside) {
        // The stored time is the finish time, which `updatedAt` normally holds too.
        (Some((stored, key)), Some(millis)) if shape.resets_created() && millis < stored => {
            trace.note(NoteCode::TimeFromId, at(key));
            if first_updated.is_none_or(|(updated, _)| updated != stored) {
                trace.keep(at(key), Value::from(stored.as_millis()));
            }
            millis
        }
        (Some((stored, _)), _) => stored,
        (None, Some(millis)) => {
            trace.note(NoteCode::TimeFromId, at("createdAt"));
            millis
        }
        (None, None) => {
            let (stored, _) = first_updated.ok_or(QuarantineReason::NoTime)?;
            trace.note(NoteCode::UpdatedFromOther, at("createdAt"));
            stored
        }
    };
    let updated = match first_updated {
        Some((stored, key)) if stored < created => {
            trace.note_kept(NoteCode::UpdatedRaised, at(key), Value::from(stored.as_millis()));
            created
        }
        Some((stored, _)) => stored,
        None => {
            trace.note(NoteCode::UpdatedFromOther, at("updatedAt"));
            created
        }
    };
    Ok(Times { created, updated })
}

/// The first of the fields that holds a time. All are taken out; others that differ go to the side record.
fn first(root: &mut Source, keys: &[&'static str], trace: &mut Trace) -> Option<(Timestamp, &'static str)> {
    let mut found: Option<(Timestamp, &'static str)> = None;
    for key in keys {
        let Some(value) = root.take(key) else { continue };
        let pointer = || root.pointer(key);
        if found.is_none() {
            found = read(value, &pointer, trace).map(|time| (time, *key));
            continue;
        }
        let mut quiet = Trace::default();
        if read(value.clone(), &pointer, &mut quiet) == found.map(|(time, _)| time) {
            trace.note(NoteCode::Redundant, pointer());
        } else {
            trace.note_kept(NoteCode::Conflict, pointer(), value);
        }
    }
    found
}

/// A time of any spelling the writers used: whole milliseconds, or text with a date and a time.
pub(super) fn read(value: Value, pointer: &impl Fn() -> JsonPointer, trace: &mut Trace) -> Option<Timestamp> {
    let whole = |millis: i64| Timestamp::from_millis(millis).ok();
    let time = match &value {
        Value::Number(number) => super::number::whole(number).and_then(whole),
        Value::String(text) if text.len() == 13 && text.bytes().all(|b| b.is_ascii_digit()) => {
            let time = text.parse().ok().and_then(whole);
            if time.is_some() {
                trace.note(NoteCode::FromText, pointer());
            }
            time
        }
        Value::String(text) => {
            let parsed = text.trim().parse::<jiff::Timestamp>().ok();
            let civil = || text.trim().parse::<jiff::civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
            let (instant, code) = match parsed {
                Some(instant) => (Some(instant), NoteCode::TimeFromText),
                None => (civil().map(|zoned| zoned.timestamp()), NoteCode::UtcAssumed),
            };
            let time = instant.and_then(|instant| whole(instant.as_millisecond()));
            if time.is_some() {
                trace.note(code, pointer());
                if instant.is_some_and(|instant| instant.subsec_nanosecond() % 1_000_000 != 0) {
                    trace.keep(pointer(), value.clone());
                }
            }
            time
        }
        _ => None,
    };
    if time.is_none() {
        trace.unreadable(pointer(), value);
    }
    time
}

/// The milliseconds inside ids such as `extract_1756970000000_a1b2c3d4e`: the first part of thirteen digits.
pub(super) fn millis_in(id: &str) -> Option<Timestamp> {
    let mut parts = id.split('_').filter(|part| part.len() == 13 && part.bytes().all(|b| b.is_ascii_digit()));
    parts.find_map(|part| Timestamp::from_millis(part.parse().ok()?).ok())
}
