//! The promises of atlas-router, through its public API.

// Helpers of tests may unwrap as tests may: a failed expectation is the message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod call;
#[cfg(feature = "mock")]
mod cassette;
mod catalogue;
mod cost;
#[cfg(feature = "dynamodb")]
mod dynamo;
#[cfg(feature = "http-llm")]
mod http;
mod ledger;
#[cfg(feature = "http-llm")]
mod model;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "mock")]
mod run;
mod select;
mod spend;
#[cfg(feature = "sqlite")]
mod sqlite;
mod strict;
#[cfg(feature = "structured")]
mod structured;
mod tokens;

use atlas_router::catalogue::{Catalogue, Day};

fn built_in() -> Catalogue {
    Catalogue::built_in().unwrap()
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// A value with something about it changed.
fn with<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

/// How many cases a randomised test tries; `ATLAS_CASES` raises it.
fn cases(unset: u64) -> u64 {
    std::env::var("ATLAS_CASES").map_or(unset, |text| text.parse().unwrap())
}

/// The same for a test of which one case costs as much as `share` of others.
fn rounds(unset: u64, share: u64) -> u64 {
    std::env::var("ATLAS_CASES").map_or(unset, |text| (text.parse::<u64>().unwrap() / share).max(1))
}

/// A small generator with a seed: the same one gives the same cases everywhere. `ATLAS_SEED` moves where it begins.
struct Rng(u64);

impl Rng {
    fn new(salt: u64) -> Self {
        let seed: u64 = std::env::var("ATLAS_SEED").map_or(20_261_126, |text| text.parse().unwrap());
        Self(seed ^ (salt << 48))
    }

    /// `SplitMix64`.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}
