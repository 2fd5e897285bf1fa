//! A generated schema, compiled: the verdicts of a JSON Schema validator at the speed of a `match`.
//!
//! Only the keywords that our own types produce are known. Anything else compiles to [`Node::Never`], which accepts
//! nothing: a schema we cannot check fails closed, and the tests say which. Integers must be bounded for the same
//! reason. One walk serves both uses; the [`Sink`] decides whether it stops at the first fault.

use super::MAX_DEPTH;
use super::fault::FaultKind;
use super::path::{Path, Sink};
use super::patterns::Pattern;
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::ops::ControlFlow;

type Flow = ControlFlow<()>;

/// A compiled schema.
#[derive(Debug)]
pub struct Checker {
    root: Node,
}

#[derive(Debug)]
pub(super) enum Node {
    /// Open: any JSON within the depth limit.
    Any,
    /// A schema with a keyword that is not known here; carries it.
    Never(String),
    Null,
    Bool,
    Integer(Bounds),
    Text(Text),
    Words(Box<[Box<str>]>),
    Array(Box<Node>),
    Object(Object),
    /// Objects told apart by the word under `tag`.
    Tagged {
        tag: Box<str>,
        branches: Box<[(Box<str>, Object)]>,
    },
    Nullable(Box<Node>),
    /// Any value of these types.
    Types(Box<[Type]>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Type {
    Null,
    Bool,
    Object,
    Array,
}

/// Both ends included; as doubles too, which hold them exactly (at most 2⁵³).
#[derive(Debug)]
pub(super) struct Bounds {
    pub min: i64,
    pub max: i64,
    pub min_double: f64,
    pub max_double: f64,
}

/// Lengths count characters.
#[derive(Debug)]
pub(super) struct Text {
    pub min: usize,
    pub max: usize,
    pub pattern: Option<&'static Pattern>,
}

#[derive(Debug)]
pub(super) struct Object {
    /// Sorted by name; at most 64.
    pub fields: Box<[(Box<str>, Node)]>,
    /// A bit for each field.
    pub required: u64,
    pub others: Others,
}

/// What other fields an object may have.
#[derive(Debug)]
pub(super) enum Others {
    Refused,
    Open,
    Keyed { keys: Text, values: Box<Node> },
}

impl Checker {
    /// Compiles a schema as [`json_schema`](crate::schema::json_schema) gives it.
    pub fn new(schema: &Value) -> Self {
        Self { root: super::compile::node(schema, schema, 0) }
    }

    /// Walks `value` and tells `sink` what is wrong with it.
    pub(super) fn check<S: Sink>(&self, value: &Value, sink: &mut S) -> Flow {
        self.root.check(value, &Path::Root, MAX_DEPTH, sink)
    }

    /// Whether the record has a field of this name.
    pub(super) fn has_field(&self, name: &str) -> bool {
        matches!(&self.root, Node::Object(object) if object.fields.iter().any(|(field, _)| **field == *name))
    }

    /// The keywords that could not be compiled; empty for a usable checker.
    #[cfg(test)]
    pub(super) fn unknown_keywords(&self) -> Vec<String> {
        let mut found = Vec::new();
        self.root.unknown_keywords(&mut found);
        found
    }
}

impl Node {
    fn check<S: Sink>(&self, value: &Value, at: &Path<'_>, depth: usize, sink: &mut S) -> Flow {
        match (self, value) {
            (Self::Nullable(_) | Self::Null, Value::Null) | (Self::Bool, Value::Bool(_)) => Flow::Continue(()),
            (Self::Nullable(node), _) => node.check(value, at, depth, sink),
            (Self::Text(text), Value::String(given)) => text.check(given, at, sink),
            (Self::Words(words), Value::String(given)) => {
                if words.iter().any(|word| **word == **given) {
                    return Flow::Continue(());
                }
                sink.fault(at, FaultKind::NotAllowed, || one_of(words.iter().map(|word| &**word)))
            }
            (Self::Integer(bounds), Value::Number(number)) => bounds.check(number, at, sink),
            (Self::Object(object), Value::Object(map)) => object.check(map, at, depth, sink),
            (Self::Tagged { tag, branches }, Value::Object(map)) => match tagged(tag, branches, map, at) {
                Ok(branch) => branch.check(map, at, depth, sink),
                Err((at, kind, rule)) => sink.fault(&at, kind, || rule),
            },
            (Self::Array(items), Value::Array(list)) => {
                let Some(depth) = depth.checked_sub(1) else { return too_deep(at, sink) };
                list.iter().enumerate().try_for_each(|(i, item)| items.check(item, &Path::Index(at, i), depth, sink))
            }
            (Self::Types(types), _) if types.iter().any(|kind| kind.has(value)) => open(value, at, depth, sink),
            (Self::Any, _) => open(value, at, depth, sink),
            _ => sink.fault(at, FaultKind::WrongType, || self.wanted()),
        }
    }

    fn wanted(&self) -> Cow<'static, str> {
        match self {
            Self::Any => "must be JSON".into(),
            Self::Never(keyword) => format!("cannot be checked: its schema uses `{keyword}`").into(),
            Self::Null => "must be null".into(),
            Self::Bool => "must be true or false".into(),
            Self::Integer(_) => "must be an integer".into(),
            Self::Text(_) | Self::Words(_) => "must be a string".into(),
            Self::Array(_) => "must be an array".into(),
            Self::Object(_) | Self::Tagged { .. } => "must be an object".into(),
            Self::Nullable(node) => format!("{} or null", node.wanted()).into(),
            Self::Types(types) => {
                let names: Vec<&str> = types.iter().map(|kind| kind.name()).collect();
                format!("must be {}", names.join(" or ")).into()
            }
        }
    }

    #[cfg(test)]
    fn unknown_keywords(&self, found: &mut Vec<String>) {
        let object = |object: &Object, found: &mut Vec<String>| {
            object.fields.iter().for_each(|(_, node)| node.unknown_keywords(found));
            if let Others::Keyed { values, .. } = &object.others {
                values.unknown_keywords(found);
            }
        };
        match self {
            Self::Never(keyword) => found.push(keyword.clone()),
            Self::Array(node) | Self::Nullable(node) => node.unknown_keywords(found),
            Self::Object(it) => object(it, found),
            Self::Tagged { branches, .. } => branches.iter().for_each(|(_, it)| object(it, found)),
            _ => {}
        }
    }
}

impl Type {
    fn has(self, value: &Value) -> bool {
        match self {
            Self::Null => value.is_null(),
            Self::Bool => value.is_boolean(),
            Self::Object => value.is_object(),
            Self::Array => value.is_array(),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

impl Bounds {
    fn check<S: Sink>(&self, number: &Number, at: &Path<'_>, sink: &mut S) -> Flow {
        let inside = if let Some(number) = number.as_i64() {
            (self.min..=self.max).contains(&number)
        } else if number.is_u64() {
            false
        } else {
            let number = number.as_f64().unwrap_or(f64::NAN);
            if number.fract() != 0.0 {
                return sink.fault(at, FaultKind::WrongType, || "must be an integer".into());
            }
            sink.integral_float(at);
            (self.min_double..=self.max_double).contains(&number)
        };
        if inside {
            return Flow::Continue(());
        }
        sink.fault(at, FaultKind::Range, || format!("must be from {} to {}", self.min, self.max).into())
    }
}

impl Text {
    fn check<S: Sink>(&self, given: &str, at: &Path<'_>, sink: &mut S) -> Flow {
        if !self.length_fits(given) {
            sink.fault(at, FaultKind::Length, || match (self.min, self.max) {
                (min, usize::MAX) => format!("must be at least {min} characters").into(),
                (0, max) => format!("must be at most {max} characters").into(),
                (min, max) if min == max => format!("must be {min} characters").into(),
                (min, max) => format!("must be {min} to {max} characters").into(),
            })?;
        }
        match self.pattern {
            Some(pattern) if !(pattern.matches)(given) => sink.fault(at, FaultKind::Pattern, || pattern.rule.into()),
            _ => Flow::Continue(()),
        }
    }

    /// A character has one to four bytes, so most texts need no counting.
    fn length_fits(&self, given: &str) -> bool {
        let bytes = given.len();
        if bytes <= self.max && bytes / 4 >= self.min {
            return true;
        }
        bytes >= self.min && (self.min..=self.max).contains(&given.chars().count())
    }
}

impl Object {
    fn check<S: Sink>(&self, map: &Map<String, Value>, at: &Path<'_>, depth: usize, sink: &mut S) -> Flow {
        let Some(depth) = depth.checked_sub(1) else { return too_deep(at, sink) };
        let (mut seen, mut next) = (0_u64, 0);
        for (key, value) in map {
            let here = Path::Key(at, key);
            if let Some(index) = self.find(key, &mut next) {
                seen |= 1 << index;
                self.fields[index].1.check(value, &here, depth, sink)?;
                continue;
            }
            match &self.others {
                Others::Open => open(value, &here, depth, sink)?,
                Others::Keyed { keys, values } => {
                    keys.check(key, &here, sink)?;
                    values.check(value, &here, depth, sink)?;
                }
                Others::Refused => {
                    sink.fault(&here, FaultKind::UnknownField, || {
                        "is not a field of this record: remove it or correct its name".into()
                    })?;
                }
            }
        }
        let missing = self.required & !seen;
        if missing == 0 {
            return Flow::Continue(());
        }
        let absent = self.fields.iter().enumerate().filter(|(index, _)| missing >> index & 1 == 1);
        absent
            .map(|(_, (name, _))| name)
            .try_for_each(|name| sink.fault(&Path::Key(at, name), FaultKind::MissingField, || "is required".into()))
    }

    /// Keys come sorted unless the host built `serde_json` with `preserve_order`: then nearly every key is the next
    /// field or a few further on. Any order gives the same answer.
    fn find(&self, key: &str, next: &mut usize) -> Option<usize> {
        let named = |(name, _): &(Box<str>, Node)| **name == *key;
        let ahead = self.fields.get(*next..)?.iter().position(named).map(|steps| *next + steps);
        let found = ahead.or_else(|| self.fields.get(..*next)?.iter().position(named))?;
        *next = found + 1;
        Some(found)
    }
}

type Problem<'a> = (Path<'a>, FaultKind, Cow<'static, str>);

/// The branch that the tag names, or where and why none.
fn tagged<'a>(
    tag: &'a str,
    branches: &'a [(Box<str>, Object)],
    map: &Map<String, Value>,
    at: &'a Path<'a>,
) -> Result<&'a Object, Problem<'a>> {
    let words = || branches.iter().map(|(word, _)| &**word);
    match map.get(tag) {
        Some(Value::String(given)) => match branches.iter().find(|(word, _)| **word == **given) {
            Some((_, object)) => Ok(object),
            None => Err((Path::Key(at, tag), FaultKind::NotAllowed, one_of(words()))),
        },
        Some(_) => Err((Path::Key(at, tag), FaultKind::WrongType, "must be a string".into())),
        None => Err((Path::Key(at, tag), FaultKind::MissingField, "is required".into())),
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> Cow<'static, str> {
    format!("must be one of {}", words.collect::<Vec<_>>().join(", ")).into()
}

/// Open data is free but for its depth: what nests deeper could be written and never read again.
fn open<S: Sink>(value: &Value, at: &Path<'_>, depth: usize, sink: &mut S) -> Flow {
    if fits(value, depth) { Flow::Continue(()) } else { too_deep(at, sink) }
}

fn fits(value: &Value, depth: usize) -> bool {
    match value {
        Value::Array(items) => depth > 0 && items.iter().all(|item| fits(item, depth - 1)),
        Value::Object(map) => depth > 0 && map.values().all(|item| fits(item, depth - 1)),
        _ => true,
    }
}

fn too_deep<S: Sink>(at: &Path<'_>, sink: &mut S) -> Flow {
    sink.fault(at, FaultKind::TooDeep, || format!("must not nest deeper than level {MAX_DEPTH} of the document").into())
}
