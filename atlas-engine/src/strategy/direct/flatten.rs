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
    let mut found = Found::default();
    for value in values {
        flatten(facts, page, value, &mut found, 0);
    }
    let Found { texts, names } = found;
    // Names that differ by their number alone count the steps and do not name them.
    let unnumbered = |at: &usize| {
        let text = texts.get(*at).map_or("", |leaf| facts.text(page, leaf));
        text.chars().filter(|c| !c.is_numeric()).collect::<String>()
    };
    let numbered = |at: &usize| texts.get(*at).is_some_and(|leaf| facts.text(page, leaf).contains(char::is_numeric));
    let count = names.len() > 1
        && names.iter().all(numbered)
        && names.first().map(unnumbered).is_some_and(|first| names.iter().all(|at| unnumbered(at) == first));
    let kept = texts.iter().enumerate().filter(|(at, _)| !count || names.binary_search(at).is_err());
    kept.map(|(_, leaf)| *leaf).collect()
}

/// Texts, and which of them are names of steps.
#[derive(Default)]
struct Found<'a> {
    texts: Vec<&'a Leaf>,
    names: Vec<usize>,
}

fn flatten<'a>(facts: &'a Facts, page: &'a Page, value: &'a Value, found: &mut Found<'a>, depth: usize) {
    if depth > MAX_DEPTH || found.texts.len() >= MAX_TEXTS {
        return;
    }
    let id = match value {
        Value::Leaf(leaf) => return found.texts.push(leaf),
        Value::Item(id) => *id,
    };
    let inner: Vec<&Value> =
        all(facts, id, "itemListElement").chain(all(facts, id, "steps")).chain(all(facts, id, "step")).collect();
    let name = leaf(facts, id, "name");
    if inner.is_empty() {
        if let Some(item) = all(facts, id, "item").next() {
            return flatten(facts, page, item, found, depth + 1);
        }
        if let Some(composed) = leaf(facts, id, COMPOSED) {
            return found.texts.push(composed);
        }
        let text =
            leaf(facts, id, "text").or_else(|| leaf(facts, id, "description")).or_else(|| leaf(facts, id, "value"));
        let read = |leaf: &Leaf| plain::clean(facts.text(page, leaf)).into_owned();
        match (name, text) {
            (Some(name), Some(text)) => {
                let (called, said) = (read(name), read(text));
                let repeated = said.starts_with(called.trim_end_matches(['.', '…']));
                if !repeated && !called.is_empty() {
                    found.names.push(found.texts.len());
                    found.texts.push(name);
                }
                found.texts.push(text);
            }
            (name, text) => found.texts.extend(text.or(name)),
        }
        return;
    }
    found.texts.extend(name.filter(|leaf| !facts.text(page, leaf).trim().is_empty()));
    for value in inner {
        flatten(facts, page, value, found, depth + 1);
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
