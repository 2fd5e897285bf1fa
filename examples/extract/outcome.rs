//! What became of each page, and the sums over all of them.

use crate::plain;
use crate::source::Source;
use atlas_schema::{ExtractionResult, JobId, JsonPointer, Outcome};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// A page and what became of it.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) source: Source,
    pub(crate) state: State,
}

/// What became of a page.
#[derive(Debug)]
pub(crate) enum State {
    /// The job ended with a result, which may be empty.
    Result { job: JobId, result: Box<ExtractionResult>, reused: bool },
    /// There is no result, for this reason.
    Failed { job: Option<JobId>, reason: String },
    /// The run was interrupted; the job waits in the database, if it was made yet.
    Waiting { job: Option<JobId> },
}

impl Done {
    /// The result, if the page gave data.
    pub(crate) fn data(&self) -> Option<&ExtractionResult> {
        match &self.state {
            State::Result { result, .. } if result.success && !result.data.is_empty() => Some(result),
            _ => None,
        }
    }

    /// In one word.
    pub(crate) fn verdict(&self) -> &'static str {
        match &self.state {
            State::Result { result, .. } => match result.outcome {
                _ if !result.success && result.outcome == Some(Outcome::Empty) => "no data",
                _ if !result.success => "failed",
                Some(Outcome::Empty) => "no data",
                _ if self.is_partial() => "partial",
                _ => "complete",
            },
            State::Failed { .. } => "failed",
            State::Waiting { .. } => "waiting",
        }
    }

    /// Whether there are records, but not with all that the schema requires, or from a page that was cut off.
    pub(crate) fn is_partial(&self) -> bool {
        self.data().is_some_and(|result| result.outcome == Some(Outcome::Partial) || cut(result).is_some())
    }

    /// What a partial page lacks, in words.
    pub(crate) fn lack(&self) -> Option<String> {
        let result = self.data().filter(|_| self.is_partial())?;
        if result.outcome != Some(Outcome::Partial) {
            return cut(result).map(str::to_owned);
        }
        let missing = result.warnings.iter().filter(|warning| warning.code == "required_missing");
        let fields: BTreeSet<String> = missing
            .filter_map(|warning| warning.pointer.as_ref())
            .map(|pointer| plain::field(pointer.as_str(), result.data.len()))
            .collect();
        let fields = fields.into_iter().collect::<Vec<_>>();
        let named = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
        Some(format!("partial, the page does not give what the schema requires{named}"))
    }

    /// Why there is no data, for pages that gave none.
    pub(crate) fn problem(&self) -> Option<&str> {
        match &self.state {
            State::Failed { reason, .. } => Some(reason),
            State::Result { result, .. } if self.data().is_none() => Some(match result.outcome {
                Some(Outcome::Empty) => {
                    "nothing of the wanted shape was found on this page: try another --type, or check the names in the --schema"
                }
                _ => result.error.as_deref().unwrap_or("the extraction failed: see its attempts with --format json"),
            }),
            _ => None,
        }
    }
}

/// Why there may be more than was found, with what to do: the page was cut off, or the work on it was.
fn cut(result: &ExtractionResult) -> Option<&'static str> {
    let has = |code: &str| result.warnings.iter().any(|warning| warning.code == code);
    let reasons = [
        ("page_cut_short", "partial, the page itself is cut off: fetch or save it again"),
        ("time_ran_out", "partial, the time ran out: raise --timeout"),
        ("work_cut_short", "partial, the page holds or repeats more than is read of one page: split it"),
    ];
    reasons.into_iter().find(|(code, _)| has(code)).map(|(_, reason)| reason)
}

/// The leaves of a value with their pointers, in order.
pub(crate) fn leaves(value: &Value) -> Vec<(JsonPointer, &Value)> {
    let mut leaves = Vec::new();
    let mut open = vec![(JsonPointer::root(), value)];
    while let Some((pointer, value)) = open.pop() {
        match value {
            Value::Null => {}
            Value::Array(items) => {
                open.extend(items.iter().enumerate().rev().map(|(i, item)| (pointer.index(i), item)));
            }
            Value::Object(fields) => open.extend(fields.iter().rev().map(|(key, item)| (pointer.key(key), item))),
            leaf => leaves.push((pointer, leaf)),
        }
    }
    leaves
}

/// A leaf as text.
pub(crate) fn text(leaf: &Value) -> String {
    leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned)
}

/// The sums over all pages.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) pages: usize,
    pub(crate) with_data: usize,
    pub(crate) partial: usize,
    pub(crate) failed: usize,
    pub(crate) waiting: usize,
    pub(crate) reused: usize,
    pub(crate) records: usize,
    pub(crate) values: usize,
    pub(crate) verified: usize,
    pub(crate) visible: usize,
}

impl Sums {
    /// Adds up.
    pub(crate) fn of(done: &[Done]) -> Self {
        let mut sums = Self { pages: done.len(), ..Self::default() };
        for page in done {
            sums.reused += usize::from(matches!(page.state, State::Result { reused: true, .. }));
            sums.waiting += usize::from(matches!(page.state, State::Waiting { .. }));
            sums.failed += usize::from(page.problem().is_some());
            let Some(result) = page.data() else { continue };
            sums.with_data += 1;
            sums.partial += usize::from(page.is_partial());
            sums.records += result.data.len();
            let data = Value::Array(result.data.clone());
            for (pointer, _) in leaves(&data) {
                let evidence = result.evidence.get(&pointer).map_or(&[][..], Vec::as_slice);
                sums.values += 1;
                sums.verified += usize::from(evidence.iter().any(|evidence| evidence.verified.source));
                sums.visible += usize::from(evidence.iter().any(|evidence| evidence.verified.visible));
            }
        }
        sums
    }

    /// A few lines for a person.
    pub(crate) fn text(&self, spent: Duration, cost: &str, db: &str) -> String {
        let mut counts = vec![format!("{} complete", self.with_data - self.partial)];
        let more =
            [(self.partial, "partial (see their notes)"), (self.failed, "without data"), (self.waiting, "waiting")];
        counts.extend(more.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        let found = if self.values == 0 {
            "no values".to_owned()
        } else {
            format!(
                "{} in {}; checked again: {} stand in their source, {} in visible text",
                count(self.values, "value"),
                count(self.records, "record"),
                percent(self.verified, self.values),
                percent(self.visible, self.values),
            )
        };
        let before = match self.reused {
            0 => String::new(),
            all if all == self.pages => ", all done already (--fresh extracts again)".to_owned(),
            some => format!(", {some} done already (--fresh extracts again)"),
        };
        format!(
            "pages   {}: {}\nfound   {found}\nspent   {:.2} s, cost ${cost}\nkept    in {db}{before}",
            self.pages,
            counts.join(", "),
            spent.as_secs_f64(),
        )
    }
}

/// `1 page`, `2 pages`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Whole percents, rounded down: 100 % means all.
fn percent(part: usize, whole: usize) -> String {
    format!("{} %", (part * 100).checked_div(whole).unwrap_or_default())
}
