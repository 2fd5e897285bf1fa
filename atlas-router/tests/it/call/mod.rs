//! Decisions around a call.

mod breaker;
mod classify;
mod plan;
mod wait;
