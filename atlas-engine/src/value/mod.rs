//! Normalisers: from the words on a page to exact values.
//!
//! Each module reads one kind of value out of a text and says which part of the text gave it, so that the part can serve as
//! evidence. All are pure functions of the text and a [`Locale`]: no clock, no network, no float. They never guess where
//! a reader could not decide: `03/04/2021` on a page that does not tell its region is no date.
//!
//! Which field wants which kind is decided elsewhere, from the schema's types and formats.

pub mod availability;
pub mod boolean;
mod currency;
pub mod date;
pub mod duration;
mod fold;
mod lexicon;
mod locale;
pub mod money;
mod months;
pub mod number;
mod units;
pub mod url;

pub use locale::Locale;

use std::ops::Range;

/// A value and the bytes of the input that gave it.
///
/// `range` lies at character boundaries of the text that was parsed, is never empty, and parsing the slice alone again
/// gives an equal value (for values that need no context from outside the slice).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T> {
    /// The value, exact.
    pub value: T,
    /// Bytes of the input.
    pub range: Range<usize>,
}

impl<T> Found<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Found<U> {
        Found { value: change(self.value), range: self.range }
    }
}
