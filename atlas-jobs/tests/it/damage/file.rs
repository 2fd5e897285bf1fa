//! Damaged rows of a file.

use super::*;
use rusqlite::Connection;
use std::path::Path;

pub(crate) struct FileHand {
    pub(crate) conn: Connection,
    column: &'static str,
}

impl FileHand {
    pub(crate) fn new(path: &Path, part: Part) -> Self {
        let conn = Connection::open(path).unwrap();
        conn.busy_timeout(PATIENCE).unwrap();
        Self { conn, column: if part == Part::Record { "head" } else { "payload" } }
    }

    fn set(&self, what: &str, job: JobId) {
        let sql = format!("UPDATE atlas_jobs_job SET {} = {what} WHERE id = ?1", self.column);
        assert_eq!(self.conn.execute(&sql, [job.as_bytes()]).unwrap(), 1);
    }
}

impl Hand for FileHand {
    async fn damage(&self, job: JobId) {
        self.set(&format!("'{{' || {}", self.column), job);
    }

    async fn mend(&self, job: JobId) {
        self.set(&format!("substr({}, 2)", self.column), job);
    }

    async fn damage_all_but(&self, job: JobId) {
        let sql = format!("UPDATE atlas_jobs_job SET {0} = '{{' || {0} WHERE id <> ?1", self.column);
        self.conn.execute(&sql, [job.as_bytes()]).unwrap();
    }

    async fn mend_all_but(&self, job: JobId) {
        let sql = format!("UPDATE atlas_jobs_job SET {0} = substr({0}, 2) WHERE id <> ?1", self.column);
        self.conn.execute(&sql, [job.as_bytes()]).unwrap();
    }

    async fn make_late(&self) {
        self.conn.execute("UPDATE atlas_jobs_state SET deadline = 1000000000000 WHERE status < 2", []).unwrap();
    }

    async fn garble(&self, job: JobId) {
        let sql = "UPDATE atlas_jobs_outbox SET entry = '{', visible_at = 0 WHERE key = ?1";
        assert_eq!(self.conn.execute(sql, [format!("{job}:2:callback")]).unwrap(), 1);
    }
}

async fn fresh(part: Part) -> (tempfile::TempDir, Arc<dyn JobStore>, FileHand) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("jobs.db");
    let store = atlas_jobs::SqliteJobs::open(&path, Stage::Dev).await.unwrap();
    let hand = FileHand::new(&path, part);
    (folder, Arc::new(store), hand)
}

#[tokio::test]
async fn a_row_of_a_file_that_can_not_be_read_stops_no_work_on_the_others() {
    let (_folder, store, hand) = fresh(Part::Record).await;
    others_go_on(store, &hand).await;
}

#[tokio::test]
async fn a_limited_queue_of_a_file_goes_on_behind_rows_that_can_not_be_read() {
    for part in [Part::Record, Part::Payload] {
        let (_folder, store, hand) = fresh(part).await;
        a_limited_queue_goes_on(store, &hand).await;
    }
}

#[tokio::test]
async fn claims_get_past_more_rows_than_fit_a_page_that_can_not_be_read() {
    let (_folder, store, hand) = fresh(Part::Record).await;
    let mut bench = Bench::new(store);
    let front = || vec![spec().with_priority(9); 501];
    for _ in 0..2 {
        bench.jobs.enqueue_many(front()).await.unwrap();
    }
    let good = bench.add(spec()).await;
    hand.conn.execute("UPDATE atlas_jobs_job SET head = '{' WHERE id <> ?1", [good.as_bytes()]).unwrap();
    let claimed = [bench.exchange(Vec::new(), 5).await.claimed, bench.exchange(Vec::new(), 5).await.claimed];
    assert_eq!(claimed.map(|jobs| jobs.iter().map(|job| job.id).collect::<Vec<_>>()), [vec![], vec![good]]);
}

#[tokio::test]
async fn rows_of_a_file_that_can_not_be_read_hide_nothing_from_sweeps_and_purges() {
    let (_folder, store, hand) = fresh(Part::Record).await;
    nothing_is_hidden_behind_a_page(store, &hand).await;
}

#[tokio::test]
async fn a_row_of_a_file_that_can_not_be_read_can_be_deleted() {
    let (_folder, store, hand) = fresh(Part::Record).await;
    what_can_not_be_read_can_be_deleted(store, &hand).await;
}

/// While the status is damaged too, nothing of the job may be changed but its place: once restored they differ.
#[tokio::test]
async fn a_row_that_was_put_off_and_then_restored_leaves_no_place_that_blocks_its_queue() {
    let (_folder, store, hand) = fresh(Part::Record).await;
    let mut bench = Bench::new(Arc::clone(&store));
    store.queues(vec![QueueChange::new(QueueName::default()).with_max_running(Some(1))], now()).await.unwrap();
    let set = |status: i64, job: JobId| {
        let sql = "UPDATE atlas_jobs_state SET status = ?2 WHERE id = ?1";
        assert_eq!(hand.conn.execute(sql, rusqlite::params![job.as_bytes(), status]).unwrap(), 1);
    };
    let [first, ended] = [bench.add(spec().with_priority(9)).await, bench.add(spec().with_priority(8)).await];
    let behind = bench.add(spec()).await;
    set(99, first);
    set(99, ended);
    let claimed = bench.claim().await;
    assert_eq!(claimed.id, behind);
    bench.complete(&claimed).await;
    set(0, first);
    set(0, ended);
    bench.jobs.cancel(ended, "no", Duration::ZERO).await.unwrap();
    let later = bench.add(spec()).await;
    bench.ahead = Duration::from_mins(2);
    for expected in [first, later] {
        let claimed = bench.claim().await;
        assert_eq!(claimed.id, expected);
        bench.complete(&claimed).await;
        bench.has_a_whole_trail(claimed.id).await;
    }
    let sql = "SELECT count(*) FROM atlas_jobs_ready";
    assert_eq!(hand.conn.query_row::<i64, _, _>(sql, [], |row| row.get(0)).unwrap(), 0, "nothing stands anywhere");
}
