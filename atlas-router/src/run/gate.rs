//! How many calls an account takes at once and per minute: callers wait in turn.

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

/// What an account is allowed. Default: no limit of our own.
///
/// The tokens of a call are its prompt as counted and its output cap, which is what providers count before a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Rates {
    /// Calls at once; 0 means no limit.
    pub concurrent: u32,
    /// Calls per minute.
    pub requests_per_minute: Option<NonZeroU32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<NonZeroU32>,
}

impl Rates {
    /// No limits.
    pub const fn unlimited() -> Self {
        Self { concurrent: 0, requests_per_minute: None, tokens_per_minute: None }
    }

    /// At most so many calls at once; 0 means no limit.
    #[must_use]
    pub const fn with_concurrent(mut self, calls: u32) -> Self {
        self.concurrent = calls;
        self
    }

    /// At most so many calls per minute; 0 means no limit.
    #[must_use]
    pub const fn with_requests_per_minute(mut self, calls: u32) -> Self {
        self.requests_per_minute = NonZeroU32::new(calls);
        self
    }

    /// At most so many tokens per minute; 0 means no limit.
    #[must_use]
    pub const fn with_tokens_per_minute(mut self, tokens: u32) -> Self {
        self.tokens_per_minute = NonZeroU32::new(tokens);
        self
    }
}

/// Tokio's clock for `governor`, so that limits and waits go by the same one.
#[derive(Debug, Clone)]
struct Steady(Instant);

impl Clock for Steady {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Steady, NoOpMiddleware<Duration>>;

pub(super) struct Gate {
    permits: Option<Arc<Semaphore>>,
    /// Held by the one whose turn it is to wait for the rates: the others queue here, first come first served.
    turn: Mutex<()>,
    steady: Steady,
    requests: Option<Limiter>,
    tokens: Option<Limiter>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("permits", &self.permits).finish_non_exhaustive()
    }
}

/// The call has more tokens than the rate ever lets through.
#[derive(Debug)]
pub(super) struct OverRate;

impl Gate {
    pub(super) fn new(rates: Rates, origin: Instant) -> Self {
        let steady = Steady(origin);
        let limiter = |most: NonZeroU32| RateLimiter::direct_with_clock(Quota::per_minute(most), steady.clone());
        Self {
            permits: (rates.concurrent > 0).then(|| Arc::new(Semaphore::new(rates.concurrent as usize))),
            turn: Mutex::new(()),
            requests: rates.requests_per_minute.map(limiter),
            tokens: rates.tokens_per_minute.map(limiter),
            steady,
        }
    }

    /// Waits for its turn. What is given is to be kept until the call has ended. Dropping the future gives up the turn.
    pub(super) async fn enter(&self, tokens: u64) -> Result<Option<OwnedSemaphorePermit>, OverRate> {
        let permit = match &self.permits {
            // Nobody closes it, and if someone did, there would be no limit to keep.
            Some(permits) => Arc::clone(permits).acquire_owned().await.ok(),
            None => None,
        };
        if self.requests.is_none() && self.tokens.is_none() {
            return Ok(permit);
        }
        let _turn = self.turn.lock().await;
        if let Some(limiter) = &self.tokens {
            let tokens = NonZeroU32::new(u32::try_from(tokens).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN);
            while let Err(early) = limiter.check_n(tokens).map_err(|_| OverRate)? {
                sleep(early.wait_time_from(self.steady.now())).await;
            }
        }
        if let Some(limiter) = &self.requests {
            while let Err(early) = limiter.check() {
                sleep(early.wait_time_from(self.steady.now())).await;
            }
        }
        Ok(permit)
    }
}
