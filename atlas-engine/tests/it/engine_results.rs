//! What the engine promises of its results; regressions of the original by name.

use crate::support::{URL, assert_proven, extract, json_ld, page};
use async_trait::async_trait;
use atlas_engine::strategy::{Draft, DraftRecord, Fit, Strategy, StrategyError, Task};
use atlas_engine::{Engine, EngineError, types};
use atlas_schema::{
    AttemptOutcome, ErrorCategory, Evidence, ExtractionRequest, JsonPointer, Outcome, Source, Span, StrategyName,
    Verified,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn named() -> Value {
    json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] })
}

/// A strategy that claims `data` with one quote, or fails.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    score: u8,
    draft: Result<(Value, &'static str), ErrorCategory>,
}

#[async_trait]
impl Strategy for Scripted {
    fn name(&self) -> StrategyName {
        StrategyName::new(self.name).unwrap()
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(self.score, "scripted")
    }
    async fn extract(&self, task: &Task<'_>) -> Result<Draft, StrategyError> {
        let (data, quote) = self.draft.clone().map_err(|category| StrategyError::new(category, "scripted failure"))?;
        let start = task.reading.page().text().find(quote).unwrap_or(0);
        let span = Span { start: u32::try_from(start).unwrap(), end: u32::try_from(start + quote.len()).unwrap() };
        let piece = Evidence {
            source: Source::VisibleText {},
            document: 0,
            node: None,
            spans: vec![span],
            quote: quote.into(),
            transform: None,
            verified: Verified { source: true, visible: true },
        };
        let mut draft = Draft::default();
        draft.records.push(DraftRecord { data, evidence: vec![(JsonPointer::root().key("name"), piece)] });
        Ok(draft)
    }
}

fn engine(strategies: Vec<Scripted>) -> Engine {
    let builder = Engine::builder().without_builtin();
    strategies.into_iter().fold(builder, |builder, strategy| builder.strategy(Arc::new(strategy))).build().unwrap()
}

#[tokio::test]
async fn a_page_without_such_data_is_empty_and_never_a_block_dump() {
    let schema = json!({ "title": "Product", "type": "object", "required": ["price"],
        "properties": { "price": { "type": "number" } } });
    let html = "<main><div>A long block of text that the original would have returned as data.</div></main>";
    let result = extract(html, schema).await;
    assert!(!result.success && result.data.is_empty() && result.error.is_some());
    assert_eq!((result.outcome, result.strategy), (Some(Outcome::Empty), None));
    assert_eq!(result.attempts[0].outcome, AttemptOutcome::Empty);
}

#[tokio::test]
async fn words_of_the_request_never_become_data() {
    let mut request = ExtractionRequest::new(URL, named());
    request.instructions = Some("list every department of the university".into());
    let result = Engine::default().extract_page(&page("<p>nothing here"), &request).await.unwrap();
    assert!(!result.success && result.data.is_empty());
}

#[tokio::test]
async fn a_value_that_is_not_on_the_page_is_dropped_whoever_claims_it() {
    let invented = Scripted { name: "liar", score: 50, draft: Ok((json!({ "name": "Invented" }), "Real")) };
    let result = engine(vec![invented])
        .extract_page(&page("<p>Real text"), &ExtractionRequest::new(URL, named()))
        .await
        .unwrap();
    assert!(!result.success && result.data.is_empty());
    assert!(result.warnings.iter().any(|warning| warning.code == "value_dropped_unverified"));
    assert!(!format!("{:?}", result.warnings).contains("Invented"));
}

#[tokio::test]
async fn the_result_names_the_strategy_that_ran_and_a_fallback_shows() {
    let failing = Scripted { name: "first", score: 90, draft: Err(ErrorCategory::Network) };
    let working = Scripted { name: "second", score: 50, draft: Ok((json!({ "name": "Real" }), "Real")) };
    let unused = Scripted { name: "third", score: 10, draft: Err(ErrorCategory::Internal) };
    let engine = engine(vec![unused, working, failing]);
    let result = engine.extract_page(&page("<p>Real text"), &ExtractionRequest::new(URL, named())).await.unwrap();
    assert_eq!(result.strategy.unwrap().as_str(), "second");
    let attempts: Vec<_> = result.attempts.iter().map(|attempt| (attempt.strategy.as_str(), attempt.outcome)).collect();
    assert_eq!(
        attempts,
        [("first", AttemptOutcome::Failed), ("second", AttemptOutcome::Used), ("third", AttemptOutcome::Skipped)]
    );
    assert_eq!(result.attempts[0].category, Some(ErrorCategory::Network));
    assert!(result.attempts.iter().all(|attempt| attempt.reason.is_some()));
}

#[tokio::test]
async fn every_strategy_failing_is_a_failure_and_not_an_empty_success() {
    let failing = Scripted { name: "only", score: 90, draft: Err(ErrorCategory::Timeout) };
    let result =
        engine(vec![failing]).extract_page(&page("<p>x"), &ExtractionRequest::new(URL, named())).await.unwrap();
    assert_eq!((result.success, result.outcome), (false, Some(Outcome::Failed)));
}

