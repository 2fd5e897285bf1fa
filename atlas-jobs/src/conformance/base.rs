//! Enqueueing, reading, ending, redriving.

use super::{Bench, broken, cancel, done, error, nested, redrive};
use crate::error::Kind;
use crate::spec::NewJob;
use crate::state::{Reject, Retry, Violation};
use crate::store::{
    AckOutcome, CommandOutcome, Enqueued, Exchange, Filter, JobCommand, JobRef, JobStore, JobStoreExt, MAX_NESTING,
    SweepOptions,
};
use atlas_schema::{AuditKind, ExternalId, IdempotencyKey, JobStatus, Lease, Stage};
use std::sync::Arc;
use std::time::Duration;

fn key(bench: &Bench) -> IdempotencyKey {
    IdempotencyKey::new(format!("key-{}", bench.tenant)).expect("a key")
}

/// A new job is pending at version 1 with one event.
pub async fn enqueue_makes_one_version_and_one_event(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let id = bench.add(bench.spec()).await;
    let job = bench.job(id).await;
    assert_eq!((job.status, job.version, job.epoch, job.attempt), (JobStatus::Pending, 1, 0, 0));
    let history = bench.history(id).await;
    assert_eq!(history.iter().map(|event| (event.version, event.kind)).collect::<Vec<_>>(), [(1, AuditKind::Enqueued)]);
    assert_eq!(history[0].correlation_id, job.correlation_id);
}

/// The second of two equal enqueues gives the first job.
pub async fn the_same_key_and_body_enqueues_once(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let spec = bench.spec().with_idempotency_key(key(&bench));
    let id = bench.add(spec.clone()).await;
    assert_eq!(bench.enqueue(vec![spec]).await, [Enqueued::Existing { id }]);
    assert_eq!(bench.history(id).await.len(), 1, "the repeat writes nothing");
}

/// A job id is a key too.
pub async fn the_same_id_enqueues_once(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let spec = bench.spec().with_id(bench.random.job_id(bench.now.wall));
    let id = bench.add(spec.clone()).await;
    let mut other = spec.clone();
    other.payload = serde_json::json!({ "n": 2 });
    let answers = bench.enqueue(vec![spec, other]).await;
    assert_eq!(answers, [Enqueued::Existing { id }, Enqueued::Conflict { id, differs: "payload" }]);
}

/// Whoever stops waiting loses the reply: each job is there with its event, or not at all.
pub async fn a_dropped_call_leaves_no_half_written_job(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    for _ in 0..10 {
        let call = bench.enqueue((0..5).map(|_| bench.spec()).collect());
        // Polled once: done by now, or under way without anyone who waits for it.
        drop(futures_util::FutureExt::now_or_never(call));
    }
    let last = bench.add(bench.spec()).await;
    let own = Filter::default().with_tenant(bench.tenant.clone());
    let jobs = bench.store.list_all(own).await.expect("list");
    assert!(jobs.iter().any(|job| job.id == last));
    for job in jobs {
        assert_eq!(bench.history(job.id).await.len(), 1);
    }
}

/// A key that stands for other work is refused, and says in which field.
pub async fn the_same_key_with_another_body_is_a_conflict_that_says_what_differs(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let spec = bench.spec().with_idempotency_key(key(&bench));
    let id = bench.add(spec.clone()).await;
    let mut other = spec;
    other.payload = serde_json::json!({ "n": 2 });
    assert_eq!(bench.enqueue(vec![other]).await, [Enqueued::Conflict { id, differs: "payload" }]);
    assert_eq!(bench.job(id).await.payload, serde_json::json!({ "n": 1 }));
}

/// Keys are unique within one call too.
pub async fn the_first_of_two_equal_keys_in_one_call_wins(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let spec = bench.spec().with_idempotency_key(key(&bench));
    let answers = bench.enqueue(vec![spec.clone(), spec]).await;
    let [Enqueued::Created { id }, Enqueued::Existing { id: again }] = answers.as_slice() else {
        panic!("created, then existing: {answers:?}");
    };
    assert_eq!(id, again);
}

