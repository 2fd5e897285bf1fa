//! Workers that are stopped past their lease and go on: nothing they write counts.

use super::{Host, LEASE, file, folder, kind, open, rounds};
use crate::mutants::Broken;
use atlas_jobs::conformance::trail::audit;
use atlas_jobs::store::{Ack, AckAction, AckOutcome, Claim, Exchange, Filter, SweepOptions};
use atlas_jobs::{Clock, JobManager, JobSpec, JobStore, JobStoreExt, Moment, SystemClock};
use atlas_schema::{JobRecord, QueueName, WorkerId};
use std::sync::Arc;
use std::time::Duration;

/// The zombie's lease. Where the store's own clock judges it, it has to pass for real.
fn short(store: &dyn JobStore) -> Duration {
    if store.capabilities().own_clock { Duration::from_millis(5) } else { LEASE }
}

async fn claim(store: &dyn JobStore, worker: &WorkerId, beat: u64, lease: Duration) -> Option<JobRecord> {
    let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind()], limit: 1 };
    let exchange = Exchange::new(worker.clone(), beat, lease, SystemClock::new().now());
    store.exchange(exchange.with_claim(claim)).await.unwrap().claimed.pop()
}

async fn complete(store: &dyn JobStore, worker: &WorkerId, beat: u64, job: &JobRecord, by: &str) -> AckOutcome {
    let ack = Ack { job: job.id, epoch: job.epoch, action: AckAction::Complete { result: by.into() } };
    let exchange = Exchange::new(worker.clone(), beat, LEASE, SystemClock::new().now());
    store.exchange(exchange.with_acks(vec![ack])).await.unwrap().acks.remove(0)
}

/// Claims a job, is stopped while it holds it, and hands in its outcome when it wakes, however late that is.
pub(super) async fn zombie(store: Arc<dyn JobStore>) {
    let worker = WorkerId::new("zombie").unwrap();
    let mut beat = 0;
    loop {
        let mut word = String::new();
        if std::io::stdin().read_line(&mut word).unwrap() == 0 {
            return;
        }
        beat += 2;
        let job = claim(&*store, &worker, beat, short(&*store)).await.expect("a job waits");
        println!("holds {}", job.epoch);
        std::io::stdin().read_line(&mut word).unwrap();
        println!("wrote {:?}", complete(&*store, &worker, beat + 1, &job, "the zombie").await);
    }
}

/// Sweeps until the one lease that there is has ended.
async fn expire(store: &dyn JobStore, steady: &mut Duration) {
    let patient = store.capabilities().own_clock;
    for look in 1.. {
        let now = Moment { wall: SystemClock::new().now().wall, steady: *steady };
        // The steady clock of the sweeper is moved by hand: past the lease without waiting for it.
        *steady += LEASE;
        match store.sweep(SweepOptions::new(now)).await.unwrap().expired {
            0 if patient => tokio::time::sleep(Duration::from_millis(1)).await,
            0 => assert_eq!(look, 1, "one lease after its last beat the job is back"),
            expired => return assert_eq!(expired, 1),
        }
    }
}

/// Stops a zombie and lets it go on, again and again. Tells what it got to write, if anything counted.
pub(super) async fn haunt(address: &str, rounds: u64, broken: Option<Broken>) -> Result<(), String> {
    let folder = folder();
    let store = open(address).await;
    let jobs = JobManager::new(store.clone()).unwrap();
    let mut host = Host::start_over(address, "zombie", folder.path(), 0, broken);
    let heir = WorkerId::new("heir").unwrap();
    let mut steady = Duration::ZERO;
    for round in 1..=rounds {
        let id = jobs.enqueue(JobSpec::new(kind(), &round).unwrap()).await.unwrap().id();
        host.tell("claim");
        assert_eq!(host.hear("holds "), "1");
        host.stop();
        // What it reads when it wakes.
        host.tell("write");
        expire(&*store, &mut steady).await;
        let job = claim(&*store, &heir, round * 2, Duration::from_mins(1)).await.unwrap();
        assert_eq!((job.id, job.epoch), (id, 2));
        let wakes = || {
            host.go_on();
            let wrote = host.hear("wrote ");
            if wrote.starts_with("Lost") { Ok(()) } else { Err(format!("round {round}: {wrote}")) }
        };
        // Half of the zombies wake before the heir is done, half of them after.
        let early = round % 2 == 0;
        if early {
            wakes()?;
        }
        let outcome = complete(&*store, &heir, round * 2 + 1, &job, "the heir").await;
        assert!(matches!(outcome, AckOutcome::Applied { .. }), "round {round}: {outcome:?}");
        if !early {
            wakes()?;
        }
        assert_eq!(store.get_one(id.into()).await.unwrap().unwrap().result, Some("the heir".into()));
    }
    assert_eq!(audit(&*store, Filter::default()).await.unwrap(), []);
    Ok(())
}

#[tokio::test]
async fn bad_input_66_a_worker_stopped_past_its_lease_writes_nothing_when_it_goes_on() {
    haunt(&file(&folder()), rounds(200, 10), None).await.unwrap();
}

#[tokio::test]
async fn the_harness_of_processes_notices_a_store_that_does_not_check_epochs() {
    haunt(&file(&folder()), 2, Some(Broken::StaleEpochs)).await.unwrap_err();
}
