//! Each request of the store is failed, its answer lost, and itself repeated: nothing is lost, doubled or half done.

use super::audit::audit;
use super::caller::{Caller, LEASE, excuse, failed, insist, noon, queue};
use super::faults::{Fault, Faulty};
use super::{client, client_over, unused_table};
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::state::Retry;
use atlas_jobs::store::{
    Ack, AckAction, Delivery, Filter, JobCommand, OutboxExchange, Purge, PurgeOptions, QueueChange, Scope, Settlement,
    SweepOptions,
};
use atlas_jobs::{DynamoJobs, JobSpec, JobStore, JobStoreExt, NewJob, Random};
use atlas_schema::{Callback, ExternalId, IdempotencyKey, JobRecord, JobStatus, Progress, Stage, WorkerId};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is asked of a store, in parts, since each part is run once per request and fault.
#[derive(Debug, Clone, Copy)]
enum Part {
    Work,
    Life,
    Limits,
}

fn job(random: &Random, spec: JobSpec) -> NewJob {
    NewJob::new(spec, Stage::Dev, random.job_id(noon().wall), random.correlation_id())
}

fn spec(payload: &str) -> JobSpec {
    JobSpec::new(super::caller::kind(), &payload).unwrap()
}

fn ack(job: &JobRecord, action: AckAction) -> Ack {
    Ack { job: job.id, epoch: job.epoch, action }
}

/// Claims, progress, an end with a result in an item of its own, a retry, a release, an end with an artifact; then all
/// of it is read.
async fn work(caller: &mut Caller) {
    let random = Random::seeded(11);
    let a = spec("a")
        .with_idempotency_key(IdempotencyKey::new("key").unwrap())
        .with_external_id(ExternalId::new("ext").unwrap());
    let jobs = vec![
        job(&random, a),
        job(&random, spec("b").with_priority(-1)),
        job(&random, spec(&"c".repeat(2000)).with_priority(-2)),
    ];
    let ids = caller.enqueue(jobs).await;
    let claimed = caller.claim("one", Vec::new(), 3).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), ids);
    let progress = Progress { done: 1, total: Some(2), note: None };
    caller.trade("one", Vec::new(), Some(progress), 0).await;
    let acks = vec![
        ack(&claimed[0], AckAction::Complete { result: "r".repeat(2000).into() }),
        ack(&claimed[1], AckAction::Fail { error: failed(), retry: Retry::After(Duration::ZERO) }),
        ack(&claimed[2], AckAction::Release { delay: Duration::ZERO }),
    ];
    let claimed = caller.claim("one", acks, 2).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), ids[1..]);
    caller.ack("one", &claimed[0], AckAction::Complete { result: "l".repeat(300_000).into() }).await;

    let statistics = insist!(caller, caller.store.statistics(Scope::default()));
    assert_eq!(JobStatus::ALL.map(|status| statistics.in_status(status)), [0, 1, 2, 0, 0, 0]);
    let listed = insist!(caller, caller.store.list_all(Filter::default()));
    assert_eq!(listed.len(), 3);
    for job in &listed {
        let history = insist!(caller, caller.store.history_all(job.id));
        assert_eq!(history.iter().map(|e| e.version).collect::<Vec<_>>(), (1..=job.version).collect::<Vec<_>>());
        assert_eq!(history.last().map(|event| event.to), Some(job.status));
        let ends = history.iter().filter(|event| event.to == JobStatus::Completed).count();
        assert_eq!(ends, usize::from(job.status == JobStatus::Completed), "one outcome");
    }
    let artifact = listed.iter().find(|job| job.id == ids[1]).and_then(|job| job.result.clone());
    assert_eq!(artifact, Some("l".repeat(300_000).into()));
}

