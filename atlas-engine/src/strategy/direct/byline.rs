//! Bylines: who wrote a text and when, as pages show it near the headline without a label.

use crate::evidence::{Reading, folded};
use crate::facts::{Leaf, Place, Syntax, Value};
use crate::page::{NodeId, Page};
use crate::value;
use std::ops::Range;

/// A byline stands at most this many bytes of text above its headline,
const ABOVE: usize = 200;
/// or this many below.
const BELOW: usize = 800;
/// A longer line is no byline.
const MAX_LINE: usize = 90;
/// A longer text is no name.
const MAX_NAME: usize = 50;
/// Words before the name, folded; the longer of two that start alike comes first.
const BY: [&str; 22] = [
    "written by",
    "posted by",
    "published by",
    "by",
    "ein beitrag von",
    "geschrieben von",
    "verfasst von",
    "text von",
    "von",
    "autorin",
    "autor",
    "author",
    "text",
    "redaktion",
    "par",
    "por",
    "di",
    "door",
    "av",
    "af",
    "przez",
    "escrito por",
];
/// Words behind the name, which go on to say when and where.
const AFTER: [&str; 16] = [
    " | ",
    " - ",
    " \u{2013} ",
    " \u{2022} ",
    " \u{b7} ",
    ", ",
    " / ",
    " (",
    " on ",
    " am ",
    " in ",
    " vom ",
    " um ",
    " el ",
    " le ",
    " @",
];
/// Words of lines that say when a text was last changed, folded.
const CHANGED: [&str; 12] = [
    "updated",
    "modified",
    "aktualisiert",
    "geandert",
    "zuletzt",
    "actualizado",
    "mis a jour",
    "modifie",
    "aggiornato",
    "bijgewerkt",
    "atualizado",
    "uppdaterad",
];
/// Parts of class names that say a part of the page names the author.
const MARKS: [&str; 3] = ["author", "byline", "autor"];

/// The names that a page calls itself by, folded: its site's name, and its host with and without the ending.
pub(super) fn site_names(reading: &Reading<'_>) -> Vec<String> {
    let page = reading.page();
    let mut names: Vec<String> =
        meta(reading, &["og:site_name", "application-name", "apple-mobile-web-app-title"]).map(folded).collect();
    if let Some(host) = page.url().and_then(url::Url::host_str) {
        let host = host.strip_prefix("www.").unwrap_or(host);
        names.push(host.to_owned());
        names.extend(host.rsplit_once('.').map(|(name, _)| name.to_owned()));
    }
    names.retain(|name| !name.is_empty());
    names
}

/// Whether a text is one of the site's names, but for blanks and punctuation.
pub(super) fn is_site(names: &[String], text: &str) -> bool {
    let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    let text = letters(&folded(text));
    !text.is_empty() && names.iter().any(|name| letters(name) == text)
}

