//! Whether a page ends before its end: a transfer that broke off, a file that was cut.
//!
//! The standard lets many end tags be left out, so their absence proves nothing. What is proof: the source ends within a
//! tag, or in text within an element whose end tag must be written (HTML, section 13.1.2.4). A page cut right behind a
//! tag goes unnoticed.

use super::{NodeId, Page};

/// Elements whose end tag may be left out, and the root.
const MAY_STAY_OPEN: [&str; 19] = [
    "html", "head", "body", "li", "dt", "dd", "p", "rt", "rp", "optgroup", "option", "colgroup", "caption", "thead",
    "tbody", "tfoot", "tr", "td", "th",
];

/// Whether the source ends within a tag.
pub(super) fn ends_within_a_tag(html: &str) -> bool {
    let Some(open) = html.rfind('<') else { return false };
    let rest = html.get(open + 1..).unwrap_or_default();
    !rest.contains('>') && rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!')
}

/// Whether the page's last text stands within an element that its source never closed.
pub(super) fn ends_within_an_element(html: &str, page: &Page) -> bool {
    if html.trim_ascii_end().ends_with('>') {
        return false;
    }
    // Nothing comes behind the last text, so no element around it was closed.
    let text = page.descendants(page.root()).rev().find(|node| page.tag(*node).is_none());
    let mut around = text.into_iter().flat_map(|node: NodeId| page.ancestors(node)).filter_map(|node| page.tag(node));
    around.any(|tag| !MAY_STAY_OPEN.contains(&tag))
}
