//! What the PostgreSQL store does while others hold locks, stop in the middle, or speak twice.

use crate::postgres::{done, exchange, new_job, now, number, pool, spec};
use atlas_jobs::store::{AckOutcome, QueueChange};
use atlas_jobs::{JobStore, PostgresJobs};
use atlas_schema::{QueueName, Stage};
use deadpool_postgres::Transaction;
use std::time::{Duration, Instant};

/// Until some statement waits for what this transaction has locked.
async fn wait_for_a_blocked_statement(transaction: &Transaction<'_>) {
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
}
