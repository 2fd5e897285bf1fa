//! A parsed JSON document as one flat list in document order, so that a pointer is walked without a second parse.
//!
//! Key order and repeated keys are kept as written. Depth is bounded by the parsers that fill it.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// What stands at one place of a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    /// A string, as decoded.
    Text(Box<str>),
    /// A number, as written.
    Number(Box<str>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// An array; its entries follow.
    Array,
    /// An object; its members follow.
    Object,
}

/// How a place hangs on its parent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// The document itself.
    Root,
    /// A member of an object.
    Key(Box<str>),
    /// An entry of an array.
    Index(u32),
}

#[derive(Debug, Clone)]
struct Entry {
    step: Step,
    json: Json,
    parent: u32,
    /// One past the last entry of this subtree.
    end: u32,
}

/// A JSON document. Entry 0 is the root; an entry's descendants follow it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    entries: Vec<Entry>,
    /// Whether the strict reader met a number that it can't give back as it was written.
    inexact: bool,
}

impl Tree {
    /// Parses strictly by RFC 8259; refuses nesting deeper than 128.
    pub(crate) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut tree = Self::default();
        let mut reader = serde_json::Deserializer::from_str(text);
        Fill { tree: &mut tree, step: Step::Root, parent: 0 }.deserialize(&mut reader)?;
        reader.end()?;
        Ok(tree)
    }

    /// Whether a number here may differ from how it was written: a fraction, or one of more digits than integers have.
    pub(crate) const fn is_inexact(&self) -> bool {
        self.inexact
    }

    pub(crate) fn json(&self, at: u32) -> &Json {
        self.entries.get(at as usize).map_or(&Json::Null, |entry| &entry.json)
    }

    pub(crate) fn key(&self, at: u32) -> Option<&str> {
        match &self.entries.get(at as usize)?.step {
            Step::Key(key) => Some(key),
            Step::Root | Step::Index(_) => None,
        }
    }

    /// The entries directly under `at`, in document order.
    pub(crate) fn children(&self, at: u32) -> impl Iterator<Item = u32> + '_ {
        let end = self.entries.get(at as usize).map_or(0, |entry| entry.end);
        let mut next = at.saturating_add(1);
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let this = next;
            next = self.entries.get(this as usize)?.end.max(this + 1);
            Some(this)
        })
    }

    /// The member `key` of the object at `at`.
    pub(crate) fn member(&self, at: u32, key: &str) -> Option<u32> {
        self.children(at).find(|&child| self.key(child) == Some(key))
    }

    /// The text of a scalar; `None` for containers and null.
    pub(crate) fn text(&self, at: u32) -> Option<&str> {
        match self.json(at) {
            Json::Text(text) | Json::Number(text) => Some(text),
            Json::Bool(true) => Some("true"),
            Json::Bool(false) => Some("false"),
            Json::Null | Json::Array | Json::Object => None,
        }
    }

    /// The text of a container: its scalars in document order, joined by one blank. `None` for an empty one.
    pub(crate) fn joined(&self, at: u32) -> Option<String> {
        let end = self.entries.get(at as usize)?.end;
        let texts: Vec<&str> = (at + 1..end).filter_map(|inner| self.text(inner)).collect();
        (!texts.is_empty()).then(|| texts.join(" "))
    }

    /// Where the scalar at `inner` stands in the [`joined`](Self::joined) text of the container at `at`.
    pub(crate) fn offset_in(&self, at: u32, inner: u32) -> usize {
        (at + 1..inner).filter_map(|before| self.text(before)).map(|text| text.len() + 1).sum()
    }

    /// The JSON Pointer of an entry.
    pub(crate) fn pointer(&self, at: u32) -> String {
        let mut steps = Vec::new();
        let mut at = at;
        while let Some(entry) = self.entries.get(at as usize) {
            match &entry.step {
                Step::Root => break,
                step => steps.push(step),
            }
            at = entry.parent;
        }
        let mut text = String::new();
        for step in steps.into_iter().rev() {
            text.push('/');
            match step {
                Step::Key(key) => text.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => text.push_str(&index.to_string()),
                Step::Root => {}
            }
        }
        text
    }

    /// The entry at the unescaped `parts` of a pointer. Of a repeated key every member is tried.
    pub(crate) fn find(&self, parts: &[String]) -> Option<u32> {
        self.find_below(0, parts)
    }

    fn find_below(&self, at: u32, parts: &[String]) -> Option<u32> {
        let Some((part, rest)) = parts.split_first() else {
            return (at == 0 || (at as usize) < self.entries.len()).then_some(at);
        };
        self.children(at)
            .filter(|&child| match &self.entries[child as usize].step {
                Step::Key(key) => **key == **part,
                Step::Index(index) => part.parse() == Ok(*index),
                Step::Root => false,
            })
            .find_map(|child| self.find_below(child, rest))
    }

    /// Appends an entry; a container stays open until [`close`](Self::close).
    pub(crate) fn push(&mut self, step: Step, parent: u32, json: Json) -> u32 {
        let at = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { step, json, parent, end: at.saturating_add(1) });
        at
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes back the entry at `at` if it is the last one and no container.
    pub(crate) fn drop_leaf(&mut self, at: usize) {
        let leaf = self.entries.get(at).is_some_and(|entry| !matches!(entry.json, Json::Array | Json::Object));
        if leaf && at + 1 == self.entries.len() {
            self.entries.pop();
        }
    }

    /// Ends the container at `at`: everything pushed since belongs to it.
    pub(crate) fn close(&mut self, at: u32) {
        let end = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.end = end;
        }
    }
}

struct Fill<'t> {
    tree: &'t mut Tree,
    step: Step,
    parent: u32,
}

impl<'de> DeserializeSeed<'de> for Fill<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Fill<'_> {
    fn scalar(self, json: Json) {
        self.tree.push(self.step, self.parent, json);
    }
}

impl<'de> Visitor<'de> for Fill<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Json::Bool(value));
        Ok(())
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Json::Number(value.to_string().into()));
        Ok(())
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(Json::Number(value.to_string().into()));
        Ok(())
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.tree.inexact = true;
        self.scalar(Json::Number(value.to_string().into()));
        Ok(())
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(Json::Text(value.into()));
        Ok(())
    }
    fn visit_string<E: Error>(self, value: String) -> Result<(), E> {
        self.scalar(Json::Text(value.into()));
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(Json::Null);
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let at = self.tree.push(self.step, self.parent, Json::Array);
        let mut index = 0;
        while entries.next_element_seed(Fill { tree: self.tree, step: Step::Index(index), parent: at })?.is_some() {
            index += 1;
        }
        self.tree.close(at);
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let at = self.tree.push(self.step, self.parent, Json::Object);
        while let Some(key) = members.next_key::<String>()? {
            members.next_value_seed(Fill { tree: self.tree, step: Step::Key(key.into()), parent: at })?;
        }
        self.tree.close(at);
        Ok(())
    }
}
