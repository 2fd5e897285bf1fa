//! Claiming, acknowledging, fencing.

use super::{Bench, broken, done, nested};
use crate::error::Kind;
use crate::state::{Reject, Retry};
use crate::store::{Ack, AckAction, AckOutcome, Held, JobStore, MAX_NESTING};
use atlas_schema::{ErrorCategory, JobError, JobKind, JobStatus, Progress, QueueName, Timestamp};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Workers at once: each job goes to one of them.
pub async fn claim_is_exclusive(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    bench.enqueue((0..40).map(|_| bench.spec()).collect()).await;
    let workers: Vec<_> = (0..8).map(|_| bench.worker()).collect();
    let claim = bench.wanted(10);
    let exchanges: Vec<_> = workers.iter().map(|worker| bench.exchange(worker).with_claim(claim.clone())).collect();
    let claims = exchanges.into_iter().map(|exchange| bench.store.exchange(exchange));
    let mut seen = HashSet::new();
    for exchanged in futures_util::future::join_all(claims).await {
        for job in exchanged.expect("exchange").claimed {
            assert!(seen.insert(job.id), "no job is handed out twice");
        }
    }
    assert_eq!(seen.len(), 40, "and none is left");
}

/// Whatever their order, length and alphabet; a word too late among them changes nothing and puts nothing out of place.
pub async fn each_of_many_completions_keeps_its_own_result(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.enqueue((0..12).map(|_| bench.spec()).collect()).await;
    let texts = ["", "naïve 漢字 🎉", "\u{0}", "\\\"\n", "é", &"long ".repeat(1000)];
    let results: Vec<Value> = texts.iter().map(|text| Value::from(*text)).collect();
    let results: Vec<Value> =
        results.into_iter().chain([Value::Null, 7.into(), true.into(), json!({ "a": [] })]).collect();
    let jobs = bench.claim(&worker, 12).await;
    assert_eq!(jobs.len(), 12);
    let result = |at: usize| results.get(at * 7 % 12).cloned().unwrap_or_default();
    let mut acks = Vec::new();
    for (at, job) in jobs.iter().enumerate().rev() {
        let epoch = if at == 5 { job.epoch + 1 } else { job.epoch };
        acks.push(Ack { job: job.id, epoch, action: AckAction::Complete { result: result(at) } });
    }
    let exchange = bench.exchange(&worker).with_acks(acks);
    let outcomes = bench.store.exchange(exchange).await.expect("exchange").acks;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, AckOutcome::Applied { .. })).count(), 11);
    for (at, job) in jobs.iter().enumerate() {
        let kept = bench.job(job.id).await.result;
        assert_eq!(kept, if at == 5 { None } else { Some(result(at)) }, "job {at}");
    }
}

/// A worker gets the kinds and queues it names; the rest stays untouched.
pub async fn jobs_of_other_kinds_and_queues_are_left_for_others(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let mut kind = bench.spec();
    kind.kind = JobKind::new("another").expect("a kind");
    let queue = QueueName::new(format!("{}-other", bench.queue)).expect("a queue name");
    let others = [bench.add(kind).await, bench.add(bench.spec().with_queue(queue)).await];
    let worker = bench.worker();
    assert_eq!(bench.claim(&worker, 10).await, []);
    for id in others {
        assert_eq!(bench.job(id).await.version, 1);
    }
}

/// However high its priority, a job whose time has not come stands in nobody's way.
pub async fn a_future_job_waits_and_blocks_nothing(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let later = bench.now.plus(Duration::from_secs(2)).wall;
    let future = bench.add(bench.spec().with_priority(9).with_run_at(later)).await;
    let due = bench.add(bench.spec()).await;
    let worker = bench.worker();
    assert_eq!(bench.claim_one(&worker).await.id, due);
    assert_eq!(bench.claim(&worker, 10).await, []);
    bench.pass(Duration::from_secs(2)).await;
    assert_eq!(bench.claim_one(&worker).await.id, future);
}

/// A job given back in a round trip can be taken in the same one.
pub async fn acknowledgements_come_before_claims(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let ack = Ack { job: id, epoch: job.epoch, action: AckAction::Release { delay: Duration::ZERO } };
    let claim = bench.wanted(1);
    let exchange = bench.exchange(&worker).with_acks(vec![ack]).with_claim(claim);
    let exchanged = bench.store.exchange(exchange).await.expect("exchange");
    assert!(matches!(exchanged.acks[0], AckOutcome::Applied { status: JobStatus::Pending, .. }));
    assert_eq!(exchanged.claimed[0].epoch, 2);
}

