//! Replies that are JSON, read leniently and held to a schema strictly.
//!
//! Models wrap documents in fences and prose, leave commas and quotes out, write numbers as texts and stop in the middle.
//! [`documents`] reads what can mean one thing only, and notes each repair; [`Shape::read`] also aligns it with a schema and then
//! validates it: what fits is what the schema says, without exception. The rule the rest leans on: nothing is invented. A value is
//! in the reply, or its repair says how it follows from what is; what was cut off is marked as such.
//!
//! Reading is pure, takes time in proportion to the reply, and is bounded by [`Bounds`]. Asking again with what was wrong is
//! [`Router::ask`](crate::run::Router::ask).

mod align;
mod check;
mod parse;
mod place;
mod quoted;
mod repairs;
mod scan;

pub use check::{Mismatch, Rejected, Shape, ShapeError, Structured, Why};
pub use repairs::{Repair, RepairKind, Repairs};

use parse::Stop;
use serde_json::Value;
use std::fmt;

/// How large a reply may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Bytes of text. Default 16 MiB.
    pub max_bytes: usize,
    /// Objects and arrays within each other. Default 128, as far as most readers of JSON go. No more than 256 are taken.
    pub max_depth: usize,
    /// Values in all, those within others included. Default 1,000,000.
    pub max_values: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_bytes: 16 * 1024 * 1024, max_depth: 128, max_values: 1_000_000 }
    }
}

impl Bounds {
    /// With no deeper nesting than the stack bears.
    fn held(self) -> Self {
        Self { max_depth: self.max_depth.min(256), ..self }
    }
}

/// Why a reply holds no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It has more bytes than allowed.
    #[error("it has more than {max} bytes: ask for less")]
    TooLarge {
        /// The most that is allowed.
        max: usize,
    },
    /// It nests deeper than allowed.
    #[error("it nests more than {max} levels deep")]
    TooDeep {
        /// The most that is allowed.
        max: usize,
    },
    /// It has more values than allowed.
    #[error("it has more than {max} values: ask for less")]
    TooMany {
        /// The most that is allowed.
        max: usize,
    },
    /// There is no document in it.
    #[error("it holds no JSON document")]
    Nothing,
    /// It ends before there is anything of a document.
    #[error("it ends before its JSON document has begun: allow a longer reply")]
    Cut,
    /// There is a document in it that is no JSON and can't be taken for one in a single way.
    #[error("it is no JSON at byte {at}: there {rule}")]
    Broken {
        /// Byte of the reply, from 0.
        at: usize,
        /// What must be there.
        rule: &'static str,
    },
    /// It holds several documents, of which none can be preferred.
    #[error("it holds several different JSON documents: ask for one")]
    Several,
}

impl ReadError {
    /// Whether more of the reply might have mended it.
    pub const fn is_truncated(&self) -> bool {
        matches!(self, Self::Cut)
    }
}

/// A document as it was read.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Parsed {
    /// What it says.
    pub value: Value,
    /// What was repaired. Empty if, and only if, the text is JSON and no key stands twice in an object.
    pub repairs: Repairs,
}

impl fmt::Debug for Parsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parsed").field("repairs", &self.repairs).finish_non_exhaustive()
    }
}

/// All documents of a reply, in their order, at least one and at most 64: objects and arrays, or a single other value if it is the whole
/// reply.
///
/// Numbers are read as JSON's readers do: whole ones of 64 bits exactly, others to the nearest that a double can hold.
///
/// # Errors
/// [`ReadError`] without a document, or over the bounds.
pub fn documents(text: &str, bounds: &Bounds) -> Result<Vec<Parsed>, ReadError> {
    let found = scan::documents(text, &bounds.held())?;
    Ok(found.into_iter().map(|one| Parsed { value: one.value, repairs: one.repairs }).collect())
}

impl From<Stop> for ReadError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Broken { at, rule } => Self::Broken { at, rule },
            Stop::Deep { max } => Self::TooDeep { max },
            Stop::Many { max } => Self::TooMany { max },
        }
    }
}
