//! Meta elements: one item for the page, its properties named as the page names them (`og:title`, `description`).
//!
//! The document's own elements join in under names with a leading dot: `.title` (the title element), `.h1`,
//! `.canonical` (the canonical link), `.lang` (the root's language).

use super::{Facts, Item, Leaf, Place, Syntax, Value};
use crate::page::{NodeId, Page};

pub(super) fn read(page: &Page, facts: &mut Facts) {
    let mut properties: Vec<(Box<str>, Value)> = Vec::new();
    let mut add =
        |name: &str, place: Place| properties.push((name.to_ascii_lowercase().into(), Value::Leaf(Leaf(place))));
    for node in page.elements("meta") {
        if page.attr(node, "content").is_none_or(|content| content.trim().is_empty()) {
            continue;
        }
        let name = ["property", "name", "http-equiv"].iter().find_map(|attr| page.attr(node, attr));
        for name in name.unwrap_or("").split_ascii_whitespace() {
            add(name, Place::Attribute { node, name: "content" });
        }
    }
    for node in page.elements("link") {
        let rel = page.attr(node, "rel").unwrap_or("");
        if rel.split_ascii_whitespace().any(|rel| rel.eq_ignore_ascii_case("canonical"))
            && page.attr(node, "href").is_some()
        {
            add(".canonical", Place::Attribute { node, name: "href" });
        }
    }
    if let Some(node) = page.elements("html").next().filter(|node| page.attr(*node, "lang").is_some()) {
        add(".lang", Place::Attribute { node, name: "lang" });
    }
    for node in page.elements("h1").take(3).filter(|node| !page.text_of(*node).trim().is_empty()) {
        add(".h1", Place::Node { node });
    }
    // The first title outside of an inline drawing, which has titles of its own.
    let outside = |node: &NodeId| !page.ancestors(*node).any(|above| page.tag(above) == Some("svg"));
    if let Some(node) = page.elements("title").find(outside) {
        add(".title", Place::Node { node });
    }
    facts.add(Item { syntax: Syntax::Meta, types: Vec::new(), id: None, node: page.root(), parent: None, properties });
}
