//! The engine as a job handler: what a job's end says about its page.

use async_trait::async_trait;
use atlas_engine::fetch::{Document, FetchError, FetchRequest, Fetcher, MemoryFetcher};
use atlas_engine::handler::ExtractHandler;
use atlas_engine::{Engine, types};
use atlas_jobs::{HandlerError, JobContext, JobHandler, JobManager, MemoryJobs};
use atlas_schema::{ErrorCategory, ExtractionRequest, ExtractionResult, JobRecord, Outcome, Stage};
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const PAGE: &str = "https://example.org/tea";

async fn job() -> JobRecord {
    let manager = JobManager::new(Arc::new(MemoryJobs::new(Stage::Dev))).expect("random bits");
    let request = ExtractionRequest::new(PAGE, types::by_name("recipe").expect("built in"));
    let spec = ExtractHandler::job(&request).expect("a job");
    let id = manager.enqueue(spec).await.expect("enqueued").id();
    manager.get(id).await.expect("read").expect("there")
}

async fn run(fetcher: impl Fetcher, cancel: CancellationToken) -> Result<ExtractionResult, HandlerError> {
    let engine = Engine::builder().fetcher(Arc::new(fetcher)).build().expect("an engine");
    let value = ExtractHandler::new(engine).run(JobContext::new(job().await, cancel)).await?;
    Ok(serde_json::from_value(value).expect("a result"))
}

fn page(html: &'static str) -> MemoryFetcher {
    MemoryFetcher::new().with_page(PAGE.parse().expect("an address"), html)
}

#[tokio::test]
async fn a_page_with_data_completes_with_the_result() {
    let html = r#"<script type="application/ld+json">{"@type": "Recipe", "name": "Tea"}</script>"#;
    let result = run(page(html), CancellationToken::new()).await.expect("a result");
    assert_eq!(result.data[0]["title"], "Tea");
}

#[tokio::test]
async fn a_page_without_data_completes_as_empty_not_as_success() {
    let result = run(page("<p>nothing to see</p>"), CancellationToken::new()).await.expect("a result");
    assert_eq!((result.success, result.outcome), (false, Some(Outcome::Empty)));
}

#[tokio::test]
async fn a_missing_page_fails_for_good_with_its_category() {
    let error = run(MemoryFetcher::new(), CancellationToken::new()).await.expect_err("no page");
    assert_eq!(error.error().category, ErrorCategory::NotFound);
    assert_eq!(error.after(), atlas_jobs::AfterError::Fail);
}

/// A server that takes the request and never answers.
#[derive(Debug)]
struct Silent(Arc<Notify>);

#[async_trait]
impl Fetcher for Silent {
    async fn fetch(&self, _: &FetchRequest) -> Result<Document, FetchError> {
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_cancel_is_honoured_while_the_page_is_awaited() {
    let (begun, cancel) = (Arc::new(Notify::new()), CancellationToken::new());
    let running = tokio::spawn(run(Silent(begun.clone()), cancel.clone()));
    begun.notified().await;
    cancel.cancel();
    let error = running.await.expect("no panic").expect_err("stopped");
    assert_eq!(error.error().category, ErrorCategory::Cancelled);
}
