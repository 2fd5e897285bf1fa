//! Lists under a label: what a page shows below a line such as "Ingredients".

use super::vocabulary::is_label;
use crate::evidence::{Reading, folded};
use crate::facts::{Leaf, Place};
use crate::page::{NodeId, Page};
use std::ops::Range;

/// A longer line is prose, not a label.
const MAX_LABEL: usize = 60;
/// A longer entry is no list entry, except of instructions.
const MAX_ENTRY: usize = 400;
/// A list may start this many bytes of text after its label.
const MAX_LEAD: usize = 600;
/// Lines taken where there is no list.
const MAX_LINES: usize = 40;
/// The next entry starts at most this many bytes of text after the one before: sub-headings fit between.
const MAX_GAP: usize = 120;

/// What the entries of a list are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Sentences, such as steps.
    Prose,
    /// Amounts of things, such as ingredients.
    Amounts,
    /// Anything.
    Other,
}

/// Whether a list reads as what it should be. A wrong list under a right label is worse than none: menus, equipment and
/// remarks stand there too.
fn is_plausible(page: &Page, entries: &[Leaf], sort: Sort) -> bool {
    let text = |leaf: &Leaf| match &leaf.0 {
        Place::Node { node } => page.text_of(*node),
        Place::Visible { start, end, .. } => page.text().get(*start..*end).unwrap_or(""),
        _ => "",
    };
    let share = |fits: &dyn Fn(&str) -> bool| {
        entries.iter().filter(|leaf| fits(text(leaf))).count() * 100 / entries.len().max(1)
    };
    match sort {
        Sort::Prose => share(&|text| text.chars().count() >= 25) >= 50,
        Sort::Amounts => share(&|text| text.contains(|c: char| c.is_numeric())) >= 30,
        Sort::Other => true,
    }
}

/// The entries of the best list under one of `labels`; empty if there is none.
///
/// Of several lists so labelled the one with the most entries counts: teasers and tables of contents are short.
pub(super) fn list(reading: &Reading<'_>, labels: &[String], sort: Sort) -> Vec<Leaf> {
    let page = reading.page();
    let mut best: Vec<Leaf> = Vec::new();
    for line in lines(page.text(), 0) {
        let text = page.text().get(line.clone()).unwrap_or("");
        if text.len() > MAX_LABEL || !labels.contains(&label(text)) {
            continue;
        }
        let found = below(page, &line, labels, sort);
        if found.len() > best.len() && is_plausible(page, &found, sort) {
            best = found;
        }
    }
    best
}

/// A line as a label: folded, without closing punctuation and counts.
pub(super) fn label(text: &str) -> String {
    let folded = folded(text);
    let end = folded.find([':', '(', '[']).unwrap_or(folded.len());
    folded.get(..end).unwrap_or("").trim().trim_end_matches(['.', '!', '…', ':']).to_owned()
}

fn lines(text: &str, from: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = from;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').unwrap_or(rest.len());
        let line = start..start + length;
        start = (line.end + 1).min(text.len());
        Some(line)
    })
}

/// The list entries, else the lines, between a label and whatever ends its part of the page.
fn below(page: &Page, line: &Range<usize>, labels: &[String], sort: Sort) -> Vec<Leaf> {
    let level = page.node_at(line.start).and_then(|node| heading(page, node));
    let end = end_of_part(page, line.end, level, labels);
    let mut entries: Vec<(NodeId, Range<usize>)> = Vec::new();
    for node in page.elements("li") {
        let range = page.text_range(node);
        if range.start < line.end || range.is_empty() {
            continue;
        }
        let far = match entries.last() {
            Some((_, last)) => last.end + MAX_GAP < range.start,
            None => line.end + MAX_LEAD < range.start,
        };
        if range.end > end || far {
            break;
        }
        if page.descendants(node).any(|inner| page.tag(inner) == Some("li")) {
            continue;
        }
        entries.push((node, range));
    }
    // Lists of links lead elsewhere: menus, tags, related pages.
    let links = entries.iter().filter(|(node, range)| is_link(page, *node, range)).count();
    if links * 2 > entries.len() {
        return Vec::new();
    }
    if entries.len() > 1 {
        let leaves = entries.into_iter().filter(|(_, range)| sort == Sort::Prose || range.len() <= MAX_ENTRY);
        return leaves.map(|(node, _)| Leaf(Place::Node { node })).collect();
    }
    let mut leaves = Vec::new();
    for line in lines(page.text(), line.end + 1).take_while(|line| line.end <= end).take(MAX_LINES) {
        let Some(node) = page.node_at(line.start) else { continue };
        if line.len() <= MAX_ENTRY || sort == Sort::Prose {
            leaves.push(Leaf(Place::Visible { node, start: line.start, end: line.end }));
        }
    }
    leaves
}

/// Whether all that an entry shows is a link.
fn is_link(page: &Page, node: NodeId, range: &Range<usize>) -> bool {
    page.descendants(node).any(|inner| page.tag(inner) == Some("a") && page.text_range(inner) == *range)
}

/// The lines of the page that together show the folded `text`, in order; empty unless they show nearly all of it.
pub(super) fn shown(reading: &Reading<'_>, text: &str) -> Vec<Leaf> {
    let page = reading.page();
    let mut leaves = Vec::new();
    let (mut at, mut covered) = (0, 0);
    for line in lines(page.text(), 0) {
        let shown = folded(page.text().get(line.clone()).unwrap_or(""));
        if shown.chars().count() < 8 {
            continue;
        }
        // Between two lines stands at most a number or a bullet.
        let rest = text.get(at..).unwrap_or("");
        let Some(found) = rest.find(&shown).filter(|found| *found <= 12) else { continue };
        let Some(node) = page.node_at(line.start) else { continue };
        at += found + shown.len();
        covered += shown.len();
        leaves.push(Leaf(Place::Visible { node, start: line.start, end: line.end }));
    }
    if covered * 10 >= text.len() * 9 { leaves } else { Vec::new() }
}

/// Where the part of the page under a label ends: at the next label of something else, or the next heading as high.
fn end_of_part(page: &Page, from: usize, level: Option<u8>, labels: &[String]) -> usize {
    let headings = ["h1", "h2", "h3", "h4", "h5", "h6"];
    let highest = usize::from(level.unwrap_or(4)).min(6);
    let next = headings.iter().take(highest).flat_map(|tag| page.elements(tag)).map(|node| page.text_range(node));
    let mut end = next
        .filter(|range| range.start >= from && !range.is_empty())
        .map(|range| range.start)
        .min()
        .unwrap_or(page.text().len());
    for line in lines(page.text(), from) {
        if line.start >= end {
            break;
        }
        let text = page.text().get(line.clone()).unwrap_or("");
        if text.len() <= MAX_LABEL && line.start > from {
            let label = label(text);
            if is_label(&label) && !labels.contains(&label) {
                end = line.start;
                break;
            }
        }
    }
    end
}

/// The level of the heading that a node stands in.
fn heading(page: &Page, node: NodeId) -> Option<u8> {
    let mut around = std::iter::once(node).chain(page.ancestors(node).take(6));
    around.find_map(|node| page.tag(node)?.strip_prefix('h')?.parse().ok().filter(|level| (1..=6).contains(level)))
}
