//! The verdict is that of the published schema as an independent validator gives it, over generated documents.
//!
//! `ATLAS_CASES` sets how many documents are tried in all (100 000 if unset), `ATLAS_SEED` where they begin.

use crate::generate::{Rng, spoil, valid};
use atlas_schema::migrate::{Quarantined, SideRecord};
use atlas_schema::read::{self, FaultKind, Record};
use atlas_schema::schema::json_schema;
use atlas_schema::{Alert, AuditEvent, Evidence, ExtractionJob, ExtractionRequest, ExtractionResult, JobRecord};
use schemars::JsonSchema;
use std::fmt::Debug;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// Tries a ninth of the documents on one record.
fn agrees<T: Record + JsonSchema + PartialEq + Debug>(salt: u64) {
    let schema = json_schema::<T>();
    let oracle = jsonschema::validator_for(&schema).unwrap();
    let cases = setting("ATLAS_CASES", 100_000) / 9;
    let first = setting("ATLAS_SEED", 20_261_121) ^ (salt << 56);
    let (mut accepted, mut read_back) = (0, 0);
    for case in 0..cases {
        let mut rng = Rng(first.wrapping_add(case));
        let mut document = valid(&schema, &schema, &mut rng);
        let spoils = rng.below(3);
        (0..spoils).for_each(|_| spoil(&mut document, &mut rng));
        let expected = oracle.is_valid(&document);
        let seed = first.wrapping_add(case);
        assert_eq!(read::matches_schema::<T>(&document), expected, "seed {seed}: {document}");
        assert!(expected || spoils > 0, "seed {seed}: the generator made an invalid document: {document}");
        accepted += u64::from(expected);
        // The report says the same as the verdict, and only rules stand between a valid document and its record.
        if let Err(faults) = read::validate::<T>(&document) {
            let rules_only = faults.iter().all(|fault| matches!(fault.kind, FaultKind::Rule(_)));
            assert_eq!(rules_only, expected, "seed {seed}: {faults}: {document}");
            continue;
        }
        assert!(expected, "seed {seed}: {document}");
        let bytes = serde_json::to_vec(&document).unwrap();
        let record: T = read::from_slice(&bytes).unwrap_or_else(|e| panic!("seed {seed}: {e}: {document}"));
        let once = read::to_canonical_vec(&record).unwrap();
        let again: T = read::from_slice(&once).unwrap_or_else(|e| panic!("seed {seed}: {e}: {document}"));
        assert_eq!(again, record, "seed {seed}");
        assert_eq!(read::to_canonical_vec(&again).unwrap(), once, "seed {seed}: twice is once");
        read_back += 1;
    }
    let refused = cases - accepted;
    // Few random job records keep all the rules, but a hundred in ten thousand do.
    assert!(
        accepted >= cases / 5 && refused >= cases / 5 && read_back >= cases / 200,
        "{accepted} {refused} {read_back}"
    );
}

#[test]
fn extraction_jobs_are_judged_as_their_schema_judges() {
    agrees::<ExtractionJob>(1);
}

#[test]
fn extraction_requests_are_judged_as_their_schema_judges() {
    agrees::<ExtractionRequest>(2);
}

#[test]
fn extraction_results_are_judged_as_their_schema_judges() {
    agrees::<ExtractionResult>(3);
}

#[test]
fn job_records_are_judged_as_their_schema_judges() {
    agrees::<JobRecord>(4);
}

#[test]
fn audit_events_are_judged_as_their_schema_judges() {
    agrees::<AuditEvent>(5);
}

#[test]
fn alerts_are_judged_as_their_schema_judges() {
    agrees::<Alert>(6);
}

#[test]
fn evidence_is_judged_as_its_schema_judges() {
    agrees::<Evidence>(7);
}

#[test]
fn quarantined_records_are_judged_as_their_schema_judges() {
    agrees::<Quarantined>(8);
}

#[test]
fn side_records_are_judged_as_their_schema_judges() {
    agrees::<SideRecord>(9);
}
