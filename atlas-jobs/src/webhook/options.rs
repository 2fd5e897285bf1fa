//! Filling in a deliverer.

use super::courier::Courier;
use super::deliver::{self, DeliveryReport};
use super::sender::WebhookSender;
use super::sign::WebhookSecret;
use crate::clock::{Clock, SystemClock};
use crate::random::{NoEntropy, Random};
use crate::retry::RetryPolicy;
use crate::store::JobStore;
use atlas_schema::QueueName;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Why a deliverer can't be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDeliverer {
    /// No secret was given.
    #[error("webhooks need at least one secret to be signed with")]
    NoSecret,
    /// A number outside its limits.
    #[error("{what} must be {min} to {max}")]
    OutOfRange {
        /// Which one.
        what: &'static str,
        /// The least.
        min: usize,
        /// The most.
        max: usize,
    },
    /// The operating system has no random bits.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Delivers the callbacks of ended jobs, at least once each.
///
/// Several may run over one store, in one process or many: an entry is with one of them at a time. A delivery that
/// fails is tried again with backoff; one that failed often enough, or can't succeed, becomes a dead letter: a failed
/// job of kind `webhook` that can be redriven once the receiver is mended. One that is too large for the store is kept without
/// the job's result, as if results were not sent.
///
/// One receiver (scheme, host and port) holds a few of the slots at most, and what waits for it for more than a second
/// is put off, so that a slow receiver holds up nobody else.
#[derive(Debug)]
pub struct WebhookDeliverer {
    pub(super) store: Arc<dyn JobStore>,
    pub(super) courier: Courier,
    pub(super) random: Arc<Random>,
    pub(super) retry: RetryPolicy,
    pub(super) tries: u32,
    pub(super) concurrency: usize,
    pub(super) per_receiver: usize,
    pub(super) poll: Duration,
    pub(super) result_bytes: Option<usize>,
    pub(super) letters: QueueName,
}

/// Fills in a [`WebhookDeliverer`].
#[derive(Debug)]
pub struct WebhookDelivererBuilder {
    store: Arc<dyn JobStore>,
    sender: Arc<dyn WebhookSender>,
    secrets: Vec<WebhookSecret>,
    clock: Arc<dyn Clock>,
    random: Option<Arc<Random>>,
    retry: RetryPolicy,
    tries: u32,
    concurrency: usize,
    per_receiver: usize,
    timeout: Duration,
    poll: Duration,
    result_bytes: Option<usize>,
    letters: QueueName,
}

impl WebhookDeliverer {
    /// Takes callbacks of `store`, signs them with each of `secrets` and hands them to `sender`.
    ///
    /// To replace a secret, give the new one and the old one until every receiver knows the new one.
    pub fn builder(
        store: Arc<dyn JobStore>,
        sender: Arc<dyn WebhookSender>,
        secrets: Vec<WebhookSecret>,
    ) -> WebhookDelivererBuilder {
        WebhookDelivererBuilder {
            store,
            sender,
            secrets,
            clock: Arc::new(SystemClock::new()),
            random: None,
            retry: RetryPolicy::new(Duration::from_secs(5), Duration::from_hours(6)),
            tries: 16,
            concurrency: 64,
            per_receiver: 8,
            timeout: Duration::from_secs(15),
            poll: Duration::from_secs(1),
            result_bytes: None,
            letters: QueueName::default(),
        }
    }

    /// Delivers until `shutdown` fires; then what is under way ends within its timeout, and nothing new begins.
    ///
    /// A store that fails is logged and asked again, with backoff: entries stay where they are.
    pub async fn run(&self, shutdown: CancellationToken) -> DeliveryReport {
        deliver::run(self, shutdown).await
    }
}

impl WebhookDelivererBuilder {
    /// When failed deliveries are tried again. Default: 5 seconds, doubling up to 6 hours. A receiver that asks for a
    /// longer wait gets it, up to an hour.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// So many tries before a delivery is given up, 1 to 1000. Default 16, which with the default backoff takes one to
    /// two days. Times an entry was put off count as tries, but shorten no delivery's life: it is given up only after
    /// the time that so many tries need at the least, and only after a try that failed.
    #[must_use]
    pub const fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// At most so many deliveries at a time, 1 to 500. Default 64.
    #[must_use]
    pub const fn concurrency(mut self, deliveries: usize) -> Self {
        self.concurrency = deliveries;
        self
    }

    /// At most so many deliveries to one receiver at a time, 1 to the concurrency. Default 8.
    #[must_use]
    pub const fn per_receiver(mut self, deliveries: usize) -> Self {
        self.per_receiver = deliveries;
        self
    }

    /// How long one try may take. Default 15 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often it looks for entries when there were none. Default 1 s.
    #[must_use]
    pub const fn poll_interval(mut self, interval: Duration) -> Self {
        self.poll = interval;
        self
    }

    /// Sends results of up to so many bytes of JSON with the event. Default: no result is sent.
    #[must_use]
    pub const fn with_results_up_to(mut self, bytes: usize) -> Self {
        self.result_bytes = Some(bytes);
        self
    }

    /// The queue of the dead letters: where a worker with a [`WebhookHandler`](super::WebhookHandler) finds them when
    /// they are redriven. Default `default`.
    #[must_use]
    pub fn dead_letter_queue(mut self, queue: QueueName) -> Self {
        self.letters = queue;
        self
    }

    /// With another clock than the operating system's.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With other random bits than the operating system's.
    #[must_use]
    pub fn random(mut self, random: Arc<Random>) -> Self {
        self.random = Some(random);
        self
    }

    /// The deliverer.
    ///
    /// # Errors
    /// [`InvalidDeliverer`] says which setting is impossible.
    pub fn build(self) -> Result<WebhookDeliverer, InvalidDeliverer> {
        if self.secrets.is_empty() {
            return Err(InvalidDeliverer::NoSecret);
        }
        let range = |what, min, max| Err(InvalidDeliverer::OutOfRange { what, min, max });
        if !(1..=1000).contains(&self.tries) {
            return range("the number of tries", 1, 1000);
        }
        if !(1..=500).contains(&self.concurrency) {
            return range("the concurrency", 1, 500);
        }
        if !(1..=self.concurrency).contains(&self.per_receiver) {
            return range("the concurrency per receiver", 1, self.concurrency);
        }
        if self.timeout.is_zero() || self.timeout > Duration::from_mins(5) {
            return range("the timeout in milliseconds", 1, 300_000);
        }
        if self.poll < Duration::from_millis(1) {
            return range("the poll interval in milliseconds", 1, usize::MAX);
        }
        let random = match self.random {
            Some(random) => random,
            None => Arc::new(Random::from_os()?),
        };
        let courier =
            Courier { sender: self.sender, secrets: self.secrets.into(), clock: self.clock, timeout: self.timeout };
        Ok(WebhookDeliverer {
            store: self.store,
            courier,
            random,
            retry: self.retry,
            tries: self.tries,
            concurrency: self.concurrency,
            per_receiver: self.per_receiver,
            poll: self.poll,
            result_bytes: self.result_bytes,
            letters: self.letters,
        })
    }
}
