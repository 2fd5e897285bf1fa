//! Limits of a request, and what a result says of the page. Time is tokio's, paused: nothing here sleeps.

use crate::support::{URL, extract, json_ld, page};
use async_trait::async_trait;
use atlas_engine::fetch::{Document, FetchError, FetchRequest, Fetcher, MemoryFetcher};
use atlas_engine::strategy::{Draft, Fit, Strategy, StrategyError, Task};
use atlas_engine::{Engine, EngineError, types};
use atlas_schema::{AttemptOutcome, ErrorCategory, ExtractionRequest, Outcome, StrategyName};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A fetcher and strategy that waits for what never comes.
#[derive(Debug)]
struct Stuck(u8);

#[async_trait]
impl Fetcher for Stuck {
    async fn fetch(&self, _: &FetchRequest) -> Result<Document, FetchError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Strategy for Stuck {
    fn name(&self) -> StrategyName {
        StrategyName::new("stuck").unwrap()
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(self.0, "never ends")
    }
    async fn extract(&self, _: &Task<'_>) -> Result<Draft, StrategyError> {
        std::future::pending().await
    }
}

fn request(required: &[&str]) -> ExtractionRequest {
    let schema = json!({ "title": "Recipe", "type": "object", "required": required,
        "properties": { "name": { "type": "string" }, "total_time": { "type": "integer" } } });
    let mut request = ExtractionRequest::new(URL, schema);
    request.timeout_ms = 2000;
    request
}

fn tea() -> String {
    json_ld(r#"{"@type": "Recipe", "name": "Tea"}"#)
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_never_ends_is_cut_off_when_the_time_is_up() {
    let engine = Engine::builder().fetcher(Arc::new(Stuck(0))).build().unwrap();
    let started = Instant::now();
    let error = engine.extract(&request(&[])).await.unwrap_err();
    assert!(matches!(error, EngineError::Timeout));
    assert_eq!(error.category(), ErrorCategory::Timeout);
    assert!((2000..2010).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn strategies_share_one_time_limit_and_nothing_found_is_a_timeout() {
    let engine = Engine::builder().without_builtin().strategy(Arc::new(Stuck(50))).build().unwrap();
    let started = Instant::now();
    let error = engine.extract_page(&page(&tea()), &request(&[])).await.unwrap_err();
    assert!(matches!(error, EngineError::Timeout));
    assert!(started.elapsed() < Duration::from_millis(2010));
}

#[tokio::test(start_paused = true)]
async fn what_was_found_before_the_time_ran_out_is_kept_and_says_so() {
    let fetcher = MemoryFetcher::new().with_page(URL.parse().unwrap(), tea());
    let engine = Engine::builder().fetcher(Arc::new(fetcher)).strategy(Arc::new(Stuck(1))).build().unwrap();
    let result = engine.extract(&request(&["total_time"])).await.unwrap();
    assert_eq!((result.success, result.outcome), (true, Some(Outcome::Partial)));
    assert_eq!(result.data, [json!({ "name": "Tea" })]);
    assert_eq!(result.attempts[1].outcome, AttemptOutcome::Failed);
    assert_eq!(result.attempts[1].category, Some(ErrorCategory::Timeout));
    assert!(result.warnings.iter().any(|warning| warning.code == "time_ran_out"));
}

/// Finds nothing, and takes longer than allowed without being stopped.
#[derive(Debug)]
struct Late;

#[async_trait]
impl Strategy for Late {
    fn name(&self) -> StrategyName {
        StrategyName::new("late").unwrap()
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(100, "runs first")
    }
    async fn extract(&self, _: &Task<'_>) -> Result<Draft, StrategyError> {
        tokio::time::advance(Duration::from_secs(3)).await;
        Ok(Draft::default())
    }
}

#[tokio::test(start_paused = true)]
async fn a_strategy_is_not_started_once_the_time_is_up() {
    let engine = Engine::builder().strategy(Arc::new(Late)).build().unwrap();
    let error = engine.extract_page(&page(&tea()), &request(&[])).await.unwrap_err();
    assert!(matches!(error, EngineError::Timeout), "the built-in strategy ran after the deadline");
}

#[test]
fn a_page_in_hand_is_read_on_a_runtime_without_a_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let result = runtime.block_on(Engine::default().extract_page(&page(&tea()), &request(&[]))).unwrap();
    assert!(result.success);
}

#[tokio::test]
async fn a_fetched_page_is_named_by_the_digest_of_its_bytes() {
    let html = "<p>abc";
    let fetcher = MemoryFetcher::new().with_page(URL.parse().unwrap(), html);
    let engine = Engine::builder().fetcher(Arc::new(fetcher)).build().unwrap();
    let result = engine.extract(&request(&[])).await.unwrap();
    assert_eq!(result.pages[0].bytes, 6);
    let known = "d03862b547e5dbb21797bfcbd48bf4c474675e344b706e6445554ab6227de3a1";
    assert_eq!(result.pages[0].sha256.as_deref(), Some(known));
    // A page in hand: its bytes are the caller's.
    assert_eq!(extract(html, types::by_name("recipe").unwrap()).await.pages[0].sha256, None);
}

#[tokio::test]
async fn a_partial_record_lacks_required_fields_and_breaks_no_other_rule() {
    let schema = |least: u32| {
        json!({ "title": "Recipe", "type": "object", "required": ["total_time"], "minProperties": least,
            "properties": { "name": { "type": "string" }, "total_time": { "type": "integer" } } })
    };
    let kept = extract(&tea(), schema(1)).await;
    assert_eq!((kept.outcome, kept.data.len()), (Some(Outcome::Partial), 1));
    let dropped = extract(&tea(), schema(2)).await;
    assert_eq!((dropped.success, dropped.outcome, dropped.data), (false, Some(Outcome::Empty), Vec::<Value>::new()));
    assert!(dropped.warnings.iter().any(|warning| warning.code == "record_dropped_schema"));
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "Recipe")]
struct Timed {
    name: String,
    total_time: u32,
}

#[tokio::test]
async fn typed_values_are_the_whole_records_only() {
    let partial = Engine::default().extract_page_as::<Timed>(&page(&tea())).await.unwrap();
    assert_eq!((partial.result.outcome, partial.result.data.len()), (Some(Outcome::Partial), 1));
    assert!(partial.values.is_empty() && partial.first().is_none());
    let html = json_ld(r#"{"@type": "Recipe", "name": "Cake", "totalTime": "PT1H"}"#);
    let whole = Engine::default().extract_page_as::<Timed>(&page(&html)).await.unwrap();
    let first = whole.first().unwrap();
    assert_eq!((first.name.as_str(), first.total_time), ("Cake", 60));
}
