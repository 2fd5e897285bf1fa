//! Workers that are killed, at moments with a name and in the midst of work.

use super::{Host, file, folder, kind, open, rounds, verify, work};
use atlas_jobs::faulty::{Fault, FaultPlan, FaultyStore, Operation};
use atlas_jobs::{JobManager, JobSpec, JobStore, Random};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A worker whose handler tells an oracle of each epoch that it runs, and that hangs at a moment of its seed.
pub(super) async fn doomed(store: Arc<dyn JobStore>) {
    let seed: u64 = std::env::var(super::SEED).unwrap().parse().unwrap();
    let random = Random::seeded(seed);
    let operation =
        [Operation::Exchange, Operation::Exchange, Operation::Sweep][usize::from(random.bytes::<1>()[0]) % 3];
    let forever = Duration::from_hours(1);
    // Just before the call reaches the store, or just after it has committed.
    let fault = if random.u64().is_multiple_of(2) { Fault::Delay(forever) } else { Fault::Lag(forever) };
    let hangs = FaultPlan::none().with_fault(operation, 1 + random.u64() % 4, fault);
    // Every other one runs until it is killed in the midst of work.
    let plan = if seed.is_multiple_of(2) { hangs } else { FaultPlan::none() };
    let store = FaultyStore::new(store, plan, 0);
    let worker = work(Arc::new(store.clone()), false, CancellationToken::new());
    let watch = async {
        while store.struck().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("hangs {:?}", store.struck());
        std::future::pending::<()>().await;
    };
    tokio::join!(worker, watch);
}

/// Kills one worker after the other over the same store, then does the rest.
pub(super) async fn kill(address: &str, kills: u64) {
    let folder = folder();
    let oracle = folder.path().join("oracle");
    let store = open(address).await;
    let jobs = JobManager::new(store.clone()).unwrap();
    let first = crate::sim::setting("ATLAS_SEED", 0);
    for seed in first..first + kills {
        let spec = |n| JobSpec::new(kind(), &(seed * 8 + n)).unwrap().with_max_attempts(1000);
        jobs.enqueue_many((0..8).map(spec).collect()).await.unwrap();
        let host = Host::start(address, "doomed", &oracle, seed);
        // Every other one dies as it hangs at its named moment, the others in the midst of work.
        if seed.is_multiple_of(2) {
            host.hear("hangs ");
        } else {
            host.hear("began ");
        }
        drop(host);
    }
    let report = work(store.clone(), true, CancellationToken::new()).await;
    assert!(kills == 1 || report.recovered > 0, "some were killed in the midst of a job");
    let by_hosts = verify(&*store, &oracle, kills * 8).await;
    println!("{kills} kills, {} jobs, {by_hosts} of them completed by hosts that were killed later", kills * 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_killed_at_named_and_at_random_moments_lose_nothing_and_double_nothing() {
    kill(&file(&folder()), rounds(20, 100)).await;
}
