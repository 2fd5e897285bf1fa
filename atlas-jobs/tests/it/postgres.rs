//! The PostgreSQL store, on a real server.

use atlas_jobs::store::{Ack, AckAction, AckOutcome, Claim, Enqueued, Exchange, QueueChange, Scope};
use atlas_jobs::{Clock, JobSpec, JobStore, JobStoreExt, Kind, Moment, NewJob, PostgresJobs, Random, SystemClock};
use atlas_schema::{IdempotencyKey, JobKind, JobRecord, JobStatus, QueueName, Stage, WorkerId};
use deadpool_postgres::{Manager, Pool};
use serde_json::Value;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::{Config, NoTls};

/// A pool whose connections see a schema of its own, empty at first.
pub(crate) async fn pool() -> Pool {
    pool_and_config().await.0
}

pub(crate) async fn pool_and_config() -> (Pool, Config) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut config: Config = testkit::postgres::shared().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    config.options(format!("-c search_path={name}"));
    (pool_of(config.clone(), 8), config)
}

pub(crate) fn pool_of(config: Config, size: usize) -> Pool {
    Pool::builder(Manager::new(config, NoTls)).max_size(size).build().unwrap()
}

pub(crate) async fn fresh() -> PostgresJobs {
    PostgresJobs::open(pool().await, Stage::Dev).await.unwrap()
}

pub(crate) fn kind() -> JobKind {
    JobKind::new("k").unwrap()
}

pub(crate) fn now() -> Moment {
    SystemClock::new().now()
}

pub(crate) fn spec(n: u32) -> JobSpec {
    JobSpec::new(kind(), &n).unwrap()
}

pub(crate) fn new_job(spec: JobSpec) -> NewJob {
    let random = Random::from_os().unwrap();
    NewJob::new(spec, Stage::Dev, random.job_id(now().wall), random.correlation_id())
}

pub(crate) fn exchange(worker: &str, beat: u64, limit: usize) -> Exchange {
    let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind()], limit };
    Exchange::new(WorkerId::new(worker).unwrap(), beat, Duration::from_mins(1), now()).with_claim(claim)
}

pub(crate) fn done(job: &JobRecord) -> Ack {
    Ack { job: job.id, epoch: job.epoch, action: AckAction::Complete { result: Value::Null } }
}

pub(crate) async fn number(pool: &Pool, sql: &str) -> i64 {
    pool.get().await.unwrap().query_one(sql, &[]).await.unwrap().get(0)
}

