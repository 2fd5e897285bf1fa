//! The deliverer and the handler of webhooks, over both stores: at least once, given up visibly, one slow receiver
//! holds up nobody else.

use crate::weak_spots::each;
use async_trait::async_trait;
use atlas_jobs::store::{Filter, JobRef};
use atlas_jobs::webhook::{
    DeliveryReport, InvalidDeliverer, JobEvent, MemorySender, SendError, SendErrorKind, TOLERANCE, WebhookDeliverer,
    WebhookEvent, WebhookHandler, WebhookJob, WebhookReply, WebhookRequest, WebhookSecret, WebhookSender, verify,
};
use atlas_jobs::{
    Clock, HandlerError, JobManager, JobSpec, JobStore, JobStoreExt, Random, RetryPolicy, SystemClock, Worker,
    handler_fn,
};
use atlas_schema::{Callback, ErrorCategory, IdempotencyKey, JobId, JobKind, JobStatus, Stage, TenantId};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn secret() -> WebhookSecret {
    WebhookSecret::from_bytes(vec![7; 32]).unwrap()
}

/// Ends jobs of kind `work`, one per callback address: with a result, or failed if the address says so.
async fn end_jobs(store: &Arc<dyn JobStore>, urls: &[&str]) -> Vec<JobId> {
    let jobs = JobManager::new(Arc::clone(store)).unwrap();
    let kind = JobKind::new("work").unwrap();
    let mut ids = Vec::new();
    for url in urls {
        let spec = JobSpec::new(kind.clone(), &url).unwrap().with_callback(Callback { url: (*url).into() });
        ids.push(jobs.enqueue(spec.with_max_attempts(1)).await.unwrap().id());
    }
    let handler = handler_fn(|_, url: String| async move {
        if url.contains("fails") {
            return Err(HandlerError::new(ErrorCategory::NoData, "a message with a secret"));
        }
        Ok("x".repeat(50))
    });
    let worker = Worker::builder(Arc::clone(store)).handler(kind, Arc::new(handler)).stop_when_drained(true);
    worker.build().unwrap().run(CancellationToken::new()).await.unwrap();
    ids
}

fn deliverer(
    store: &Arc<dyn JobStore>,
    sender: Arc<dyn WebhookSender>,
) -> atlas_jobs::webhook::WebhookDelivererBuilder {
    WebhookDeliverer::builder(Arc::clone(store), sender, vec![secret()])
        .retry(RetryPolicy::new(Duration::from_millis(2), Duration::from_millis(4)))
        .poll_interval(Duration::from_millis(2))
        .random(Arc::new(Random::seeded(1)))
}

/// Runs a deliverer until `done` says so.
async fn until(deliverer: WebhookDeliverer, done: impl AsyncFn() -> bool) -> DeliveryReport {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { deliverer.run(stop).await });
    for _ in 0..10_000 {
        if done().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(done().await, "the deliverer did not come so far");
    shutdown.cancel();
    running.await.unwrap()
}

fn event(request: &WebhookRequest) -> (WebhookEvent, JobEvent) {
    let event: WebhookEvent = serde_json::from_slice(&request.body).unwrap();
    let data = serde_json::from_value(event.data.clone()).unwrap();
    (event, data)
}

