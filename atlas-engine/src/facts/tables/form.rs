//! Forming the grid: which cell covers which slot.

use super::Cell;
use crate::page::{NodeId, Page};

/// Slots of all the tables of one page, since each becomes a value with its evidence, of some kilobytes where a result
/// is stored. The largest page measured has 5,800.
const MAX_SLOTS: usize = 100_000;
/// Slots that a cell above or before reaches into: a few bytes of spans can make any number of them.
const MAX_SPANNED: usize = 25_000;
/// Bytes of text that spans may repeat, for the same reason.
const MAX_REPEATED: usize = 4 << 20;
/// The HTML standard's limits of `colspan` and `rowspan`.
const MAX_COLSPAN: usize = 1_000;
const MAX_ROWSPAN: usize = 65_534;

/// What the tables of one page may still take up.
pub(super) struct Budget {
    slots: usize,
    spanned: usize,
    repeated: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { slots: MAX_SLOTS, spanned: MAX_SPANNED, repeated: MAX_REPEATED }
    }
}

pub(super) struct Formed {
    pub(super) caption: Option<NodeId>,
    pub(super) cells: Vec<Cell>,
    pub(super) rows: Vec<Vec<Option<u32>>>,
    /// How many of the first rows stand in a `thead`.
    pub(super) head_rows: usize,
    pub(super) truncated: bool,
}

/// A cell that reaches into rows below.
#[derive(Clone, Copy)]
struct Reach {
    cell: u32,
    rows: usize,
}

pub(super) fn form(page: &Page, table: NodeId, budget: &mut Budget) -> Formed {
    let mut formed = Formed { caption: None, cells: Vec::new(), rows: Vec::new(), head_rows: 0, truncated: false };
    let mut groups: Vec<(Vec<NodeId>, bool)> = Vec::new();
    let mut feet: Vec<Vec<NodeId>> = Vec::new();
    let mut loose: Vec<NodeId> = Vec::new();
    for child in page.children(table) {
        let rows = || page.children(child).filter(|row| is_row(page, *row)).collect::<Vec<_>>();
        match page.tag(child) {
            Some("caption") if formed.caption.is_none() => formed.caption = Some(child),
            Some("tr") if is_row(page, child) => loose.push(child),
            Some(group @ ("thead" | "tbody" | "tfoot")) if !page.is_hidden(child) => {
                if !loose.is_empty() {
                    groups.push((std::mem::take(&mut loose), false));
                }
                if group == "tfoot" { feet.push(rows()) } else { groups.push((rows(), group == "thead")) }
            }
            _ => {}
        }
    }
    groups.push((loose, false));
    groups.extend(feet.into_iter().map(|rows| (rows, false)));
    for (rows, head) in groups {
        let first = formed.rows.len();
        group(page, &rows, budget, &mut formed);
        if head && first == formed.head_rows {
            formed.head_rows = formed.rows.len();
        }
    }
    square(budget, &mut formed);
    formed
}

fn is_row(page: &Page, node: NodeId) -> bool {
    page.tag(node) == Some("tr") && !page.is_hidden(node)
}

/// Cells do not reach beyond their group of rows.
fn group(page: &Page, rows: &[NodeId], budget: &mut Budget, formed: &mut Formed) {
    let mut reaches: Vec<Option<Reach>> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let below = rows.len() - index;
        let mut slots: Vec<Option<u32>> = Vec::new();
        for column in 0..reaches.len() {
            place(&mut slots, column, carry(&mut reaches, column));
        }
        let mut column = 0;
        for node in page.children(*row).filter(|node| is_cell(page, *node)) {
            while slots.get(column).is_some_and(Option::is_some) {
                column += 1;
            }
            let mut columns = span(page, node, "colspan").unwrap_or(1).clamp(1, MAX_COLSPAN);
            let mut deep = match span(page, node, "rowspan") {
                Some(0) => below,
                Some(rows) => rows.min(MAX_ROWSPAN).min(below),
                None => 1,
            };
            let repeated = page.text_range(node).len().saturating_mul(columns * deep - 1);
            if repeated > budget.repeated {
                (columns, deep) = (1, 1);
                formed.truncated = true;
            } else {
                budget.repeated -= repeated;
            }
            let spanned = columns * deep - 1;
            if spanned > budget.spanned {
                // Its row and those below would not stand in their columns.
                formed.truncated = true;
                return;
            }
            budget.spanned -= spanned;
            if column + columns > budget.slots {
                formed.truncated = true;
                break;
            }
            let cell = u32::try_from(formed.cells.len()).unwrap_or(u32::MAX);
            formed.cells.push(Cell { node, is_header: page.tag(node) == Some("th") });
            for slot in column..column + columns {
                if slots.get(slot).is_some_and(Option::is_some) {
                    // Overlapping spans: the cell from above keeps its slot.
                    continue;
                }
                place(&mut slots, slot, Some(cell));
                if deep > 1 {
                    if reaches.len() <= slot {
                        reaches.resize(slot + 1, None);
                    }
                    if let Some(reach) = reaches.get_mut(slot) {
                        *reach = Some(Reach { cell, rows: deep - 1 });
                    }
                }
            }
            column += columns;
        }
        if slots.len() > budget.slots {
            formed.truncated = true;
            return;
        }
        budget.slots -= slots.len();
        formed.rows.push(slots);
    }
}

/// The cell that reaches into the slot from above.
fn carry(reaches: &mut [Option<Reach>], column: usize) -> Option<u32> {
    let reach = reaches.get_mut(column)?;
    let cell = reach.as_ref()?.cell;
    *reach = reach.filter(|reach| reach.rows > 1).map(|reach| Reach { rows: reach.rows - 1, ..reach });
    Some(cell)
}

fn place(slots: &mut Vec<Option<u32>>, column: usize, cell: Option<u32>) {
    if slots.len() <= column {
        slots.resize(column + 1, None);
    }
    if let Some(slot) = slots.get_mut(column) {
        *slot = cell;
    }
}

/// `display: none` leaves a cell no slot; other ways to hide leave it one without text.
fn is_cell(page: &Page, node: NodeId) -> bool {
    let gone = || {
        let style = page.attr(node, "style").unwrap_or_default().to_ascii_lowercase();
        page.attr(node, "hidden").is_some() || style.replace(' ', "").contains("display:none")
    };
    matches!(page.tag(node), Some("td" | "th")) && !(page.is_hidden(node) && gone())
}

/// Reads the attribute as the standard's "rules for parsing non-negative integers" do: digits at the start count.
fn span(page: &Page, node: NodeId, name: &str) -> Option<usize> {
    let value = page.attr(node, name)?.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
    let value = value.strip_prefix('+').unwrap_or(value);
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let digits = value.get(..end).filter(|digits| !digits.is_empty())?;
    // More digits than a number holds is more than any limit.
    Some(digits.parse().unwrap_or(usize::MAX))
}

/// Makes all rows as long as the longest, if the budget allows it.
fn square(budget: &mut Budget, formed: &mut Formed) {
    let width = formed.rows.iter().map(Vec::len).max().unwrap_or_default();
    for index in 0..formed.rows.len() {
        let Some(row) = formed.rows.get_mut(index) else { return };
        let missing = width - row.len();
        if missing > budget.slots {
            formed.rows.truncate(index);
            formed.truncated = true;
            return;
        }
        budget.slots -= missing;
        row.resize(width, None);
    }
}