/// A cancel that is answered; a job that is cancelled, goes round again, loses its worker, and is given up; what
/// follows from an end, delivered.
async fn life(caller: &mut Caller) {
    let (random, now) = (Random::seeded(12), noon());
    let callback = Callback { url: "https://example.org/".into() };
    let c = spec("c").with_callback(callback).with_parent(random.job_id(now.wall));
    let c = caller.enqueue(vec![job(&random, c)]).await[0];
    let claimed = caller.claim("one", Vec::new(), 1).await;
    let cancel = || JobCommand::Cancel { reason: "no need".into(), acknowledge_within: LEASE };
    caller.command(c, cancel()).await;
    caller.ack("one", &claimed[0], AckAction::Cancelled).await;

    let d = spec("d").with_deadline(now.wall.saturating_add(LEASE * 10));
    let d = caller.enqueue(vec![job(&random, d)]).await[0];
    caller.command(d, cancel()).await;
    caller.command(d, JobCommand::Redrive { reason: "after all".into(), delay: Duration::ZERO }).await;
    assert_eq!(caller.claim("two", Vec::new(), 1).await.len(), 1);
    let dead = SweepOptions::new(now).with_dead(vec![WorkerId::new("two").unwrap()]);
    insist!(caller, caller.store.sweep(dead.clone()));
    caller.command(d, JobCommand::Abandon { error: failed() }).await;

    let mut settled = BTreeSet::new();
    for round in 0..3_u32 {
        let later = now.plus(LEASE * 2 * round);
        let exchange = OutboxExchange::new(vec!["callback", "child_ended"], 10, LEASE, later);
        let items = insist!(caller, caller.store.outbox(exchange.clone()));
        let done = |item: &atlas_jobs::store::OutboxItem| Settlement {
            key: item.entry.key(),
            tries: item.tries,
            delivery: Delivery::Done,
        };
        settled.extend(items.iter().map(|item| item.entry.key()));
        let report =
            OutboxExchange::new(Vec::new(), 0, LEASE, later).with_settlements(items.iter().map(done).collect());
        insist!(caller, caller.store.outbox(report.clone()));
        if settled.len() == 2 {
            break;
        }
    }
    assert_eq!(settled.len(), 2, "each follower is handed out, and no other");
    let statuses = [c, d].map(atlas_jobs::store::JobRef::Id).to_vec();
    let found = insist!(caller, caller.store.get(statuses.clone()));
    let found: Vec<_> = found.into_iter().map(|job| job.map(|job| job.status)).collect();
    assert_eq!(found, [Some(JobStatus::Cancelled), Some(JobStatus::Failed)]);
}

/// A queue with limits, then deleting by name and by age.
async fn limits(caller: &mut Caller) {
    let (random, now) = (Random::seeded(13), noon());
    let limits = QueueChange::new(queue()).with_max_running(Some(1)).with_max_per_second(Some(100));
    insist!(caller, caller.store.queues(vec![limits.clone()], now));
    caller.enqueue(["e", "f", "g"].map(|name| job(&random, spec(name))).to_vec()).await;
    let e = caller.claim("one", Vec::new(), 1).await.remove(0);
    assert_eq!(caller.trade("one", Vec::new(), None, 2).await.claimed, [], "the limit holds");
    let result = AckAction::Complete { result: "l".repeat(300_000).into() };
    let f = caller.claim("one", vec![ack(&e, result)], 1).await.remove(0);
    let g = caller.claim("one", vec![ack(&f, AckAction::Complete { result: 1.into() })], 1).await.remove(0);

    let named = PurgeOptions::new(Purge::Jobs(vec![e.id, g.id]));
    insist!(caller, caller.store.purge(named.clone()));
    let old = Purge::Ended { status: JobStatus::Completed, before: now.wall.saturating_add(LEASE) };
    // An index that lags shows what it missed the next time.
    for _ in 0..2 {
        insist!(caller, caller.store.purge(PurgeOptions::new(old.clone())));
    }
    let left = insist!(caller, caller.store.list_all(Filter::default()));
    assert_eq!(left.iter().map(|job| (job.id, job.status)).collect::<Vec<_>>(), [(g.id, JobStatus::Processing)]);
}

