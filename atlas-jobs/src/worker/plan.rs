//! What the loop does next: how many jobs to ask for, when to hand in, what to give back.
//!
//! Pure, over numbers that the loop gathers; times count from the start of the run. Where a number was chosen and not
//! measured, its comment says what it trades.

use crate::store::MAX_PAGE;
use std::time::Duration;

/// Jobs are fetched at least so far ahead.
pub(super) const WINDOW: Duration = Duration::from_millis(20);
/// And at most so far: three times a round trip, within these bounds. While one is under way the slots work off what the last
/// one brought; with room for just these two, each round trip would bring a little less than the one before.
const LONGEST_WINDOW: Duration = Duration::from_millis(100);
/// The most jobs that wait for a slot: two batches of 500, which cost a store as little per job as larger ones. One is worked
/// off while the next one is fetched; with room for one, every other round trip would carry hardly anything.
pub(super) const MOST_AHEAD: usize = 1000;
/// So many outcomes are handed in at once.
const FULL: usize = 500;
/// An outcome waits at most so long for others to share its round trip.
const FLUSH_AFTER: Duration = Duration::from_millis(1);
/// A job that waited for a slot for so many windows goes back: it was to start within one, so the pace has fallen, and a
/// peer may be idle.
const STALE_WINDOWS: u32 = 5;

/// How many ends were seen lately, and how long their handlers took.
///
/// Sums that lose a tenth every [`TICK`](Self::TICK), so the last ten ticks count most; what counts as a tick seen fades
/// alike, so that a young sum is not taken for a low rate. Whole numbers: the same run gives the same decisions on every
/// machine.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    tick: u64,
    last: Duration,
    ended: u64,
    busy_us: u64,
    seen: u64,
    trip: Duration,
}

impl Pace {
    const TICK: Duration = Duration::from_millis(10);
    /// What one end adds: fine enough that a tenth of it is not lost to rounding.
    const ONE: u64 = 1024;
    /// A tenth is lost per tick.
    const MEMORY: u64 = 10;

    /// A handler ended that took so long.
    pub(super) fn ended(&mut self, now: Duration, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX / Self::ONE).min(u64::MAX / Self::ONE);
        *self = Self { tick: tick(now), last: now, ..self.faded(now) };
        self.seen = self.seen.max(Self::ONE);
        self.ended = self.ended.saturating_add(Self::ONE);
        self.busy_us = self.busy_us.saturating_add(took.saturating_mul(Self::ONE));
    }

    /// A round trip took so long.
    pub(super) fn tripped(&mut self, took: Duration) {
        self.trip = if self.trip.is_zero() { took } else { self.trip / 8 * 7 + took / 8 };
    }

    /// How far ahead jobs are fetched: well within a lease, so that none goes back that was fetched in good order.
    pub(super) fn window(&self, lease: Duration) -> Duration {
        self.trip.saturating_mul(3).clamp(WINDOW, LONGEST_WINDOW).min(lease / 4)
    }

    /// How many jobs to hold for slots that will soon be free: those that end within the window at the present rate.
    ///
    /// None if the handlers take longer than that, or if none ended within it: a job that waits here starts later than
    /// it would elsewhere.
    pub(super) fn ahead(&self, now: Duration, lease: Duration) -> usize {
        let Self { ended, busy_us, seen, .. } = self.faded(now);
        let window = self.window(lease);
        let window_us = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.last) > window || busy_us > ended.saturating_mul(window_us) {
            return 0;
        }
        let tick_us = u64::try_from(Self::TICK.as_micros()).unwrap_or(1);
        let ahead = ended.saturating_mul(window_us) / seen.saturating_mul(tick_us).max(1);
        usize::try_from(ahead).unwrap_or(MOST_AHEAD).min(MOST_AHEAD)
    }

    fn faded(&self, now: Duration) -> Self {
        let mut faded = *self;
        let ticks = tick(now).saturating_sub(self.tick);
        if ticks > 100 {
            return Self { ended: 0, busy_us: 0, seen: 0, ..faded };
        }
        for _ in 0..ticks {
            faded.ended -= faded.ended / Self::MEMORY;
            faded.busy_us -= faded.busy_us / Self::MEMORY;
            faded.seen += Self::ONE - faded.seen / Self::MEMORY;
        }
        faded
    }
}

