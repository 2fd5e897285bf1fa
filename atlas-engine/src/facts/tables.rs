//! Tables: every `<table>` of a page as a grid of cells.
//!
//! A grid is formed as the HTML standard says (4.9.12 "Processing model"): a cell that spans rows and columns stands in every
//! slot it covers, `<tfoot>` comes last, tables within a cell are grids of their own. On top of that stands what readers
//! do without thinking: rows of headings are found and joined, full-width titles and notes are no rows of data,
//! footnote marks are no part of a cell. What is hidden on the page is not in the grid.
//!
//! Whether a table holds data or only arranges the page is judged by [`Grid::is_data`]; all tables are given.

mod form;
mod head;
mod marks;

use crate::page::{NodeId, Page};
use std::ops::Range;
use std::sync::Arc;

/// A table as rows and columns.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Grid {
    /// The table element.
    pub node: NodeId,
    /// The caption, if one is shown.
    pub caption: Option<NodeId>,
    /// How many of the first rows head the columns.
    pub header_rows: usize,
    /// Whether the table holds data; otherwise it arranges the page, or is empty.
    pub is_data: bool,
    /// Whether rows or columns were left out to stay within memory: the page's tables have more than 100,000 slots,
    /// 25,000 of them through spans, or spans repeat more than 4 MiB of text.
    pub truncated: bool,
    cells: Vec<Cell>,
    /// Rows of equal length; `None` where no cell stands.
    rows: Vec<Vec<Option<u32>>>,
    marks: Arc<[Range<usize>]>,
}

/// A cell, wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cell {
    /// The `td` or `th` element.
    pub node: NodeId,
    /// Whether it is a `th`.
    pub is_header: bool,
}

/// A text with its place: the parts of the visible text that it consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quoted {
    /// The parts, joined by one blank.
    pub text: String,
    /// Bytes of [`Page::text`], in order, none empty.
    pub spans: Vec<Range<usize>>,
    /// The element that holds it.
    pub node: Option<NodeId>,
}

/// A table of data as one record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The caption.
    pub caption: Option<Quoted>,
    /// One heading a column; several rows of headings are joined by a blank.
    pub header: Vec<Quoted>,
    /// The rows below, each as long as the header. A slot without a cell or text is an empty text without spans.
    pub rows: Vec<Vec<Quoted>>,
}

/// All tables of the page, in document order, the ones inside cells too.
pub fn tables(page: &Page) -> Vec<Grid> {
    let nodes: Vec<NodeId> = page.elements("table").collect();
    if nodes.is_empty() {
        return Vec::new();
    }
    let marks: Arc<[Range<usize>]> = marks::find(page).into();
    let mut budget = form::Budget::default();
    let grid = |(index, node): (usize, &NodeId)| {
        // Tables are in document order, so the first one inside would come next.
        let nests = nodes.get(index + 1).is_some_and(|next| page.contains(*node, *next));
        grid(page, *node, nests, &marks, &mut budget)
    };
    nodes.iter().enumerate().map(grid).collect()
}

fn grid(page: &Page, node: NodeId, nests: bool, marks: &Arc<[Range<usize>]>, budget: &mut form::Budget) -> Grid {
    let formed = form::form(page, node, budget);
    let mut grid = Grid {
        node,
        caption: formed.caption.filter(|caption| !page.text_range(*caption).is_empty()),
        header_rows: 0,
        is_data: false,
        truncated: formed.truncated,
        cells: formed.cells,
        rows: formed.rows,
        marks: Arc::clone(marks),
    };
    head::refine(page, &mut grid, formed.head_rows);
    grid.is_data = head::is_data(page, &grid, nests);
    grid
}

impl Grid {
    /// How many rows there are, headings included.
    pub fn height(&self) -> usize {
        self.rows.len()
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.rows.first().map_or(0, Vec::len)
    }

    /// The cell in a slot; several slots may have the same one.
    pub fn cell(&self, row: usize, column: usize) -> Option<&Cell> {
        let index = *self.rows.get(row)?.get(column)?;
        self.cells.get(usize::try_from(index?).ok()?)
    }

    /// The text in a slot, without footnote marks; empty if there is none.
    pub fn quoted(&self, page: &Page, row: usize, column: usize) -> Quoted {
        self.cell(row, column).map(|cell| self.read(page, cell.node)).unwrap_or_default()
    }

    /// The heading of a column: the different cells of the heading rows above it, from the top.
    pub fn heading(&self, page: &Page, column: usize) -> Quoted {
        let mut seen: Vec<u32> = Vec::new();
        let mut heading = Quoted::default();
        for row in self.rows.iter().take(self.header_rows) {
            let Some(index) = row.get(column).copied().flatten().filter(|index| !seen.contains(index)) else {
                continue;
            };
            seen.push(index);
            let Some(cell) = usize::try_from(index).ok().and_then(|index| self.cells.get(index)) else { continue };
            heading.append(self.read(page, cell.node));
        }
        heading
    }

    /// The table as a record, with the place of each text.
    pub fn record(&self, page: &Page) -> Record {
        let columns = 0..self.width();
        let row = |row: usize| columns.clone().map(|column| self.quoted(page, row, column)).collect();
        Record {
            caption: self.caption.map(|caption| self.read(page, caption)).filter(|caption| !caption.text.is_empty()),
            header: columns.clone().map(|column| self.heading(page, column)).collect(),
            rows: (self.header_rows..self.height()).map(row).collect(),
        }
    }

    fn read(&self, page: &Page, node: NodeId) -> Quoted {
        Quoted::without(page, node, &self.marks)
    }
}

impl Quoted {
    /// The lines of a node's visible text, as they are.
    pub(super) fn of(page: &Page, node: NodeId) -> Self {
        Self::without(page, node, &[])
    }

    /// The lines of a node's visible text without what `marks` (in order) covers.
    fn without(page: &Page, node: NodeId, marks: &[Range<usize>]) -> Self {
        let range = page.text_range(node);
        let mut quoted = Self { node: Some(node), ..Self::default() };
        let mut from = range.start;
        let first = marks.partition_point(|mark| mark.end <= range.start);
        for mark in marks.get(first..).unwrap_or_default().iter().take_while(|mark| mark.start < range.end) {
            quoted.push_lines(page.text(), from..mark.start.max(from));
            from = mark.end.min(range.end).max(from);
        }
        quoted.push_lines(page.text(), from..range.end);
        quoted
    }

    fn push_lines(&mut self, text: &str, range: Range<usize>) {
        let mut start = range.start;
        for line in text.get(range).unwrap_or_default().split(['\n', '\t']) {
            let lead = line.len() - line.trim_start().len();
            let inner = line.trim();
            if !inner.is_empty() {
                self.push(inner, start + lead..start + lead + inner.len());
            }
            start += line.len() + 1;
        }
    }

    fn push(&mut self, part: &str, span: Range<usize>) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(part);
        self.spans.push(span);
    }

    /// Adds another text after this one. A text may stand before it on the page.
    fn append(&mut self, other: Self) {
        if self.spans.is_empty() {
            *self = other;
        } else if !other.spans.is_empty() {
            self.text.push(' ');
            self.text.push_str(&other.text);
            self.spans.extend(other.spans);
        }
    }
}
