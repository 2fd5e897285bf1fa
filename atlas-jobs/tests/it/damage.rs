//! Rows that can't be read any more: each is passed over, and everything else goes on, on each store that lasts.

// Without a server or a feature, nothing uses some of the helpers.
#![allow(dead_code, unused_imports)]

use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandOutcome, CommandRequest, Exchange, Exchanged, Filter, Held, HeldOutcome,
    JobCommand, ListOptions, OutboxExchange, Purge, PurgeOptions, QueueChange, Scope, SweepOptions, UNREADABLE,
};
use atlas_jobs::{Clock, JobManager, JobSpec, JobStore, JobStoreExt, Kind, ManagerError, Moment, SystemClock};
use atlas_schema::{Actor, Callback, JobId, JobKind, JobRecord, JobStatus, QueueName, Stage, WorkerId};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A busy machine gets so long to see something happen.
const PATIENCE: Duration = Duration::from_secs(30);

fn now() -> Moment {
    SystemClock::new().now()
}

pub(crate) fn spec() -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &1).unwrap()
}

/// What of a job is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Record,
    Payload,
}

/// Reaches into a store past its API.
pub(crate) trait Hand {
    async fn damage(&self, job: JobId);
    async fn mend(&self, job: JobId);
    /// Damages the outbox entry of the second version of a job.
    async fn garble(&self, job: JobId);
    /// Makes due what was put off, where the store's own clock says what is.
    async fn hurry(&self) {}
}

pub(crate) struct Bench {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) jobs: JobManager,
    beat: u64,
    /// How far the worker's clock is ahead.
    ahead: Duration,
}

impl Bench {
    pub(crate) fn new(store: Arc<dyn JobStore>) -> Self {
        let jobs = JobManager::new(Arc::clone(&store)).unwrap();
        Self { store, jobs, beat: 0, ahead: Duration::ZERO }
    }

    pub(crate) async fn add(&self, spec: JobSpec) -> JobId {
        self.jobs.enqueue(spec).await.unwrap().id()
    }

    fn beat(&mut self) -> Exchange {
        self.beat += 1;
        Exchange::new(WorkerId::new("w").unwrap(), self.beat, Duration::from_mins(1), now().plus(self.ahead))
    }

    pub(crate) async fn exchange(&mut self, acks: Vec<Ack>, limit: usize) -> Exchanged {
        let claim = Claim { queues: vec![QueueName::default()], kinds: vec![spec().kind], limit };
        let exchange = self.beat().with_acks(acks).with_claim(claim);
        self.store.exchange(exchange).await.unwrap()
    }

    /// Claims one job, which has to be there.
    async fn claim(&mut self) -> JobRecord {
        let mut claimed = self.exchange(Vec::new(), 1).await.claimed;
        assert_eq!(claimed.len(), 1, "there is a job that can be read");
        claimed.remove(0)
    }

    async fn complete(&mut self, job: &JobRecord) {
        let outcomes = self.exchange(vec![ack(job, done())], 0).await.acks;
        assert!(matches!(outcomes[0], AckOutcome::Applied { status: JobStatus::Completed, .. }), "{outcomes:?}");
    }

    async fn in_status(&self, status: JobStatus) -> u64 {
        let scope = Scope::default().with_queue(QueueName::default());
        self.store.statistics(scope).await.unwrap().in_status(status)
    }

    /// The trail has every version once, up to the present one.
    async fn has_a_whole_trail(&self, job: JobId) {
        let versions: Vec<u64> = self.store.history_all(job).await.unwrap().iter().map(|event| event.version).collect();
        let now = self.store.get_one(job.into()).await.unwrap().unwrap().version;
        assert_eq!(versions, (1..=now).collect::<Vec<_>>());
    }
}

pub(crate) fn ack(job: &JobRecord, action: AckAction) -> Ack {
    Ack { job: job.id, epoch: job.epoch, action }
}

fn done() -> AckAction {
    AckAction::Complete { result: 1.into() }
}

