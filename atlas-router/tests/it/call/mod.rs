//! Decisions around a call.

mod breaker;
mod classify;
mod hedge;
mod plan;
mod wait;