#[tokio::test]
async fn each_end_of_a_job_is_told_once_signed_and_without_its_message() {
    for store in each().await {
        let ids = end_jobs(&store, &["https://a.example/done", "https://b.example/fails"]).await;
        let sender = MemorySender::new();
        let built = deliverer(&store, Arc::new(sender.clone())).build().unwrap();
        let report = until(built, async || sender.sent().len() >= 2).await;
        assert_eq!((report.delivered, report.failed, report.given_up), (2, 0, 0));
        let mut sent = sender.sent();
        sent.sort_by(|a, b| a.url.cmp(&b.url));
        for (request, id) in sent.iter().zip(&ids) {
            let now = SystemClock::new().now().wall;
            assert_eq!(verify(|name| request.headers.get(name), &request.body, &[secret()], now, TOLERANCE), Ok(()));
            let (event, data) = event(request);
            let job = store.get_one(JobRef::Id(*id)).await.unwrap().unwrap();
            assert_eq!((data.job_id, data.status, data.job_version), (*id, job.status, job.version));
            assert_eq!((data.kind, data.correlation_id), (Some(job.kind), job.correlation_id));
            assert_eq!((event.version, event.timestamp), (1, job.finished_at.unwrap().to_string()));
            assert_eq!(request.headers.id, format!("{id}:{}:callback", job.version));
        }
        let (done, failed) = (event(&sent[0]), event(&sent[1]));
        assert_eq!((done.0.event_type.as_str(), failed.0.event_type.as_str()), ("job.completed", "job.failed"));
        assert!(done.1.result_omitted && done.1.result.is_none());
        assert_eq!(failed.1.error.unwrap().category, ErrorCategory::NoData);
        assert!(!String::from_utf8_lossy(&sent[1].body).contains("secret"));
        // Nothing is left for the next deliverer.
        let again = MemorySender::new();
        let token = CancellationToken::new();
        token.cancel();
        assert_eq!(deliverer(&store, Arc::new(again)).build().unwrap().run(token).await.delivered, 0);
    }
}

#[tokio::test]
async fn a_result_is_sent_if_asked_for_and_not_too_large() {
    for (most, sent_along) in [(52, true), (51, false)] {
        let store = crate::stores::memory().await;
        end_jobs(&store, &["https://a.example/done"]).await;
        let sender = MemorySender::new();
        let built = deliverer(&store, Arc::new(sender.clone())).with_results_up_to(most).build().unwrap();
        until(built, async || !sender.sent().is_empty()).await;
        let (_, data) = event(&sender.sent()[0]);
        assert_eq!((data.result.is_some(), data.result_omitted), (sent_along, !sent_along), "{most} bytes");
    }
}

/// Answers by a script per receiver, and notes how often each was asked.
#[derive(Debug, Default)]
struct Scripted {
    asked: Mutex<HashMap<String, u32>>,
    open: AtomicBool,
}

impl Scripted {
    fn asked(&self, url: &str) -> u32 {
        self.asked.lock().unwrap().get(url).copied().unwrap_or(0)
    }
}

#[async_trait]
impl WebhookSender for Scripted {
    async fn send(&self, request: WebhookRequest) -> Result<WebhookReply, SendError> {
        let url = request.url.clone();
        let times = {
            let mut asked = self.asked.lock().unwrap();
            let times = asked.entry(url.clone()).or_default();
            *times += 1;
            *times
        };
        let fail = |kind| Err(SendError::new(kind));
        match url.as_str() {
            "https://third.example/" if times < 3 => fail(SendErrorKind::Status(500)),
            "https://gone.example/" => fail(SendErrorKind::Gone),
            "https://down.example/?token=hidden" if !self.open.load(Ordering::SeqCst) => fail(SendErrorKind::Network),
            "https://busy.example/" if times == 1 => {
                Err(SendError::new(SendErrorKind::Status(429)).with_retry_after(Some(Duration::from_mins(10))))
            }
            "https://panics.example/" if times == 1 => panic!("a sender may be broken"),
            url if url.starts_with("https://slow.example/") => {
                tokio::time::sleep(request.timeout * 10).await;
                Ok(WebhookReply::new(200))
            }
            _ => Ok(WebhookReply::new(204)),
        }
    }
}

#[tokio::test]
async fn a_failed_delivery_is_tried_again_until_it_passes_and_a_broken_sender_is_survived() {
    for store in each().await {
        end_jobs(&store, &["https://third.example/", "https://panics.example/"]).await;
        let sender = Arc::new(Scripted::default());
        let built = deliverer(&store, sender.clone()).build().unwrap();
        let done = async || sender.asked("https://third.example/") == 3 && sender.asked("https://panics.example/") == 2;
        let report = until(built, done).await;
        assert_eq!((report.delivered, report.failed, report.given_up), (2, 2, 0));
    }
}

