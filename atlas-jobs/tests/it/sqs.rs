//! Hints through a queue of SQS: quick when it works, and harmless whatever becomes of a message.

use atlas_jobs::sqs::{SqsHints, SqsReport};
use atlas_jobs::store::{Filter, Waker};
use atlas_jobs::{HandlerError, JobManager, JobSpec, JobStoreExt, MemoryJobs, Worker, handler_fn};
use atlas_schema::{JobKind, JobStatus, Stage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, HttpClient, Region, RuntimeComponents, retry::RetryConfig};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A busy machine gets so long to see something happen.
const PATIENCE: Duration = Duration::from_secs(30);
const URL: &str = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs";

/// What becomes of a message.
#[derive(Clone, Copy)]
enum Fate {
    Kept,
    Lost,
    Doubled,
}

/// The queue, at the other end of the client's connection.
#[derive(Clone, Default)]
struct Queue(Arc<State>);

#[derive(Default)]
struct State {
    inner: Mutex<Inner>,
    arrived: Notify,
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<u64>,
    in_flight: Vec<u64>,
    sent: u64,
    requests: Vec<String>,
    /// What becomes of the messages to come, in turn.
    fates: VecDeque<Fate>,
    /// So many calls fail.
    down: u32,
    deletes_fail: bool,
}

impl Queue {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap()
    }

    fn count(&self, operation: &str) -> usize {
        self.inner().requests.iter().filter(|request| *request == operation).count()
    }

    fn client(&self) -> Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .retry_config(RetryConfig::disabled())
            .http_client(self.clone());
        Client::from_conf(config.build())
    }

    fn hints(&self) -> SqsHints {
        SqsHints::new(self.client(), URL)
    }

    fn accept(&self, messages: usize) {
        let mut inner = self.inner();
        for _ in 0..messages {
            inner.sent += 1;
            let number = inner.sent;
            let copies = match inner.fates.pop_front().unwrap_or(Fate::Kept) {
                Fate::Lost => 0,
                Fate::Kept => 1,
                Fate::Doubled => 2,
            };
            inner.waiting.extend(std::iter::repeat_n(number, copies));
        }
        drop(inner);
        self.0.arrived.notify_waiters();
    }

    async fn answer(&self, operation: &str, body: &Value) -> (u16, Value) {
        {
            let mut inner = self.inner();
            inner.requests.push(operation.to_owned());
            assert_eq!(body["QueueUrl"], URL);
            if inner.down > 0 {
                inner.down -= 1;
                return (500, json!({ "__type": "InternalFailure", "message": "canary-value" }));
            }
        }
        let ids = || body["Entries"].as_array().unwrap().iter().map(|entry| json!({ "Id": entry["Id"] }));
        match operation {
            "SendMessage" => {
                assert!(!body["MessageBody"].as_str().unwrap().is_empty());
                self.accept(1);
                (200, json!({ "MessageId": "m", "MD5OfMessageBody": "0" }))
            }
            "SendMessageBatch" => {
                let entries: Vec<Value> = ids()
                    .map(|mut entry| {
                        entry["MessageId"] = "m".into();
                        entry["MD5OfMessageBody"] = "0".into();
                        entry
                    })
                    .collect();
                self.accept(entries.len());
                (200, json!({ "Successful": entries, "Failed": [] }))
            }
            "ReceiveMessage" => {
                let wait = Duration::from_secs(body["WaitTimeSeconds"].as_u64().unwrap());
                let taken = tokio::time::timeout(wait, self.take()).await.unwrap_or_default();
                let message = |n: u64| json!({ "MessageId": "m", "ReceiptHandle": format!("r{n}"), "MD5OfBody": "0", "Body": "b" });
                (200, json!({ "Messages": taken.into_iter().map(message).collect::<Vec<_>>() }))
            }
            "DeleteMessageBatch" => {
                let mut inner = self.inner();
                let flying = std::mem::take(&mut inner.in_flight);
                if inner.deletes_fail {
                    // They become visible again, once.
                    inner.deletes_fail = false;
                    inner.waiting.extend(flying);
                    return (500, json!({ "__type": "InternalFailure" }));
                }
                (200, json!({ "Successful": ids().collect::<Vec<_>>(), "Failed": [] }))
            }
            other => panic!("{other} is not one of ours"),
        }
    }

    /// The next messages, once there are any.
    async fn take(&self) -> Vec<u64> {
        loop {
            let arrived = self.0.arrived.notified();
            {
                let mut inner = self.inner();
                if !inner.waiting.is_empty() {
                    let most = inner.waiting.len().min(10);
                    let taken: Vec<u64> = inner.waiting.drain(..most).collect();
                    inner.in_flight.extend(&taken);
                    return taken;
                }
            }
            arrived.await;
        }
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queue")
    }
}

impl HttpClient for Queue {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Queue {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let queue = self.clone();
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap();
            let (status, answer) = queue.answer(&operation, &body).await;
            Ok(HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(answer.to_string())))
        })
    }
}