fn meta<'r>(reading: &'r Reading<'_>, wanted: &'static [&'static str]) -> impl Iterator<Item = &'r str> {
    let facts = reading.facts();
    let items = facts.items().filter(|(_, item)| item.syntax == Syntax::Meta);
    let properties = items.flat_map(|(_, item)| &item.properties).filter(|(name, _)| wanted.contains(&&**name));
    properties.filter_map(|(_, value)| match value {
        Value::Leaf(leaf) => Some(facts.text(reading.page(), leaf)),
        Value::Item(_) => None,
    })
}

/// The headline: the first heading that the page's title holds and that is not the site's name, else the first heading.
fn headline(reading: &Reading<'_>) -> Option<Range<usize>> {
    let page = reading.page();
    let names = site_names(reading);
    let titles: Vec<String> = meta(reading, &[".title", "og:title", "twitter:title"]).map(folded).collect();
    let headings = || ["h1", "h2"].iter().flat_map(|tag| page.elements(tag).take(20));
    let fits = |node: &NodeId| !page.is_hidden(*node) && !is_site(&names, page.text_of(*node));
    let titled = |node: &NodeId| {
        let text = folded(page.text_of(*node));
        text.len() > 3 && titles.iter().any(|title| title.contains(&text))
    };
    let found = headings().find(|node| fits(node) && titled(node));
    found.or_else(|| page.elements("h1").find(fits)).map(|node| page.text_range(node)).filter(|range| !range.is_empty())
}

/// The part of the text around the headline, on line ends.
fn around(page: &Page, headline: &Range<usize>) -> Range<usize> {
    let text = page.text();
    let floor = |mut at: usize| {
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(headline.start.saturating_sub(ABOVE));
    let start =
        text.get(start..headline.start).and_then(|above| above.find('\n')).map_or(headline.start, |at| start + at + 1);
    let end = floor((headline.end + BELOW).min(text.len()));
    let end = text.get(end..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| end + at);
    start..end
}

/// Texts that may say when the page's text appeared: `time` elements and short lines near the headline,
/// the nearest first.
pub(super) fn dates(reading: &Reading<'_>) -> Vec<Leaf> {
    let page = reading.page();
    let mut leaves = Vec::new();
    if let Some(headline) = headline(reading) {
        let near = around(page, &headline);
        let mut found: Vec<(usize, Leaf)> = Vec::new();
        let distance = |start: usize| {
            if start >= headline.end { start - headline.end } else { 2 * (headline.start - start.min(headline.start)) }
        };
        for node in page.elements("time").take(50) {
            let range = page.text_range(node);
            if range.is_empty()
                || range.start < near.start
                || range.end > near.end
                || is_change(page, &line_of(page, &range))
            {
                continue;
            }
            let place = if page.attr(node, "datetime").is_some_and(|value| !value.trim().is_empty()) {
                Place::Attribute { node, name: "datetime" }
            } else {
                Place::Node { node }
            };
            found.push((distance(range.start), Leaf(place)));
        }
        for line in lines(page, &near).filter(|line| line.start >= headline.end || line.end <= headline.start) {
            let text = page.text().get(line.clone()).unwrap_or("");
            let dated = text.len() <= MAX_LINE
                && text.contains(|c: char| c.is_ascii_digit())
                && !is_change(page, &line)
                && value::date::parse(text, reading.locale()).is_some();
            if let Some(node) = page.node_at(line.start).filter(|_| dated) {
                found.push((distance(line.start) + 1, Leaf(Place::Visible { node, start: line.start, end: line.end })));
            }
        }
        found.sort_by_key(|(distance, _)| *distance);
        leaves.extend(found.into_iter().map(|(_, leaf)| leaf));
    }
    leaves
}

/// Names that may be the authors': parts marked as theirs, and lines such as `By Ana Poe`, near the headline.
pub(super) fn authors(reading: &Reading<'_>) -> Vec<Leaf> {
    let page = reading.page();
    let Some(headline) = headline(reading) else { return Vec::new() };
    let near = around(page, &headline);
    let names = site_names(reading);
    let as_name = |range: Range<usize>| {
        let name = name_in(page.text(), range)?;
        let text = page.text().get(name.clone())?;
        if is_site(&names, text) || value::date::parse(text, reading.locale()).is_some() {
            return None;
        }
        let node = page.node_at(name.start)?;
        Some(Leaf(Place::Visible { node, start: name.start, end: name.end }))
    };
    let marked = page.descendants(page.root()).filter(|node| {
        let says = |name: &str, words: &[&str]| {
            page.attr(*node, name)
                .is_some_and(|value| words.iter().any(|word| value.to_ascii_lowercase().contains(word)))
        };
        let range = page.text_range(*node);
        let within = !range.is_empty() && range.start >= near.start && range.end <= near.end && range.len() <= MAX_LINE;
        within && (says("rel", &["author"]) || says("class", &MARKS))
    });
    // The innermost of nested parts says the name alone.
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for range in marked.map(|node| page.text_range(node)) {
        match ranges.last_mut() {
            Some(last) if last.start <= range.start && range.end <= last.end => {
                if has_name(page.text(), &range) {
                    *last = range;
                }
            }
            _ => ranges.push(range),
        }
    }
    if let Some(leaf) = ranges.into_iter().find_map(&as_name) {
        return vec![leaf];
    }
    let by = lines(page, &near).filter(|line| {
        let text = folded(page.text().get(line.clone()).unwrap_or(""));
        line.len() <= MAX_LINE
            && BY.iter().any(|by| text.strip_prefix(by).is_some_and(|rest| rest.starts_with([' ', ':'])))
    });
    by.into_iter().find_map(as_name).into_iter().collect()
}

fn has_name(text: &str, range: &Range<usize>) -> bool {
    name_in(text, range.clone()).is_some()
}

/// The name in a byline: without the words before and behind it. `None` if what is left does not look like one.
fn name_in(text: &str, range: Range<usize>) -> Option<Range<usize>> {
    let line = text.get(range.clone())?;
    let line_end = line.find('\n').unwrap_or(line.len());
    let line = line.get(..line_end)?;
    let lower = line.to_lowercase();
    let mut start = line.len() - line.trim_start().len();
    // Lower case may change lengths: words before a name are only cut off where it does not.
    if lower.len() == line.len() {
        let after = BY.iter().find_map(|by| {
            let rest = lower.get(start..)?.strip_prefix(by)?;
            rest.starts_with([' ', ':']).then(|| line.len() - rest.trim_start_matches([' ', ':']).len())
        });
        start = after.unwrap_or(start);
    }
    let rest = line.get(start..)?;
    let end = AFTER
        .iter()
        .filter_map(|sign| rest.find(sign))
        .chain(rest.find(|c: char| c.is_numeric()))
        .min()
        .unwrap_or(rest.len());
    let name =
        rest.get(..end)?.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ',' | '.' | ':' | '|' | '-'));
    let capital = name.chars().next().is_some_and(|c| c.is_alphabetic() && !c.is_lowercase());
    let fits = capital && (2..=MAX_NAME).contains(&name.len()) && name.split_whitespace().count() <= 5;
    fits.then(|| range.start + start..range.start + start + name.len())
}

