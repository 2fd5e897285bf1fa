//! Labelled text: what a page says as a label and a value, in whatever layout.
//!
//! Read are definition lists, rows of two cells, lines like `Weight: 2 kg` or `Serves 4`, lines that begin with an element of
//! their own (`<b>Weight</b> 2 kg`), and short lines with the value on the next. What a label means is for the
//! caller to know: most pairs found here mean nothing, and only those whose label is asked for are looked at.

use super::{deflist, tables};
use crate::page::{NodeId, Page};
use std::ops::Range;

/// A longer label is prose.
const MAX_LABEL: usize = 60;
/// A longer value is prose.
const MAX_VALUE: usize = 1_000;
/// Pairs of one page; further ones are left out.
const MAX_PAIRS: usize = 20_000;

/// How a label stands to its value, the surest layout first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// A term and its descriptions in a definition list.
    Definition,
    /// The two cells of a table row.
    Row,
    /// A line that begins with an element which holds just the label.
    Beside,
    /// One line with a colon between.
    Line,
    /// One line whose value begins with its first digit: `Serves 4`.
    Prefix,
    /// A short line, and the line below it.
    Below,
}

/// A label and what it labels, as bytes of [`Page::text`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Labelled {
    /// The label, without a colon or blanks at its end.
    pub label: Range<usize>,
    /// The values in order, none empty.
    pub values: Vec<Range<usize>>,
    /// The node that holds the first value's first character.
    pub node: NodeId,
    /// How the two stand to each other.
    pub layout: Layout,
}

/// All pairs of the page: definition lists and rows first, then lines, each in document order.
pub fn labelled(page: &Page) -> Vec<Labelled> {
    let mut pairs = deflist::definitions(page);
    rows(page, &mut pairs);
    let segments: Vec<Range<usize>> = segments(page.text()).collect();
    for (index, segment) in segments.iter().enumerate() {
        if pairs.len() >= MAX_PAIRS {
            break;
        }
        line(page, segment, segments.get(index + 1), &mut pairs);
    }
    pairs.truncate(MAX_PAIRS);
    pairs
}

/// A pair, if both sides have text of a fitting length.
pub(super) fn pair(page: &Page, label: Range<usize>, values: &[Range<usize>], layout: Layout) -> Option<Labelled> {
    let text = page.text();
    let label = trim(text, label);
    let named = text.get(label.clone())?.chars().any(char::is_alphabetic) && label.len() <= MAX_LABEL;
    let values: Vec<Range<usize>> =
        values.iter().map(|value| trim_start(text, value.clone())).filter(|value| !value.is_empty()).collect();
    let first = values.first()?;
    let node = page.node_at(first.start)?;
    let short = values.iter().all(|value| value.len() <= MAX_VALUE);
    (named && short).then_some(Labelled { label, values, node, layout })
}

/// Rows of a label and a value, in tables of data and others.
fn rows(page: &Page, pairs: &mut Vec<Labelled>) {
    for row in page.elements("tr").filter(|row| !page.is_hidden(*row)) {
        let mut cells = page.children(row).filter(|cell| matches!(page.tag(*cell), Some("td" | "th")));
        let (Some(label), Some(value), None) = (cells.next(), cells.next(), cells.next()) else { continue };
        let nested = page.text_range(value).len() > MAX_VALUE;
        if !nested && pairs.len() < MAX_PAIRS {
            let lines: Vec<Range<usize>> = lines_of(page, value);
            pairs.extend(pair(page, page.text_range(label), &lines, Layout::Row));
        }
    }
}

/// The lines of a node's text.
pub(super) fn lines_of(page: &Page, node: NodeId) -> Vec<Range<usize>> {
    tables::Quoted::of(page, node).spans
}

/// Lines, and the parts of lines between signs that set things apart.
fn segments(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    let ends = text
        .char_indices()
        .filter(|(_, c)| matches!(c, '\n' | '\t' | '|' | '•'))
        .map(|(at, c)| (at, at + c.len_utf8()));
    ends.chain(std::iter::once((text.len(), text.len())))
        .map(move |(end, next)| {
            let segment = start..end;
            start = next;
            trim_blanks(text, segment)
        })
        .filter(|segment| !segment.is_empty())
}

fn line(page: &Page, segment: &Range<usize>, next: Option<&Range<usize>>, pairs: &mut Vec<Labelled>) {
    let text = page.text();
    let Some(line) = text.get(segment.clone()).filter(|line| line.len() <= MAX_VALUE) else { return };
    let mut own = false;
    let mut add = |label: Range<usize>, value: Range<usize>, layout: Layout| {
        let found = pair(page, label, &[value], layout);
        own |= found.is_some();
        pairs.extend(found);
    };
    if let Some(end) = leading_element(page, segment) {
        add(segment.start..end, end..segment.end, Layout::Beside);
    }
    let colon = line.char_indices().find(|(at, c)| {
        // Not the colon of a time or an address.
        *c == '：' || (*c == ':' && line.get(at + 1..).is_some_and(|rest| rest.starts_with(char::is_whitespace)))
    });
    if let Some((at, sign)) = colon.filter(|(at, _)| *at <= MAX_LABEL) {
        add(segment.start..segment.start + at, segment.start + at + sign.len_utf8()..segment.end, Layout::Line);
    } else if let Some(at) = line.find(|c: char| c.is_numeric()).filter(|at| (1..=MAX_LABEL / 2).contains(at)) {
        add(segment.start..segment.start + at, segment.start + at..segment.end, Layout::Prefix);
    }
    // A line that gives its own value does not label the next.
    let label_only = !own && line.len() <= MAX_LABEL && !line.contains(|c: char| c.is_numeric());
    if let Some(next) = next.filter(|_| label_only) {
        pairs.extend(pair(page, segment.clone(), std::slice::from_ref(next), Layout::Below));
    }
}

/// Where the widest element ends that begins with the segment and covers a part of it.
fn leading_element(page: &Page, segment: &Range<usize>) -> Option<usize> {
    let first = page.node_at(segment.start)?;
    let within = |node: &NodeId| {
        let range = page.text_range(*node);
        range.start == segment.start && range.end < segment.end
    };
    let elements = page.ancestors(first).take_while(within).filter(|node| page.tag(*node).is_some());
    elements.last().map(|node| page.text_range(node).end).filter(|end| *end > segment.start)
}

/// Without blanks at its ends and without the label's colon.
fn trim(text: &str, range: Range<usize>) -> Range<usize> {
    let range = trim_start(text, range);
    let part = text.get(range.clone()).unwrap_or_default();
    let inner = part.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '：' | '-' | '\u{2013}' | '.'));
    range.start..range.start + inner.len()
}

/// Without blanks at its ends and the signs that stand between a label and a value.
fn trim_start(text: &str, range: Range<usize>) -> Range<usize> {
    let part = text.get(range.clone()).unwrap_or_default();
    let inner = part.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '：'));
    let start = range.end - inner.len();
    start..start + inner.trim_end().len()
}

fn trim_blanks(text: &str, range: Range<usize>) -> Range<usize> {
    let part = text.get(range.clone()).unwrap_or_default();
    let inner = part.trim_start();
    let start = range.end - inner.len();
    start..start + inner.trim_end().len()
}
