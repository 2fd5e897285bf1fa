//! Where webhooks end that nobody takes: in a dead letter of the right tenant, a smaller one, or visibly in none.

use crate::weak_spots::each;
use async_trait::async_trait;
use atlas_jobs::store::{Filter, JobCommand, OutboxExchange, Purge, PurgeOptions};
use atlas_jobs::webhook::{
    DeliveryReport, MemorySender, SendError, SendErrorKind, WebhookDeliverer, WebhookDelivererBuilder, WebhookReply,
    WebhookRequest, WebhookSecret, WebhookSender,
};
use atlas_jobs::{Clock, JobManager, JobSpec, JobStore, JobStoreExt, ManualClock, Random, SystemClock};
use atlas_schema::{Callback, JobId, JobKind, JobRecord, JobStatus, TenantId};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A receiver that wants no more webhooks.
#[derive(Debug)]
struct Gone;

#[async_trait]
impl WebhookSender for Gone {
    async fn send(&self, _: WebhookRequest) -> Result<WebhookReply, SendError> {
        Err(SendError::new(SendErrorKind::Gone))
    }
}

fn deliverer(store: &Arc<dyn JobStore>, sender: impl WebhookSender) -> WebhookDelivererBuilder {
    let secret = WebhookSecret::from_bytes(vec![7; 32]).unwrap();
    WebhookDeliverer::builder(Arc::clone(store), Arc::new(sender), vec![secret])
}

/// Ends a job that has a callback, with a result of so many bytes.
async fn end_one(store: &Arc<dyn JobStore>, tenant: &TenantId, bytes: usize) -> JobId {
    let jobs = JobManager::new(Arc::clone(store)).unwrap();
    let spec = JobSpec::new(JobKind::new("work").unwrap(), &1).unwrap().with_tenant(tenant.clone());
    let id = jobs.enqueue(spec.with_callback(Callback { url: "https://gone.example/".into() })).await.unwrap().id();
    jobs.command(id, None, JobCommand::Conclude { result: "x".repeat(bytes).into() }).await.unwrap();
    id
}

