//! What reading objects to: where, what sort, which rule. Never the value.

use super::rules::Rule;
use crate::pointer::JsonPointer;
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// One thing wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fault {
    /// Where. Keys over 64 characters are cut and end in `…`, control characters show as `U+FFFD`.
    pub pointer: JsonPointer,
    /// What sort.
    pub kind: FaultKind,
    /// The rule, in words that follow the pointer: `must be at most 5000 characters`.
    pub rule: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(pointer: JsonPointer, kind: FaultKind, rule: impl Into<Cow<'static, str>>) -> Self {
        Self { pointer, kind, rule: rule.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => write!(f, "the document {}", self.rule),
            pointer => write!(f, "`{pointer}` {}", self.rule),
        }
    }
}

/// What sort of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// More bytes than [`MAX_BYTES`](super::MAX_BYTES).
    TooLarge,
    /// Not UTF-8, or with a byte order mark.
    Encoding,
    /// Not one JSON document.
    Syntax,
    /// Nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
    /// A number that no 64-bit integer or double holds.
    Number,
    /// An object has the key twice.
    DuplicateKey,
    /// A format that this release does not know. Nothing else of the document was judged.
    UnknownVersion,
    /// A required field is absent.
    MissingField,
    /// A field that the record does not have.
    UnknownField,
    /// Another JSON type; nothing is coerced.
    WrongType,
    /// Not one of the allowed words.
    NotAllowed,
    /// Too few or too many characters.
    Length,
    /// A number outside its range.
    Range,
    /// A text that does not match its pattern.
    Pattern,
    /// The payload does not fit the Rust type it was read as.
    Payload,
    /// A rule over several fields, or one that a JSON Schema cannot state.
    Rule(Rule),
}

impl FaultKind {
    /// A stable name in `snake_case`; for a [`Rule`] the rule's own.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Encoding => "encoding",
            Self::Syntax => "syntax",
            Self::TooDeep => "too_deep",
            Self::Number => "number",
            Self::DuplicateKey => "duplicate_key",
            Self::UnknownVersion => "unknown_version",
            Self::MissingField => "missing_field",
            Self::UnknownField => "unknown_field",
            Self::WrongType => "wrong_type",
            Self::NotAllowed => "not_allowed",
            Self::Length => "length",
            Self::Range => "range",
            Self::Pattern => "pattern",
            Self::Payload => "payload",
            Self::Rule(rule) => rule.as_str(),
        }
    }
}

impl Serialize for FaultKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Everything wrong with a document, in document order, cross-field rules last. Never empty.
///
/// The first [`MAX_FAULTS`](Self::MAX_FAULTS) are kept and [`total`](Self::total) counts all, so that a hostile
/// document cannot make a report many times its own size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Faults {
    faults: Vec<Fault>,
    total: usize,
}

impl Faults {
    /// How many faults are kept: 1000.
    pub const MAX_FAULTS: usize = 1000;

    pub(super) fn one(kind: FaultKind, rule: impl Into<Cow<'static, str>>) -> Self {
        Self::of(Fault::new(JsonPointer::root(), kind, rule))
    }

    pub(super) fn of(fault: Fault) -> Self {
        Self { faults: vec![fault], total: 1 }
    }

    /// `None` if there are none.
    pub(super) fn collected(faults: Vec<Fault>, total: usize) -> Option<Self> {
        (!faults.is_empty()).then_some(Self { faults, total })
    }

    /// How many faults there are, kept or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The faults kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.faults.iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;
    fn into_iter(self) -> Self::IntoIter {
        self.faults.into_iter()
    }
}

impl fmt::Display for Faults {
    /// One line: the faults kept, separated by `; `, and how many more there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if index == 0 { "" } else { "; " })?;
        }
        match self.total.saturating_sub(self.faults.len()) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Faults {}
