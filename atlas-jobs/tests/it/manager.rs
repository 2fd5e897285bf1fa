//! The manager's typed answers.

use atlas_jobs::state::Reject;
use atlas_jobs::store::{HistoryOptions, JobCommand, JobRef, ListOptions, Purge, PurgeOptions};
use atlas_jobs::{Accepted, Clock, JobManager, JobSpec, JobStoreExt, ManagerError, ManualClock, MemoryJobs, Random};
use atlas_schema::{IdempotencyKey, JobKind, JobStatus, Stage, TenantId, Timestamp};
use std::sync::Arc;
use std::time::Duration;

fn manager() -> (JobManager, ManualClock) {
    let clock = ManualClock::at(Timestamp::from_millis(1_700_000_000_000).unwrap());
    let store = Arc::new(MemoryJobs::new(Stage::Dev));
    (JobManager::with_parts(store, Arc::new(clock.clone()), Arc::new(Random::seeded(1))), clock)
}

fn spec() -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &"work").unwrap()
}

#[tokio::test]
async fn a_key_gives_the_job_that_is_there_or_a_conflict_that_names_it() {
    let (jobs, _) = manager();
    let key = IdempotencyKey::new("order-7").unwrap();
    let first = jobs.enqueue(spec().with_idempotency_key(key.clone())).await.unwrap();
    let again = jobs.enqueue(spec().with_idempotency_key(key.clone())).await.unwrap();
    assert_eq!(again, Accepted::Existing(first.id()));
    let mut other = spec().with_idempotency_key(key.clone());
    other.kind = JobKind::new("another").unwrap();
    let conflict = jobs.enqueue(other).await.unwrap_err();
    assert!(matches!(conflict, ManagerError::Conflict { existing, differs: "kind" } if existing == first.id()));
    let found = jobs.get(JobRef::Idempotency(TenantId::default(), key)).await.unwrap().unwrap();
    assert_eq!(found.id, first.id());
}

#[tokio::test]
async fn a_cancel_a_redrive_and_their_reasons_are_in_the_history() {
    let (jobs, clock) = manager();
    let id = jobs.enqueue(spec()).await.unwrap().id();
    clock.advance(Duration::from_secs(1));
    let changed = jobs.cancel(id, "typed in error", Duration::ZERO).await.unwrap();
    assert_eq!((changed.status, changed.version), (JobStatus::Cancelled, 2));
    let twice = jobs.cancel(id, "again", Duration::ZERO).await.unwrap_err();
    assert!(matches!(twice, ManagerError::Rejected(Reject::WrongStatus { status: JobStatus::Cancelled })));
    jobs.redrive(id, "it was right").await.unwrap();
    let events = jobs.history(HistoryOptions::new(id)).await.unwrap().items;
    let reasons: Vec<_> = events.iter().map(|event| event.reason.as_deref()).collect();
    assert_eq!(reasons, [None, Some("typed in error"), Some("it was right")]);
}

#[tokio::test]
async fn a_command_on_a_version_that_is_gone_changes_nothing() {
    let (jobs, _) = manager();
    let id = jobs.enqueue(spec()).await.unwrap().id();
    jobs.cancel(id, "", Duration::ZERO).await.unwrap();
    let command = JobCommand::Redrive { reason: String::new(), delay: Duration::ZERO };
    let refused = jobs.command(id, Some(1), command).await.unwrap_err();
    assert!(matches!(refused, ManagerError::Rejected(Reject::VersionConflict { current: 2 })));
}

#[tokio::test]
async fn retention_is_per_status_and_keeps_what_is_younger() {
    let (jobs, clock) = manager();
    let old = jobs.enqueue(spec()).await.unwrap().id();
    jobs.cancel(old, "", Duration::ZERO).await.unwrap();
    clock.advance(Duration::from_hours(48));
    let young = jobs.enqueue(spec()).await.unwrap().id();
    jobs.cancel(young, "", Duration::ZERO).await.unwrap();
    let before = clock.now().wall.saturating_sub(Duration::from_hours(24));
    let purge = |status| PurgeOptions::new(Purge::Ended { status, before });
    assert_eq!(jobs.purge(purge(JobStatus::Completed)).await.unwrap().jobs, 0);
    assert_eq!(jobs.purge(purge(JobStatus::Cancelled)).await.unwrap().jobs, 1);
    let left = jobs.list(ListOptions::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|job| job.id).collect::<Vec<_>>(), [young]);
}

#[cfg(feature = "mock")]
#[tokio::test]
async fn a_host_can_test_against_a_mock_store() {
    let mut store = atlas_jobs::MockJobStore::new();
    store.expect_stage().return_const(Stage::Dev);
    store
        .expect_enqueue()
        .returning(|_, _| Err(atlas_jobs::StoreError::new(atlas_jobs::Kind::Full, "mock", "enqueue")));
    let jobs = JobManager::new(Arc::new(store)).unwrap();
    let failed = jobs.enqueue(spec()).await.unwrap_err();
    assert!(matches!(failed, ManagerError::Store(error) if error.kind() == atlas_jobs::Kind::Full));
}

#[tokio::test]
async fn a_canonical_document_of_each_status_is_stored_and_shown_again() {
    use atlas_schema::bridge::{self, Placement, Stored};
    for store in crate::weak_spots::each().await {
        for status in JobStatus::ALL {
            let result = (status == JobStatus::Completed).then(|| serde_json::json!({ "success": true, "data": [] }));
            let error = (status == JobStatus::Failed || status == JobStatus::Timeout).then_some("it broke");
            let document = serde_json::json!({
                "id": format!("old-{}", status.as_str()), "type": "async", "status": status,
                "url": "https://example.org/", "params": { "extractionInstructions": "names" }, "result": result,
                "error": error, "createdAt": 1_700_000_000_000_i64, "updatedAt": 1_700_000_001_000_i64,
                "correlationId": "c-1"
            });
            let document: atlas_schema::ExtractionJob = serde_json::from_value(document).unwrap();
            let Stored { record, extra } = bridge::store(document.clone(), &Placement::new(Stage::Dev)).unwrap();
            let id = record.id;
            let stored = record.map_payload(|request| serde_json::to_value(request).unwrap());
            let jobs = vec![atlas_jobs::NewJob::migrated(stored)];
            let now = atlas_jobs::SystemClock::new().now();
            assert_eq!(store.enqueue(jobs.clone(), now).await.unwrap(), [atlas_jobs::store::Enqueued::Created { id }]);
            assert_eq!(store.enqueue(jobs, now).await.unwrap(), [atlas_jobs::store::Enqueued::Existing { id }]);
            let read = store.get_one(id.into()).await.unwrap().unwrap();
            let read = read.map_payload(|payload| serde_json::from_value(payload).unwrap());
            assert_eq!(bridge::view(read, extra).unwrap(), document);
        }
    }
}

#[tokio::test]
async fn a_prepared_job_is_nowhere_until_a_store_is_given_it_and_is_then_what_enqueue_would_have_added() {
    let (jobs, clock) = manager();
    let (first, second) = (jobs.prepare(spec()), jobs.prepare(spec()));
    assert_ne!(first.id(), second.id());
    let id = first.id();
    assert_eq!(jobs.get(id).await.unwrap(), None);
    jobs.store().enqueue(vec![first], clock.now()).await.unwrap();
    let job = jobs.get(id).await.unwrap().unwrap();
    assert_eq!((job.payload, job.stage), ("work".into(), Stage::Dev));
}
