//! Embedded data: what the engine reads in each syntax against the facts that are labelled.
//!
//! `field` is the syntax. Facts are no values of a record, so the columns of evidence do not apply. What the engine can't
//! read yet has its row all the same: everything is missing there.

use crate::data::{self, Part};
use crate::facts::{self, Fact, Shape};
use crate::tally::{Backed, Field, Row, Score};
use anyhow::{Context, Result};
use atlas_engine::facts::Facts;
use atlas_engine::page::{Page, ParseOptions};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use url::Url;

/// Rows of the index in these modes are left out: identifiers of nodes, and outputs that nobody has looked at.
const LEFT_OUT: [&str; 3] = ["node-ids", "uniform-node-ids", "unchecked"];

/// Open Graph's own vocabularies (<https://ogp.me>), and those of products that shops add.
const OPEN_GRAPH: [&str; 8] = ["og:", "article:", "book:", "profile:", "video:", "music:", "website:", "product:"];
const DUBLIN_CORE: [&str; 2] = ["dc.", "dcterms."];

/// One page or fragment, the syntax to read in it, and what is stated there.
struct Sample {
    group: String,
    bytes: Vec<u8>,
    base: Option<Url>,
    labels: Vec<(String, Vec<Fact>)>,
}

/// Scores the samples that one index lists, each a page and the facts of one syntax, or of all of them.
pub(crate) fn score_extruct(part: &Part) -> Result<Vec<Row>> {
    let index = data::table(&part.dir.join("INDEX.csv"))?;
    let (head, lines) = index.split_first().context("INDEX.csv is empty")?;
    let column = |name: &str| head.iter().position(|column| column.trim() == name);
    let (Some(html), Some(expected), Some(syntax)) = (column("html"), column("expected"), column("syntax")) else {
        anyhow::bail!("INDEX.csv has no columns html, expected and syntax");
    };
    let mut samples = Vec::new();
    for line in lines {
        let cell = |at: Option<usize>| at.and_then(|at| line.get(at)).map_or("", |cell| cell.trim());
        let (html, expected, syntax) = (cell(Some(html)), cell(Some(expected)), cell(Some(syntax)));
        if expected.is_empty() || LEFT_OUT.contains(&cell(column("mode"))) {
            continue;
        }
        let label = data::json(&part.dir.join(expected))?;
        let group = Path::new(html).parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        let bytes = data::page(&part.dir.join(html))?;
        let base = Url::parse(cell(column("base_url"))).ok();
        samples.push(Sample { group, bytes, base, labels: labels(&label, syntax) });
    }
    Ok(score(part.kind.name(), &samples))
}

/// A label is what one syntax says, or an object that holds it for each syntax by name.
fn labels(label: &Value, syntax: &str) -> Vec<(String, Vec<Fact>)> {
    let by_name = |name: &str| label.get(name).filter(|inner| inner.is_array());
    if syntax == "all" {
        let names = ["json-ld", "microdata", "rdfa", "opengraph", "microformat", "dublincore"];
        let each = names.into_iter().filter_map(|name| Some((name.to_owned(), of_label(by_name(name)?, name))));
        return each.collect();
    }
    vec![(syntax.to_owned(), of_label(by_name(syntax).unwrap_or(label), syntax))]
}

fn of_label(label: &Value, syntax: &str) -> Vec<Fact> {
    match syntax {
        "json-ld" | "rdfa" => facts::of_label(label, Shape::JsonLd),
        "opengraph" => label.as_array().into_iter().flatten().flat_map(open_graph).collect(),
        "dublincore" => label.as_array().into_iter().flatten().flat_map(dublin_core).collect(),
        _ => facts::of_label(label, Shape::Items),
    }
}

/// Pairs in `properties`, or flat with the type under `@type`.
fn open_graph(label: &Value) -> Vec<Fact> {
    if let Some(pairs) = label.get("properties").and_then(Value::as_array) {
        let pair = |pair: &Value| Fact::new(pair.get(0)?.as_str()?, pair.get(1)?.as_str()?);
        return pairs.iter().filter_map(pair).collect();
    }
    let flat = label.as_object().into_iter().flatten().filter(|(name, _)| *name != "@context");
    let values = |(name, value): (&String, &Value)| {
        let name = if name == "@type" { "og:type" } else { name };
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        values.iter().filter_map(|value| Fact::new(name, value.as_str()?)).collect::<Vec<_>>()
    };
    flat.flat_map(values).collect()
}

fn dublin_core(label: &Value) -> Vec<Fact> {
    let lists = ["elements", "terms"].into_iter().filter_map(|list| label.get(list)?.as_array());
    let fact = |entry: &Value| {
        let name = entry.get("name").or_else(|| entry.get("rel"))?.as_str()?;
        Fact::new(name, entry.get("content").or_else(|| entry.get("href"))?.as_str()?)
    };
    lists.flatten().filter_map(fact).collect()
}

