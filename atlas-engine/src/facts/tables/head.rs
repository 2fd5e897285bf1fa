//! What the rows of a grid are: titles, headings, data, notes; and if the table holds data at all.

use super::Grid;
use crate::page::Page;

/// More heading rows than this are data with header cells.
const MAX_HEADER_ROWS: usize = 6;
/// Longer cells are columns of a page, not data.
const LONG_CELL: usize = 400;
/// A cell with more text than this is a part of the page; it would not fit into a quote either.
const PAGE_PART: usize = 20_000;

/// Takes away rows that are titles, sections or notes and columns without text, and counts the heading rows. `head_rows`:
/// how many come from `thead`.
pub(super) fn refine(page: &Page, grid: &mut Grid, head_rows: usize) {
    let keep: Vec<bool> =
        (0..grid.height()).map(|row| !is_empty(page, grid, row) && !is_full_width(grid, row)).collect();
    // A table of nothing but such rows is a list.
    if keep.contains(&true) {
        let mut kept = keep.iter();
        grid.rows.retain(|_| kept.next().copied().unwrap_or(true));
    }
    let head_rows = keep.iter().take(head_rows).filter(|keep| **keep).count();
    let headed = (0..grid.height()).take_while(|row| is_heading(page, grid, *row)).count();
    let count = match (head_rows, headed) {
        (0, 0) => 0,
        (0, _) => headed.max(spanned(grid)),
        _ => head_rows.max(spanned(grid)),
    };
    grid.header_rows = if count >= grid.height() || count > MAX_HEADER_ROWS { count.min(1) } else { count };
    if grid.header_rows == 0 && looks_headed(page, grid) {
        grid.header_rows = spanned(grid).max(1);
    }
    drop_columns(page, grid);
}

/// How many rows the cells of the first row reach down, if one of them is wider than a column: then the rows below split it.
fn spanned(grid: &Grid) -> usize {
    let Some(first) = grid.rows.first() else { return 0 };
    let wide = first.windows(2).any(|pair| pair[0].is_some() && pair[0] == pair[1]);
    if !wide {
        return usize::from(!first.is_empty());
    }
    let reach = |column: usize| grid.rows.iter().take_while(|row| row.get(column) == first.get(column)).count();
    let deepest = (0..first.len()).map(reach).max().unwrap_or(1);
    if deepest < grid.height() { deepest } else { 1 }
}

fn is_empty(page: &Page, grid: &Grid, row: usize) -> bool {
    (0..grid.width()).all(|column| grid.cell(row, column).is_none_or(|cell| page.text_range(cell.node).is_empty()))
}

/// One cell, or one cell and nothing else, over several columns.
fn is_full_width(grid: &Grid, row: usize) -> bool {
    let Some(slots) = grid.rows.get(row) else { return false };
    let mut cells = slots.iter().flatten();
    let first = cells.next();
    slots.len() > 1 && first.is_some() && cells.all(|cell| Some(cell) == first)
}

/// Takes away columns that hold no text below the heading: pictures, colours, marks. A cell over several columns is text of
/// the first of them, unless one of them has text of its own.
fn drop_columns(page: &Page, grid: &mut Grid) {
    let mut keep = vec![false; grid.width()];
    let tells: Vec<bool> = grid.cells.iter().map(|cell| !grid.read(page, cell.node).spans.is_empty()).collect();
    let tells = |cell: Option<&Option<u32>>| {
        cell.copied().flatten().and_then(|cell| tells.get(usize::try_from(cell).ok()?).copied()).unwrap_or(false)
    };
    let mut wide: Vec<std::ops::Range<usize>> = Vec::new();
    for row in grid.header_rows..grid.height() {
        let slots = grid.rows.get(row).map(Vec::as_slice).unwrap_or_default();
        let mut column = 0;
        for run in slots.chunk_by(|one, next| one.is_some() && one == next) {
            if tells(run.first()) {
                match keep.get_mut(column) {
                    Some(keep) if run.len() == 1 => *keep = true,
                    _ => wide.push(column..column + run.len()),
                }
            }
            column += run.len();
        }
    }
    for columns in wide {
        let kept = keep.get(columns.clone()).is_some_and(|keep| keep.contains(&true));
        if let Some(first) = keep.get_mut(columns.start).filter(|_| !kept) {
            *first = true;
        }
    }
    if !keep.contains(&true) {
        return;
    }
    for row in &mut grid.rows {
        let mut kept = keep.iter();
        row.retain(|_| kept.next().copied().unwrap_or(true));
    }
}

/// All cells with text are header cells, and there are at least two.
fn is_heading(page: &Page, grid: &Grid, row: usize) -> bool {
    let mut count = 0;
    for column in 0..grid.width() {
        match grid.cell(row, column) {
            Some(cell) if cell.is_header => count += 1,
            Some(cell) if !page.text_range(cell.node).is_empty() => return false,
            _ => {}
        }
    }
    count > 1 || (count == 1 && grid.width() == 1)
}

/// A first row without header cells that still heads: all its texts are bold, or it is followed by numbers and has none.
fn looks_headed(page: &Page, grid: &Grid) -> bool {
    if grid.height() < 2 || grid.width() < 2 {
        return false;
    }
    let has_digit = |row: usize, column: usize| {
        let cell = grid.cell(row, column);
        cell.is_some_and(|cell| page.text_of(cell.node).bytes().any(|b| b.is_ascii_digit()))
    };
    let bold = (0..grid.width()).filter_map(|column| grid.cell(0, column)).all(|cell| is_bold(page, cell.node));
    let filled =
        (0..grid.width()).all(|column| grid.cell(0, column).is_some_and(|cell| !page.text_range(cell.node).is_empty()));
    let words = filled && !(0..grid.width()).any(|column| has_digit(0, column));
    let numbers = (0..grid.width()).any(|column| {
        let rows = 1..grid.height();
        let count = rows.clone().filter(|row| has_digit(*row, column)).count();
        count * 10 >= rows.len() * 8
    });
    filled && bold || words && numbers
}

/// If all text of the cell is in one bold element.
fn is_bold(page: &Page, cell: crate::page::NodeId) -> bool {
    let whole = page.text_range(cell);
    let bold = page
        .descendants(cell)
        .take(8)
        .any(|node| matches!(page.tag(node), Some("b" | "strong")) && page.text_range(node) == whole);
    whole.is_empty() || bold
}

/// `nests`: there is a table within. Judges by what authors say (roles, captions, header cells), then by shape.
pub(super) fn is_data(page: &Page, grid: &Grid, nests: bool) -> bool {
    let role = page.attr(grid.node, "role").unwrap_or_default();
    if matches!(role, "presentation" | "none") || page.is_hidden(grid.node) || grid.height() == 0 || grid.width() == 0 {
        return false;
    }
    let cells = grid.cells.iter();
    let filled = cells.clone().filter(|cell| !page.text_range(cell.node).is_empty()).count();
    let rows = grid.height() - grid.header_rows.min(grid.height());
    if filled < 2 || rows == 0 {
        return false;
    }
    if cells.clone().any(|cell| page.text_range(cell.node).len() > PAGE_PART) {
        return false;
    }
    if grid.caption.is_some() || grid.cells.iter().any(|cell| cell.is_header) || matches!(role, "table" | "grid") {
        return !nests || grid.width() > 1 && grid.height() > 2;
    }
    let long = cells.filter(|cell| page.text_range(cell.node).len() > LONG_CELL).count();
    !nests && grid.width() > 1 && grid.height() > 1 && long * 10 <= filled
}
