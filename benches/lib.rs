//! What the benches share: figures with their floors, and a way to time rivals fairly.
//!
//! A bench is a program that measures, collects [`Row`]s and ends with [`report`]. `--json` prints the rows for a
//! machine; without it they are a table. A row under its floor makes the exit code 1.

pub mod cpu;
pub mod peer;

use anyhow::Result;
use serde::Serialize;
use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// One measured figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// What was measured, such as `schema/accept-3.9kB`.
    pub name: String,
    /// The figure, in `unit`.
    pub value: f64,
    /// Its unit, such as `us` or `pages/s`.
    pub unit: &'static str,
    /// The worst value that is still good; absent when none is promised.
    pub floor: Option<f64>,
    /// What the best other implementation reached, in the same unit; absent when there is none.
    pub peer: Option<f64>,
    /// Whether the floor holds.
    pub ok: bool,
}

impl Row {
    /// A figure with no floor.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, floor: None, peer: None, ok: value.is_finite() }
    }

    /// A figure whose rival is not there, such as a peer that was not built: shown, and not good.
    pub fn absent(name: impl Into<String>, unit: &'static str) -> Self {
        Self { name: name.into(), value: f64::NAN, unit, floor: None, peer: None, ok: false }
    }

    /// Smaller is better, and more than `limit` is too much.
    #[must_use]
    pub fn at_most(mut self, limit: f64) -> Self {
        self.floor = Some(limit);
        self.ok &= self.value <= limit;
        self
    }

    /// Larger is better, and less than `limit` is too little.
    #[must_use]
    pub fn at_least(mut self, limit: f64) -> Self {
        self.floor = Some(limit);
        self.ok &= self.value >= limit;
        self
    }

    /// What the best other implementation reached in the same run.
    #[must_use]
    pub fn peer(mut self, value: f64) -> Self {
        self.peer = Some(value);
        self
    }
}

/// What a variable of the environment says, or what is set in advance.
///
/// # Errors
/// If it is no number.
pub fn number(name: &str, preset: usize) -> Result<usize> {
    match std::env::var(name) {
        Ok(text) => text.parse().map_err(|_| anyhow::anyhow!("{name} must be a number")),
        Err(_) => Ok(preset),
    }
}

/// Prints the rows, as JSON if the program was called with `--json`; the exit code is 1 if any floor was missed.
pub fn report(rows: &[Row]) -> ExitCode {
    print_rows(rows, std::env::args().any(|arg| arg == "--json"));
    if rows.iter().all(|row| row.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints the rows to standard output: a JSON array of objects, or a table.
pub fn print_rows(rows: &[Row], json: bool) {
    if json {
        println!("{}", serde_json::json!(rows));
        return;
    }
    let figure = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(4);
    println!("{:<width$}  {:>12}  {:<10}  {:>12}  {:>12}  ok", "name", "value", "unit", "floor", "peer");
    for Row { name, value, unit, floor, peer, ok } in rows {
        let ok = if *ok { "yes" } else { "NO" };
        let (value, floor, peer) = (shown(*value), figure(*floor), figure(*peer));
        println!("{name:<width$}  {value:>12}  {unit:<10}  {floor:>12}  {peer:>12}  {ok}");
    }
}

fn shown(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The median time of one call of each rival, in the order given.
///
/// Rivals take turns, `calls` calls a turn, for `rounds` rounds after one unmeasured round, so that a slow moment of
/// the machine meets all of them. Zero rounds or calls count as one.
pub fn race<T>(rounds: usize, calls: u32, rivals: &mut [&mut dyn FnMut() -> T]) -> Vec<Duration> {
    let calls = calls.max(1);
    let mut times = vec![Vec::with_capacity(rounds); rivals.len()];
    for round in 0..=rounds.max(1) {
        for (rival, times) in rivals.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..calls {
                black_box(rival());
            }
            if round > 0 {
                times.push(start.elapsed() / calls);
            }
        }
    }
    times.into_iter().map(|times| median(times).unwrap_or_default()).collect()
}

/// The middle value (the lower of two), `None` without values.
pub fn median<T: Ord>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    let middle = values.len().saturating_sub(1) / 2;
    values.into_iter().nth(middle)
}

/// Microseconds, for rows.
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::{Row, median};

    #[test]
    fn a_figure_under_its_floor_is_not_ok() {
        assert!(!Row::new("rate", 9.0, "pages/s").at_least(10.0).ok);
        assert!(!Row::new("time", 11.0, "us").at_most(10.0).ok);
        assert!(Row::new("time", 10.0, "us").at_most(10.0).ok);
        assert!(!Row::new("time", f64::NAN, "us").at_most(10.0).ok);
    }

    #[test]
    fn the_median_is_the_lower_middle() {
        assert_eq!(median(vec![4, 1, 3, 2]), Some(2));
        assert_eq!(median(Vec::<u8>::new()), None);
    }
}
