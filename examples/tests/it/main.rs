//! The main job as a user meets it: the built program, its output and its exit codes.

#![allow(clippy::expect_used, clippy::panic, reason = "in a test a failed expectation is the message")]

mod bad_input;
mod cli;
mod command;
mod database;
mod handler;
#[cfg(unix)]
mod interrupt;
mod model;
mod readme;
