//! Mapping: filling the fields of one record from its sources.
//!
//! This file walks the schema's objects; single values, lists and the reading of texts have a file each.

mod candidate;
mod lists;
mod partial;
mod scalar;
mod tidy;
mod times;

use super::choose::Sources;
use super::effort::Effort;
use super::want::{Want, Wants};
use crate::evidence::Reading;
use crate::facts::{Facts, ItemId, Leaf, Value as Fact};
use crate::shape::{Field, Kind, NodeRef, Shape};
use crate::strategy::DraftRecord;
use crate::transform::Transform;
use atlas_schema::{JsonPointer, Warning};
use candidate::Candidate;
use serde_json::{Map, Value};

/// Recursive schemas are filled this deep.
const MAX_DEPTH: usize = 8;
/// Entries of one array.
const MAX_ENTRIES: usize = 5000;

/// Fills one record.
pub(super) struct Mapper<'a> {
    pub(super) reading: &'a Reading<'a>,
    pub(super) shape: &'a Shape,
    pub(super) wants: &'a Wants<'a>,
    pub(super) effort: &'a Effort<'a>,
    /// Whether the record is what the page is about, so that what the page says of itself is said of the record.
    pub(super) whole_page: bool,
    pub(super) record: DraftRecord,
    pub(super) warnings: Vec<Warning>,
}

impl<'a> Mapper<'a> {
    fn facts(&self) -> &'a Facts {
        self.reading.facts()
    }

    fn text(&self, leaf: &'a Leaf) -> &'a str {
        self.reading.facts().text(self.reading.page(), leaf)
    }

    /// Fills the record's fields from `sources`; absent fields stay absent.
    pub(super) fn fill(mut self, sources: &Sources) -> (DraftRecord, Vec<Warning>) {
        let root = self.shape.root();
        let top = self.whole_page;
        let data = self.object(root, sources, &JsonPointer::root(), top, 0);
        self.record.data = data.unwrap_or_else(|| Value::Object(Map::new()));
        self.times();
        (self.record, self.warnings)
    }

    fn object(
        &mut self,
        node: NodeRef,
        sources: &[ItemId],
        at: &JsonPointer,
        top: bool,
        depth: usize,
    ) -> Option<Value> {
        if depth > MAX_DEPTH || !self.effort.spend(1) {
            return None;
        }
        let shape = self.shape;
        let Kind::Object { fields, rest } = &shape.node(node).kind else { return None };
        let mut map = Map::new();
        for field in fields {
            if let Some(value) = self.field(field, sources, &at.key(&field.name), top, depth) {
                map.insert(field.name.clone(), value);
            }
        }
        if let Some(rest) = rest {
            self.rest(*rest, sources, at, &mut map);
        }
        (!map.is_empty()).then_some(Value::Object(map))
    }

    /// Members without a name of their own: every property of the item that reads as one.
    fn rest(&mut self, node: NodeRef, sources: &[ItemId], at: &JsonPointer, map: &mut Map<String, Value>) {
        let facts = self.facts();
        let shape = self.shape;
        for (name, fact) in self.effort.each(sources.iter().flat_map(|id| facts.properties(*id))) {
            let Fact::Leaf(leaf) = fact else { continue };
            if map.contains_key(name) || map.len() >= 200 {
                continue;
            }
            let transform = Transform::wanted(shape.node(node), name);
            let found = self.read(&Candidate::whole(leaf), node, transform);
            if let Some((value, evidence)) = found {
                self.record.evidence.push((at.key(name), evidence));
                map.insert(name.to_owned(), value);
            }
        }
    }

    fn field(
        &mut self,
        field: &'a Field,
        sources: &[ItemId],
        at: &JsonPointer,
        top: bool,
        depth: usize,
    ) -> Option<Value> {
        let want = self.wants.of(field);
        self.node(field.node, &want, sources, at, top, depth)
    }

    fn node(
        &mut self,
        node: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        top: bool,
        depth: usize,
    ) -> Option<Value> {
        let shape = self.shape;
        match &shape.node(node).kind {
            Kind::Object { .. } => self.nested(node, want, sources, at, depth),
            Kind::Array { items, max, unique } => {
                let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(MAX_ENTRIES).min(MAX_ENTRIES);
                self.array(*items, want, sources, at, (top, depth), (max, *unique))
            }
            Kind::Union(options) => options.iter().find_map(|option| {
                let transform =
                    Transform::wanted(shape.node(*option), want.concept.and_then(|c| c.names.first()).unwrap_or(&""));
                let want = Want {
                    transform,
                    paths: want.paths.clone(),
                    meta: want.meta.clone(),
                    labels: want.labels.clone(),
                    concept: want.concept,
                };
                self.node(*option, &want, sources, at, top, depth)
            }),
            _ => self.scalar(node, want, sources, at, top),
        }
    }

    fn nested(
        &mut self,
        node: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        depth: usize,
    ) -> Option<Value> {
        let items = |facts: Vec<&'a Fact>| -> Vec<ItemId> {
            facts.into_iter().filter_map(|fact| if let Fact::Item(id) = fact { Some(*id) } else { None }).collect()
        };
        let paths = want.paths.iter().chain(&[]);
        for path in paths {
            for id in sources {
                let found = items(self.follow(*id, path));
                if let Some(first) = found.first()
                    && let Some(value) = self.object(node, &[*first], at, false, depth + 1)
                {
                    return Some(value);
                }
            }
        }
        // `price: {amount, currency}` stands in the offer that holds the price.
        for path in want.paths.iter().filter(|path| path.len() > 1) {
            for id in sources {
                let owners = items(self.follow(*id, &path[..path.len() - 1]));
                if let Some(first) = owners.first()
                    && let Some(value) = self.object(node, &[*first], at, false, depth + 1)
                {
                    return Some(value);
                }
            }
        }
        // `author: {name}` where the page gives a plain text.
        let leaf = sources.iter().flat_map(|id| want.paths.iter().map(|path| (*id, path))).find_map(|(id, path)| {
            self.follow(id, path)
                .into_iter()
                .find_map(|fact| if let Fact::Leaf(leaf) = fact { Some(leaf) } else { None })
        });
        self.named(node, leaf?, at)
    }

    /// An object of which only the name is known.
    fn named(&mut self, node: NodeRef, leaf: &'a Leaf, at: &JsonPointer) -> Option<Value> {
        let shape = self.shape;
        let fields = shape.fields(node);
        let field = ["name", "text", "title", "value", "label", "url"]
            .iter()
            .find_map(|name| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)))?;
        let transform = Transform::wanted(shape.node(field.node), &field.name);
        let candidate = Candidate::whole(leaf);
        let (value, evidence) = self.read(&candidate, field.node, transform)?;
        self.record.evidence.push((at.key(&field.name), evidence));
        Some(Value::Object(Map::from_iter([(field.name.clone(), value)])))
    }

    fn objects(
        &mut self,
        items: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        depth: usize,
        max: usize,
    ) -> Option<Value> {
        for id in sources {
            for path in &want.paths {
                let mut values = Vec::new();
                for fact in self.follow(*id, path).into_iter().take(max) {
                    if !self.effort.spend(1) {
                        break;
                    }
                    let here = at.index(values.len());
                    let value = match fact {
                        Fact::Item(inner) => self.object(items, &[*inner], &here, false, depth + 1),
                        Fact::Leaf(leaf) => self.named(items, leaf, &here),
                    };
                    values.extend(value);
                }
                if !values.is_empty() {
                    return Some(Value::Array(values));
                }
            }
        }
        None
    }
}
