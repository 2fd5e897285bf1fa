//! Simulated hosts: workers, callers, operators and deliverers over a store that fails, in the runtime's own time, all
//! from one seed.
//!
//! `ATLAS_CASES` sets the number of seeds (default 10 000), `ATLAS_SEED` where they begin (default 0). A failure names
//! its seed: `ATLAS_CASES=1 ATLAS_SEED=n` runs it alone.

mod check;
pub(crate) mod clock;
mod hosts;
#[cfg(feature = "schedules")]
mod schedules;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use world::{Twist, World};

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// One seed from start to end; gives everything that can be told of it.
fn simulate(seed: u64, twist: Twist) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(seed, twist);
        world.live().await;
        world.rest().await;
        check::check(&world).await
    })
}

/// Runs seeds on all cores, and gives the first that failed with what it said.
fn run_seeds(first: u64, seeds: u64, twist: Twist) -> Result<(), (u64, String)> {
    let next = AtomicU64::new(first);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let failures: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + seeds {
                    return None;
                }
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| simulate(seed, twist))) {
                    next.store(first + seeds, Ordering::Relaxed);
                    let text = panic.downcast_ref::<String>().cloned();
                    return Some((seed, text.unwrap_or_else(|| "a panic without words".into())));
                }
            }
        };
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    failures.into_iter().min().map_or(Ok(()), Err)
}

#[test]
fn whatever_happens_to_hosts_and_store_no_job_is_lost_doubled_or_half_finished() {
    let (first, seeds) = (setting("ATLAS_SEED", 0), setting("ATLAS_CASES", 10_000));
    if let Err((seed, why)) = run_seeds(first, seeds, Twist::None) {
        panic!("seed {seed}: {why}\nalone: ATLAS_CASES=1 ATLAS_SEED={seed}");
    }
}

#[test]
fn one_seed_gives_one_trace() {
    let first = setting("ATLAS_SEED", 0);
    let mut traces = std::collections::BTreeSet::new();
    for seed in first..first + 100 {
        let trace = simulate(seed, Twist::None);
        assert_eq!(trace, simulate(seed, Twist::None), "seed {seed}");
        traces.insert(trace);
    }
    assert_eq!(traces.len(), 100, "and another seed another one");
}

/// The simulation sees nothing if it can't see these: both must be found within a few hundred seeds.
#[test]
fn the_simulation_catches_a_store_that_does_not_check_epochs() {
    let (seed, why) = run_seeds(0, 2000, Twist::StaleEpochs).expect_err("a store without fencing");
    assert!(why.contains("holds") || why.contains("outcome") || why.contains("epoch"), "seed {seed}: {why}");
}

#[test]
fn the_simulation_catches_a_store_that_hands_a_job_to_two_workers() {
    let (seed, why) = run_seeds(0, 2000, Twist::SharedClaims).expect_err("a store without exclusion");
    assert!(why.contains("began twice") || why.contains("holds"), "seed {seed}: {why}");
}
