//! Flattening: lists that markup nests, such as the sections and steps of instructions, as texts in reading order.

use super::effort::Effort;
use crate::facts::{COMPOSED, Facts, ItemId, Leaf, Value};
use crate::page::Page;
use crate::plain;

/// Deeper nesting is cut.
const MAX_DEPTH: usize = 12;
/// More texts than this are cut.
const MAX_TEXTS: usize = 5000;

/// The texts of `values` in order: a section's name before its steps, a step's name before its text unless the text
/// starts with it.
///
/// References may form cycles: what stands inside itself is not entered again.
pub(super) fn texts<'a>(facts: &'a Facts, page: &'a Page, values: &[&'a Value], effort: &Effort<'_>) -> Vec<&'a Leaf> {
    let mut found = Found { facts, page, effort, inside: Vec::new(), texts: Vec::new(), names: Vec::new() };
    for value in values {
        found.flatten(value);
    }
    let Found { texts, names, .. } = found;
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
struct Found<'a, 'e> {
    facts: &'a Facts,
    page: &'a Page,
    effort: &'e Effort<'e>,
    /// The things around, the outermost first.
    inside: Vec<ItemId>,
    texts: Vec<&'a Leaf>,
    names: Vec<usize>,
}

impl<'a> Found<'a, '_> {
    fn flatten(&mut self, value: &'a Value) {
        if self.inside.len() > MAX_DEPTH || self.texts.len() >= MAX_TEXTS || !self.effort.spend(1) {
            return;
        }
        let id = match value {
            Value::Leaf(leaf) => return self.texts.push(leaf),
            Value::Item(id) => *id,
        };
        let identity = self.facts.identity(id);
        if self.inside.contains(&identity) {
            return;
        }
        self.inside.push(identity);
        self.item(id);
        self.inside.pop();
    }

    fn item(&mut self, id: ItemId) {
        let (facts, page) = (self.facts, self.page);
        if !self.effort.spend(20 + 10 * facts.properties(id).count()) {
            return;
        }
        let inner: Vec<&Value> =
            all(facts, id, "itemListElement").chain(all(facts, id, "steps")).chain(all(facts, id, "step")).collect();
        let name = leaf(facts, id, "name");
        if !inner.is_empty() {
            self.texts.extend(name.filter(|leaf| !facts.text(page, leaf).trim().is_empty()));
            for value in inner {
                self.flatten(value);
            }
            return;
        }
        if let Some(item) = all(facts, id, "item").next() {
            return self.flatten(item);
        }
        if let Some(composed) = leaf(facts, id, COMPOSED) {
            return self.texts.push(composed);
        }
        let text =
            leaf(facts, id, "text").or_else(|| leaf(facts, id, "description")).or_else(|| leaf(facts, id, "value"));
        let read = |leaf: &Leaf| plain::clean(facts.text(page, leaf)).into_owned();
        match (name, text) {
            (Some(name), Some(text)) => {
                let (called, said) = (read(name), read(text));
                let repeated = said.starts_with(called.trim_end_matches(['.', '…']));
                if !repeated && !called.is_empty() {
                    self.names.push(self.texts.len());
                    self.texts.push(name);
                }
                self.texts.push(text);
            }
            (name, text) => self.texts.extend(text.or(name)),
        }
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
