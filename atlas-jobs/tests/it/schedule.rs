//! Schedules: which moments an expression names, which of them are due, and that each is run once.

use crate::weak_spots::each;
use atlas_jobs::schedule::{CatchUp, Cron, CronError, Due, ScheduleError, ScheduleHandler, ScheduleSpec, due, tick_of};
use atlas_jobs::store::{Filter, Purge, PurgeOptions};
use atlas_jobs::{
    Clock, HandlerError, JobManager, JobSpec, JobStore, JobStoreExt, ManualClock, Random, Worker, handler_fn,
};
use atlas_schema::{Actor, IdempotencyKey, JobKind, JobRecord, JobStatus, TenantId, Timestamp};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap()
}

pub(crate) fn cron(expression: &str, zone: &str) -> Cron {
    Cron::new(expression, zone).unwrap()
}

fn times(cron: &Cron, from: &str, n: usize) -> Vec<String> {
    let mut at = at(from);
    let mut found = Vec::new();
    for _ in 0..n {
        at = cron.next(at).unwrap();
        found.push(at.to_string());
    }
    found
}

#[test]
fn a_time_that_clocks_skip_counts_at_the_end_of_the_gap() {
    // 29 March 2026: 02:00 becomes 03:00.
    let daily = cron("30 2 * * *", "Europe/Berlin");
    let found = times(&daily, "2026-03-27T12:00:00Z", 3);
    assert_eq!(found, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    // All that falls into the gap is one moment, and what is there at its end is that moment, too.
    let many = cron("*/20 2,3 * * *", "Europe/Berlin");
    let found = times(&many, "2026-03-29T00:59:00Z", 4);
    assert_eq!(found, ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-29T01:40:00Z", "2026-03-30T00:00:00Z"]);
}

#[test]
fn of_a_time_that_comes_twice_only_the_first_counts() {
    // 25 October 2026: 03:00 becomes 02:00.
    let daily = cron("30 2 * * *", "Europe/Berlin");
    let found = times(&daily, "2026-10-24T12:00:00Z", 2);
    assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // From within the second pass, too.
    assert_eq!(times(&daily, "2026-10-25T01:10:00Z", 1), ["2026-10-26T01:30:00Z"]);
}

#[test]
fn every_quarter_of_an_hour_means_real_time() {
    let quarter = cron("*/15 * * * *", "Europe/Berlin");
    for from in ["2026-03-29T00:00:00Z", "2026-10-25T00:00:00Z"] {
        let mut last = at(from);
        for _ in 0..16 {
            let next = quarter.next(last).unwrap();
            assert_eq!(next.since(last), Duration::from_mins(15), "after {last}");
            last = next;
        }
    }
}

#[test]
fn odd_clocks_lose_no_day() {
    // Half an hour of change; midnights that do not exist; a day that does not exist.
    let cases = [
        ("0 2 * * *", "Australia/Lord_Howe", "2026-10-01T00:00:00Z", "2026-10-20T00:00:00Z", 19),
        ("0 0 * * *", "America/Santiago", "2026-09-01T12:00:00Z", "2026-09-11T12:00:00Z", 10),
        ("0 0 * * *", "America/Asuncion", "2023-09-25T12:00:00Z", "2023-10-05T12:00:00Z", 10),
    ];
    for (expression, zone, from, to, days) in cases {
        let cron = cron(expression, zone);
        let mut last = at(from);
        let mut found = 0;
        while let Some(next) = cron.next(last).filter(|next| *next <= at(to)) {
            last = next;
            found += 1;
        }
        assert_eq!(found, days, "{expression} {zone}");
    }
    let samoa = times(&cron("0 12 * * *", "Pacific/Apia"), "2011-12-29T00:00:00Z", 3);
    assert_eq!(samoa, ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]);
}

#[test]
fn the_29th_of_february_comes_even_after_eight_years() {
    let leap = cron("0 0 29 2 *", "UTC");
    assert_eq!(times(&leap, "2024-03-01T00:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
    assert_eq!(times(&leap, "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00Z"]);
}

#[test]
fn nonsense_is_refused_with_the_name_of_its_field() {
    for (expression, field) in [
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day of month"),
        ("* * 32 * *", "day of month"),
        ("* * * 13 *", "month"),
        ("* * * FOO *", "month"),
        ("* * * * 8", "day of week"),
        ("* * * * MON-", "day of week"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("99999999999999999999 * * * *", "minute"),
        ("\u{661} * * * *", "minute"),
    ] {
        let error = Cron::new(expression, "UTC").unwrap_err();
        assert!(matches!(error, CronError::Field { field: found, .. } if found == field), "{expression}: {error}");
        assert!(!error.to_string().contains(expression));
    }
    for (expression, found) in [("", 0), ("@daily", 1), ("* * * *", 4), ("0 * * * * *", 6), ("* * * * * UTC", 6)] {
        assert_eq!(Cron::new(expression, "UTC").unwrap_err(), CronError::Fields { found });
    }
    for zone in ["", "Mars/Base", "UTC UTC", "../../etc/passwd", "Europe/Berlin\n"] {
        assert_eq!(Cron::new("* * * * *", zone).unwrap_err(), CronError::TimeZone, "{zone}");
    }
    assert_eq!(Cron::new("0 0 30 2 *", "UTC").unwrap_err(), CronError::Never);
    assert_eq!(Cron::new("0 0 31 4,6,9,11 *", "Europe/Berlin").unwrap_err(), CronError::Never);
    assert_eq!(Cron::new(&"1,".repeat(200), "UTC").unwrap_err(), CronError::TooLong);
}

#[test]
fn a_night_in_which_clocks_go_back_by_half_an_hour_is_not_looked_through_for_ever() {
    // On Lord Howe Island 02:00 becomes 01:30, at 15:00 UTC on 4 April 2026.
    let found = times(&cron("0 */5 * * *", "Australia/Lord_Howe"), "2026-04-04T12:00:00Z", 3);
    assert_eq!(found, ["2026-04-04T13:00:00Z", "2026-04-04T18:30:00Z", "2026-04-04T23:30:00Z"]);
    // What comes twice in real time is there twice, and what stands at the change itself is there.
    let found = times(&cron("*/10 * * * *", "Australia/Lord_Howe"), "2026-04-04T14:45:00Z", 4);
    assert_eq!(found, ["2026-04-04T14:50:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:10:00Z", "2026-04-04T15:20:00Z"]);
    let found = times(&cron("* * 29 2 *", "Europe/Berlin"), "2096-03-01T12:00:00Z", 1);
    assert_eq!(found, ["2104-02-28T23:00:00Z"], "eight years of changes lie between");
}

fn crons() -> impl Strategy<Value = Cron> {
    let expressions = prop_oneof![
        Just("* * * * *"),
        Just("*/7 * * * *"),
        Just("30 2 * * *"),
        Just("0 */5 * * *"),
        Just("15 1-4 * * 0"),
        Just("0 0 1 * *"),
        Just("0 12 L * *"),
        Just("59 23 31 12 *"),
        Just("0 0 29 2 *"),
        Just("0,30 0-3 * 3,10 *"),
    ];
    let zones = prop_oneof![
        Just("UTC"),
        Just("Europe/Berlin"),
        Just("America/New_York"),
        Just("Australia/Lord_Howe"),
        Just("Asia/Kathmandu"),
        Just("America/Santiago"),
    ];
    (expressions, zones).prop_map(|(expression, zone)| cron(expression, zone))
}

fn catch_ups() -> impl Strategy<Value = CatchUp> {
    prop_oneof![
        Just(CatchUp::Once),
        (0_u64..100_000_000).prop_map(|grace_ms| CatchUp::Skip { grace_ms }),
        (0_u32..50).prop_map(|most| CatchUp::All { most }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_next_time_is_later_whole_and_skips_nothing(cron in crons(), from in 1_700_000_000_000_i64..1_900_000_000_000) {
        let from = Timestamp::from_millis(from).unwrap();
        let next = cron.next(from).unwrap();
        prop_assert!(next > from && next.as_millis() % 60_000 == 0);
        // From anywhere between, it is the same one.
        let between = Timestamp::from_millis(i64::midpoint(from.as_millis(), next.as_millis())).unwrap();
        if between < next {
            prop_assert_eq!(cron.next(between), Some(next));
        }
        prop_assert_eq!(cron.next(next.saturating_sub(Duration::from_millis(1))), Some(next));
    }

    #[test]
    fn what_is_due_is_past_in_order_bounded_and_never_doubled(
        cron in crons(), catch_up in catch_ups(), start in 1_700_000_000_000_i64..1_900_000_000_000,
        steps in proptest::collection::vec(-100_000_000_i64..400_000_000, 1..8),
    ) {
        let mut last = Timestamp::from_millis(start).unwrap();
        let mut now = last;
        let mut run: Vec<Timestamp> = Vec::new();
        for step in steps {
            // Clocks jump by more than a day, both ways.
            now = Timestamp::from_millis(now.as_millis() + step).unwrap();
            let Due { ticks, next } = due(&cron, last, now, catch_up);
            let most = match catch_up { CatchUp::All { most } => most as usize, _ => 1 };
            prop_assert!(ticks.len() <= most);
            prop_assert!(ticks.iter().all(|tick| *tick > last && *tick <= now));
            prop_assert!(ticks.is_sorted_by(|a, b| a < b));
            if let CatchUp::Skip { grace_ms } = catch_up {
                prop_assert!(ticks.iter().all(|tick| now.since(*tick) <= Duration::from_millis(grace_ms)));
            }
            if matches!(catch_up, CatchUp::Once) {
                let any = cron.next(last).is_some_and(|tick| tick <= now);
                prop_assert_eq!(ticks.len(), usize::from(any));
            }
            prop_assert!(next.is_some_and(|next| next > now && next > last));
            run.extend(&ticks);
            last = last.max(now);
        }
        prop_assert!(run.is_sorted_by(|a, b| a < b), "no time is run twice");
    }

    #[test]
    fn whatever_is_typed_gives_a_cron_or_an_error(expression in ".{0,60}", zone in ".{0,20}") {
        let _ = Cron::new(&expression, &zone);
        let _ = Cron::new(&format!("{expression} * * *"), "Europe/Berlin");
    }
}

#[test]
fn a_thousand_years_of_absence_cost_no_more_than_what_is_kept() {
    let minutely = cron("* * * * *", "UTC");
    let now = at("9000-01-01T00:00:30Z");
    let Due { ticks, next } = due(&minutely, at("2026-01-01T00:00:00Z"), now, CatchUp::All { most: u32::MAX });
    assert_eq!((ticks.len(), ticks.last().unwrap().to_string()), (1000, "9000-01-01T00:00:00Z".to_owned()));
    assert_eq!(next.unwrap().to_string(), "9000-01-01T00:01:00Z");
    assert_eq!(minutely.next(Timestamp::MAX), None);
}

pub(crate) fn work() -> JobKind {
    JobKind::new("report").unwrap()
}

pub(crate) fn spec(catch_up: CatchUp) -> ScheduleSpec {
    let job = JobSpec::new(work(), &"sales").unwrap().with_priority(3);
    ScheduleSpec::new("hourly", cron("0 * * * *", "UTC"), job).unwrap().with_catch_up(catch_up)
}

pub(crate) struct Bench {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) clock: ManualClock,
    pub(crate) jobs: JobManager,
}

impl Bench {
    pub(crate) fn new(store: &Arc<dyn JobStore>) -> Self {
        let clock = ManualClock::at(at("2026-06-01T10:30:00Z"));
        let jobs = JobManager::with_parts(Arc::clone(store), Arc::new(clock.clone()), Arc::new(Random::seeded(9)));
        Self { store: Arc::clone(store), clock, jobs }
    }

    /// Runs what is due now, with so many workers at once.
    pub(crate) async fn run(&self, workers: usize) {
        let mut tasks = Vec::new();
        for _ in 0..workers {
            let work_handler = Arc::new(handler_fn(|_, _: String| async { Ok::<_, HandlerError>(1) }));
            let worker = Worker::builder(Arc::clone(&self.store))
                .clock(Arc::new(self.clock.clone()))
                .handler(work(), work_handler)
                .handler(JobKind::schedule_tick(), Arc::new(ScheduleHandler::new(self.jobs.clone())))
                .poll_interval(Duration::from_millis(2))
                .build()
                .unwrap();
            let stop = CancellationToken::new();
            let token = stop.clone();
            tasks.push((tokio::spawn(async move { worker.run(token).await }), stop));
        }
        let now = self.clock.now().wall;
        loop {
            let open = Filter::default().with_statuses([JobStatus::Pending, JobStatus::Processing]);
            let open = self.store.list_all(open).await.unwrap();
            if !open.iter().any(|job| job.kind != JobKind::schedule() && job.run_at <= now) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        for (task, stop) in tasks {
            stop.cancel();
            task.await.unwrap().unwrap();
        }
    }

    /// The times that were run, in order.
    pub(crate) async fn ran(&self) -> Vec<String> {
        let mut ran: Vec<JobRecord> = self.store.list_all(Filter::default().with_kind(work())).await.unwrap();
        ran.sort_by_key(tick_of);
        ran.iter().map(|job| tick_of(job).unwrap().to_string()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_time_is_run_once_whatever_number_of_workers_there_is() {
    for store in each().await {
        let bench = Bench::new(&store);
        let made = bench.jobs.schedule(spec(CatchUp::Once)).await.unwrap();
        assert_eq!((made.created, made.next), (true, at("2026-06-01T11:00:00Z")));
        bench.run(1).await;
        assert!(bench.ran().await.is_empty());
        for hour in 11..=14 {
            bench.clock.jump_to(at(&format!("2026-06-01T{hour}:00:01Z")));
            bench.run(4).await;
            // A host that starts again changes nothing.
            assert!(!bench.jobs.schedule(spec(CatchUp::Once)).await.unwrap().created);
        }
        let hours: Vec<_> = (11..=14).map(|hour| format!("2026-06-01T{hour}:00:00Z")).collect();
        assert_eq!(bench.ran().await, hours);
        let job = store.list_all(Filter::default().with_kind(work())).await.unwrap().remove(0);
        assert_eq!((job.priority, job.payload.clone()), (3, "sales".into()));
        let history = store.history_all(job.id).await.unwrap();
        assert_eq!(history[0].actor, Actor::Schedule {});
    }
}

#[tokio::test]
async fn missed_times_are_caught_up_as_the_schedule_says() {
    for store in each().await {
        for (catch_up, ran) in [
            (CatchUp::Once, vec!["2026-06-01T15:00:00Z"]),
            (CatchUp::All { most: 3 }, vec!["2026-06-01T13:00:00Z", "2026-06-01T14:00:00Z", "2026-06-01T15:00:00Z"]),
            (CatchUp::Skip { grace_ms: 60_000 }, vec![]),
            (CatchUp::Skip { grace_ms: 3_600_000 }, vec!["2026-06-01T15:00:00Z"]),
        ] {
            let bench = Bench::new(&store);
            bench.jobs.reschedule(spec(catch_up)).await.unwrap();
            bench.clock.jump_to(at("2026-06-01T15:20:00Z"));
            bench.run(1).await;
            assert_eq!(bench.ran().await, ran, "{catch_up:?}");
            bench.clock.jump_to(at("2026-06-01T16:00:00Z"));
            bench.run(1).await;
            assert_eq!(bench.ran().await.last().unwrap(), "2026-06-01T16:00:00Z");
            let ended = store.list_all(Filter::default()).await.unwrap();
            let ids: Vec<_> = ended.iter().map(|job| job.id).collect();
            store.purge(PurgeOptions::new(Purge::Jobs(ids))).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_handler_that_dies_between_its_writes_loses_and_doubles_nothing() {
    for store in each().await {
        let bench = Bench::new(&store);
        bench.jobs.schedule(spec(CatchUp::Once)).await.unwrap();
        bench.clock.jump_to(at("2026-06-01T11:00:00Z"));
        // As one leaves it that died after the first write: the work is there, the successor is not.
        let key = IdempotencyKey::new(format!("schedule:hourly:{}", at("2026-06-01T11:00:00Z").as_millis())).unwrap();
        let half = JobSpec::new(work(), &"sales").unwrap().with_idempotency_key(key);
        bench.jobs.enqueue(half).await.unwrap();
        bench.run(1).await;
        bench.clock.jump_to(at("2026-06-01T12:00:00Z"));
        bench.run(1).await;
        assert_eq!(bench.ran().await, ["2026-06-01T11:00:00Z", "2026-06-01T12:00:00Z"]);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_a_day_either_way_doubles_nothing() {
    for store in each().await {
        let bench = Bench::new(&store);
        bench.jobs.schedule(spec(CatchUp::Once)).await.unwrap();
        for time in ["2026-06-01T11:00:00Z", "2026-06-02T11:00:05Z", "2026-06-01T12:00:00Z", "2026-06-02T12:00:00Z"] {
            bench.clock.jump_to(at(time));
            bench.jobs.schedule(spec(CatchUp::Once)).await.unwrap();
            bench.run(2).await;
        }
        let ran = bench.ran().await;
        let unique: std::collections::BTreeSet<_> = ran.iter().collect();
        assert_eq!(unique.len(), ran.len());
        assert!(ran.contains(&"2026-06-02T11:00:00Z".to_owned()) && ran.contains(&"2026-06-02T12:00:00Z".to_owned()));
    }
}

#[tokio::test]
async fn a_schedule_is_changed_by_name_listed_and_ended() {
    for store in each().await {
        let bench = Bench::new(&store);
        let jobs = &bench.jobs;
        let first = jobs.schedule(spec(CatchUp::Once)).await.unwrap();
        let mut other = spec(CatchUp::Once);
        other.cron = cron("30 * * * *", "Asia/Kathmandu");
        let differs = jobs.schedule(other.clone()).await.unwrap_err();
        assert!(matches!(differs, ScheduleError::Differs { existing } if existing == first.id));
        let changed = jobs.reschedule(other.clone()).await.unwrap();
        assert!(changed.created && changed.id != first.id);
        assert_eq!(jobs.reschedule(other).await.unwrap().id, changed.id);
        let listed = jobs.schedules(None).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id, &listed[0].kind, listed[0].next), (changed.id, &work(), Some(changed.next)));
        assert_eq!(listed[0].cron.to_string(), "30 * * * * Asia/Kathmandu");

        // The tick of the old one finds it gone, that of the new one works.
        bench.clock.jump_to(at("2026-06-01T11:50:00Z"));
        bench.run(1).await;
        assert_eq!(bench.ran().await, ["2026-06-01T11:45:00Z"]);
        assert!(jobs.unschedule(TenantId::default(), "hourly", "no longer needed").await.unwrap());
        assert!(!jobs.unschedule(TenantId::default(), "hourly", "").await.unwrap());
        assert!(!jobs.unschedule(TenantId::default(), "another", "").await.unwrap());
        assert_eq!(jobs.schedules(Some(TenantId::default())).await.unwrap(), []);
        bench.clock.jump_to(at("2026-06-02T12:00:00Z"));
        bench.run(1).await;
        assert_eq!(bench.ran().await.len(), 1);
        // And it can begin again.
        assert!(jobs.schedule(spec(CatchUp::Once)).await.unwrap().created);
        bench.clock.jump_to(at("2026-06-02T13:00:00Z"));
        bench.run(1).await;
        assert_eq!(bench.ran().await.last().unwrap(), "2026-06-02T13:00:00Z");
    }
}

#[tokio::test]
async fn schedules_that_make_no_sense_are_refused() {
    let store = crate::stores::memory().await;
    let bench = Bench::new(&store);
    let job = || JobSpec::new(work(), &1).unwrap();
    let every = || cron("* * * * *", "UTC");
    for name in ["", "Has Blanks", "a:b", &"x".repeat(65)] {
        assert!(matches!(ScheduleSpec::new(name, every(), job()), Err(ScheduleError::Name)), "{name}");
    }
    let keyed = job().with_idempotency_key(IdempotencyKey::new("k").unwrap());
    let refused = ScheduleSpec::new("s", every(), keyed);
    assert!(matches!(refused, Err(ScheduleError::Template { field: "idempotency key" })));
    let over = spec(CatchUp::Once).with_until(at("2026-06-01T10:59:00Z"));
    assert!(matches!(bench.jobs.schedule(over).await, Err(ScheduleError::Over)));
}
