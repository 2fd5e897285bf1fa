//! Recipe pages: every field of the built-in recipe type against the labels, with the markup and without it.
//!
//! A field's own row counts list items one by one (`f1`) and whole lists (`exact`). In the rows `core5` and `all` each
//! field counts once a page, and a list is right when every item is, in order: that is how the peer's core-5 figure of
//! .895 comes about (its title, lists taken whole, time and yields).

use crate::backing::Checker;
use crate::data::{self, Part};
use crate::normalise;
use crate::run;
use crate::run::{Clock, Document, Extracted, Runner};
use crate::tally::{Backed, Counts, Field, Row, Score};
use anyhow::Result;
use atlas_schema::JsonPointer;
use serde_json::Value;
use std::collections::BTreeMap;
use url::Url;

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    /// One text; several found ones are joined by a comma, as the labels are.
    Text,
    /// Comma-separated texts in one label, in any order.
    Words,
    List,
    Minutes,
    Number,
    Url,
    /// Names and texts.
    Entries,
}

/// The label's name, the field's name in the built-in type, the comparison, and whether it is one of the five.
const FIELDS: [(&str, &str, Compare, bool); 16] = [
    ("title", "title", Compare::Text, true),
    ("ingredients", "ingredients", Compare::List, true),
    ("instructions_list", "instructions", Compare::List, true),
    ("total_time", "total_time", Compare::Minutes, true),
    ("yields", "yields", Compare::Text, true),
    ("prep_time", "prep_time", Compare::Minutes, false),
    ("cook_time", "cook_time", Compare::Minutes, false),
    ("author", "author", Compare::Text, false),
    ("description", "description", Compare::Text, false),
    ("image", "image", Compare::Url, false),
    ("category", "category", Compare::Words, false),
    ("cuisine", "cuisine", Compare::Words, false),
    ("keywords", "keywords", Compare::List, false),
    ("ratings", "rating", Compare::Number, false),
    ("ratings_count", "rating_count", Compare::Number, false),
    ("nutrients", "nutrients", Compare::Entries, false),
];

struct Page {
    document: Document,
    label: Value,
}

/// Scores the folder in both variants.
pub(crate) fn score(part: &Part, runner: &Runner) -> Result<Vec<Row>> {
    let pages = load(part)?;
    let schema = run::builtin("recipe")?;
    let mut rows = variant("markup", &pages, &schema, runner);
    let stripped: Vec<Page> = pages
        .into_iter()
        .filter_map(|page| Some(Page { document: Runner::stripped(&page.document)?, label: page.label }))
        .collect();
    rows.extend(variant("stripped", &stripped, &schema, runner));
    Ok(rows)
}

fn load(part: &Part) -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for host in data::folders_in(&part.dir)? {
        for path in data::labels_in(&host)? {
            let label = data::json(&path)?;
            let group = host.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let url = label.get("canonical_url").and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
            let url = match url {
                Some(url) => url,
                None => Url::parse(&format!("https://{group}/")).or_else(|_| Url::parse("https://example.org/"))?,
            };
            let document = Document { group, url, bytes: data::page_beside(&path)? };
            pages.push(Page { document, label });
        }
    }
    Ok(pages)
}

fn variant(name: &'static str, pages: &[Page], schema: &Value, runner: &Runner) -> Vec<Row> {
    run::warm_up(runner, pages.iter().map(|page| &page.document), schema);
    let mut clock = Clock::default();
    let mut fields: BTreeMap<&str, Field> = BTreeMap::new();
    let (mut core, mut all) = (Field::default(), Field::default());
    for Page { document, label } in pages {
        let extracted = runner.run(document, schema, &mut clock);
        let checker = extracted.as_ref().map(Checker::new);
        let (mut core_page, mut all_page) = (Whole::default(), Whole::default());
        for (labelled, name, compare, is_core) in FIELDS {
            let (found, backed) = found(extracted.as_ref(), checker.as_ref(), name);
            let (score, whole) =
                one(compare, label.get(labelled).unwrap_or(&Value::Null), found, backed, &document.url);
            fields.entry(labelled).or_default().push(&document.group, score);
            all_page.add(whole, backed);
            if is_core {
                core_page.add(whole, backed);
            }
        }
        core.push(&document.group, core_page.score());
        all.push(&document.group, all_page.score());
    }
    clock.report("recipes", name);
    let speed = clock.rate();
    let mut rows = vec![core.row("recipes", name, "core5", speed), all.row("recipes", name, "all", speed)];
    rows.extend(FIELDS.iter().filter_map(|(label, ..)| Some(fields.get(label)?.row("recipes", name, label, None))));
    rows
}

