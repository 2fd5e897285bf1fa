//! Data that is a table, shown as one: a line per row or record, with a word on the evidence of all its values.

use crate::{outcome, plain};
use atlas_schema::{ExtractionResult, JsonPointer};
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;
use std::fmt::Write;

/// Rows shown of one table.
const ROWS: usize = 30;
/// Characters shown of one cell.
const CELL: usize = 120;

/// Cells in rows, and where they stand in the result.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    /// What the record says beside its table.
    title: Vec<String>,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The values in it, by the pointers they stand at or below.
    pub(crate) at: Vec<JsonPointer>,
}

/// The tables in the data: a field that is a list of lists, with the list that heads its columns, if one has as many
/// entries; or all records, when there are several and none holds anything but single values.
pub(crate) fn find(result: &ExtractionResult) -> Vec<Grid> {
    let flat = |record: &Value| record.as_object().is_some_and(|fields| fields.values().all(is_single));
    if result.data.len() > 1 && result.data.iter().all(flat) {
        return vec![records(&result.data)];
    }
    let objects = result.data.iter().enumerate().filter_map(|(at, record)| Some((at, record.as_object()?)));
    objects
        .flat_map(|(at, fields)| {
            let at = JsonPointer::root().index(at);
            let matrices = fields.iter().filter_map(|(name, value)| Some((name, matrix(value)?)));
            matrices.map(move |(name, rows)| {
                let width = rows.iter().map(Vec::len).max().unwrap_or(0);
                let head = fields.iter().find_map(|(name, value)| Some((name, row(value)?)));
                let head = head.filter(|(_, cells)| cells.len() == width);
                let mut places = vec![at.key(name)];
                places.extend(head.iter().map(|(name, _)| at.key(name)));
                let singles = fields.iter().filter(|(_, value)| is_single(value) && !value.is_null());
                places.extend(singles.clone().map(|(name, _)| at.key(name)));
                let title = singles.map(|(name, value)| format!("{}: {}", plain::line(name), text(value))).collect();
                Grid { title, header: head.map(|(_, cells)| cells).unwrap_or_default(), rows, at: places }
            })
        })
        .collect()
}

fn is_single(value: &Value) -> bool {
    !value.is_array() && !value.is_object()
}

fn text(value: &Value) -> String {
    if value.is_null() { String::new() } else { plain::short(&outcome::text(value), CELL) }
}

fn row(value: &Value) -> Option<Vec<String>> {
    let cells = value.as_array().filter(|cells| !cells.is_empty() && cells.iter().all(is_single))?;
    Some(cells.iter().map(text).collect())
}

fn matrix(value: &Value) -> Option<Vec<Vec<String>>> {
    let rows = value.as_array().filter(|rows| !rows.is_empty())?;
    rows.iter().map(row).collect()
}

fn records(data: &[Value]) -> Grid {
    let mut names: Vec<&str> = Vec::new();
    for name in data.iter().filter_map(Value::as_object).flat_map(|fields| fields.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let cells = |record: &Value| names.iter().map(|name| record.get(name).map(text).unwrap_or_default()).collect();
    Grid {
        title: Vec::new(),
        header: names.iter().map(|name| plain::line(name)).collect(),
        rows: data.iter().map(cells).collect(),
        at: vec![JsonPointer::root()],
    }
}

impl Grid {
    /// Whether a value is one of the cells.
    pub(crate) fn holds(&self, pointer: &JsonPointer) -> bool {
        let below = |at: &JsonPointer| pointer.as_str().strip_prefix(at.as_str());
        self.at.iter().any(|at| below(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// As text, for that many columns: ruled, or in a narrow terminal with bars between the cells.
    pub(crate) fn render(&self, width: Option<u16>) -> String {
        let shown = &self.rows[..self.rows.len().min(ROWS)];
        let table = if let Some(width) = width {
            let mut table = Table::new();
            table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            if !self.header.is_empty() {
                table.set_header(&self.header);
            }
            table.add_rows(shown);
            table.to_string()
        } else {
            let head = Some(&self.header).filter(|header| !header.is_empty());
            head.into_iter().chain(shown).map(|cells| cells.join(" | ")).collect::<Vec<_>>().join("\n")
        };
        let mut out = self.title.iter().map(String::as_str).chain([table.as_str()]).collect::<Vec<_>>().join("\n");
        if let Some(more) = self.rows.len().checked_sub(ROWS).filter(|more| *more > 0) {
            let _ = write!(out, "\n{more} more rows (all with --format json)");
        }
        out
    }

    /// How the cells are backed, in words.
    pub(crate) fn evidence(&self, result: &ExtractionResult) -> String {
        let data = Value::Array(result.data.clone());
        let (mut cells, mut source, mut visible) = (0, 0, 0);
        for (pointer, _) in outcome::leaves(&data).into_iter().filter(|(pointer, _)| self.holds(pointer)) {
            let evidence = result.evidence.get(&pointer).map_or(&[][..], Vec::as_slice);
            cells += 1;
            source += usize::from(evidence.iter().any(|evidence| evidence.verified.source));
            visible += usize::from(evidence.iter().any(|evidence| evidence.verified.visible));
        }
        format!(
            "{cells} values: {source} stand in their source, {visible} in visible text (quotes with --format html or json)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(data: Value) -> ExtractionResult {
        ExtractionResult { data: data.as_array().cloned().unwrap_or_default(), ..ExtractionResult::default() }
    }

    #[test]
    fn a_list_of_lists_is_a_table_under_the_list_that_fits_it() {
        let result =
            result(json!([{"caption": "Fares", "header": ["Class", "Fare"], "rows": [["First", 9.5], ["Deck"]]}]));
        let grids = find(&result);
        assert_eq!(grids.len(), 1);
        assert_eq!(grids[0].render(None), "caption: Fares\nClass | Fare\nFirst | 9.5\nDeck");
        let holds = |pointer: &str| grids[0].holds(&JsonPointer::parse(pointer).expect("a pointer"));
        assert!(holds("/0/rows/1/0") && holds("/0/header/1") && holds("/0/caption") && !holds("/0/rowsets/1"));
    }

    #[test]
    fn records_of_single_values_are_a_line_each() {
        let grids = find(&result(json!([{"name": "Tea", "price": 2}, {"name": "Mint", "stock": true}])));
        assert_eq!(grids[0].render(None), "name | price | stock\nTea | 2 | \nMint |  | true");
        assert!(find(&result(json!([{"name": "Tea"}]))).is_empty(), "one record is a list of its fields");
        assert!(find(&result(json!([{"a": ["x"]}, {"a": ["y"]}]))).is_empty());
    }
}
