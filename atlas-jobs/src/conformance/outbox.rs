//! What must follow from transitions.

use super::{Bench, done};
use crate::state::OutboxTopic;
use crate::store::{Delivery, JobStore, OutboxExchange, OutboxItem, Purge, PurgeOptions, Settlement};
use atlas_schema::{Callback, JobId, JobStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

const VISIBILITY: Duration = Duration::from_secs(1);

/// Completes a job that has a callback and a parent.
async fn ended(bench: &mut Bench) -> (JobId, JobId) {
    let worker = bench.worker();
    let parent = bench.random.job_id(bench.now.wall);
    let callback = Callback { url: "https://example.org/done".into() };
    let id = bench.add(bench.spec().with_callback(callback).with_parent(parent)).await;
    let job = bench.claim_one(&worker).await;
    bench.ack(&worker, &job, done()).await;
    (id, parent)
}

/// The entries of one job. Other checks may share the store: theirs are put back.
async fn take(bench: &Bench, id: JobId, settlements: Vec<Settlement>) -> Vec<OutboxItem> {
    let exchange = OutboxExchange::new(vec!["callback", "child_ended"], 1000, VISIBILITY, bench.now);
    let items = bench.store.outbox(exchange.with_settlements(settlements)).await.expect("outbox");
    let (own, others): (Vec<_>, Vec<_>) = items.into_iter().partition(|item| item.entry.event.job == id);
    let back = |item: OutboxItem| Settlement {
        key: item.entry.key(),
        tries: item.tries,
        delivery: Delivery::Again(Duration::ZERO),
    };
    let exchange = OutboxExchange::new(Vec::new(), 0, VISIBILITY, bench.now);
    bench.store.outbox(exchange.with_settlements(others.into_iter().map(back).collect())).await.expect("outbox");
    own
}

/// One entry per follower, written with the end itself.
pub async fn an_end_posts_callback_and_child(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (id, parent) = ended(&mut bench).await;
    let items = take(&bench, id, Vec::new()).await;
    let topics: Vec<_> = items.iter().map(|item| item.entry.topic.clone()).collect();
    let tenant = Some(bench.tenant.clone());
    let callback = OutboxTopic::Callback { url: "https://example.org/done".into(), tenant };
    assert_eq!(topics, [callback, OutboxTopic::ChildEnded { parent }]);
    assert!(items.iter().all(|item| item.tries == 1 && item.entry.event.to == JobStatus::Completed));
}

/// One deliverer at a time, and another after the visibility time.
pub async fn an_entry_is_hidden_while_it_is_delivered(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (id, _) = ended(&mut bench).await;
    let began = Instant::now();
    assert_eq!(take(&bench, id, Vec::new()).await.len(), 2);
    let hidden = take(&bench, id, Vec::new()).await;
    if bench.stalled(began, VISIBILITY) {
        return;
    }
    assert_eq!(hidden, []);
    bench.pass(VISIBILITY + Duration::from_millis(100)).await;
    let again = take(&bench, id, Vec::new()).await;
    assert_eq!(again.iter().map(|item| item.tries).collect::<Vec<_>>(), [2, 2]);
    let done = |item: &OutboxItem| Settlement { key: item.entry.key(), tries: item.tries, delivery: Delivery::Done };
    take(&bench, id, again.iter().map(done).collect()).await;
    bench.pass(VISIBILITY * 2).await;
    assert_eq!(take(&bench, id, Vec::new()).await, [], "a settled entry is gone");
}

/// Whoever was too slow can't settle the entry of the next deliverer.
pub async fn a_late_delivery_report_does_not_count(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (id, _) = ended(&mut bench).await;
    let first = take(&bench, id, Vec::new()).await;
    bench.pass(VISIBILITY + Duration::from_millis(100)).await;
    assert_eq!(take(&bench, id, Vec::new()).await.len(), 2);
    let late = |item: &OutboxItem| Settlement { key: item.entry.key(), tries: item.tries, delivery: Delivery::Done };
    take(&bench, id, first.iter().map(late).collect()).await;
    bench.pass(VISIBILITY + Duration::from_millis(100)).await;
    assert_eq!(take(&bench, id, Vec::new()).await.len(), 2, "the entries are still there");
}

/// What a deleted job left undelivered stands in no later job's way.
pub async fn an_id_used_again_after_a_purge_can_end_again(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let callback = Callback { url: "https://example.org/done".into() };
    let id = bench.random.job_id(bench.now.wall);
    for round in 1..=2 {
        bench.add(bench.spec().with_id(id).with_callback(callback.clone())).await;
        let job = bench.claim_one(&worker).await;
        bench.ack(&worker, &job, done()).await;
        assert_eq!(bench.job(id).await.status, JobStatus::Completed, "round {round}");
        bench.store.purge(PurgeOptions::new(Purge::Jobs(vec![id]))).await.expect("purge");
    }
    assert_eq!(take(&bench, id, Vec::new()).await.len(), 1, "and is handed out once");
}
