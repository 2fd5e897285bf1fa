//! Counting: right, wrong, missing; rows from counts; an interval by drawing groups of pages with replacement.

use serde::Serialize;
use std::collections::BTreeMap;

/// Counts of one field on one page. A wrong value is a false positive and a false negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) tp: u64,
    pub(crate) fp: u64,
    pub(crate) fn_: u64,
}

impl Counts {
    /// One value against one label: `right` matters when both are there.
    pub(crate) fn value(labelled: bool, found: bool, right: bool) -> Self {
        match (labelled, found, right) {
            (true, true, true) => Self { tp: 1, fp: 0, fn_: 0 },
            (true, true, false) => Self { tp: 0, fp: 1, fn_: 1 },
            (true, false, _) => Self { tp: 0, fp: 0, fn_: 1 },
            (false, true, _) => Self { tp: 0, fp: 1, fn_: 0 },
            (false, false, _) => Self::default(),
        }
    }

    /// Items as multisets.
    pub(crate) fn items<T: Ord>(label: &[T], found: &[T]) -> Self {
        let mut left: BTreeMap<&T, u64> = BTreeMap::new();
        for item in label {
            *left.entry(item).or_default() += 1;
        }
        let mut tp = 0;
        for item in found {
            if let Some(count) = left.get_mut(item).filter(|count| **count > 0) {
                *count -= 1;
                tp += 1;
            }
        }
        Self { tp, fp: found.len() as u64 - tp, fn_: label.len() as u64 - tp }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.tp += other.tp;
        self.fp += other.fp;
        self.fn_ += other.fn_;
    }

    /// Share of the found values that are right.
    fn precision(self) -> Option<f64> {
        share(self.tp, self.tp + self.fp)
    }

    /// Share of the labelled values that were found.
    fn recall(self) -> Option<f64> {
        share(self.tp, self.tp + self.fn_)
    }

    /// Their harmonic mean.
    fn f1(self) -> Option<f64> {
        share(2 * self.tp, 2 * self.tp + self.fp + self.fn_)
    }
}

/// How many values were emitted, and how many of them have a quote that holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backed {
    pub(crate) values: u64,
    pub(crate) source: u64,
    pub(crate) visible: u64,
}

impl Backed {
    pub(crate) fn add(&mut self, other: Self) {
        self.values += other.values;
        self.source += other.source;
        self.visible += other.visible;
    }
}

/// One field on one page.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Score {
    pub(crate) counts: Counts,
    /// Whether the whole value or list is right; `None` where nothing is labelled.
    pub(crate) exact: Option<bool>,
    pub(crate) backed: Backed,
}

/// A field's scores over the pages, each with the group (host) it belongs to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Field {
    pages: Vec<(String, Score)>,
}

impl Field {
    pub(crate) fn push(&mut self, group: &str, score: Score) {
        self.pages.push((group.to_owned(), score));
    }

    fn sum(&self) -> Score {
        let mut sum = Score::default();
        for (_, score) in &self.pages {
            sum.counts.add(score.counts);
            sum.backed.add(score.backed);
        }
        sum
    }

    /// The row of this field. `pages` counts the pages with a label.
    pub(crate) fn row(&self, part: &'static str, variant: &'static str, field: &str, speed: Option<f64>) -> Row {
        let Score { counts, backed, .. } = self.sum();
        let labelled: Vec<bool> = self.pages.iter().filter_map(|(_, score)| score.exact).collect();
        let right = labelled.iter().filter(|exact| **exact).count() as u64;
        Row {
            part,
            variant,
            field: field.to_owned(),
            pages: labelled.len() as u64,
            precision: counts.precision(),
            recall: counts.recall(),
            f1: counts.f1(),
            exact: share(right, labelled.len() as u64),
            evidence_source: share(backed.source, backed.values),
            evidence_visible: share(backed.visible, backed.values),
            pages_per_s: speed,
            interval: self.interval(),
        }
    }

    /// The 2.5 and 97.5 % points of F1 over 1,000 draws of the groups with replacement; the draws are always the same.
    fn interval(&self) -> Option<(f64, f64)> {
        let mut groups: BTreeMap<&str, Counts> = BTreeMap::new();
        for (group, score) in &self.pages {
            groups.entry(group).or_default().add(score.counts);
        }
        let groups: Vec<Counts> = groups.into_values().collect();
        if groups.len() < 2 {
            return None;
        }
        let mut random = SplitMix(7);
        let mut draws: Vec<f64> = (0..1000)
            .filter_map(|_| {
                let mut sum = Counts::default();
                for _ in 0..groups.len() {
                    sum.add(groups[random.below(groups.len())]);
                }
                sum.f1()
            })
            .collect();
        draws.sort_by(f64::total_cmp);
        Some((*draws.get(draws.len() / 40)?, *draws.get(draws.len() * 39 / 40)?))
    }
}

/// Steele, Lea and Flood's generator: enough to draw pages.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % (end as u64)).unwrap_or(0)
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// One row of the output. Fractions from 0 to 1; `null` where a figure does not apply.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Row {
    pub(crate) part: &'static str,
    pub(crate) variant: &'static str,
    pub(crate) field: String,
    pub(crate) pages: u64,
    pub(crate) precision: Option<f64>,
    pub(crate) recall: Option<f64>,
    pub(crate) f1: Option<f64>,
    pub(crate) exact: Option<f64>,
    pub(crate) evidence_source: Option<f64>,
    pub(crate) evidence_visible: Option<f64>,
    pub(crate) pages_per_s: Option<f64>,
    #[serde(skip)]
    pub(crate) interval: Option<(f64, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_costs_precision_and_recall() {
        assert_eq!(Counts::value(true, true, false), Counts { tp: 0, fp: 1, fn_: 1 });
        assert_eq!(Counts::value(false, true, false), Counts { tp: 0, fp: 1, fn_: 0 });
        assert_eq!(Counts::value(true, false, false), Counts { tp: 0, fp: 0, fn_: 1 });
        assert_eq!(Counts::value(true, true, true), Counts { tp: 1, fp: 0, fn_: 0 });
    }

    #[test]
    fn items_count_as_often_as_they_stand() {
        assert_eq!(Counts::items(&["a", "a", "b"], &["a", "c", "a", "a"]), Counts { tp: 2, fp: 2, fn_: 1 });
    }

    #[test]
    fn rows_have_exactly_the_promised_keys_and_null_where_nothing_applies() {
        let row = serde_json::to_value(Field::default().row("tables", "default", "all", None)).unwrap();
        let keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        let mut wanted = vec![
            "part",
            "variant",
            "field",
            "pages",
            "precision",
            "recall",
            "f1",
            "exact",
            "evidence_source",
            "evidence_visible",
            "pages_per_s",
        ];
        wanted.sort_unstable();
        assert_eq!(keys, wanted);
        assert!(row["f1"].is_null() && row["pages"] == 0);
    }

    #[test]
    fn a_field_sums_counts_over_pages() {
        let mut field = Field::default();
        field.push("a", Score { counts: Counts { tp: 3, fp: 1, fn_: 0 }, exact: Some(true), ..Score::default() });
        field.push("b", Score { counts: Counts { tp: 0, fp: 0, fn_: 2 }, exact: Some(false), ..Score::default() });
        let row = field.row("recipes", "markup", "title", Some(10.0));
        assert_eq!((row.precision, row.recall, row.exact), (Some(0.75), Some(0.6), Some(0.5)));
        assert!(row.interval.is_some_and(|(low, high)| low < row.f1.unwrap() && row.f1.unwrap() < high));
    }
}
