//! What is decided around a call: pure functions of what happened, with time and randomness passed in.
//!
//! | Question | Answer |
//! |---|---|
//! | What does a failure mean? | [`classify`]: a table from what was seen to a [`Verdict`] |
//! | How long does the provider ask to wait? | [`retry_after`] |
//! | How long is waited unasked? | [`Backoff`] |
//! | Is a model well? | [`Breaker`] |
//! | What is tried next, and when is it enough? | [`Plan`] |
//! | Is a slow call given another beside it? | [`Hedge`], [`Plan::hedge`] |
//!
//! Nothing here calls, sleeps or reads a clock. Moments are `Duration`s since any fixed instant of a steady clock, the same for
//! all that share a [`Breaker`] or a [`Plan`].

mod backoff;
mod breaker;
mod classify;
mod fault;
mod hedge;
mod plan;
mod retry_after;

pub use backoff::Backoff;
pub use breaker::{Breaker, BreakerRules, Health, Pass};
pub use classify::{Billed, Class, Reason, Verdict, classify};
pub use fault::{Answer, ErrorCode, Fault};
pub use hedge::{Hedge, HedgeTo};
pub use plan::{Event, GiveUp, Limits, Plan, Step, Target};
pub use retry_after::{LONGEST_WAIT, retry_after};
