//! What the PostgreSQL store does while others hold locks, stop in the middle, or speak twice.

use crate::postgres::{done, exchange, kind, new_job, now, number, pool, spec};
use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, CommandRequest, Enqueued, JobCommand, QueueChange, Scope, SweepOptions,
};
use atlas_jobs::{JobSpec, JobStore, JobStoreExt, NewJob, PostgresJobs};
use atlas_schema::{
    Actor, ExternalId, IdempotencyKey, JobId, JobKind, JobRecord, JobStatus, QueueName, Stage, TenantId, Timestamp,
    WorkerId,
};
use deadpool_postgres::{Pool, Transaction};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio_postgres::error::SqlState;

/// Until some statement waits for what this transaction has locked.
pub(crate) async fn wait_for_a_blocked_statement(transaction: &Transaction<'_>) {
    let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))";
    let began = Instant::now();
    while transaction.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(began.elapsed() < Duration::from_mins(1), "nobody waits");
        tokio::task::yield_now().await;
    }
}

testkit::with_postgres! {
    /// What the server gave to a worker and did not tell it would lie there until the lease is over.
    #[tokio::test]
    async fn a_worker_hears_of_every_job_it_holds_though_its_queue_is_resumed_in_the_middle_of_its_claim() {
        let pool = pool().await;
        let open = async || PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let (here, there) = (open().await, open().await);
        here.enqueue((0..5).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        let first = here.exchange(exchange("w", 1, 1)).await.unwrap().claimed.remove(0);
        there.queues(vec![QueueChange::new(QueueName::default()).with_paused(true)], now()).await.unwrap();
        let mut client = pool.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        // The exchange beats while the queue is paused, waits for this row, and claims when the queue is no longer paused.
        transaction.query("SELECT FROM atlas_jobs_lease FOR UPDATE", &[]).await.unwrap();
        transaction.execute("UPDATE atlas_jobs_queue SET paused = false", &[]).await.unwrap();
        let resume = async {
            wait_for_a_blocked_statement(&transaction).await;
            transaction.commit().await.unwrap();
        };
        let exchange = exchange("w", 2, 2).with_acks(vec![done(&first)]);
        let (exchanged, ()) = tokio::join!(here.exchange(exchange), resume);
        let exchanged = exchanged.unwrap();
        assert!(matches!(exchanged.acks[0], AckOutcome::Applied { .. }));
        let leased = number(&pool, "SELECT count(*) FROM atlas_jobs_lease").await;
        assert_eq!((exchanged.claimed.len(), leased), (2, 2));
    }

    #[tokio::test]
    async fn the_function_writes_the_tables_beside_it_whatever_the_callers_search_path() {
        let (one, other) = (pool().await, pool().await);
        let open = async |pool: &Pool| PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let (_here, _there) = (open(&one).await, open(&other).await);
        let schema: String = one.get().await.unwrap().query_one("SELECT current_schema()", &[]).await.unwrap().get(0);
        let caller = other.get().await.unwrap();
        // A temporary table comes before all others unless the path says otherwise.
        caller.batch_execute("CREATE TEMPORARY TABLE atlas_jobs_job (LIKE atlas_jobs_job)").await.unwrap();
        for path in ["", "SET search_path = ''"] {
            caller.batch_execute(path).await.unwrap();
            caller.query_one(&format!("SELECT * FROM {schema}.atlas_jobs_enqueue('k', '1')"), &[]).await.unwrap();
        }
        caller.batch_execute("RESET search_path; DROP TABLE pg_temp.atlas_jobs_job").await.unwrap();
        drop(caller);
        let jobs = "SELECT count(*) FROM atlas_jobs_job JOIN atlas_jobs_ready USING (id)";
        assert_eq!(number(&one, jobs).await, 2);
        assert_eq!(number(&other, "SELECT count(*) FROM atlas_jobs_ready").await, 0);
    }

    #[tokio::test]
    async fn a_database_of_the_first_version_gets_the_new_function_and_keeps_its_jobs() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        store.enqueue(vec![new_job(spec(1))], now()).await.unwrap();
        let old = "UPDATE atlas_jobs_meta SET value = '1' WHERE key = 'version';
            ALTER FUNCTION atlas_jobs_enqueue RESET ALL";
        pool.get().await.unwrap().batch_execute(old).await.unwrap();
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let bound = "SELECT count(*) FROM pg_proc WHERE oid = 'atlas_jobs_enqueue'::regproc AND proconfig IS NOT NULL";
        assert_eq!(number(&pool, bound).await, 1);
        assert_eq!(number(&pool, "SELECT value::int8 FROM atlas_jobs_meta WHERE key = 'version'").await, 3);
        assert_eq!(store.exchange(exchange("w", 1, 9)).await.unwrap().claimed.len(), 1);
    }

    #[tokio::test]
    async fn an_infinite_time_is_refused_as_any_other_that_is_too_late() {
        let pool = pool().await;
        PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let client = pool.get().await.unwrap();
        for argument in ["run_at => 'infinity'", "deadline => 'infinity'", "deadline => '-infinity'"] {
            let call = format!("SELECT * FROM atlas_jobs_enqueue('k', '1', {argument})");
            let error = client.query(&call, &[]).await.unwrap_err();
            assert_eq!(error.code().map(SqlState::code), Some("22023"), "{argument}");
        }
        client.query("SELECT * FROM atlas_jobs_enqueue('k', '1', run_at => '-infinity')", &[]).await.unwrap();
    }

    /// The future is polled no more once it waits in the middle of its transaction: as a process that is stopped.
    #[tokio::test]
    async fn a_process_that_stops_in_the_middle_of_a_claim_keeps_others_from_a_limited_queue_for_seconds_only() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        store.enqueue((0..4).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        let limit = QueueChange::new(QueueName::default()).with_max_running(Some(3));
        store.queues(vec![limit], now()).await.unwrap();
        assert_eq!(store.exchange(exchange("stopped", 1, 1)).await.unwrap().claimed.len(), 1);
        let mut client = pool.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction.query("SELECT FROM atlas_jobs_queue FOR UPDATE", &[]).await.unwrap();
        let mut stopped = Box::pin(store.exchange(exchange("stopped", 2, 1)));
        tokio::select! {
            biased;
            answer = &mut stopped => panic!("{answer:?}"),
            () = wait_for_a_blocked_statement(&transaction) => {}
        }
        transaction.commit().await.unwrap();
        // The server gives the lock to the one that is stopped.
        let idle = "SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
            WHERE a.state = 'idle in transaction' AND l.relation = 'atlas_jobs_queue'::regclass";
        let began = Instant::now();
        while number(&pool, idle).await == 0 {
            assert!(began.elapsed() < Duration::from_mins(1), "nobody is stopped");
            tokio::task::yield_now().await;
        }
        let other = tokio::time::timeout(Duration::from_mins(1), store.exchange(exchange("other", 1, 4))).await;
        assert_eq!(other.expect("in time").unwrap().claimed.len(), 2);
        assert!(stopped.await.unwrap_err().is_retryable());
    }

    #[tokio::test]
    async fn a_sweep_waits_for_no_job_that_another_holds() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        store.enqueue((0..2).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        let held = store.exchange(exchange("w", 1, 2)).await.unwrap().claimed.remove(0);
        let worker = WorkerId::new("w").unwrap();
        let mut client = pool.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        store.complete_in(&transaction, &worker, done(&held)).await.unwrap();
        let options = SweepOptions::new(now()).with_dead(vec![worker]);
        let swept = tokio::time::timeout(Duration::from_secs(8), store.sweep(options.clone())).await;
        assert_eq!(swept.expect("at once").unwrap().expired, 1);
        transaction.rollback().await.unwrap();
        assert_eq!(store.sweep(options).await.unwrap().expired, 1, "the next sweep sees to it");
    }

    /// More than one statement takes goes into several, and all of it is there or nothing.
    #[tokio::test]
    async fn large_payloads_and_results_go_in_parts() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let large = || JobSpec::new(kind(), &"x".repeat(1_000_000)).unwrap();
        let jobs: Vec<NewJob> = (0..17).map(|_| new_job(large())).collect();
        let ids: Vec<JobId> = jobs.iter().map(NewJob::id).collect();
        let answers = store.enqueue(jobs.clone(), now()).await.unwrap();
        assert_eq!(answers, ids.iter().map(|id| Enqueued::Created { id: *id }).collect::<Vec<_>>());
        let mut client = pool.get().await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let again = store.enqueue_in(&transaction, jobs).await.unwrap();
        transaction.rollback().await.unwrap();
        assert_eq!(again, ids.iter().map(|id| Enqueued::Existing { id: *id }).collect::<Vec<_>>());
        let claimed = store.exchange(exchange("w", 1, 3)).await.unwrap().claimed;
        let result = Value::String("x".repeat(6_000_000));
        let complete = |job: &JobRecord| Ack {
            job: job.id,
            epoch: job.epoch,
            action: AckAction::Complete { result: result.clone() },
        };
        let acks: Vec<Ack> = claimed.iter().map(complete).collect();
        let acks = store.exchange(exchange("w", 2, 0).with_acks(acks)).await.unwrap().acks;
        let applied = AckOutcome::Applied { status: JobStatus::Completed, version: 3 };
        assert_eq!(acks, vec![applied; 3]);
        let ended = "SELECT count(DISTINCT xmin::text)::int8 FROM atlas_jobs_done WHERE length(result) = 6000002";
        assert_eq!(number(&pool, ended).await, 1, "in one transaction");
        assert_eq!(number(&pool, "SELECT count(*) FROM atlas_jobs_ended").await, 2, "and in several statements");
    }

    #[tokio::test]
    async fn transitions_of_one_kind_are_one_row_of_counts_and_a_sweep_folds_all_there_are() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let jobs: Vec<NewJob> = (0..300).map(|n| new_job(spec(n))).collect();
        let cancel = |job: &NewJob| CommandRequest {
            job: job.id(),
            if_version: None,
            command: JobCommand::Cancel { reason: "r".into(), acknowledge_within: Duration::from_secs(1) },
        };
        let cancels = jobs.iter().map(cancel).collect();
        store.enqueue(jobs, now()).await.unwrap();
        store.command(cancels, Actor::Caller {}, now()).await.unwrap();
        assert_eq!(number(&pool, "SELECT count(*) FROM atlas_jobs_move").await, 2);
        let many = "INSERT INTO atlas_jobs_move (grp, target, jobs) SELECT 1, 0, 1 FROM generate_series(1, 50000)";
        pool.get().await.unwrap().batch_execute(many).await.unwrap();
        store.sweep(SweepOptions::new(now())).await.unwrap();
        assert_eq!(number(&pool, "SELECT count(*) FROM atlas_jobs_move").await, 0);
        let statistics = store.statistics(Scope::default()).await.unwrap();
        assert_eq!(statistics.in_status(JobStatus::Cancelled), 300);
        assert_eq!(statistics.in_status(JobStatus::Pending), 50_000);
    }

    /// One job, a few and many go in by statements of their own, with and without a transaction of the host's.
    #[tokio::test]
    async fn jobs_are_kept_whole_and_once_however_many_come_in_one_call() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let mut client = pool.get().await.unwrap();
        let later = |ms: i64| Timestamp::from_millis(now().wall.as_millis() + ms).unwrap();
        for count in [1, 2, 15, 16, 17, 60] {
            for (inside, way) in [(false, "own"), (true, "host")] {
                let full = |n: u32| {
                    let name = format!("{way}-{count}-{n}");
                    // Of those with keys and those without, one of kind, queue and tenant is not that of the job before.
                    let change = (n / 2) ^ (n / 4);
                    let bit = |at: u32| if change >> at & 1 == 1 { "b" } else { "a" };
                    let spec = JobSpec::new(JobKind::new(bit(0)).unwrap(), &serde_json::json!({ "of": name })).unwrap();
                    let spec = spec.with_queue(QueueName::new(bit(1)).unwrap());
                    let spec = spec.with_tenant(TenantId::new(bit(2)).unwrap());
                    // Every second has what a job may go without.
                    if n.is_multiple_of(2) {
                        return new_job(spec);
                    }
                    let spec = spec.with_idempotency_key(IdempotencyKey::new(&name).unwrap());
                    let spec = spec.with_external_id(ExternalId::new(&name).unwrap()).with_priority(7);
                    let spec = spec.with_parent(new_job(self::spec(0)).id()).with_max_attempts(n + 1);
                    let spec = spec.with_deadline(later(3_600_000)).with_attempt_timeout(Duration::from_secs(9));
                    new_job(if n.is_multiple_of(3) { spec.with_run_at(later(60_000)) } else { spec })
                };
                let jobs: Vec<NewJob> = (1..=count).map(full).collect();
                let late = new_job(spec(0).with_deadline(later(-3_600_000)));
                // A single job comes alone.
                let given: Vec<NewJob> = jobs.iter().cloned().chain((count > 1).then_some(late)).collect();
                let mut add = async |jobs: Vec<NewJob>| {
                    if !inside {
                        return store.enqueue(jobs, now()).await.unwrap();
                    }
                    let transaction = client.transaction().await.unwrap();
                    let answers = store.enqueue_in(&transaction, jobs).await.unwrap();
                    transaction.commit().await.unwrap();
                    answers
                };
                let answers = add(given.clone()).await;
                let again = add(given.clone()).await;
                for ((job, answer), again) in jobs.iter().zip(&answers).zip(&again) {
                    assert_eq!(*answer, Enqueued::Created { id: job.id() }, "{way} {count}");
                    assert_eq!(*again, Enqueued::Existing { id: job.id() }, "{way} {count}");
                    let mut kept = store.get_one(job.id().into()).await.unwrap().unwrap();
                    let record = job.record();
                    assert!(kept.run_at >= record.run_at && kept.created_at >= record.created_at);
                    (kept.run_at, kept.created_at, kept.updated_at) = (record.run_at, record.created_at, record.updated_at);
                    assert_eq!(kept, *record, "{way} {count}");
                }
                assert_eq!(answers.len(), given.len());
                let refused = matches!(answers.last(), Some(Enqueued::Refused(_)));
                assert_eq!(refused, count > 1, "{way} {count}: {:?}", answers.last());
            }
        }
        let counts = store.statistics(Scope::default()).await.unwrap();
        assert_eq!(counts.in_status(JobStatus::Pending), 2 * (1 + 2 + 15 + 16 + 17 + 60));
    }
}
