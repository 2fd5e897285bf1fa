//! Silence, deadlines, cancels: what a sweep ends.

use super::{Bench, LEASE, cancel, done};
use crate::store::{AckAction, AckOutcome, HeldOutcome, JobStore, SweepOptions, Swept};
use atlas_schema::{AuditKind, JobStatus};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sweeps until nothing of this check's own can be left over because other jobs came first.
async fn sweep(bench: &Bench) -> Swept {
    let mut all = Swept::default();
    loop {
        let swept = bench.store.sweep(SweepOptions::new(bench.now)).await.expect("sweep");
        all.expired += swept.expired;
        all.timed_out += swept.timed_out;
        all.cancelled += swept.cancelled;
        if !swept.more {
            return all;
        }
    }
}

/// Watched for a whole lease without a sign of life, a worker loses its jobs to others.
pub async fn a_silent_worker_loses_its_leases(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (dead, alive) = (bench.worker(), bench.worker());
    let id = bench.add(bench.spec()).await;
    let began = Instant::now();
    let old = bench.claim_one(&dead).await;
    sweep(&bench).await;
    bench.pass(LEASE * 9 / 10).await;
    sweep(&bench).await;
    let status = bench.job(id).await.status;
    assert!(bench.stalled(began, LEASE) || status == JobStatus::Processing, "not before the lease is over");
    bench.pass(Duration::from_millis(200)).await;
    sweep(&bench).await;
    assert_eq!(bench.history(id).await.last().map(|event| event.kind), Some(AuditKind::LeaseExpired));
    let new = bench.claim_one(&alive).await;
    assert_eq!(new.epoch, old.epoch + 1);
    assert!(matches!(bench.ack(&dead, &old, done()).await, AckOutcome::Lost { .. }), "the dead one came back too late");
}

/// Any exchange is a sign of life for all leases of a worker.
pub async fn a_heartbeat_keeps_leases(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    for _ in 0..4 {
        sweep(&bench).await;
        bench.pass(LEASE / 2).await;
        assert_eq!(bench.hold(&worker, &job).await, HeldOutcome::Continue);
    }
    sweep(&bench).await;
    assert_eq!(bench.job(id).await.epoch, job.epoch);
    assert_eq!(bench.job(id).await.status, JobStatus::Processing);
}

/// A host whose wall clock is wrong by a day takes nobody's job.
pub async fn a_clock_a_day_ahead_expires_no_lease(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let began = Instant::now();
    let job = bench.claim_one(&worker).await;
    let mut wrong = bench.now;
    wrong.wall = wrong.wall.saturating_add(Duration::from_hours(24));
    for _ in 0..3 {
        bench.store.sweep(SweepOptions::new(wrong)).await.expect("sweep");
    }
    let status = bench.job(id).await.status;
    if !bench.stalled(began, LEASE) {
        assert_eq!(status, JobStatus::Processing);
        assert!(matches!(bench.ack(&worker, &job, done()).await, AckOutcome::Applied { .. }));
    }
}

/// Whoever has proof of a worker's death need not wait for its silence.
pub async fn a_worker_known_to_be_dead_loses_its_leases_at_once(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    bench.claim_one(&worker).await;
    let options = SweepOptions::new(bench.now).with_dead(vec![worker]);
    bench.store.sweep(options).await.expect("sweep");
    assert_eq!(bench.job(id).await.status, JobStatus::Pending);
}

/// A job that kills each worker does not go round for ever.
pub async fn the_last_attempt_of_a_silent_worker_is_a_failure(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec().with_max_attempts(1)).await;
    bench.claim_one(&worker).await;
    bench.store.sweep(SweepOptions::new(bench.now).with_dead(vec![worker])).await.expect("sweep");
    let job = bench.job(id).await;
    assert_eq!(job.status, JobStatus::Failed);
    assert!(job.error.is_some());
}

/// Pending or running, a job ends at its deadline.
pub async fn a_passed_deadline_times_out(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let deadline = bench.wall().saturating_add(Duration::from_secs(2));
    let running = bench.add(bench.spec().with_deadline(deadline)).await;
    let claimed = bench.claim_one(&worker).await;
    let pending = bench.add(bench.spec().with_deadline(deadline)).await;
    bench.pass(Duration::from_millis(2100)).await;
    sweep(&bench).await;
    for id in [running, pending] {
        assert_eq!(bench.job(id).await.status, JobStatus::Timeout);
    }
    assert!(matches!(bench.ack(&worker, &claimed, done()).await, AckOutcome::Lost { .. }));
}

/// The next heartbeat brings the request, and the worker's word ends the job.
pub async fn a_running_job_is_told_of_its_cancel(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    bench.command(id, None, cancel()).await;
    assert_eq!(bench.job(id).await.status, JobStatus::Processing);
    let HeldOutcome::CancelRequested(request) = bench.hold(&worker, &job).await else {
        panic!("the heartbeat brings the cancel");
    };
    assert_eq!(request.reason, "not needed");
    assert!(matches!(bench.ack(&worker, &job, AckAction::Cancelled).await, AckOutcome::Applied { .. }));
    assert_eq!(bench.job(id).await.status, JobStatus::Cancelled);
}

/// A handler that does not listen can't keep a cancelled job.
pub async fn a_cancel_without_answer_is_ended(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let began = Instant::now();
    bench.command(id, None, cancel()).await;
    sweep(&bench).await;
    let status = bench.job(id).await.status;
    // As long as a cancel of the checks gives.
    let over = bench.stalled(began, Duration::from_secs(2));
    assert!(over || status == JobStatus::Processing, "it has its time to answer");
    for _ in 0..5 {
        bench.pass(LEASE / 2).await;
        bench.hold(&worker, &job).await;
    }
    sweep(&bench).await;
    assert_eq!(bench.job(id).await.status, JobStatus::Cancelled);
    assert!(matches!(bench.hold(&worker, &job).await, HeldOutcome::Lost { status: Some(JobStatus::Cancelled), .. }));
}

/// What does not run needs nobody's answer.
pub async fn a_pending_job_is_cancelled_at_once(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    bench.command(id, None, cancel()).await;
    assert_eq!(bench.job(id).await.status, JobStatus::Cancelled);
    assert_eq!(bench.claim(&worker, 1).await, []);
}

/// One call ends no more than its limit, and says that there is more.
pub async fn a_sweep_is_bounded(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.enqueue((0..5).map(|_| bench.spec()).collect()).await;
    assert_eq!(bench.claim(&worker, 5).await.len(), 5);
    let options = SweepOptions::new(bench.now).with_dead(vec![worker]).with_limit(2);
    let swept = bench.store.sweep(options).await.expect("sweep");
    assert!(swept.more);
    assert_eq!(swept.expired + swept.timed_out + swept.cancelled, 2);
}
