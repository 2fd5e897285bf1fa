//! Rows for a person: one table, fractions with three digits.

use crate::tally::Row;
use std::fmt::Write;

/// The rows as aligned text.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<19} {:<9} {:<18} {:>5}  {:>6} {:>6} {:>6}  {:<13} {:>6}  {:>8} {:>8}  {:>8}",
        "part", "variant", "field", "pages", "P", "R", "F1", "95 % of F1", "exact", "in source", "visible", "pages/s"
    );
    for row in rows {
        let interval = row.interval.map_or_else(|| "-".into(), |(low, high)| format!("{low:.3}..{high:.3}"));
        let _ = writeln!(
            out,
            "{:<19} {:<9} {:<18} {:>5}  {:>6} {:>6} {:>6}  {:<13} {:>6}  {:>9} {:>8}  {:>8}",
            row.part,
            row.variant,
            row.field,
            row.pages,
            fraction(row.precision),
            fraction(row.recall),
            fraction(row.f1),
            interval,
            fraction(row.exact),
            fraction(row.evidence_source),
            fraction(row.evidence_visible),
            row.pages_per_s.map_or_else(|| "-".into(), |rate| format!("{rate:.0}")),
        );
    }
    out
}

fn fraction(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |value| format!("{value:.3}"))
}