async fn others_go_on(store: Arc<dyn JobStore>, hand: &impl Hand) {
    let mut bench = Bench::new(Arc::clone(&store));
    let bad = bench.add(spec().with_priority(9)).await;
    let good = bench.add(spec()).await;
    hand.damage(bad).await;
    let claimed = bench.claim().await;
    assert_eq!(claimed.id, good, "a job behind it is claimed");
    let asked = store.get_one(bad.into()).await.unwrap_err();
    assert_eq!((asked.kind(), asked.is_in_one_row()), (Kind::Corrupt, true), "who asks is told");

    let other = JobKind::new("other").unwrap();
    let listed = bench.add(JobSpec::new(other.clone(), &1).unwrap()).await;
    let found = store.list_all(Filter::default().with_kind(other)).await.unwrap();
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [listed], "a list of others is whole");
    assert_eq!(store.list_all(Filter::default()).await.unwrap_err().kind(), Kind::Corrupt);
    let mut options = ListOptions::default().with_limit(1).with_readable_only();
    let mut readable = BTreeSet::new();
    loop {
        let page = store.list(options.clone()).await.unwrap();
        readable.extend(page.items.iter().map(|job| job.id));
        let Some(next) = page.next else { break };
        options.cursor = Some(next);
    }
    assert_eq!(readable, BTreeSet::from([good, listed]), "a list that leaves it out has all others");

    let held = vec![spec().with_id(bad), spec().with_priority(-1)];
    let answers = bench.jobs.enqueue_many(held).await.unwrap();
    let taken = |answer: &_| matches!(answer, Err(ManagerError::Conflict { existing, differs: UNREADABLE }) if *existing == bad);
    assert!(taken(&answers[0]), "{answers:?}");
    assert!(answers[1].is_ok(), "{answers:?}");

    let struck = bench.add(spec().with_priority(1)).await;
    let running = bench.claim().await;
    assert_eq!(running.id, struck);
    hand.damage(struck).await;
    let acks = vec![ack(&running, AckAction::Release { delay: Duration::ZERO }), ack(&claimed, done())];
    let outcomes = bench.exchange(acks, 0).await.acks;
    assert_eq!(outcomes[0], AckOutcome::Unreadable);
    assert!(matches!(outcomes[1], AckOutcome::Applied { status: JobStatus::Completed, .. }), "{outcomes:?}");
    let beat = bench.beat().with_held(vec![Held { job: struck, epoch: running.epoch, progress: None }]);
    assert_eq!(store.exchange(beat).await.unwrap().held, [HeldOutcome::Continue], "its lease is as it was");
    hand.mend(struck).await;
    bench.complete(&running).await;

    let soon = now().wall.saturating_add(Duration::from_secs(3));
    let late_bad = bench.add(spec().with_deadline(soon)).await;
    let late = bench.add(spec().with_deadline(soon.saturating_add(Duration::from_millis(1)))).await;
    hand.damage(late_bad).await;
    let began = tokio::time::Instant::now();
    while store.get_one(late.into()).await.unwrap().unwrap().status != JobStatus::Timeout {
        assert!(began.elapsed() < PATIENCE, "it is swept");
        store.sweep(SweepOptions::new(now())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let callback = || spec().with_callback(Callback { url: "https://example.org/".into() });
    let (garbled, told) = (bench.add(callback()).await, bench.add(callback()).await);
    let conclude = |job| CommandRequest { job, if_version: None, command: JobCommand::Conclude { result: 1.into() } };
    let requests = [bad, garbled, told].map(conclude).to_vec();
    let outcomes = store.command(requests, Actor::Caller {}, now()).await.unwrap();
    assert_eq!(outcomes[0], CommandOutcome::NotFound);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, CommandOutcome::Applied { .. })), "{outcomes:?}");
    hand.garble(garbled).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        let exchange = OutboxExchange::new(vec!["callback"], 1, Duration::from_mins(1), now());
        taken.extend(store.outbox(exchange).await.unwrap().into_iter().map(|item| item.entry.event.job));
    }
    assert_eq!(taken, [told], "the entry behind it is handed out");

    let parent = bench.add(spec()).await;
    let children = [bench.add(spec().with_parent(parent)).await, bench.add(spec().with_parent(parent)).await];
    hand.damage(children[0]).await;
    let counted = store.statistics(Scope::default().with_parent(parent)).await.unwrap();
    assert_eq!(counted.in_status(JobStatus::Pending), 2, "a child counts, whether it can be read or not");
}

