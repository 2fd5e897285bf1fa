//! Schedules over hosts that come and go and a store that fails: each time is run, and none twice.

use super::clock::SimClock;
use super::setting;
use atlas_jobs::faulty::{FaultPlan, FaultRates, FaultyStore, Operation};
use atlas_jobs::schedule::{CatchUp, Cron, ScheduleError, ScheduleHandler, ScheduleSpec, tick_of};
use atlas_jobs::store::Filter;
use atlas_jobs::{
    Clock, HandlerError, JobManager, JobSpec, JobStoreExt, MemoryJobs, Random, RetryPolicy, Worker, handler_fn,
};
use atlas_schema::{ErrorCategory, JobKind, JobStatus, Stage, Timestamp};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

const LEASE: Duration = Duration::from_secs(20);
const MINUTE: Duration = Duration::from_mins(1);
/// The schedule lasts so long.
const MINUTES: u32 = 8;

struct World {
    random: Random,
    store: FaultyStore,
    clock: SimClock,
    spec: ScheduleSpec,
    until: Timestamp,
    /// The next time, as the first of those was told who made the schedule.
    next: Mutex<Option<Timestamp>>,
}

fn work() -> JobKind {
    JobKind::new("work").unwrap()
}

fn cron() -> Cron {
    Cron::new("* * * * *", "UTC").unwrap()
}

impl World {
    fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let rates = FaultRates::each([0, 3, 10, 28][usize::try_from(random.u64() % 4).unwrap()]);
        let plan = FaultPlan::none().with_rates(&Operation::ALL, rates);
        let plan = plan.with_longest_delay(Duration::from_millis(1500));
        let store = FaultyStore::new(Arc::new(MemoryJobs::new(Stage::Dev)), plan, random.u64());
        let clock = SimClock::start();
        let job = JobSpec::new(work(), &1).unwrap().with_max_attempts(1000);
        let spec = ScheduleSpec::new("each-minute", cron(), job).unwrap();
        let until = clock.now().wall.saturating_add(MINUTE * MINUTES);
        let spec = spec.with_catch_up(CatchUp::All { most: 1000 }).with_until(until);
        Self { random, store, clock, spec, until, next: Mutex::default() }
    }

    fn up_to(&self, longest: Duration) -> Duration {
        Duration::from_millis(self.random.u64() % u64::try_from(longest.as_millis()).unwrap())
    }

    fn manager(&self, clock: &SimClock) -> JobManager {
        let random = Arc::new(Random::seeded(self.random.u64()));
        JobManager::with_parts(Arc::new(self.store.clone()), Arc::new(clock.clone()), random)
    }

    fn worker(&self, clock: &SimClock, drain: bool) -> Worker {
        let handler = handler_fn(|job: atlas_jobs::JobContext, _: u32| async move {
            sleep(Duration::from_secs(1)).await;
            let first = job.record().attempt == 1 && job.record().run_at.as_millis() % 3 == 0;
            if first { Err(HandlerError::new(ErrorCategory::Network, "as told")) } else { Ok(1) }
        });
        let ticks = ScheduleHandler::new(self.manager(clock));
        let worker = Worker::builder(Arc::new(self.store.clone())).handler(work(), Arc::new(handler));
        let worker = worker.handler(JobKind::schedule_tick(), Arc::new(ticks)).clock(Arc::new(clock.clone()));
        let worker = worker.random(Arc::new(Random::seeded(self.random.u64()))).lease(LEASE).heartbeat(LEASE * 2 / 5);
        let worker = worker.poll_interval(LEASE / 2).grace(LEASE / 4).patience(MINUTE * MINUTES * 10);
        worker.retry(RetryPolicy::new(LEASE / 5, LEASE)).stop_when_drained(drain).build().unwrap()
    }

    /// A host over its lives: each begins as hosts do, by making the schedule, and ends by a crash or a shutdown.
    async fn host(&self, end: Instant) {
        let clock = self.clock.of_another_host();
        while Instant::now() < end {
            sleep(self.up_to(MINUTE / 2)).await;
            clock.jump([0, 3, -700, 900][usize::try_from(self.random.u64() % 4).unwrap()]);
            if let Ok(made) = self.manager(&clock).schedule(self.spec.clone()).await {
                self.next.lock().unwrap().get_or_insert(made.next);
            }
            let worker = self.worker(&clock, false);
            let life = (Instant::now() + self.up_to(MINUTE * 3)).min(end);
            let (shutdown, crash) = (CancellationToken::new(), self.random.u64().is_multiple_of(2));
            let mut run = pin!(worker.run(shutdown.clone()));
            tokio::select! {
                biased;
                _ = &mut run => {}
                () = sleep_until(life) => {
                    if !crash {
                        shutdown.cancel();
                        drop(run.await);
                    }
                }
            }
        }
    }

    async fn live(&self) {
        let end = Instant::now() + MINUTE * (MINUTES + 2);
        tokio::join!(self.host(end), self.host(end));
    }

    async fn check(&self) {
        self.store.set_plan(FaultPlan::none());
        let jobs = self.manager(&self.clock);
        let worker = self.worker(&self.clock, true);
        let rest = tokio::time::timeout(Duration::from_hours(1), worker.run(CancellationToken::new())).await;
        rest.expect("the rest comes to an end").unwrap();
        // The last word on it, should its last tick have gone otherwise.
        let over = jobs.schedule(self.spec.clone()).await;
        assert!(matches!(over, Err(ScheduleError::Over)), "{over:?}");
        let all = self.store.inner().list_all(Filter::default()).await.unwrap();
        let of = |kind: &JobKind| all.iter().filter(|job| job.kind == *kind).collect::<Vec<_>>();
        let schedules = of(&JobKind::schedule());
        assert_eq!(schedules.len(), 1, "one name makes one schedule");
        assert_eq!(schedules[0].status, JobStatus::Completed, "it is over");
        let ticks = of(&JobKind::schedule_tick());
        assert!(ticks.iter().all(|tick| tick.status == JobStatus::Completed), "{ticks:?}");

        let mut ran: Vec<Timestamp> = of(&work()).iter().map(|job| tick_of(job).unwrap()).collect();
        ran.sort_unstable();
        let first = *ran.first().expect("it was made in time");
        let told = self.next.lock().unwrap().expect("it was made");
        assert!(first <= told, "it begins with {first}, not with {told}");
        let mut due = vec![first];
        while let Some(next) = cron().next(due[due.len() - 1]).filter(|next| *next <= self.until) {
            due.push(next);
        }
        assert_eq!(ran, due, "each time is run, and once");
        assert!(of(&work()).iter().all(|job| job.status == JobStatus::Completed));
    }
}

fn simulate(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(seed);
        world.live().await;
        world.check().await;
    });
}

#[test]
fn whatever_happens_to_hosts_and_store_no_time_of_a_schedule_is_lost_or_run_twice() {
    let first = setting("ATLAS_SEED", 0);
    for seed in first..first + setting("ATLAS_CASES", 30) {
        let run = std::panic::catch_unwind(|| simulate(seed));
        assert!(run.is_ok(), "seed {seed}; alone: ATLAS_CASES=1 ATLAS_SEED={seed}");
    }
}
