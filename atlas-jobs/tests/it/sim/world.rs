//! What a seed makes: a store with its faults, hosts with their clocks, and what they have seen.

use super::clock::SimClock;
use crate::mutants::{Broken, Mutant};
use atlas_jobs::faulty::{FaultPlan, FaultRates, FaultyStore, Operation};
use atlas_jobs::{JobStore, MemoryJobs, Random};
use atlas_schema::{JobId, Stage, WorkerId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

pub(super) const LEASE: Duration = Duration::from_secs(1);
const WORKERS: u64 = 2;
/// How long things happen before everything comes to rest.
pub(super) const LIFE: Duration = Duration::from_millis(2500);
const DAY: i64 = 24 * 3600 * 1000;

/// What is wrong with the store on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Twist {
    None,
    StaleEpochs,
    SharedClaims,
}

/// What the outside saw, to be held against what the store says.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Jobs by the number in their payload, as they were acknowledged to their caller.
    pub(super) accepted: BTreeMap<u64, JobId>,
    /// Which worker's handler began which epoch of which job.
    pub(super) began: BTreeMap<(JobId, u64), Vec<WorkerId>>,
    /// Ids of messages that a receiver took.
    pub(super) delivered: BTreeSet<String>,
    /// What happened to hosts.
    pub(super) diary: Vec<String>,
}

pub(super) struct World {
    pub(super) random: Random,
    pub(super) store: FaultyStore,
    pub(super) clock: SimClock,
    pub(super) seen: Arc<Mutex<Seen>>,
}

impl World {
    pub(super) fn new(seed: u64, twist: Twist) -> Self {
        let random = Random::seeded(seed);
        let memory: Arc<dyn JobStore> = Arc::new(MemoryJobs::new(Stage::Dev));
        let inner: Arc<dyn JobStore> = match twist {
            Twist::None => memory,
            Twist::StaleEpochs => Arc::new(Mutant::new(memory, Broken::StaleEpochs)),
            Twist::SharedClaims => Arc::new(Mutant::new(memory, Broken::SharedClaims)),
        };
        // From a calm network to one in which a quarter of all calls goes wrong.
        let rates = FaultRates::each([0, 3, 10, 28][pick(&random, 4)]);
        let longest = [50, 400, 1500][pick(&random, 3)];
        let plan = FaultPlan::none().with_rates(&Operation::ALL, rates);
        let plan = plan.with_longest_delay(Duration::from_millis(longest));
        let store = FaultyStore::new(inner, plan, random.u64());
        Self { random, store, clock: SimClock::start(), seen: Arc::default() }
    }

    pub(super) fn pick(&self, of: usize) -> usize {
        pick(&self.random, of)
    }

    pub(super) fn millis(&self, below: u64) -> Duration {
        Duration::from_millis(self.random.u64() % below)
    }

    pub(super) fn note(&self, what: std::fmt::Arguments<'_>) {
        let at = self.clock.elapsed().as_millis();
        self.seen.lock().unwrap().diary.push(format!("{at} {what}"));
    }

    /// A few seconds in which hosts come, freeze, die and return while callers go on.
    pub(super) async fn live(&self) {
        let end = Instant::now() + LIFE;
        let workers = async {
            let hosts = (0..WORKERS).map(|host| self.host(host, end));
            futures_util::future::join_all(hosts).await;
        };
        let duties = async { tokio::join!(self.deliverer(end), self.keeper(end)) };
        tokio::join!(workers, self.callers(end), self.batcher(), self.operator(end), duties);
    }

    /// Nothing fails any more: whoever is left does the rest.
    pub(super) async fn rest(&self) {
        self.store.set_plan(FaultPlan::none());
        self.finish().await;
    }

    /// How far off a host's wall clock is set: mostly little, at times a day.
    pub(super) fn off_by(&self) -> i64 {
        [0, 0, 3, -700, 90_000, DAY, -DAY][self.pick(7)]
    }
}

fn pick(random: &Random, of: usize) -> usize {
    usize::try_from(random.u64() % u64::try_from(of).unwrap()).unwrap()
}