/// With more jobs in front that can't be read than the queue may run.
async fn a_limited_queue_goes_on(store: Arc<dyn JobStore>, hand: &impl Hand) {
    let mut bench = Bench::new(Arc::clone(&store));
    store.queues(vec![QueueChange::new(QueueName::default()).with_max_running(Some(1))], now()).await.unwrap();
    let bad = [bench.add(spec().with_priority(9)).await, bench.add(spec().with_priority(9)).await];
    for id in bad {
        hand.damage(id).await;
    }
    for round in 0..2 {
        let good = bench.add(spec()).await;
        let claimed = bench.claim().await;
        assert_eq!(claimed.id, good, "round {round}");
        assert_eq!(bench.in_status(JobStatus::Processing).await, 1, "round {round}: nothing else is held");
        bench.complete(&claimed).await;
    }
    assert_eq!(bench.in_status(JobStatus::Pending).await, 2, "they wait");
    for id in bad {
        hand.mend(id).await;
    }
    hand.hurry().await;
    bench.ahead = Duration::from_mins(2);
    let mut mended = BTreeSet::new();
    for _ in bad {
        let claimed = bench.claim().await;
        assert_eq!(claimed.attempt, 1, "an attempt that never was does not count");
        bench.complete(&claimed).await;
        bench.has_a_whole_trail(claimed.id).await;
        mended.insert(claimed.id);
    }
    assert_eq!(mended, BTreeSet::from(bad), "once mended they run");
    assert_eq!(bench.in_status(JobStatus::Processing).await, 0);
}

#[cfg(feature = "sqlite")]
pub(crate) mod file {
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
}

#[cfg(feature = "postgres")]
mod database {
    use super::*;
    use deadpool_postgres::Client;

    struct DatabaseHand {
        client: Client,
        part: Part,
    }

    impl DatabaseHand {
        async fn run(&self, sql: &str, job: JobId) {
            assert_eq!(self.client.execute(sql, &[&job.as_uuid()]).await.unwrap(), 1);
        }
    }

    impl Hand for DatabaseHand {
        async fn damage(&self, job: JobId) {
            let set = if self.part == Part::Record { "more = '{'" } else { "payload = '{' || payload" };
            self.run(&format!("UPDATE atlas_jobs_job SET {set} WHERE id = $1"), job).await;
        }

        async fn mend(&self, job: JobId) {
            let set = if self.part == Part::Record { "more = NULL" } else { "payload = substr(payload, 2)" };
            self.run(&format!("UPDATE atlas_jobs_job SET {set} WHERE id = $1"), job).await;
        }

        async fn garble(&self, job: JobId) {
            self.run("UPDATE atlas_jobs_outbox SET fields = '{', visible_at = 0 WHERE job = $1", job).await;
        }

        async fn hurry(&self) {
            self.client.execute("UPDATE atlas_jobs_deferred SET run_at = atlas_jobs_now() - 1", &[]).await.unwrap();
        }
    }

    async fn fresh(part: Part) -> (Arc<dyn JobStore>, DatabaseHand) {
        let pool = crate::postgres::pool().await;
        let store = atlas_jobs::PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        (Arc::new(store), DatabaseHand { client: pool.get().await.unwrap(), part })
    }