/// Callers at once, one key: one job.
pub async fn concurrent_enqueues_of_one_key_make_one_job(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let spec = bench.spec().with_idempotency_key(key(&bench));
    let callers = (0..8).map(|_| bench.enqueue(vec![spec.clone()]));
    let answers: Vec<Enqueued> = futures_util::future::join_all(callers).await.into_iter().flatten().collect();
    let created = answers.iter().filter(|answer| matches!(answer, Enqueued::Created { .. })).count();
    assert_eq!(created, 1, "{answers:?}");
}

/// A record of another stage never gets in.
pub async fn a_job_of_another_stage_is_refused(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let own = bench.store.stage();
    let other = Stage::ALL.into_iter().find(|stage| *stage != own).expect("another stage");
    let job = NewJob::new(bench.spec(), other, bench.random.job_id(bench.now.wall), bench.random.correlation_id());
    let id = job.id();
    let refused = bench.store.enqueue(vec![job], bench.now).await.expect_err("another stage");
    assert_eq!(refused.kind(), Kind::WrongStage);
    assert_eq!(bench.store.get_one(JobRef::Id(id)).await.expect("get"), None);
}

/// The item is refused, its neighbours are kept.
pub async fn an_oversized_payload_is_refused_and_stops_no_other(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let mut large = bench.spec();
    large.payload = "x".repeat(bench.store.capabilities().max_payload_bytes).into();
    let answers = bench.enqueue(vec![large, bench.spec()]).await;
    assert!(matches!(&answers[0], Enqueued::Refused(Reject::OutOfRange { .. })), "{:?}", answers[0]);
    assert!(matches!(&answers[1], Enqueued::Created { .. }), "{:?}", answers[1]);
}

/// What no JSON reader takes would stop the worker that claims it, and every page that lists it.
pub async fn a_payload_that_nests_too_deep_is_refused_and_the_deepest_allowed_comes_back(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (mut deep, mut deepest) = (bench.spec(), bench.spec());
    deep.payload = nested(MAX_NESTING + 1);
    deepest.payload = nested(MAX_NESTING);
    let answers = bench.enqueue(vec![deep, deepest]).await;
    assert!(matches!(&answers[0], Enqueued::Refused(Reject::OutOfRange { .. })), "{:?}", answers[0]);
    let worker = bench.worker();
    assert_eq!(bench.claim_one(&worker).await.payload, nested(MAX_NESTING));
}

/// All three names lead to the job; unknown names lead nowhere.
pub async fn get_finds_by_id_external_id_and_key(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let external = ExternalId::new(format!("ext-{}", bench.tenant)).expect("an external id");
    let id = bench.add(bench.spec().with_external_id(external.clone()).with_idempotency_key(key(&bench))).await;
    let names = vec![
        JobRef::Id(id),
        JobRef::External(bench.tenant.clone(), external.clone()),
        JobRef::Idempotency(bench.tenant.clone(), key(&bench)),
        JobRef::External(atlas_schema::TenantId::new("nobody").expect("a tenant"), external),
    ];
    let found = bench.store.get(names).await.expect("get");
    let ids: Vec<_> = found.iter().map(|job| job.as_ref().map(|job| job.id)).collect();
    assert_eq!(ids, [Some(id), Some(id), Some(id), None]);
}

/// A job that failed before and completes now has a result and no error.
pub async fn a_completion_keeps_its_result_and_clears_the_error(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let first = bench.claim_one(&worker).await;
    bench.ack(&worker, &first, broken(Retry::After(Duration::ZERO))).await;
    assert_eq!(bench.job(id).await.error, Some(error()));
    let second = bench.claim_one(&worker).await;
    assert_eq!((second.epoch, second.attempt), (2, 2));
    bench.ack(&worker, &second, done()).await;
    let job = bench.job(id).await;
    assert_eq!(job.status, JobStatus::Completed);
    assert_eq!(job.result, Some(serde_json::json!({ "ok": true })));
    assert_eq!(job.error, None);
}

