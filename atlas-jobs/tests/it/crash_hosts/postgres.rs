//! The same over PostgreSQL, and what can happen to a server: restarts, killed backends, no free connection, its end in
//! the middle of a transaction.

use super::{Host, folder, kills, kind, open as open_at, rounds, verify, zombies};
use crate::mutants::Broken;
use crate::postgres::pool_of;
use atlas_jobs::conformance::trail::audit;
use atlas_jobs::store::{Ack, AckAction, AckOutcome, Claim, Exchange, Filter, Scope};
use atlas_jobs::{
    Clock, JobManager, JobSpec, JobStore, JobStoreExt, Kind, ManagerError, NewJob, PostgresJobs, Random, StoreError,
    SystemClock,
};
use atlas_schema::{IdempotencyKey, JobStatus, QueueName, Stage, WorkerId};
use deadpool_postgres::{Manager, Pool, Runtime};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use testkit::postgres::Server;
use tokio_postgres::{Client, Config, NoTls};

/// How to connect to `SCHEMA:SERVER`. The schema also names the program, so that its connections can be found.
fn config(rest: &str) -> Config {
    let (schema, server) = rest.split_once(':').unwrap();
    let mut config: Config = server.parse().unwrap();
    config.options(format!("-c search_path={schema}")).application_name(schema);
    config
}

pub(super) async fn open(rest: &str) -> PostgresJobs {
    PostgresJobs::open(pool_of(config(rest), 4), Stage::Dev).await.unwrap()
}