#[tokio::test]
async fn a_missing_required_field_makes_the_result_partial_and_says_which() {
    let schema = json!({ "title": "Recipe", "type": "object", "required": ["name", "total_time"],
        "properties": { "name": { "type": "string" }, "total_time": { "type": "integer" } } });
    let result = extract(&json_ld(r#"{"@type": "Recipe", "name": "Tea"}"#), schema).await;
    assert_eq!((result.success, result.outcome), (true, Some(Outcome::Partial)));
    assert_eq!(result.data, [json!({ "name": "Tea" })]);
    let warning = result.warnings.iter().find(|warning| warning.code == "required_missing").unwrap();
    assert_eq!(warning.pointer.as_ref().unwrap().as_str(), "/0/total_time");
}

#[tokio::test]
async fn a_value_the_schema_forbids_is_dropped_with_a_warning() {
    let schema = json!({ "title": "Recipe", "type": "object", "properties": { "name": { "type": "string" },
        "tags": { "type": "array", "items": { "type": "string", "maxLength": 4 } }, "sku": { "type": "string", "pattern": "^[0-9]+$" } } });
    let html =
        json_ld(r#"{"@type": "Recipe", "name": "Tea", "sku": "A1", "keywords": ["hot", "far too long", "cold"]}"#);
    let result = extract(&html, schema).await;
    assert_eq!(result.data, [json!({ "name": "Tea", "tags": ["hot", "cold"] })]);
    let mut dropped: Vec<_> =
        result.warnings.iter().filter_map(|warning| warning.pointer.as_ref()).map(ToString::to_string).collect();
    dropped.sort();
    assert_eq!(dropped, ["/0/sku", "/0/tags/1"]);
    assert_proven(&result);
}

#[tokio::test]
async fn fields_named_like_parts_of_a_tree_survive() {
    let html = json_ld(
        r#"{"@type": "Thing", "options": "o", "children": "c", "parent": "p", "next": "n", "prev": "v", "node": "d"}"#,
    );
    let names = ["options", "children", "parent", "next", "prev", "node"];
    let properties: serde_json::Map<String, Value> =
        names.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    let result = extract(&html, json!({ "type": "object", "properties": properties })).await;
    let record = result.data[0].as_object().unwrap();
    assert!(names.iter().all(|name| record.contains_key(*name)), "{record:?}");
}

#[tokio::test]
async fn citations_survive_a_fallback_and_the_way_through_json() {
    let failing = Scripted { name: "first", score: 90, draft: Err(ErrorCategory::Network) };
    let partial = Scripted { name: "second", score: 50, draft: Ok((json!({ "name": "Real" }), "Real")) };
    let schema = json!({ "type": "object", "required": ["name", "bio"],
        "properties": { "name": { "type": "string" }, "bio": { "type": "string" } } });
    let request = ExtractionRequest::new(URL, schema);
    let result = engine(vec![failing, partial]).extract_page(&page("<p>So Real text"), &request).await.unwrap();
    assert_proven(&result);
    let text = serde_json::to_string(&result).unwrap();
    let again: atlas_schema::ExtractionResult = serde_json::from_str(&text).unwrap();
    assert_eq!(again, result);
    assert_eq!(again.evidence[&JsonPointer::parse("/0/name").unwrap()][0].spans, [Span { start: 3, end: 7 }]);
}

#[tokio::test]
async fn evidence_moves_with_its_entry_when_one_before_it_is_dropped() {
    let schema = json!({ "title": "Recipe", "type": "object",
        "properties": { "tags": { "type": "array", "items": { "type": "string", "maxLength": 5 } } } });
    let result = extract(
        &json_ld(r#"{"@type": "Recipe", "keywords": ["far too long", "hot", "much too long", "cold"]}"#),
        schema,
    )
    .await;
    assert_eq!(result.data, [json!({ "tags": ["hot", "cold"] })]);
    for (at, tag) in ["hot", "cold"].into_iter().enumerate() {
        assert_eq!(result.evidence[&JsonPointer::parse(&format!("/0/tags/{at}")).unwrap()][0].quote, tag);
    }
    assert_proven(&result);
}

#[tokio::test]
async fn the_whole_page_is_never_the_evidence_of_a_value() {
    let html = "<html><body><main><dl><dt>Name<dd>Tea</dl><table><tr><th>Weight<td>3 kg</table></main></body></html>";
    let schema =
        json!({ "type": "object", "properties": { "name": { "type": "string" }, "weight": { "type": "string" } } });
    let page = page(html);
    let result = Engine::default().extract_page(&page, &ExtractionRequest::new(URL, schema)).await.unwrap();
    assert!(result.success);
    for piece in result.evidence.values().flatten() {
        let tag = piece.node.and_then(|node| page.node_by_index(node)).and_then(|node| page.tag(node));
        assert!(!matches!(tag, Some("html" | "body" | "main")), "{piece:?}");
        assert!(piece.quote.len() < page.text().len());
    }
}

#[tokio::test]
async fn evidence_points_at_the_innermost_node() {
    let html = r#"<html><body><div><div itemscope itemtype="https://schema.org/Recipe"><p><b itemprop="name">Tea</b></p></div></div>"#;
    let page = page(html);
    let request = ExtractionRequest::new(URL, types::by_name("recipe").unwrap());
    let result = Engine::default().extract_page(&page, &request).await.unwrap();
    let piece = &result.evidence[&JsonPointer::parse("/0/title").unwrap()][0];
    let node = page.node_by_index(piece.node.unwrap()).unwrap();
    assert_eq!(page.tag(node), Some("b"));
    assert_eq!(&page.text()[piece.spans[0].start as usize..piece.spans[0].end as usize], "Tea");
}

#[tokio::test]
async fn an_unknown_strategy_is_an_error_and_never_replaced() {
    let mut request = ExtractionRequest::new(URL, named());
    request.strategy = Some(StrategyName::new("telepathy").unwrap());
    let error = Engine::default().extract_page(&page("<p>x"), &request).await.unwrap_err();
    assert!(matches!(&error, EngineError::UnknownStrategy { known } if known.len() == 1));
    assert_eq!(error.category(), ErrorCategory::InvalidInput);
}

#[tokio::test]
async fn a_bad_schema_is_refused_before_anything_is_fetched() {
    let request = ExtractionRequest::new("https://unreachable.invalid/", json!({ "type": "string" }));
    assert!(matches!(Engine::default().extract(&request).await, Err(EngineError::Schema(_))));
    let mut request = ExtractionRequest::new("https://unreachable.invalid/", named());
    assert!(matches!(Engine::default().extract(&request).await, Err(EngineError::NoFetcher)));
    request.schema = None;
    assert!(matches!(Engine::default().extract(&request).await, Err(EngineError::NoSchema)));
}

#[tokio::test]
async fn typed_values_come_with_their_result() {
    let html = json_ld(
        r#"{"@type": "Recipe", "name": "Tea", "recipeIngredient": ["leaves"], "recipeYield": ["2", "2 cups"]}"#,
    );
    let typed = Engine::default().extract_page_as::<types::Recipe>(&page(&html)).await.unwrap();
    assert_eq!(typed.first().unwrap().title, "Tea");
    assert_eq!(typed.first().unwrap().ingredients, ["leaves"]);
    assert_eq!(typed.result.data.len(), 1);
}

#[test]
fn two_strategies_of_one_name_are_refused() {
    let one = Scripted { name: "direct", score: 1, draft: Err(ErrorCategory::Internal) };
    assert!(matches!(Engine::builder().strategy(Arc::new(one)).build(), Err(EngineError::DuplicateStrategy { .. })));
}

#[test]
fn every_builtin_schema_compiles() {
    for name in types::NAMES {
        assert!(atlas_engine::shape::Shape::compile(&types::by_name(name).unwrap()).is_ok(), "{name}");
    }
    assert!(types::by_name("Recipe").is_none());
}

#[tokio::test]
async fn a_warning_about_a_place_too_long_for_a_pointer_points_at_what_holds_it() {
    let long = "n".repeat(1100);
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" },
        "more": { "type": "object", "additionalProperties": { "type": "string" } } } });
    let claimed = json!({ "name": "Real", "more": { (long.as_str()): "Real" } });
    let scripted = Scripted { name: "scripted", score: 50, draft: Ok((claimed, "Real")) };
    let result = engine(vec![scripted])
        .extract_page(&page("<p>Real text"), &ExtractionRequest::new(URL, schema.clone()))
        .await
        .unwrap();
    assert_eq!(result.data, [json!({ "name": "Real" })]);
    let pointers: Vec<_> = result.warnings.iter().map(|warning| warning.pointer.as_ref().unwrap().as_str()).collect();
    assert_eq!(pointers, ["/0/more"]);
}

#[tokio::test]
async fn a_value_whose_place_is_too_long_for_a_pointer_is_left_out_since_its_evidence_could_not_be_found() {
    let long = "n".repeat(1023);
    let schema = json!({ "title": "Recipe", "type": "object", "properties": { "name": { "type": "string" } },
        "additionalProperties": { "type": "string" } });
    let html = json_ld(&format!(r#"{{"@type": "Recipe", "name": "Tea", "{long}": "Real", "color": "green"}}"#));
    let result = extract(&html, schema).await;
    assert_eq!(result.data, [json!({ "name": "Tea", "color": "green" })]);
    assert_proven(&result);
    assert_eq!(result.warnings[0].pointer.as_ref().unwrap().as_str(), "/0");
}