/// The old epoch's word changes nothing once a new one has begun.
pub async fn a_late_worker_is_lost(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (slow, quick) = (bench.worker(), bench.worker());
    let id = bench.add(bench.spec()).await;
    let old = bench.claim_one(&slow).await;
    bench.ack(&slow, &old, AckAction::Release { delay: Duration::ZERO }).await;
    let new = bench.claim_one(&quick).await;
    let late = bench.ack(&slow, &old, done()).await;
    assert_eq!(late, AckOutcome::Lost { epoch: new.epoch, status: JobStatus::Processing });
    assert_eq!(bench.job(id).await.version, new.version);
    assert!(matches!(bench.ack(&quick, &new, done()).await, AckOutcome::Applied { .. }));
}

/// An acknowledgement that is sent again after a lost reply does no harm.
pub async fn a_completion_handed_in_twice_is_repeated(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    assert!(matches!(bench.ack(&worker, &job, done()).await, AckOutcome::Applied { .. }));
    assert_eq!(bench.ack(&worker, &job, done()).await, AckOutcome::Repeated);
    assert_eq!(bench.job(id).await.version, 3);
}

/// Of two acknowledgements of one job in one exchange the first counts, and neither stops those of other jobs.
pub async fn a_second_word_on_one_job_in_one_exchange_comes_too_late(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let release = || AckAction::Release { delay: Duration::ZERO };
    let pairs = [
        (broken(Retry::Never), broken(Retry::Never), JobStatus::Failed),
        (broken(Retry::Never), done(), JobStatus::Failed),
        (release(), release(), JobStatus::Pending),
        (release(), done(), JobStatus::Pending),
        (done(), release(), JobStatus::Completed),
        (done(), done(), JobStatus::Completed),
    ];
    for (first, second, status) in pairs {
        bench.enqueue(vec![bench.spec(), bench.spec()]).await;
        let jobs = bench.claim(&worker, 2).await;
        let (twice, other) = (&jobs[0], &jobs[1]);
        let repeats = status == JobStatus::Completed && second == done();
        let ack = |job: &atlas_schema::JobRecord, action| Ack { job: job.id, epoch: job.epoch, action };
        let acks = vec![ack(twice, first), ack(other, done()), ack(twice, second)];
        let exchange = bench.exchange(&worker).with_acks(acks);
        let acks = bench.store.exchange(exchange).await.expect("exchange").acks;
        assert!(matches!(acks[0], AckOutcome::Applied { status: now, .. } if now == status), "{acks:?}");
        assert!(matches!(acks[1], AckOutcome::Applied { status: JobStatus::Completed, .. }), "{acks:?}");
        let late = if repeats { AckOutcome::Repeated } else { AckOutcome::Lost { epoch: twice.epoch, status } };
        assert_eq!(acks[2], late);
        assert_eq!(bench.job(twice.id).await.status, status);
        assert_eq!(bench.history(twice.id).await.len(), 3);
        // Out of the way of the next pair.
        if status == JobStatus::Pending {
            let again = bench.claim_one(&worker).await;
            assert!(matches!(bench.ack(&worker, &again, done()).await, AckOutcome::Applied { .. }));
        }
    }
}

/// A job handed back has its attempt back, and a new epoch next time.
pub async fn a_release_does_not_count_the_attempt(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.add(bench.spec().with_max_attempts(1)).await;
    let job = bench.claim_one(&worker).await;
    bench.ack(&worker, &job, AckAction::Release { delay: Duration::ZERO }).await;
    let again = bench.claim_one(&worker).await;
    assert_eq!((again.attempt, again.epoch), (1, 2));
}

/// The wait that the worker asks for is kept.
pub async fn a_failure_waits_out_its_backoff(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let wait = Duration::from_secs(2);
    bench.ack(&worker, &job, broken(Retry::After(wait))).await;
    assert_eq!(bench.claim(&worker, 1).await, []);
    bench.pass(wait).await;
    assert_eq!(bench.claim_one(&worker).await.attempt, 2);
}

/// Without attempts left a failure is an end, whatever the worker hopes.
pub async fn the_last_failure_is_terminal(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec().with_max_attempts(1)).await;
    let job = bench.claim_one(&worker).await;
    bench.ack(&worker, &job, broken(Retry::After(Duration::ZERO))).await;
    assert_eq!(bench.job(id).await.status, JobStatus::Failed);
    assert_eq!(bench.claim(&worker, 1).await, []);
}

/// A repeat of an old exchange, delivered late, has no effect.
pub async fn a_beat_that_does_not_rise_is_refused(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.add(bench.spec()).await;
    let claim = bench.wanted(1);
    let exchange = bench.exchange(&worker);
    bench.store.exchange(exchange.clone()).await.expect("the first");
    let refused = bench.store.exchange(exchange.with_claim(claim)).await.expect_err("the same beat");
    assert_eq!(refused.kind(), Kind::Conflict);
    assert_eq!(bench.claim(&worker, 1).await.len(), 1, "the refused one claimed nothing");
}

