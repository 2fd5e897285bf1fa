//! Shared by the tests of the engine.

use atlas_engine::page::{Page, ParseOptions};
use atlas_engine::{Engine, types};
use atlas_schema::{Evidence, ExtractionRequest, ExtractionResult, JsonPointer, Source};
use serde_json::Value;

pub(crate) const URL: &str = "https://example.com/things/one";

pub(crate) fn page(html: &str) -> Page {
    Page::from_html(html, &ParseOptions::default().with_url(URL.parse().unwrap())).unwrap()
}

pub(crate) async fn extract(html: &str, schema: Value) -> ExtractionResult {
    Engine::default().extract_page(&page(html), &ExtractionRequest::new(URL, schema)).await.unwrap()
}

pub(crate) async fn recipe(html: &str) -> ExtractionResult {
    extract(html, types::by_name("recipe").unwrap()).await
}

/// A page whose only data is one JSON-LD script.
pub(crate) fn json_ld(script: &str) -> String {
    format!("<!doctype html><title>Page</title><script type='application/ld+json'>{script}</script><p>Text.</p>")
}

pub(crate) fn evidence<'a>(result: &'a ExtractionResult, pointer: &str) -> &'a [Evidence] {
    result.evidence.get(&JsonPointer::parse(pointer).unwrap()).map_or(&[], Vec::as_slice)
}

/// Every leaf of the data is proven, and nothing else has evidence.
pub(crate) fn assert_proven(result: &ExtractionResult) {
    fn leaves(value: &Value, at: JsonPointer, all: &mut Vec<JsonPointer>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, inner)| leaves(inner, at.key(key), all)),
            Value::Array(list) => {
                list.iter().enumerate().for_each(|(index, inner)| leaves(inner, at.index(index), all));
            }
            _ => all.push(at),
        }
    }
    let mut all = Vec::new();
    for (index, record) in result.data.iter().enumerate() {
        leaves(record, JsonPointer::root().index(index), &mut all);
    }
    all.sort();
    assert_eq!(all, result.evidence.keys().cloned().collect::<Vec<_>>());
    for pieces in result.evidence.values() {
        assert!(pieces.iter().enumerate().all(|(at, piece)| !pieces[..at].contains(piece)), "twice: {pieces:?}");
    }
    for piece in result.evidence.values().flatten() {
        assert!(piece.verified.source, "{piece:?}");
        assert!(!piece.quote.is_empty() || matches!(piece.source, Source::Derived { .. }), "{piece:?}");
    }
}
