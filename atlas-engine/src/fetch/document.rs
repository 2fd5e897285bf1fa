//! What is asked of a fetcher, and what it hands back.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use url::Url;

use crate::page::{Page, PageError, ParseOptions};

/// One document wanted.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchRequest {
    /// Its address.
    pub url: Url,
    /// Most bytes taken, after decompression. Default 32 MiB, as a page may have.
    pub max_bytes: usize,
    /// Most time taken, all redirects included. Default 30 seconds.
    pub timeout: Duration,
    /// Most redirects followed. Default 10; the Fetch standard allows 20.
    pub max_redirects: u32,
}

impl FetchRequest {
    /// A request with the default limits.
    pub const fn new(url: Url) -> Self {
        Self { url, max_bytes: 32 << 20, timeout: Duration::from_secs(30), max_redirects: 10 }
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets [`timeout`](Self::timeout).
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets [`max_redirects`](Self::max_redirects).
    #[must_use]
    pub const fn with_max_redirects(mut self, redirects: u32) -> Self {
        self.max_redirects = redirects;
        self
    }
}

impl fmt::Debug for FetchRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchRequest")
            .field("url", &Place(&self.url))
            .field("max_bytes", &self.max_bytes)
            .field("timeout", &self.timeout)
            .field("max_redirects", &self.max_redirects)
            .finish()
    }
}

/// A document as it was fetched.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Document {
    /// Where it came from, after redirects.
    pub url: Url,
    /// The HTTP status; `None` where there is none.
    pub status: Option<u16>,
    /// The media type as announced, lower case, without parameters, such as `text/html`.
    pub media_type: Option<String>,
    /// The charset as announced.
    pub charset: Option<String>,
    /// The bytes, transfer coding undone.
    pub bytes: Bytes,
}

impl Document {
    /// A document of which only the address and the bytes are known.
    pub fn new(url: Url, bytes: impl Into<Bytes>) -> Self {
        Self { url, status: None, media_type: None, charset: None, bytes: bytes.into() }
    }

    /// Sets the status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Sets media type and charset from a `Content-Type` such as `text/html; charset=utf-8`.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        let mut parts = content_type.split(';').map(str::trim);
        self.media_type = parts.next().filter(|kind| !kind.is_empty()).map(str::to_ascii_lowercase);
        self.charset = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
        });
        self
    }

    /// Parses the document as a page, with its own address and charset in place of those in `options`.
    ///
    /// # Errors
    /// As [`Page::parse`].
    pub fn to_page(&self, options: &ParseOptions) -> Result<Page, PageError> {
        let mut options = options.clone().with_url(self.url.clone());
        options.charset.clone_from(&self.charset);
        Page::parse(&self.bytes, &options)
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("url", &Place(&self.url))
            .field("status", &self.status)
            .field("media_type", &self.media_type)
            .field("charset", &self.charset)
            .field("bytes", &self.bytes.len())
            .finish()
    }
}

/// An address as it may be shown: without user, password, query and fragment, where secrets stand.
#[derive(Clone, Copy)]
pub(super) struct Place<'a>(pub(super) &'a Url);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.0;
        write!(f, "{}:", url.scheme())?;
        if url.cannot_be_a_base() {
            // `data:` and the like: what follows is content, not a place.
            return f.write_str("…");
        }
        f.write_str("//")?;
        if let Some(host) = url.host_str() {
            f.write_str(host)?;
        }
        if let Some(port) = url.port() {
            write!(f, ":{port}")?;
        }
        f.write_str(url.path())
    }
}

impl fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}
