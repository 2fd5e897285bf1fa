//! Rows that can't be read any more: each is passed over, and everything else goes on, on each store that lasts.

// Without a server or a feature, nothing uses some of the helpers.
#![allow(dead_code, unused_imports)]

use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, CommandOutcome, CommandRequest, Exchange, Exchanged, Filter, JobCommand,
    OutboxExchange, SweepOptions,
};
use atlas_jobs::{Clock, JobManager, JobSpec, JobStore, JobStoreExt, Kind, Moment, SystemClock};
use atlas_schema::{Actor, Callback, JobId, JobKind, JobStatus, QueueName, Stage, WorkerId};
use std::sync::Arc;
use std::time::Duration;

fn now() -> Moment {
    SystemClock::new().now()
}

fn spec() -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &1).unwrap()
}

struct Bench {
    store: Arc<dyn JobStore>,
    jobs: JobManager,
    beat: u64,
}

impl Bench {
    async fn add(&self, spec: JobSpec) -> JobId {
        self.jobs.enqueue(spec).await.unwrap().id()
    }

    async fn exchange(&mut self, acks: Vec<Ack>, limit: usize) -> Exchanged {
        self.beat += 1;
        let claim = Claim { queues: vec![QueueName::default()], kinds: vec![spec().kind], limit };
        let exchange = Exchange::new(WorkerId::new("w").unwrap(), self.beat, Duration::from_mins(1), now());
        self.store.exchange(exchange.with_acks(acks).with_claim(claim)).await.unwrap()
    }
}

/// `damage` makes a job unreadable, `garble` the outbox entry of the second version of one.
async fn others_go_on(store: Arc<dyn JobStore>, damage: impl AsyncFn(JobId), garble: impl AsyncFn(JobId)) {
    let jobs = JobManager::new(Arc::clone(&store)).unwrap();
    let mut bench = Bench { store: Arc::clone(&store), jobs, beat: 0 };
    let bad = bench.add(spec().with_priority(9)).await;
    let good = bench.add(spec()).await;
    damage(bad).await;
    let mut claimed = Vec::new();
    for _ in 0..3 {
        if claimed.is_empty() {
            claimed = bench.exchange(Vec::new(), 1).await.claimed;
        }
    }
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [good], "a job behind it is claimed");
    assert_eq!(store.get_one(bad.into()).await.unwrap_err().kind(), Kind::Corrupt, "who asks is told");

    let other = JobKind::new("other").unwrap();
    let listed = bench.add(JobSpec::new(other.clone(), &1).unwrap()).await;
    let found = store.list_all(Filter::default().with_kind(other)).await.unwrap();
    assert_eq!(found.iter().map(|job| job.id).collect::<Vec<_>>(), [listed], "a list of others is whole");
    assert_eq!(store.list_all(Filter::default()).await.unwrap_err().kind(), Kind::Corrupt);

    let struck = bench.add(spec().with_priority(1)).await;
    let running = bench.exchange(Vec::new(), 1).await.claimed.remove(0);
    assert_eq!(running.id, struck);
    damage(struck).await;
    let ack = |job: &atlas_schema::JobRecord, action| Ack { job: job.id, epoch: job.epoch, action };
    let acks = vec![
        ack(&running, AckAction::Release { delay: Duration::ZERO }),
        ack(&claimed[0], AckAction::Complete { result: 1.into() }),
    ];
    let outcomes = bench.exchange(acks, 0).await.acks;
    assert_eq!(outcomes[0], AckOutcome::NotFound);
    assert!(matches!(outcomes[1], AckOutcome::Applied { status: JobStatus::Completed, .. }), "{outcomes:?}");

    let soon = now().wall.saturating_add(Duration::from_millis(300));
    let late_bad = bench.add(spec().with_deadline(soon)).await;
    let late = bench.add(spec().with_deadline(soon.saturating_add(Duration::from_millis(1)))).await;
    damage(late_bad).await;
    for _ in 0..1000 {
        store.sweep(SweepOptions::new(now())).await.unwrap();
        if store.get_one(late.into()).await.unwrap().unwrap().status == JobStatus::Timeout {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(store.get_one(late.into()).await.unwrap().unwrap().status, JobStatus::Timeout, "it is swept");

    let callback = || spec().with_callback(Callback { url: "https://example.org/".into() });
    let (garbled, told) = (bench.add(callback()).await, bench.add(callback()).await);
    let conclude = |job| CommandRequest { job, if_version: None, command: JobCommand::Conclude { result: 1.into() } };
    let requests = [bad, garbled, told].map(conclude).to_vec();
    let outcomes = store.command(requests, Actor::Caller {}, now()).await.unwrap();
    assert_eq!(outcomes[0], CommandOutcome::NotFound);
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, CommandOutcome::Applied { .. })), "{outcomes:?}");
    garble(garbled).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        let exchange = OutboxExchange::new(vec!["callback"], 1, Duration::from_mins(1), now());
        taken.extend(store.outbox(exchange).await.unwrap().into_iter().map(|item| item.entry.event.job));
    }
    assert_eq!(taken, [told], "the entry behind it is handed out");
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_row_of_a_file_that_can_not_be_read_stops_no_work_on_the_others() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("jobs.db");
    let store = atlas_jobs::SqliteJobs::open(&path, Stage::Dev).await.unwrap();
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    let damage = async |id: JobId| {
        let done = conn.execute("UPDATE atlas_jobs_job SET head = '{' WHERE id = ?1", [id.as_bytes()]);
        assert_eq!(done.unwrap(), 1);
    };
    let garble = async |id: JobId| {
        let sql = "UPDATE atlas_jobs_outbox SET entry = '{', visible_at = 0 WHERE key = ?1";
        assert_eq!(conn.execute(sql, [format!("{id}:2:callback")]).unwrap(), 1);
    };
    others_go_on(Arc::new(store), damage, garble).await;
}

