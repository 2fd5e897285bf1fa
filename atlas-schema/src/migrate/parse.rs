//! JSON text to a value, with nothing lost on the way: no key twice, no number changed, no depth past the limit.

use super::outcome::QuarantineReason;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{cell::Cell, fmt};

/// Reads JSON text strictly. Never deeper than `serde_json`'s own limit of 127 levels.
pub(super) fn strict(bytes: &[u8]) -> Result<Value, QuarantineReason> {
    let fault = Cell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(&fault).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match (value, fault.take()) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(reason)) => Err(reason),
        // The depth limit has no error category of its own; the text is part of its documented behaviour and a change
        // would only turn `too_deep` into `not_json`.
        (Err(error), None) if error.to_string().starts_with("recursion limit") => Err(QuarantineReason::TooDeep),
        (Err(error), None) if error.to_string().starts_with("number out of range") => {
            Err(QuarantineReason::NumberOutOfRange)
        }
        (Err(_), None) => Err(QuarantineReason::NotJson),
    }
}

/// Levels of objects and lists; 0 for a single value.
pub(super) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[derive(Clone, Copy)]
struct Strict<'a>(&'a Cell<Option<QuarantineReason>>);

impl Strict<'_> {
    fn refuse<E: Error>(self, reason: QuarantineReason) -> E {
        self.0.set(Some(reason));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // From here on a float may stand for an integer whose digits are already lost.
        const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
        match Number::from_f64(value) {
            Some(number) if value.abs() < TWO_POW_63 => Ok(Value::Number(number)),
            _ => Err(self.refuse(QuarantineReason::NumberOutOfRange)),
        }
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(self)?;
            if map.insert(key, value).is_some() {
                return Err(self.refuse(QuarantineReason::DuplicateKey));
            }
        }
        Ok(Value::Object(map))
    }
}