fn tick(at: Duration) -> u64 {
    u64::try_from(at.as_millis() / Pace::TICK.as_millis()).unwrap_or(u64::MAX)
}

/// What the loop knows when it may make a round trip.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, not a state")]
pub(super) struct View {
    pub(super) now: Duration,
    /// Slots that run nothing.
    pub(super) free: usize,
    /// Leased jobs that wait for a slot.
    pub(super) waiting: usize,
    /// How many may wait.
    pub(super) ahead: usize,
    /// Outcomes to hand in.
    pub(super) acks: usize,
    /// Since when the oldest of them waits.
    pub(super) acks_since: Duration,
    /// Something runs or waits, so that more outcomes will come.
    pub(super) working: bool,
    /// There may be jobs in the store.
    pub(super) hungry: bool,
    /// A shutdown is under way.
    pub(super) stopping: bool,
    /// A heartbeat is due, or what is held has to be said after a failure.
    pub(super) must: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A round trip now, asking for so many jobs.
    Exchange { claim: usize },
    /// Nothing until something happens, or until then.
    Wait { until: Option<Duration> },
}

/// Whether to make a round trip now.
pub(super) fn next(view: &View) -> Next {
    let room = (view.free + view.ahead).saturating_sub(view.waiting).min(MAX_PAGE);
    let flush_at = view.acks_since.saturating_add(FLUSH_AFTER);
    let flush = view.acks > 0 && (view.acks >= FULL || !view.working || view.now >= flush_at);
    // A claim of its own has to be worth a commit: a slot is idle, or half of what may wait has started.
    let thin = view.free > view.waiting || view.waiting.saturating_mul(2) < view.free + view.ahead;
    let fetch = view.hungry && !view.stopping && view.acks == 0 && room > 0 && thin;
    if flush || fetch || view.must {
        // With outcomes the claim rides for nothing, and they may be what a limited queue waits for.
        let wanted = !view.stopping && (view.hungry || view.acks > 0);
        return Next::Exchange { claim: if wanted { room } else { 0 } };
    }
    Next::Wait { until: (view.acks > 0).then_some(flush_at) }
}

/// When a job that waits for a slot since `since` goes back. Well within the lease, so that none starts after it.
pub(super) fn stale_at(since: Duration, window: Duration, lease: Duration) -> Duration {
    since.saturating_add(window.saturating_mul(STALE_WINDOWS).min(lease / 2))
}

