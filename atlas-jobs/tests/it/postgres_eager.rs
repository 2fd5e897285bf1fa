//! Small enqueues: shared, and claimed in the same transaction by an idle worker of the same process.

use crate::postgres::{done, exchange, new_job, now, number, pool, pool_and_config, spec};
use crate::postgres_races::wait_for_a_blocked_statement;
use atlas_jobs::store::{AckOutcome, Enqueued, Scope};
use atlas_jobs::{JobStore, Kind, PostgresJobs};
use atlas_schema::{IdempotencyKey, JobStatus, Stage};
use std::time::Duration;

/// The worker has two milliseconds to come, which a loaded machine may not give it: then both are as without each other, and a
/// second later it may come again.
const TRIES: u64 = 60;

/// After a worker that did not come, nobody is waited for until a second is over.
async fn pause(attempt: u64) {
    if attempt % 4 == 3 {
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
}

testkit::with_postgres! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_for_an_idle_worker_is_added_and_claimed_in_one_transaction() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let mut acks = Vec::new();
        for attempt in 0..TRIES {
            let mut hints = store.wakeups().unwrap();
            let idle = exchange("w", attempt * 3 + 1, 16).with_acks(std::mem::take(&mut acks));
            let answer = store.exchange(idle).await.unwrap();
            assert!(answer.claimed.is_empty() && answer.acks.iter().all(|ack| matches!(ack, AckOutcome::Applied { .. })));
            let work = async {
                hints.next().await;
                store.exchange(exchange("w", attempt * 3 + 2, 16)).await.unwrap().claimed
            };
            let (added, mut claimed) = tokio::join!(store.enqueue(vec![new_job(spec(1))], now()), work);
            let Enqueued::Created { id } = added.unwrap().remove(0) else { panic!("it is new") };
            if claimed.is_empty() {
                claimed = store.exchange(exchange("w", attempt * 3 + 3, 16)).await.unwrap().claimed;
            }
            let [job] = claimed.as_slice() else { panic!("one job: {claimed:?}") };
            assert_eq!((job.id, job.epoch, job.attempt, job.status), (id, 1, 1, JobStatus::Processing));
            acks.push(done(job));
            let together = "SELECT count(*) FROM atlas_jobs_job j JOIN atlas_jobs_lease l USING (id) WHERE j.xmin = l.xmin";
            if number(&pool, together).await == 1 {
                return;
            }
            pause(attempt).await;
        }
        panic!("never in one transaction");
    }

    /// Another process hears of what the worker leaves, and of nothing else: a hint costs each listener an exchange.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_job_taken_along_is_announced_to_nobody_and_one_that_is_left_to_all() {
        let (pool, config) = pool_and_config().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let other = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        other.listen(config, tokio_postgres::NoTls).await.unwrap();
        // What is left for want of room: a hint, always. What is taken along: none, at least once.
        let (mut quiet, mut beat, mut acks) = (false, 0, Vec::new());
        for attempt in 0..TRIES {
            for jobs in [1, 2] {
                let (mut hints, mut heard) = (store.wakeups().unwrap(), other.wakeups().unwrap());
                beat += 3;
                let idle = exchange("w", beat, 1).with_acks(std::mem::take(&mut acks));
                assert!(store.exchange(idle).await.unwrap().claimed.is_empty());
                let work = async {
                    hints.next().await;
                    store.exchange(exchange("w", beat + 1, 1)).await.unwrap().claimed
                };
                let added = (0..jobs).map(|n| new_job(spec(n))).collect();
                let (_, claimed) = tokio::join!(store.enqueue(added, now()), work);
                let together = "SELECT count(*) FROM atlas_jobs_job j JOIN atlas_jobs_lease l USING (id) WHERE j.xmin = l.xmin";
                let along = number(&pool, together).await == 1;
                let wait = if jobs == 1 { Duration::from_millis(200) } else { Duration::from_secs(20) };
                let hint = tokio::time::timeout(wait, heard.next()).await.is_ok();
                assert!(hint || jobs == 1, "one job is left, and nobody was told");
                // Hints of other tests come the same way.
                quiet |= jobs == 1 && along && !hint;
                acks = claimed.iter().map(done).collect();
                let rest = store.exchange(exchange("v", beat, 16)).await.unwrap().claimed;
                store.exchange(exchange("v", beat + 1, 0).with_acks(rest.iter().map(done).collect())).await.unwrap();
            }
            if quiet {
                return;
            }
            pause(attempt).await;
        }
        panic!("never in one transaction, or never without a hint");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_claim_that_fails_takes_no_job_with_it_and_leaves_no_lease() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
            CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON atlas_jobs_lease DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION refuse()";
        let mut failed = 0;
        for attempt in 0..TRIES {
            let mut hints = store.wakeups().unwrap();
            store.exchange(exchange("w", attempt * 2 + 1, 16)).await.unwrap();
            pool.get().await.unwrap().batch_execute(refuse).await.unwrap();
            let work = async {
                hints.next().await;
                store.exchange(exchange("w", attempt * 2 + 2, 16)).await
            };
            let (added, claimed) = tokio::join!(store.enqueue(vec![new_job(spec(1))], now()), work);
            assert!(matches!(added.unwrap().as_slice(), [Enqueued::Created { .. }]), "the job is there all the same");
            // One that came too late for the common transaction, and too early for the job, found none.
            match claimed {
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Internal);
                    failed += 1;
                }
                Ok(none) => assert!(none.claimed.is_empty()),
            }
            let there = store.statistics(Scope::default()).await.unwrap();
            assert_eq!((there.in_status(JobStatus::Pending), there.in_status(JobStatus::Processing)), (1, 0));
            let mend = "DROP TRIGGER refuse ON atlas_jobs_lease; DROP FUNCTION refuse";
            pool.get().await.unwrap().batch_execute(mend).await.unwrap();
            let answer = store.exchange(exchange("v", attempt * 2 + 1, 16)).await.unwrap();
            let [job] = answer.claimed.as_slice() else { panic!("one job") };
            assert_eq!((job.epoch, job.attempt), (1, 1), "the failed claim counts for nothing");
            store.exchange(exchange("v", attempt * 2 + 2, 1).with_acks(vec![done(job)])).await.unwrap();
            if failed == 3 {
                return;
            }
            pause(attempt).await;
        }
        panic!("never together");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_enqueue_that_waited_for_a_key_does_not_date_back_the_beat_of_a_worker() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let mut hints = store.wakeups().unwrap();
        let keyed = || new_job(spec(1).with_idempotency_key(IdempotencyKey::new("once").unwrap()));
        let seen = "SELECT seen_at FROM atlas_jobs_worker WHERE name = 'w'";
        store.exchange(exchange("w", 1, 16)).await.unwrap();
        let mut host = pool.get().await.unwrap();
        let transaction = host.transaction().await.unwrap();
        store.enqueue_in(&transaction, vec![keyed()]).await.unwrap();
        let waits = tokio::spawn({
            let (store, job) = (store.clone(), keyed());
            async move { store.enqueue(vec![job], now()).await }
        });
        wait_for_a_blocked_statement(&transaction).await;
        // Much longer than an enqueue that lets anybody in.
        tokio::time::sleep(Duration::from_millis(50)).await;
        store.exchange(exchange("w", 2, 16)).await.unwrap();
        let before = number(&pool, seen).await;
        transaction.rollback().await.unwrap();
        hints.next().await;
        let claimed = store.exchange(exchange("w", 3, 16)).await.unwrap().claimed.len();
        assert!(matches!(waits.await.unwrap().unwrap().as_slice(), [Enqueued::Created { .. }]));
        assert!(number(&pool, seen).await >= before, "its leases would be over sooner");
        let later = store.exchange(exchange("w", 4, 16)).await.unwrap().claimed.len();
        assert_eq!(claimed + later, 1);
    }

    #[tokio::test]
    async fn a_worker_that_does_not_come_holds_up_no_job() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let _hints = store.wakeups().unwrap();
        store.exchange(exchange("w", 1, 16)).await.unwrap();
        for n in 0..3 {
            let added = store.enqueue(vec![new_job(spec(n))], now()).await.unwrap();
            assert!(matches!(added.as_slice(), [Enqueued::Created { .. }]));
        }
        assert_eq!(store.exchange(exchange("v", 1, 16)).await.unwrap().claimed.len(), 3);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_runtime_that_ends_in_the_middle_of_an_enqueue_leaves_no_transaction_to_others() {
        let pool = pool().await;
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let _hints = store.wakeups().unwrap();
        let keyed = || new_job(spec(1).with_idempotency_key(IdempotencyKey::new("once").unwrap()));
        store.exchange(exchange("w", 1, 16)).await.unwrap();
        let mut host = pool.get().await.unwrap();
        let transaction = host.transaction().await.unwrap();
        store.enqueue_in(&transaction, vec![keyed()]).await.unwrap();
        // Connections that outlive the other runtime.
        drop((pool.get().await.unwrap(), pool.get().await.unwrap()));
        let short = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        short.spawn({
            let (store, job) = (store.clone(), keyed());
            async move { store.enqueue(vec![job], now()).await }
        });
        wait_for_a_blocked_statement(&transaction).await;
        // Once it has ended, its tasks are gone: who comes while they still go would be told to try again.
        tokio::task::spawn_blocking(|| short.shutdown_timeout(Duration::from_mins(1))).await.unwrap();
        transaction.rollback().await.unwrap();
        let added = store.enqueue(vec![new_job(spec(2))], now()).await.unwrap();
        assert!(matches!(added.as_slice(), [Enqueued::Created { .. }]));
        assert_eq!(number(&pool, "SELECT count(*) FROM atlas_jobs_job").await, 1);
    }

    #[tokio::test]
    async fn a_runtime_that_ends_before_its_enqueue_has_begun_holds_up_nobody_else() {
        let store = PostgresJobs::open(pool().await, Stage::Dev).await.unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let short = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                short.block_on(async {
                    let call = store.enqueue(vec![new_job(spec(1))], now());
                    assert!(futures_util::poll!(std::pin::pin!(call)).is_pending());
                });
            });
        });
        let added = store.enqueue(vec![new_job(spec(2))], now()).await.unwrap();
        assert!(matches!(added.as_slice(), [Enqueued::Created { .. }]));
    }
}
