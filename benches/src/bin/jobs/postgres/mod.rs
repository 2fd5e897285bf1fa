//! The PostgreSQL store, durable and on a server of its own, against raw statements over its own tables and against
//! other job managers.

mod adding;
mod claims;
mod held;
mod latency;
mod long;
mod raw;
mod server;

use crate::Scale;
use anyhow::Result;
use atlas_benches::{Row, median};
use server::Host;
use tokio::runtime::Runtime;

/// The rows of the parts that are `wanted`.
pub(crate) fn rows(runtime: &Runtime, scale: Scale, wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Row>> {
    if testkit::postgres::binaries().is_none() {
        return Ok(vec![Row::absent("postgres (not installed)", "ratio")]);
    }
    let host = Host::start();
    let mut rows = Vec::new();
    if wanted("postgres/claims") {
        rows.extend(claims::rows(runtime, &host, scale)?);
    }
    if wanted("postgres/adding") {
        rows.extend(adding::rows(runtime, &host, scale)?);
    }
    if wanted("postgres/latency") {
        rows.extend(latency::rows(runtime, &host, scale)?);
    }
    if wanted("postgres/held") {
        rows.extend(held::rows(runtime, &host, scale)?);
    }
    if wanted("postgres/long") {
        rows.extend(long::rows(runtime, &host)?);
    }
    Ok(rows)
}

/// The median of figures.
fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    median(values.iter().map(|value| value.to_bits()).collect()).map_or(f64::NAN, f64::from_bits)
}

/// The value that such a part of them does not exceed.
fn quantile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    values.get(at).copied().unwrap_or(f64::NAN)
}
