//! Jobs that were fetched ahead of their slots, on a paused clock; and handlers that misbehave at their end.

use crate::worker::{Host, kind, spec, start};
use atlas_jobs::store::{Scope, Waker};
use atlas_jobs::{HandlerError, JobContext, JobHandler, JobManager, JobSpec, handler_fn};
use atlas_schema::{ErrorCategory, JobId, JobStatus, QueueName};
use serde::{Deserialize, Deserializer};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const MS: Duration = Duration::from_millis(1);

impl Host {
    async fn leased(&self) -> u64 {
        self.jobs.statistics(Scope::default()).await.unwrap().in_status(JobStatus::Processing)
    }

    async fn in_status(&self, status: JobStatus) -> u64 {
        self.jobs.statistics(Scope::default()).await.unwrap().in_status(status)
    }

    /// Jobs whose payload is their number, claimed in that order.
    async fn add_numbered(&self, count: u32, change: impl Fn(u32, JobSpec) -> JobSpec) -> Vec<JobId> {
        let specs =
            (0..count).map(|n| change(n, JobSpec::new(kind(), &n).unwrap().with_priority(-i16::try_from(n).unwrap())));
        let added = self.jobs.enqueue_many(specs.collect()).await.unwrap();
        added.into_iter().map(|job| job.unwrap().id()).collect()
    }
}

/// A handler that takes `took` and notes the most leases that stood while it ran.
fn watching(host: &Host, took: Duration) -> (impl JobHandler, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let (top, jobs) = (most.clone(), host.jobs.clone());
    let handler = handler_fn(move |_, _: u32| {
        let (top, jobs) = (top.clone(), jobs.clone());
        async move {
            let leased = leases(&jobs).await;
            top.fetch_max(leased, Ordering::SeqCst);
            tokio::time::sleep(took).await;
            Ok::<_, HandlerError>(())
        }
    });
    (handler, most)
}

