//! Documents held in memory: for tests, and for hosts that have the pages already.

use std::collections::HashMap;

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use super::{Document, FetchError, FetchRequest, Fetcher, Kind};

/// Serves the documents it was given; the fragment of an address does not count.
///
/// # Examples
///
/// ```
/// use atlas_engine::fetch::{FetchRequest, Fetcher, MemoryFetcher};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url: url::Url = "https://shop.example/tea".parse()?;
/// let fetcher = MemoryFetcher::new().with_page(url.clone(), "<h1>Tea</h1>");
/// let document = fetcher.fetch(&FetchRequest::new(url)).await?;
/// assert_eq!(document.bytes, "<h1>Tea</h1>");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct MemoryFetcher {
    documents: HashMap<Url, Document>,
}

impl MemoryFetcher {
    /// A fetcher with no documents.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an HTML page. A second one for the same address replaces the first.
    #[must_use]
    pub fn with_page(self, url: Url, html: impl Into<Bytes>) -> Self {
        let document = Document::new(url.clone(), html).with_content_type("text/html");
        self.with_document(url, document)
    }

    /// Adds a document under an address, which need not be the document's own (as after a redirect).
    #[must_use]
    pub fn with_document(mut self, url: Url, document: Document) -> Self {
        self.documents.insert(without_fragment(url), document);
        self
    }
}

#[async_trait]
impl Fetcher for MemoryFetcher {
    async fn fetch(&self, request: &FetchRequest) -> Result<Document, FetchError> {
        let document = self
            .documents
            .get(&without_fragment(request.url.clone()))
            .ok_or_else(|| FetchError::new(Kind::NotFound, &request.url))?;
        if document.bytes.len() > request.max_bytes {
            return Err(
                FetchError::new(Kind::TooLarge, &request.url).with_advice("raise the size limit of the request")
            );
        }
        Ok(document.clone())
    }
}

fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}
