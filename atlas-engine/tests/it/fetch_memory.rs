//! The memory fetcher.

use std::sync::Arc;

use atlas_engine::fetch::{Document, FetchRequest, Fetcher, Kind, MemoryFetcher};
use url::Url;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

#[tokio::test]
async fn documents_are_found_by_address_whatever_the_fragment() {
    let fetcher: Arc<dyn Fetcher> = Arc::new(MemoryFetcher::new().with_page(url("https://a.example/x#top"), "<p>x"));
    let document = fetcher.fetch(&FetchRequest::new(url("https://a.example/x#end"))).await.unwrap();
    assert_eq!(document.bytes, "<p>x");
    assert_eq!(document.media_type.as_deref(), Some("text/html"));
}

#[tokio::test]
async fn an_unknown_address_is_not_found_and_a_large_document_too_large() {
    let fetcher = MemoryFetcher::new().with_page(url("https://a.example/"), "0123456789");
    let missing = fetcher.fetch(&FetchRequest::new(url("https://a.example/y"))).await.unwrap_err();
    assert_eq!((missing.kind(), missing.is_retryable()), (Kind::NotFound, false));
    let request = FetchRequest::new(url("https://a.example/")).with_max_bytes(9);
    assert_eq!(fetcher.fetch(&request).await.unwrap_err().kind(), Kind::TooLarge);
}

#[tokio::test]
async fn a_document_keeps_its_own_address() {
    let moved = Document::new(url("https://b.example/"), "<p>b");
    let fetcher = MemoryFetcher::new().with_document(url("https://a.example/"), moved.clone());
    assert_eq!(fetcher.fetch(&FetchRequest::new(url("https://a.example/"))).await.unwrap(), moved);
}
