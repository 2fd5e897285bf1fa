//! The page's texts, and the way between them and the nodes.

use std::ops::Range;

use super::layout::{Flow, Piece};
use super::{NodeId, Page};

/// A stretch of a page's text and where it came from: `text` bytes `visible` are bytes `raw` of [`Page::raw_text`] of
/// `node`, one for one; white space there may be another character here (a line break became a blank).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// Bytes of [`Page::text`].
    pub visible: Range<usize>,
    /// The text node.
    pub node: NodeId,
    /// Bytes of the node's own characters.
    pub raw: Range<usize>,
}

impl Page {
    /// The visible text, made on first use.
    ///
    /// White space is collapsed, each block and each line break begins a line (`\n`), table cells are parted by a tab and
    /// other boxes by a blank; there are no empty lines and no white space around lines, except within `pre`. No-break
    /// spaces stay. Characters nobody sees (soft hyphen, zero-width space) are left out. `<title>` is not in it: it is no
    /// part of what is laid out, so it stands in [`Page::hidden_text`].
    pub fn text(&self) -> &str {
        &self.layout().visible.text
    }

    /// The part of [`Page::text`] that the node's subtree covers, without white space at either end.
    ///
    /// Empty if it shows none; then it stands where its text would be. A node's range lies within its parent's, and
    /// ranges of siblings follow each other.
    pub fn text_range(&self, id: NodeId) -> Range<usize> {
        let layout = self.layout();
        let end = self.node(id).map_or(id.0, |node| node.end);
        let before =
            |id: u32| layout.before.get(id as usize).map_or(layout.visible.pieces.len(), |count| *count as usize);
        covered(&layout.visible, before(id.0), before(end))
    }

    /// The visible text of the node's subtree: [`Page::text`] at [`Page::text_range`].
    pub fn text_of(&self, id: NodeId) -> &str {
        self.text().get(self.text_range(id)).unwrap_or_default()
    }

    /// The text that no reader sees, laid out like [`Page::text`]: hidden elements, templates, the `<title>`, invisible
    /// characters. Code and markup (`script`, `style`, `noscript`) is not text and in neither.
    pub fn hidden_text(&self) -> &str {
        &self.layout().hidden.text
    }

    /// The part of [`Page::hidden_text`] that the node's subtree covers; as [`Page::text_range`].
    pub fn hidden_range(&self, id: NodeId) -> Range<usize> {
        let flow = &self.layout().hidden;
        let end = self.node(id).map_or(id.0, |node| node.end);
        covered(flow, flow.pieces_before(id.0), flow.pieces_before(end))
    }

    /// The text node that produced the byte of [`Page::text`] at `offset`; `None` past the end and for the line breaks,
    /// tabs and blanks that stand between boxes.
    pub fn node_at(&self, offset: usize) -> Option<NodeId> {
        node_at(&self.layout().visible, offset)
    }

    /// As [`Page::node_at`], for [`Page::hidden_text`].
    pub fn hidden_node_at(&self, offset: usize) -> Option<NodeId> {
        node_at(&self.layout().hidden, offset)
    }

    /// Where `range` of [`Page::text`] came from, in order. Separators between boxes came from no node, so they are in no
    /// run; everything else is in exactly one.
    pub fn runs(&self, range: Range<usize>) -> impl Iterator<Item = Run> {
        let pieces = &self.layout().visible.pieces;
        let first = pieces.partition_point(|piece| piece.range().end <= range.start);
        pieces.get(first..).unwrap_or_default().iter().map_while(move |piece| clip(piece, &range))
    }

    /// Where bytes `raw` of a text node's own characters are seen in [`Page::text`]: empty for what is not shown, several
    /// pieces where white space was collapsed in between. The way back from [`Page::runs`].
    pub fn visible_spans(&self, node: NodeId, raw: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let pieces = &self.layout().visible.pieces;
        let first = pieces.partition_point(|piece| piece.node < node.0);
        pieces.get(first..).unwrap_or_default().iter().take_while(move |piece| piece.node == node.0).filter_map(
            move |piece| {
                let start = raw.start.max(piece.raw as usize);
                let end = raw.end.min((piece.raw + piece.len) as usize);
                let shift = |at: usize| at - piece.raw as usize + piece.at as usize;
                (start < end).then(|| shift(start)..shift(end))
            },
        )
    }
}

/// What pieces `first..end` cover, without white space at its ends.
fn covered(flow: &Flow, first: usize, end: usize) -> Range<usize> {
    let pieces = flow.pieces.get(first..end).unwrap_or_default();
    let (Some(head), Some(tail)) = (pieces.first(), pieces.last()) else {
        let at = flow.pieces.get(first).map_or(flow.text.len(), |next| next.at as usize);
        return at..at;
    };
    let range = head.range().start..tail.range().end;
    let text = flow.text.get(range.clone()).unwrap_or_default();
    let trimmed = text.trim_ascii_start();
    let start = range.end - trimmed.len();
    start..start + trimmed.trim_ascii_end().len()
}

fn node_at(flow: &Flow, offset: usize) -> Option<NodeId> {
    let at = flow.pieces.partition_point(|piece| piece.range().end <= offset);
    flow.pieces.get(at).filter(|piece| piece.range().contains(&offset)).map(|piece| NodeId(piece.node))
}

fn clip(piece: &Piece, range: &Range<usize>) -> Option<Run> {
    let visible = piece.range().start.max(range.start)..piece.range().end.min(range.end);
    let raw = piece.raw as usize + visible.start - piece.range().start;
    (visible.start < visible.end).then(|| Run { raw: raw..raw + visible.len(), node: NodeId(piece.node), visible })
}
