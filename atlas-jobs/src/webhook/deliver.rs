//! The deliverer's loop: takes entries, keeps slots full, hands in what became of them.

use super::courier::wait;
use super::event;
use super::letter::{self, Letter, LetterError};
use super::options::WebhookDeliverer;
use super::sender::{SendError, receiver};
use crate::clock::later;
use crate::error::StoreError;
use crate::retry::RetryPolicy;
use crate::state::OutboxTopic;
use crate::store::{Delivery, JobRef, JobStoreExt, OutboxExchange, OutboxItem, Settlement};
use atlas_schema::{TenantId, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// The name of the topic.
const TOPIC: &str = "callback";
/// What waits so long for a slot of its receiver is put off: the receiver is slow, and others want the room.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest an entry is put off because its receiver's slots were taken.
const LONGEST_DEFERRAL: Duration = Duration::from_secs(30);
/// Between two failed calls of the store.
const STORE_BACKOFF: RetryPolicy = RetryPolicy::new(Duration::from_millis(50), Duration::from_secs(30));

/// What a deliverer did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// Events that a receiver took.
    pub delivered: u64,
    /// Tries that failed, those given up included.
    pub failed: u64,
    /// Entries put off because their receiver is slow.
    pub deferred: u64,
    /// Events given up; each is a dead letter of kind `webhook`, save for those that are `unkept`.
    pub given_up: u64,
    /// Events given up of which the store takes no dead letter, not even one without the result. The log names each.
    pub unkept: u64,
    /// Calls of the store that failed.
    pub store_failures: u64,
}

/// How a try went.
enum Tried {
    Delivered,
    Failed(Duration),
    GivenUp {
        kept: bool,
    },
    /// The store failed: nothing was sent, or nothing could be recorded.
    Unknown,
}

struct Waiting {
    item: OutboxItem,
    url: String,
    receiver: String,
    since: Instant,
}

struct Running {
    key: String,
    tries: u32,
    receiver: String,
}

struct Loop<'d> {
    deliverer: &'d WebhookDeliverer,
    tasks: JoinSet<Tried>,
    running: HashMap<Id, Running>,
    per_receiver: HashMap<String, usize>,
    waiting: VecDeque<Waiting>,
    settlements: Vec<Settlement>,
    next_poll: Instant,
    /// The last taking got all it asked for.
    more: bool,
    failures: u32,
    report: DeliveryReport,
}

pub(super) async fn run(deliverer: &WebhookDeliverer, shutdown: CancellationToken) -> DeliveryReport {
    let mut state = Loop {
        deliverer,
        tasks: JoinSet::new(),
        running: HashMap::new(),
        per_receiver: HashMap::new(),
        waiting: VecDeque::new(),
        settlements: Vec::new(),
        next_poll: Instant::now(),
        more: false,
        failures: 0,
        report: DeliveryReport::default(),
    };
    state.work(&shutdown).await;
    state.finish().await;
    state.report
}

