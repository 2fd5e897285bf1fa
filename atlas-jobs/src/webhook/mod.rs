//! Webhooks: telling the outside that a job ended.
//!
//! A job with a callback posts an entry to the outbox in the same write that ends it. [`WebhookDeliverer`] takes such
//! entries, signs an event by the [Standard Webhooks](https://www.standardwebhooks.com) specification and hands it to a
//! [`WebhookSender`]; [`WebhookHandler`] does the same for jobs of kind `webhook`, whose events are the host's own. How
//! bytes travel is the sender's business; when to try again is decided here. The rule the rest leans on: an event keeps
//! its id over all its deliveries, so that a receiver can tell a repeat, and none is given up without a trace.

mod courier;
mod deliver;
mod event;
mod handler;
#[cfg(feature = "webhook-http")]
mod http;
mod letter;
mod options;
mod sender;
mod sign;

pub use deliver::DeliveryReport;
pub use event::{JobEvent, JobEventError, WebhookEvent};
pub use handler::{InvalidWebhook, WebhookHandler, WebhookJob};
#[cfg(feature = "webhook-http")]
pub use http::{HttpWebhookSender, HttpWebhookSenderBuilder, Resolver, SenderSetupError, SystemResolver};
pub use options::{InvalidDeliverer, WebhookDeliverer, WebhookDelivererBuilder};
#[cfg(feature = "mock")]
pub use sender::MockWebhookSender;
pub use sender::{MemorySender, SendError, SendErrorKind, WebhookReply, WebhookRequest, WebhookSender};
pub use sign::{
    ID_HEADER, InvalidSecret, SIGNATURE_HEADER, SignedHeaders, TIMESTAMP_HEADER, TOLERANCE, Unverified, WebhookSecret,
    sign, verify,
};
