//! Tables as records: one a data table, each text with its place.

use super::super::{Draft, DraftRecord};
use super::effort::{Effort, cut_short};
use crate::evidence::{MAX_QUOTE, quotable};
use crate::facts::tables::{Grid, Quoted, tables};
use crate::page::Page;
use crate::shape::Shape;
use atlas_schema::{Evidence, JsonPointer, Source, Span, Verified, Warning};
use serde_json::{Map, Value};

/// The `kind` in a schema's `x-atlas` keyword that asks for tables.
const KIND: &str = "table";

/// Whether the schema's records are tables.
pub(super) fn wanted(shape: &Shape) -> bool {
    shape.node(shape.root()).hints.kind.as_deref() == Some(KIND)
}

/// One record for each table that holds data, with the fields `caption`, `header` and `rows` as far as the schema has them.
///
/// A table with a text too long to be quoted is left out whole: without one of its cells the others would move.
pub(super) fn draft(page: &Page, shape: &Shape, effort: &Effort<'_>) -> Draft {
    let has = |name: &str| shape.fields(shape.root()).iter().any(|field| field.name == name);
    let wants = Wants { caption: has("caption"), header: has("header"), rows: has("rows") };
    let mut draft = Draft::default();
    let grids = tables(page);
    if grids.iter().any(|grid| grid.truncated) {
        draft.warnings.push(cut_short(
            "the page's tables have more cells than are read of one page, or cells that span too many others: rows or \
             columns were left out",
        ));
    }
    for grid in grids.iter().filter(|grid| grid.is_data) {
        // A table without some of its rows is not begun.
        if !effort.spend(STEPS_A_CELL * grid.width() * grid.height()) {
            break;
        }
        let record = record(page, grid, &wants);
        if record.evidence.iter().all(|(_, piece)| quotable(&piece.quote)) {
            draft.records.push(record);
        } else {
            draft.warnings.push(Warning {
                code: "value_too_long".into(),
                pointer: None,
                message: format!(
                    "a table with a text of over {MAX_QUOTE} characters was left out: it cannot be quoted"
                ),
            });
        }
    }
    draft.warnings.extend(effort.warning());
    draft
}

/// What one cell costs, in steps.
const STEPS_A_CELL: usize = 20;

#[allow(clippy::struct_excessive_bools)] // One for each field of the record.
struct Wants {
    caption: bool,
    header: bool,
    rows: bool,
}

fn record(page: &Page, grid: &Grid, wants: &Wants) -> DraftRecord {
    let record = grid.record(page);
    let mut draft = DraftRecord::default();
    let mut map = Map::new();
    let root = JsonPointer::root();
    if let Some(caption) = record.caption.filter(|_| wants.caption) {
        map.insert("caption".into(), text(page, grid, caption, &root.key("caption"), &mut draft));
    }
    let list = |texts: Vec<Quoted>, at: &JsonPointer, draft: &mut DraftRecord| {
        let texts = texts.into_iter().enumerate();
        texts.map(|(index, quoted)| text(page, grid, quoted, &at.index(index), draft)).collect::<Vec<_>>()
    };
    if wants.header {
        let texts = if grid.header_rows > 0 { record.header } else { Vec::new() };
        let header = list(texts, &root.key("header"), &mut draft);
        map.insert("header".into(), Value::Array(header));
    }
    if wants.rows {
        let at = root.key("rows");
        let rows = record.rows.into_iter().enumerate();
        let rows: Vec<Value> = rows.map(|(index, row)| Value::Array(list(row, &at.index(index), &mut draft))).collect();
        map.insert("rows".into(), Value::Array(rows));
    }
    draft.data = Value::Object(map);
    draft
}

/// A text as a value, its evidence noted. An empty one is seen too: nothing stands in its cell.
fn text(page: &Page, grid: &Grid, quoted: Quoted, at: &JsonPointer, draft: &mut DraftRecord) -> Value {
    let node = quoted.node.unwrap_or(grid.node);
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let mut spans: Vec<Span> =
        quoted.spans.iter().map(|span| Span { start: offset(span.start), end: offset(span.end) }).collect();
    if spans.is_empty() {
        let start = offset(page.text_range(node).start);
        spans.push(Span { start, end: start });
    }
    let evidence = Evidence {
        source: Source::VisibleText {},
        document: 0,
        node: Some(node.index()),
        spans,
        quote: quoted.text.clone(),
        transform: None,
        verified: Verified::default(),
    };
    draft.evidence.push((at.clone(), evidence));
    Value::String(quoted.text)
}
