//! Rows: what a part of a page repeats, where no list element says so.
//!
//! Pages build lists of any element. What tells is that siblings look alike: the same tag and the same first class.

use super::effort::Effort;
use super::headed::{MAX_GAP, MAX_LEAD};
use crate::page::{NodeId, Page};
use std::collections::HashMap;
use std::ops::Range;

/// An element and its text.
pub(super) type Row = (NodeId, Range<usize>);

/// Elements looked at in one part of a page.
const MAX_NODES: usize = 5_000;
/// Parts of a page that may be marked as a list.
const MAX_PARTS: usize = 200;
/// Repeated elements count if they cover this share of the text that any repeated elements cover, in percent.
const MIN_COVER: usize = 70;

/// The list items under a node that hold no further items, with text.
pub(super) fn items(page: &Page, node: NodeId, effort: &Effort<'_>) -> Vec<Row> {
    let is_item = |node: &NodeId| page.tag(*node) == Some("li");
    let items = effort.each(page.descendants(node)).filter(is_item);
    let leaves = items.filter(|item| !effort.each(page.descendants(*item)).any(|inner| is_item(&inner)));
    leaves.map(|node| (node, page.text_range(node))).filter(|(_, range)| !range.is_empty()).collect()
}

/// The repeated elements between a label's line and the end of its part of the page.
pub(super) fn below(page: &Page, line: &Range<usize>, end: usize, amounts: bool, effort: &Effort<'_>) -> Vec<Row> {
    let Some(first) = page.node_at(line.start) else { return Vec::new() };
    // The smallest part around the label that goes on well below it.
    let enough = (line.end + MAX_LEAD).min(end);
    let around = page.ancestors(first).find(|node| page.text_range(*node).end >= enough);
    around.map_or_else(Vec::new, |node| repeated(page, (node, first), &(line.end..end), amounts, effort))
}

/// The elements under a node, from another one on, and in the text `within` that look alike and together cover most of
/// what is repeated.
///
/// Of `amounts`, an element that holds amount and thing goes before the two that hold one each.
pub(super) fn repeated(
    page: &Page,
    (node, from): (NodeId, NodeId),
    within: &Range<usize>,
    amounts: bool,
    effort: &Effort<'_>,
) -> Vec<Row> {
    let mut kinds: HashMap<(&str, &str), Vec<Row>> = HashMap::new();
    // Nodes are numbered in document order.
    let first = from.index().max(node.index().saturating_add(1));
    let below = (first..).map_while(|at| page.node_by_index(at)).take_while(|inner| page.contains(node, *inner));
    for node in effort.each(below.take(MAX_NODES)) {
        let range = page.text_range(node);
        if range.start > within.end {
            break;
        }
        if range.is_empty() || range.start < within.start || range.end > within.end {
            continue;
        }
        let Some(kind) = kind(page, node) else { continue };
        let rows = kinds.entry(kind).or_default();
        let goes_on = match rows.last() {
            // One inside the other, or too far down.
            Some((_, last)) => last.end <= range.start && range.start <= last.end + MAX_GAP,
            None => range.start <= within.start + MAX_LEAD,
        };
        if goes_on {
            rows.push((node, range));
        }
    }
    let cover = |rows: &[Row]| rows.iter().map(|(_, range)| range.len()).sum::<usize>();
    let most = kinds.values().filter(|rows| rows.len() > 2).map(|rows| cover(rows)).max().unwrap_or(0);
    let wide = kinds.into_values().filter(|rows| rows.len() > 2 && cover(rows) * 100 >= most * MIN_COVER);
    let whole = |rows: &[Row]| {
        let with = |row: &&Row| page.text_of(row.0).contains(|c: char| c.is_numeric());
        rows.iter().filter(with).count() * 100 >= rows.len() * 65
    };
    wide.max_by_key(|rows| {
        (!amounts || whole(rows), rows.len(), cover(rows), std::cmp::Reverse(rows.first().map(|row| row.0.index())))
    })
    .unwrap_or_default()
}

/// The outermost elements whose class or id holds one of `words`, with text, in document order.
pub(super) fn marked(page: &Page, words: &[&str]) -> Vec<Row> {
    let mut found: Vec<Row> = Vec::new();
    for node in page.descendants(page.root()) {
        if found.len() >= MAX_PARTS {
            break;
        }
        if !matches!(
            page.tag(node),
            Some("div" | "section" | "ul" | "ol" | "li" | "p" | "table" | "tr" | "article" | "span")
        ) {
            continue;
        }
        let says = |name: &str| {
            page.attr(node, name).is_some_and(|value| {
                let value = value.to_lowercase();
                words.iter().any(|word| value.contains(word))
            })
        };
        if !says("class") && !says("id") {
            continue;
        }
        let range = page.text_range(node);
        if !range.is_empty() && found.last().is_none_or(|(_, last)| last.end <= range.start) {
            found.push((node, range));
        }
    }
    found
}

/// Those of `rows` that look alike, kind by kind.
pub(super) fn alike(page: &Page, rows: &[Row]) -> Vec<Vec<Row>> {
    let mut kinds: Vec<((&str, &str), Vec<Row>)> = Vec::new();
    for (node, range) in rows {
        let Some(kind) = kind(page, *node) else { continue };
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, rows)) => rows.push((*node, range.clone())),
            None => kinds.push((kind, vec![(*node, range.clone())])),
        }
    }
    kinds.into_iter().map(|(_, rows)| rows).collect()
}

/// How an element looks: its tag and, where the tag says little, its first class.
fn kind(page: &Page, node: NodeId) -> Option<(&str, &str)> {
    let tag = page.tag(node)?;
    match tag {
        "tr" | "li" | "p" | "dd" | "label" => Some((tag, "")),
        "div" | "section" | "span" | "article" | "td" | "a" => {
            let class = page.attr(node, "class").unwrap_or("");
            Some((tag, class.split_ascii_whitespace().next().unwrap_or("")))
        }
        _ => None,
    }
}
