//! The bytes of a quarantined record in JSON: as they read if they are text, else as hex digits.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;

/// Bytes as JSON can hold them.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "encoding", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Original<'a> {
    /// The bytes are UTF-8: this is the text.
    Utf8 {
        /// The text.
        text: Cow<'a, str>,
    },
    /// The bytes are no UTF-8: two lower-case hex digits each.
    Hex {
        /// The digits.
        #[schemars(regex(pattern = "^([0-9a-f]{2})*$"))]
        text: Cow<'a, str>,
    },
}

pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let original = match str::from_utf8(bytes) {
        Ok(text) => Original::Utf8 { text: text.into() },
        Err(_) => Original::Hex { text: hex(bytes).into() },
    };
    original.serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    match Original::deserialize(deserializer)? {
        Original::Utf8 { text } => Ok(text.into_owned().into_bytes()),
        Original::Hex { text } => bytes(&text).ok_or_else(|| de::Error::custom("not pairs of lower-case hex digits")),
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |digit: &u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(high)? << 4 | digit(low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}
