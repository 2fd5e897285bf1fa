//! How soon a dead worker's jobs are back.

use crate::sim::clock::SimClock;
use atlas_jobs::{
    Clock, HandlerError, JobContext, JobManager, JobSpec, JobStore, JobStoreExt, MemoryJobs, Random, Worker, handler_fn,
};
use atlas_schema::{AuditKind, JobKind, Stage};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(1);
/// A worker sweeps twice per lease.
const SWEEP: Duration = Duration::from_millis(500);

fn worker(store: &Arc<dyn JobStore>, clock: &SimClock, kind: &str, seed: u64) -> Worker {
    let handler = handler_fn(|_: JobContext, _: u32| std::future::pending::<Result<(), HandlerError>>());
    let worker = Worker::builder(Arc::clone(store)).handler(JobKind::new(kind).unwrap(), Arc::new(handler));
    worker.clock(Arc::new(clock.clone())).random(Arc::new(Random::seeded(seed))).lease(LEASE).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_dead_workers_jobs_are_back_within_one_lease_plus_one_sweep() {
    let mut longest = Duration::ZERO;
    for phase in 0..100 {
        let store: Arc<dyn JobStore> = Arc::new(MemoryJobs::new(Stage::Dev));
        let clock = SimClock::start();
        let random = Arc::new(Random::seeded(phase));
        let jobs = JobManager::with_parts(Arc::clone(&store), Arc::new(clock.clone()), random);
        let id = jobs.enqueue(JobSpec::new(JobKind::new("k").unwrap(), &1).unwrap()).await.unwrap().id();
        let (dying, other) = (worker(&store, &clock, "k", phase), worker(&store, &clock, "else", phase + 1000));
        let dying = tokio::spawn(async move { dying.run(CancellationToken::new()).await });
        // The two are out of step, and death may come at any time between two beats and two sweeps.
        tokio::time::sleep(Duration::from_millis(phase * 53 % 500)).await;
        let other = tokio::spawn(async move { other.run(CancellationToken::new()).await });
        tokio::time::sleep(Duration::from_millis(2000 + phase * 37)).await;
        let died = clock.now().wall;
        dying.abort();
        tokio::time::sleep(LEASE * 3).await;
        other.abort();
        let history = store.history_all(id).await.unwrap();
        let back = history.iter().find(|event| event.kind == AuditKind::LeaseExpired).expect("it is back").at;
        longest = longest.max(back.since(died));
    }
    assert!(longest <= LEASE + SWEEP + Duration::from_millis(10), "{longest:?}");
    assert!(longest > LEASE, "the phases reach the worst case: {longest:?}");
}