#[tokio::test]
async fn what_is_given_up_is_a_dead_letter_that_a_redrive_delivers() {
    for store in each().await {
        let url = "https://down.example/?token=hidden";
        let ended = end_jobs(&store, &[url, "https://gone.example/"]).await;
        let sender = Arc::new(Scripted::default());
        let built = deliverer(&store, sender.clone()).tries(3).build().unwrap();
        let letters = async || {
            let filter = Filter::default().with_kind(JobKind::webhook()).with_statuses([JobStatus::Failed]);
            store.list_all(filter).await.unwrap()
        };
        let report = until(built, async || letters().await.len() == 2).await;
        assert_eq!((report.given_up, report.delivered), (2, 0));
        // One that says it is gone is asked once, the other as often as said.
        assert!(sender.asked(url) >= 3 && sender.asked("https://gone.example/") == 1);
        let ended_at = store.get_one(JobRef::Id(ended[0])).await.unwrap().unwrap().finished_at.unwrap();
        let key = format!("webhook:{}:3:callback:{}", ended[0], ended_at.as_millis());
        let key = IdempotencyKey::new(key).unwrap();
        let letter = store.get_one(JobRef::Idempotency(TenantId::default(), key)).await.unwrap().unwrap();
        let error = letter.error.clone().unwrap();
        assert_eq!(error.category, ErrorCategory::Network);
        assert!(!error.message.contains("hidden"));

        sender.open.store(true, Ordering::SeqCst);
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        jobs.redrive(letter.id, "the receiver is up again").await.unwrap();
        let handler = WebhookHandler::new(sender.clone(), vec![secret()]).unwrap();
        let worker = Worker::builder(Arc::clone(&store)).handler(JobKind::webhook(), Arc::new(handler));
        worker.stop_when_drained(true).build().unwrap().run(CancellationToken::new()).await.unwrap();
        let letter = jobs.get(letter.id).await.unwrap().unwrap();
        assert_eq!(letter.result, Some(json!({ "status": 204 })));
    }
}

/// Bad input 67: a slow receiver.
#[tokio::test(start_paused = true)]
async fn one_slow_receiver_does_not_hold_up_the_others() {
    let store = crate::stores::memory().await;
    let slow: Vec<String> = (0..200).map(|n| format!("https://slow.example/{n}")).collect();
    let quick: Vec<String> = (0..50).map(|n| format!("https://quick.example/{n}")).collect();
    let urls: Vec<&str> = slow.iter().chain(&quick).map(String::as_str).collect();
    end_jobs(&store, &urls).await;
    let sender = Arc::new(Scripted::default());
    let built = WebhookDeliverer::builder(Arc::clone(&store), sender.clone(), vec![secret()])
        .concurrency(16)
        .per_receiver(4)
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let began = tokio::time::Instant::now();
    let running = tokio::spawn(async move { built.run(stop).await });
    while quick.iter().any(|url| sender.asked(url) == 0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(began.elapsed() < Duration::from_secs(20), "the quick receiver waits for the slow one");
    }
    shutdown.cancel();
    let report = running.await.unwrap();
    assert_eq!((report.delivered, report.given_up), (50, 0));
    assert!(report.deferred > 0);
    assert!(began.elapsed() < Duration::from_secs(40), "a shutdown waits for one timeout at most");
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_a_receiver_asks_for_is_kept_and_capped() {
    let store = crate::stores::memory().await;
    end_jobs(&store, &["https://busy.example/"]).await;
    let sender = Arc::new(Scripted::default());
    // The wall clock is that of tokio's paused time, so that the store sees the wait pass.
    let clock = Arc::new(Paused(tokio::time::Instant::now(), SystemClock::new().now()));
    let built = deliverer(&store, sender.clone()).clock(clock).poll_interval(Duration::from_secs(1)).build().unwrap();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { built.run(stop).await });
    tokio::time::sleep(Duration::from_mins(9)).await;
    assert_eq!(sender.asked("https://busy.example/"), 1);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(sender.asked("https://busy.example/"), 2);
    shutdown.cancel();
    assert_eq!(running.await.unwrap().delivered, 1);
}

