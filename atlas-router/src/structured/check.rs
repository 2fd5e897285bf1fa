//! Holding a document to its schema.

use super::place::{Names, Place};
use super::repairs::RepairKind;
use super::{Bounds, ReadError, Repairs, align, scan};
use crate::client::JsonSchema;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;
use std::fmt;

/// Patterns that need more memory than this are refused.
const PATTERN_BYTES: usize = 1024 * 1024;
/// At most so many mismatches are told, each with at most so many bytes of pointer and of rule.
const MOST_MISMATCHES: usize = 20;
const MOST_BYTES: usize = 200;
/// The validator keeps every mismatch with its whole pointer, and at each choice all mismatches of all branches, with copies of what
/// they are of. Documents of more values, more bytes of text or more bytes of pointers are told to be wrong as a whole.
const MOST_TOLD_VALUES: usize = 2000;
const MOST_TOLD_TEXT: usize = 64 * 1024;
const MOST_TOLD_POINTERS: usize = 4 * 1024 * 1024;
/// Choices within choices are looked into so far.
const MOST_CHOICES: usize = 8;

/// A schema that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the schema does not compile at `{pointer}`: correct that keyword (references must stay within it, patterns must not look around or refer back)"
)]
pub struct ShapeError {
    /// Where in the schema, as a JSON Pointer.
    pub pointer: String,
}

/// A schema, compiled, to which replies are held.
///
/// # A reply as models write it
/// ```
/// use atlas_router::client::JsonSchema;
/// use atlas_router::structured::{RepairKind, Shape};
/// use serde_json::json;
///
/// let schema = json!({
///     "type": "object",
///     "properties": {"title": {"type": "string"}, "pages": {"type": "integer"}},
///     "required": ["title", "pages"],
/// });
/// let shape = Shape::new(JsonSchema::strict("book", &schema)?)?;
/// let read = shape.read("Here it is:\n{title: 'Momo', \"pages\": \"304\",}")?;
/// assert_eq!(read.value, json!({"title": "Momo", "pages": 304}));
/// assert!(read.repairs.has(RepairKind::TextAsNumber));
///
/// let rejected = shape.read("{\"title\": \"Momo\", \"pages\": \"many\"}").unwrap_err();
/// assert!(rejected.to_string().contains("/pages: must satisfy type: \"integer\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Shape {
    schema: JsonSchema,
    names: Names,
    validator: Validator,
    bounds: Bounds,
}

/// A reply that fits its schema.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct Structured {
    /// What it says. The schema that was sent allows it, as it stands.
    pub value: Value,
    /// What was repaired and coerced.
    pub repairs: Repairs,
}

impl fmt::Debug for Structured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Structured").field("repairs", &self.repairs).finish_non_exhaustive()
    }
}

/// A reply that does not fit its schema. It tells places and rules in the schema's own words: neither values nor keys that the model
/// made up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the reply can't be used{}: {why}", if *.is_truncated { " and was cut off before its end" } else { "" })]
#[non_exhaustive]
pub struct Rejected {
    /// Why.
    pub why: Why,
    /// Whether the reply ended in the middle.
    pub is_truncated: bool,
}

impl Rejected {
    /// It fits as far as it goes, and that is not enough.
    pub(crate) const fn truncated() -> Self {
        Self { why: Why::Truncated, is_truncated: true }
    }
}

/// Why a reply does not fit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// It could not be read.
    Unread(ReadError),
    /// It was read and is not what the schema allows.
    Unfit {
        /// The first of what is wrong: at most 20.
        mismatches: Vec<Mismatch>,
        /// There is more.
        has_more: bool,
    },
    /// What there is of it fits, but it was cut off, and that was not accepted.
    Truncated,
}

/// One thing that the schema does not allow.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Where in the document, as a JSON Pointer of at most 200 bytes and dots, with `*` for each key that the schema does not name; empty
    /// for the whole.
    pub pointer: String,
    /// What must be there, from the schema.
    pub rule: String,
    /// The place for the model that wrote it.
    hint: String,
}

