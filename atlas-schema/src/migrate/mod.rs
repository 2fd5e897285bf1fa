//! Legacy records become jobs, or are quarantined with a reason.
//!
//! [`migrate`] is pure, total and idempotent: any bytes give a job or a quarantine and never a panic, the same bytes
//! give the same outcome, and a job's own bytes come back as they are. A job that comes out passes the strict reading
//! rules; one that would not is quarantined instead. Nothing vanishes: each value of the record is in the job, in the
//! [`SideRecord`] or among the removed secrets, and each change of a value has a [`Note`].
//!
//! A record that was completed without any data stays completed, as the predecessor recorded it, and its result says so:
//! no data, `success` false, an error in words, and a [`Note`] that a claim of success was refused or that no result was
//! there. That is what a job of today gives for a page without such data: it ran to its end and found nothing. `failed`
//! would invent a fault that nobody recorded, and a success without data is none. A completed record whose result holds an
//! error beside `"success": false` did fail, and becomes `failed`.
//!
//! It reads the eighteen shapes and the queue messages of the predecessor (see [`Shape`]), as plain JSON, as `DynamoDB`
//! items with types, and with params and results as JSON text. It knows no clock: a record without any time is
//! quarantined. It writes nothing: the run over a store, with checkpoints and backups, is in `atlas-jobs`.
//!
//! ```
//! use atlas_schema::migrate::{Migration, migrate};
//!
//! let old = br#"{"id":"old-job-123","status":"queued","url":"https://example.com",
//!     "extractionInstructions":"names","timeout":20,"created_at":1757000000000,"owner":"a"}"#;
//! let Migration::Migrated(done) = migrate(old) else { panic!("it has all it needs") };
//! assert_eq!(done.job.params.timeout, 20_000);
//! assert_eq!(done.side.map(|side| side.len()), Some(1)); // the owner, for which a job has no field
//! ```

mod attach;
mod clock;
mod item;
mod logs;
mod note;
mod number;
mod open;
mod original;
mod outcome;
mod parse;
mod record;
mod result;
mod secrets;
mod shape;
mod side;
mod source;
pub mod steps;
mod usage;
mod web;

pub use attach::AttachError;
pub use note::{Note, NoteCode};
pub use outcome::{Migrated, Migration, QuarantineReason, Quarantined, Secrets};
pub use shape::Shape;
pub use side::SideRecord;

use crate::pointer::JsonPointer;
use crate::read;
use crate::version::SchemaVersion;
use serde_json::{Map, Value};
use source::Trace;

/// Turns a record of any age into a job, or quarantines it with a reason.
///
/// `bytes` is one JSON object: a stored record, a `DynamoDB` item with or without types, or a queue message.
pub fn migrate(bytes: &[u8]) -> Migration {
    let mut trace = Trace::default();
    match attempt(bytes, &mut trace) {
        Ok(migrated) => Migration::Migrated(Box::new(migrated)),
        Err(reason) => Migration::Quarantined(Box::new(quarantine(bytes, reason, trace))),
    }
}

fn attempt(bytes: &[u8], trace: &mut Trace) -> Result<Migrated, QuarantineReason> {
    let opened = open::open(bytes, trace)?;
    let (mut map, from_version) = (opened.map, opened.version);
    if looks_canonical(&map)
        && let Ok(job) = read::from_value(Value::Object(map.clone()))
    {
        let notes = std::mem::take(&mut trace.notes);
        let shape = Shape::Canonical;
        return Ok(Migrated { job, shape, from_version, notes, side: None, removed_secrets: Vec::new() });
    }
    for key in open::read_texts(&mut map)? {
        trace.note(NoteCode::TextParsed, JsonPointer::root().key(key));
    }
    let removed_secrets = secrets::remove(&mut map);
    let shape = shape::classify(&map)?;
    let job = record::job(map, shape, trace)?;
    read::check(&job).map_err(|faults| {
        let fields = faults.into_iter().map(|fault| fault.pointer).collect();
        QuarantineReason::InvalidJob { fields }
    })?;
    if trace.side.keys().chain(trace.notes.iter().map(|note| &note.pointer)).any(|at| !at.is_short()) {
        return Err(QuarantineReason::KeyTooLong);
    }
    let entries = std::mem::take(&mut trace.side);
    let schema_version = SchemaVersion::CURRENT;
    let side = (!entries.is_empty()).then(|| SideRecord { schema_version, job: job.id.clone(), shape, entries });
    Ok(Migrated { job, shape, from_version, notes: std::mem::take(&mut trace.notes), side, removed_secrets })
}

/// Whether it is worth trying to read it as it is.
fn looks_canonical(map: &Map<String, Value>) -> bool {
    let kind = map.get("type").and_then(Value::as_str);
    matches!(kind, Some("sync" | "async" | "ai-process" | "batch" | "webhook"))
        && map.get("params").is_some_and(Value::is_object)
}

fn quarantine(bytes: &[u8], reason: QuarantineReason, trace: Trace) -> Quarantined {
    use QuarantineReason as Q;
    let unreadable = matches!(
        reason,
        Q::NotJson
            | Q::NotAnObject
            | Q::DuplicateKey
            | Q::TooLarge
            | Q::TooDeep
            | Q::NumberOutOfRange
            | Q::MalformedItem { .. }
            | Q::FutureVersion
            | Q::UnknownVersion
            | Q::InvalidParams
    );
    let searched = if unreadable { None } else { open::without_secrets(bytes) };
    let (original, secrets) = match searched {
        Some((original, removed)) => (original, Secrets::Removed(removed)),
        None if unreadable => (bytes.to_vec(), Secrets::Unchecked),
        None => (bytes.to_vec(), Secrets::NoneFound),
    };
    Quarantined { schema_version: SchemaVersion::CURRENT, reason, original, secrets, notes: trace.notes }
}
