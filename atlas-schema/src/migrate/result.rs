//! Results: ten variants of them, read as an envelope around data or as the one record they are.

use super::note::NoteCode;
use super::outcome::QuarantineReason;
use super::source::{Source, Trace};
use super::usage;
use crate::extraction::ExtractionJob;
use crate::job::JobStatus;
use crate::pointer::JsonPointer;
use crate::result::{ExtractionResult, Warning};
use serde_json::{Map, Value};

/// What a legacy result says, before it is known how its job stands.
#[derive(Debug, Default)]
pub(super) struct Found {
    result: Option<ExtractionResult>,
    /// The success flag as written.
    flag: Option<bool>,
    /// Its writer ran out of time.
    timed_out: bool,
}

/// Reads `result`, `data` or `partialResults`, whichever is there, in that order.
pub(super) fn find(root: &mut Source, trace: &mut Trace) -> Result<Found, QuarantineReason> {
    let partial = root.take("partialResults");
    let mut found = match (root.take("result"), root.take("data")) {
        (Some(result), None) => whole(result, root.pointer("result"), trace)?,
        (None, Some(data)) => {
            let data = list(data, root.pointer("data"), trace);
            Found { result: Some(ExtractionResult { data, ..Default::default() }), ..Default::default() }
        }
        // Both: the classifier has refused the record before.
        (Some(_), Some(_)) => return Err(QuarantineReason::InvalidResult),
        (None, None) => Found::default(),
    };
    if let Some(partial) = partial {
        let pointer = root.pointer("partialResults");
        if found.result.is_some() || partial.is_string() {
            trace.keep(pointer, partial);
        } else {
            trace.note(NoteCode::DataFromPartial, pointer.clone());
            let data = list(partial, pointer, trace);
            found.flag = Some(false);
            found.result = Some(ExtractionResult { data, ..Default::default() });
        }
    }
    Ok(found)
}

fn whole(result: Value, at: JsonPointer, trace: &mut Trace) -> Result<Found, QuarantineReason> {
    match result {
        Value::Object(map) => Ok(envelope(map, at, trace)),
        Value::Array(_) => {
            let data = list(result, at, trace);
            Ok(Found { result: Some(ExtractionResult { data, ..Default::default() }), ..Default::default() })
        }
        // Opening has parsed every text that is JSON, so this one is not.
        Value::String(text) if text.trim_start().starts_with(['{', '[']) => Err(QuarantineReason::TruncatedResult),
        _ => Err(QuarantineReason::InvalidResult),
    }
}

/// Marks of an envelope; an object without any is a record of its own.
const MARKS: [&str; 5] = ["success", "data", "error", "_timeout", "_truncated"];

fn envelope(map: Map<String, Value>, at: JsonPointer, trace: &mut Trace) -> Found {
    if !MARKS.iter().any(|mark| map.contains_key(*mark)) {
        let data = if map.is_empty() { Vec::new() } else { list(Value::Object(map), at, trace) };
        return Found { result: Some(ExtractionResult { data, ..Default::default() }), ..Default::default() };
    }
    let mut source = Source::new(at.clone(), map);
    let flag = match source.take("success") {
        Some(Value::Bool(flag)) => Some(flag),
        Some(other) => {
            trace.unreadable(source.pointer("success"), other);
            None
        }
        None => None,
    };
    let mut result = ExtractionResult { error: error_text(&mut source, trace), ..Default::default() };
    let timed_out = take_mark(&mut source, "_timeout", trace);
    if take_mark(&mut source, "_truncated", trace) {
        trace.note(NoteCode::ResultTruncated, at.clone());
        result.warnings.push(Warning {
            code: "legacy_result_truncated".into(),
            pointer: None,
            message: "the legacy writer cut this result down: data is missing".into(),
        });
    }
    let metadata = source.take("metadata");
    if let Some(data) = source.take("data") {
        result.data = list(data, source.pointer("data"), trace);
    } else if flag == Some(false) || result.error.is_some() || source.is_empty() {
        trace.note(NoteCode::DataEmptied, source.pointer("data"));
    } else {
        // A flag or a mark beside the record itself. Marks of the writer are not data.
        let marks = ["evidence", "timestamp", "status", "_message", "jobId"];
        for mark in marks {
            if let Some(value) = source.take(mark) {
                trace.keep(source.pointer(mark), value);
            }
        }
        let record = std::mem::replace(&mut source, Source::new(at.clone(), Map::new())).into_map();
        if !record.is_empty() {
            result.data = list(Value::Object(record), at.clone(), trace);
        }
    }
    match metadata {
        Some(Value::Object(map)) => usage::metadata(&mut result, Source::new(at.key("metadata"), map), trace),
        Some(other) => trace.unreadable(at.key("metadata"), other),
        None => {}
    }
    source.keep_rest(trace);
    Found { result: Some(result), flag, timed_out }
}