async fn leases(jobs: &JobManager) -> usize {
    usize::try_from(jobs.statistics(Scope::default()).await.unwrap().in_status(JobStatus::Processing)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn fast_jobs_are_fetched_ahead_of_the_slots_and_slow_ones_are_not() {
    for (took, ahead) in [(MS, true), (50 * MS, false)] {
        let host = Host::new();
        host.add_numbered(400, |_, spec| spec).await;
        let (handler, most) = watching(&host, took);
        let worker = host.worker(handler).concurrency(4).stop_when_drained(true).build().unwrap();
        let report = worker.run(CancellationToken::new()).await.unwrap();
        assert_eq!((report.completed, report.unstarted), (400, 0));
        let most = most.load(Ordering::SeqCst);
        assert_eq!(most > 4, ahead, "{most} leases at a time for jobs of {took:?}");
        assert!(most <= 4 + 2 * 4 * 20, "{most}: no more than the slots and what they do in 20 ms, with some room");
    }
}

/// Jobs of 5 ms; from number 50 on each hangs until its token fires.
fn hangs_from_50() -> (impl JobHandler, Arc<Mutex<Vec<u32>>>) {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let seen = ran.clone();
    let handler = handler_fn(move |job: JobContext, n: u32| {
        seen.lock().unwrap().push(n);
        async move {
            if n < 50 {
                tokio::time::sleep(5 * MS).await;
            } else {
                job.cancelled().cancelled().await;
            }
            Ok::<_, HandlerError>(())
        }
    });
    (handler, ran)
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_unstarted_jobs_back_at_once_and_their_attempt_does_not_count() {
    let host = Host::new();
    let ids = host.add_numbered(100, |_, spec| spec).await;
    let (handler, ran) = hangs_from_50();
    let (stop, worker) = start(host.worker(handler).concurrency(1).build().unwrap());
    while ran.lock().unwrap().len() <= 50 {
        tokio::time::sleep(MS).await;
    }
    assert!(host.leased().await > 1, "some were fetched ahead");
    stop.cancel();
    tokio::time::sleep(5 * MS).await;
    assert_eq!(host.leased().await, 1, "only the running one is kept for its grace");
    let report = worker.await.unwrap();
    assert!(report.unstarted > 0 && report.completed == 51, "{report:?}");
    for id in &ids[51..] {
        let job = host.job(*id).await;
        assert_eq!((job.status, job.attempt), (JobStatus::Pending, 0));
    }
    assert_eq!(ran.lock().unwrap().len(), 51, "none of them was started");
}

#[tokio::test(start_paused = true)]
async fn jobs_that_wait_behind_slow_ones_go_to_an_idle_peer_soon() {
    let host = Host::new();
    host.add_numbered(60, |_, spec| spec).await;
    let (handler, ran) = hangs_from_50();
    let (stop, busy) =
        start(host.worker(handler).concurrency(1).poll_interval(Duration::from_hours(1)).build().unwrap());
    while ran.lock().unwrap().len() <= 50 {
        tokio::time::sleep(MS).await;
    }
    let quick = handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) });
    let peer = host.worker(quick).poll_interval(Duration::from_hours(1)).build().unwrap();
    let (stop_peer, peer) = start(peer);
    // The hint of the release reaches the peer, whose own poll is far off.
    tokio::time::sleep(150 * MS).await;
    assert_eq!(host.in_status(JobStatus::Completed).await, 59, "all but the one that hangs");
    stop.cancel();
    stop_peer.cancel();
    assert!(busy.await.unwrap().unstarted > 0);
    assert_eq!(peer.await.unwrap().completed, 9);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_attempt_begins_when_its_handler_does() {
    let host = Host::new();
    host.add_numbered(100, |_, spec| spec.with_attempt_timeout(12 * MS)).await;
    let (handler, most) = watching(&host, 10 * MS);
    let worker = host.worker(handler).concurrency(1).stop_when_drained(true).build().unwrap();
    let report = worker.run(CancellationToken::new()).await.unwrap();
    assert_eq!((report.completed, report.retried, report.failed), (100, 0, 0));
    assert!(most.load(Ordering::SeqCst) > 2, "some waited for longer than their attempt may take");
}

/// Jobs of 5 ms but number 50, which takes 60 ms: longer than is fetched ahead for, not long enough to give back.
fn stalls_at_50() -> (impl JobHandler, Arc<Mutex<Vec<u32>>>) {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let seen = ran.clone();
    let handler = handler_fn(move |_, n: u32| {
        seen.lock().unwrap().push(n);
        async move {
            tokio::time::sleep(if n == 50 { 60 * MS } else { 5 * MS }).await;
            Ok::<_, HandlerError>(())
        }
    });
    (handler, ran)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_passes_while_a_job_waits_for_its_slot_ends_it_unstarted() {
    let host = Host::new();
    let (handler, ran) = stalls_at_50();
    let before_51 = Duration::from_millis(50 * 5 + 50);
    let deadline = atlas_jobs::Clock::now(&*host.clock).wall.saturating_add(before_51);
    let ids = host.add_numbered(60, |n, spec| if n > 50 { spec.with_deadline(deadline) } else { spec }).await;
    let worker = host.worker(handler).concurrency(1).stop_when_drained(true).build().unwrap();
    let report = worker.run(CancellationToken::new()).await.unwrap();
    assert_eq!(report.completed, 51);
    assert_eq!(*ran.lock().unwrap(), (0..=50).collect::<Vec<u32>>(), "none of the late ones was started");
    for id in &ids[51..] {
        assert_eq!(host.job(*id).await.status, JobStatus::Timeout);
    }
    assert!(report.unstarted > 0, "some were leased when their deadline passed");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_of_a_job_that_waits_for_its_slot_ends_it_unstarted() {
    let host = Host::new();
    let ids = host.add_numbered(60, |_, spec| spec).await;
    let (handler, ran) = stalls_at_50();
    let worker = host.worker(handler).concurrency(1).lease(400 * MS).heartbeat(15 * MS).build().unwrap();
    let (stop, worker) = start(worker);
    while ran.lock().unwrap().len() <= 50 {
        tokio::time::sleep(MS).await;
    }
    assert_eq!(host.job(ids[51]).await.status, JobStatus::Processing, "it is leased and waits");
    host.jobs.cancel(ids[51], "no need", Duration::from_mins(1)).await.unwrap();
    while host.in_status(JobStatus::Completed).await < 59 {
        tokio::time::sleep(MS).await;
    }
    stop.cancel();
    assert_eq!(worker.await.unwrap().cancelled, 1);
    assert_eq!(host.job(ids[51]).await.status, JobStatus::Cancelled);
    assert!(!ran.lock().unwrap().contains(&51));
}

#[tokio::test(start_paused = true)]
async fn a_limited_queue_does_not_wait_for_the_poll_after_its_own_outcomes() {
    let host = Host::new();
    let change = atlas_jobs::store::QueueChange::new(QueueName::default()).with_max_running(Some(2));
    host.jobs.control(change).await.unwrap();
    host.add_numbered(40, |_, spec| spec).await;
    let (handler, most) = watching(&host, 5 * MS);
    let worker = host.worker(handler).concurrency(8).poll_interval(Duration::from_hours(1));
    let began = tokio::time::Instant::now();
    let worker = worker.stop_when_drained(true).build().unwrap();
    assert_eq!(worker.run(CancellationToken::new()).await.unwrap().completed, 40);
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert!(began.elapsed() < 200 * MS, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_hint_of_the_hosts_own_wakes_the_worker() {
    let host = Host::new();
    let due = atlas_jobs::Clock::now(&*host.clock).wall.saturating_add(Duration::from_secs(5));
    let waker = Waker::new();
    let quick = handler_fn(|_, n: u32| async move { Ok::<_, HandlerError>(n) });
    let worker = host.worker(quick).poll_interval(Duration::from_hours(1)).wakeups(waker.subscribe()).build().unwrap();
    let (stop, worker) = start(worker);
    let id = host.add(spec().with_run_at(due)).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(host.job(id).await.status, JobStatus::Pending, "it fell due without a hint");
    waker.wake();
    tokio::time::sleep(5 * MS).await;
    assert_eq!(host.job(id).await.status, JobStatus::Completed);
    stop.cancel();
    worker.await.unwrap();
}

/// Panics when it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_while_it_is_dropped_harms_no_other_job() {
    let host = Host::new();
    let bad = host.add(JobSpec::new(kind(), &0).unwrap().with_max_attempts(1).with_attempt_timeout(50 * MS)).await;
    let lost = host.add(JobSpec::new(kind(), &1).unwrap().with_max_attempts(1)).await;
    let good = host.add(JobSpec::new(kind(), &2).unwrap()).await;
    let handler = handler_fn(|_, n: u32| async move {
        let grenade = (n < 2).then(|| Grenade);
        if n < 2 {
            std::future::pending::<()>().await;
        }
        drop(grenade);
        Ok::<_, HandlerError>(())
    });
    let (stop, worker) = start(host.worker(handler).grace(100 * MS).build().unwrap());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(host.job(bad).await.status, JobStatus::Failed);
    assert_eq!(host.job(good).await.status, JobStatus::Completed);
    stop.cancel();
    let report = worker.await.unwrap();
    assert_eq!((report.completed, report.failed, report.released), (1, 1, 1));
    assert_eq!(host.job(lost).await.status, JobStatus::Pending, "handed back at the shutdown");
}

/// A payload whose reading panics.
struct Mine;

impl<'de> Deserialize<'de> for Mine {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("no such payload");
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_whose_reading_panics_fails_its_job_and_no_other() {
    let host = Host::new();
    let id = host.add(spec().with_max_attempts(1)).await;
    let report = host.drain(handler_fn(|_, _: Mine| async move { Ok::<_, HandlerError>(()) })).await;
    assert_eq!((report.panicked, report.failed), (1, 1));
    assert_eq!(host.job(id).await.error.unwrap().category, ErrorCategory::Internal);
}

/// Blocks its thread until the test lets go.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

// In real time: a paused clock does not move while a thread is blocked.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_handler_that_never_yields_is_given_up_but_keeps_its_slot() {
    let host = Host::new();
    let gate = Arc::new(Gate::default());
    let _opens = Opens(gate.clone());
    let blocked = gate.clone();
    let handler = handler_fn(move |_, n: u32| {
        let gate = blocked.clone();
        async move {
            if n == 0 {
                gate.pass();
            }
            Ok::<_, HandlerError>(())
        }
    });
    let stuck = JobSpec::new(kind(), &0).unwrap().with_max_attempts(1).with_attempt_timeout(50 * MS);
    let stuck = host.add(stuck).await;
    let worker = host.worker(handler).concurrency(1).grace(MS).poll_interval(20 * MS).build().unwrap();
    let (stop, worker) = start(worker);
    while host.job(stuck).await.status != JobStatus::Failed {
        tokio::time::sleep(10 * MS).await;
    }
    assert_eq!(host.job(stuck).await.error.unwrap().category, ErrorCategory::Timeout);
    let next = host.add(JobSpec::new(kind(), &1).unwrap()).await;
    tokio::time::sleep(100 * MS).await;
    assert_eq!(host.job(next).await.status, JobStatus::Pending, "its thread is still taken, so no slot is free");
    stop.cancel();
    // The shutdown does not wait for what can't be stopped.
    let report = tokio::time::timeout(Duration::from_secs(10), worker).await.unwrap().unwrap();
    assert_eq!(report.failed, 1);
}

struct Opens(Arc<Gate>);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}
