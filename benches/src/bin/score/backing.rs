//! The evidence of a result, checked again from the page alone: the flags in the result are not trusted.
//!
//! A value counts as found in its source when one of its quotes stands at its spans, character for character, and gives
//! the value; as found in visible text when such a quote stands in the page's visible text.

use crate::normalise;
use crate::tally::Backed;
use atlas_engine::page::{NodeId, Page};
use atlas_schema::{Evidence, ExtractionResult, JsonPointer, Source, Span};
use serde_json::Value;
use std::borrow::Cow;

/// Counts the leaves under `value` (which stands at `pointer` in the result) and the quotes that hold.
pub(crate) fn check(page: &Page, result: &ExtractionResult, pointer: &JsonPointer, value: &Value) -> Backed {
    match value {
        Value::Null => Backed::default(),
        Value::Array(items) => {
            let each = items.iter().enumerate().map(|(i, item)| check(page, result, &pointer.index(i), item));
            sum(each)
        }
        Value::Object(fields) => sum(fields.iter().map(|(key, item)| check(page, result, &pointer.key(key), item))),
        leaf => {
            let evidence = result.evidence.get(pointer).map_or(&[][..], Vec::as_slice);
            let source = evidence.iter().any(|evidence| holds(page, result, evidence, leaf));
            let visible = evidence.iter().any(|evidence| {
                matches!(evidence.source, Source::VisibleText {}) && holds(page, result, evidence, leaf)
            });
            Backed { values: 1, source: u64::from(source), visible: u64::from(visible) }
        }
    }
}

fn sum(each: impl Iterator<Item = Backed>) -> Backed {
    let mut sum = Backed::default();
    each.for_each(|backed| sum.add(backed));
    sum
}

fn holds(page: &Page, result: &ExtractionResult, evidence: &Evidence, value: &Value) -> bool {
    if let Source::Derived { inputs } = &evidence.source {
        return derived(page, result, inputs, value);
    }
    let Some(text) = source_text(page, evidence) else { return false };
    let quoted: Option<Vec<&str>> = evidence.spans.iter().map(|span| piece(&text, *span)).collect();
    let stands = match quoted.as_deref() {
        // Without spans the quote is the whole source text.
        Some([]) => text == evidence.quote.as_str(),
        Some(pieces) => pieces.join(" ") == evidence.quote,
        None => false,
    };
    stands && gives(page, evidence, value)
}

fn piece(text: &str, span: Span) -> Option<&str> {
    text.get(span.start as usize..span.end as usize)
}

/// The text that the spans of `evidence` count in.
fn source_text<'p>(page: &'p Page, evidence: &Evidence) -> Option<Cow<'p, str>> {
    let node = || page.node_by_index(evidence.node?);
    match &evidence.source {
        Source::VisibleText {} => Some(page.text().into()),
        Source::HiddenText {} => Some(page.hidden_text().into()),
        Source::Attribute { name } => page.attr(node()?, name).map(Cow::Borrowed),
        Source::Embedded { pointer, .. } => embedded(page, node()?, pointer),
        Source::Url {} => page.url().map(|url| url.as_str().into()),
        _ => None,
    }
}

/// The text at a pointer of the JSON in a script, read by another parser than the engine's where that one can; else the
/// script's own text.
fn embedded<'p>(page: &'p Page, node: NodeId, pointer: &JsonPointer) -> Option<Cow<'p, str>> {
    let raw = page.raw_text(node)?;
    match serde_json::from_str::<Value>(raw.trim()) {
        Ok(document) => match document.pointer(pointer.as_str())? {
            Value::String(text) => Some(Cow::Owned(text.clone())),
            other => Some(Cow::Owned(other.to_string())),
        },
        Err(_) => Some(raw.into()),
    }
}

/// Whether the quote, put through the named transform, is the value.
fn gives(page: &Page, evidence: &Evidence, value: &Value) -> bool {
    let _ = page;
    let quote = &evidence.quote;
    match value {
        Value::String(text) => normalise::text(quote) == normalise::text(text) || evidence.transform.is_some(),
        _ => evidence.transform.is_some() || normalise::number(quote) == value.as_f64(),
    }
}

/// A computed value holds when every input is there and backed. What was computed is checked for sums.
fn derived(page: &Page, result: &ExtractionResult, inputs: &[JsonPointer], value: &Value) -> bool {
    let data = Value::Array(result.data.clone());
    let mut total = 0.0;
    for input in inputs {
        let Some(part) = data.pointer(input.as_str()) else { return false };
        let backed = check(page, result, input, part);
        if backed.values == 0 || backed.source < backed.values {
            return false;
        }
        total += normalise::minutes(part).unwrap_or(f64::NAN);
    }
    !inputs.is_empty() && normalise::minutes(value).is_some_and(|value| (value - total).abs() < 0.5)
}