fn take_mark(source: &mut Source, key: &str, trace: &mut Trace) -> bool {
    match source.take(key) {
        Some(Value::Bool(set)) => set,
        Some(other) => {
            trace.unreadable(source.pointer(key), other);
            false
        }
        None => false,
    }
}

/// Data as a list: null is empty, anything else that is no list is its one element.
fn list(data: Value, pointer: JsonPointer, trace: &mut Trace) -> Vec<Value> {
    match data {
        Value::Null => {
            trace.note(NoteCode::DataEmptied, pointer);
            Vec::new()
        }
        Value::Array(items) => items,
        other => {
            trace.note(NoteCode::DataWrapped, pointer);
            vec![other]
        }
    }
}

/// The `error` of a record or a result: a text, or the `message` of an object.
pub(super) fn error_text(source: &mut Source, trace: &mut Trace) -> Option<String> {
    const MAX_ERROR: usize = 5000;
    let pointer = source.pointer("error");
    let text = match source.take("error")? {
        Value::String(text) if text.trim().is_empty() => return None,
        Value::String(text) => text,
        Value::Object(map) => {
            let message = map.get("message").and_then(Value::as_str).map(str::to_owned);
            let code = if message.is_some() { NoteCode::ErrorReduced } else { NoteCode::Unreadable };
            trace.note_kept(code, pointer.clone(), Value::Object(map));
            message?
        }
        other => {
            trace.unreadable(pointer, other);
            return None;
        }
    };
    Some(trace.cut(text, MAX_ERROR, || pointer))
}

/// Fits status, result and error of the job to one another. No success is reported that the record does not prove.
pub(super) fn settle(job: &mut ExtractionJob, found: Found, trace: &mut Trace) {
    let at = |key: &str| JsonPointer::root().key(key);
    let Found { mut result, flag, timed_out } = found;
    let reported = result.as_ref().and_then(|result| result.error.clone());
    if job.status == JobStatus::Completed {
        // Without an error and without data it found nothing, which is an end like any other.
        let has_data = result.as_ref().is_some_and(|result| !result.data.is_empty());
        let failed = flag == Some(false) && (reported.is_some() || job.error.is_some() || has_data);
        let meant = if timed_out { JobStatus::Timeout } else { JobStatus::Failed };
        if timed_out || failed {
            job.status = meant;
            trace.note(NoteCode::StatusFromResult, at("status"));
        }
    }
    if let Some(result) = &mut result {
        let claimed = flag.unwrap_or(job.status == JobStatus::Completed);
        result.success = claimed && job.status == JobStatus::Completed && !result.data.is_empty();
        match flag {
            None => trace.note(NoteCode::SuccessDerived, at("result").key("success")),
            Some(true) if !result.success => trace.note(NoteCode::SuccessRefused, at("result").key("success")),
            Some(_) => {}
        }
    }
    match job.status {
        JobStatus::Completed => {
            let result = result.get_or_insert_with(|| {
                trace.note(NoteCode::ResultMissing, at("result"));
                ExtractionResult { error: Some("no result was recorded".into()), ..Default::default() }
            });
            if let Some(error) = job.error.take() {
                if result.error.is_none() || result.error.as_ref() == Some(&error) {
                    trace.note(NoteCode::ErrorToResult, at("error"));
                    result.error = Some(error);
                } else {
                    trace.note_kept(NoteCode::Conflict, at("error"), Value::String(error));
                }
            }
        }
        JobStatus::Failed if job.error.is_none() => {
            let code = if reported.is_some() { NoteCode::ErrorFromResult } else { NoteCode::ErrorMissing };
            trace.note(code, at("error"));
            job.error = Some(reported.unwrap_or_else(|| "no error was recorded".into()));
        }
        JobStatus::Timeout if job.error.is_none() => job.error = reported,
        _ => {}
    }
    if let Some(result) = &mut result
        && !result.success
        && result.error.is_none()
        && job.error.is_none()
    {
        let why = if result.data.is_empty() { "no data was recorded" } else { "the job did not complete" };
        result.error = Some(why.into());
    }
    job.result = result;
}
