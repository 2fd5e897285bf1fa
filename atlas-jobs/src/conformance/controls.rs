//! Pausing and limiting queues.

use super::{Bench, done};
use crate::store::{JobStore, QueueChange};
use std::sync::Arc;
use std::time::Duration;

/// A paused queue keeps its jobs, and gives them once it is resumed.
pub async fn a_paused_queue_gives_nothing(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.add(bench.spec()).await;
    let change = |paused| vec![QueueChange::new(bench.queue.clone()).with_paused(paused)];
    let (pause, resume) = (change(true), change(false));
    let states = bench.store.queues(pause, bench.now).await.expect("queues");
    assert!(states.iter().any(|state| state.queue == bench.queue && state.paused));
    assert_eq!(bench.claim(&worker, 1).await, []);
    bench.store.queues(resume, bench.now).await.expect("queues");
    assert_eq!(bench.claim(&worker, 1).await.len(), 1);
}

/// Over all workers no more than the limit run at a time.
pub async fn a_limited_queue_gives_no_more_than_its_limit(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (one, two) = (bench.worker(), bench.worker());
    bench.enqueue((0..5).map(|_| bench.spec()).collect()).await;
    let limit = QueueChange::new(bench.queue.clone()).with_max_running(Some(2));
    bench.store.queues(vec![limit], bench.now).await.expect("queues");
    let first = bench.claim(&one, 5).await;
    assert_eq!(first.len(), 2);
    assert_eq!(bench.claim(&two, 5).await, []);
    bench.ack(&one, &first[0], done()).await;
    assert_eq!(bench.claim(&two, 5).await.len(), 1, "an end makes room");
}

/// Over all workers no more are claimed than the rate allows: a burst of one second's worth, then its refill.
pub async fn a_rate_limited_queue_gives_no_more_than_its_rate(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (one, two) = (bench.worker(), bench.worker());
    bench.enqueue((0..12).map(|_| bench.spec()).collect()).await;
    let limit = QueueChange::new(bench.queue.clone()).with_max_per_second(Some(4));
    bench.store.queues(vec![limit], bench.now).await.expect("queues");
    assert_eq!(bench.claim(&one, 3).await.len(), 3);
    // A store with a clock of its own may have refilled one by now.
    assert!((1..=2).contains(&bench.claim(&two, 9).await.len()), "what is left of the burst");
    bench.pass(Duration::from_secs(1)).await;
    let refilled = bench.claim(&two, 9).await.len();
    assert!((3..=4).contains(&refilled), "a second refills the bucket and no more, not {refilled}");
    let lift = QueueChange::new(bench.queue.clone()).with_max_per_second(None);
    bench.store.queues(vec![lift], bench.now).await.expect("queues");
    assert!(!bench.claim(&one, 12).await.is_empty(), "a lifted limit limits nothing");
}