/// A page's fields, each counted once.
#[derive(Default)]
struct Whole {
    counts: Counts,
    backed: Backed,
}

impl Whole {
    fn add(&mut self, counts: Counts, backed: Backed) {
        self.counts.add(counts);
        self.backed.add(backed);
    }

    fn score(self) -> Score {
        let exact = Some(self.counts.fp == 0 && self.counts.fn_ == 0);
        Score { counts: self.counts, exact, backed: self.backed }
    }
}

/// The first record's field and how it is backed.
fn found<'e>(extracted: Option<&'e Extracted>, checker: Option<&Checker<'_>>, name: &str) -> (&'e Value, Backed) {
    let value = extracted.and_then(|extracted| extracted.result.data.first()?.get(name));
    match (checker, value) {
        (Some(checker), Some(value)) => (value, checker.check(&JsonPointer::root().index(0).key(name), value)),
        _ => (&Value::Null, Backed::default()),
    }
}

/// The field's own score, and its counts as one value.
fn one(compare: Compare, label: &Value, found: &Value, backed: Backed, base: &Url) -> (Score, Counts) {
    let (counts, whole) = match compare {
        Compare::List => lists(&texts(label), &texts(found)),
        Compare::Entries => lists(&entries(label), &entries(found)),
        Compare::Words => value(words(label).as_ref(), words(found).as_ref()),
        Compare::Text => value(joined(label).as_ref(), joined(found).as_ref()),
        Compare::Minutes => value(key(normalise::minutes(label)).as_ref(), key(normalise::minutes(found)).as_ref()),
        Compare::Number => value(key(as_number(label)).as_ref(), key(as_number(found)).as_ref()),
        Compare::Url => value(address(label, base).as_ref(), address(found, base).as_ref()),
    };
    let labelled = whole.tp + whole.fn_ > 0;
    let exact = labelled.then_some(whole.tp == 1);
    (Score { counts, exact, backed }, whole)
}

fn lists<T: Ord>(label: &[T], found: &[T]) -> (Counts, Counts) {
    let whole = Counts::value(!label.is_empty(), !found.is_empty(), label == found);
    (Counts::items(label, found), whole)
}

fn value<T: PartialEq>(label: Option<&T>, found: Option<&T>) -> (Counts, Counts) {
    let whole = Counts::value(label.is_some(), found.is_some(), label == found);
    (whole, whole)
}

fn texts(value: &Value) -> Vec<String> {
    let text = |item: &Value| plain(item).map(|text| normalise::text(&text)).filter(|text| !text.is_empty());
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        item => text(item).into_iter().collect(),
    }
}

fn joined(value: &Value) -> Option<String> {
    let texts = texts(value);
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn words(value: &Value) -> Option<Vec<String>> {
    let joined = joined(value)?;
    let mut words: Vec<String> = joined.split(',').map(normalise::text).filter(|word| !word.is_empty()).collect();
    words.sort();
    Some(words)
}

fn entries(value: &Value) -> Vec<(String, String)> {
    let Value::Object(fields) = value else { return Vec::new() };
    let mut entries: Vec<_> = fields
        .iter()
        .filter_map(|(key, value)| Some((normalise::letters(key), normalise::text(&plain(value)?))))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    entries.sort();
    entries
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Object(fields) => plain(fields.get("text").or_else(|| fields.get("name"))?),
        _ => None,
    }
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| normalise::number(value.as_str()?))
}

/// Numbers that print alike with four decimals are the same number.
fn key(number: Option<f64>) -> Option<String> {
    number.map(|number| format!("{number:.4}"))
}

fn address(value: &Value, base: &Url) -> Option<String> {
    let text = match value {
        Value::Array(items) => plain(items.first()?)?,
        other => plain(other)?,
    };
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    Some(base.join(text).map_or_else(|_| text.to_owned(), |url| url.as_str().to_owned()))
}
