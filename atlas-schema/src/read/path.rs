//! Where a check stands in a document: a chain on the stack, made into a pointer only for a fault.

use super::fault::{Fault, FaultKind, Faults};
use crate::pointer::JsonPointer;
use std::borrow::Cow;
use std::ops::ControlFlow;

/// One step down from a parent, or the root.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    /// The pointer for a report.
    pub fn shown(&self) -> JsonPointer {
        match self {
            Self::Root => JsonPointer::root(),
            Self::Key(parent, key) => parent.shown().key(&clip(key)),
            Self::Index(parent, index) => parent.shown().index(*index),
        }
    }

    /// The pointer to the very place.
    pub fn exact(&self) -> JsonPointer {
        match self {
            Self::Root => JsonPointer::root(),
            Self::Key(parent, key) => parent.exact().key(key),
            Self::Index(parent, index) => parent.exact().index(*index),
        }
    }
}

/// A key as a report may show it: hostile input must not fill a log or break its lines.
pub(super) fn clip(key: &str) -> Cow<'_, str> {
    const SHOWN: usize = 64;
    let long = key.len() > SHOWN && key.chars().nth(SHOWN).is_some();
    if !long && !key.chars().any(char::is_control) {
        return key.into();
    }
    let shown = key.chars().take(SHOWN).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c });
    let mut text: String = shown.collect();
    if long {
        text.push('…');
    }
    text.into()
}

/// What a check does with what it finds.
pub trait Sink {
    /// A fault at a place. `Break` ends the check.
    fn fault(&mut self, at: &Path<'_>, kind: FaultKind, rule: impl FnOnce() -> Cow<'static, str>) -> ControlFlow<()>;
    /// An integer spelled as a float, such as `5.0`: valid, but not its canonical spelling.
    fn integral_float(&mut self, at: &Path<'_>);
}

/// Stops at the first fault: the verdict and nothing else.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub integral_floats: bool,
}

impl Sink for Verdict {
    fn fault(&mut self, _: &Path<'_>, _: FaultKind, _: impl FnOnce() -> Cow<'static, str>) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
    fn integral_float(&mut self, _: &Path<'_>) {
        self.integral_floats = true;
    }
}

/// Collects everything.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub faults: Vec<Fault>,
    pub total: usize,
    pub integral_floats: Vec<JsonPointer>,
}

impl Sink for Report {
    fn fault(&mut self, at: &Path<'_>, kind: FaultKind, rule: impl FnOnce() -> Cow<'static, str>) -> ControlFlow<()> {
        self.total += 1;
        if self.faults.len() < Faults::MAX_FAULTS {
            self.faults.push(Fault::new(at.shown(), kind, rule()));
        }
        ControlFlow::Continue(())
    }
    fn integral_float(&mut self, at: &Path<'_>) {
        self.integral_floats.push(at.exact());
    }
}