    testkit::with_postgres! {
        #[tokio::test]
        async fn a_row_of_a_database_that_can_not_be_read_stops_no_work_on_the_others() {
            let (store, hand) = fresh(Part::Record).await;
            others_go_on(store, &hand).await;
        }

        #[tokio::test]
        async fn a_limited_queue_of_a_database_goes_on_behind_rows_that_can_not_be_read() {
            for part in [Part::Record, Part::Payload] {
                let (store, hand) = fresh(part).await;
                a_limited_queue_goes_on(store, &hand).await;
            }
        }

        #[tokio::test]
        async fn leases_of_rows_that_can_not_be_read_any_more_go_back_by_reconciling_and_by_sweeps() {
            let (store, hand) = fresh(Part::Record).await;
            let mut bench = Bench::new(Arc::clone(&store));
            let job = bench.add(spec()).await;
            for epoch in 1..=3 {
                let claimed = bench.claim().await;
                assert_eq!((claimed.id, claimed.epoch, claimed.attempt), (job, epoch, 1));
                if epoch == 3 {
                    bench.complete(&claimed).await;
                    break;
                }
                hand.damage(job).await;
                let back = if epoch == 1 {
                    let beat = bench.beat().with_reconcile(true);
                    store.exchange(beat).await.unwrap().reconciled
                } else {
                    store.sweep(SweepOptions::new(now()).with_dead(vec![WorkerId::new("w").unwrap()])).await.unwrap().expired
                };
                assert_eq!((back, bench.in_status(JobStatus::Processing).await), (1, 0), "epoch {epoch}");
                hand.mend(job).await;
                hand.hurry().await;
            }
            bench.has_a_whole_trail(job).await;
        }

        #[tokio::test]
        async fn an_ended_row_that_could_not_be_read_is_purged_once_it_is_mended() {
            let (store, hand) = fresh(Part::Record).await;
            let mut bench = Bench::new(Arc::clone(&store));
            let job = bench.add(spec()).await;
            let claimed = bench.claim().await;
            bench.complete(&claimed).await;
            hand.damage(job).await;
            let before = now().wall.saturating_add(Duration::from_hours(1));
            let options = PurgeOptions::new(Purge::Ended { status: JobStatus::Completed, before });
            let began = tokio::time::Instant::now();
            // The list that names it is made in one millisecond at the earliest and looked at in another.
            for _ in 0..2 {
                let purged = store.purge(options.clone()).await.unwrap();
                assert_eq!((purged.jobs, purged.more), (0, false));
            }
            hand.mend(job).await;
            while store.purge(options.clone()).await.unwrap().jobs == 0 {
                assert!(began.elapsed() < PATIENCE, "it is found again");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(store.get_one(job.into()).await.unwrap(), None);
        }

        #[tokio::test]
        async fn a_result_of_a_row_that_can_not_be_read_is_recorded_or_said_not_to_be() {
            let (store, hand) = fresh(Part::Record).await;
            let mut bench = Bench::new(Arc::clone(&store));
            let job = bench.add(spec()).await;
            let claimed = bench.claim().await;
            hand.damage(job).await;
            bench.complete(&claimed).await;
            let again = bench.exchange(vec![ack(&claimed, done())], 0).await.acks;
            assert_eq!(again, [AckOutcome::Unreadable]);
            hand.mend(job).await;
            assert_eq!(bench.exchange(vec![ack(&claimed, done())], 0).await.acks, [AckOutcome::Repeated]);
            assert_eq!(store.get_one(job.into()).await.unwrap().unwrap().result, Some(1.into()));
        }
    }
}

#[cfg(feature = "dynamodb")]
mod table {
    use super::*;
    use atlas_jobs::dynamodb::{DynamoOptions, create_table};
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::types::AttributeValue;

    struct TableHand {
        client: Client,
        table: String,
        name: &'static str,
    }

    impl TableHand {
        async fn set(&self, key: (String, &str), name: &str, change: impl Fn(&str) -> String) {
            let key = |name: &str| AttributeValue::S(if name == "pk" { key.0.clone() } else { key.1.into() });
            let item = self.client.get_item().table_name(&self.table).consistent_read(true);
            let item = item.key("pk", key("pk")).key("sk", key("sk")).send().await.unwrap().item.unwrap();
            let changed = AttributeValue::S(change(item[name].as_s().unwrap()));
            let update = self.client.update_item().table_name(&self.table).key("pk", key("pk")).key("sk", key("sk"));
            let update = update.update_expression(format!("SET {name} = :changed"));
            update.expression_attribute_values(":changed", changed).send().await.unwrap();
        }
    }

    impl Hand for TableHand {
        async fn damage(&self, job: JobId) {
            self.set((format!("J#{job}"), "M"), self.name, |text| format!("{{{text}")).await;
        }

        async fn mend(&self, job: JobId) {
            self.set((format!("J#{job}"), "M"), self.name, |text| text[1..].to_owned()).await;
        }

        async fn garble(&self, job: JobId) {
            self.set((format!("O#{job}:2:callback"), "O"), "entry", |_| "{".to_owned()).await;
        }
    }

    async fn fresh(part: Part) -> (Arc<dyn JobStore>, TableHand) {
        let (client, table) = (crate::dynamo::client(&testkit::dynamo::shared()), crate::dynamo::unused_table());
        create_table(&client, &table).await.unwrap();
        let store = atlas_jobs::DynamoJobs::open(client.clone(), DynamoOptions::new(&table, Stage::Dev)).await.unwrap();
        let name = if part == Part::Record { "rec" } else { "payload_json" };
        (Arc::new(store), TableHand { client, table, name })
    }

    testkit::with_dynamodb! {
        #[tokio::test]
        async fn an_item_of_a_table_that_can_not_be_read_stops_no_work_on_the_others() {
            let (store, hand) = fresh(Part::Record).await;
            others_go_on(store, &hand).await;
        }

        #[tokio::test]
        async fn a_limited_queue_of_a_table_goes_on_behind_items_that_can_not_be_read() {
            for part in [Part::Record, Part::Payload] {
                let (store, hand) = fresh(part).await;
                a_limited_queue_goes_on(store, &hand).await;
            }
        }
    }
}