fn is_change(page: &Page, line: &Range<usize>) -> bool {
    let text: String = folded(page.text().get(line.clone()).unwrap_or("")).chars().filter(char::is_ascii).collect();
    CHANGED.iter().any(|word| text.contains(word))
}

/// The line that a range of the text starts in.
fn line_of(page: &Page, range: &Range<usize>) -> Range<usize> {
    let text = page.text();
    let start = text.get(..range.start).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    let end = text.get(range.start..).and_then(|rest| rest.find('\n')).map_or(text.len(), |at| range.start + at);
    start..end
}

fn lines<'p>(page: &'p Page, within: &Range<usize>) -> impl Iterator<Item = Range<usize>> + 'p {
    let end = within.end;
    super::headed::lines(page.text(), within.start).take_while(move |line| line.start < end)
}

/// The date in an address such as `/2019/05/12/title`, as bytes of it.
pub(super) fn date_in_address(address: &str) -> Option<Range<usize>> {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|b| b.is_ascii_digit());
    let mut at = 0;
    let parts: Vec<(usize, &str)> = address
        .split('/')
        .map(|part| {
            let start = at;
            at += part.len() + 1;
            (start, part)
        })
        .collect();
    parts.windows(3).find_map(|window| {
        let [(start, year), (_, month), (last, day)] = window else { return None };
        let dated =
            digits(year, 4) && (year.starts_with("20") || year.starts_with("19")) && digits(month, 2) && digits(day, 2);
        dated.then(|| *start..last + day.len())
    })
}

/// Whether a text can name an author of a record that keeps its publisher apart: no address, not the site itself.
pub(super) fn may_be_author(names: &[String], text: &str) -> bool {
    let text = text.trim();
    !text.contains("://") && !text.starts_with("www.") && !is_site(names, text)
}

/// Whether a heading is the site's own: one of its names, or what ends the page's title where another heading begins it.
pub(super) fn is_sites_heading(reading: &Reading<'_>, heading: &str) -> bool {
    if is_site(&site_names(reading), heading) {
        return true;
    }
    // A title that ends in the heading is the site's only if another heading stands before it.
    let heading = folded(heading);
    meta(reading, &[".title"]).any(|title| {
        let title = folded(title);
        let signs = [" | ", " - ", " :: ", " \u{2022} ", " \u{b7} ", " \u{bb} "];
        let Some((cut, sign)) = signs.iter().filter_map(|sign| Some((title.rfind(sign)?, sign))).max() else {
            return false;
        };
        let (rest, last) = (title.get(..cut).unwrap_or(""), title.get(cut + sign.len()..).unwrap_or(""));
        let page = reading.page();
        let names = |node: NodeId| {
            let other = folded(page.text_of(node));
            other.len() > 3 && other != heading && rest.contains(&other)
        };
        last == heading && ["h1", "h2"].iter().flat_map(|tag| page.elements(tag).take(10)).any(names)
    })
}
