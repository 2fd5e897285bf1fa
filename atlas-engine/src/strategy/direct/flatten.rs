//! Flattening: lists that markup nests, such as the sections and steps of instructions, as texts in reading order.

use crate::facts::{COMPOSED, Facts, ItemId, Leaf, Value};
use crate::page::Page;
use crate::plain;

/// Deeper nesting is cut: references may form cycles.
const MAX_DEPTH: usize = 12;
/// More texts than this are cut.
const MAX_TEXTS: usize = 5000;

/// The texts of `values` in order: a section's name before its steps, a step's name before its text unless the text
/// starts with it.
pub(super) fn texts<'a>(facts: &'a Facts, page: &'a Page, values: &[&'a Value]) -> Vec<&'a Leaf> {
    let mut texts = Vec::new();
    for value in values {
        flatten(facts, page, value, &mut texts, 0);
    }
    texts
}

fn flatten<'a>(facts: &'a Facts, page: &'a Page, value: &'a Value, texts: &mut Vec<&'a Leaf>, depth: usize) {
    if depth > MAX_DEPTH || texts.len() >= MAX_TEXTS {
        return;
    }
    let id = match value {
        Value::Leaf(leaf) => return texts.push(leaf),
        Value::Item(id) => *id,
    };
    let inner: Vec<&Value> =
        all(facts, id, "itemListElement").chain(all(facts, id, "steps")).chain(all(facts, id, "step")).collect();
    let name = leaf(facts, id, "name");
    if inner.is_empty() {
        if let Some(item) = all(facts, id, "item").next() {
            return flatten(facts, page, item, texts, depth + 1);
        }
        if let Some(composed) = leaf(facts, id, COMPOSED) {
            return texts.push(composed);
        }
        let text =
            leaf(facts, id, "text").or_else(|| leaf(facts, id, "description")).or_else(|| leaf(facts, id, "value"));
        let read = |leaf: &Leaf| plain::clean(facts.text(page, leaf)).into_owned();
        match (name, text) {
            (Some(name), Some(text)) => {
                let (called, said) = (read(name), read(text));
                let repeated = said.starts_with(called.trim_end_matches(['.', '…']));
                texts.extend([name].into_iter().filter(|_| !repeated && !called.is_empty()).chain([text]));
            }
            (name, text) => texts.extend(text.or(name)),
        }
        return;
    }
    texts.extend(name.filter(|leaf| !facts.text(page, leaf).trim().is_empty()));
    for value in inner {
        flatten(facts, page, value, texts, depth + 1);
    }
}

fn all<'a>(facts: &'a Facts, id: ItemId, wanted: &'static str) -> impl Iterator<Item = &'a Value> {
    facts.properties(id).filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

fn leaf<'a>(facts: &'a Facts, id: ItemId, wanted: &'static str) -> Option<&'a Leaf> {
    all(facts, id, wanted).find_map(|value| match value {
        Value::Leaf(leaf) => Some(leaf),
        Value::Item(_) => None,
    })
}
