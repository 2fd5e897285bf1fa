//! The evidence of a result, checked again from the page: the flags in the result are not trusted.
//!
//! A value counts as found in its source when one of its quotes stands at its spans, character for character, and gives
//! the value, through the named transform if there is one. It counts as found in visible text when such a quote stands
//! there, or when the value is words (three letters or more, no address) that stand there as they are. A number or a time
//! without a quote in visible text never counts: some `4` is on every page.

use crate::normalise;
use crate::run::Extracted;
use crate::tally::Backed;
use atlas_engine::evidence::Reading;
use atlas_engine::page::NodeId;
use atlas_schema::{Evidence, JsonPointer, Source, Span};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::OnceCell;

/// Checks the values of one result.
pub(crate) struct Checker<'e> {
    extracted: &'e Extracted,
    /// For transforms, and for embedded data that only a lenient parser reads.
    reading: Reading<'e>,
    visible: OnceCell<String>,
}

impl<'e> Checker<'e> {
    pub(crate) fn new(extracted: &'e Extracted) -> Self {
        Self { extracted, reading: Reading::new(&extracted.page), visible: OnceCell::new() }
    }

    /// Counts the leaves under `value` (which stands at `pointer` in the result) and the quotes that hold.
    pub(crate) fn check(&self, pointer: &JsonPointer, value: &Value) -> Backed {
        match value {
            Value::Null => Backed::default(),
            Value::Array(items) => sum(items.iter().enumerate().map(|(i, item)| self.check(&pointer.index(i), item))),
            Value::Object(fields) => sum(fields.iter().map(|(key, item)| self.check(&pointer.key(key), item))),
            leaf => {
                let evidence = self.extracted.result.evidence.get(pointer).map_or(&[][..], Vec::as_slice);
                let holding: Vec<&Evidence> = evidence.iter().filter(|evidence| self.holds(evidence, leaf)).collect();
                let visible = holding.iter().any(|evidence| matches!(evidence.source, Source::VisibleText {}));
                let visible = visible || !holding.is_empty() && self.shows(leaf);
                Backed { values: 1, source: u64::from(!holding.is_empty()), visible: u64::from(visible) }
            }
        }
    }

    /// Whether words stand in the visible text as they are, at the edges of words.
    fn shows(&self, leaf: &Value) -> bool {
        let Some(text) = leaf.as_str().filter(|text| !text.contains("://")) else { return false };
        let words = normalise::text(text);
        if words.chars().filter(|c| c.is_alphabetic()).count() < 3 {
            return false;
        }
        let visible = self.visible.get_or_init(|| normalise::text(self.extracted.page.text()));
        let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        visible.match_indices(&words).any(|(start, _)| {
            edge(visible[..start].chars().next_back()) && edge(visible[start + words.len()..].chars().next())
        })
    }

    fn holds(&self, evidence: &Evidence, value: &Value) -> bool {
        if let Source::Derived { inputs } = &evidence.source {
            return self.derived(inputs, value);
        }
        let Some(text) = self.source_text(evidence) else { return self.reading.check(evidence, value).source };
        let quoted: Option<Vec<&str>> = evidence.spans.iter().map(|span| piece(&text, *span)).collect();
        let stands = quoted.is_some_and(|pieces| !pieces.is_empty() && pieces.join(" ") == evidence.quote);
        stands && self.gives(evidence, value)
    }

    /// Whether the quote is the value, or becomes it by the named transform.
    fn gives(&self, evidence: &Evidence, value: &Value) -> bool {
        let same = match value {
            Value::String(text) => normalise::text(&evidence.quote) == normalise::text(text),
            _ => value.as_f64().is_some_and(|number| normalise::number(&evidence.quote) == Some(number)),
        };
        same || self.reading.check(evidence, value).source
    }

    /// The text that the spans of `evidence` count in; `None` if only the engine's lenient reading knows.
    fn source_text(&self, evidence: &Evidence) -> Option<Cow<'e, str>> {
        let page = &self.extracted.page;
        let node = || page.node_by_index(evidence.node?);
        match &evidence.source {
            Source::VisibleText {} => Some(page.text().into()),
            Source::HiddenText {} => Some(page.hidden_text().into()),
            Source::Attribute { name } => page.attr(node()?, name).map(Cow::Borrowed),
            Source::Embedded { pointer, .. } => self.embedded(node()?, pointer).map(Cow::Owned),
            Source::Url {} => page.url().map(|url| url.as_str().into()),
            _ => None,
        }
    }

    /// The text at a pointer of the JSON in a script, by another parser than the engine's.
    fn embedded(&self, node: NodeId, pointer: &JsonPointer) -> Option<String> {
        let document: Value = serde_json::from_str(self.extracted.page.raw_text(node)?.trim()).ok()?;
        match document.pointer(pointer.as_str())? {
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// A computed value holds when every input is there and backed, and it is their sum.
    fn derived(&self, inputs: &[JsonPointer], value: &Value) -> bool {
        let data = Value::Array(self.extracted.result.data.clone());
        let mut total = 0.0;
        for input in inputs {
            let Some(part) = data.pointer(input.as_str()) else { return false };
            let backed = self.check(input, part);
            if backed.values == 0 || backed.source < backed.values {
                return false;
            }
            total += normalise::minutes(part).unwrap_or(f64::NAN);
        }
        !inputs.is_empty() && normalise::minutes(value).is_some_and(|value| (value - total).abs() < 0.5)
    }
}

fn sum(each: impl Iterator<Item = Backed>) -> Backed {
    let mut sum = Backed::default();
    each.for_each(|backed| sum.add(backed));
    sum
}

fn piece(text: &str, span: Span) -> Option<&str> {
    text.get(span.start as usize..span.end as usize)
}
