//! What a parse is told: where the page is from and how much of it is taken.

use url::Url;

/// How a page is parsed. The default limits fit pages made for people; each failure names the limit to raise.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ParseOptions {
    /// Where the page was found, after redirects. Relative links need it. Default: none.
    pub url: Option<Url>,
    /// The charset that the transport named, such as HTTP's `Content-Type`. Default: none.
    pub charset: Option<String>,
    /// Largest page taken, in bytes before decoding. Default 32 MiB; more than 1 GiB counts as 1 GiB.
    pub max_bytes: usize,
    /// Most nodes (elements and texts) and, apart from them, most attributes in all. Default 2,000,000.
    pub max_nodes: usize,
    /// Deepest nesting of elements. Default 1,024: browsers flatten past 512, and pages people wrote stay below 150.
    pub max_depth: usize,
    /// Most attributes on one element. Default 4,096.
    pub max_attributes: usize,
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self {
            url: None,
            charset: None,
            max_bytes: 32 << 20,
            max_nodes: 2_000_000,
            max_depth: 1_024,
            max_attributes: 4_096,
        }
    }
}

impl ParseOptions {
    /// Offsets into the decoded text are `u32` and decoding at most triples the size.
    const HARD_MAX_BYTES: usize = 1 << 30;

    /// Sets [`url`](Self::url).
    #[must_use]
    pub fn with_url(mut self, url: Url) -> Self {
        self.url = Some(url);
        self
    }

    /// Sets [`charset`](Self::charset).
    #[must_use]
    pub fn with_charset(mut self, charset: impl Into<String>) -> Self {
        self.charset = Some(charset.into());
        self
    }

    /// Sets [`max_bytes`](Self::max_bytes).
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets [`max_nodes`](Self::max_nodes).
    #[must_use]
    pub const fn with_max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// Sets [`max_depth`](Self::max_depth).
    #[must_use]
    pub const fn with_max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }

    /// Sets [`max_attributes`](Self::max_attributes).
    #[must_use]
    pub const fn with_max_attributes(mut self, attributes: usize) -> Self {
        self.max_attributes = attributes;
        self
    }

    /// The size limit in force.
    pub(super) fn byte_limit(&self) -> usize {
        self.max_bytes.min(Self::HARD_MAX_BYTES)
    }
}
