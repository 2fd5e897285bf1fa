//! Hints of new jobs between processes, through a queue of Amazon SQS.
//!
//! Workers of other processes find new jobs at their next poll. Where that is too late, a process that adds jobs
//! [tells](SqsHints::tell) a queue of it, and processes with workers [listen](SqsHints::listen) to it. What a message says is
//! that there may be work, and nothing else: jobs stand in the store, and polling stays the floor. A message that is lost, late or
//! doubled loses no job and runs none twice; a queue that can't be reached makes workers as late as their polls.

use crate::clock::later;
use crate::random::Random;
use crate::retry::RetryPolicy;
use crate::store::{Waker, Wakeups};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// What a message holds: SQS takes none that is empty.
const BODY: &str = "atlas-jobs: there may be work";
/// The longest that SQS lets a receiver wait, and the most messages it gives at once. Amazon SQS API Reference,
/// `ReceiveMessage`.
const LONGEST_WAIT: i32 = 20;
const MOST_MESSAGES: i32 = 10;
/// The most messages of one request. Amazon SQS API Reference, `SendMessageBatch`.
const MOST_COPIES: u8 = 10;
/// Between two failed calls.
const BACKOFF: RetryPolicy = RetryPolicy::new(Duration::from_millis(200), Duration::from_mins(1));

/// A queue through which processes tell each other that there may be work.
///
/// It must be a standard queue (no FIFO queue) that serves nothing else, one per store. SQS hands each message to one listener: as
/// many processes wake at once as messages are [sent per hint](Self::with_copies), the others at their next poll. Let messages
/// expire soon (`MessageRetentionPeriod` of a minute): an old hint is worth nothing. Clones share one end of the queue.
///
/// The client needs a way to sleep, as its feature `rt-tokio` gives it, and a time limit of more than 20 seconds per call, or none.
///
/// # Example: a process with a worker
/// ```no_run
/// use atlas_jobs::sqs::SqsHints;
/// use atlas_jobs::{JobStore, Worker, WorkerBuilder};
/// use std::sync::Arc;
/// use tokio_util::sync::CancellationToken;
/// fn hinted(store: Arc<dyn JobStore>, client: aws_sdk_sqs::Client, shutdown: CancellationToken) -> WorkerBuilder {
///     let hints = SqsHints::new(client, "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs");
///     let builder = Worker::builder(store.clone()).wakeups(hints.wakeups());
///     if let Some(news) = store.wakeups() {
///         let (hints, shutdown) = (hints.clone(), shutdown.clone());
///         tokio::spawn(async move { hints.tell(news, shutdown).await });
///     }
///     tokio::spawn(async move { hints.listen(shutdown).await });
///     builder
/// }
/// ```
#[derive(Clone)]
pub struct SqsHints {
    client: Client,
    url: Arc<str>,
    copies: u8,
    pause: Duration,
    waker: Arc<Waker>,
    random: Arc<Random>,
}

impl fmt::Debug for SqsHints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the client, which holds credentials, nor the address, which holds an account.
        f.debug_struct("SqsHints").field("copies", &self.copies).field("pause", &self.pause).finish_non_exhaustive()
    }
}

/// What [`SqsHints::tell`] or [`SqsHints::listen`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqsReport {
    /// Messages that were sent, or heard.
    pub messages: u64,
    /// Calls that failed; each was logged.
    pub failures: u64,
}

impl SqsHints {
    /// Over the queue at `url`, with a client of the host's.
    pub fn new(client: Client, url: impl Into<Arc<str>>) -> Self {
        // Only for the spread of waits: without random bits of the system's, a constant will do.
        let random = Random::from_os().unwrap_or_else(|_| Random::seeded(1));
        Self {
            client,
            url: url.into(),
            copies: 1,
            pause: Duration::from_millis(100),
            waker: Arc::new(Waker::new()),
            random: Arc::new(random),
        }
    }

    /// Sends so many messages per hint, 1 to 10: so many processes may hear of it at once. Default 1.
    #[must_use]
    pub const fn with_copies(mut self, copies: u8) -> Self {
        self.copies = if copies == 0 {
            1
        } else if copies > MOST_COPIES {
            MOST_COPIES
        } else {
            copies
        };
        self
    }

    /// Waits so long after a hint before the next one is sent: what happens meanwhile shares it. Default 100 ms.
    #[must_use]
    pub const fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// What a worker of this process waits on: see [`WorkerBuilder::wakeups`](crate::WorkerBuilder::wakeups).
    pub fn wakeups(&self) -> Wakeups {
        self.waker.subscribe()
    }

