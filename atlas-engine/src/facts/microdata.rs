//! HTML microdata, by the HTML standard's rules, and as pages write it.
//!
//! Beyond the standard: a `content` attribute counts on any element, and a lazily loaded image's `data-src` stands in
//! for a missing or inline `src`.

use super::{Facts, Item, ItemId, Leaf, MAX_ITEMS, Place, Syntax, Value, local_name};
use crate::page::{NodeId, Page};
use std::collections::{HashMap, HashSet};

/// Deeper than this, items and references are not followed.
const MAX_DEPTH: usize = 64;
/// Elements that all the references of a page lead to, counted once for each item that refers to them.
const MAX_REFERENCED: usize = 30_000;

pub(super) fn read(page: &Page, facts: &mut Facts) {
    let mut reader = Reader { page, facts, ids: None, known: HashMap::new(), referenced: 0 };
    let referenced = reader.referenced();
    for (node, _) in page.elements_with_attr("itemscope") {
        let owned = page.attr(node, "itemprop").is_some() && inside_item(page, node);
        if !owned && !referenced.contains(&node) {
            reader.item(node, None, 0);
        }
    }
}

/// Whether an `itemprop` on `node` has an item to belong to.
fn inside_item(page: &Page, node: NodeId) -> bool {
    page.ancestors(node).any(|ancestor| page.attr(ancestor, "itemscope").is_some())
}

struct Reader<'a> {
    page: &'a Page,
    facts: &'a mut Facts,
    /// Elements by their `id`, built when the first `itemref` asks.
    ids: Option<HashMap<&'a str, NodeId>>,
    /// Items read, with `None` for those being read: a reference to an enclosing one ends, and several to one item share
    /// it.
    known: HashMap<NodeId, Option<ItemId>>,
    /// Elements looked at because of references.
    referenced: usize,
}

impl Reader<'_> {
    /// Items inside an element that an `itemref` names belong to the referring item.
    fn referenced(&mut self) -> HashSet<NodeId> {
        let page = self.page;
        let refs: Vec<&str> =
            page.elements_with_attr("itemref").flat_map(|(_, ids)| ids.split_ascii_whitespace()).collect();
        if refs.is_empty() {
            return HashSet::new();
        }
        let mut open: Vec<NodeId> = refs.into_iter().filter_map(|id| self.by_id(id)).collect();
        let mut seen = HashSet::new();
        let mut items = HashSet::new();
        while let Some(node) = open.pop() {
            if seen.insert(node) {
                if page.attr(node, "itemprop").is_some() && page.attr(node, "itemscope").is_some() {
                    items.insert(node);
                }
                open.extend(page.children(node));
            }
        }
        items
    }

    fn by_id(&mut self, id: &str) -> Option<NodeId> {
        let page = self.page;
        let ids = self.ids.get_or_insert_with(|| {
            let mut ids = HashMap::new();
            for (node, id) in page.elements_with_attr("id") {
                ids.entry(id).or_insert(node);
            }
            ids
        });
        ids.get(id).copied()
    }

    fn item(&mut self, node: NodeId, parent: Option<ItemId>, depth: usize) -> Option<ItemId> {
        if let Some(known) = self.known.get(&node) {
            return *known;
        }
        if depth > MAX_DEPTH || self.facts.items.len() >= MAX_ITEMS {
            self.facts.cut = true;
            return None;
        }
        self.known.insert(node, None);
        let page = self.page;
        let types = page.attr(node, "itemtype").unwrap_or("").split_ascii_whitespace();
        let types = types.map(|name| local_name(name).into()).collect();
        let id = page.attr(node, "itemid").map(Into::into);
        let item = self.facts.add(Item { syntax: Syntax::Microdata, types, id, node, parent, properties: Vec::new() });
        for child in page.children(node) {
            self.crawl(child, item, depth, None);
        }
        if let Some(ids) = page.attr(node, "itemref") {
            let mut seen = HashSet::new();
            for id in ids.split_ascii_whitespace() {
                if let Some(target) = self.by_id(id) {
                    self.crawl(target, item, depth, Some(&mut seen));
                }
            }
        }
        self.known.insert(node, Some(item));
        Some(item)
    }

    /// The properties in `from` and below it, down to the next item. Iterative: pages nest elements arbitrarily deep.
    ///
    /// Along a reference, what was `seen` of the same item before is not looked at again.
    fn crawl(&mut self, from: NodeId, item: ItemId, depth: usize, mut seen: Option<&mut HashSet<NodeId>>) {
        let page = self.page;
        let mut stack = vec![from];
        while let Some(node) = stack.pop() {
            if let Some(seen) = &mut seen {
                if !seen.insert(node) {
                    continue;
                }
                self.referenced += 1;
                if self.referenced > MAX_REFERENCED {
                    self.facts.cut = true;
                    return;
                }
            }
            if page.tag(node).is_none() {
                continue;
            }
            let scope = page.attr(node, "itemscope").is_some();
            if let Some(names) = page.attr(node, "itemprop") {
                let value = if scope {
                    self.item(node, Some(item), depth + 1).map(Value::Item)
                } else {
                    Some(Value::Leaf(leaf(page, node)))
                };
                if let Some(value) = value {
                    for name in names.split_ascii_whitespace() {
                        self.facts.push_property(item, local_name(name), value.clone());
                    }
                }
            }
            if !scope {
                let children: Vec<NodeId> = page.children(node).collect();
                stack.extend(children.into_iter().rev());
            }
        }
    }
}

/// The value of a property that is not an item, by the element that carries it.
fn leaf(page: &Page, node: NodeId) -> Leaf {
    let has = |name: &&'static str| page.attr(node, name).is_some_and(|value| !value.trim().is_empty());
    let candidates: &[&'static str] = match page.tag(node).unwrap_or("") {
        "img" | "audio" | "embed" | "iframe" | "source" | "track" | "video" => {
            let inline = page.attr(node, "src").is_none_or(|src| src.trim().is_empty() || src.starts_with("data:"));
            if inline { &["content", "data-src", "data-lazy-src", "srcset", "src"] } else { &["content", "src"] }
        }
        "a" | "area" | "link" => &["content", "href"],
        "object" => &["content", "data"],
        "meta" | "data" | "meter" => &["content", "value"],
        "time" => &["content", "datetime"],
        _ => &["content"],
    };
    let attribute = candidates.iter().find(|name| has(name));
    attribute.map_or(Leaf(Place::Node { node }), |name| Leaf(Place::Attribute { node, name }))
}