/// History and record never part: versions have no gap, and the last event is the record's state.
pub async fn every_version_has_one_event(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec().with_max_attempts(2)).await;
    for retry in [Retry::After(Duration::ZERO), Retry::Never] {
        let job = bench.claim_one(&worker).await;
        bench.ack(&worker, &job, broken(retry)).await;
    }
    bench.command(id, None, redrive()).await;
    bench.command(id, None, cancel()).await;
    let (job, history) = (bench.job(id).await, bench.history(id).await);
    let versions: Vec<u64> = history.iter().map(|event| event.version).collect();
    assert_eq!(versions, (1..=job.version).collect::<Vec<_>>());
    assert_eq!(history.last().map(|event| event.to), Some(job.status));
    assert!(history.windows(2).all(|pair| pair[1].from == Some(pair[0].to)), "each event starts where the last ended");
}

/// Nothing but a redrive leaves an end, and nothing leaves completion.
pub async fn terminal_is_terminal(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let claimed = bench.claim_one(&worker).await;
    bench.ack(&worker, &claimed, done()).await;
    let before = bench.job(id).await;
    for command in [cancel(), redrive(), JobCommand::Abandon { error: error() }] {
        let outcome = bench.command(id, None, command).await;
        assert!(matches!(outcome, CommandOutcome::Rejected(Reject::WrongStatus { .. })), "{outcome:?}");
    }
    let late = bench.ack(&worker, &claimed, broken(Retry::Never)).await;
    assert!(matches!(late, AckOutcome::Lost { status: JobStatus::Completed, .. }), "{late:?}");
    assert_eq!(bench.job(id).await, before);
}

/// The record is clean, the trail is whole, the epoch goes on.
pub async fn a_redrive_clears_the_error_and_keeps_the_history(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec().with_max_attempts(1)).await;
    let claimed = bench.claim_one(&worker).await;
    bench.ack(&worker, &claimed, broken(Retry::After(Duration::ZERO))).await;
    assert_eq!(bench.job(id).await.status, JobStatus::Failed);
    bench.command(id, None, redrive()).await;
    let job = bench.job(id).await;
    assert_eq!((job.status, &job.error, job.attempt, job.epoch), (JobStatus::Pending, &None, 0, 1));
    let failed = bench.history(id).await.into_iter().find(|event| event.kind == AuditKind::Failed);
    assert_eq!(failed.and_then(|event| event.error), Some(error()), "the old outcome stays in the history");
    assert_eq!(bench.claim_one(&worker).await.epoch, 2, "epochs never reset");
}

/// Compare and set: a stale version changes nothing.
pub async fn a_command_at_an_old_version_is_refused(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    bench.claim_one(&worker).await;
    let outcome = bench.command(id, Some(1), cancel()).await;
    assert_eq!(outcome, CommandOutcome::Rejected(Reject::VersionConflict { current: 2 }));
    assert_eq!(bench.job(id).await.version, 2);
}

/// Absence is an answer.
pub async fn a_command_for_no_job_is_not_found(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let nobody = bench.random.job_id(bench.now.wall);
    assert_eq!(bench.command(nobody, None, cancel()).await, CommandOutcome::NotFound);
}

/// Three enders at once: one outcome, one terminal event.
pub async fn of_complete_fail_and_cancel_at_once_one_wins(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let (worker, other) = (bench.worker(), bench.worker());
    for _ in 0..8 {
        let id = bench.add(bench.spec()).await;
        let job = bench.claim_one(&worker).await;
        let mut hand_in = |worker: &atlas_schema::WorkerId, action| {
            let ack = crate::store::Ack { job: job.id, epoch: job.epoch, action };
            let exchange: Exchange = bench.exchange(worker).with_acks(vec![ack]);
            exchange
        };
        let (complete, fail) = (hand_in(&worker, done()), hand_in(&other, broken(Retry::Never)));
        let store = Arc::clone(&bench.store);
        let (complete, fail, _) =
            tokio::join!(store.exchange(complete), store.exchange(fail), bench.command(id, None, cancel()));
        let applied = |outcome: Result<crate::store::Exchanged, _>| {
            matches!(outcome.expect("exchange").acks[0], AckOutcome::Applied { .. })
        };
        assert_eq!(u8::from(applied(complete)) + u8::from(applied(fail)), 1, "one acknowledgement wins");
        let ends = bench.history(id).await.into_iter().filter(|event| event.to.is_terminal()).count();
        assert_eq!(ends, 1, "one end");
        assert!(bench.job(id).await.status.is_terminal());
    }
}

