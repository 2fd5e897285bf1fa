//! Jobs through their stores: claim and completion, enqueue, latency, and what they cost a server.
//!
//! Every figure that has a floor is a ratio to a rival of the same run: raw statements over our own tables, or another
//! job manager. The rivals take turns with ours, and each figure is a median, so that a busy machine slows all of them.
//! `ATLAS_BENCH_ROUNDS` sets the number of turns (5), `ATLAS_BENCH_JOBS` how many jobs ours drain per turn (5000).

use anyhow::Result;
use atlas_benches::{Row, number, report};
use std::process::ExitCode;

mod drain;
mod dynamodb;
mod memory;
mod postgres;
mod sqlite;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Scale {
    rounds: usize,
    jobs: usize,
}

/// Slots of each worker.
const SLOTS: usize = 16;

fn main() -> Result<ExitCode> {
    let scale = Scale { rounds: number("ATLAS_BENCH_ROUNDS", 5)?, jobs: number("ATLAS_BENCH_JOBS", 5000)? };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let only = std::env::var("ATLAS_BENCH_PART").ok();
    // `postgres` is all of its parts, `postgres/held` one of them.
    let wanted = |part: &str| {
        only.as_deref()
            .is_none_or(|only| only == part || part.strip_prefix(only).is_some_and(|rest| rest.starts_with('/')))
    };
    let mut rows: Vec<Row> = Vec::new();
    if wanted("memory") {
        rows.extend(memory::rows(&runtime, scale)?);
    }
    if wanted("sqlite") {
        rows.extend(sqlite::rows(&runtime, scale)?);
    }
    if wanted("postgres") || only.as_deref().is_some_and(|only| only.starts_with("postgres/")) {
        rows.extend(postgres::rows(&runtime, scale, &wanted)?);
    }
    if wanted("dynamodb") {
        rows.extend(dynamodb::rows(&runtime, scale)?);
    }
    Ok(report(&rows))
}
