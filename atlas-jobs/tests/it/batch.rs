//! Batches: the rule of counts, and a whole that is made once, ended once and stopped with its children, on both stores.

use crate::weak_spots::each;
use atlas_jobs::batch::{
    Batch, BatchError, BatchKeeper, BatchRule, BatchSpec, Child, Counts, Decision, KeeperReport, decide,
};
use atlas_jobs::store::{Filter, OutboxExchange, Purge, PurgeOptions};
use atlas_jobs::{
    Clock, HandlerError, JobContext, JobManager, JobSpec, JobStore, JobStoreExt, Random, SystemClock, Worker,
    handler_fn,
};
use atlas_schema::{Actor, Callback, ErrorCategory, IdempotencyKey, JobId, JobKind, JobRecord, JobStatus};
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn kind() -> JobKind {
    JobKind::new("part").unwrap()
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::new(text).unwrap()
}

/// Children whose payload says how they end.
fn parts(ends: &[&str]) -> Vec<JobSpec> {
    ends.iter().map(|end| JobSpec::new(kind(), end).unwrap().with_max_attempts(1)).collect()
}

fn manager(store: &Arc<dyn JobStore>) -> JobManager {
    JobManager::new(Arc::clone(store)).unwrap()
}

/// Runs what can be run.
async fn work(store: &Arc<dyn JobStore>) {
    let handler = handler_fn(|_, end: String| async move {
        match end.as_str() {
            "ok" => Ok("done"),
            _ => Err(HandlerError::new(ErrorCategory::NoData, "it was told to fail")),
        }
    });
    let worker = Worker::builder(Arc::clone(store)).handler(kind(), Arc::new(handler)).stop_when_drained(true);
    worker.poll_interval(Duration::from_millis(5)).build().unwrap().run(CancellationToken::new()).await.unwrap();
}

async fn tend(store: &Arc<dyn JobStore>) -> KeeperReport {
    BatchKeeper::new(Arc::clone(store)).tend().await.unwrap()
}

async fn job(store: &Arc<dyn JobStore>, id: JobId) -> JobRecord {
    store.get_one(id.into()).await.unwrap().unwrap()
}

fn rules() -> impl Strategy<Value = BatchRule> {
    prop_oneof![Just(BatchRule::All), (1_u64..12).prop_map(BatchRule::AtLeast), Just(BatchRule::Ended)]
}

