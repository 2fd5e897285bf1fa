//! Draining: fields are taken out of the legacy record as they find a home, so what is left over has none.
//!
//! This is why nothing vanishes: whatever no rule takes out goes to the side record as a whole.

use super::note::{Note, NoteCode};
use crate::pointer::JsonPointer;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// An object of the legacy record that is being drained.
#[derive(Debug)]
pub(super) struct Source {
    at: JsonPointer,
    map: Map<String, Value>,
}

impl Source {
    pub(super) fn new(at: JsonPointer, map: Map<String, Value>) -> Self {
        Self { at, map }
    }

    /// The value, `None` also for null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.map.get(key).and_then(Value::as_str)
    }

    pub(super) fn object(&self, key: &str) -> Option<&Map<String, Value>> {
        self.map.get(key).and_then(Value::as_object)
    }

    /// Takes the value out; `None` also for null, which says nothing.
    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key).filter(|value| !value.is_null())
    }

    /// Takes a text out; a value of another kind goes to the side record.
    pub(super) fn take_text(&mut self, key: &str, trace: &mut Trace) -> Option<String> {
        match self.take(key)? {
            Value::String(text) => Some(text),
            other => {
                trace.unreadable(self.pointer(key), other);
                None
            }
        }
    }

    pub(super) fn pointer(&self, key: &str) -> JsonPointer {
        self.at.key(key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.map
    }

    /// Everything left goes to the side record, but for null, which says nothing.
    pub(super) fn keep_rest(self, trace: &mut Trace) {
        for (key, value) in self.map.into_iter().filter(|(_, value)| !value.is_null()) {
            let pointer = self.at.key(&key);
            trace.keep(pointer, value);
        }
    }
}

/// What is noted and kept while a record is migrated.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) notes: Vec<Note>,
    pub(super) side: BTreeMap<JsonPointer, Value>,
}

impl Trace {
    pub(super) fn note(&mut self, code: NoteCode, pointer: JsonPointer) {
        self.notes.push(Note { code, pointer });
    }

    /// Puts a value into the side record.
    pub(super) fn keep(&mut self, pointer: JsonPointer, value: Value) {
        self.side.insert(pointer, value);
    }

    /// Notes a change that loses something and keeps the original.
    pub(super) fn note_kept(&mut self, code: NoteCode, pointer: JsonPointer, value: Value) {
        self.keep(pointer.clone(), value);
        self.note(code, pointer);
    }

    pub(super) fn unreadable(&mut self, pointer: JsonPointer, value: Value) {
        self.note_kept(NoteCode::Unreadable, pointer, value);
    }

    /// A text of at most `max` characters; a longer one is cut and kept whole in the side record.
    pub(super) fn cut(&mut self, text: String, max: usize, pointer: impl FnOnce() -> JsonPointer) -> String {
        match text.char_indices().nth(max) {
            None => text,
            Some((end, _)) => {
                let cut = text[..end].to_owned();
                self.note_kept(NoteCode::TextCut, pointer(), Value::String(text));
                cut
            }
        }
    }
}