/// Runs a part with one request at fault. Which requests there were.
async fn run(part: Part, fault_at: usize, fault: Fault) -> Vec<(String, bool)> {
    let url = testkit::dynamo::shared();
    let table = unused_table();
    let direct = client(&url);
    create_table(&direct, &table).await.unwrap();
    let plan = move |number: usize, _: &str| if number == fault_at { fault } else { Fault::None };
    let faulty = Faulty::new(aws_smithy_http_client::Builder::new().build_http(), plan);
    let artifacts = Arc::new(object_store::memory::InMemory::new());
    let options = DynamoOptions::new(&table, Stage::Dev).with_artifacts(artifacts.clone());
    let opened = DynamoJobs::open(client_over(&url, faulty.clone()), options.clone()).await;
    let store = match opened {
        Ok(store) => store,
        Err(error) => {
            excuse(&error);
            DynamoJobs::open(client_over(&url, faulty.clone()), options).await.unwrap()
        }
    };
    let mut caller = Caller::new(store);
    match part {
        Part::Work => work(&mut caller).await,
        Part::Life => life(&mut caller).await,
        Part::Limits => limits(&mut caller).await,
    }
    audit(&direct, &table).await;
    let left = futures_util::StreamExt::count(object_store::ObjectStore::list(&*artifacts, None)).await;
    match part {
        // A write whose answer was lost may leave one that its job's purge removes.
        Part::Work => assert!((1..=2).contains(&left)),
        Part::Life | Part::Limits => assert_eq!(left, 0, "the artifacts of deleted jobs are deleted"),
    }
    assert!(fault_at == usize::MAX || fault_at >= faulty.requests().len() || faulty.hit() == 1);
    faulty.requests()
}

/// The faults that one request is put through: before it is done, after, and twice. A read is as good as not done if
/// its answer is lost.
fn faults_of(number: usize, operation: &str, of_index: bool) -> Vec<Fault> {
    let conflicts = [Fault::Conflict(0), Fault::Conflict(1), Fault::Conflict(usize::MAX)];
    let refusals = [Fault::Throttled, Fault::Down, conflicts[number / 3 % 3]];
    match operation {
        "Query" if of_index => vec![refusals[number % 2], Fault::Stale],
        "Query" | "GetItem" | "BatchGetItem" => vec![[Fault::Throttled, Fault::Down, Fault::AnswerLost][number % 3]],
        "BatchWriteItem" => vec![refusals[number % 2], Fault::AnswerLost, Fault::Twice],
        _ => vec![refusals[number % 3], Fault::AnswerLost, Fault::Twice],
    }
}

async fn every_request(part: Part) {
    let requests = run(part, usize::MAX, Fault::None).await;
    let faults = requests.iter().enumerate().flat_map(|(number, (operation, of_index))| {
        faults_of(number, operation, *of_index).into_iter().map(move |fault| (number, fault))
    });
    let queue: Arc<Mutex<Vec<(usize, Fault)>>> = Arc::new(Mutex::new(faults.collect()));
    let hands = (0..4).map(|_| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move {
            loop {
                let Some((number, fault)) = queue.lock().unwrap().pop() else { break };
                let ran = tokio::spawn(run(part, number, fault)).await;
                ran.unwrap_or_else(|_| panic!("{part:?}, request {number}, {fault:?}: see above"));
            }
        })
    });
    for hand in hands.collect::<Vec<_>>() {
        hand.await.unwrap();
    }
}

testkit::with_dynamodb! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_stays_whole_with_every_request_failed_before_after_and_twice() {
        every_request(Part::Work).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn lives_stay_whole_with_every_request_failed_before_after_and_twice() {
        every_request(Part::Life).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn limits_and_purges_stay_whole_with_every_request_failed_before_after_and_twice() {
        every_request(Part::Limits).await;
    }
}
