//! The clocks of simulated hosts: one steady time, a wall clock for each.

use atlas_jobs::{Clock, Moment};
use atlas_schema::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Steady time is the runtime's, which the simulation moves; the wall clock is off by what someone set it to.
#[derive(Debug, Clone)]
pub(crate) struct SimClock {
    start: Instant,
    off_by_millis: Arc<AtomicI64>,
}

impl SimClock {
    /// The clock of a first host, within a runtime whose time is paused.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now(), off_by_millis: Arc::default() }
    }

    /// The clock of another host.
    pub(crate) fn of_another_host(&self) -> Self {
        Self { start: self.start, off_by_millis: Arc::default() }
    }

    /// Someone sets the wall clock so far off the true time.
    pub(crate) fn jump(&self, off_by: i64) {
        self.off_by_millis.store(off_by, Ordering::Relaxed);
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Moment {
        let steady = self.start.elapsed();
        let millis = 1_700_000_000_000 + i64::try_from(steady.as_millis()).unwrap();
        let wall = Timestamp::from_millis(millis + self.off_by_millis.load(Ordering::Relaxed)).unwrap();
        Moment { wall, steady }
    }
}
