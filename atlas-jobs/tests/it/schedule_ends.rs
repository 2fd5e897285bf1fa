//! What a schedule survives, and how it ends: after its last time, and by nothing else.

use crate::schedule::{Bench, at, cron, spec, work};
use crate::weak_spots::each;
use atlas_jobs::schedule::{CatchUp, ScheduleError, ScheduleHandler, ScheduleSpec};
use atlas_jobs::store::{Filter, JobRef, SweepOptions};
use atlas_jobs::{Clock, JobContext, JobHandler, JobManager, JobSpec, JobStoreExt, ManagerError, ManualClock, Random};
use atlas_schema::{Callback, IdempotencyKey, JobKind, JobRecord, JobStatus, TenantId};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

async fn ticks(bench: &Bench) -> Vec<JobRecord> {
    let mut ticks = bench.store.list_all(Filter::default().with_kind(JobKind::schedule_tick())).await.unwrap();
    ticks.sort_by_key(|tick| tick.run_at);
    ticks
}

#[tokio::test]
async fn the_last_time_before_the_end_of_a_schedule_is_run_however_late_it_is_taken() {
    for store in each().await {
        for (catch_up, ran) in [
            (CatchUp::Once, vec!["2026-06-01T12:00:00Z"]),
            (CatchUp::All { most: 9 }, vec!["2026-06-01T11:00:00Z", "2026-06-01T12:00:00Z"]),
            (CatchUp::Skip { grace_ms: 60_000 }, vec![]),
        ] {
            let bench = Bench::new(&store);
            let made = bench.jobs.schedule(spec(catch_up).with_until(at("2026-06-01T12:00:00Z"))).await.unwrap();
            // Nobody was there at the end, but for a sweeper.
            bench.clock.jump_to(at("2026-06-01T15:20:00Z"));
            store.sweep(SweepOptions::new(bench.clock.now())).await.unwrap();
            bench.run(1).await;
            assert_eq!(bench.ran().await, ran, "{catch_up:?}");
            let ended = bench.jobs.get(made.id).await.unwrap().unwrap();
            assert_eq!(ended.status, JobStatus::Completed, "it ends with its last time");
            assert!(ticks(&bench).await.iter().all(|tick| tick.status.is_terminal()), "no tick is left");
            let ids = store.list_all(Filter::default()).await.unwrap().iter().map(|job| job.id).collect();
            store.purge(atlas_jobs::store::PurgeOptions::new(atlas_jobs::store::Purge::Jobs(ids))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_schedule_whose_job_would_be_refused_each_time_is_refused_when_it_is_made() {
    let store = crate::stores::memory().await;
    let bench = Bench::new(&store);
    let job = || JobSpec::new(work(), &1).unwrap();
    let mut reserved = job();
    reserved.kind = JobKind::batch();
    let bad = [
        job().with_max_attempts(0),
        job().with_attempt_timeout(Duration::ZERO),
        job().with_callback(Callback { url: "no address".into() }),
        reserved,
    ];
    for job in bad {
        let spec = ScheduleSpec::new("s", cron("* * * * *", "UTC"), job).unwrap();
        for refused in [bench.jobs.schedule(spec.clone()).await, bench.jobs.reschedule(spec).await] {
            assert!(matches!(refused, Err(ScheduleError::Job(_))), "{refused:?}");
        }
    }
    let large = JobSpec::new(work(), &"x".repeat(store.capabilities().max_payload_bytes)).unwrap();
    let refused = bench.jobs.schedule(ScheduleSpec::new("s", cron("* * * * *", "UTC"), large).unwrap()).await;
    assert!(matches!(refused, Err(ScheduleError::Manager(ManagerError::Rejected(_)))), "{refused:?}");
    assert_eq!(store.list_all(Filter::default()).await.unwrap(), []);
}

/// Puts another payload in place of a schedule's: nobody can make such a one today.
async fn forge(bench: &Bench, change: impl FnOnce(&mut Value)) {
    let made = bench.jobs.schedule(spec(CatchUp::Once)).await.unwrap();
    let mut payload = bench.jobs.get(made.id).await.unwrap().unwrap().payload;
    change(&mut payload);
    let gone = atlas_jobs::store::Purge::Jobs(vec![made.id]);
    bench.jobs.purge(atlas_jobs::store::PurgeOptions::new(gone)).await.unwrap();
    let key = IdempotencyKey::new("schedule:hourly").unwrap();
    let forged = JobSpec::of_value(JobKind::schedule(), payload).with_id(made.id).with_idempotency_key(key);
    bench.store.enqueue(vec![bench.jobs.prepare(forged)], bench.clock.now()).await.unwrap();
}

#[tokio::test]
async fn a_time_whose_work_is_refused_is_a_dead_letter_and_the_schedule_goes_on() {
    for store in each().await {
        let bench = Bench::new(&store);
        forge(&bench, |payload| payload["job"]["maxAttempts"] = 0.into()).await;
        for hour in [11, 12] {
            bench.clock.jump_to(at(&format!("2026-06-01T{hour}:00:01Z")));
            bench.run(1).await;
        }
        let ticks = ticks(&bench).await;
        let statuses: Vec<_> = ticks.iter().map(|tick| tick.status).collect();
        assert_eq!(statuses, [JobStatus::Failed, JobStatus::Failed, JobStatus::Pending]);
        assert_eq!(ticks[2].run_at, at("2026-06-01T13:00:00Z"));
        assert!(ticks[0].error.as_ref().unwrap().message.contains("attempts"));
    }
}

#[tokio::test]
async fn a_tick_of_a_schedule_that_a_worker_can_not_read_waits_for_one_that_can() {
    for store in each().await {
        let bench = Bench::new(&store);
        forge(&bench, |payload| payload["timeZone"] = "Mars/Base".into()).await;
        for minute in [0, 10, 20] {
            bench.clock.jump_to(at(&format!("2026-06-01T11:{minute:02}:01Z")));
            bench.run(1).await;
        }
        let tick = ticks(&bench).await.remove(0);
        assert_eq!((tick.status, tick.attempt), (JobStatus::Pending, 0));
        assert_eq!(tick.run_at, at("2026-06-01T11:25:01Z"));
    }
}

#[tokio::test]
async fn a_host_whose_clock_is_a_month_ahead_skips_no_time_of_a_schedule_that_the_store_dates() {
    let store = crate::stores::memory().await;
    let bench = Bench::new(&store);
    let made = bench.jobs.schedule(spec(CatchUp::Once)).await.unwrap();
    // As a store with a clock of its own hands it out.
    let mut tick = ticks(&bench).await.remove(0);
    (tick.status, tick.started_at) = (JobStatus::Processing, Some(at("2026-06-01T11:00:03Z")));
    let ahead = Arc::new(ManualClock::at(at("2026-07-01T11:00:03Z")));
    let jobs = JobManager::with_parts(Arc::clone(&store), ahead, Arc::new(Random::seeded(2)));
    let result = ScheduleHandler::new(jobs).run(JobContext::new(tick, CancellationToken::new())).await.unwrap();
    assert_eq!(result, json!({ "ticks": [at("2026-06-01T11:00:00Z")], "next": at("2026-06-01T12:00:00Z") }));
    let next = format!("schedule.tick:{}:{}", made.id, at("2026-06-01T12:00:00Z").as_millis());
    let next = JobRef::Idempotency(TenantId::default(), IdempotencyKey::new(next).unwrap());
    assert!(bench.jobs.get(next).await.unwrap().is_some());
}

#[tokio::test]
async fn a_schedule_that_is_over_does_not_wait_for_ever_for_a_tick_that_was_deleted() {
    for store in each().await {
        let bench = Bench::new(&store);
        let ending = || spec(CatchUp::Once).with_until(at("2026-06-01T12:00:00Z"));
        let made = bench.jobs.schedule(ending()).await.unwrap();
        let status = async || bench.jobs.get(made.id).await.unwrap().unwrap().status;
        bench.clock.jump_to(at("2026-06-01T15:20:00Z"));
        assert!(matches!(bench.jobs.schedule(ending()).await, Err(ScheduleError::Over)));
        assert_eq!(status().await, JobStatus::Pending, "its tick is still to come");
        let left = ticks(&bench).await.iter().map(|tick| tick.id).collect();
        let gone = atlas_jobs::store::PurgeOptions::new(atlas_jobs::store::Purge::Jobs(left));
        bench.jobs.purge(gone).await.unwrap();
        assert!(matches!(bench.jobs.schedule(ending()).await, Err(ScheduleError::Over)));
        assert_eq!(status().await, JobStatus::Completed);
    }
}
