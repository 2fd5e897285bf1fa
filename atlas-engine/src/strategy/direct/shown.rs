//! Lists as the page shows them, where the markup's own list leaves something out or is cut in the wrong places.

use super::effort::Effort;
use crate::evidence::folded;
use crate::facts::{Leaf, Place};
use crate::page::Page;
use std::collections::HashSet;
use std::ops::Range;

/// The next entry is shown at most this many lines below the one before.
const MAX_STEP: usize = 6;
/// An entry's line shows at most this many bytes beside the entry.
const MAX_BESIDE: usize = 40;
/// A longer line is no amount.
const MAX_AMOUNT: usize = 24;

/// Where an entry's amount stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Amount {
    Within,
    Above,
    Below,
}

struct Line {
    range: Range<usize>,
    folded: String,
}

fn lines(page: &Page) -> Vec<Line> {
    let mut start = 0;
    let lines = page.text().split('\n').map(|line| {
        let range = start..start + line.len();
        start = range.end + 1;
        Line { range, folded: folded(line) }
    });
    lines.filter(|line| !line.folded.is_empty()).collect()
}

/// The lines that show `entries` with amounts that the entries lack; `None` unless most of them are shown so.
///
/// Templates often put the names of the ingredients alone into their markup.
pub(super) fn with_amounts(page: &Page, entries: &[String], effort: &Effort<'_>) -> Option<Vec<Leaf>> {
    let counted = entries.iter().filter(|entry| has_number(entry)).count();
    if entries.len() < 3 || counted * 4 > entries.len() {
        return None;
    }
    let entries: Vec<String> = entries.iter().map(|entry| folded(entry)).collect();
    let lines = lines(page);
    let shows = |line: &Line, entry: &str| line.folded.len() <= entry.len() + MAX_BESIDE && line.folded.contains(entry);
    let first = entries.first()?;
    let candidates = (0..lines.len()).filter(|at| shows(&lines[*at], first)).filter_map(|start| {
        let mut places = vec![start];
        for entry in entries.iter().skip(1) {
            let from = places.last()? + 1;
            let next = effort.each(from..lines.len().min(from + MAX_STEP));
            places.push({ next }.find(|at| shows(&lines[*at], entry))?);
        }
        Some(places)
    });
    // A line of prose may name an ingredient too: the tightest list is the list.
    let places = candidates.min_by_key(|places| places.iter().map(|at| lines[*at].folded.len()).sum::<usize>())?;
    amounts(page, &lines, &entries, &places)
}

fn amounts(page: &Page, lines: &[Line], entries: &[String], places: &[usize]) -> Option<Vec<Leaf>> {
    let taken: HashSet<usize> = places.iter().copied().collect();
    let is_amount = |at: Option<usize>| {
        at.filter(|at| !taken.contains(at))
            .and_then(|at| lines.get(at))
            .is_some_and(|line| line.folded.len() <= MAX_AMOUNT && line.folded.starts_with(|c: char| c.is_numeric()))
    };
    let has = |way: Amount, entry: &str, at: usize| match way {
        Amount::Within => has_number(&lines[at].folded) && !has_number(entry),
        Amount::Above => is_amount(at.checked_sub(1)),
        Amount::Below => is_amount(at.checked_add(1)),
    };
    let share = |way: Amount| entries.iter().zip(places).filter(|(entry, at)| has(way, entry, **at)).count();
    let way = [Amount::Within, Amount::Above, Amount::Below].into_iter().rev().max_by_key(|way| share(*way))?;
    // Amounts between all entries but at neither end may belong to the one above or below: no guess.
    let unclear = way != Amount::Within && share(Amount::Above) == share(Amount::Below);
    if unclear || share(way) * 2 < entries.len() {
        return None;
    }
    let leaf = |(entry, at): (&String, &usize)| {
        let mut range = lines[*at].range.clone();
        if way == Amount::Above && has(way, entry, *at) {
            range.start = lines[*at - 1].range.start;
        } else if way == Amount::Below && has(way, entry, *at) {
            range.end = lines[*at + 1].range.end;
        }
        visible(page, range)
    };
    entries.iter().zip(places).map(leaf).collect()
}

/// The page's lines that show exactly the text of `entries`, where the entries end inside lines.
///
/// That happens where a program cut a list at its commas, and with them `1,5` in two. Only lists that look so are
/// searched for: their entries start with a blank or hold line ends.
pub(super) fn recut(page: &Page, entries: &[&str], effort: &Effort<'_>) -> Option<Vec<Leaf>> {
    let odd = |entry: &&str| entry.starts_with(' ') || entry.trim().contains('\n');
    if entries.len() < 2 || !entries.iter().any(odd) {
        return None;
    }
    let mut whole = String::new();
    let mut ends: HashSet<usize> = HashSet::new();
    for entry in entries {
        whole.push_str(&letters(entry));
        ends.insert(whole.len());
    }
    let lines = lines(page);
    let spelled: Vec<String> = lines.iter().map(|line| letters(&line.folded)).collect();
    (0..lines.len()).filter(|at| !spelled[*at].is_empty() && whole.starts_with(&spelled[*at])).find_map(|start| {
        let (mut at, mut cuts, mut leaves) = (0, HashSet::new(), Vec::new());
        let further = effort.each(lines.iter().zip(&spelled).skip(start));
        for (line, letters) in further.filter(|(_, letters)| !letters.is_empty()) {
            if !whole.get(at..)?.starts_with(letters.as_str()) {
                return None;
            }
            at += letters.len();
            cuts.insert(at);
            leaves.push(visible(page, line.range.clone())?);
            if at == whole.len() {
                break;
            }
        }
        (at == whole.len() && leaves.len() > 1 && !ends.is_subset(&cuts)).then_some(leaves)
    })
}

fn visible(page: &Page, range: Range<usize>) -> Option<Leaf> {
    let node = page.node_at(range.start)?;
    Some(Leaf(Place::Visible { node, start: range.start, end: range.end }))
}

fn has_number(text: &str) -> bool {
    text.contains(|c: char| c.is_numeric())
}

/// The letters and digits of a text, folded.
fn letters(text: &str) -> String {
    folded(&crate::plain::clean(text)).chars().filter(|c| c.is_alphanumeric()).collect()
}
