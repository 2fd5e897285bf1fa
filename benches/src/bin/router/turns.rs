//! What was measured, turn by turn, and the rows that come of it.

use atlas_benches::{Row, median};
use std::collections::BTreeMap;

/// Figures by name, one for each turn that counts.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    counts: bool,
    figures: BTreeMap<&'static str, Vec<f64>>,
}

impl Turns {
    /// Begins a turn, which may be one that only warms up.
    pub(crate) const fn begin(&mut self, counts: bool) {
        self.counts = counts;
    }

    /// A figure of this turn.
    pub(crate) fn add(&mut self, name: &'static str, value: f64) {
        if self.counts {
            self.figures.entry(name).or_default().push(value);
        }
    }

    /// The median of a figure; `None` if nobody was there to give it.
    pub(crate) fn middle(&self, name: &str) -> Option<f64> {
        self.figures.get(name).and_then(|values| middle(values.clone()))
    }

    /// A row of a figure.
    pub(crate) fn row(&self, name: &str, unit: &'static str) -> Row {
        match self.middle(name) {
            Some(value) => Row::new(format!("router/{name}"), value, unit),
            None => Row::absent(format!("router/{name} (not built)"), unit),
        }
    }

    /// A row of one figure over another of the same turn, with a floor; the peer is named by its own row.
    pub(crate) fn ratio(&self, name: &str, of: &str, to: &str, floor: impl FnOnce(Row) -> Row) -> Row {
        let both = self.figures.get(of).zip(self.figures.get(to));
        let quotients = both.map(|(of, to)| of.iter().zip(to).map(|(of, to)| of / to).collect());
        match quotients.and_then(middle) {
            Some(ratio) => floor(Row::new(format!("router/{name}"), ratio, "ratio")),
            None => Row::absent(format!("router/{name} (not built)"), "ratio"),
        }
    }
}

/// A row with its peer's figure, if that is there.
pub(crate) trait WithPeer {
    fn with_peer(self, turns: &Turns, name: &str) -> Self;
}

impl WithPeer for Row {
    fn with_peer(self, turns: &Turns, name: &str) -> Self {
        match turns.middle(name) {
            Some(value) => self.peer(value),
            None => self,
        }
    }
}

fn middle(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    median(values.iter().map(|value| value.to_bits()).collect()).map(f64::from_bits)
}