#[derive(Debug)]
pub(crate) struct Paused(pub(crate) tokio::time::Instant, pub(crate) atlas_jobs::Moment);

impl Clock for Paused {
    fn now(&self) -> atlas_jobs::Moment {
        self.1.plus(self.0.elapsed())
    }
}

#[tokio::test]
async fn a_deliverer_that_dies_before_it_hands_in_delivers_again() {
    for store in each().await {
        end_jobs(&store, &["https://a.example/done"]).await;
        let lost =
            atlas_jobs::store::OutboxExchange::new(vec!["callback"], 10, Duration::ZERO, SystemClock::new().now());
        // Taken and sent by a process that then dies.
        assert_eq!(store.outbox(lost).await.unwrap().len(), 1);
        let sender = MemorySender::new();
        let built = deliverer(&store, Arc::new(sender.clone())).build().unwrap();
        until(built, async || sender.sent().len() == 1).await;
    }
}

#[tokio::test]
async fn a_job_of_kind_webhook_is_delivered_with_its_own_id() {
    for store in each().await {
        let sender = MemorySender::new();
        let now = SystemClock::new().now().wall;
        let event = WebhookEvent::new("invoice.paid", now, json!({ "invoice": 7 }));
        let spec = WebhookJob::new("https://a.example/hooks", event.clone()).unwrap().spec().unwrap();
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        let id = jobs.enqueue(spec).await.unwrap().id();
        let handler = WebhookHandler::new(Arc::new(sender.clone()), vec![secret()]).unwrap();
        let worker = Worker::builder(Arc::clone(&store)).handler(JobKind::webhook(), Arc::new(handler));
        worker.stop_when_drained(true).build().unwrap().run(CancellationToken::new()).await.unwrap();
        let sent = sender.sent();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0].headers.id, id.to_string());
        assert_eq!(serde_json::from_slice::<WebhookEvent>(&sent[0].body).unwrap(), event);
    }
}

#[test]
fn addresses_that_are_none_and_deliverers_that_can_not_work_are_refused() {
    let now = SystemClock::new().now().wall;
    let event = || WebhookEvent::new("e", now, Value::Null);
    for url in [
        "",
        "a.example",
        "ftp://a.example/",
        "https://",
        "https://a.example/ b",
        &format!("https://{}", "a".repeat(2048)),
    ] {
        assert!(WebhookJob::new(url, event()).is_err(), "{url}");
    }
    let store: Arc<dyn JobStore> = Arc::new(atlas_jobs::MemoryJobs::new(Stage::Dev));
    let sender: Arc<dyn WebhookSender> = Arc::new(MemorySender::new());
    let none = WebhookDeliverer::builder(Arc::clone(&store), Arc::clone(&sender), vec![]).build();
    assert_eq!(none.unwrap_err(), InvalidDeliverer::NoSecret);
    for built in [
        deliverer(&store, Arc::clone(&sender)).tries(0),
        deliverer(&store, Arc::clone(&sender)).concurrency(0),
        deliverer(&store, Arc::clone(&sender)).per_receiver(65),
        deliverer(&store, Arc::clone(&sender)).timeout(Duration::ZERO),
        deliverer(&store, Arc::clone(&sender)).poll_interval(Duration::ZERO),
    ] {
        assert!(matches!(built.build().unwrap_err(), InvalidDeliverer::OutOfRange { .. }));
    }
}

#[test]
fn what_is_printed_of_a_delivery_holds_no_path_query_credentials_or_body() {
    let headers = atlas_jobs::webhook::sign("e:1", SystemClock::new().now().wall, b"body", &[secret()]);
    let url = "https://user:pw@A.example:8443/path?token=hidden".to_owned();
    let shown = format!("{:?}", WebhookRequest::new(url, headers, b"body".to_vec(), Duration::from_secs(1)));
    assert!(shown.contains("https://a.example:8443"), "{shown}");
    for hidden in ["user", "pw", "path", "token", "hidden", "v1,", "98, 111"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}
