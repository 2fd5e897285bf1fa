//! Purges beside an index that lags, and beside jobs that take the id of a deleted one.

use super::caller::{kind, noon};
use super::faults::{Fault, Faulty};
use super::{client, client_over, unused_table};
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::store::{CommandRequest, JobCommand, Purge, PurgeOptions};
use atlas_jobs::{DynamoJobs, JobSpec, JobStore, JobStoreExt, NewJob, Random};
use atlas_schema::{Actor, JobStatus, Stage};
use object_store::memory::InMemory;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A store whose queries meet `fault` while the switch is on.
async fn store(fault: Fault, artifacts: Arc<InMemory>) -> (DynamoJobs, Arc<AtomicBool>) {
    let (url, table) = (testkit::dynamo::shared(), unused_table());
    create_table(&client(&url), &table).await.unwrap();
    let on = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&on);
    let plan = move |_: usize, operation: &str| {
        if operation == "Query" && switch.load(Ordering::SeqCst) { fault } else { Fault::None }
    };
    let faulty = Faulty::new(aws_smithy_http_client::Builder::new().build_http(), plan);
    let options = DynamoOptions::new(&table, Stage::Dev).with_artifacts(artifacts);
    (DynamoJobs::open(client_over(&url, faulty), options).await.unwrap(), on)
}

fn job(random: &Random, payload: &str) -> NewJob {
    let spec = JobSpec::new(kind(), &payload).unwrap();
    NewJob::new(spec, Stage::Dev, random.job_id(noon().wall), random.correlation_id())
}

testkit::with_dynamodb! {
    #[tokio::test]
    async fn an_index_that_still_names_deleted_jobs_keeps_no_purge_going_round() {
        let (store, stale) = store(Fault::Stale, Arc::default()).await;
        let random = Random::seeded(1);
        let jobs = vec![job(&random, "a"), job(&random, "b")];
        let conclude = |job: &NewJob| {
            CommandRequest { job: job.id(), if_version: None, command: JobCommand::Conclude { result: 1.into() } }
        };
        let requests = jobs.iter().map(conclude).collect();
        store.enqueue(jobs, noon()).await.unwrap();
        store.command(requests, Actor::Caller {}, noon()).await.unwrap();
        let before = noon().wall.saturating_add(Duration::from_hours(1));
        let old = PurgeOptions::new(Purge::Ended { status: JobStatus::Completed, before }).with_limit(2);
        let purged = store.purge(old.clone()).await.unwrap();
        assert_eq!((purged.jobs, purged.more), (2, true));
        stale.store(true, Ordering::SeqCst);
        let purged = store.purge(old).await.unwrap();
        assert_eq!((purged.jobs, purged.more), (0, false));
    }

    #[tokio::test]
    async fn an_interrupted_purge_that_is_finished_later_deletes_no_artifact_of_the_next_job_of_its_id() {
        let artifacts: Arc<InMemory> = Arc::default();
        let (store, down) = store(Fault::Down, Arc::clone(&artifacts)).await;
        let first = job(&Random::seeded(1), &"x".repeat(300_000));
        let id = first.id();
        store.enqueue(vec![first], noon()).await.unwrap();
        down.store(true, Ordering::SeqCst);
        store.purge(PurgeOptions::new(Purge::Jobs(vec![id]))).await.unwrap_err();
        down.store(false, Ordering::SeqCst);
        assert_eq!(store.get_one(id.into()).await.unwrap(), None, "the job itself is gone");
        let payload = "y".repeat(300_000);
        store.enqueue(vec![job(&Random::seeded(1), &payload)], noon()).await.unwrap();
        store.purge(PurgeOptions::new(Purge::Jobs(Vec::new()))).await.unwrap();
        let found = store.get_one(id.into()).await.unwrap().unwrap();
        assert_eq!(found.payload, payload);
        let left = futures_util::StreamExt::count(object_store::ObjectStore::list(&*artifacts, None)).await;
        assert_eq!(left, 1, "the first one's is deleted");
    }
}
