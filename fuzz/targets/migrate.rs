//! Any bytes: a job that reads back and stays as it is, or a quarantine that holds the original. Never a panic.
#![no_main]

use atlas_schema::migrate::{Migration, Secrets, Shape, SideRecord, migrate};
use atlas_schema::{ExtractionJob, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let outcome = migrate(bytes);
    assert_eq!(migrate(bytes), outcome, "the same bytes, another outcome");
    match outcome {
        Migration::Migrated(done) => {
            let canonical = read::to_canonical_vec(&done.job).expect("a job can be written");
            let again = read::from_slice::<ExtractionJob>(&canonical).expect("a job reads back");
            assert_eq!(again, done.job);
            let twice = migrate(&canonical);
            let twice = twice.migrated().expect("a job stays a job");
            assert_eq!((&twice.job, twice.shape), (&done.job, Shape::Canonical));
            if let Some(side) = done.side {
                let text = serde_json::to_vec(&side).expect("a side record can be written");
                assert_eq!(serde_json::from_slice::<SideRecord>(&text).ok(), Some(side));
            }
        }
        Migration::Quarantined(held) => {
            assert!(held.original == bytes || matches!(held.secrets, Secrets::Removed(_)));
            let again = migrate(&held.original);
            assert_eq!(again.quarantined().map(|held| &held.reason), Some(&held.reason));
        }
    }
});
