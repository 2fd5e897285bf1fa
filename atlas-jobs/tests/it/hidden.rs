//! `Debug` of what carries payloads, results and words never shows them.

use atlas_jobs::batch::{BatchSpec, Child};
use atlas_jobs::state::{self, Command, OutboxTopic, Retry};
use atlas_jobs::store::{
    Ack, AckAction, CommandRequest, Exchange, Exchanged, Filter, Held, HeldOutcome, JobCommand, Page,
};
use atlas_jobs::webhook::{MemorySender, WebhookDeliverer, WebhookEvent, WebhookJob, WebhookSecret};
use atlas_jobs::{
    Clock, HandlerError, JobContext, JobManager, JobSpec, JobStoreExt, MemoryJobs, NewJob, Random, RedriveOptions,
    SystemClock,
};
use atlas_schema::{
    Actor, Callback, CancelRequest, ErrorCategory, IdempotencyKey, JobError, JobKind, JobRecord, Progress, Stage,
    WorkerId,
};
use serde_json::{Value, json};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MARKER: &str = "sesame-7f3a";

fn shown(value: &dyn Debug) {
    for text in [format!("{value:?}"), format!("{value:#?}")] {
        assert!(!text.contains(MARKER), "it shows what it should not: {text}");
        assert!(!text.is_empty());
    }
}

/// The marker wherever JSON may hold it.
fn values() -> [Value; 4] {
    [MARKER.into(), json!([MARKER]), json!({ "key": MARKER }), json!({ MARKER: { "deep": [MARKER] } })]
}

fn words() -> String {
    format!("before {MARKER} after")
}

fn error() -> JobError {
    JobError { category: ErrorCategory::Network, message: words() }
}

fn progress() -> Progress {
    Progress { done: 1, total: Some(2), note: Some(words()) }
}

fn url() -> String {
    format!("https://user:{MARKER}@example.org/{MARKER}?token={MARKER}")
}

fn spec(payload: Value) -> JobSpec {
    JobSpec::of_value(JobKind::new("k").unwrap(), payload).with_callback(Callback { url: url() })
}

fn new(payload: Value) -> NewJob {
    let random = Random::seeded(1);
    NewJob::new(spec(payload), Stage::Dev, random.job_id(SystemClock::new().now().wall), random.correlation_id())
}

/// A record with the marker in every field that takes free words or JSON.
fn record(value: &Value) -> JobRecord {
    let now = SystemClock::new().now().wall;
    let mut record = new(value.clone()).record().clone();
    record.result = Some(value.clone());
    record.error = Some(error());
    record.progress = Some(progress());
    record.cancel_requested = Some(CancelRequest { at: now, reason: words(), acknowledge_by: now });
    record
}

#[test]
fn records_and_what_makes_them_show_no_payload_no_result_and_no_words() {
    for value in values() {
        shown(&spec(value.clone()));
        shown(&new(value.clone()));
        shown(&NewJob::migrated(record(&value)));
        shown(&record(&value));
        shown(&record(&value).map_payload(|payload| (payload, 1)));
        shown(&JobContext::new(record(&value), CancellationToken::new()));
        shown(&Child::from(spec(value.clone())));
        shown(
            &BatchSpec::new(IdempotencyKey::new("b").unwrap(), [spec(value.clone())]).with_job(|_| spec(value.clone())),
        );
        shown(&Page { items: vec![record(&value)], next: None });
        let mut exchanged = Exchanged::default();
        exchanged.claimed = vec![record(&value)];
        exchanged.held = vec![HeldOutcome::CancelRequested(record(&value).cancel_requested.unwrap())];
        shown(&exchanged);
    }
    shown(&HandlerError::new(ErrorCategory::Network, words()));
    shown(&RedriveOptions::new(Filter::default(), words()));
}

#[test]
fn commands_and_outcomes_show_no_result_and_no_words() {
    let id = record(&Value::Null).id;
    for result in values() {
        let commands = [
            Command::Complete { epoch: 1, result: result.clone() },
            Command::Fail { epoch: 1, error: error(), retry: Retry::Never },
            Command::Cancel { reason: words(), acknowledge_within: Duration::ZERO },
            Command::Abandon { error: error() },
            Command::Conclude { result: result.clone() },
            Command::Redrive { reason: words(), delay: Duration::ZERO },
        ];
        for command in &commands {
            shown(command);
        }
        let requests = [
            JobCommand::Cancel { reason: words(), acknowledge_within: Duration::ZERO },
            JobCommand::Redrive { reason: words(), delay: Duration::ZERO },
            JobCommand::Abandon { error: error() },
            JobCommand::Conclude { result: result.clone() },
        ];
        for command in requests {
            shown(&CommandRequest { job: id, if_version: None, command });
        }
        let actions =
            [AckAction::Complete { result: result.clone() }, AckAction::Fail { error: error(), retry: Retry::Never }];
        let acks = actions.into_iter().map(|action| Ack { job: id, epoch: 1, action }).collect();
        let held = vec![Held { job: id, epoch: 1, progress: Some(progress()) }];
        let worker = WorkerId::new("w").unwrap();
        let exchange = Exchange::new(worker, 1, Duration::from_secs(1), SystemClock::new().now());
        shown(&exchange.with_acks(acks).with_held(held));
    }
}

#[test]
fn effects_and_what_follows_from_them_show_neither() {
    let now = SystemClock::new().now().wall;
    let worker = WorkerId::new("w").unwrap();
    let caller = || Actor::Caller {};
    for value in values() {
        let first = new(value.clone()).apply(now).unwrap();
        shown(&first);
        let claim = Command::Claim { worker: worker.clone(), lease: Duration::from_secs(1) };
        let claimed = state::apply(&first.record, claim, now, caller()).unwrap();
        let commands = [
            Command::Complete { epoch: 1, result: value.clone() },
            Command::Fail { epoch: 1, error: error(), retry: Retry::Never },
            Command::Cancel { reason: words(), acknowledge_within: Duration::ZERO },
        ];
        for command in commands {
            let applied = state::apply(&claimed.record, command, now, caller()).unwrap();
            shown(&applied);
            shown(&applied.event);
            for entry in &applied.outbox {
                shown(entry);
            }
        }
    }
    shown(&OutboxTopic::Callback { url: url(), tenant: None });
}

#[tokio::test]
async fn webhooks_and_stores_show_neither() {
    for value in values() {
        let event = WebhookEvent::new("host.event", SystemClock::new().now().wall, value.clone());
        shown(&event);
        shown(&WebhookJob::new(url(), event).unwrap());
        let store = Arc::new(MemoryJobs::new(Stage::Dev));
        let jobs = JobManager::new(store.clone()).unwrap();
        let id = jobs.enqueue(spec(value.clone())).await.unwrap().id();
        jobs.cancel(id, words(), Duration::ZERO).await.unwrap();
        shown(&store);
        shown(&jobs);
        shown(&store.history_all(id).await.unwrap());
        shown(&jobs.get(id).await.unwrap());
        // What a deliverer hands to its sender holds the address and the body.
        let sender = MemorySender::new();
        let secret = WebhookSecret::parse("whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
        let webhooks = WebhookDeliverer::builder(store.clone(), Arc::new(sender.clone()), vec![secret]);
        let deliverer = webhooks.build().unwrap();
        shown(&deliverer);
        let stop = CancellationToken::new();
        let running = tokio::spawn({
            let stop = stop.clone();
            async move { deliverer.run(stop).await }
        });
        while sender.sent().is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        running.await.unwrap();
        shown(&sender);
        shown(&sender.sent());
    }
}
