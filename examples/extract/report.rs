//! The report: one HTML page that needs nothing else. Clicking a value shows its quote in the source page.
//!
//! It holds no script at all: a value links to its mark, the browser scrolls there, and `:target` lights it up. A content
//! security policy forbids everything but the page's own style, should anything ever slip through.

use crate::outcome::{self, Done};
use crate::source_view::{self, Quote};
use crate::{plain, table};
use atlas_engine::page::Page;
use atlas_schema::{Evidence, ExtractionResult, Source};
use serde_json::Value;
use std::fmt::Write;

/// A page's tree for showing, or why there is none.
pub(crate) type View = Result<Page, String>;

/// The whole report. `views` are the pages' trees, in the order of `done`.
pub(crate) fn render(done: &[Done], views: &[View], summary: &str) -> String {
    let mut body = String::new();
    let mut style = include_str!("report.css").to_owned();
    let mut next_id = 0;
    for (at, page) in done.iter().enumerate() {
        section(at, page, views.get(at), &mut next_id, &mut body, &mut style);
    }
    let mut nav = String::new();
    for (at, page) in done.iter().enumerate() {
        let class = if page.data().is_some() && !page.is_partial() { "" } else { " class=\"bad\"" };
        let _ = write!(nav, "<a href=\"#p{at}\"{class}>{}</a>", plain::html(&page.source.label));
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"referrer\" content=\"no-referrer\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Atlas: {} pages</title><style>{style}</style></head><body>\
         <header><h1>{} pages, every value with its quote</h1><p class=\"summary\">{}\n\
         Click a value: its quote lights up in the source page on the right.</p><nav>{nav}</nav></header>\n{body}</body></html>\n",
        done.len(),
        done.len(),
        plain::html(summary),
    )
}

fn section(at: usize, page: &Done, view: Option<&View>, next_id: &mut usize, body: &mut String, style: &mut String) {
    let strategy = page.data().and_then(|result| result.strategy.as_ref());
    let strategy = strategy.map(|name| format!(" · strategy {name}")).unwrap_or_default();
    let _ = write!(
        body,
        "<section id=\"p{at}\"><h2>{} <small>{} · {}{strategy}</small></h2>",
        plain::html(&page.source.label),
        plain::html(&page.source.shape.name),
        page.verdict(),
    );
    if let Some(problem) = page.problem().map(str::to_owned).or_else(|| page.lack()) {
        let _ = write!(body, "<p class=\"problem\">{}</p>", plain::html(&problem));
    }
    if let Some(result) = page.data() {
        let text = view.and_then(|view| view.as_ref().ok()).map_or("", Page::text);
        let mut links = Links { next_id, text, seen: Vec::new(), unseen: Vec::new() };
        let values = values(result, &mut links);
        let Links { seen, unseen, .. } = links;
        let source = match view {
            Some(Ok(page)) => {
                let (html, split) = source_view::render(page, &seen);
                for id in split {
                    let _ = writeln!(style, "body:has(#q{id}:target) .q{id} {{ background: var(--hit); }}");
                }
                html
            }
            Some(Err(why)) => format!("<p class=\"problem\">{}</p>", plain::html(why)),
            None => String::new(),
        };
        let _ = write!(
            body,
            "<div class=\"panes\"><div class=\"values\">{values}</div><div class=\"source\">{source}{}</div></div>",
            elsewhere(&unseen),
        );
    }
    body.push_str("</section>\n");
}

/// The quotes of one page, as they get their anchors.
struct Links<'n, 'r> {
    next_id: &'n mut usize,
    /// The page's visible text.
    text: &'n str,
    seen: Vec<Quote>,
    unseen: Vec<(usize, &'r Evidence)>,
}

impl<'r> Links<'_, 'r> {
    fn anchor(&mut self, evidence: &'r Evidence) -> usize {
        let id = *self.next_id;
        *self.next_id += 1;
        if matches!(evidence.source, Source::VisibleText {}) && !evidence.spans.is_empty() {
            let spans = evidence.spans.iter().map(|span| span.start as usize..span.end as usize).collect();
            self.seen.push(Quote { id, spans });
        } else {
            self.unseen.push((id, evidence));
        }
        id
    }

    /// Where a reader sees a text that was quoted from elsewhere, word for word. For the eye only: the evidence is what
    /// the result says.
    fn in_sight(&mut self, text: &str) -> Option<usize> {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if words.chars().filter(|c| c.is_alphanumeric()).count() < 3 {
            return None;
        }
        let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        let start = self.text.match_indices(&words).map(|(start, _)| start).take(1000).find(|start| {
            edge(self.text[..*start].chars().next_back()) && edge(self.text[start + words.len()..].chars().next())
        })?;
        let id = *self.next_id;
        *self.next_id += 1;
        self.seen.push(Quote { id, spans: std::iter::once(start..start + words.len()).collect() });
        Some(id)
    }
}

fn values<'r>(result: &'r ExtractionResult, links: &mut Links<'_, 'r>) -> String {
    let mut html = String::from("<table class=\"fields\"><tr><th>field</th><th>value</th><th>found in</th></tr>");
    let data = Value::Array(result.data.clone());
    for (pointer, leaf) in outcome::leaves(&data) {
        let evidence = result.evidence.get(&pointer).map_or(&[][..], Vec::as_slice);
        let text = plain::html(&outcome::text(leaf));
        let best = table::best(evidence);
        let mut places = best.map_or_else(|| "<span class=\"bad\">no evidence</span>".into(), place);
        let value = match best {
            Some(best) => {
                let mut target = links.anchor(best);
                if best.verified.visible
                    && !matches!(best.source, Source::VisibleText {})
                    && let Some(seen) = links.in_sight(&outcome::text(leaf))
                {
                    places = format!("<a href=\"#q{target}\">{places}</a>");
                    target = seen;
                }
                format!("<a href=\"#q{target}\" title=\"{}\">{text}</a>", plain::html(&best.quote))
            }
            None => text,
        };
        for other in evidence.iter().filter(|other| best.is_none_or(|best| *other != best)).take(3) {
            let _ =
                write!(places, "<br><a href=\"#q{}\">{}</a>", links.anchor(other), plain::html(&table::place(other)));
        }
        let name = plain::field(pointer.as_str(), result.data.len());
        let _ = write!(html, "<tr><td>{}</td><td>{value}</td><td>{places}</td></tr>", plain::html(&name));
    }
    html.push_str("</table>");
    html
}

fn place(evidence: &Evidence) -> String {
    let class = if evidence.verified.source { "good" } else { "bad" };
    format!("<span class=\"{class}\">{}</span>", plain::html(&table::place(evidence)))
}

/// Quotes from where readers don't look: embedded data, attributes, hidden text, computed values.
fn elsewhere(unseen: &[(usize, &Evidence)]) -> String {
    if unseen.is_empty() {
        return String::new();
    }
    let mut html = String::from("<div class=\"elsewhere\"><h2>Found where readers don't look</h2><ul>");
    for (id, evidence) in unseen {
        let _ = write!(
            html,
            "<li id=\"q{id}\"><code>{}</code> <mark>{}</mark></li>",
            plain::html(&table::place(evidence)),
            plain::html(&evidence.quote),
        );
    }
    html.push_str("</ul></div>");
    html
}
