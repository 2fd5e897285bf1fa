//! JSON-LD: `script type="application/ld+json"`, without fetching any context.
//!
//! Simple contexts are honoured (prefixes and aliases of schema.org terms); `@graph`, `@id` references, `@reverse`,
//! `@list`, `@set`, `@value` and nested items are read. Pointers count from the script's document; several documents in
//! one script are the entries of one array.

use super::tree::{Json, Tree};
use super::{COMPOSED, Document, Facts, Item, ItemId, Leaf, MAX_ITEMS, Place, Syntax, Value, lenient, local_name};
use crate::page::{NodeId, Page};
use std::collections::HashMap;

pub(super) fn read(page: &Page, facts: &mut Facts) {
    for node in page.elements("script") {
        if !page.attr(node, "type").is_some_and(is_json_ld) {
            continue;
        }
        let Some(text) = page.raw_text(node) else { continue };
        let Some(tree) = parse(text) else { continue };
        let document = u32::try_from(facts.documents.len()).unwrap_or(u32::MAX);
        let mut reader = Reader { tree: &tree, document, node, facts, aliases: HashMap::new() };
        reader.top(0);
        facts.documents.push(Document { node, tree });
    }
}

fn is_json_ld(media: &str) -> bool {
    let media = media.split(';').next().unwrap_or("").trim();
    media.eq_ignore_ascii_case("application/ld+json")
}

/// Strictly first, because that is fast and most pages are well-formed; then with forgiveness; then unescaped.
fn parse(text: &str) -> Option<Tree> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if text.is_empty() {
        return None;
    }
    // A quote must be what stands in the page, to the last digit: the strict reader keeps a fraction's value only.
    Tree::parse(text).ok().filter(|tree| !tree.is_inexact()).or_else(|| {
        if text.starts_with(['{', '[']) && text.contains("&quot;") && !text.contains('"') {
            return lenient::parse(&crate::plain::decode_entities(text));
        }
        lenient::parse(text)
    })
}

struct Reader<'a> {
    tree: &'a Tree,
    document: u32,
    node: NodeId,
    facts: &'a mut Facts,
    /// Terms of the document's contexts that stand for another name.
    aliases: HashMap<String, String>,
}

impl Reader<'_> {
    /// The document, or one entry of its top-level arrays and graphs: each object is an item by itself.
    fn top(&mut self, at: u32) {
        match self.tree.json(at) {
            Json::Array => self.tree.children(at).for_each(|child| self.top(child)),
            Json::Object => {
                self.context(at);
                let graph = self.tree.member(at, "@graph");
                let states_more = self
                    .tree
                    .children(at)
                    .any(|child| self.tree.key(child).is_some_and(|key| !matches!(key, "@context" | "@graph" | "@id")));
                if graph.is_none() || states_more {
                    self.item(at, None);
                }
                if let Some(graph) = graph {
                    self.top(graph);
                }
            }
            Json::Text(_) | Json::Number(_) | Json::Bool(_) | Json::Null => {}
        }
    }

    fn context(&mut self, object: u32) {
        let Some(context) = self.tree.member(object, "@context") else { return };
        let entries: Vec<u32> = match self.tree.json(context) {
            Json::Array => self.tree.children(context).collect(),
            _ => vec![context],
        };
        for entry in entries {
            for term in self.tree.children(entry) {
                let Some(key) = self.tree.key(term) else { continue };
                let target = self.tree.text(term).or_else(|| self.tree.text(self.tree.member(term, "@id")?));
                if let Some(target) = target.filter(|_| !key.starts_with('@')) {
                    let name = if target.starts_with('@') { target } else { local_name(target) };
                    // A prefix such as `schema: https://schema.org/` is dropped by `local_name` anyway.
                    if !name.is_empty() && !target.ends_with(['/', '#']) && name != key {
                        self.aliases.insert(key.into(), name.into());
                    }
                }
            }
        }
    }

    fn name<'k>(&'k self, key: &'k str) -> &'k str {
        match self.aliases.get(key) {
            Some(name) => name,
            None if key.starts_with('@') => key,
            None => local_name(key),
        }
    }

    fn item(&mut self, at: u32, parent: Option<ItemId>) -> Option<ItemId> {
        if self.facts.items.len() >= MAX_ITEMS {
            self.facts.cut = true;
            return None;
        }
        self.context(at);
        let tree = self.tree;
        let mut types: Vec<Box<str>> = Vec::new();
        let mut id = None;
        for child in tree.children(at) {
            let Some(key) = tree.key(child) else { continue };
            match self.name(key) {
                "@type" => {
                    let names = tree.text(child).into_iter().chain(tree.children(child).filter_map(|c| tree.text(c)));
                    types.extend(names.map(|name| local_name(name).into()));
                }
                "@id" => id = tree.text(child).map(Into::into),
                _ => {}
            }
        }
        let properties = Vec::with_capacity(tree.children(at).count());
        let item = self.facts.add(Item { syntax: Syntax::JsonLd, types, id, node: self.node, parent, properties });
        for child in tree.children(at) {
            let Some(key) = tree.key(child) else { continue };
            let name = self.name(key).to_owned();
            match name.as_str() {
                "@type" | "@id" | "@context" | "@graph" | "@language" | "@index" | "@value" => {}
                "@reverse" => self.reverse(child, item),
                "@included" => self.top(child),
                _ => self.values(item, &name, child),
            }
        }
        if self.facts.item(item).is_some_and(|item| item.types.iter().any(|kind| &**kind == "PropertyValue")) {
            let part = |keys: [&str; 2]| {
                keys.iter()
                    .find_map(|key| tree.member(at, key))
                    .filter(|part| tree.text(*part).is_some_and(|text| !text.trim().is_empty()))
            };
            let parts: Vec<u32> = [part(["value", "value"]), part(["unitText", "unitCode"]), part(["name", "name"])]
                .into_iter()
                .flatten()
                .collect();
            if parts.len() > 1 {
                let leaf = self.facts.compose(tree, at, &parts);
                self.facts.push_property(item, COMPOSED, Value::Leaf(leaf));
            }
        }
        Some(item)
    }

    fn values(&mut self, item: ItemId, name: &str, at: u32) {
        let tree = self.tree;
        match tree.json(at) {
            Json::Null => {}
            Json::Array => tree.children(at).for_each(|child| self.values(item, name, child)),
            Json::Text(_) | Json::Number(_) | Json::Bool(_) => {
                let leaf = Leaf(Place::Json { document: self.document, at });
                self.facts.push_property(item, name, Value::Leaf(leaf));
            }
            Json::Object => {
                let inner = ["@value", "@list", "@set"].iter().find_map(|key| tree.member(at, key));
                if let Some(inner) = inner {
                    self.values(item, name, inner);
                } else if let Some(value) = self.item(at, Some(item)) {
                    self.facts.push_property(item, name, Value::Item(value));
                }
            }
        }
    }

    /// `"@reverse": { "author": {…} }`: the inner items have this one as their `author`.
    fn reverse(&mut self, at: u32, target: ItemId) {
        let tree = self.tree;
        for member in tree.children(at) {
            let Some(name) = tree.key(member).map(|key| self.name(key).to_owned()) else { continue };
            let sources: Vec<u32> = match tree.json(member) {
                Json::Array => tree.children(member).collect(),
                _ => vec![member],
            };
            for source in sources.into_iter().filter(|source| matches!(tree.json(*source), Json::Object)) {
                if let Some(source) = self.item(source, Some(target)) {
                    self.facts.push_property(source, &name, Value::Item(target));
                }
            }
        }
    }
}
