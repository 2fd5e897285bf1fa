//! How this program gets pages: files as they are, the web through the guarded fetcher, kept for the report.

use async_trait::async_trait;
use atlas_engine::fetch::{Document, FetchError, FetchRequest, Fetcher, FileFetcher, HttpFetcher, Kind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Pages from the web that are kept in memory for the report, at most: more are left out of it, with a word.
const KEPT_BYTES: usize = 256 * 1024 * 1024;

/// Files and web pages behind one contract.
#[derive(Debug)]
pub(crate) struct Pages {
    pub(crate) files: FileFetcher,
    pub(crate) web: HttpFetcher,
    /// Fetched documents by their final address, while `keep` is on.
    pub(crate) kept: Arc<Mutex<HashMap<String, Document>>>,
    pub(crate) keep: bool,
}

impl Pages {
    /// A fetched document, by the address that the result names.
    pub(crate) fn kept(&self, url: &str) -> Option<Document> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }
}

#[async_trait]
impl Fetcher for Pages {
    async fn fetch(&self, request: &FetchRequest) -> Result<Document, FetchError> {
        match request.url.scheme() {
            "file" => self.files.fetch(request).await,
            "http" | "https" => {
                let document = self.web.fetch(request).await?;
                if self.keep {
                    let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.values().map(|document| document.bytes.len()).sum::<usize>() < KEPT_BYTES {
                        kept.insert(document.url.to_string(), document.clone());
                    }
                }
                Ok(document)
            }
            _ => Err(FetchError::new(Kind::Unsupported, &request.url).with_advice("give a file or an http(s) address")),
        }
    }
}