prop_compose! {
    fn counts()(n in proptest::array::uniform6(0_u64..4)) -> Counts {
        let [pending, processing, completed, failed, cancelled, timeout] = n;
        Counts { pending, processing, completed, failed, cancelled, timeout }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_batch_is_never_ended_against_its_rule(rule in rules(), missing in 0_u64..4, fail_fast: bool, counts in counts()) {
        let expected = counts.total() + missing;
        // What asks for more than there is was refused before.
        prop_assume!(!matches!(rule, BatchRule::AtLeast(wanted) if wanted > expected));
        let all_ended = counts.unfinished() == 0 && missing == 0;
        let met = match rule {
            BatchRule::AtLeast(wanted) => counts.completed >= wanted,
            BatchRule::All => all_ended && counts.completed == expected,
            _ => all_ended,
        };
        let decision = decide(rule, expected, fail_fast, &counts);
        prop_assert_eq!(decision == Decision::Conclude, met);
        if decision == Decision::Abandon {
            prop_assert_eq!(counts.unfinished(), 0);
            prop_assert!(all_ended || fail_fast);
        }
        if decision == Decision::CancelRest {
            prop_assert!(fail_fast && counts.unfinished() > 0 && counts.unsuccessful() > 0);
        }
        if all_ended {
            prop_assert!(matches!(decision, Decision::Conclude | Decision::Abandon), "it must end: {:?}", decision);
        }
        if !fail_fast && !all_ended && !met {
            prop_assert_eq!(decision, Decision::Wait);
        }
    }

    /// Whatever order children end in, the batch is decided exactly once and nothing changes the decision back.
    #[test]
    fn what_is_hopeless_stays_so_and_what_is_met_stays_met(
        rule in rules(), fail_fast: bool, ends in proptest::collection::vec(0_u8..4, 1..12),
    ) {
        let expected = ends.len() as u64;
        let mut counts = Counts { pending: expected, ..Counts::default() };
        let mut concluded = false;
        for end in ends {
            counts.pending -= 1;
            match end {
                0 => counts.failed += 1,
                1 => counts.cancelled += 1,
                _ => counts.completed += 1,
            }
            let decision = decide(rule, expected, fail_fast, &counts);
            prop_assert!(!concluded || decision == Decision::Conclude);
            concluded = decision == Decision::Conclude;
        }
        let last = decide(rule, expected, fail_fast, &counts);
        prop_assert!(matches!(last, Decision::Conclude | Decision::Abandon));
    }
}

#[tokio::test]
async fn a_batch_completes_when_its_last_child_has_and_tells_its_callback() {
    for store in each().await {
        let jobs = manager(&store);
        let callback = Callback { url: "https://example.org/batch".into() };
        let spec = BatchSpec::new(key("b"), parts(&["ok"; 3])).with_job(|job| job.with_callback(callback));
        let batch = jobs.batch(spec).await.unwrap();
        assert_eq!((batch.created, batch.children.len()), (true, 3));
        tend(&store).await;
        let progress = jobs.batch_progress(batch.id).await.unwrap().unwrap();
        assert_eq!((progress.status, progress.expected, progress.counts.pending), (JobStatus::Pending, 3, 3));
        work(&store).await;
        let report = tend(&store).await;
        assert_eq!((report.concluded, report.abandoned), (1, 0));
        let record = job(&store, batch.id).await;
        assert_eq!(record.status, JobStatus::Completed);
        assert_eq!(record.result.unwrap()["counts"]["completed"], 3);
        let history = store.history_all(batch.id).await.unwrap();
        assert_eq!(history.last().unwrap().actor, Actor::Batch {});
        let child = job(&store, batch.children[0]).await;
        assert_eq!((child.parent, child.correlation_id), (Some(batch.id), record.correlation_id));
        // A hint that comes again finds nothing to do.
        assert_eq!(tend(&store).await.concluded, 0);
        let now = SystemClock::new().now();
        let told = store.outbox(OutboxExchange::new(vec!["callback"], 10, Duration::ZERO, now)).await.unwrap();
        assert_eq!(told.len(), 1);
    }
}

#[tokio::test]
async fn each_rule_ends_a_batch_as_it_says() {
    for store in each().await {
        let jobs = manager(&store);
        let ends = ["ok", "fails", "ok", "fails"];
        for (rule, status) in [
            (BatchRule::All, JobStatus::Failed),
            (BatchRule::AtLeast(2), JobStatus::Completed),
            (BatchRule::AtLeast(3), JobStatus::Failed),
            (BatchRule::Ended, JobStatus::Completed),
        ] {
            let spec = BatchSpec::new(key(&format!("{rule:?}").replace(['(', ')'], "-")), parts(&ends)).with_rule(rule);
            let batch = jobs.batch(spec).await.unwrap();
            work(&store).await;
            tend(&store).await;
            let record = job(&store, batch.id).await;
            assert_eq!(record.status, status, "{rule:?}");
            if let Some(error) = record.error {
                assert!(error.message.starts_with("2 of 4 children completed"), "{}", error.message);
            }
        }
    }
}

#[tokio::test]
async fn a_batch_that_was_interrupted_is_completed_by_the_same_call() {
    for store in each().await {
        let jobs = manager(&store);
        // As a process leaves it that died after the first page of 500.
        let ends = vec!["ok"; 1200];
        let whole = BatchSpec::new(key("big"), parts(&ends));
        let first = jobs.batch(whole.clone()).await.unwrap();
        let lost: Vec<_> = first.children[700..].to_vec();
        store.purge(PurgeOptions::new(Purge::Jobs(lost))).await.unwrap();
        assert_eq!(jobs.batch_progress(first.id).await.unwrap().unwrap().missing(), 500);
        let again = jobs.batch(whole.clone()).await.unwrap();
        assert_eq!((again.id, again.created, again.children.len()), (first.id, false, 1200));
        assert_eq!(again.children[..700], first.children[..700]);
        let progress = jobs.batch_progress(first.id).await.unwrap().unwrap();
        assert_eq!((progress.missing(), progress.counts.pending), (0, 1200));
        // And a third time, nothing is made.
        assert_eq!(jobs.batch(whole).await.unwrap().children, again.children);
        assert_eq!(store.list_all(Filter::default().with_parent(first.id)).await.unwrap().len(), 1200);
    }
}

#[tokio::test]
async fn a_key_with_other_children_is_a_conflict_and_a_foreign_child_is_named() {
    for store in each().await {
        let jobs = manager(&store);
        jobs.batch(BatchSpec::new(key("b"), parts(&["ok", "ok"]))).await.unwrap();
        let more = jobs.batch(BatchSpec::new(key("b"), parts(&["ok"; 3]))).await;
        assert!(matches!(more, Err(BatchError::Batch(_))), "{more:?}");
        let other = jobs.batch(BatchSpec::new(key("b"), parts(&["ok", "fails"]))).await;
        assert!(matches!(other, Err(BatchError::Child { index: 1, .. })), "{other:?}");
        let single = jobs.enqueue(parts(&["ok"]).remove(0).with_idempotency_key(key("own"))).await.unwrap().id();
        let mut children = parts(&["ok", "ok"]);
        children[1].idempotency_key = Some(key("own"));
        let foreign = jobs.batch(BatchSpec::new(key("c"), children)).await;
        assert!(
            matches!(foreign, Err(BatchError::Foreign { index: 1, existing }) if existing == single),
            "{foreign:?}"
        );
    }
}

#[tokio::test]
async fn batches_that_could_never_end_are_refused_before_anything_is_written() {
    let store = crate::stores::memory().await;
    let jobs = manager(&store);
    let rule = |n| BatchSpec::new(key("b"), parts(&["ok"])).with_rule(BatchRule::AtLeast(n));
    for spec in [BatchSpec::new(key("b"), parts(&[])), rule(0), rule(2)] {
        assert!(matches!(jobs.batch(spec).await, Err(BatchError::Rule)));
    }
    let own = parts(&["ok"]).remove(0).with_parent(JobId::MIN);
    assert!(matches!(jobs.batch(BatchSpec::new(key("b"), [own])).await, Err(BatchError::Parent { index: 0 })));
    assert!(store.list_all(Filter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_cancelled_batch_stops_its_children_and_takes_no_more() {
    for store in each().await {
        let jobs = manager(&store);
        let spec = BatchSpec::new(key("b"), parts(&["ok"; 3]));
        let batch = jobs.batch(spec.clone()).await.unwrap();
        jobs.cancel(batch.id, "not needed", Duration::ZERO).await.unwrap();
        assert_eq!(tend(&store).await.cancelled, 3);
        for child in &batch.children {
            let history = store.history_all(*child).await.unwrap();
            let last = history.last().unwrap();
            assert_eq!((last.to, &last.actor), (JobStatus::Cancelled, &Actor::Batch {}));
        }
        let Batch { id, children, .. } = jobs.batch(spec).await.unwrap();
        assert_eq!((id, children), (batch.id, batch.children));
        assert_eq!(jobs.batch_progress(id).await.unwrap().unwrap().counts.cancelled, 3);
        assert_eq!(tend(&store).await, tend(&store).await);
    }
}

#[tokio::test]
async fn with_fail_fast_the_first_failure_stops_the_rest_running_ones_included() {
    for store in each().await {
        let jobs = manager(&store);
        // The one that fails comes first, one runs until it is told to stop, the others wait.
        let mut children = parts(&["fails", "hangs", "ok", "ok"]);
        children[0].priority = 2;
        children[1].priority = 1;
        let batch = jobs.batch(BatchSpec::new(key("b"), children).with_fail_fast(true)).await.unwrap();
        let handler = handler_fn(|job: JobContext, end: String| async move {
            match end.as_str() {
                "hangs" => {
                    job.cancelled().cancelled().await;
                    Err(HandlerError::cancelled())
                }
                "fails" => Err(HandlerError::new(ErrorCategory::NoData, "it was told to fail")),
                _ => Ok("done"),
            }
        });
        let worker = Worker::builder(Arc::clone(&store)).handler(kind(), Arc::new(handler)).concurrency(1);
        let lease = Duration::from_millis(300);
        let worker =
            worker.lease(lease).poll_interval(Duration::from_millis(5)).stop_when_drained(true).build().unwrap();
        let running = tokio::spawn(async move { worker.run(CancellationToken::new()).await });
        let mut report = KeeperReport::default();
        for _ in 0..2000 {
            let round = tend(&store).await;
            report.cancelled += round.cancelled;
            report.abandoned += round.abandoned;
            if report.abandoned > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.await.unwrap().unwrap();
        assert_eq!((report.cancelled, report.abandoned), (3, 1));
        let counts = jobs.batch_progress(batch.id).await.unwrap().unwrap().counts;
        assert_eq!((counts.failed, counts.cancelled, counts.completed), (1, 3, 0));
    }
}

#[tokio::test]
async fn enough_children_conclude_a_batch_and_the_rest_is_stopped_if_so_wished() {
    for store in each().await {
        for stop in [false, true] {
            let jobs = manager(&store);
            let mut children = parts(&["ok"; 4]);
            // Two can't run yet.
            let later = SystemClock::new().now().wall.saturating_add(Duration::from_hours(1));
            children[2].run_at = Some(later);
            children[3].run_at = Some(later);
            let name = if stop { "stop" } else { "run" };
            let spec = BatchSpec::new(key(name), children).with_rule(BatchRule::AtLeast(2)).with_cancel_rest(stop);
            let batch = jobs.batch(spec).await.unwrap();
            let handler = Arc::new(handler_fn(|_, _: String| async { Ok::<_, HandlerError>(1) }));
            let worker = Worker::builder(Arc::clone(&store)).handler(kind(), handler).build().unwrap();
            let shutdown = CancellationToken::new();
            let token = shutdown.clone();
            let running = tokio::spawn(async move { worker.run(token).await });
            while jobs.batch_progress(batch.id).await.unwrap().unwrap().status != JobStatus::Completed {
                tend(&store).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            shutdown.cancel();
            running.await.unwrap().unwrap();
            tend(&store).await;
            let counts = jobs.batch_progress(batch.id).await.unwrap().unwrap().counts;
            assert_eq!((counts.cancelled, counts.pending), if stop { (2, 0) } else { (0, 2) });
        }
    }
}

#[tokio::test]
async fn batches_within_batches_end_from_the_inside_out_and_stop_from_the_outside_in() {
    for store in each().await {
        let jobs = manager(&store);
        let spec = |name: &str| {
            let inner = BatchSpec::new(key(&format!("{name}:inner")), parts(&["ok", "ok"]));
            let job = parts(&["ok"]).remove(0);
            BatchSpec::new(key(name), [Child::from(inner), Child::from(job)])
        };
        let outer = jobs.batch(spec("done")).await.unwrap();
        assert_eq!(jobs.batch(spec("done")).await.unwrap().children, outer.children);
        work(&store).await;
        // One look ends the inner one, whose end is the hint for the outer one.
        tend(&store).await;
        assert_eq!(job(&store, outer.children[0]).await.status, JobStatus::Completed);
        assert_eq!(job(&store, outer.id).await.status, JobStatus::Completed);

        let outer = jobs.batch(spec("stopped")).await.unwrap();
        let inner = store.list_all(Filter::default().with_parent(outer.children[0])).await.unwrap();
        jobs.cancel(outer.id, "", Duration::ZERO).await.unwrap();
        tend(&store).await;
        for id in inner.iter().map(|job| job.id).chain(outer.children) {
            assert_eq!(job(&store, id).await.status, JobStatus::Cancelled);
        }
    }
}

#[tokio::test]
async fn a_batch_whose_hints_were_lost_is_ended_by_the_safety_pass() {
    for store in each().await {
        let jobs = manager(&store);
        let mut batches = Vec::new();
        for n in 0..3 {
            batches.push(jobs.batch(BatchSpec::new(key(&format!("b{n}")), parts(&["ok"]))).await.unwrap().id);
        }
        work(&store).await;
        let now = SystemClock::new().now();
        // Taken by someone whose clock, or whose bug, hides them for a day.
        let lost = OutboxExchange::new(vec!["child_ended"], 100, Duration::from_hours(24), now);
        assert_eq!(store.outbox(lost).await.unwrap().len(), 3);
        assert_eq!(tend(&store).await.concluded, 0);
        let keeper = BatchKeeper::new(Arc::clone(&store));
        assert_eq!(keeper.check_all().await.unwrap().concluded, 3);
        assert_eq!(keeper.check_all().await.unwrap().concluded, 0);
        for id in batches {
            assert_eq!(job(&store, id).await.status, JobStatus::Completed);
        }
    }
}

#[tokio::test]
async fn a_batch_is_redriven_with_its_failed_children_only() {
    for store in each().await {
        let jobs = manager(&store);
        let batch = jobs.batch(BatchSpec::new(key("b"), parts(&["ok", "fails", "fails"]))).await.unwrap();
        work(&store).await;
        tend(&store).await;
        let (changed, redriven) = jobs.redrive_batch(batch.id, "mended").await.unwrap();
        assert_eq!((changed.status, redriven.redriven), (JobStatus::Pending, 2));
        // Nobody ends it before its children ran.
        tend(&store).await;
        assert_eq!(BatchKeeper::new(Arc::clone(&store)).check_all().await.unwrap().abandoned, 0);
        let handler = Arc::new(handler_fn(|_, _: String| async { Ok::<_, HandlerError>(1) }));
        let worker = Worker::builder(Arc::clone(&store)).handler(kind(), handler).stop_when_drained(true);
        worker.build().unwrap().run(CancellationToken::new()).await.unwrap();
        tend(&store).await;
        assert_eq!(job(&store, batch.id).await.status, JobStatus::Completed);
        let first = store.history_all(batch.children[0]).await.unwrap();
        assert_eq!(first.iter().filter(|event| event.to == JobStatus::Completed).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_keepers_end_a_batch_once() {
    for store in each().await {
        let jobs = manager(&store);
        let batch = jobs.batch(BatchSpec::new(key("b"), parts(&["ok"; 50]))).await.unwrap();
        work(&store).await;
        let keepers: Vec<_> = (0..8)
            .map(|n| {
                let keeper = BatchKeeper::new(Arc::clone(&store));
                tokio::spawn(async move {
                    if n % 2 == 0 { keeper.tend().await.unwrap() } else { keeper.check_all().await.unwrap() }
                })
            })
            .collect();
        let mut concluded = 0;
        for keeper in keepers {
            concluded += keeper.await.unwrap().concluded;
        }
        assert_eq!(concluded, 1);
        let ends = store.history_all(batch.id).await.unwrap();
        assert_eq!(ends.iter().filter(|event| event.to == JobStatus::Completed).count(), 1);
    }
}

#[tokio::test]
async fn a_parent_that_is_no_batch_or_has_no_plan_is_left_alone() {
    for store in each().await {
        let jobs = manager(&store);
        let plain = jobs.enqueue(JobSpec::new(JobKind::new("other").unwrap(), &1).unwrap()).await.unwrap().id();
        // The manager takes no such thing, but a store does.
        let odd = jobs.prepare(JobSpec::new(JobKind::batch(), &json!({ "no": "plan" })).unwrap());
        let odd_id = odd.id();
        store.enqueue(vec![odd], SystemClock::new().now()).await.unwrap();
        for parent in [plain, odd_id, Random::seeded(3).job_id(SystemClock::new().now().wall)] {
            jobs.enqueue(parts(&["ok"]).remove(0).with_parent(parent)).await.unwrap();
        }
        work(&store).await;
        let report = tend(&store).await;
        assert_eq!((report.hints, report.concluded, report.abandoned, report.cancelled), (3, 0, 0, 0));
        assert_eq!(tend(&store).await.hints, 0);
    }
}