impl Loop<'_> {
    async fn work(&mut self, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            while let Some(ended) = self.tasks.try_join_next_with_id() {
                self.ended(ended);
            }
            self.fill();
            let now = Instant::now();
            let wanted = now >= self.next_poll || (self.more && self.room() >= self.deliverer.concurrency);
            // A failing store is left alone until its time has come, whatever there is to hand in.
            let ready = now >= self.next_poll || self.failures == 0;
            if ready && (wanted || !self.settlements.is_empty()) {
                tokio::select! {
                    biased;
                    () = self.exchange(wanted) => {}
                    () = shutdown.cancelled() => return,
                }
                continue;
            }
            let impatient = self.waiting.front().map_or(self.next_poll, |first| first.since + PATIENCE);
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => self.ended(ended),
                () = sleep_until(self.next_poll.min(impatient)) => {}
            }
        }
    }

    /// Starts what has a slot, and puts off what has waited too long for one.
    fn fill(&mut self) {
        let now = Instant::now();
        for waiting in std::mem::take(&mut self.waiting) {
            let busy = self.per_receiver.get(&waiting.receiver).copied().unwrap_or(0);
            if self.running.len() < self.deliverer.concurrency && busy < self.deliverer.per_receiver {
                self.start(waiting);
            } else if now >= waiting.since + PATIENCE {
                let backoff = self.deliverer.retry.delay(waiting.item.tries, self.deliverer.random.u64());
                self.settle(&waiting.item, Delivery::Again(backoff.min(LONGEST_DEFERRAL)));
                self.report.deferred += 1;
            } else {
                self.waiting.push_back(waiting);
            }
        }
    }

    fn settle(&mut self, item: &OutboxItem, delivery: Delivery) {
        self.settlements.push(Settlement { key: item.entry.key(), tries: item.tries, delivery });
    }

    fn start(&mut self, waiting: Waiting) {
        let Waiting { item, url, receiver, .. } = waiting;
        let (key, tries) = (item.entry.key(), item.tries);
        let event = &item.entry.event;
        let span = tracing::info_span!("webhook", key, tries, receiver, correlation_id = %event.correlation_id);
        let attempt = Attempt::of(self.deliverer, item, url);
        let task = self.tasks.spawn(attempt.run().instrument(span));
        *self.per_receiver.entry(receiver.clone()).or_default() += 1;
        self.running.insert(task.id(), Running { key, tries, receiver });
    }

    fn ended(&mut self, ended: Result<(Id, Tried), JoinError>) {
        let (id, tried) = match ended {
            Ok((id, tried)) => (id, tried),
            // A sender that panicked sent nothing that it could tell of.
            Err(error) => (error.id(), Tried::Unknown),
        };
        let Some(running) = self.running.remove(&id) else { return };
        if let Some(busy) = self.per_receiver.get_mut(&running.receiver) {
            *busy -= 1;
            if *busy == 0 {
                self.per_receiver.remove(&running.receiver);
            }
        }
        let backoff = || self.deliverer.retry.delay(running.tries, self.deliverer.random.u64());
        let delivery = match tried {
            Tried::Delivered => {
                self.report.delivered += 1;
                Delivery::Done
            }
            Tried::Failed(wait) => {
                self.report.failed += 1;
                Delivery::Again(wait)
            }
            Tried::GivenUp { kept } => {
                self.report.failed += 1;
                self.report.given_up += 1;
                self.report.unkept += u64::from(!kept);
                Delivery::Done
            }
            Tried::Unknown => Delivery::Again(backoff()),
        };
        self.settlements.push(Settlement { key: running.key, tries: running.tries, delivery });
    }

    /// As much again as there are slots: a fast receiver finds the next one ready.
    fn room(&self) -> usize {
        (2 * self.deliverer.concurrency).saturating_sub(self.running.len() + self.waiting.len())
    }

    /// Hands in, and takes if more is wanted.
    async fn exchange(&mut self, wanted: bool) {
        let deliverer = self.deliverer;
        let (topics, limit) = if wanted { (vec![TOPIC], self.room()) } else { (Vec::new(), 0) };
        let visibility = deliverer.courier.timeout.saturating_mul(2) + Duration::from_secs(30);
        let sent = self.settlements.len().min(crate::store::MAX_PAGE);
        let exchange = OutboxExchange::new(topics, limit, visibility, deliverer.courier.clock.now())
            .with_settlements(self.settlements[..sent].to_vec());
        match deliverer.store.outbox(exchange).await {
            Ok(items) => {
                self.failures = 0;
                self.settlements.drain(..sent);
                if wanted {
                    self.more = items.len() == limit;
                    self.next_poll = later(deliverer.poll);
                }
                self.take(items);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &StoreError) {
        self.report.store_failures += 1;
        self.failures = self.failures.saturating_add(1);
        let wait = STORE_BACKOFF.delay(self.failures, self.deliverer.random.u64());
        let wait = error.retry_after().unwrap_or(wait);
        tracing::warn!(%error, ?wait, "the job store failed; webhooks wait");
        self.next_poll = later(wait);
    }

    fn take(&mut self, items: Vec<OutboxItem>) {
        let since = Instant::now();
        for item in items {
            match &item.entry.topic {
                OutboxTopic::Callback { url, .. } => {
                    let (url, receiver) = (url.clone(), receiver(url));
                    self.waiting.push_back(Waiting { item, url, receiver, since });
                }
                // Not what was asked for: it is someone else's.
                _ => self.settle(&item, Delivery::Again(Duration::ZERO)),
            }
        }
    }

    /// The end: what is under way ends within its timeout, what waits is handed back.
    async fn finish(&mut self) {
        for waiting in std::mem::take(&mut self.waiting) {
            self.settle(&waiting.item, Delivery::Again(Duration::ZERO));
        }
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended);
        }
        for attempt in 1..=5 {
            if self.settlements.is_empty() {
                return;
            }
            let failed = self.report.store_failures;
            self.exchange(false).await;
            if self.report.store_failures > failed {
                tokio::time::sleep(STORE_BACKOFF.delay(attempt, self.deliverer.random.u64())).await;
            }
        }
        let entries = self.settlements.len();
        tracing::warn!(entries, "the job store took no outcomes of webhooks: they will be delivered again");
    }
}

