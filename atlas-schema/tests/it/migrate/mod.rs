//! Migration of legacy records: fixtures of every shape, the rules by name, and what holds for any bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::needless_pass_by_value)]

mod any_bytes;
mod fixtures;
mod rules;
mod steps;

use atlas_schema::migrate::{Migrated, Quarantined, migrate};
use atlas_schema::{ExtractionJob, read};
use serde_json::Value;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/legacy")
}

/// The bytes of a fixture, by the first part of its file name.
fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.json"))).unwrap()
}

/// Every fixture's name and bytes.
fn fixtures() -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .filter(|name| !name.ends_with(".expected"))
        .map(|name| (name.clone(), fixture(&name)))
        .collect();
    all.sort();
    assert!(all.len() > 40);
    all
}

/// The migrated record, or a failed test that says why there is none.
fn migrated(record: impl AsRef<[u8]>) -> Migrated {
    let outcome = migrate(record.as_ref());
    outcome.migrated().cloned().unwrap_or_else(|| panic!("{:?}", outcome.quarantined().map(|q| &q.reason)))
}

fn quarantined(record: impl AsRef<[u8]>) -> Quarantined {
    migrate(record.as_ref()).quarantined().cloned().expect("it should be quarantined")
}

fn bytes_of(job: &ExtractionJob) -> Vec<u8> {
    read::to_canonical_vec(job).unwrap()
}

fn edited(name: &str, edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::from_slice(&fixture(name)).unwrap();
    edit(&mut value);
    serde_json::to_vec(&value).unwrap()
}
