//! The mocked strategy that hosts use in their own tests.

use crate::support::{URL, page};
use atlas_engine::Engine;
use atlas_engine::strategy::{Draft, Fit, MockStrategy, StrategyError};
use atlas_schema::{AttemptOutcome, ErrorCategory, ExtractionRequest, StrategyName};
use serde_json::json;
use std::sync::Arc;

#[tokio::test]
async fn a_host_says_what_its_mock_finds_and_how_often() {
    let mut mock = MockStrategy::new();
    mock.expect_name().returning(|| StrategyName::new("mocked").unwrap());
    mock.expect_fit().returning(|_| Fit::suits(90, "scripted"));
    mock.expect_extract().times(1).returning(|task| {
        assert_eq!(task.reading.page().text(), "Tea");
        Err(StrategyError::new(ErrorCategory::RateLimit, "try again later"))
    });
    mock.expect_extract().times(1).returning(|_| Ok(Draft::default()));
    let engine = Engine::builder().without_builtin().strategy(Arc::new(mock)).build().unwrap();
    let request = ExtractionRequest::new(URL, json!({ "type": "object", "properties": {} }));
    let first = engine.extract_page(&page("<p>Tea"), &request).await.unwrap();
    assert_eq!(first.attempts[0].category, Some(ErrorCategory::RateLimit));
    let second = engine.extract_page(&page("<p>Tea"), &request).await.unwrap();
    assert_eq!(second.attempts[0].outcome, AttemptOutcome::Empty);
}
