//! What migrating a legacy record costs: every fixture of `atlas-schema`, as stored, one after another on one thread.
//!
//! `all-shapes` is bytes in, job and canonical bytes out, quarantines included; floor 20 000 records/s. `slowest-shape` is
//! the fixture that takes longest. Rates come from the median of many rounds. `cargo xtask bench migrate`, or
//! `cargo run --release -p atlas-benches --bin migrate [-- --json]`.

use anyhow::Context;
use atlas_benches::{Row, race, report};
use atlas_schema::migrate::{Migration, migrate};
use atlas_schema::read;
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const ROUNDS: usize = 201;
const CALLS: u32 = 5;

fn main() -> anyhow::Result<ExitCode> {
    let records = records()?;
    let migrated = records.iter().filter(|record| migrate(record).migrated().is_some()).count();
    anyhow::ensure!(migrated > 40, "only {migrated} of {} fixtures become jobs", records.len());
    let all = race(ROUNDS, CALLS, &mut [&mut || records.iter().filter(|record| convert(record)).count()]);
    let only = race(
        ROUNDS,
        CALLS,
        &mut [&mut || records.iter().filter(|record| migrate(record).migrated().is_some()).count()],
    );
    let slowest = records
        .iter()
        .filter_map(|record| race(ROUNDS, CALLS, &mut [&mut || convert(record)]).first().copied())
        .max()
        .unwrap_or_default();
    Ok(report(&[
        row("migrate/all-shapes", &all, records.len()).at_least(20_000.0),
        row("migrate/without-writing", &only, records.len()),
        row("migrate/slowest-shape", &[slowest], 1),
    ]))
}

/// One record: migrated and, if it became a job, written.
fn convert(record: &[u8]) -> bool {
    match migrate(black_box(record)) {
        Migration::Migrated(done) => read::to_canonical_vec(black_box(&done.job)).is_ok(),
        Migration::Quarantined(held) => !held.original.is_empty(),
    }
}

fn row(name: &str, times: &[Duration], records: usize) -> Row {
    let seconds = times.first().map_or(f64::NAN, Duration::as_secs_f64);
    Row::new(name, f64::from(u32::try_from(records).unwrap_or(u32::MAX)) / seconds, "records/s")
}

/// The fixtures, without blanks between tokens, as stores hold them.
fn records() -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../atlas-schema/tests/fixtures/legacy");
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(&folder).context("read the legacy fixtures of atlas-schema")? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.ends_with(".expected.json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .iter()
        .map(|path| {
            let value: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
            Ok(serde_json::to_vec(&value)?)
        })
        .collect()
}