/// What one try needs, so that it runs by itself.
struct Attempt {
    store: std::sync::Arc<dyn crate::store::JobStore>,
    courier: super::courier::Courier,
    random: std::sync::Arc<crate::random::Random>,
    retry: RetryPolicy,
    most_tries: u32,
    result_bytes: Option<usize>,
    letters: atlas_schema::QueueName,
    item: OutboxItem,
    url: String,
}

impl Attempt {
    fn of(deliverer: &WebhookDeliverer, item: OutboxItem, url: String) -> Self {
        Self {
            store: deliverer.store.clone(),
            courier: deliverer.courier.clone(),
            random: deliverer.random.clone(),
            retry: deliverer.retry,
            most_tries: deliverer.tries,
            result_bytes: deliverer.result_bytes,
            letters: deliverer.letters.clone(),
            item,
            url,
        }
    }

    async fn run(self) -> Tried {
        let ended = &self.item.entry.event;
        let record = match self.store.get_one(JobRef::Id(ended.job)).await {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(%error, "the job of a webhook can't be read; trying again later");
                return Tried::Unknown;
            }
        };
        let event = event::of_job(ended, record.as_ref(), self.result_bytes);
        let key = self.item.entry.key();
        let error = match self.courier.send(&self.url, &key, &event).await {
            Ok(reply) => {
                tracing::debug!(status = reply.status, "delivered");
                return Tried::Delivered;
            }
            Err(error) => error,
        };
        let now = self.courier.clock.now();
        if !self.is_last(&error, now.wall) {
            let wait = wait(self.retry.delay(self.item.tries, self.random.u64()), &error);
            tracing::info!(%error, ?wait, "a webhook failed; trying again");
            return Tried::Failed(wait);
        }
        // What is too large to be kept is kept without its result, which the receiver can ask for.
        let small = event::of_job(ended, record.as_ref(), None);
        let letter = Letter {
            key: &key,
            ended_at: ended.at,
            url: &self.url,
            events: [event, small],
            tenant: record.map_or_else(|| self.tenant(), |record| record.tenant),
            queue: self.letters.clone(),
            correlation: ended.correlation_id.clone(),
        };
        match letter::keep(&*self.store, letter, &error, &self.random, now).await {
            Ok(letter) => {
                tracing::error!(%error, %letter, "a webhook is given up; its dead letter can be redriven");
                Tried::GivenUp { kept: true }
            }
            Err(refused @ (LetterError::Refused(_) | LetterError::Invalid(_))) => {
                tracing::error!(%error, %refused, "a webhook is given up, and the store takes no dead letter of it");
                Tried::GivenUp { kept: false }
            }
            Err(failed) => {
                tracing::warn!(%error, %failed, "a webhook can't be given up: its dead letter can't be kept");
                Tried::Unknown
            }
        }
    }

    /// Whose the job was, if it is gone by now: the entry says so, save for one that an older release wrote.
    fn tenant(&self) -> TenantId {
        match &self.item.entry.topic {
            OutboxTopic::Callback { tenant: Some(tenant), .. } => tenant.clone(),
            _ => TenantId::default(),
        }
    }

    fn is_last(&self, error: &SendError, now: Timestamp) -> bool {
        let age = now.since(self.item.entry.event.at);
        error.is_final() || (self.item.tries >= self.most_tries && age >= least_age(&self.retry, self.most_tries))
    }
}

/// The time that so many tries take at the least. Entries that were put off have fewer tries behind them than their
/// count says, so the count alone gives nothing up.
fn least_age(retry: &RetryPolicy, tries: u32) -> Duration {
    (1..tries).map(|tried| retry.delay(tried, 0)).fold(Duration::ZERO, Duration::saturating_add)
}
