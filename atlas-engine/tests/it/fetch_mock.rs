//! The mock that hosts use in their own tests.

use std::sync::Arc;

use atlas_engine::fetch::{Document, FetchError, FetchRequest, Fetcher, Kind, MockFetcher};

#[tokio::test]
async fn a_host_says_what_its_mock_answers_and_how_often() {
    let mut mock = MockFetcher::new();
    mock.expect_fetch().times(1).returning(|request| Err(FetchError::new(Kind::Network, &request.url)));
    mock.expect_fetch().times(1).returning(|request| Ok(Document::new(request.url.clone(), "<h1>Tea")));
    let fetcher: Arc<dyn Fetcher> = Arc::new(mock);
    let request = FetchRequest::new("https://shop.example/".parse().unwrap());
    assert!(fetcher.fetch(&request).await.unwrap_err().is_retryable());
    assert_eq!(fetcher.fetch(&request).await.unwrap().bytes, "<h1>Tea");
}
