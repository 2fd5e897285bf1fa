//! Leases: how a worker's silence is told from a wrong clock.
//!
//! A worker renews all its leases at once, by a counter that rises with each exchange. Nobody compares a lease's end
//! with a wall clock. A store that has no clock of its own keeps a [`SilenceWatch`] per process: a worker is silent
//! when its counter stood still for a whole lease *of this process's steady time*. A process that starts, or whose
//! wall clock jumps by a day, must first watch for a whole lease. So a dead worker's jobs are back within one lease
//! plus one sweep, and a clock that is wrong expires nobody.

use atlas_schema::WorkerId;
use std::collections::HashMap;
use std::time::Duration;

/// Watches the counters of workers on a steady clock.
#[derive(Debug, Default)]
pub struct SilenceWatch {
    seen: HashMap<WorkerId, (u64, Duration)>,
    latest: Duration,
}

impl SilenceWatch {
    /// Has seen nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether `worker`, whose counter stands at `beat` now, has been silent for `lease`.
    ///
    /// `now` is the steady time of this process. One that lies before an earlier call's counts as that one's: a sweep
    /// may be delivered late, and its time must not make a beat seem older than when it was seen.
    pub fn is_silent(&mut self, worker: &WorkerId, beat: u64, lease: Duration, now: Duration) -> bool {
        let now = now.max(self.latest);
        self.latest = now;
        match self.seen.get_mut(worker) {
            Some((seen, since)) if *seen == beat => now.saturating_sub(*since) >= lease,
            Some(seen) => {
                *seen = (beat, now);
                false
            }
            None => {
                self.seen.insert(worker.clone(), (beat, now));
                false
            }
        }
    }

    /// Forgets the workers that `keep` refuses, such as those without leases.
    pub fn retain(&mut self, keep: impl Fn(&WorkerId) -> bool) {
        self.seen.retain(|worker, _| keep(worker));
    }
}
