//! Results for a terminal: per page its fields, the quote behind each, where it stands, and what was tried.
//! Tables are shown as tables.

use crate::grid::{self, Grid};
use crate::outcome::{self, Done, State};
use crate::plain::{self, field};
use atlas_schema::{Evidence, ExtractionResult, Source};
use comfy_table::{ContentArrangement, Table};
use serde_json::Value;
use std::fmt::Write;

/// Lists longer than this are cut, and say so.
const ITEMS: usize = 4;

/// Wider than this, results are a table; narrower, a list.
const NARROW: u16 = 80;
/// The width of a table that nobody looks at in a terminal.
const WIDE: u16 = 140;

/// The columns of the terminal that standard output goes to, if it does.
pub(crate) fn terminal_width() -> Option<u16> {
    let table = Table::new();
    if table.is_tty() { table.width() } else { None }
}

/// All pages as text, for that many columns.
pub(crate) fn render(done: &[Done], width: Option<u16>) -> String {
    let width = width.unwrap_or(WIDE);
    let mut out = String::new();
    for page in done.iter().filter(|page| !matches!(page.state, State::Waiting { .. })) {
        let _ = writeln!(out, "{}", heading(page));
        if let Some(result) = page.data() {
            let grids = grid::find(result);
            let rows = rows(result, &grids);
            if !rows.is_empty() {
                let _ = writeln!(out, "{}", if width < NARROW { list(&rows) } else { fields(rows, width).to_string() });
            }
            for grid in grids {
                let _ = writeln!(out, "{}", grid.render((width >= NARROW).then_some(width)));
                let _ = writeln!(out, "  {}", grid.evidence(result));
            }
            // What a partial record lacks is said in one line below.
            for warning in result.warnings.iter().filter(|warning| warning.code != "required_missing") {
                let at = warning.pointer.as_ref().map(|pointer| format!(" at {pointer}")).unwrap_or_default();
                let _ = writeln!(out, "  {}: {}", plain::line(&format!("note{at}")), plain::line(&warning.message));
            }
        }
        if let Some(problem) = page.problem().map(str::to_owned).or_else(|| page.lack()) {
            let _ = writeln!(out, "  {}", plain::line(&problem));
        }
        out.push('\n');
    }
    out
}

fn heading(page: &Done) -> String {
    let mut heading = format!("{} · {} · {}", plain::line(&page.source.label), page.source.shape.name, page.verdict());
    if let State::Result { result, reused, .. } = &page.state {
        if let Some(strategy) = &result.strategy {
            let _ = write!(heading, " · strategy {strategy}");
        }
        let others = result.attempts.iter().filter(|attempt| Some(&attempt.strategy) != result.strategy.as_ref());
        for attempt in others {
            let outcome = serde_json::to_value(attempt.outcome).unwrap_or_default();
            let _ = write!(heading, " · {} {}", attempt.strategy, outcome.as_str().unwrap_or_default());
        }
        if *reused {
            heading.push_str(" · done before");
        }
    }
    heading
}

/// Field, value, quote, and where the quote stands.
type Row = [String; 4];

fn fields(rows: Vec<Row>, width: u16) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    table.set_header(["field", "value", "evidence (quote)", "found in"]);
    table.add_rows(rows);
    table
}

fn list(rows: &[Row]) -> String {
    let mut out = String::new();
    for [field, value, quote, place] in rows {
        let _ = writeln!(out, "{field}: {value}");
        match (quote.as_str(), place.as_str()) {
            (_, "") => {}
            ("", place) => drop(writeln!(out, "    {place}")),
            (quote, place) if quote == value => drop(writeln!(out, "    word for word, {place}")),
            (quote, place) => drop(writeln!(out, "    “{quote}”, {place}")),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn rows(result: &ExtractionResult, grids: &[Grid]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let data = Value::Array(result.data.clone());
    let mut leaves = outcome::leaves(&data);
    leaves.retain(|(pointer, _)| !grids.iter().any(|grid| grid.holds(pointer)));
    let mut at = 0;
    while let Some((pointer, leaf)) = leaves.get(at) {
        let name = field(pointer.as_str(), result.data.len());
        let list = name.rsplit_once('[').map(|(list, _)| list.to_owned());
        let evidence = result.evidence.get(pointer).map_or(&[][..], Vec::as_slice);
        let best = best(evidence);
        rows.push([
            name,
            plain::short(&outcome::text(leaf), 200),
            best.map_or_else(|| "-".into(), |evidence| plain::short(&evidence.quote, 90)),
            best.map_or_else(|| "nowhere".into(), spot),
        ]);
        at += 1;
        // The rest of a long list: its first items show what it is.
        if let Some(list) = list {
            let same = |(pointer, _): &&(_, _)| in_list(pointer, &list, result.data.len());
            let rest = leaves[at..].iter().take_while(same).count();
            let shown = leaves[..at].iter().rev().take_while(same).count();
            if shown >= ITEMS && rest > 1 {
                rows.push([
                    format!("{list}[…]"),
                    format!("{rest} more (all with --format json)"),
                    String::new(),
                    String::new(),
                ]);
                at += rest;
            }
        }
    }
    rows
}

fn in_list(pointer: &atlas_schema::JsonPointer, list: &str, records: usize) -> bool {
    field(pointer.as_str(), records).rsplit_once('[').is_some_and(|(own, _)| own == list)
}

/// The sighting to show first: one that readers of the page can see.
pub(crate) fn best(evidence: &[Evidence]) -> Option<&Evidence> {
    let visible = |evidence: &&Evidence| matches!(evidence.source, Source::VisibleText {}) && evidence.verified.source;
    evidence.iter().find(visible).or_else(|| evidence.first())
}

/// Where a quote stands, in words, and whether the check found it there.
pub(crate) fn place(evidence: &Evidence) -> String {
    plain::short(&format!("{}{}", exactly(evidence), checked(evidence)), 60)
}

/// The same without pointers: a cell of a terminal is small.
fn spot(evidence: &Evidence) -> String {
    let place = match &evidence.source {
        Source::Embedded { syntax, .. } => syntax.clone(),
        Source::Derived { .. } => "computed".to_owned(),
        _ => exactly(evidence),
    };
    plain::short(&format!("{place}{}", checked(evidence)), 60)
}

fn exactly(evidence: &Evidence) -> String {
    match &evidence.source {
        Source::VisibleText {} => "visible text".to_owned(),
        Source::HiddenText {} => "hidden text".to_owned(),
        Source::Attribute { name } => format!("attribute {name}"),
        Source::Embedded { syntax, pointer } => format!("{syntax} {pointer}"),
        Source::Url {} => "the address".to_owned(),
        Source::Derived { inputs } => {
            let inputs: Vec<&str> = inputs.iter().map(atlas_schema::JsonPointer::as_str).collect();
            format!("computed from {}", inputs.join(", "))
        }
        _ => "elsewhere".to_owned(),
    }
}

fn checked(evidence: &Evidence) -> &'static str {
    match (evidence.verified.source, evidence.verified.visible, &evidence.source) {
        (false, ..) => ", not verified",
        (true, true, source) if !matches!(source, Source::VisibleText {}) => ", also visible",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_gets_a_list_in_which_nothing_is_cut_in_pieces() {
        let row = |field: &str, value: &str, quote: &str| [field, value, quote, "visible text"].map(str::to_owned);
        let text = list(&[row("price", "64.95", "$64.95"), row("name", "Firefly", "Firefly")]);
        assert_eq!(text, "price: 64.95\n    “$64.95”, visible text\nname: Firefly\n    word for word, visible text");
    }
}
