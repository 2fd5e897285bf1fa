//! The engine as a job handler: what a job's end says about its page.

use async_trait::async_trait;
use atlas_engine::fetch::{Document, FetchError, FetchRequest, Fetcher, MemoryFetcher};
use atlas_engine::handler::ExtractHandler;
use atlas_engine::strategy::{Draft, Fit, Strategy, StrategyError, Task};
use atlas_engine::{Engine, types};
use atlas_jobs::{AfterError, HandlerError, JobContext, JobHandler, JobManager, MemoryJobs};
use atlas_schema::{ErrorCategory, ExtractionRequest, ExtractionResult, JobRecord, Outcome, Stage, StrategyName};
use std::sync::{Arc, Barrier};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const PAGE: &str = "https://example.org/tea";

async fn job() -> JobRecord {
    job_of(&ExtractionRequest::new(PAGE, types::by_name("recipe").expect("built in"))).await
}

async fn job_of(request: &ExtractionRequest) -> JobRecord {
    let manager = JobManager::new(Arc::new(MemoryJobs::new(Stage::Dev))).expect("random bits");
    let spec = ExtractHandler::job(request).expect("a job");
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
    assert_eq!(error.after(), AfterError::Fail);
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

/// A strategy that works without waiting, until it is told to stop.
#[derive(Debug)]
struct Busy(Arc<Notify>);

#[async_trait]
impl Strategy for Busy {
    fn name(&self) -> StrategyName {
        StrategyName::new("busy").expect("a name")
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(100, "always")
    }
    async fn extract(&self, task: &Task<'_>) -> Result<Draft, StrategyError> {
        self.0.notify_one();
        // The bound only keeps a failing test from running for ever.
        let mut looks = 0_u64;
        while !task.should_stop() && looks < 500_000_000 {
            looks += 1;
        }
        assert!(task.should_stop(), "nobody said stop");
        Ok(Draft::default())
    }
}

/// On a runtime of one thread, which a handler that works on it would keep from everything else.
#[tokio::test]
async fn a_cancel_ends_work_that_does_not_wait() {
    let (begun, cancel) = (Arc::new(Notify::new()), CancellationToken::new());
    let engine = Engine::builder().fetcher(Arc::new(page("<p>tea</p>"))).strategy(Arc::new(Busy(begun.clone())));
    let handler = ExtractHandler::new(engine.build().expect("an engine"));
    let running = tokio::spawn({
        let context = JobContext::new(job().await, cancel.clone());
        async move { handler.run(context).await }
    });
    begun.notified().await;
    cancel.cancel();
    let error = running.await.expect("no panic").expect_err("stopped");
    assert_eq!(error.error().category, ErrorCategory::Cancelled);
}

/// A strategy that is cancelled at its work, and gives what it has.
#[derive(Debug)]
struct CutShort {
    begins: Arc<Barrier>,
    cancel: CancellationToken,
}

#[async_trait]
impl Strategy for CutShort {
    fn name(&self) -> StrategyName {
        StrategyName::new("cut_short").expect("a name")
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(100, "always")
    }
    async fn extract(&self, task: &Task<'_>) -> Result<Draft, StrategyError> {
        self.begins.wait();
        self.cancel.cancel();
        assert!(task.should_stop(), "nobody said stop");
        Ok(Draft::default())
    }
}

#[test]
fn a_cancel_seen_only_when_its_work_has_ended_is_no_timeout_to_be_tried_again() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().expect("a runtime");
    let (begins, cancel) = (Arc::new(Barrier::new(2)), CancellationToken::new());
    let strategy = CutShort { begins: Arc::clone(&begins), cancel: cancel.clone() };
    let engine = Engine::builder().fetcher(Arc::new(page("<p>tea</p>"))).strategy(Arc::new(strategy));
    let handler = ExtractHandler::new(engine.build().expect("an engine"));
    let error = runtime.block_on(async {
        let mut running = std::pin::pin!(handler.run(JobContext::new(job().await, cancel)));
        tokio::select! {
            biased;
            _ = running.as_mut() => panic!("the strategy waits"),
            () = std::future::ready(()) => begins.wait(),
        };
        // The one thread for such work comes to this when it has ended the other; until then the runtime's own is kept
        // from looking, so that it sees the cancel and the end together.
        let (ended, wait) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || ended.send(()).expect("awaited"));
        wait.recv().expect("sent");
        running.await.expect_err("stopped")
    });
    assert_eq!(error.error().category, ErrorCategory::Cancelled);
}

#[tokio::test]
async fn a_payload_that_breaks_a_rule_fails_for_good_and_fetches_nothing() {
    let mut request = ExtractionRequest::new(PAGE, types::by_name("recipe").expect("built in"));
    request.max_pages = 0;
    let begun = Arc::new(Notify::new());
    let engine = Engine::builder().fetcher(Arc::new(Silent(begun))).build().expect("an engine");
    let context = JobContext::new(job_of(&request).await, CancellationToken::new());
    // The fetcher never answers: only a refusal before it can end this.
    let error = ExtractHandler::new(engine).run(context).await.expect_err("no page can be fetched");
    assert_eq!((error.error().category, error.after()), (ErrorCategory::InvalidInput, AfterError::Fail));
    assert!(error.error().message.contains("`/maxPages`"), "{error}");
}

#[tokio::test]
async fn a_caption_too_long_to_quote_costs_its_table_only() {
    let caption = "long ".repeat(5000);
    let rows = "<tr><th>Name<th>Text<tr><td>a<td>short<tr><td>b<td>c";
    let html = format!("<table><caption>{caption}</caption>{rows}</table><table>{rows}</table>");
    let fetcher = MemoryFetcher::new().with_page(PAGE.parse().expect("an address"), html);
    let request = ExtractionRequest::new(PAGE, types::by_name("table").expect("built in"));
    let engine = Engine::builder().fetcher(Arc::new(fetcher)).build().expect("an engine");
    let context = JobContext::new(job_of(&request).await, CancellationToken::new());
    let value = ExtractHandler::new(engine).run(context).await.expect("a result");
    let result: ExtractionResult = serde_json::from_value(value).expect("a result");
    assert_eq!(result.data.len(), 1);
    assert_eq!(result.data[0]["rows"][0][1], "short");
    assert_eq!(result.warnings[0].code, "value_too_long");
}

/// A strategy that says more than the format allows.
#[derive(Debug)]
struct Boastful;

#[async_trait]
impl Strategy for Boastful {
    fn name(&self) -> StrategyName {
        StrategyName::new("boastful").expect("a name")
    }
    fn fit(&self, _: &ExtractionRequest) -> Fit {
        Fit::suits(100, "always")
    }
    async fn extract(&self, _: &Task<'_>) -> Result<Draft, StrategyError> {
        let mut draft = Draft::default();
        draft.model = Some("m".repeat(1000));
        Ok(draft)
    }
}

#[tokio::test]
async fn a_result_that_breaks_a_rule_is_not_stored() {
    let engine = Engine::builder().fetcher(Arc::new(page("<p>tea</p>"))).strategy(Arc::new(Boastful));
    let handler = ExtractHandler::new(engine.build().expect("an engine"));
    let error = handler.run(JobContext::new(job().await, CancellationToken::new())).await.expect_err("no such model");
    assert_eq!((error.error().category, error.after()), (ErrorCategory::Internal, AfterError::Fail));
    assert!(error.error().message.contains("/model`"), "{error}");
}