/// Runs one end until the token fires.
fn telling(hints: &SqsHints, news: &Waker, stop: &CancellationToken) -> tokio::task::JoinHandle<SqsReport> {
    let (hints, news, stop) = (hints.clone(), news.subscribe(), stop.clone());
    tokio::spawn(async move { hints.tell(news, stop).await })
}

fn listening(hints: &SqsHints, stop: &CancellationToken) -> tokio::task::JoinHandle<SqsReport> {
    let (hints, stop) = (hints.clone(), stop.clone());
    tokio::spawn(async move { hints.listen(stop).await })
}

#[tokio::test(start_paused = true)]
async fn news_of_one_process_does_not_wait_for_the_next_poll_of_another() {
    let (queue, news, stop) = (Queue::default(), Waker::new(), CancellationToken::new());
    let (here, there) = (queue.hints(), queue.hints());
    let mut woken = there.wakeups();
    let (told, heard) = (telling(&here, &news, &stop), listening(&there, &stop));
    for _ in 0..3 {
        news.wake();
        tokio::time::timeout(PATIENCE, woken.next()).await.expect("a hint");
    }
    // A pending receive holds up no shutdown.
    stop.cancel();
    let (told, heard) = (told.await.unwrap(), heard.await.unwrap());
    assert_eq!((told.messages, told.failures, heard.messages, heard.failures), (3, 0, 3, 0));
    assert_eq!(queue.count("DeleteMessageBatch"), 3, "what was heard is not heard again");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_news_is_one_message_per_pause_and_as_many_copies_as_wanted() {
    let (queue, news, stop) = (Queue::default(), Waker::new(), CancellationToken::new());
    let hints = queue.hints().with_copies(200).with_pause(Duration::from_secs(1));
    let told = telling(&hints, &news, &stop);
    for _ in 0..100 {
        news.wake();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    stop.cancel();
    // At once, and what came meanwhile a second later.
    assert_eq!(queue.count("SendMessageBatch"), 2);
    assert_eq!(told.await.unwrap().messages, 20, "ten are the most that one call may send");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_down_is_asked_less_and_less_often_and_then_heard_again() {
    let (queue, stop) = (Queue::default(), CancellationToken::new());
    queue.inner().down = 6;
    let hints = queue.hints();
    let mut woken = hints.wakeups();
    let heard = listening(&hints, &stop);
    let began = tokio::time::Instant::now();
    queue.accept(1);
    tokio::time::timeout(Duration::from_mins(10), woken.next()).await.expect("a hint");
    assert!(began.elapsed() > Duration::from_secs(3), "{:?}", began.elapsed());
    stop.cancel();
    let report = heard.await.unwrap();
    assert_eq!((report.messages, report.failures), (1, 6));
}

#[tokio::test]
async fn hints_that_are_lost_or_doubled_lose_no_job_and_run_none_twice() {
    let (queue, news, stop) = (Queue::default(), Waker::new(), CancellationToken::new());
    queue.inner().fates = [Fate::Lost, Fate::Doubled, Fate::Kept, Fate::Lost, Fate::Doubled].into();
    queue.inner().deletes_fail = true;
    let store = Arc::new(MemoryJobs::new(Stage::Dev));
    let jobs = JobManager::new(store.clone()).unwrap();
    let kind = JobKind::new("k").unwrap();
    let hints = queue.hints().with_pause(Duration::ZERO);
    let (told, heard) = (telling(&hints, &news, &stop), listening(&hints, &stop));
    let mut workers = Vec::new();
    for _ in 0..2 {
        let handler = Arc::new(handler_fn(|_, n: u64| async move { Ok::<_, HandlerError>(n) }));
        let worker = Worker::builder(store.clone()).handler(kind.clone(), handler).wakeups(hints.wakeups());
        let worker = worker.poll_interval(Duration::from_millis(20)).build().unwrap();
        let stop = stop.clone();
        workers.push(tokio::spawn(async move { worker.run(stop).await }));
    }
    for n in 0..20_u64 {
        jobs.enqueue(JobSpec::new(kind.clone(), &n).unwrap()).await.unwrap();
        news.wake();
        tokio::task::yield_now().await;
    }
    let began = tokio::time::Instant::now();
    let done = loop {
        let done = store.list_all(Filter::default().with_statuses([JobStatus::Completed])).await.unwrap();
        if done.len() == 20 && queue.inner().waiting.is_empty() {
            break done;
        }
        assert!(began.elapsed() < PATIENCE, "{} are done", done.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(done.iter().all(|job| job.epoch == 1), "each ran once");
    stop.cancel();
    for worker in workers {
        worker.await.unwrap().unwrap();
    }
    told.await.unwrap();
    heard.await.unwrap();
}

#[test]
fn hints_show_neither_account_nor_credentials() {
    let text = format!("{:?}", Queue::default().hints());
    assert!(!text.contains("123456789012") && !text.contains("test"), "{text}");
}
