//! JSON Pointers (RFC 6901): where in a document something stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A JSON Pointer such as `/items/3/price`; the empty pointer is the whole document.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct JsonPointer(#[schemars(length(max = 1024), regex(pattern = "^(/([^~/]|~[01])*)*$"))] String);

/// A text that is not a JSON Pointer of at most 1024 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a JSON Pointer is empty or starts with '/', escapes '~' as '~0' and '/' as '~1', and has at most 1024 characters"
)]
pub struct InvalidPointer;

impl JsonPointer {
    /// The whole document.
    pub const fn root() -> Self {
        Self(String::new())
    }

    /// Reads a pointer.
    ///
    /// # Errors
    /// [`InvalidPointer`] for anything RFC 6901 refuses.
    pub fn parse(text: &str) -> Result<Self, InvalidPointer> {
        let length = text.chars().nth(1024).is_none();
        if length && Self::is_pointer(text) { Ok(Self(text.into())) } else { Err(InvalidPointer) }
    }

    /// Whether the text is a pointer by RFC 6901, of whatever length.
    pub(crate) fn is_pointer(text: &str) -> bool {
        let starts = text.is_empty() || text.starts_with('/');
        starts && text.split('~').skip(1).all(|after| after.starts_with('0') || after.starts_with('1'))
    }

    /// This pointer with an object key appended.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        let mut text = String::with_capacity(self.0.len() + key.len() + 1);
        text.push_str(&self.0);
        text.push('/');
        for c in key.chars() {
            match c {
                '~' => text.push_str("~0"),
                '/' => text.push_str("~1"),
                c => text.push(c),
            }
        }
        Self(text)
    }

    /// This pointer with an array index appended.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}/{index}", self.0))
    }

    /// Whether it has at most the 1024 characters that records may carry; appending can make it longer.
    pub fn is_short(&self) -> bool {
        self.0.len() <= 1024 || self.0.chars().nth(1024).is_none()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The unescaped parts, from the outside in.
    pub fn parts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"))
    }
}

impl fmt::Display for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JsonPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JsonPointer({:?})", self.0)
    }
}

impl<'de> Deserialize<'de> for JsonPointer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
