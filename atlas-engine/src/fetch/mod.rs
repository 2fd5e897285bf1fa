//! Fetching: how the bytes of a document are got.
//!
//! [`Fetcher`] is the contract, implemented here for memory, files and (feature `http-fetcher`) HTTP, and by hosts for
//! whatever else holds their pages. What the bytes mean is elsewhere ([`page`](crate::page)). The rule the rest leans on:
//! a fetcher hands out no more than it was asked for, and nothing that its policy does not allow, whatever a page says.

mod document;
mod error;
mod file;
#[cfg(feature = "http-fetcher")]
mod http;
mod memory;

use std::fmt::Debug;

use async_trait::async_trait;

pub use self::document::{Document, FetchRequest};
pub use self::error::{FetchError, Kind};
pub use self::file::FileFetcher;
#[cfg(feature = "http-fetcher")]
pub use self::http::{HttpFetcher, HttpFetcherBuilder, HttpSetupError, Resolver, SystemResolver};
pub use self::memory::MemoryFetcher;

/// Gets documents by address.
///
/// # Contract
///
/// - **Bounded.** At most [`FetchRequest::max_bytes`] bytes after decompression, and at most [`FetchRequest::timeout`] from
///   call to return; more is [`Kind::TooLarge`] and [`Kind::Timeout`], never a cut document.
/// - **Guarded.** The policy is applied to the address that is really used, at every redirect; what it does not allow is
///   [`Kind::Forbidden`] and is never contacted.
/// - **Faithful.** The bytes are the document's own, transfer coding undone, charset not. [`Document::url`] is where they
///   came from in the end.
/// - **An answer is a document.** A status of 400 and up is [`Kind::NotFound`] or [`Kind::Status`], so that no error page
///   is taken for the page.
/// - **Cancel safe.** Dropping the future stops the work and changes nothing.
/// - **No retries inside.** Report the failure; the caller decides by [`FetchError::is_retryable`].
///
/// Absence is [`Kind::NotFound`]. Calls are independent and may run at once.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Fetcher: Debug + Send + Sync + 'static {
    /// Gets the document at `request.url`.
    ///
    /// # Errors
    /// [`FetchError`] with the [`Kind`] the contract names for each case.
    async fn fetch(&self, request: &FetchRequest) -> Result<Document, FetchError>;
}
