//! What stands in a cell without being part of it: footnote marks, and keys to sort by that a style sheet hides.

use crate::page::{NodeId, Page};
use std::ops::Range;

/// A mark is never longer: `[note 12]`.
const MAX_MARK: usize = 24;

/// The parts of the visible text that are marks or keys, in order, none overlapping.
pub(super) fn find(page: &Page) -> Vec<Range<usize>> {
    let mut marks: Vec<Range<usize>> = Vec::new();
    for node in page.elements("sup") {
        let range = page.text_range(node);
        let nested = marks.last().is_some_and(|last| range.start < last.end);
        if !range.is_empty() && !nested && is_mark(page, node) {
            marks.push(range);
        }
    }
    // Keys are rare; looking through all elements would cost more than the tables do.
    let keys = page.elements("span").filter(|span| SORT_KEYS.iter().any(|class| page.has_class(*span, class)));
    marks.extend(keys.map(|key| page.text_range(key)).filter(|range| !range.is_empty()));
    marks.sort_by_key(|mark| (mark.start, mark.end));
    marks.dedup_by(|next, mark| {
        let overlaps = next.start < mark.end;
        mark.end = if overlaps { mark.end.max(next.end) } else { mark.end };
        overlaps
    });
    marks
}

/// Classes of elements that hold a cell's sort key, not its text: the common wiki engine's, and usual spellings.
const SORT_KEYS: [&str; 4] = ["sortkey", "sort-key", "sort_key", "sortKey"];

/// A raised text of brackets around a number, a letter or a short word, or such a number or letter that links into the page.
fn is_mark(page: &Page, node: NodeId) -> bool {
    let text = page.text_of(node).trim();
    if text.len() > 4 * MAX_MARK || text.chars().count() > MAX_MARK {
        return false;
    }
    let links = links_to_note(page, node);
    let inner = text.strip_prefix(['[', '(']).and_then(|text| text.strip_suffix([']', ')']));
    match inner {
        Some(inner) => links || text.starts_with('[') && is_label(inner),
        None => links,
    }
}

/// `1`, `a`, `iv`, `note 3`.
fn is_label(text: &str) -> bool {
    let (word, number) = text.rsplit_once([' ', '\u{a0}']).unwrap_or(("", text));
    let number = !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) || number.chars().count() <= 3;
    number && word.chars().all(|c| c.is_alphabetic() || c == '.')
}

/// If everything in it is a link to a place on the same page.
fn links_to_note(page: &Page, node: NodeId) -> bool {
    let whole = page.text_range(node);
    let inside = page.descendants(node).take(16).find(|inner| page.tag(*inner) == Some("a"));
    let around = page.ancestors(node).take(2).find(|outer| page.tag(*outer) == Some("a"));
    let within_page = |link: NodeId| {
        let href = page.attr(link, "href").unwrap_or_default().trim();
        href.len() > 1 && href.starts_with('#')
    };
    let fills = |link: NodeId| {
        let range = page.text_range(link);
        range.start <= whole.start + 1 && range.end + 1 >= whole.end
    };
    inside.is_some_and(|link| within_page(link) && fills(link))
        || around.is_some_and(|link| within_page(link) && page.text_range(link) == whole)
}
