//! The main job as a user meets it: the built program, its output and its exit codes.

mod bad_input;
mod cli;
mod command;
mod readme;
