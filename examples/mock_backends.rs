//! A host's tests with mock backends (feature `mock`): no page is fetched, no database is opened, and each failure a
//! backend can have is one line away. In a real host these functions carry `#[tokio::test]`.

use atlas_engine::fetch::{Document, FetchError, Kind, MockFetcher};
use atlas_engine::handler::ExtractHandler;
use atlas_engine::types::{self, Product};
use atlas_engine::{Engine, EngineError};
use atlas_jobs::{JobManager, ManagerError, MockJobStore, StoreError};
use atlas_schema::{ErrorCategory, ExtractionRequest, Stage};
use std::sync::Arc;

/// The host's own code: the cheaper of two offers.
async fn cheaper(engine: &Engine, left: &str, right: &str) -> Result<Product, EngineError> {
    let (left, right) = (engine.extract_as::<Product>(left).await?, engine.extract_as::<Product>(right).await?);
    let mut offers: Vec<Product> = left.values.into_iter().chain(right.values).collect();
    offers.sort_by(|a, b| a.price.unwrap_or(f64::MAX).total_cmp(&b.price.unwrap_or(f64::MAX)));
    Ok(offers.into_iter().next().unwrap_or_default())
}

/// The host's own code: a page to be extracted later.
async fn later(jobs: &JobManager, url: &str) -> Result<(), ManagerError> {
    let schema = types::by_name("product").unwrap_or_default();
    let spec = ExtractHandler::job(&ExtractionRequest::new(url, schema)).map_err(|_| ManagerError::NotFound)?;
    jobs.enqueue(spec).await.map(|_| ())
}

async fn the_cheaper_offer_wins() -> Result<(), Box<dyn std::error::Error>> {
    let mut pages = MockFetcher::new();
    pages.expect_fetch().times(2).returning(|request| {
        let price = if request.url.path() == "/left" { "12.50" } else { "9.90" };
        let html = format!(
            r#"<script type="application/ld+json">{{"@type": "Product", "name": "Tea pot", "offers": {{"price": {price}}}}}</script>"#
        );
        Ok(Document::new(request.url.clone(), html))
    });
    let engine = Engine::builder().fetcher(Arc::new(pages)).build()?;
    let offer = cheaper(&engine, "https://example.org/left", "https://example.org/right").await?;
    assert_eq!(offer.price, Some(9.90));
    Ok(())
}

async fn an_outage_is_reported_as_one_that_may_pass() -> Result<(), Box<dyn std::error::Error>> {
    let mut pages = MockFetcher::new();
    pages.expect_fetch().returning(|request| Err(FetchError::new(Kind::Status(503), &request.url)));
    let engine = Engine::builder().fetcher(Arc::new(pages)).build()?;
    let error =
        cheaper(&engine, "https://example.org/left", "https://example.org/right").await.err().ok_or("no error")?;
    assert_eq!(error.category(), ErrorCategory::Network);
    assert!(error.category().is_retryable());
    Ok(())
}

async fn a_full_disk_is_told_to_the_caller() -> Result<(), Box<dyn std::error::Error>> {
    let mut store = MockJobStore::new();
    store.expect_stage().return_const(Stage::Dev);
    store.expect_enqueue().times(1).returning(|_, _| Err(StoreError::new(atlas_jobs::Kind::Full, "mock", "enqueue")));
    let jobs = JobManager::new(Arc::new(store))?;
    let error = later(&jobs, "https://example.org/left").await.err().ok_or("no error")?;
    assert!(matches!(error, ManagerError::Store(error) if error.kind() == atlas_jobs::Kind::Full));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    the_cheaper_offer_wins().await?;
    an_outage_is_reported_as_one_that_may_pass().await?;
    a_full_disk_is_told_to_the_caller().await?;
    println!("3 tests of a host, no network, no database");
    Ok(())
}
