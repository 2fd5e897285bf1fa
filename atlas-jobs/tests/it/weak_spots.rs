//! Where the predecessor broke, one test each, on both stores.

use crate::stores;
use atlas_jobs::state::Retry;
use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandRequest, Exchange, Filter, JobCommand, ListOptions, Scope,
};
use atlas_jobs::{Clock, HandlerError, JobManager, JobSpec, JobStore, JobStoreExt, Moment, Random, SystemClock};
use atlas_schema::{Actor, ErrorCategory, JobError, JobId, JobKind, JobRecord, JobStatus, QueueName, WorkerId};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

pub(crate) async fn each() -> Vec<Arc<dyn JobStore>> {
    vec![
        stores::memory().await,
        #[cfg(feature = "sqlite")]
        stores::sqlite().await,
    ]
}

/// Those, and the one that is reached over a network.
async fn all() -> Vec<Arc<dyn JobStore>> {
    #[cfg_attr(not(feature = "dynamodb"), expect(unused_mut, reason = "nothing is added"))]
    let mut all = each().await;
    #[cfg(feature = "dynamodb")]
    if testkit::dynamo::is_available() {
        all.push(crate::dynamo::large().await);
    }
    all
}

fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

fn now() -> Moment {
    SystemClock::new().now()
}

async fn add(store: &Arc<dyn JobStore>) -> JobId {
    let spec = JobSpec::new(kind(), &1).unwrap();
    JobManager::new(Arc::clone(store)).unwrap().enqueue(spec).await.unwrap().id()
}

async fn claim(store: &Arc<dyn JobStore>, worker: &str) -> JobRecord {
    let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind()], limit: 1 };
    let beat = Random::from_os().unwrap().u64() >> 2;
    let exchange = Exchange::new(WorkerId::new(worker).unwrap(), beat, Duration::from_mins(1), now());
    store.exchange(exchange.with_claim(claim)).await.unwrap().claimed.remove(0)
}

async fn ack(store: &Arc<dyn JobStore>, worker: &str, job: &JobRecord, action: AckAction) -> AckOutcome {
    let ack = Ack { job: job.id, epoch: job.epoch, action };
    let exchange = Exchange::new(WorkerId::new(worker).unwrap(), u64::MAX >> 1, Duration::from_mins(1), now());
    store.exchange(exchange.with_acks(vec![ack])).await.unwrap().acks.remove(0)
}

fn failure(message: &str) -> AckAction {
    let error = JobError { category: ErrorCategory::Network, message: message.into() };
    AckAction::Fail { error, retry: Retry::Never }
}

/// "Concurrent complete + cancel + fail all succeed and the last writer wins over a terminal state."
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_concurrent_complete_fail_and_cancel_exactly_one_wins() {
    for store in all().await {
        for _ in 0..20 {
            let id = add(&store).await;
            let job = claim(&store, &format!("w{id}")).await;
            let spawn = |name: &'static str, action| {
                let (store, job) = (Arc::clone(&store), job.clone());
                tokio::spawn(async move { ack(&store, &format!("{name}{id}"), &job, action).await })
            };
            let complete = spawn("a", AckAction::Complete { result: 1.into() });
            let fail = spawn("b", failure("no"));
            let cancel = {
                let store = Arc::clone(&store);
                let command = JobCommand::Cancel { reason: String::new(), acknowledge_within: Duration::ZERO };
                let request = CommandRequest { job: id, if_version: None, command };
                tokio::spawn(async move { store.command(vec![request], Actor::Caller {}, now()).await.unwrap() })
            };
            let applied = [complete.await.unwrap(), fail.await.unwrap()];
            cancel.await.unwrap();
            let wins = applied.iter().filter(|outcome| matches!(outcome, AckOutcome::Applied { .. })).count();
            let ends = store.history_all(id).await.unwrap().into_iter().filter(|event| event.to.is_terminal()).count();
            assert_eq!((wins, ends), (1, 1));
        }
    }
}

/// "State and audit entry are separate writes; log loss is silent."
#[tokio::test]
async fn there_is_no_state_without_its_audit_event() {
    for store in all().await {
        let id = add(&store).await;
        let job = claim(&store, "w").await;
        ack(&store, "w", &job, failure("no")).await;
        let record = store.get_one(id.into()).await.unwrap().unwrap();
        let history = store.history_all(id).await.unwrap();
        assert_eq!(history.len(), usize::try_from(record.version).unwrap());
        let last = history.last().unwrap();
        assert_eq!((last.to, &last.error, last.at), (record.status, &record.error, record.updated_at));
    }
}

/// "The log copies the whole result, so that the item grows to its limit."
#[tokio::test]
async fn the_history_does_not_grow_with_the_result() {
    for store in all().await {
        let id = add(&store).await;
        let job = claim(&store, "w").await;
        let result = "x".repeat(1_000_000).into();
        ack(&store, "w", &job, AckAction::Complete { result }).await;
        let history = store.history_all(id).await.unwrap();
        assert!(serde_json::to_string(&history).unwrap().len() < 2000);
    }
}

