//! Time, passed in: a wall clock for people and schedules, a steady one for silence.
//!
//! No decision of this crate reads a clock. The shell asks a [`Clock`] once per call and hands the [`Moment`] down.

use atlas_schema::Timestamp;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// One instant as two clocks of this process see it.
///
/// `wall` may jump and may disagree with other hosts: it orders schedules and labels records. `steady` only grows and
/// means something within one process only: leases are judged by it, so that a wrong wall clock expires nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The wall clock.
    pub wall: Timestamp,
    /// Time since some fixed instant of this process, the same one for all who share a store.
    pub steady: Duration,
}

impl Moment {
    /// Both clocks, `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self { wall: self.wall.saturating_add(by), steady: self.steady.saturating_add(by) }
    }
}

/// What stands for never where tokio's clock can't count so far: 30 years.
const NEVER: Duration = Duration::from_hours(30 * 365 * 24);

/// So long from now, or so far away that nobody waits for it: no wait of a host's overflows a clock.
pub(crate) fn later(by: Duration) -> tokio::time::Instant {
    let now = tokio::time::Instant::now();
    now.checked_add(by).unwrap_or_else(|| now + NEVER)
}

/// Where moments come from. Workers and managers of one process may each have their own, so all must count `steady` from
/// the same instant: a store compares what they say.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Moment;
}

impl<T: Clock + ?Sized> Clock for Arc<T> {
    fn now(&self) -> Moment {
        (**self).now()
    }
}

/// The zero of the steady clock. One for the process: were there one per clock, a younger worker's sweep would look like
/// a fall of time to an older one's, and the older would expire leases that are alive.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The clocks of the operating system. A wall clock before September 2001 reads as [`Timestamp::MIN`].
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The clocks; all of one process show the same steady time.
    pub const fn new() -> Self {
        Self
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        Moment { wall: Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MIN), steady: START.elapsed() }
    }
}

/// A clock that a test moves by hand. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock {
    now: Arc<Mutex<Moment>>,
}

impl ManualClock {
    /// Starts at `wall`, with the steady clock at zero.
    pub fn at(wall: Timestamp) -> Self {
        Self { now: Arc::new(Mutex::new(Moment { wall, steady: Duration::ZERO })) }
    }

    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.plus(by);
    }

    /// Sets the wall clock, as a person or a time service does. The steady clock does not notice.
    pub fn jump_to(&self, wall: Timestamp) {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).wall = wall;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Moment {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
