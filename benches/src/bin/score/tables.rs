//! Pages with one labelled table: cells as (row, column, text), letters and digits only, header rows first.
//!
//! Cells without a letter or digit count on neither side. `exact` in the row `all` is the share of tables whose cells are
//! all right; the row `shape` tells in how many the numbers of rows and columns are.

use crate::backing::Checker;
use crate::data::{self, Part};
use crate::normalise;
use crate::run::builtin;
use crate::run::{self, Clock, Document, Extracted, Runner};
use crate::tally::{Backed, Counts, Field, Row, Score};
use anyhow::{Context, Result};
use atlas_engine::page::{NodeId, Page};
use atlas_schema::JsonPointer;
use serde_json::Value;
use std::path::PathBuf;
use url::Url;

type Cell = (usize, usize, String);

struct Labelled {
    document: Document,
    index: usize,
    rows: Vec<Vec<String>>,
}

/// Scores the folder: `2NN/ID.json` with a table file and a page beside it.
pub(crate) fn score(part: &Part, runner: &Runner) -> Result<Vec<Row>> {
    let pages = load(part)?;
    let schema = builtin("table")?;
    run::warm_up(runner, pages.iter().map(|page| &page.document), &schema);
    let mut clock = Clock::default();
    let (mut all, mut shape) = (Field::default(), Field::default());
    for page in &pages {
        let extracted = runner.run(&page.document, &schema, &mut clock);
        let found = extracted.as_ref().and_then(|extracted| record(extracted, page.index));
        let (rows, backed) = found.unwrap_or_default();
        let (label, cells) = (cells(&page.rows), cells(&rows));
        let counts = Counts::items(&label, &cells);
        let exact = Some(counts.fp == 0 && counts.fn_ == 0);
        all.push(&page.document.group, Score { counts, exact, backed });
        let same = size(&page.rows) == size(&rows);
        let counts = Counts::value(true, !rows.is_empty(), same);
        shape.push(&page.document.group, Score { counts, exact: Some(same), backed: Backed::default() });
    }
    clock.report("tables", "default");
    let rows = [all.row("tables", "default", "all", clock.rate()), shape.row("tables", "default", "shape", None)];
    Ok(rows.into())
}

fn load(part: &Part) -> Result<Vec<Labelled>> {
    let mut labels: Vec<PathBuf> = data::labels_in(&part.dir)?;
    for folder in data::folders_in(&part.dir)? {
        labels.extend(data::labels_in(&folder)?);
    }
    let mut pages = Vec::new();
    for path in labels {
        let label = data::json(&path)?;
        let index = label.get("tableIndex").and_then(Value::as_u64).context("a table label has no tableIndex")?;
        let url = label.get("url").and_then(Value::as_str).unwrap_or("https://example.org/");
        let url = Url::parse(url)?;
        let document = Document { group: path.display().to_string(), url, bytes: data::page_beside(&path)? };
        let rows = data::table(&path.with_extension("csv"))?;
        pages.push(Labelled { document, index: usize::try_from(index)?, rows });
    }
    Ok(pages)
}

/// The record that was read from the labelled table, header rows joined, and how its cells are backed.
fn record(extracted: &Extracted, index: usize) -> Option<(Vec<Vec<String>>, Backed)> {
    let Extracted { page, result } = extracted;
    let table = page.elements("table").filter(|node| page.has_class(*node, "wikitable")).nth(index)?;
    let at = (0..result.data.len()).find(|record| {
        let own = JsonPointer::root().index(*record);
        let own = format!("{}/", own.as_str());
        let nodes = result.evidence.iter().filter(|(pointer, _)| pointer.as_str().starts_with(&own));
        let nodes = nodes.filter(|(pointer, _)| !pointer.as_str().ends_with("/caption"));
        let mut nodes =
            nodes.flat_map(|(_, evidence)| evidence).filter_map(|evidence| page.node_by_index(evidence.node?));
        nodes.next().is_some_and(|node| table_of(page, node) == Some(table))
    })?;
    let record = result.data.get(at)?;
    let pointer = JsonPointer::root().index(at);
    let checker = Checker::new(extracted);
    let mut backed = Backed::default();
    let mut rows = Vec::new();
    let header = texts(record.get("header")?);
    if !header.is_empty() {
        rows.push(header);
    }
    rows.extend(record.get("rows")?.as_array()?.iter().map(texts));
    for field in ["header", "rows"] {
        backed.add(checker.check(&pointer.key(field), record.get(field)?));
    }
    Some((rows, backed))
}

fn table_of(page: &Page, node: NodeId) -> Option<NodeId> {
    if page.tag(node) == Some("table") {
        Some(node)
    } else {
        page.ancestors(node).find(|node| page.tag(*node) == Some("table"))
    }
}

fn texts(row: &Value) -> Vec<String> {
    let text = |cell: &Value| cell.as_str().unwrap_or_default().to_owned();
    row.as_array().map(|cells| cells.iter().map(text).collect()).unwrap_or_default()
}

fn cells(rows: &[Vec<String>]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (r, row) in rows.iter().enumerate() {
        for (c, cell) in row.iter().enumerate() {
            let text = normalise::letters(cell);
            if !text.is_empty() {
                cells.push((r, c, text));
            }
        }
    }
    cells
}

fn size(rows: &[Vec<String>]) -> (usize, usize) {
    (rows.len(), rows.iter().map(Vec::len).max().unwrap_or(0))
}
