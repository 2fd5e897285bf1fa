//! Log lines: times as text and levels in small letters become the format's.

use super::clock;
use super::note::NoteCode;
use super::source::{Source, Trace};
use crate::correlation::CorrelationId;
use crate::extraction::{LogEntry, LogLevel};
use serde_json::Value;

/// The entries that have a time and a message, oldest first; the others go to the side record as they are.
pub(super) fn logs(root: &mut Source, trace: &mut Trace) -> Vec<LogEntry> {
    let at = root.pointer("logs");
    let items = match root.take("logs") {
        None => return Vec::new(),
        Some(Value::Array(items)) => items,
        Some(other) => {
            trace.unreadable(at, other);
            return Vec::new();
        }
    };
    let mut entries: Vec<LogEntry> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let pointer = at.index(index);
        let mut tried = Trace::default();
        match entry(&item, &pointer, &mut tried) {
            Some(entry) => {
                trace.notes.append(&mut tried.notes);
                trace.side.append(&mut tried.side);
                entries.push(entry);
            }
            None => trace.note_kept(NoteCode::LogUnreadable, pointer, item),
        }
    }
    entries.sort_by_key(|entry| entry.timestamp);
    entries
}

fn entry(item: &Value, at: &crate::JsonPointer, trace: &mut Trace) -> Option<LogEntry> {
    const MAX_MESSAGE: usize = 1000;
    let mut source = Source::new(at.clone(), item.as_object()?.clone());
    let time = source.take("timestamp")?;
    let timestamp = clock::read(time, &|| at.key("timestamp"), trace)?;
    let Some(Value::String(message)) = source.take("message") else { return None };
    let message = trace.cut(message, MAX_MESSAGE, || at.key("message"));
    let level = level(&mut source, trace);
    let correlation_id = source.text("correlationId").and_then(|text| CorrelationId::new(text).ok());
    if correlation_id.is_some() {
        source.take("correlationId");
    }
    let data = match source.object("data") {
        Some(_) => source.take("data").and_then(|data| match data {
            Value::Object(map) => Some(map),
            _ => None,
        }),
        None => None,
    };
    source.keep_rest(trace);
    Some(LogEntry { timestamp, level, message, correlation_id, data })
}

fn level(source: &mut Source, trace: &mut Trace) -> LogLevel {
    let pointer = source.pointer("level");
    let written = source.take("level");
    let named = written.as_ref().and_then(Value::as_str).map(str::to_ascii_uppercase);
    let level = match named.as_deref() {
        Some("DEBUG" | "TRACE") => LogLevel::Debug,
        Some("INFO" | "LOG") => LogLevel::Info,
        Some("WARN" | "WARNING") => LogLevel::Warn,
        Some("ERROR" | "FATAL") => LogLevel::Error,
        _ => {
            match written {
                Some(written) => trace.unreadable(pointer, written),
                None => trace.note(NoteCode::Defaulted, pointer),
            }
            return LogLevel::Info;
        }
    };
    let exact = matches!(written.as_ref().and_then(Value::as_str), Some("DEBUG" | "INFO" | "WARN" | "ERROR"));
    if !exact {
        trace.note(NoteCode::LogConverted, pointer);
    }
    level
}
