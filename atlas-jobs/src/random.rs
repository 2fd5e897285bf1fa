//! Random bits from one seed, so that a run can be repeated.

use atlas_schema::{CorrelationId, InvalidId, JobId, Timestamp, WorkerId};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// The operating system gave no random bytes to seed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes: check that its random device is there")]
pub struct NoEntropy;

/// A source of random bits for ids and jitter; not for secrets.
///
/// A stream of the `SplitMix64` generator (Steele, Lea and Flood, 2014) over a seed of 128 bits, so that two processes
/// seeded by the operating system never share a stream.
pub struct Random {
    seed: u64,
    next: AtomicU64,
}

impl Random {
    /// Seeds from the operating system.
    ///
    /// # Errors
    /// [`NoEntropy`] where it has none.
    pub fn from_os() -> Result<Self, NoEntropy> {
        let seed = getrandom::u64().map_err(|_| NoEntropy)?;
        let next = getrandom::u64().map_err(|_| NoEntropy)?;
        Ok(Self { seed, next: AtomicU64::new(next) })
    }

    /// Seeds from a number: the same number gives the same bits.
    pub const fn seeded(seed: u64) -> Self {
        Self { seed, next: AtomicU64::new(0) }
    }

    /// The next 64 bits.
    pub fn u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let at = self.next.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mix(at ^ mix(self.seed))
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.u64().to_be_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// A new job id, made at `at`.
    pub fn job_id(&self, at: Timestamp) -> JobId {
        JobId::from_parts(at, self.bytes())
    }

    /// A new correlation id.
    pub fn correlation_id(&self) -> CorrelationId {
        CorrelationId::from_random(self.bytes())
    }

    /// A new worker id: `w-` and 32 hex digits.
    pub(crate) fn worker_id(&self) -> Result<WorkerId, InvalidId> {
        WorkerId::new(format!("w-{:032x}", u128::from_be_bytes(self.bytes())))
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