/// A worker that never heard of its claim gives it back by saying what it holds.
pub async fn a_claim_whose_reply_was_lost_is_handed_back(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.enqueue(vec![bench.spec(), bench.spec()]).await;
    let kept = bench.claim_one(&worker).await;
    let unheard = bench.claim_one(&worker).await;
    let held = Held { job: kept.id, epoch: kept.epoch, progress: None };
    let exchange = bench.exchange(&worker).with_held(vec![held]).with_reconcile(true);
    let exchanged = bench.store.exchange(exchange).await.expect("exchange");
    assert_eq!(exchanged.reconciled, 1);
    let back = bench.job(unheard.id).await;
    assert_eq!((back.status, back.attempt), (JobStatus::Pending, 0));
    assert_eq!(bench.job(kept.id).await.status, JobStatus::Processing);
}

/// The lost reply to a round trip that gave a job back and took it again: its acknowledgement, sent again, is one of
/// the old epoch and no sign that the worker knows of the new one.
pub async fn a_job_taken_again_in_a_lost_reply_is_handed_back(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let ack = Ack { job: id, epoch: job.epoch, action: AckAction::Release { delay: Duration::ZERO } };
    let wanted = bench.wanted(1);
    let lost = bench.exchange(&worker).with_acks(vec![ack.clone()]).with_claim(wanted.clone());
    assert_eq!(bench.store.exchange(lost).await.expect("exchange").claimed[0].epoch, 2);
    let again = bench.exchange(&worker).with_acks(vec![ack]).with_claim(wanted).with_reconcile(true);
    let exchanged = bench.store.exchange(again).await.expect("exchange");
    assert!(matches!(exchanged.acks[0], AckOutcome::Lost { epoch: 2, .. }), "{:?}", exchanged.acks);
    assert_eq!(exchanged.reconciled, 1);
    assert_eq!(exchanged.claimed.iter().map(|job| (job.id, job.epoch)).collect::<Vec<_>>(), [(id, 3)]);
}

/// Progress is there to be read, and no operator's compare-and-set fails because of it.
pub async fn progress_shows_and_makes_no_version(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let progress = Progress { done: 3, total: Some(9), note: Some("a third".into()) };
    let held = Held { job: id, epoch: job.epoch, progress: Some(progress.clone()) };
    let exchange = bench.exchange(&worker).with_held(vec![held]);
    bench.store.exchange(exchange).await.expect("exchange");
    let read = bench.job(id).await;
    assert_eq!((read.progress, read.version), (Some(progress), job.version));
}

/// The worker hears that its result is too large while it can still say so.
pub async fn an_oversized_result_is_refused_and_the_lease_holds(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let result = "x".repeat(bench.store.capabilities().max_result_bytes).into();
    let outcome = bench.ack(&worker, &job, AckAction::Complete { result }).await;
    assert!(matches!(outcome, AckOutcome::Refused(Reject::OutOfRange { .. })), "{outcome:?}");
    assert_eq!(bench.job(id).await.status, JobStatus::Processing);
    assert!(matches!(bench.ack(&worker, &job, broken(Retry::Never)).await, AckOutcome::Applied { .. }));
}

/// No message is cut in silence: one that is too long is refused.
pub async fn an_error_of_over_5000_characters_is_refused(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let error = JobError { category: ErrorCategory::Internal, message: "x".repeat(5001) };
    let outcome = bench.ack(&worker, &job, AckAction::Fail { error, retry: Retry::Never }).await;
    assert!(matches!(outcome, AckOutcome::Refused(Reject::OutOfRange { max: 5000, .. })), "{outcome:?}");
}

/// A result that could not be read back would spoil every page that lists its job.
pub async fn a_result_that_nests_too_deep_is_refused_and_the_lease_holds(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let job = bench.claim_one(&worker).await;
    let complete = |levels| AckAction::Complete { result: nested(levels) };
    let outcome = bench.ack(&worker, &job, complete(MAX_NESTING + 1)).await;
    assert!(matches!(outcome, AckOutcome::Refused(Reject::OutOfRange { .. })), "{outcome:?}");
    assert_eq!(bench.job(id).await.status, JobStatus::Processing);
    assert!(matches!(bench.ack(&worker, &job, complete(MAX_NESTING)).await, AckOutcome::Applied { .. }));
    assert_eq!(bench.job(id).await.result, Some(nested(MAX_NESTING)));
}

/// A lease that means "never" ends at the end of time, and spoils no record.
pub async fn a_lease_longer_than_all_time_leaves_the_job_readable(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let claim = bench.wanted(1);
    let mut exchange = bench.exchange(&worker).with_claim(claim);
    exchange.lease = Duration::MAX;
    let job = bench.store.exchange(exchange).await.expect("exchange").claimed.remove(0);
    let expires = bench.job(id).await.lease.map(|lease| lease.expires_at);
    assert_eq!(expires, Some(Timestamp::MAX));
    assert!(matches!(bench.ack(&worker, &job, done()).await, AckOutcome::Applied { .. }));
}
