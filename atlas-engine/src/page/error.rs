//! Why bytes could not become a page.

use atlas_schema::ErrorCategory;

/// Bytes that were not turned into a [`Page`](super::Page), and what to do about it.
///
/// Never carries anything of the page itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PageError {
    /// There are no bytes, or nothing but white space.
    #[error("the page is empty: check that the address or file really holds the page")]
    Empty,
    /// The bytes are no HTML; `found` names what they look like.
    #[error("the bytes are {found}, not HTML: give the HTML page instead")]
    NotHtml {
        /// What the bytes look like, such as `a PDF document`.
        found: &'static str,
    },
    /// More bytes than [`ParseOptions::max_bytes`](super::ParseOptions::max_bytes).
    #[error(
        "the page has {bytes} bytes, more than the limit of {limit}: leave it out or cut it (a program can raise `ParseOptions::max_bytes`)"
    )]
    TooLarge {
        /// The page's size in bytes.
        bytes: usize,
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// More nodes than [`ParseOptions::max_nodes`](super::ParseOptions::max_nodes).
    #[error(
        "the page has more than {limit} nodes: leave it out or cut it (a program can raise `ParseOptions::max_nodes`)"
    )]
    TooManyNodes {
        /// The limit in force.
        limit: usize,
    },
    /// Elements nested deeper than [`ParseOptions::max_depth`](super::ParseOptions::max_depth).
    #[error(
        "the page nests elements more than {limit} deep: leave it out or mend its markup (a program can raise `ParseOptions::max_depth`)"
    )]
    TooDeep {
        /// The limit in force.
        limit: usize,
    },
    /// More attributes than [`ParseOptions::max_attributes`](super::ParseOptions::max_attributes) on one element or
    /// [`ParseOptions::max_nodes`](super::ParseOptions::max_nodes) on all together.
    #[error(
        "the page has more than {limit} attributes on one element or in all: leave it out or mend its markup (a program can raise `ParseOptions::max_attributes` and `max_nodes`)"
    )]
    TooManyAttributes {
        /// The limit that was passed.
        limit: usize,
    },
    /// Markup built to cost far more time or memory than its size, such as formatting elements that multiply.
    #[error("the page's markup would take too long to parse: leave this page out")]
    TooComplex,
}

impl PageError {
    /// What the failure means for a caller who decides what happens next.
    pub const fn category(&self) -> ErrorCategory {
        match self {
            Self::Empty => ErrorCategory::NoData,
            _ => ErrorCategory::InvalidInput,
        }
    }
}