#[cfg(feature = "postgres")]
testkit::with_postgres! {
    #[tokio::test]
    async fn a_row_of_a_database_that_can_not_be_read_stops_no_work_on_the_others() {
        let pool = crate::postgres::pool().await;
        let store = atlas_jobs::PostgresJobs::open(pool.clone(), Stage::Dev).await.unwrap();
        let client = pool.get().await.unwrap();
        let damage = async |id: JobId| {
            let sql = "UPDATE atlas_jobs_job SET more = '{' WHERE id = $1";
            assert_eq!(client.execute(sql, &[&id.as_uuid()]).await.unwrap(), 1);
        };
        let garble = async |id: JobId| {
            let sql = "UPDATE atlas_jobs_outbox SET fields = '{', visible_at = 0 WHERE job = $1";
            assert_eq!(client.execute(sql, &[&id.as_uuid()]).await.unwrap(), 1);
        };
        others_go_on(Arc::new(store), damage, garble).await;
    }
}

#[cfg(feature = "dynamodb")]
testkit::with_dynamodb! {
    #[tokio::test]
    async fn an_item_of_a_table_that_can_not_be_read_stops_no_work_on_the_others() {
        use atlas_jobs::dynamodb::{DynamoOptions, create_table};
        use aws_sdk_dynamodb::types::AttributeValue;
        let (client, table) = (crate::dynamo::client(&testkit::dynamo::shared()), crate::dynamo::unused_table());
        create_table(&client, &table).await.unwrap();
        let store = atlas_jobs::DynamoJobs::open(client.clone(), DynamoOptions::new(&table, Stage::Dev)).await.unwrap();
        let set = async |pk: String, sk: &str, name: &str| {
            let update = client.update_item().table_name(&table).key("pk", AttributeValue::S(pk));
            let update = update.key("sk", AttributeValue::S(sk.into())).condition_expression("attribute_exists(pk)");
            let update = update.update_expression(format!("SET {name} = :bad"));
            update.expression_attribute_values(":bad", AttributeValue::S("{".into())).send().await.unwrap();
        };
        let damage = async |id: JobId| set(format!("J#{id}"), "M", "rec").await;
        let garble = async |id: JobId| set(format!("O#{id}:2:callback"), "O", "entry").await;
        others_go_on(Arc::new(store), damage, garble).await;
    }
}
