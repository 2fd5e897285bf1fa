//! Candidates: texts that may give a value, and reading them with evidence.

use super::Mapper;
use crate::evidence::{MAX_QUOTE, quotable};
use crate::facts::{ItemId, Leaf, Value as Fact};
use crate::shape::{Kind, NodeRef};
use crate::transform::{CHOICE, Transform, is_choice};
use atlas_schema::{Evidence, Verified, Warning};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// Candidates looked at for one value.
pub(super) const MAX_CANDIDATES: usize = 24;

/// What one value costs, in steps.
const STEPS_A_VALUE: usize = 200;

/// A text that may give a value: a leaf, or a part of it.
pub(super) struct Candidate<'a> {
    pub(super) leaf: Cow<'a, Leaf>,
    pub(super) range: Option<Range<usize>>,
}

impl<'a> Candidate<'a> {
    /// All of a leaf of the page's facts.
    pub(super) const fn whole(leaf: &'a Leaf) -> Self {
        Self { leaf: Cow::Borrowed(leaf), range: None }
    }

    /// All of a leaf made for the purpose.
    pub(super) const fn shown(leaf: Leaf) -> Self {
        Self { leaf: Cow::Owned(leaf), range: None }
    }
}

impl<'a> Mapper<'a> {
    /// The values at the end of a property path. A thing that several references lead to is on the way once.
    pub(super) fn follow(&self, id: ItemId, path: &[String]) -> Vec<&'a Fact> {
        let facts = self.facts();
        let Some((last, before)) = path.split_last() else { return Vec::new() };
        let mut items = vec![id];
        for name in before {
            let mut seen = HashSet::new();
            let inner = items.iter().flat_map(|id| self.values(*id, name)).filter_map(|value| match value {
                Fact::Item(inner) => Some(*inner),
                Fact::Leaf(_) => None,
            });
            items = inner.filter(|inner| seen.insert(facts.identity(*inner))).collect();
        }
        items.iter().flat_map(|id| self.values(*id, last)).collect()
    }

    /// The values of a property.
    fn values(&self, id: ItemId, wanted: &str) -> impl Iterator<Item = &'a Fact> {
        let properties = self.effort.each(self.facts().properties(id));
        properties.filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
    }

    /// The texts that stand for a value where one text is wanted: an item's name, address or amount.
    pub(super) fn leaves_of(&self, fact: &'a Fact, transform: Transform, out: &mut Vec<Candidate<'a>>) {
        self.leaves_below(fact, transform, out, &mut HashSet::new(), 0);
    }

    /// What was `seen` before is not entered again: references may form cycles.
    fn leaves_below(
        &self,
        fact: &'a Fact,
        transform: Transform,
        out: &mut Vec<Candidate<'a>>,
        seen: &mut HashSet<ItemId>,
        depth: usize,
    ) {
        let id = match fact {
            Fact::Leaf(leaf) => return out.push(Candidate { leaf: std::borrow::Cow::Borrowed(leaf), range: None }),
            Fact::Item(id) => *id,
        };
        if depth > 2 || out.len() >= MAX_CANDIDATES || !seen.insert(self.facts().identity(id)) {
            return;
        }
        let names: &[&str] = match transform {
            Transform::Url => &["url", "contentUrl"],
            Transform::Amount | Transform::AmountText | Transform::Number | Transform::Integer => {
                &["value", "price", "amount", "ratingValue", "name"]
            }
            Transform::Minutes | Transform::Seconds | Transform::Duration => &["maxValue", "value"],
            _ => &["name", "text", "value", "streetAddress", "url"],
        };
        for name in names {
            for value in self.values(id, name) {
                self.leaves_below(value, transform, out, seen, depth + 1);
            }
        }
    }

    /// A candidate as a value of `node`, with its evidence.
    pub(super) fn read(
        &mut self,
        candidate: &Candidate<'_>,
        node: NodeRef,
        transform: Transform,
    ) -> Option<(Value, Evidence)> {
        let page = self.reading.page();
        let facts = self.facts();
        let leaf = &*candidate.leaf;
        let whole = facts.text(page, leaf);
        let base = candidate.range.clone().unwrap_or(0..whole.len());
        let text = whole.get(base.clone())?;
        // Reading, proving and storing a value takes far longer than finding it.
        if !self.effort.spend(STEPS_A_VALUE + text.len() / 8) {
            return None;
        }
        let shape = self.shape;
        let node = shape.node(node);
        let (mut value, range) = transform.read(text, self.reading.locale())?;
        if matches!(node.kind, Kind::Text { .. }) && !value.is_string() {
            value = Value::String(value.to_string());
        }
        // A length of time of nothing is how templates say that nobody entered one.
        if transform == Transform::Minutes && value.as_u64() == Some(0) {
            return None;
        }
        let mut chosen = false;
        if let Some(allowed) = node.allowed.as_ref().filter(|allowed| !allowed.contains(&value)) {
            let quote = text.get(range.clone())?;
            value = allowed.iter().find(|choice| is_choice(choice, quote)).cloned()?;
            chosen = true;
        }
        let range = base.start + range.start..base.start + range.end;
        let quote = whole.get(range.clone())?;
        if !quotable(quote) {
            self.warnings.push(Warning {
                code: "value_too_long".into(),
                pointer: None,
                message: format!("a value of over {MAX_QUOTE} characters was left out: it cannot be quoted"),
            });
            return None;
        }
        let (source, node, spans) = facts.locate(page, leaf, &range);
        let plain = value.as_str() == Some(quote);
        let evidence = Evidence {
            source,
            document: 0,
            node: Some(node.index()),
            spans,
            quote: quote.to_owned(),
            transform: (!plain).then(|| if chosen { CHOICE } else { transform.name() }.to_owned()),
            verified: Verified::default(),
        };
        Some((value, evidence))
    }

    pub(super) fn part<'c>(&'c self, candidate: &'c Candidate<'a>) -> &'c str {
        let text = self.reading.facts().text(self.reading.page(), &candidate.leaf);
        candidate.range.clone().map_or(text, |range| text.get(range).unwrap_or(""))
    }

    pub(super) fn text_len(&self, candidate: &Candidate<'a>) -> usize {
        self.reading.facts().text(self.reading.page(), &candidate.leaf).len()
    }
}
