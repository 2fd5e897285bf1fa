//! Bytes to a JSON value, with nothing lost on the way: no key twice, no integer rounded, no depth bomb.
//!
//! `serde_json` does the parsing; what it would pass over in silence is noted while the value is built.

use super::fault::{Fault, FaultKind, Faults};
use super::path::clip;
use super::{MAX_BYTES, MAX_DEPTH};
use crate::pointer::JsonPointer;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::fmt;

pub(crate) fn parse(bytes: &[u8]) -> Result<Value, Faults> {
    if bytes.len() > MAX_BYTES {
        return Err(Faults::one(FaultKind::TooLarge, format!("must be at most {MAX_BYTES} bytes")));
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        let rule = "must not start with a byte order mark: save it as UTF-8 without one";
        return Err(Faults::one(FaultKind::Encoding, rule));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        Faults::one(FaultKind::Encoding, format!("must be UTF-8: the byte at offset {} is not", e.valid_up_to()))
    })?;
    let mut notes = Notes::default();
    let mut source = serde_json::Deserializer::from_str(text);
    let value = Strict(&mut notes).deserialize(&mut source).map_err(|e| syntax(&e))?;
    source.end().map_err(|e| syntax(&e))?;
    match notes.into_faults(text) {
        None => Ok(value),
        Some(faults) => Err(faults),
    }
}

/// The messages of `serde_json` for untyped values name positions, never content.
fn syntax(error: &serde_json::Error) -> Faults {
    let text = error.to_string();
    if text.starts_with("recursion limit") {
        return Faults::one(FaultKind::TooDeep, format!("must be nested at most {MAX_DEPTH} levels deep"));
    }
    let place = format!("line {} column {}", error.line(), error.column());
    if text.starts_with("number out of range") {
        return Faults::one(FaultKind::Number, format!("has a number beyond the range of a double at {place}"));
    }
    Faults::one(FaultKind::Syntax, format!("must be one JSON document: {text}"))
}

/// What to object to once the whole text is known to be JSON.
#[derive(Default)]
struct Notes {
    duplicates: Found,
    large: Found,
}

/// Places, each as its steps from the inside out: nothing is spent on places until there is one.
#[derive(Default)]
struct Found {
    places: Vec<Vec<Step>>,
    total: usize,
}

#[derive(Clone)]
enum Step {
    Key(String),
    Index(usize),
}

impl Found {
    fn add(&mut self, first: Option<Step>) {
        self.total += 1;
        if self.places.len() < Faults::MAX_FAULTS {
            self.places.push(first.into_iter().collect());
        }
    }

    fn came_up(&mut self, before: usize, step: &Step) {
        for place in self.places.iter_mut().skip(before) {
            place.push(step.clone());
        }
    }
}

impl Notes {
    fn mark(&self) -> (usize, usize) {
        (self.duplicates.places.len(), self.large.places.len())
    }

    fn came_up(&mut self, before: (usize, usize), step: impl FnOnce() -> Step) {
        if self.mark() != before {
            let step = step();
            self.duplicates.came_up(before.0, &step);
            self.large.came_up(before.1, &step);
        }
    }

    fn into_faults(self, text: &str) -> Option<Faults> {
        if self.duplicates.total + self.large.total == 0 {
            return None;
        }
        let pointer = |place: &[Step]| {
            place.iter().rev().fold(JsonPointer::root(), |at, step| match step {
                Step::Key(key) => at.key(key),
                Step::Index(index) => at.index(*index),
            })
        };
        let duplicate =
            |p: &Vec<Step>| Fault::new(pointer(p), FaultKind::DuplicateKey, "stands there twice: keep one of the two");
        let rounded = |p: &Vec<Step>| {
            let rule = "must be an integer of 64 bits: write a larger one as a string";
            Fault::new(pointer(p), FaultKind::Number, rule)
        };
        let is_integer: Vec<bool> = if self.large.total > 0 { large_literals(text).collect() } else { Vec::new() };
        let lost = self.large.places.iter().zip(&is_integer).filter(|(_, integer)| **integer);
        let mut faults: Vec<Fault> = self.duplicates.places.iter().map(duplicate).collect();
        faults.extend(lost.map(|(place, _)| rounded(place)));
        faults.truncate(Faults::MAX_FAULTS);
        let total = self.duplicates.total + is_integer.iter().filter(|integer| **integer).count();
        Faults::collected(faults, total)
    }
}

/// 2⁶³: no integer that `serde_json` keeps as an integer becomes a double this large.
const LARGE: f64 = 9_223_372_036_854_775_808.0;

/// For each number of `text` (valid JSON) that was read as a double of at least [`LARGE`], in order: is it spelled as an
/// integer, so that the double is not what was written?
fn large_literals(text: &str) -> impl Iterator<Item = bool> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = rest.get(rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?..)?;
            if rest.starts_with('"') {
                rest = rest.get(string_end(rest)..)?;
                continue;
            }
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
            let (literal, after) = rest.split_at(end);
            rest = after;
            let integer = !literal.contains(['.', 'e', 'E']);
            let exact = integer && (literal.parse::<i64>().is_ok() || literal.parse::<u64>().is_ok());
            if !exact && literal.parse::<f64>().is_ok_and(|number| number.abs() >= LARGE) {
                return Some(integer);
            }
        }
    })
}

/// Where the string ends that `text` starts with, its closing quote included.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Builds a [`Value`] and notes what a plain one would lose.
struct Strict<'a>(&'a mut Notes);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.abs() >= LARGE {
            self.0.large.add(None);
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let mut before = self.0.mark();
        while let Some(item) = items.next_element_seed(Strict(&mut *self.0))? {
            self.0.came_up(before, || Step::Index(list.len()));
            list.push(item);
            before = self.0.mark();
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let before = self.0.mark();
            let value = entries.next_value_seed(Strict(&mut *self.0))?;
            self.0.came_up(before, || Step::Key(clip(&key).into_owned()));
            match map.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    self.0.duplicates.add(Some(Step::Key(clip(place.key()).into_owned())));
                }
            }
        }
        Ok(Value::Object(map))
    }
}
