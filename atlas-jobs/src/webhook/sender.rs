//! How a signed message travels: the trait that a host may implement.

use super::sign::SignedHeaders;
use async_trait::async_trait;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One delivery, signed and ready. `Debug` shows the receiver only: paths, queries and bodies may hold secrets.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookRequest {
    /// Where to.
    pub url: String,
    /// The three headers of the signature.
    pub headers: SignedHeaders,
    /// JSON in UTF-8. These very bytes were signed.
    pub body: Vec<u8>,
    /// How long the delivery may take.
    pub timeout: Duration,
}

impl WebhookRequest {
    /// A delivery; senders get theirs from the deliverer.
    pub const fn new(url: String, headers: SignedHeaders, body: Vec<u8>, timeout: Duration) -> Self {
        Self { url, headers, body, timeout }
    }
}

impl fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookRequest")
            .field("receiver", &receiver(&self.url))
            .field("id", &self.headers.id)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Scheme, host and port of an address: what may be shown, and what shares one receiver's slots.
pub(super) fn receiver(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "no address".into() };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}").to_ascii_lowercase()
}

/// The receiver took the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebhookReply {
    /// The status, 200 to 299.
    pub status: u16,
}

impl WebhookReply {
    /// With a status from 200 to 299.
    pub const fn new(status: u16) -> Self {
        Self { status }
    }
}

/// Carries signed messages to their receivers, implemented by the host application or by `HttpWebhookSender` (feature
/// `webhook-http`).
///
/// # Contract
///
/// - **The bytes as they are.** Body and headers are sent unchanged, by `POST`, with `content-type: application/json`.
/// - **Only 2xx is success.** A redirect is a failure and is not followed: its target was never agreed on.
/// - **Guarded.** The address is the caller's, and callers may be hostile: nothing is dialled that the host's network
///   policy does not allow, judged where it is dialled.
/// - **Bounded.** It returns within [`WebhookRequest::timeout`], and keeps nothing of the receiver's answer.
/// - **No retries inside.** The deliverer decides when to try again.
/// - **Quiet.** Errors name no path, query, header or body.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait WebhookSender: fmt::Debug + Send + Sync + 'static {
    /// Sends once.
    ///
    /// # Errors
    /// [`SendError`]: whether it arrived is unknown, unless its kind says so.
    async fn send(&self, request: WebhookRequest) -> Result<WebhookReply, SendError>;
}

/// What sort of failure: what the deliverer branches on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The text is no address that can be dialled.
    #[error("the address is not one that can be dialled: give an absolute http or https URL")]
    InvalidUrl,
    /// The network policy forbids the address. Nothing was dialled.
    #[error("the network policy forbids this address: give a public one, or allow its network")]
    Refused,
    /// The receiver redirects, which is not followed.
    #[error("the receiver redirects, which is not followed: give the address it leads to")]
    Redirected,
    /// The receiver wants no more messages (410).
    #[error("the receiver is gone for good (410): give another address")]
    Gone,
    /// The receiver answered with another status than 2xx.
    #[error("the receiver answered {0} instead of 2xx: look at its log")]
    Status(u16),
    /// The receiver took too long.
    #[error("the receiver took too long: it should answer first and work later")]
    Timeout,
    /// The receiver can't be reached, or the connection broke.
    #[error("the receiver can't be reached: check its name, and that it is up")]
    Network,
    /// The sender itself is broken.
    #[error("the sender failed: see the source of this error")]
    Internal,
}

/// A delivery failed.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct SendError {
    kind: SendErrorKind,
    retry_after: Option<Duration>,
    #[source]
    source: Option<BoxError>,
}

impl SendError {
    /// A failure of this kind.
    pub const fn new(kind: SendErrorKind) -> Self {
        Self { kind, retry_after: None, source: None }
    }

    /// With the wait that the receiver asks for.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// With its cause, which must name no path, query, header or body.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What sort of failure.
    pub const fn kind(&self) -> SendErrorKind {
        self.kind
    }

    /// How long the receiver asks to wait, if it said so.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether no later try can help unless someone changes something.
    pub const fn is_final(&self) -> bool {
        matches!(self.kind, SendErrorKind::InvalidUrl | SendErrorKind::Refused | SendErrorKind::Gone)
    }
}

/// Keeps what it is given: for tests of hosts. Clones share one memory.
#[derive(Debug, Clone, Default)]
pub struct MemorySender {
    sent: Arc<Mutex<Vec<WebhookRequest>>>,
}

impl MemorySender {
    /// Nothing was sent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was sent, in order.
    pub fn sent(&self) -> Vec<WebhookRequest> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl WebhookSender for MemorySender {
    async fn send(&self, request: WebhookRequest) -> Result<WebhookReply, SendError> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        Ok(WebhookReply::new(200))
    }
}