impl fmt::Debug for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mismatch").field("pointer", &self.pointer).field("rule", &self.rule).finish_non_exhaustive()
    }
}

impl Mismatch {
    fn at(&self, place: &str) -> String {
        format!("{}: {}", if place.is_empty() { "the document" } else { place }, self.rule)
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at(&self.pointer))
    }
}

impl Why {
    /// The same in words for the model, which may see the beginnings of its own keys.
    pub(crate) fn for_model(&self) -> String {
        match self {
            Self::Unfit { mismatches, has_more } => {
                unfit(&mismatches.iter().map(|one| one.at(&one.hint)).collect::<Vec<_>>(), *has_more)
            }
            Self::Truncated => "it was cut off before its end, so the document must be shorter".into(),
            Self::Unread(error) => error.to_string(),
        }
    }
}

fn unfit<T: fmt::Display>(mismatches: &[T], has_more: bool) -> String {
    let more = if has_more { "\n  and more" } else { "" };
    format!("the schema does not allow it:{}{more}", crate::text::lines(mismatches))
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unread(error) => fmt::Display::fmt(error, f),
            Self::Unfit { mismatches, has_more } => f.write_str(&unfit(mismatches, *has_more)),
            Self::Truncated => f.write_str("only its beginning is there: allow a longer reply"),
        }
    }
}

impl Shape {
    /// Compiles a schema. References within it, formats checked, patterns without backtracking.
    ///
    /// # Errors
    /// [`ShapeError`] for what is no schema.
    pub fn new(schema: JsonSchema) -> Result<Self, ShapeError> {
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .should_validate_formats(true)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
            .build(schema.schema())
            .map_err(|error| ShapeError { pointer: error.schema_path().as_str().to_owned() })?;
        Ok(Self { names: Names::of(schema.schema()), schema, validator, bounds: Bounds::default() })
    }

    /// With other bounds.
    #[must_use]
    pub const fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The schema.
    pub const fn schema(&self) -> &JsonSchema {
        &self.schema
    }

    /// Reads a reply: leniently, aligned with the schema, and then held to it. Of several documents the only one that fits is taken;
    /// several that fit and differ are none. A reply that was cut off fits if what there is of it does: see [`Repairs::is_truncated`].
    ///
    /// # Errors
    /// [`Rejected`] with everything that is in the way, up to a bound.
    pub fn read(&self, text: &str) -> Result<Structured, Rejected> {
        let mut found = scan::documents(text, &self.bounds.held())
            .map_err(|error| Rejected { is_truncated: error.is_truncated(), why: Why::Unread(error) })?;
        found.retain_mut(|one| align::align(one, self.schema.schema(), self.schema.nullable()));
        if found.is_empty() {
            return Err(Rejected { why: Why::Unread(ReadError::Cut), is_truncated: true });
        }
        let count = found.len();
        let is_truncated = found.iter().any(|one| one.repairs.is_truncated);
        let fits: Vec<bool> = found.iter().map(|one| self.validator.is_valid(&one.value)).collect();
        let Some(first) = fits.iter().position(|fits| *fits) else {
            // The largest is the likeliest to have been meant.
            let largest = found.iter().max_by_key(|one| one.place.len());
            let why = largest.map_or(Why::Unread(ReadError::Nothing), |one| self.unfit(&one.value));
            return Err(Rejected { why, is_truncated });
        };
        let differs = |(one, fits): (&scan::Document, &bool)| *fits && one.value != found[first].value;
        if found.iter().zip(&fits).any(differs) {
            return Err(Rejected { why: Why::Unread(ReadError::Several), is_truncated });
        }
        let mut chosen = found.swap_remove(first);
        if count > 1 {
            chosen.repairs.note(RepairKind::OneOfSeveral, &[]);
        }
        if is_truncated {
            // What was cut off may have been the answer, and this a draft of it.
            chosen.repairs.cut();
        }
        Ok(Structured { value: chosen.value, repairs: chosen.repairs })
    }