    /// Tells the queue of each hint until `shutdown` fires: those of a store of this process
    /// ([`JobStore::wakeups`](crate::JobStore::wakeups)), which hints whenever this process may have made work. Nobody who adds
    /// jobs waits for it.
    pub async fn tell(&self, mut news: Wakeups, shutdown: CancellationToken) -> SqsReport {
        let mut report = SqsReport::default();
        let mut in_a_row = 0;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return report,
                () = news.next() => {}
            }
            let told = tokio::select! {
                biased;
                () = shutdown.cancelled() => return report,
                told = self.send() => told,
            };
            let wait = match told {
                Ok(messages) => {
                    in_a_row = 0;
                    report.messages += messages;
                    self.pause
                }
                // The hint is lost: whoever waited for it polls. What comes after it is told of again.
                Err(code) => self.failed("send", &code, &mut report, &mut in_a_row),
            };
            pause(wait, &shutdown).await;
        }
    }

    /// Listens to the queue until `shutdown` fires, and wakes the workers of this process that [wait](Self::wakeups) for it.
    pub async fn listen(&self, shutdown: CancellationToken) -> SqsReport {
        let mut report = SqsReport::default();
        let mut in_a_row = 0;
        loop {
            let heard = tokio::select! {
                biased;
                () = shutdown.cancelled() => return report,
                heard = self.receive() => heard,
            };
            match heard {
                Ok(messages) => {
                    if in_a_row > 0 {
                        // Hints may have been missed.
                        self.waker.wake();
                    }
                    in_a_row = 0;
                    report.messages += messages;
                }
                Err(code) => {
                    let wait = self.failed("receive", &code, &mut report, &mut in_a_row);
                    pause(wait, &shutdown).await;
                }
            }
        }
    }

    async fn send(&self) -> Result<u64, String> {
        if self.copies == 1 {
            let send = self.client.send_message().queue_url(&*self.url).message_body(BODY);
            return send.send().await.map(|_| 1).map_err(|error| code(&error));
        }
        let entry = |n: u8| SendMessageBatchRequestEntry::builder().id(n.to_string()).message_body(BODY).build();
        let entries: Result<Vec<_>, _> = (0..self.copies).map(entry).collect();
        let entries = entries.map_err(|_| "a request could not be built".to_owned())?;
        let send = self.client.send_message_batch().queue_url(&*self.url).set_entries(Some(entries));
        let sent = send.send().await.map_err(|error| code(&error))?;
        Ok(u64::try_from(sent.successful().len()).unwrap_or(0))
    }

    async fn receive(&self) -> Result<u64, String> {
        let receive = self.client.receive_message().queue_url(&*self.url);
        let receive = receive.wait_time_seconds(LONGEST_WAIT).max_number_of_messages(MOST_MESSAGES);
        let received = receive.send().await.map_err(|error| code(&error))?;
        if received.messages().is_empty() {
            return Ok(0);
        }
        self.waker.wake();
        // One that is not deleted comes again, which does no harm.
        if let Err(code) = self.delete(&received).await {
            tracing::debug!(code, "hints of new jobs were not deleted, and will come again");
        }
        Ok(u64::try_from(received.messages().len()).unwrap_or(0))
    }

    async fn delete(&self, received: &ReceiveMessageOutput) -> Result<(), String> {
        let handles = received.messages().iter().filter_map(|message| message.receipt_handle());
        let entry = |(n, handle): (usize, &str)| {
            DeleteMessageBatchRequestEntry::builder().id(n.to_string()).receipt_handle(handle).build()
        };
        let entries: Result<Vec<_>, _> = handles.enumerate().map(entry).collect();
        let entries = entries.map_err(|_| "a request could not be built".to_owned())?;
        let delete = self.client.delete_message_batch().queue_url(&*self.url).set_entries(Some(entries));
        delete.send().await.map(|_| ()).map_err(|error| code(&error))
    }

    fn failed(&self, call: &'static str, code: &str, report: &mut SqsReport, in_a_row: &mut u32) -> Duration {
        report.failures += 1;
        *in_a_row = in_a_row.saturating_add(1);
        let wait = BACKOFF.delay(*in_a_row, self.random.u64());
        tracing::warn!(
            call,
            code,
            ?wait,
            "the queue of hints failed; until it is back, workers of other processes poll"
        );
        wait
    }
}

/// What the service called its failure. Its messages may hold addresses and accounts: they are left out.
fn code(error: &impl ProvideErrorMetadata) -> String {
    error.code().unwrap_or("no answer").to_owned()
}

async fn pause(wait: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = sleep_until(later(wait)) => {}
    }
}