/// A record from elsewhere keeps its status, times and outcome.
pub async fn a_migrated_record_is_stored_as_it_is(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    let mut record = bench.complete(bench.spec()).record().clone();
    let long_ago = bench.now.wall.saturating_sub(Duration::from_hours(1000));
    (record.created_at, record.updated_at, record.run_at) = (long_ago, long_ago, long_ago);
    record.status = JobStatus::Completed;
    record.finished_at = Some(long_ago);
    record.result = Some(serde_json::json!([1]));
    let answers = bench.store.enqueue(vec![NewJob::migrated(record.clone())], bench.now).await.expect("enqueue");
    assert_eq!(answers, [Enqueued::Created { id: record.id }]);
    assert_eq!(bench.job(record.id).await, record);
    assert_eq!(bench.history(record.id).await[0].kind, AuditKind::Migrated);
}

/// A record that ran elsewhere is nobody's here: the first sweep frees it.
pub async fn a_migrated_running_record_goes_to_the_next_worker(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let mut record = bench.complete(bench.spec()).record().clone();
    let long_ago = bench.now.wall.saturating_sub(Duration::from_hours(1000));
    (record.created_at, record.updated_at, record.run_at) = (long_ago, long_ago, long_ago);
    (record.status, record.epoch, record.attempt) = (JobStatus::Processing, 1, 1);
    record.started_at = Some(long_ago);
    record.lease = Some(Lease { worker: bench.worker(), expires_at: long_ago });
    bench.store.enqueue(vec![NewJob::migrated(record.clone())], bench.now).await.expect("enqueue");
    assert_eq!(bench.job(record.id).await, record);
    bench.store.sweep(SweepOptions::new(bench.now)).await.expect("sweep");
    let worker = bench.worker();
    let claimed = bench.claim_one(&worker).await;
    assert_eq!((claimed.id, claimed.epoch, claimed.attempt), (record.id, 2, 2));
}

/// Without an attempt left it would wait, and stand in front of its queue, for ever.
pub async fn a_migrated_record_that_nobody_could_claim_is_refused(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let mut record = bench.complete(bench.spec()).record().clone();
    (record.created_at, record.updated_at, record.run_at) = (bench.now.wall, bench.now.wall, bench.now.wall);
    (record.epoch, record.attempt, record.max_attempts) = (1, 1, 1);
    let answers = bench.store.enqueue(vec![NewJob::migrated(record)], bench.now).await.expect("enqueue");
    assert_eq!(answers, [Enqueued::Refused(Reject::Invalid(Violation::Attempts))]);
    let id = bench.add(bench.spec()).await;
    let worker = bench.worker();
    assert_eq!(bench.claim_one(&worker).await.id, id);
}

/// A batch is never run: it is concluded while it waits. What has ended, or runs, can't be.
pub async fn a_waiting_job_is_concluded_without_a_claim(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    let conclude = || JobCommand::Conclude { result: serde_json::json!({ "children": 3 }) };
    let outcome = bench.command(id, None, conclude()).await;
    assert_eq!(outcome, CommandOutcome::Applied { status: JobStatus::Completed, version: 2 });
    let job = bench.job(id).await;
    assert_eq!((job.epoch, job.result), (0, Some(serde_json::json!({ "children": 3 }))));
    assert_eq!(bench.claim(&worker, 1).await, [], "it left its queue");
    let again = bench.command(id, None, conclude()).await;
    assert_eq!(again, CommandOutcome::Rejected(Reject::WrongStatus { status: JobStatus::Completed }));
    let running = bench.add(bench.spec()).await;
    bench.claim_one(&worker).await;
    let refused = bench.command(running, None, conclude()).await;
    assert_eq!(refused, CommandOutcome::Rejected(Reject::WrongStatus { status: JobStatus::Processing }));
}