/// "Undefined values in a result make the write throw and leave the job in processing."
#[tokio::test]
async fn a_result_that_can_not_be_stored_never_leaves_the_job_running() {
    for store in all().await {
        let id = add(&store).await;
        let job = claim(&store, "w").await;
        let result = "x".repeat(store.capabilities().max_result_bytes + 1).into();
        let refused = ack(&store, "a", &job, AckAction::Complete { result }).await;
        assert!(matches!(refused, AckOutcome::Refused(_)));
        ack(&store, "b", &job, failure("the result is too large")).await;
        assert_eq!(store.get_one(id.into()).await.unwrap().unwrap().status, JobStatus::Failed);
    }
}

/// "Restarting a cancelled or failed job keeps the stale error."
#[tokio::test]
async fn a_restarted_job_has_no_stale_error() {
    for store in all().await {
        let id = add(&store).await;
        let job = claim(&store, "w").await;
        ack(&store, "w", &job, failure("the old error")).await;
        JobManager::new(Arc::clone(&store)).unwrap().redrive(id, "").await.unwrap();
        assert_eq!(store.get_one(id.into()).await.unwrap().unwrap().error, None);
    }
}

/// "Callers may overwrite the logs." No method of the trait writes an event; the manager's calls add one each.
#[tokio::test]
async fn no_caller_can_overwrite_history() {
    for store in all().await {
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        let id = add(&store).await;
        let before = store.history_all(id).await.unwrap();
        jobs.cancel(id, "a", Duration::ZERO).await.unwrap();
        jobs.redrive(id, "b").await.unwrap();
        let spec = JobSpec::new(kind(), &1).unwrap().with_id(id);
        jobs.enqueue(spec).await.unwrap();
        let after = store.history_all(id).await.unwrap();
        assert_eq!((after.len(), &after[..1]), (3, &before[..]));
    }
}

/// "An error of over 5000 characters is accepted on update."
#[tokio::test]
async fn an_error_of_over_5000_characters_is_refused_by_stores_and_cut_visibly_by_handlers() {
    for store in all().await {
        add(&store).await;
        let job = claim(&store, "w").await;
        let long = "x".repeat(5001);
        assert!(matches!(ack(&store, "a", &job, failure(&long)).await, AckOutcome::Refused(_)));
        let cut = HandlerError::new(ErrorCategory::Network, long);
        assert_eq!(cut.error().message.chars().count(), 5000);
        assert!(cut.error().message.ends_with("[cut: 5001 characters]"));
    }
}

/// "One scan page, the limit applied before the filter, no cursor."
#[tokio::test]
async fn a_filtered_list_is_complete_over_its_pages() {
    for store in all().await {
        let mut cancelled = HashSet::new();
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        for n in 0..60 {
            let id = add(&store).await;
            if n % 10 == 0 {
                jobs.cancel(id, "", Duration::ZERO).await.unwrap();
                cancelled.insert(id);
            }
        }
        let filter = Filter::default().with_statuses([JobStatus::Cancelled]);
        let mut options = ListOptions::new(filter).with_limit(4);
        let mut found = HashSet::new();
        loop {
            let page = jobs.list(options.clone()).await.unwrap();
            found.extend(page.items.iter().map(|job| job.id));
            let Some(next) = page.next else { break };
            options.cursor = Some(next);
        }
        assert_eq!(found, cancelled);
    }
}

/// "Statistics silently partial": of a list of at most 1000.
#[tokio::test]
async fn statistics_count_more_than_a_thousand_jobs() {
    for store in all().await {
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        let specs = (0..1001).map(|_| JobSpec::new(kind(), &1).unwrap()).collect();
        jobs.enqueue_many(specs).await.unwrap();
        assert_eq!(jobs.statistics(Scope::default()).await.unwrap().total(), 1001);
    }
}

/// "`timeout` has no operation, no sweeper."
#[tokio::test]
async fn a_job_past_its_deadline_is_timed_out_by_the_sweeper() {
    for store in all().await {
        let deadline = now().wall.saturating_add(Duration::from_mins(1));
        let spec = JobSpec::new(kind(), &1).unwrap().with_deadline(deadline);
        let id = JobManager::new(Arc::clone(&store)).unwrap().enqueue(spec).await.unwrap().id();
        let later = now().plus(Duration::from_secs(61));
        store.sweep(atlas_jobs::store::SweepOptions::new(later)).await.unwrap();
        assert_eq!(store.get_one(id.into()).await.unwrap().unwrap().status, JobStatus::Timeout);
    }
}

/// Many threads, one queue: no job runs twice, none is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_claimers_never_share_a_job() {
    for store in all().await {
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        jobs.enqueue_many((0..400).map(|_| JobSpec::new(kind(), &1).unwrap()).collect()).await.unwrap();
        let claimers = (0..8).map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for beat in 1.. {
                    let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind()], limit: 7 };
                    let worker = WorkerId::new(format!("w{n}")).unwrap();
                    let exchange = Exchange::new(worker, beat, Duration::from_mins(1), now()).with_claim(claim);
                    let claimed = store.exchange(exchange).await.unwrap().claimed;
                    if claimed.is_empty() {
                        break;
                    }
                    mine.extend(claimed.into_iter().map(|job| job.id));
                }
                mine
            })
        });
        let mut all = Vec::new();
        for claimer in claimers {
            all.extend(claimer.await.unwrap());
        }
        assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (400, 400));
    }
}
