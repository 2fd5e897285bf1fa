//! What must be true at the end of every seed.

use super::hosts::{Outcome, Task};
use super::world::World;
use atlas_jobs::conformance::trail::breaches;
use atlas_jobs::store::{Filter, OutboxExchange, Scope};
use atlas_jobs::{Clock, JobStoreExt};
use atlas_schema::{Actor, AuditEvent, AuditKind, JobKind, JobRecord, JobStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// Checks everything, and gives the trace: what happened to the store, to the hosts and to each job.
pub(super) async fn check(world: &World) -> String {
    let store = world.store.inner();
    let all = store.list_all(Filter::default()).await.unwrap();
    let (batches, jobs): (Vec<_>, Vec<_>) = all.into_iter().partition(|job| job.kind == JobKind::batch());
    assert_eq!(batches.len(), 1, "one key makes one batch");
    let seen = std::mem::take(&mut *world.seen.lock().unwrap());
    let mut trace = format!("{:?}\n{:?}\n", world.store.struck(), seen.diary);

    let numbers: BTreeMap<u64, _> = jobs.iter().map(|job| (task(job).number, job.id)).collect();
    assert_eq!(numbers.len(), jobs.len(), "one key makes one job");
    assert_eq!(numbers, seen.accepted, "what was accepted is there, and nothing else");

    let mut ends = BTreeSet::new();
    for job in &jobs {
        let history = store.history_all(job.id).await.unwrap();
        let found = breaches(job, &history);
        assert!(found.is_empty(), "{found:?}\n{history:#?}");
        assert!(job.status.is_terminal(), "at rest every job has ended: {job:?}");
        result(job, &history);
        for event in &history {
            writeln!(trace, "{event:?}").unwrap();
            if event.to.is_terminal() {
                let key = |topic| format!("{}:{}:{topic}", event.job, event.version);
                ends.extend(job.callback.as_ref().map(|_| key("callback")));
            }
            if let (AuditKind::Claimed, Actor::Worker { id }) = (event.kind, &event.actor)
                && let Some(began) = seen.began.get(&(event.job, event.epoch))
            {
                assert!(began.len() == 1, "epoch {} of job {} began twice: {began:?}", event.epoch, event.job);
                assert_eq!(began[0], *id, "who began an epoch holds it");
            }
        }
    }
    whole(world, &batches[0], &jobs, &mut trace).await;
    assert_eq!(seen.delivered, ends, "each end is told, and nothing that did not happen");
    let topics = vec!["callback", "child_ended", "batch_ended"];
    let exchange = OutboxExchange::new(topics, 10, Duration::ZERO, world.clock.now());
    assert_eq!(store.outbox(exchange).await.unwrap(), [], "and settled");
    let statistics = store.statistics(Scope::default()).await.unwrap();
    assert_eq!(statistics.total(), u64::try_from(jobs.len() + batches.len()).unwrap());
    trace
}

/// A batch ends once: completed if all of its children have, failed if one of them ever ended otherwise.
async fn whole(world: &World, batch: &JobRecord, jobs: &[JobRecord], trace: &mut String) {
    let store = world.store.inner();
    let history = store.history_all(batch.id).await.unwrap();
    writeln!(trace, "{history:?}").unwrap();
    let found = breaches(batch, &history);
    assert!(found.is_empty(), "{found:?}\n{history:#?}");
    let ends = history.iter().filter(|event| event.to.is_terminal()).count();
    assert_eq!(ends, 1, "at rest the batch has ended, and once: {history:#?}");
    let children: Vec<_> = jobs.iter().filter(|job| job.parent == Some(batch.id)).collect();
    assert!(!children.is_empty());
    if batch.status == JobStatus::Completed {
        assert!(children.iter().all(|child| child.status == JobStatus::Completed), "{children:#?}");
        return;
    }
    assert_eq!(batch.status, JobStatus::Failed);
    let mut otherwise = false;
    for child in children {
        let history = store.history_all(child.id).await.unwrap();
        otherwise |= history.iter().any(|event| event.to.is_terminal() && event.to != JobStatus::Completed);
    }
    assert!(otherwise, "a batch fails for a reason: {history:#?}");
}

/// A result is that of the epoch whose completion stands in the trail, which a handler began.
fn result(job: &JobRecord, history: &[AuditEvent]) {
    let completed: Vec<_> = history.iter().filter(|event| event.kind == AuditKind::Completed).collect();
    let is = job.status == JobStatus::Completed;
    assert_eq!(completed.len(), usize::from(is), "a job completes once: {history:#?}");
    if let Some(result) = &job.result {
        let outcome: Outcome = serde_json::from_value(result.clone()).unwrap();
        let expected = Outcome { number: task(job).number, epoch: completed[0].epoch };
        assert_eq!(outcome, expected, "the result is of the epoch that holds");
    }
}

fn task(job: &JobRecord) -> Task {
    serde_json::from_value(job.payload.clone()).unwrap()
}