/// A connection of the test's own.
async fn connect(server: &str) -> Client {
    let (client, connection) = server.parse::<Config>().unwrap().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The address of an empty schema on a server.
async fn fresh(server: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("c{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    connect(server).await.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    format!("postgres:{name}:{server}")
}

fn rest(address: &str) -> &str {
    address.strip_prefix("postgres:").unwrap()
}

/// What a caller over a network does: the same call again while its failure may pass.
async fn persist<T, E, F>(mut call: impl FnMut() -> F) -> T
where
    E: Into<ManagerError>,
    F: Future<Output = Result<T, E>>,
{
    loop {
        match call().await.map_err(Into::into) {
            Ok(value) => return value,
            Err(ManagerError::Store(error)) if error.is_retryable() => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Two hosts work and a caller enqueues while the database is struck again and again.
async fn endure(address: &str, blows: u64, mut strike: impl AsyncFnMut()) {
    let folder = folder();
    let oracle = folder.path().join("oracle");
    let store = open_at(address).await;
    let jobs = JobManager::new(store.clone()).unwrap();
    let hosts: Vec<Host> = (0..2).map(|n| Host::start(address, "steady", &oracle, n)).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let caller = tokio::spawn({
        let (jobs, stop) = (jobs.clone(), Arc::clone(&stop));
        async move {
            let mut accepted = 0;
            while !stop.load(Ordering::Relaxed) {
                let spec = |n: u64| {
                    let key = IdempotencyKey::new(format!("job{n}")).unwrap();
                    JobSpec::new(kind(), &n).unwrap().with_idempotency_key(key).with_max_attempts(1000)
                };
                // With the same keys whenever the answer is lost: whether they were taken is unknown then.
                let answers = persist(|| jobs.enqueue_many((accepted..accepted + 5).map(spec).collect())).await;
                assert!(answers.iter().all(Result::is_ok), "{answers:?}");
                accepted += 5;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            accepted
        }
    });
    for _ in 0..blows {
        // In the midst of work.
        for host in &hosts {
            host.hear_anew("began ");
        }
        strike().await;
    }
    for host in &hosts {
        host.hear_anew("began ");
    }
    stop.store(true, Ordering::Relaxed);
    let accepted = caller.await.unwrap();
    let rest = async {
        while persist(|| store.statistics(Scope::default())).await.unfinished() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(2), rest).await.expect("no job is stuck");
    hosts.into_iter().for_each(Host::dismiss);
    let by_hosts = verify(&*store, &oracle, accepted).await;
    assert_eq!(by_hosts, accepted);
    println!("{blows} blows, {accepted} jobs, {} epochs", super::epochs(&oracle).len());
}

testkit::with_postgres! {
    #[tokio::test]
    async fn bad_input_66_a_worker_stopped_past_its_lease_writes_nothing_to_a_server_either() {
        zombies::haunt(&fresh(&testkit::postgres::shared()).await, rounds(200, 10), None).await.unwrap();
    }

    #[tokio::test]
    async fn the_harness_notices_a_server_store_that_does_not_check_epochs() {
        let address = fresh(&testkit::postgres::shared()).await;
        zombies::haunt(&address, 2, Some(Broken::StaleEpochs)).await.unwrap_err();
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn workers_of_a_server_killed_at_named_and_at_random_moments_lose_nothing_and_double_nothing() {
        kills::kill(&fresh(&testkit::postgres::shared()).await, rounds(20, 100)).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_server_that_restarts_at_once_while_workers_work_loses_nothing_and_doubles_nothing() {
        let server = Server::start();
        endure(&fresh(&server.url()).await, rounds(2, 1000), async || {
            tokio::task::block_in_place(|| server.restart_immediately());
        })
        .await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_backends_terminated_while_workers_work_lose_nothing_and_double_nothing() {
        let server = testkit::postgres::shared();
        let address = fresh(&server).await;
        let schema = rest(&address).split(':').next().unwrap().to_owned();
        let admin = connect(&server).await;
        let mut killed = 0;
        endure(&address, rounds(10, 1000), async || {
            let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
            killed += admin.query_one(all, &[&schema]).await.unwrap().get::<_, i64>(0);
        })
        .await;
        println!("{killed} backends terminated");
        assert!(killed > 2, "hosts were connected: {killed}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_pool_of_one_connection_that_is_taken_is_unavailable_and_serves_everybody_once_it_is_free() {
        let address = fresh(&testkit::postgres::shared()).await;
        let pool = Pool::builder(Manager::new(config(rest(&address)), NoTls)).max_size(1).runtime(Runtime::Tokio1);
        let pool = pool.wait_timeout(Some(Duration::from_millis(50))).build().unwrap();
        let store: Arc<dyn JobStore> = Arc::new(PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap());
        let jobs = JobManager::new(store.clone()).unwrap();
        let spec = |n: u64| JobSpec::new(kind(), &n).unwrap().with_max_attempts(1000);
        let held = pool.get().await.unwrap();
        let refused = |error: ManagerError| match error {
            ManagerError::Store(error) => assert!(error.kind() == Kind::Unavailable && error.is_retryable(), "{error}"),
            error => panic!("{error:?}"),
        };
        refused(jobs.enqueue(spec(0)).await.unwrap_err());
        refused(jobs.sweep().await.unwrap_err().into());
        refused(jobs.statistics(Scope::default()).await.unwrap_err().into());
        // Workers start all the same, and callers ask again: far more than the connection can serve at once.
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let shutdown = tokio_util::sync::CancellationToken::new();
                (shutdown.clone(), tokio::spawn(super::work(store.clone(), false, shutdown)))
            })
            .collect();
        let callers: Vec<_> = (0..60)
            .map(|n| {
                let jobs = jobs.clone();
                let key = IdempotencyKey::new(format!("job{n}")).unwrap();
                let spec = spec(n).with_idempotency_key(key);
                tokio::spawn(async move { persist(|| jobs.enqueue(spec.clone())).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(held);
        for caller in callers {
            caller.await.unwrap();
        }
        let rest = async {
            while persist(|| store.statistics(Scope::default())).await.unfinished() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), rest).await.expect("no job is stuck");
        for (shutdown, worker) in workers {
            shutdown.cancel();
            worker.await.unwrap();
        }
        let all = persist(|| store.statistics(Scope::default())).await;
        assert_eq!((all.total(), all.in_status(JobStatus::Completed)), (60, 60));
        assert_eq!(persist(|| audit(&*store, Filter::default())).await, []);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_database_that_vanishes_mid_transaction_has_all_of_it_or_nothing() {
        let server = Server::start();
        let address = fresh(&server.url()).await;
        let pool = pool_of(config(rest(&address)), 4);
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let now = || SystemClock::new().now();
        let random = Random::from_os().unwrap();
        let job = |n: u64| {
            let spec = JobSpec::new(kind(), &n).unwrap();
            NewJob::new(spec, Stage::Dev, random.job_id(now().wall), random.correlation_id())
        };
        let vanish = || tokio::task::block_in_place(|| server.stop_immediately());
        let back = || tokio::task::block_in_place(|| server.start_again());
        let first = job(1);
        store.enqueue(vec![first.clone()], now()).await.unwrap();
        let worker = WorkerId::new("w").unwrap();
        let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind()], limit: 1 };
        let exchange = |beat| Exchange::new(worker.clone(), beat, Duration::from_hours(1), now());
        let held = store.exchange(exchange(1).with_claim(claim)).await.unwrap().claimed.remove(0);
        let ack = || Ack { job: held.id, epoch: held.epoch, action: AckAction::Complete { result: 1.into() } };

        // The host's own transaction: a new job and the end of another.
        let second = job(2);
        let mut client = pool.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        store.enqueue_in(&transaction, vec![second.clone()]).await.unwrap();
        let outcome = store.complete_in(&transaction, &worker, ack()).await.unwrap();
        assert!(matches!(outcome, AckOutcome::Applied { .. }));
        vanish();
        transaction.commit().await.unwrap_err();
        drop(client);
        // Whoever asks meanwhile is told to ask again.
        let refused: StoreError = store.get_one(second.id().into()).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable);
        back();
        // The pool notices dead connections by using them.
        assert_eq!(persist(|| store.get_one(second.id().into())).await, None);
        let status = persist(|| store.get_one(held.id.into())).await.unwrap().status;
        assert_eq!(status, JobStatus::Processing);

        // Calls of the store itself that are under way: what was answered is there, whatever else is.
        let calls: Vec<_> = (10..200)
            .map(|n| {
                let (store, job) = (store.clone(), job(n));
                let id = job.id();
                tokio::spawn(async move { (id, store.enqueue(vec![job], now()).await) })
            })
            .collect();
        tokio::task::yield_now().await;
        vanish();
        back();
        for call in calls {
            match call.await.unwrap() {
                (id, Ok(_)) => assert!(persist(|| store.get_one(id.into())).await.is_some()),
                (_, Err(error)) => assert!(error.is_retryable(), "{error:?}"),
            }
        }
        // The lease has outlived both ends, and so has the worker's right to say what became of it.
        let acks = persist(|| store.exchange(exchange(9).with_acks(vec![ack()]))).await.acks;
        assert!(matches!(acks[..], [AckOutcome::Applied { .. }]), "{acks:?}");
        assert_eq!(persist(|| audit(&store, Filter::default())).await, []);
    }
}
