//! No altered quote, place or value passes the check of evidence.

use crate::support::{URL, page};
use async_trait::async_trait;
use atlas_engine::evidence::Reading;
use atlas_engine::page::Page;
use atlas_engine::strategy::{Draft, DraftRecord, Fit, Strategy as Finder, StrategyError, Task};
use atlas_engine::{Engine, types};
use atlas_schema::{Evidence, ExtractionRequest, ExtractionResult, JsonPointer, Source, Span, StrategyName, Verified};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

const HTML: &str = r#"<html lang=en><title>Tea</title><meta property="og:image" content="https://example.com/tea.jpg">
    <script type="application/ld+json">{"@type": "Recipe", "name": "Green tea", "prepTime": "PT5M", "cookTime": "PT1H",
    "recipeIngredient": ["1 bag", "2 cups of water"], "recipeYield": "4 servings"}</script>
    <h1>Green tea</h1><p>4 servings. <i>1 bag</i>, 2 cups of water.
    <div itemscope itemtype="https://schema.org/Recipe"><b itemprop=name>Green tea</b><time itemprop=prepTime datetime=PT5M>5 min</time></div>"#;

static PAGE: LazyLock<Page> = LazyLock::new(|| page(HTML));
static RESULT: LazyLock<ExtractionResult> = LazyLock::new(|| {
    let request = ExtractionRequest::new(URL, types::by_name("recipe").unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Engine::default().extract_page(&PAGE, &request)).unwrap()
});

/// Every piece of evidence that names a place of the page, with its value.
fn pieces() -> Vec<(Value, Evidence)> {
    let data = Value::Array(RESULT.data.clone());
    let all = RESULT.evidence.iter().flat_map(|(pointer, pieces)| pieces.iter().map(move |piece| (pointer, piece)));
    all.filter(|(_, piece)| !matches!(piece.source, Source::Derived { .. }))
        .map(|(pointer, piece)| (data.pointer(pointer.as_str()).unwrap().clone(), piece.clone()))
        .collect()
}

#[test]
fn the_evidence_of_a_result_passes_its_own_check() {
    assert!(pieces().len() > 6);
    let reading = Reading::new(&PAGE);
    for (value, piece) in pieces() {
        assert!(reading.check(&piece, &value).source, "{piece:?}");
    }
}

#[derive(Debug)]
struct Claims(Evidence);

#[async_trait]
impl Finder for Claims {
    fn name(&self) -> StrategyName {
        StrategyName::new("claims").unwrap()
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(50, "scripted")
    }
    async fn extract(&self, _: &Task<'_>) -> Result<Draft, StrategyError> {
        let mut draft = Draft::default();
        let data = json!({ "name": self.0.quote });
        draft.records.push(DraftRecord { data, evidence: vec![(JsonPointer::root().key("name"), self.0.clone())] });
        Ok(draft)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_quote_never_passes(pick in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), with in "[a-zA-Z0-9 é]{0,3}") {
        let (value, mut piece) = pick.get(&pieces()).clone();
        let before = piece.quote.clone();
        let chars: Vec<char> = before.chars().collect();
        let at = at.index(chars.len());
        piece.quote = chars.iter().take(at).copied().chain(with.chars()).chain(chars.iter().skip(at + 1).copied()).collect();
        prop_assume!(piece.quote != before);
        let reading = Reading::new(&PAGE);
        prop_assert_eq!(reading.check(&piece, &value), Verified::default());
        // Nor with the value the altered quote would give.
        prop_assert_eq!(reading.check(&piece, &Value::String(piece.quote.clone())), Verified::default());
    }

    #[test]
    fn another_value_never_passes(pick in any::<prop::sample::Index>(), other in "[a-z]{1,4}", number in any::<i64>()) {
        let (value, piece) = pick.get(&pieces()).clone();
        let reading = Reading::new(&PAGE);
        for other in [json!(other), json!(number), json!(null), json!([value.clone()])] {
            prop_assume!(other != value);
            prop_assert!(!reading.check(&piece, &other).source);
        }
    }

    #[test]
    fn a_moved_span_passes_only_where_the_same_text_stands(pick in any::<prop::sample::Index>(), start in 0_u32..200, length in 0_u32..40) {
        let (value, mut piece) = pick.get(&pieces()).clone();
        piece.spans = vec![Span { start, end: start.saturating_add(length) }];
        let reading = Reading::new(&PAGE);
        if reading.check(&piece, &value).source {
            prop_assert_eq!(piece.quote.len(), length as usize);
            let text = match &piece.source {
                Source::VisibleText {} => Some(PAGE.text()),
                Source::HiddenText {} => Some(PAGE.hidden_text()),
                _ => None,
            };
            if let Some(text) = text {
                prop_assert_eq!(text.get(start as usize..(start + length) as usize), Some(piece.quote.as_str()));
            }
        }
    }

    #[test]
    fn a_result_holds_a_claim_only_if_its_quote_stands_at_its_place(start in 0_usize..60, length in 0_usize..20, quote in "(Green tea|1 bag|4 servings|5 min|[A-Za-z ]{1,6})") {
        let span = Span { start: u32::try_from(start).unwrap(), end: u32::try_from(start + length).unwrap() };
        let verified = Verified { source: true, visible: true };
        let piece = Evidence { source: Source::VisibleText {}, document: 0, node: None, spans: vec![span], quote: quote.clone(), transform: None, verified };
        let engine = Engine::builder().without_builtin().strategy(Arc::new(Claims(piece))).build().unwrap();
        let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(engine.extract_page(&PAGE, &ExtractionRequest::new(URL, schema))).unwrap();
        let stands = PAGE.text().get(start..start + length) == Some(quote.as_str());
        prop_assert_eq!(result.success, stands);
    }
}