/// Runs a deliverer until `done` says so, but for at most ten seconds.
async fn until(deliverer: WebhookDeliverer, done: impl AsyncFn() -> bool) -> DeliveryReport {
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let running = tokio::spawn(async move { deliverer.run(stop).await });
    for _ in 0..5000 {
        if running.is_finished() || done().await {
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    shutdown.cancel();
    running.await.unwrap()
}

async fn letters(store: &Arc<dyn JobStore>) -> Vec<JobRecord> {
    let filter = Filter::default().with_kind(JobKind::webhook()).with_statuses([JobStatus::Failed]);
    store.list_all(filter).await.unwrap()
}

#[tokio::test]
async fn a_webhook_too_large_for_a_dead_letter_is_kept_without_its_result_and_not_sent_for_ever() {
    for store in each().await {
        let bytes = store.capabilities().max_payload_bytes + 1;
        end_one(&store, &TenantId::default(), bytes).await;
        let built = deliverer(&store, Gone).with_results_up_to(bytes * 2).build().unwrap();
        let report = until(built, async || !letters(&store).await.is_empty()).await;
        assert_eq!((report.failed, report.given_up, report.unkept), (1, 1, 0));
        let letters = letters(&store).await;
        let data = &letters[0].payload["event"]["data"];
        assert_eq!((letters.len(), &data["resultOmitted"], data.get("result")), (1, &true.into(), None));
        let after = SystemClock::new().now().plus(Duration::from_hours(48));
        let left = OutboxExchange::new(vec!["callback"], 10, Duration::ZERO, after);
        assert_eq!(store.outbox(left).await.unwrap(), [], "nothing is left to be sent");
    }
}

#[tokio::test]
async fn the_dead_letter_of_a_job_that_was_deleted_meanwhile_belongs_to_its_tenant() {
    for store in each().await {
        let tenant = TenantId::new("theirs").unwrap();
        let id = end_one(&store, &tenant, 1).await;
        store.purge(PurgeOptions::new(Purge::Jobs(vec![id]))).await.unwrap();
        let built = deliverer(&store, Gone).build().unwrap();
        until(built, async || !letters(&store).await.is_empty()).await;
        let tenants: Vec<_> = letters(&store).await.into_iter().map(|letter| letter.tenant).collect();
        assert_eq!(tenants, [tenant]);
    }
}

#[tokio::test]
async fn a_deliverer_that_polls_never_works_on_what_is_there_and_does_not_panic() {
    let store = crate::stores::memory().await;
    end_one(&store, &TenantId::default(), 1).await;
    let sender = MemorySender::new();
    let built = deliverer(&store, sender.clone()).poll_interval(Duration::MAX).build().unwrap();
    let report = until(built, async || !sender.sent().is_empty()).await;
    assert_eq!((report.delivered, report.given_up), (1, 0));
}

#[tokio::test]
async fn a_dead_letter_is_not_lost_to_an_older_one_of_a_deleted_job_with_the_same_id() {
    for store in each().await {
        let now = SystemClock::new().now().wall;
        let id = atlas_schema::JobId::from_parts(now, [7; 10]);
        for (hours, name) in [(2, "first"), (1, "second")] {
            let clock = Arc::new(ManualClock::at(now.saturating_sub(Duration::from_hours(hours))));
            let jobs = JobManager::with_parts(Arc::clone(&store), clock, Arc::new(Random::seeded(hours)));
            let callback = Callback { url: format!("https://{name}.example/") };
            let spec = JobSpec::new(JobKind::new("work").unwrap(), &1).unwrap().with_id(id).with_callback(callback);
            jobs.enqueue(spec).await.unwrap();
            jobs.command(id, None, JobCommand::Conclude { result: 1.into() }).await.unwrap();
            let wanted = if name == "first" { 1 } else { 2 };
            let built = deliverer(&store, Gone).build().unwrap();
            let report = until(built, async || letters(&store).await.len() == wanted).await;
            assert_eq!((report.given_up, report.unkept), (1, 0));
            store.purge(PurgeOptions::new(Purge::Jobs(vec![id]))).await.unwrap();
        }
        let kept = letters(&store).await;
        let mut urls: Vec<_> = kept.iter().map(|letter| letter.payload["url"].as_str().unwrap()).collect();
        urls.sort_unstable();
        assert_eq!(urls, ["https://first.example/", "https://second.example/"]);
    }
}

#[cfg(feature = "mock")]
#[tokio::test]
async fn a_webhook_of_which_the_store_takes_no_letter_at_all_is_given_up_and_counted() {
    use atlas_jobs::state::Reject;
    use atlas_jobs::store::{Delivery, Enqueued};
    use std::sync::atomic::{AtomicBool, Ordering};
    let memory = crate::stores::memory().await;
    end_one(&memory, &TenantId::default(), 1).await;
    let now = SystemClock::new().now();
    let taken = memory.outbox(OutboxExchange::new(vec!["callback"], 1, Duration::ZERO, now)).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let mut store = atlas_jobs::MockJobStore::new();
    store.expect_stage().return_const(atlas_schema::Stage::Dev);
    store.expect_get().returning(|references| Ok(references.iter().map(|_| None).collect()));
    let refuse = || Enqueued::Refused(Reject::OutOfRange { what: "the payload", min: 0, max: 1, unit: "bytes" });
    store.expect_enqueue().times(2).returning(move |_, _| Ok(vec![refuse()]));
    let (settled, mut first) = (Arc::clone(&done), Some(taken));
    store.expect_outbox().returning(move |exchange| {
        let dones = exchange.settlements.iter().filter(|one| one.delivery == Delivery::Done).count();
        settled.fetch_or(dones > 0, Ordering::SeqCst);
        Ok(if exchange.limit > 0 { first.take().unwrap_or_default() } else { Vec::new() })
    });
    let store: Arc<dyn JobStore> = Arc::new(store);
    let built = deliverer(&store, Gone).build().unwrap();
    let report = until(built, async || done.load(Ordering::SeqCst)).await;
    assert_eq!((report.given_up, report.unkept, done.load(Ordering::SeqCst)), (1, 1, true));
}
