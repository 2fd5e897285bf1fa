//! One signed try: what the deliverer and the handler share.

use super::event::WebhookEvent;
use super::sender::{SendError, SendErrorKind, WebhookReply, WebhookRequest, WebhookSender};
use super::sign::{WebhookSecret, sign};
use crate::clock::Clock;
use std::sync::Arc;
use std::time::Duration;

/// The longest wait that is taken from a receiver: an hour.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// Signs and sends.
#[derive(Debug, Clone)]
pub(super) struct Courier {
    pub(super) sender: Arc<dyn WebhookSender>,
    pub(super) secrets: Arc<[WebhookSecret]>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timeout: Duration,
}

impl Courier {
    /// One try. The time is that of the try, so that a late one is not taken for a replay.
    pub(super) async fn send(&self, url: &str, id: &str, event: &WebhookEvent) -> Result<WebhookReply, SendError> {
        let broken = |error: serde_json::Error| SendError::new(SendErrorKind::Internal).with_source(error);
        let body = serde_json::to_vec(event).map_err(broken)?;
        let headers = sign(id, self.clock.now().wall, &body, &self.secrets);
        let request = WebhookRequest::new(url.into(), headers, body, self.timeout);
        // A sender that does not keep its time must not hold a slot for ever.
        let late = || Err(SendError::new(SendErrorKind::Timeout));
        tokio::time::timeout(self.timeout, self.sender.send(request)).await.unwrap_or_else(|_| late())
    }
}

/// The wait before the next try: the backoff's, or the receiver's up to an hour if that is longer.
pub(super) fn wait(backoff: Duration, error: &SendError) -> Duration {
    error.retry_after().map_or(backoff, |asked| asked.min(LONGEST_WAIT).max(backoff))
}
