//! A snapshot that somebody holds keeps the rows of all jobs that were taken since. What they cost is counted by the server.

use crate::postgres::{done, exchange, new_job, now, pool, spec};
use atlas_jobs::store::{Ack, AckAction};
use atlas_jobs::{JobStore, PostgresJobs};
use atlas_schema::{JobRecord, Stage};
use deadpool_postgres::Pool;
use futures_util::future::join_all;
use std::time::{Duration, Instant};

/// What the server has counted so far: entries that were read of the index of the queue, of that of jobs whose time has not
/// come, and pages of the workers' table.
async fn counts(pool: &Pool) -> [i64; 3] {
    // All but the one that holds the snapshot.
    let clients: Vec<_> = join_all((0..7).map(|_| pool.get())).await.into_iter().map(Result::unwrap).collect();
    for client in &clients {
        // What a connection has counted is told at the end of the transaction that asks for it.
        client.query("SELECT pg_stat_force_next_flush()", &[]).await.unwrap();
    }
    let entries = "SELECT idx_tup_read::int8 FROM pg_stat_user_indexes
        WHERE schemaname = current_schema() AND indexrelname = $1::text";
    let pages =
        "SELECT (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::int8 FROM pg_statio_user_tables
        WHERE schemaname = current_schema() AND relname = $1::text";
    let mut counts = [0; 3];
    let what = [(entries, "atlas_jobs_ready_pkey"), (entries, "atlas_jobs_deferred_run"), (pages, "atlas_jobs_worker")];
    for (count, (sql, name)) in counts.iter_mut().zip(what) {
        *count = clients[0].query_one(sql, &[&name]).await.unwrap().get(0);
    }
    counts
}

/// A store of many jobs, of which a worker claims five at a time.
struct Busy {
    store: PostgresJobs,
    beat: u64,
    held: Vec<JobRecord>,
}

impl Busy {
    async fn open(pool: &Pool) -> Self {
        let store = PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        for _ in 0..20 {
            store.enqueue((0..1000).map(|n| new_job(spec(n))).collect(), now()).await.unwrap();
        }
        Self { store, beat: 0, held: Vec::new() }
    }

    /// Completes what it holds, or gives the last of them back, to be due again in a millisecond, and claims.
    async fn exchange(&mut self, release: bool) {
        let mut acks: Vec<Ack> = self.held.iter().map(done).collect();
        if release && let Some(last) = acks.last_mut() {
            last.action = AckAction::Release { delay: Duration::from_millis(1) };
        }
        self.beat += 1;
        self.held = self.store.exchange(exchange("w", self.beat, 5).with_acks(acks)).await.unwrap().claimed;
        assert_eq!(self.held.len(), 5, "so many wait");
    }
}

/// The least that one of many claims adds to the counts: some of them walk the whole queue, as they should now and then.
async fn least(busy: &mut Busy, pool: &Pool) -> [i64; 3] {
    let mut least = [i64::MAX; 3];
    for _ in 0..50 {
        let before = counts(pool).await;
        busy.exchange(false).await;
        let after = counts(pool).await;
        for (least, (after, before)) in least.iter_mut().zip(after.into_iter().zip(before)) {
            *least = (after - before).min(*least);
        }
    }
    least
}

testkit::with_postgres! {
    #[tokio::test]
    async fn while_somebody_holds_a_snapshot_a_claim_does_not_walk_past_all_jobs_that_were_taken_since() {
        let pool = pool().await;
        let mut busy = Busy::open(&pool).await;
        let snapshot = pool.get().await.unwrap();
        snapshot.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM atlas_jobs_meta").await.unwrap();
        // Where jobs came in half a second ago, others may still do so.
        let came = Instant::now();
        while busy.beat < 500 || came.elapsed() < Duration::from_secs(1) {
            busy.exchange(false).await;
        }
        let [queue, _, worker] = least(&mut busy, &pool).await;
        snapshot.batch_execute("COMMIT").await.unwrap();
        assert!(queue < 100, "{queue} entries of the queue");
        assert!(worker < 12, "{worker} pages of the worker's row");
    }

    #[tokio::test]
    async fn while_somebody_holds_a_snapshot_a_claim_does_not_walk_past_all_jobs_whose_time_came_since() {
        let pool = pool().await;
        let mut busy = Busy::open(&pool).await;
        let snapshot = pool.get().await.unwrap();
        snapshot.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM atlas_jobs_meta").await.unwrap();
        for _ in 0..400 {
            busy.exchange(true).await;
        }
        // Jobs that came in late are looked for half a second long.
        let came = Instant::now();
        while came.elapsed() < Duration::from_millis(700) {
            busy.exchange(false).await;
        }
        let [_, deferred, _] = least(&mut busy, &pool).await;
        snapshot.batch_execute("COMMIT").await.unwrap();
        assert!(deferred < 100, "{deferred} entries of jobs whose time has not come");
    }
}
