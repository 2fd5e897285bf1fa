//! Jobs of kind `webhook`: an event of the host's own, delivered like a callback.

use super::courier::{Courier, wait};
use super::event::WebhookEvent;
use super::options::InvalidDeliverer;
use super::sender::{SendError, SendErrorKind, WebhookSender};
use super::sign::WebhookSecret;
use crate::clock::{Clock, SystemClock};
use crate::spec::JobSpec;
use crate::worker::{AfterError, HandlerError, JobContext, JobHandler};
use async_trait::async_trait;
use atlas_schema::{ErrorCategory, JobKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The payload of a job of kind `webhook`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookJob {
    /// Where to: an absolute `http` or `https` address of at most 2048 characters.
    pub url: String,
    /// What it says.
    pub event: WebhookEvent,
    /// The id that receivers tell repeats by; default the job's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// A webhook can't be enqueued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWebhook {
    /// The text is no address.
    #[error("the address must be an absolute http or https URL of at most 2048 printable characters without blanks")]
    Url,
    /// The event has no JSON form.
    #[error("the event has no JSON form")]
    Json(#[from] serde_json::Error),
}

impl WebhookJob {
    /// Tells `url` of `event`.
    ///
    /// # Errors
    /// [`InvalidWebhook::Url`]. Whether the address may be dialled is judged where it is dialled.
    pub fn new(url: impl Into<String>, event: WebhookEvent) -> Result<Self, InvalidWebhook> {
        let url = url.into();
        let absolute = ["http://", "https://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
        if !absolute || url.len() > 2048 || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidWebhook::Url);
        }
        Ok(Self { url, event, message_id: None })
    }

    /// A delivery that was given up. Its address is kept as it is: that it is none may be why.
    pub(super) fn kept(url: &str, event: WebhookEvent, message_id: &str) -> Self {
        Self { url: url.into(), event, message_id: Some(message_id.into()) }
    }

    /// As a job of kind `webhook`, with 10 attempts.
    ///
    /// # Errors
    /// [`InvalidWebhook::Json`].
    pub fn spec(&self) -> Result<JobSpec, InvalidWebhook> {
        Ok(JobSpec::new(JobKind::webhook(), self)?.with_max_attempts(10))
    }
}

/// Runs jobs of kind `webhook`: signs the event and sends it once per attempt. The result is `{"status": 204}`.
///
/// The worker's retry policy waits between attempts, longer if the receiver asks for it. An address that the network
/// policy forbids, that is none, or that answers 410 fails the job for good: a dead letter that can be redriven.
#[derive(Debug, Clone)]
pub struct WebhookHandler {
    courier: Courier,
}

impl WebhookHandler {
    /// Sends with `sender`, signed with each of `secrets`.
    ///
    /// # Errors
    /// [`InvalidDeliverer::NoSecret`] without a secret: an unsigned webhook can't be believed.
    pub fn new(sender: Arc<dyn WebhookSender>, secrets: Vec<WebhookSecret>) -> Result<Self, InvalidDeliverer> {
        if secrets.is_empty() {
            return Err(InvalidDeliverer::NoSecret);
        }
        let clock = Arc::new(SystemClock::new());
        Ok(Self { courier: Courier { sender, secrets: secrets.into(), clock, timeout: Duration::from_secs(15) } })
    }

    /// With another limit for one try than 15 seconds.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.courier.timeout = timeout;
        self
    }

    /// With another clock than the operating system's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.courier.clock = clock;
        self
    }
}

#[async_trait]
impl JobHandler for WebhookHandler {
    async fn run(&self, job: JobContext) -> Result<Value, HandlerError> {
        let work: WebhookJob = job.params()?;
        let id = work.message_id.unwrap_or_else(|| job.id().to_string());
        let sent = self.courier.send(&work.url, &id, &work.event);
        let sent = tokio::select! {
            sent = sent => sent,
            () = job.cancelled().cancelled() => return Err(HandlerError::cancelled()),
        };
        sent.map(|reply| json!({ "status": reply.status })).map_err(|error| failure(&error))
    }
}

/// What a failed try means for the job.
fn failure(error: &SendError) -> HandlerError {
    let failed = HandlerError::new(category(error.kind()), error.to_string());
    if error.is_final() {
        return failed.with_after(AfterError::Fail);
    }
    match error.retry_after() {
        Some(_) => failed.with_after(AfterError::RetryAfter(wait(Duration::from_secs(1), error))),
        None => failed.with_after(AfterError::Retry),
    }
}

pub(super) const fn category(kind: SendErrorKind) -> ErrorCategory {
    match kind {
        SendErrorKind::InvalidUrl => ErrorCategory::InvalidInput,
        SendErrorKind::Refused => ErrorCategory::Forbidden,
        SendErrorKind::Gone | SendErrorKind::Status(404) => ErrorCategory::NotFound,
        SendErrorKind::Status(401 | 403) => ErrorCategory::Authentication,
        SendErrorKind::Status(429) => ErrorCategory::RateLimit,
        SendErrorKind::Timeout => ErrorCategory::Timeout,
        SendErrorKind::Internal => ErrorCategory::Internal,
        SendErrorKind::Redirected | SendErrorKind::Status(_) | SendErrorKind::Network => ErrorCategory::Network,
    }
}