/// Scores vocabulary examples: a name's microdata, `RDFa` and JSON-LD state the facts of one label.
pub(crate) fn score_schema_org(part: &Part) -> Result<Vec<Row>> {
    let path = part.dir.join("examples.jsonl");
    let lines = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut samples = Vec::new();
    for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let example: Value =
            serde_json::from_str(line).with_context(|| format!("line {} of examples.jsonl is not JSON", number + 1))?;
        let field = |name: &str| example.get(name).and_then(Value::as_str);
        let (Some(text), Some(syntax)) = (field("text"), field("syntax")) else {
            anyhow::bail!("line {} of examples.jsonl has no text or no syntax", number + 1);
        };
        let Some(label) = example.get("jsonld").filter(|label| !label.is_null()) else { continue };
        let syntax = if syntax == "jsonld" { "json-ld" } else { syntax };
        samples.push(Sample {
            group: field("name").unwrap_or_default().to_owned(),
            bytes: text.as_bytes().to_vec(),
            base: None,
            labels: vec![(syntax.to_owned(), facts::of_label(label, Shape::JsonLd))],
        });
    }
    Ok(score(part.kind.name(), &samples))
}

fn score(part: &'static str, samples: &[Sample]) -> Vec<Row> {
    let mut fields: BTreeMap<&str, Field> = BTreeMap::new();
    let mut all = Field::default();
    let (mut spent, mut refused) = (Duration::ZERO, 0);
    for sample in samples {
        let started = Instant::now();
        let mut options = ParseOptions::default();
        if let Some(base) = &sample.base {
            options = options.with_url(base.clone());
        }
        let page = Page::parse(&sample.bytes, &options).ok();
        let read = page.map(|page| {
            let facts = Facts::read(&page);
            (page, facts)
        });
        spent += started.elapsed();
        refused += u32::from(read.is_none());
        for (syntax, label) in &sample.labels {
            let found = read.as_ref().map(|(page, facts)| found(page, facts, syntax)).unwrap_or_default();
            let counts = facts::compare(label, &found, sample.base.as_ref());
            let exact = Some(counts.fp == 0 && counts.fn_ == 0);
            let score = Score { counts, exact, backed: Backed::default() };
            fields.entry(syntax).or_default().push(&sample.group, score);
            all.push(&sample.group, score);
        }
    }
    if refused > 0 {
        eprintln!("{part}: {refused} of {} samples were refused by the engine; they count as missing", samples.len());
    }
    let seconds = spent.as_secs_f64();
    let samples = f64::from(u32::try_from(samples.len()).unwrap_or(u32::MAX));
    let rate = (seconds > 0.0).then(|| samples / seconds);
    let mut rows = vec![all.row(part, "default", "all", rate)];
    rows.extend(fields.iter().map(|(syntax, field)| field.row(part, "default", syntax, None)));
    rows
}

fn found(page: &Page, facts: &Facts, syntax: &str) -> Vec<Fact> {
    let begins = |name: &str, vocabularies: &[&str]| vocabularies.iter().any(|one| name.starts_with(one));
    match syntax {
        "opengraph" => facts::of_meta(page, facts, |name| begins(name, &OPEN_GRAPH)),
        "dublincore" => facts::of_meta(page, facts, |name| begins(name, &DUBLIN_CORE)),
        "rdfa" => {
            let mut found = facts::of_syntax(page, facts, syntax);
            // A `property` of a meta element is RDFa too; the engine reads it once, as meta.
            for fact in facts::of_meta(page, facts, |name| begins(name, &OPEN_GRAPH)) {
                if !found.contains(&fact) {
                    found.push(fact);
                }
            }
            found
        }
        syntax => facts::of_syntax(page, facts, syntax),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Kind;

    fn row<'r>(rows: &'r [Row], field: &str) -> &'r Row {
        rows.iter().find(|row| row.field == field).unwrap()
    }

    #[test]
    fn an_index_gives_a_row_per_syntax_and_leaves_out_what_cannot_be_compared() {
        let dir = std::env::temp_dir().join(format!("atlas-score-index-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).unwrap();
        write(
            "INDEX.csv",
            "html,expected,syntax,mode,base_url\na.html,a.json,microdata,strict,http://example.org/\n\
             a.html,a.json,microdata,node-ids,\nb.html,b.json,opengraph,plain,\nc.html,c.json,rdfa,plain,\n",
        );
        write("a.html", "<p itemscope><b itemprop=name>Tea</b><a itemprop=url href=tea.html>x</a>");
        write("a.json", r#"[{"properties": {"name": ["Tea"], "url": ["http://example.org/tea.html"]}}]"#);
        write("b.html", "<meta property=og:title content=Tea><meta name=description content=hot>");
        write("b.json", r#"[{"namespace": {}, "properties": [["og:title", "Tea"]]}]"#);
        write("c.html", "<p>nothing");
        write("c.json", r#"[{"@id": "_:a", "http://schema.org/name": [{"@value": "Tea"}]}]"#);
        let rows = score_extruct(&Part { kind: Kind::Extruct, dir: dir.clone() });
        std::fs::remove_dir_all(&dir).unwrap();
        let rows = rows.unwrap();
        let microdata = row(&rows, "microdata");
        assert_eq!((microdata.pages, microdata.f1, microdata.exact), (1, Some(1.0), Some(1.0)));
        assert_eq!(row(&rows, "opengraph").f1, Some(1.0));
        assert_eq!((row(&rows, "rdfa").recall, row(&rows, "rdfa").precision), (Some(0.0), None));
        assert_eq!(rows[0].field, "all");
        assert!(rows[0].pages_per_s.is_some() && rows[0].evidence_source.is_none());
    }
}
