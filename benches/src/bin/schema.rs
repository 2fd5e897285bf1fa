//! What reading a record costs: one extraction result of 3.9 kB with 20 fields and 20 pieces of evidence.
//!
//! The verdict on parsed JSON is raced against `jsonschema` on the generated schema; the rest has no rival. Times are
//! medians of interleaved rounds on one thread. `cargo xtask bench schema`, or
//! `cargo run --release -p atlas-benches --bin schema [-- --json]`.

use anyhow::Context;
use atlas_benches::{Row, micros, race, report};
use atlas_schema::{ExtractionResult, read, schema};
use serde_json::{Value, json};
use std::hint::black_box;
use std::process::ExitCode;

const ROUNDS: usize = 1001;
const CALLS: u32 = 10;

fn main() -> anyhow::Result<ExitCode> {
    let bytes = serde_json::to_vec(&record())?;
    anyhow::ensure!((3_800..=4_000).contains(&bytes.len()), "the record has {} bytes", bytes.len());
    let (good, bad) = (record(), spoilt());
    let oracle = jsonschema::validator_for(&schema::json_schema::<ExtractionResult>())?;
    let typed: ExtractionResult = read::from_slice(&bytes).context("the record is valid")?;
    anyhow::ensure!(oracle.is_valid(&good) && !oracle.is_valid(&bad), "the oracle disagrees with the bench");

    let accept = race(
        ROUNDS,
        CALLS,
        &mut [
            &mut || read::validate::<ExtractionResult>(black_box(&good)).is_ok(),
            &mut || read::matches_schema::<ExtractionResult>(black_box(&good)),
            &mut || oracle.is_valid(black_box(&good)),
        ],
    );
    let refuse = race(
        ROUNDS,
        CALLS,
        &mut [
            &mut || read::validate::<ExtractionResult>(black_box(&bad)).map_or_else(|faults| faults.total(), |()| 0),
            &mut || oracle.iter_errors(black_box(&bad)).count(),
        ],
    );
    let whole = race(
        ROUNDS,
        CALLS,
        &mut [
            &mut || read::from_slice::<ExtractionResult>(black_box(&bytes)).is_ok(),
            &mut || serde_json::from_slice::<ExtractionResult>(black_box(&bytes)).is_ok(),
            &mut || serde_json::from_slice::<Value>(black_box(&bytes)).is_ok(),
            &mut || read::to_canonical_vec(black_box(&typed)).is_ok(),
        ],
    );
    let row = |name: &str, time| Row::new(format!("schema/{name}"), micros(time), "us");
    Ok(report(&[
        row("validate-with-rules", accept[0]).at_most(5.0).peer(micros(accept[2])),
        row("validate-schema-only", accept[1]).at_most(5.0).peer(micros(accept[2])),
        row("report-all-faults", refuse[0]).peer(micros(refuse[1])),
        row("read-strict-typed", whole[0]),
        row("serde-typed-unchecked", whole[1]),
        row("serde-value-unchecked", whole[2]),
        row("write-canonical", whole[3]),
    ]))
}

/// 20 fields, each with one piece of evidence.
fn record() -> Value {
    let fields = (0..20).map(|i| (format!("f{i:02}"), Value::from(format!("value {i}"))));
    let evidence = (0..20_u32).map(|i| {
        let sighting = json!({
            "source": {"kind": "visible_text"}, "document": 0, "node": 40 + i,
            "spans": [{"start": 100 * i, "end": 100 * i + 8}],
            "quote": format!("value {i}"), "verified": {"source": true, "visible": true},
        });
        (format!("/0/f{i:02}"), json!([sighting]))
    });
    json!({
        "success": true, "outcome": "complete", "strategy": "direct",
        "data": [fields.collect::<serde_json::Map<_, _>>()],
        "evidence": evidence.collect::<serde_json::Map<_, _>>(),
        "attempts": [{"strategy": "direct", "outcome": "used", "durationMs": 3}],
        "pages": [{"url": "https://example.org/page", "bytes": 51_234, "status": 200, "mediaType": "text/html"}],
        "usage": {"pages": 1}, "timings": {"totalMs": 4},
    })
}

/// The same with four faults of the schema, near its end and inside.
fn spoilt() -> Value {
    let mut record = record();
    record["pages"][0]["bytes"] = json!("51234");
    record["evidence"]["/0/f10"][0]["spans"][0]["start"] = json!(-1);
    record["evidence"]["/0/f15"][0]["seen"] = json!(true);
    record["timings"] = json!({});
    record
}
