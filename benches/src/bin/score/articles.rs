//! News and blog pages: title, author and date; and pages labelled with their publication date alone.

use crate::backing::Checker;
use crate::data::{self, Part};
use crate::normalise;
use crate::run::{self, Clock, Document, Runner};
use crate::tally::{Backed, Counts, Field, Row, Score};
use anyhow::{Context, Result};
use atlas_schema::JsonPointer;
use serde_json::Value;
use url::Url;

struct Page {
    document: Document,
    label: Value,
}

/// The label's name, the field's name in the built-in type, and how the text is brought to one spelling.
type Labelled = (&'static str, &'static str, fn(&str) -> String);

const FIELDS: [Labelled; 3] = [
    ("title", "title", normalise::text),
    ("author", "authors", normalise::text),
    ("date", "date_published", |raw| normalise::day(raw).unwrap_or_else(|| normalise::text(raw))),
];

/// Scores title, author and date.
pub(crate) fn score(part: &Part, runner: &Runner) -> Result<Vec<Row>> {
    run_fields(part, runner, "article", &FIELDS)
}

/// Scores the publication date. A wrong date is a false positive only: that benchmark's way.
pub(crate) fn score_dates(part: &Part, runner: &Runner) -> Result<Vec<Row>> {
    run_fields(part, runner, "dates", &FIELDS[2..])
}

fn run_fields(part: &Part, runner: &Runner, name: &'static str, fields: &[Labelled]) -> Result<Vec<Row>> {
    let pages = load(part)?;
    let schema = run::builtin("article")?;
    run::warm_up(runner, pages.iter().map(|page| &page.document), &schema);
    let mut clock = Clock::default();
    let mut all = Field::default();
    let mut scores: Vec<Field> = fields.iter().map(|_| Field::default()).collect();
    for Page { document, label } in &pages {
        let extracted = runner.run(document, &schema, &mut clock);
        let checker = extracted.as_ref().map(Checker::new);
        let (mut sum, mut backing_sum) = (Counts::default(), Backed::default());
        for ((labelled, field, spell), scores) in fields.iter().zip(&mut scores) {
            let label = label.get(labelled).and_then(Value::as_str).filter(|label| !label.trim().is_empty());
            let record = extracted.as_ref().and_then(|extracted| extracted.result.data.first()?.get(field));
            let backed = match (&checker, record) {
                (Some(checker), Some(value)) => checker.check(&JsonPointer::root().index(0).key(field), value),
                _ => Backed::default(),
            };
            let found = record.and_then(text).map(|text| spell(&text));
            let right = label.is_some_and(|label| found.as_deref() == Some(&spell(label)));
            let mut counts = Counts::value(label.is_some(), found.is_some(), right);
            if name == "dates" && found.is_some() && !right {
                counts.fn_ = 0;
            }
            sum.add(counts);
            backing_sum.add(backed);
            scores.push(&document.group, Score { counts, exact: label.map(|_| counts.tp == 1), backed });
        }
        let exact = Some(sum.fp == 0 && sum.fn_ == 0);
        all.push(&document.group, Score { counts: sum, exact, backed: backing_sum });
    }
    clock.report(name, "default");
    let mut rows = vec![all.row(name, "default", "all", clock.rate())];
    rows.extend(fields.iter().zip(&scores).map(|((label, ..), field)| field.row(name, "default", label, None)));
    Ok(rows)
}

fn load(part: &Part) -> Result<Vec<Page>> {
    let labels = data::json(&part.dir.join("labels.json"))?;
    let labels = labels.as_array().context("labels.json is not a list")?;
    let mut pages = Vec::new();
    for label in labels {
        let file = label.get("file").and_then(Value::as_str).context("a label names no file")?;
        let url = label.get("url").and_then(Value::as_str).unwrap_or("https://example.org/");
        let url = Url::parse(url).with_context(|| format!("the label of {file} has no address"))?;
        let group = url.host_str().unwrap_or(file).to_owned();
        let document = Document { group, url, bytes: data::page(&part.dir.join(file))? };
        pages.push(Page { document, label: label.clone() });
    }
    Ok(pages)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Array(items) => {
            let texts: Vec<String> = items.iter().filter_map(text).collect();
            (!texts.is_empty()).then(|| texts.join(", "))
        }
        _ => None,
    }
}
