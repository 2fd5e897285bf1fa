//! Small pure parts: backoff, silence, cursors, random bits.

use atlas_jobs::store::{Filter, ListOptions, Order, Pace};
use atlas_jobs::{Clock, Cursor, Random, RetryPolicy, SilenceWatch, SystemClock};
use atlas_schema::{JobId, TenantId, Timestamp, WorkerId};
use proptest::prelude::*;
use std::time::Duration;

proptest! {
    #[test]
    fn a_backoff_lies_between_half_and_the_whole_of_its_nominal_wait(
        attempt in any::<u32>(), random in any::<u64>(), first in 0_u64..100_000, most in 0_u64..10_000_000,
    ) {
        let policy = RetryPolicy::new(Duration::from_millis(first), Duration::from_millis(most));
        let doubled = Duration::from_millis(first).saturating_mul(1_u32 << attempt.saturating_sub(1).min(31));
        let nominal = doubled.min(Duration::from_millis(most));
        let delay = policy.delay(attempt, random);
        prop_assert!(delay <= nominal && delay >= nominal / 2, "{delay:?} of {nominal:?}");
    }

    #[test]
    fn a_cursor_comes_back_to_its_place(millis in 1_000_000_000_000_i64..4_000_000_000_000, random in any::<[u8; 10]>()) {
        let options = ListOptions::new(Filter::default().with_tenant(TenantId::new("t").unwrap()));
        let at = Timestamp::from_millis(millis).unwrap();
        let id = JobId::from_parts(at, random);
        let cursor = Cursor::after_job(&options, at, id);
        let read: Cursor = cursor.as_str().parse().unwrap();
        prop_assert_eq!(read.job(&options), Ok((at, id)));
        prop_assert!(read.job(&options.clone().with_order(Order::OldestFirst)).is_err());
        prop_assert!(read.job(&ListOptions::default()).is_err());
    }

    #[test]
    fn no_text_makes_a_cursor_panic(text in "\\PC{0,140}") {
        if let Ok(cursor) = Cursor::new(&text) {
            let _: Result<_, _> = cursor.job(&ListOptions::default());
            let _: Result<_, _> = cursor.version(JobId::MIN);
        }
    }
}

#[test]
fn silence_is_a_whole_lease_without_a_beat() {
    let worker = WorkerId::new("w").unwrap();
    let lease = Duration::from_secs(10);
    let at = Duration::from_secs;
    let mut watch = SilenceWatch::new();
    assert!(!watch.is_silent(&worker, 1, lease, at(100)), "the first look sees nobody silent");
    assert!(!watch.is_silent(&worker, 1, lease, at(109)));
    assert!(watch.is_silent(&worker, 1, lease, at(110)));
    assert!(!watch.is_silent(&worker, 2, lease, at(111)), "a beat begins the watch anew");
    assert!(!watch.is_silent(&worker, 2, lease, at(120)));
    watch.retain(|_| false);
    assert!(!watch.is_silent(&worker, 2, lease, at(500)), "who is forgotten is watched anew");
}

#[test]
fn a_sweep_that_is_delivered_late_ages_no_beat() {
    let worker = WorkerId::new("w").unwrap();
    let lease = Duration::from_secs(10);
    let at = Duration::from_secs;
    let mut watch = SilenceWatch::new();
    assert!(!watch.is_silent(&worker, 1, lease, at(100)));
    // Sent at 60, it overtook nothing and arrives after the one of 100: the beat it finds is of now.
    assert!(!watch.is_silent(&worker, 2, lease, at(60)));
    assert!(!watch.is_silent(&worker, 2, lease, at(101)), "seen a second ago at most, not forty");
    assert!(watch.is_silent(&worker, 2, lease, at(110)));
}

#[test]
fn a_seed_gives_the_same_bits_and_two_seeds_do_not() {
    let bits = |seed| Random::seeded(seed).bytes::<32>();
    assert_eq!(bits(5), bits(5));
    assert_ne!(bits(5), bits(6));
    let random = Random::from_os().unwrap();
    assert_ne!(random.u64(), random.u64());
}

#[test]
fn clocks_of_one_process_share_one_steady_time() {
    let old = SystemClock::new();
    while old.now().steady < Duration::from_millis(20) {
        std::hint::spin_loop();
    }
    // A store watches workers by the times of whoever sweeps: a younger clock must not look like a fall of time.
    let before = old.now().steady;
    assert!(SystemClock::new().now().steady >= before);
}

#[test]
fn a_bucket_allows_its_rate_and_one_burst_whatever_the_clock_does() {
    let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis).unwrap();
    let full = Pace::full(3, at(0));
    assert_eq!(full.claims(), 3);
    let empty = full.spent(3);
    assert_eq!(empty.refilled(3, at(333)).claims(), 0, "999 thousandths are no claim");
    assert_eq!(empty.refilled(3, at(334)).claims(), 1);
    assert_eq!(empty.refilled(3, at(86_400_000)).claims(), 3, "a day ahead fills it once");
    let back = empty.refilled(3, at(-86_400_000));
    assert_eq!(back.claims(), 0, "a clock set back gives nothing");
    assert_eq!(back.refilled(3, at(-86_399_000)).claims(), 3, "and does not stop it for a day");
    assert_eq!(Pace::full(u32::MAX, Timestamp::MIN).refilled(u32::MAX, Timestamp::MAX).claims(), u32::MAX as usize);
}
