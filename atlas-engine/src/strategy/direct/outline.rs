//! Outline: where a page's headings, labels and list entries stand, noted once for all the labels that ask.

use super::effort::Effort;
use super::headed::{MAX_LABEL, label, lines};
use super::vocabulary::{ends_lists, is_label};
use crate::page::{NodeId, Page};
use std::ops::Range;

/// A page's outline. All places are bytes of its text, in order.
pub(super) struct Outline {
    /// Headings with text: where each starts, and its level.
    headings: Vec<(usize, usize)>,
    /// Lines that are a label of something or end lists, folded.
    labels: Vec<(usize, String)>,
    /// List entries with text.
    items: Vec<(NodeId, Range<usize>)>,
    /// Where the text ends.
    end: usize,
}

impl Outline {
    pub(super) fn of(page: &Page) -> Self {
        let mut headings = Vec::new();
        for (at, tag) in ["h1", "h2", "h3", "h4", "h5", "h6"].iter().enumerate() {
            let ranges = page.elements(tag).map(|node| page.text_range(node)).filter(|range| !range.is_empty());
            headings.extend(ranges.map(|range| (range.start, at + 1)));
        }
        headings.sort_unstable();
        let short = lines(page.text(), 0).filter(|line| line.len() <= MAX_LABEL);
        let labels = short.map(|line| (line.start, label(page.text().get(line).unwrap_or(""))));
        let items = page.elements("li").map(|node| (node, page.text_range(node)));
        Self {
            headings,
            labels: labels.filter(|(_, label)| is_label(label) || ends_lists(label)).collect(),
            items: items.filter(|(_, range)| !range.is_empty()).collect(),
            end: page.text().len(),
        }
    }

    /// The list entries that start at `from` or below.
    pub(super) fn items_from(&self, from: usize) -> impl Iterator<Item = &(NodeId, Range<usize>)> {
        let first = self.items.partition_point(|(_, range)| range.start < from);
        self.items.iter().skip(first)
    }

    /// Where the part of the page under a label ends: at the next label of something else, or the next heading as high.
    pub(super) fn end_of_part(&self, from: usize, level: Option<u8>, labels: &[String], effort: &Effort<'_>) -> usize {
        let highest = usize::from(level.unwrap_or(4)).min(6);
        let first = self.headings.partition_point(|(start, _)| *start < from);
        let mut below = effort.each(self.headings.iter().skip(first));
        let end = below.find(|(_, level)| *level <= highest).map_or(self.end, |(start, _)| *start);
        let first = self.labels.partition_point(|(start, _)| *start <= from);
        let below = self.labels.iter().skip(first).take_while(|(start, _)| *start < end);
        let other = effort.each(below).find(|(_, label)| !labels.contains(label));
        other.map_or(end, |(start, _)| *start)
    }
}