/// Between two looks without a hint: up to a quarter sooner than asked, so that workers who started together part.
pub(super) fn jittered(poll: Duration, random: u64) -> Duration {
    let quarter = u64::try_from((poll / 4).as_micros()).unwrap_or(u64::MAX - 1);
    poll.saturating_sub(Duration::from_micros(random % (quarter + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);
    const LEASE: Duration = Duration::from_secs(15);

    fn views() -> impl Strategy<Value = View> {
        let counts = (0..2000_usize, 0..1200_usize, 0..=MOST_AHEAD, prop_oneof![Just(0), 0..1500_usize]);
        let times = (0..1_000_000_u64, 0..5_000_u64);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
        (counts, times, flags).prop_map(
            |((free, waiting, ahead, acks), (since, age), (running, hungry, stopping, must))| {
                let acks_since = Duration::from_micros(since);
                let now = acks_since + Duration::from_micros(age);
                let working = running || waiting > 0;
                View { now, free, waiting, ahead, acks, acks_since, working, hungry, stopping, must }
            },
        )
    }

    proptest! {
        #[test]
        fn never_more_is_asked_for_than_slots_and_pace_can_use(view in views()) {
            if let Next::Exchange { claim } = next(&view) {
                prop_assert!(claim == 0 || view.waiting + claim <= view.free + view.ahead);
                prop_assert!(claim <= MAX_PAGE);
                prop_assert!(!view.stopping || claim == 0);
            }
        }

        #[test]
        fn an_outcome_waits_a_millisecond_at_most_and_not_at_all_if_none_can_join_it(view in views()) {
            if view.acks > 0 && (view.now >= view.acks_since + FLUSH_AFTER || !view.working) {
                let goes = matches!(next(&view), Next::Exchange { .. });
                prop_assert!(goes);
            }
            if let Next::Wait { until } = next(&view) {
                prop_assert_eq!(until, (view.acks > 0).then(|| view.acks_since + FLUSH_AFTER));
            }
        }

        #[test]
        fn an_idle_slot_asks_at_once_when_there_may_be_work(view in views()) {
            let idle = View { waiting: 0, acks: 0, stopping: false, hungry: true, free: view.free + 1, ..view };
            prop_assert_eq!(next(&idle), Next::Exchange { claim: (idle.free + idle.ahead).min(MAX_PAGE) });
        }

        #[test]
        fn nothing_to_say_is_not_said(view in views()) {
            let quiet = View { acks: 0, hungry: false, must: false, ..view };
            prop_assert_eq!(next(&quiet), Next::Wait { until: None });
        }

        #[test]
        fn a_steady_rate_is_fetched_ahead_within_a_fifth(every_us in 40..2_000_u64, slots in 1..64_u64) {
            let mut pace = Pace::default();
            let mut now = Duration::ZERO;
            for _ in 0..3_000_000 / every_us {
                now += Duration::from_micros(every_us);
                // All slots at work all the time.
                pace.ended(now, Duration::from_micros(every_us * slots).min(WINDOW));
            }
            let exact = usize::try_from(20_000 / every_us).unwrap();
            let ahead = pace.ahead(now, LEASE);
            prop_assert!(ahead.abs_diff(exact.min(MOST_AHEAD)) <= exact / 5 + 1, "{ahead} of {exact}");
        }

        #[test]
        fn slow_handlers_are_not_fetched_ahead_for(took_ms in 21..100_000_u64, ends in 1..1000_u64, gap_ms in 0..20_u64) {
            let mut pace = Pace::default();
            let mut now = Duration::ZERO;
            for _ in 0..ends {
                now += Duration::from_millis(gap_ms);
                pace.ended(now, Duration::from_millis(took_ms));
            }
            prop_assert_eq!(pace.ahead(now, LEASE), 0);
        }

        #[test]
        fn nothing_is_fetched_ahead_once_nothing_ends(ends in 0..5000_u64, quiet_ms in 21..10_000_u64) {
            let mut pace = Pace::default();
            for n in 0..ends {
                pace.ended(Duration::from_micros(n * 50), Duration::ZERO);
            }
            let last = Duration::from_micros(ends.saturating_sub(1) * 50);
            prop_assert_eq!(pace.ahead(last + MS * u32::try_from(quiet_ms).unwrap(), LEASE), 0);
        }

        #[test]
        fn a_poll_comes_up_to_a_quarter_sooner_and_never_later(poll_us in any::<u32>(), random in any::<u64>()) {
            let poll = Duration::from_micros(poll_us.into());
            let wait = jittered(poll, random);
            prop_assert!(wait <= poll && wait + poll / 4 + MS >= poll);
        }

        #[test]
        fn a_waiting_job_goes_back_before_its_lease_can_end(since_ms in 0..1_000_000_u64, lease_ms in 100..1_000_000_u64) {
            let (since, lease) = (Duration::from_millis(since_ms), Duration::from_millis(lease_ms));
            prop_assert!(stale_at(since, LONGEST_WINDOW, lease) <= since + lease / 2);
        }
    }
}