    fn unfit(&self, value: &Value) -> Why {
        let mut mismatches = Vec::new();
        let mut has_more = false;
        let mut left = Room { values: MOST_TOLD_VALUES, text: MOST_TOLD_TEXT, pointers: MOST_TOLD_POINTERS };
        if !left.holds(value, 0) {
            let rule = "must be what the schema says: it is too large to tell where it is not".into();
            let whole = Mismatch { pointer: String::new(), rule, hint: String::new() };
            return Why::Unfit { mismatches: vec![whole], has_more: true };
        }
        for error in self.validator.iter_errors(value) {
            has_more |= !self.tell(value, &error, &mut mismatches, 0);
            if has_more {
                break;
            }
        }
        Why::Unfit { mismatches, has_more }
    }

    /// Adds what is wrong, and says whether there was room for it.
    fn tell(&self, whole: &Value, error: &ValidationError<'_>, told: &mut Vec<Mismatch>, depth: usize) -> bool {
        let branches = match error.kind() {
            ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
                context.as_slice()
            }
            _ => &[],
        };
        // Of a choice, the branch is told that is of the value's type, if there is only one.
        let place = error.instance_path().as_str();
        let mut meant = branches.iter().filter(|branch| {
            let wrong_type = |one: &ValidationError<'_>| {
                matches!(one.kind(), ValidationErrorKind::Type { .. }) && one.instance_path().as_str() == place
            };
            !branch.iter().any(wrong_type)
        });
        if let (Some(only), None, true) = (meant.next(), meant.next(), depth < MOST_CHOICES) {
            return only.iter().all(|one| self.tell(whole, one, told, depth + 1));
        }
        if told.len() >= MOST_MISMATCHES {
            return false;
        }
        let Place { told: pointer, hint } = self.names.place(place, whole);
        told.push(Mismatch { pointer, rule: self.rule(error), hint });
        true
    }

    /// What must be there, in words of the schema.
    fn rule(&self, error: &ValidationError<'_>) -> String {
        let rule = match error.kind() {
            ValidationErrorKind::Required { property } => format!("must have the property {property}"),
            ValidationErrorKind::AdditionalProperties { .. } | ValidationErrorKind::UnevaluatedProperties { .. } => {
                return "must have no properties but those of the schema".into();
            }
            kind => {
                let keyword = kind.keyword();
                match self.schema.schema().pointer(error.schema_path().as_str()) {
                    Some(wanted) => format!("must satisfy {keyword}: {wanted}"),
                    None => format!("must satisfy {keyword}"),
                }
            }
        };
        short(&rule)
    }
}

/// What there is room for in telling what is wrong with a document.
struct Room {
    values: usize,
    text: usize,
    pointers: usize,
}

impl Room {
    /// Whether a value fits into what is left, at a pointer of that length.
    fn holds(&mut self, value: &Value, length: usize) -> bool {
        let text = if let Value::String(text) = value { text.len() } else { 0 };
        self.takes(1, text, length)
            && match value {
                Value::Array(items) => items.iter().all(|item| self.holds(item, length + 8)),
                Value::Object(members) => members.iter().all(|(key, member)| {
                    self.takes(0, key.len(), 0) && self.holds(member, length.saturating_add(key.len() + 1))
                }),
                _ => true,
            }
    }

    fn takes(&mut self, values: usize, text: usize, pointers: usize) -> bool {
        let left = (self.values.checked_sub(values), self.text.checked_sub(text), self.pointers.checked_sub(pointers));
        let (Some(values), Some(text), Some(pointers)) = left else { return false };
        *self = Self { values, text, pointers };
        true
    }
}

/// A text of at most so many bytes.
pub(super) fn short(text: &str) -> String {
    if text.len() <= MOST_BYTES {
        return text.to_owned();
    }
    let end = (0..=MOST_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
}
