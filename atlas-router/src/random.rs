//! Random bits from one seed, so that a run can be repeated; for ids and jitter, not for secrets.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The operating system gave no random bytes to seed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes: check that its random device is there")]
pub(crate) struct NoEntropy;

/// A stream of the `SplitMix64` generator (Steele, Lea and Flood, 2014) over a seed of 128 bits, so that two processes seeded
/// by the operating system never share a stream, and so never a hold's id.
pub(crate) struct Random {
    seed: u64,
    next: AtomicU64,
}

impl Random {
    pub(crate) fn from_os() -> Result<Self, NoEntropy> {
        let seed = getrandom::u64().map_err(|_| NoEntropy)?;
        let next = getrandom::u64().map_err(|_| NoEntropy)?;
        Ok(Self { seed, next: AtomicU64::new(next) })
    }

    pub(crate) const fn seeded(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }

    pub(crate) fn u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let at = self.next.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mix(at ^ mix(self.seed))
    }

    /// Sixteen bytes.
    pub(crate) fn id(&self) -> [u8; 16] {
        ((u128::from(self.u64()) << 64) | u128::from(self.u64())).to_be_bytes()
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Random").finish_non_exhaustive()
    }
}

const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