testkit::with_postgres! {
    #[tokio::test]
    async fn many_processes_open_an_empty_database_at_once() {
        let pool = pool().await;
        let opens = (0..8).map(|_| PostgresJobs::open(pool.clone(), Stage::Dev));
        for opened in futures_util::future::join_all(opens).await {
            opened.unwrap();
        }
    }

    #[tokio::test]
    async fn a_database_of_another_stage_of_a_newer_release_or_damaged_is_refused_and_not_touched() {
        let pool = pool().await;
        PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let refused = async |stage| PostgresJobs::open(pool.clone(), stage).await.unwrap_err().kind();
        assert_eq!(refused(Stage::Production).await, Kind::WrongStage);
        let client = pool.get().await.unwrap();
        let set = async |key: &str, value: &str| {
            let sql = "UPDATE atlas_jobs_meta SET value = $2 WHERE key = $1";
            client.execute(sql, &[&key, &value]).await.unwrap();
        };
        set("version", "99").await;
        assert_eq!(refused(Stage::Dev).await, Kind::NewerVersion);
        set("version", "many").await;
        assert_eq!(refused(Stage::Dev).await, Kind::Corrupt);
    }

    #[tokio::test]
    async fn a_host_that_rolls_back_leaves_no_job_and_one_that_commits_leaves_it_once() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let job = new_job(spec(1).with_idempotency_key(IdempotencyKey::new("once").unwrap()));
        let mut client = pool.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let answers = store.enqueue_in(&transaction, vec![job.clone()]).await.unwrap();
        assert_eq!(answers, [Enqueued::Created { id: job.id() }]);
        assert_eq!(store.get_one(job.id().into()).await.unwrap(), None, "not before the commit");
        transaction.rollback().await.unwrap();
        assert_eq!(store.get_one(job.id().into()).await.unwrap(), None);
        assert_eq!(store.statistics(Scope::default()).await.unwrap().total(), 0);

        let transaction = client.transaction().await.unwrap();
        store.enqueue_in(&transaction, vec![job.clone()]).await.unwrap();
        let again = store.enqueue_in(&transaction, vec![job.clone()]).await.unwrap();
        assert_eq!(again, [Enqueued::Existing { id: job.id() }]);
        transaction.commit().await.unwrap();
        assert_eq!(store.exchange(exchange("w", 1, 10)).await.unwrap().claimed.len(), 1);
    }

    #[tokio::test]
    async fn a_job_ends_with_its_hosts_transaction_or_not_at_all() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        store.enqueue(vec![new_job(spec(1))], now()).await.unwrap();
        let job = store.exchange(exchange("w", 1, 1)).await.unwrap().claimed.remove(0);
        let worker = WorkerId::new("w").unwrap();
        let mut client = pool.get().await.unwrap();
        for commit in [false, true] {
            let transaction = client.transaction().await.unwrap();
            let outcome = store.complete_in(&transaction, &worker, done(&job)).await.unwrap();
            assert_eq!(outcome, AckOutcome::Applied { status: JobStatus::Completed, version: 3 });
            if commit {
                transaction.commit().await.unwrap();
            } else {
                transaction.rollback().await.unwrap();
            }
            let status = store.get_one(job.id.into()).await.unwrap().unwrap().status;
            assert_eq!(status, if commit { JobStatus::Completed } else { JobStatus::Processing });
        }
        let acks = store.exchange(exchange("w", 2, 1).with_acks(vec![done(&job)])).await.unwrap().acks;
        assert_eq!(acks, [AckOutcome::Repeated]);
        assert_eq!(store.history_all(job.id).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_in_the_middle_leaves_nothing_half_written() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        store.enqueue((0..20).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        let mut client = pool.get().await.unwrap();
        // A transaction that holds half of what a claim does, and is cut.
        let transaction = client.transaction().await.unwrap();
        transaction.execute("DELETE FROM atlas_jobs_ready", &[]).await.unwrap();
        let pid: i32 = transaction.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        assert_eq!(store.exchange(exchange("w", 1, 20)).await.unwrap().claimed, [], "they are being taken by another");
        let killed = format!("SELECT count(*) FROM (SELECT pg_terminate_backend({pid})) k");
        assert_eq!(number(&pool, &killed).await, 1);
        assert!(transaction.commit().await.is_err());
        // Back in the pool, it would fail whoever gets it before its end is noticed.
        drop(deadpool_postgres::Object::take(client));
        // The server rolls back in its own time.
        let mut claimed = Vec::new();
        for beat in 2.. {
            claimed.extend(store.exchange(exchange("w", beat, 20)).await.unwrap().claimed);
            if claimed.len() == 20 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_lost_server_is_unavailable_and_its_restart_loses_nothing() {
        let server = testkit::postgres::Server::start();
        let store = PostgresJobs::open(pool_of(server.url().parse().unwrap(), 4), Stage::Dev).await.unwrap();
        store.enqueue((0..300).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        let mut held: Vec<JobRecord> = Vec::new();
        let (mut completed, mut beat, mut broken) = (0, 0, 0);
        while completed < 300 {
            beat += 1;
            if beat % 4 == 0 && broken < 3 {
                server.stop_immediately();
                let error = store.exchange(exchange("w", beat, 1)).await.unwrap_err();
                assert!(error.is_retryable(), "{error:?}");
                server.start_again();
                broken += 1;
                continue;
            }
            let acks: Vec<Ack> = held.iter().map(done).collect();
            let exchange = exchange("w", beat, 20).with_acks(acks);
            // A pool notices dead connections by using them: each may fail once.
            let Ok(exchanged) = store.exchange(exchange).await else { continue };
            for outcome in &exchanged.acks {
                assert!(matches!(outcome, AckOutcome::Applied { .. } | AckOutcome::Repeated), "{outcome:?}");
                completed += 1;
            }
            held = exchanged.claimed;
        }
        assert_eq!(broken, 3);
        let statistics = store.statistics(Scope::default()).await.unwrap();
        assert_eq!((statistics.total(), statistics.in_status(JobStatus::Completed)), (300, 300));
    }

    #[tokio::test]
    async fn any_driver_enqueues_in_its_transaction_by_a_function() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let mut client = pool.get().await.unwrap();
        let call = "SELECT job::text, outcome, differs FROM atlas_jobs_enqueue('k', $$VALUE$$, idempotency_key => 'once')";
        let one = call.replace("VALUE", "{\"n\": 1}");
        let transaction = client.transaction().await.unwrap();
        transaction.query_one(&one, &[]).await.unwrap();
        transaction.rollback().await.unwrap();
        assert_eq!(store.exchange(exchange("w", 1, 9)).await.unwrap().claimed, []);
        let answer = async |sql: &str| {
            let row = pool.get().await.unwrap().query_one(sql, &[]).await.unwrap();
            (row.get::<_, String>(0), row.get::<_, String>(1), row.get::<_, Option<String>>(2))
        };
        let (id, created, _) = answer(&one).await;
        assert_eq!(created, "created");
        assert_eq!(answer(&one).await, (id.clone(), "existing".into(), None));
        let other = call.replace("VALUE", "{\"n\": 2}");
        assert_eq!(answer(&other).await, (id.clone(), "conflict".into(), Some("payload".into())));
        // The same key through the store is the same job.
        let key = IdempotencyKey::new("once").unwrap();
        let spec = JobSpec::new(kind(), &serde_json::json!({ "n": 1 })).unwrap().with_idempotency_key(key);
        let answers = store.enqueue(vec![new_job(spec)], now()).await.unwrap();
        assert_eq!(answers, [Enqueued::Existing { id: id.parse().unwrap() }]);
        let job = store.exchange(exchange("w", 2, 9)).await.unwrap().claimed.remove(0);
        assert_eq!((job.id.to_string(), job.payload.clone()), (id, serde_json::json!({ "n": 1 })));
        assert_eq!(store.history_all(job.id).await.unwrap().len(), 2);
        atlas_jobs::state::check(&job).unwrap();
    }

    #[tokio::test]
    async fn what_no_reader_takes_is_refused_by_the_function_too() {
        let pool = pool().await;
        PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let client = pool.get().await.unwrap();
        let deep = |levels: usize| format!("'{}{}'", "[".repeat(levels), "]".repeat(levels));
        let most = atlas_jobs::store::MAX_NESTING;
        let cases = [
            (format!("'k', {}", deep(most)), true),
            (format!("'k', {}", deep(most + 1)), false),
            ("'k', '1e400'".into(), false),
            ("'K', '1'".into(), false),
            ("'k', '1', max_attempts => 0".into(), false),
            ("'k', '1', deadline => now() - interval '1 s'".into(), false),
            ("'k', '1', callback => 'ftp://example.org'".into(), false),
            ("'k', '1', callback => 'https://example.org', run_at => now() + interval '1 h'".into(), true),
        ];
        for (call, taken) in cases {
            let answer = client.query(&format!("SELECT * FROM atlas_jobs_enqueue({call})"), &[]).await;
            assert_eq!(answer.is_ok(), taken, "{call}");
        }
    }

    #[tokio::test]
    async fn a_job_from_another_process_wakes_who_listens() {
        let (pool, config) = pool_and_config().await;
        let (here, there) = (
            PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap(),
            PostgresJobs::open(pool, Stage::Dev).await.unwrap(),
        );
        here.listen(config, NoTls).await.unwrap();
        let mut wakeups = here.wakeups().unwrap();
        // What listening itself said.
        while futures_util::FutureExt::now_or_never(wakeups.next()).is_some() {}
        there.enqueue(vec![new_job(spec(1))], now()).await.unwrap();
        tokio::time::timeout(Duration::from_mins(1), wakeups.next()).await.expect("a hint");
    }

    /// A claim starts where the last one found its first job; what comes in further ahead is not overlooked.
    #[tokio::test]
    async fn a_more_urgent_job_is_next_and_one_from_long_ago_is_found_though_the_queue_has_a_front() {
        let pool = pool().await;
        let open = async || PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let (here, there) = (open().await, open().await);
        here.enqueue((0..40).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        for beat in 1..=3 {
            assert_eq!(here.exchange(exchange("w", beat, 1)).await.unwrap().claimed.len(), 1);
        }
        for (beat, priority) in [(10, 3), (11, -3), (12, 9)] {
            let job = new_job(spec(7).with_priority(priority));
            let id = job.id();
            there.enqueue(vec![job], now()).await.unwrap();
            let first = here.exchange(exchange("w", beat, 1)).await.unwrap();
            assert_eq!(first.claimed[0].id == id, priority > 0, "{priority}");
        }
        // As if its transaction had taken an hour.
        let old = new_job(spec(1)).id();
        let sql = "WITH job AS (INSERT INTO atlas_jobs_job SELECT $1::text::uuid, created_at - 3600000, grp, max_attempts,
              priority, schema_version, correlation_id, tenant, NULL, NULL, NULL, NULL, NULL, payload
              FROM atlas_jobs_job LIMIT 1 RETURNING id, created_at, grp)
            INSERT INTO atlas_jobs_ready (id, run_at, version, epoch, lane, grp, rank, attempt, follows)
            SELECT job.id, job.created_at, 1, 0, 1, job.grp, 0, 0, false FROM job";
        pool.get().await.unwrap().execute(sql, &[&old.to_string()]).await.unwrap();
        let began = std::time::Instant::now();
        for beat in 100.. {
            assert!(began.elapsed() < Duration::from_secs(30), "it is found now and then");
            let claimed = here.exchange(exchange("w", beat * 2, 1)).await.unwrap().claimed;
            let Some(job) = claimed.first() else { continue };
            if job.id == old {
                break;
            }
            let release = Ack { job: job.id, epoch: job.epoch, action: AckAction::Release { delay: Duration::ZERO } };
            here.exchange(exchange("w", beat * 2 + 1, 0).with_acks(vec![release])).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_job_whose_transaction_took_its_time_is_next_though_later_ones_were_claimed_meanwhile() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        store.enqueue(vec![new_job(spec(0))], now()).await.unwrap();
        let mut client = pool.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let late = new_job(spec(1));
        let id = late.id();
        store.enqueue_in(&transaction, vec![late]).await.unwrap();
        // At least a millisecond later.
        transaction.batch_execute("SELECT pg_sleep(0.005)").await.unwrap();
        store.enqueue((2..20).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        for beat in 1..=3 {
            assert_eq!(store.exchange(exchange("w", beat, 4)).await.unwrap().claimed.len(), 4);
        }
        transaction.commit().await.unwrap();
        assert_eq!(store.exchange(exchange("w", 4, 1)).await.unwrap().claimed[0].id, id);
    }

    #[tokio::test]
    async fn the_claim_that_finds_its_queue_limited_since_the_last_one_overlooks_no_job_that_waited_longer() {
        let pool = pool().await;
        let open = async || PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let (here, there) = (open().await, open().await);
        here.enqueue((0..10).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        // As if they had come in a while ago.
        pool.get().await.unwrap().batch_execute("UPDATE atlas_jobs_ready SET run_at = run_at - 10000").await.unwrap();
        assert_eq!(here.exchange(exchange("w", 1, 2)).await.unwrap().claimed.len(), 2);
        there.queues(vec![QueueChange::new(QueueName::default()).with_max_running(Some(5))], now()).await.unwrap();
        assert_eq!(here.exchange(exchange("w", 2, 9)).await.unwrap().claimed.len(), 3);
    }

    /// Counts, not times: they repeat on any machine.
    #[tokio::test]
    async fn a_job_costs_at_most_620_bytes_of_log_and_a_hundredth_of_a_commit() {
        let server = testkit::postgres::Server::start();
        for bytes in [50, 2000] {
            let mut config: Config = server.url().parse().unwrap();
            let admin = pool_of(config.clone(), 1);
            admin.get().await.unwrap().batch_execute(&format!("CREATE DATABASE b{bytes}")).await.unwrap();
            let pool = pool_of(config.dbname(format!("b{bytes}")).clone(), 4);
            let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
            for _ in 0..20 {
                let spec = || JobSpec::new(kind(), &"x".repeat(bytes)).unwrap();
                store.enqueue((0..500).map(|_| new_job(spec())).collect(), now()).await.unwrap();
            }
            // Otherwise the server does so some time, and it has nothing to do with what is measured.
            pool.get().await.unwrap().batch_execute("VACUUM ANALYZE").await.unwrap();
            let log = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8";
            let commits = "SELECT xact_commit::int8 FROM pg_stat_database WHERE datname = current_database()";
            let flush = "SELECT 1::int8 FROM (SELECT pg_stat_force_next_flush()) f";
            number(&pool, flush).await;
            let before = (number(&pool, log).await, number(&pool, commits).await);
            let mut held: Vec<JobRecord> = Vec::new();
            for beat in 1.. {
                let acks = held.iter().map(done).collect();
                let exchanged = store.exchange(exchange("w", beat, 500).with_acks(acks)).await.unwrap();
                held = exchanged.claimed;
                if held.is_empty() {
                    break;
                }
            }
            for _ in 0..4 {
                number(&pool, flush).await;
            }
            let after = (number(&pool, log).await, number(&pool, commits).await);
            let (log, commits) = ((after.0 - before.0) / 10_000, after.1 - before.1);
            eprintln!("{bytes} B: {log} B of log per job, {commits} commits for 10,000 jobs");
            assert!(log <= 620, "{log} B of log per job with payloads of {bytes} B");
            assert!(commits <= 100, "{commits} commits for 10,000 jobs");
        }
    }
}
