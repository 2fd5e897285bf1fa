//! Pages without their markup: what is left when only the text tells.
//!
//! Removed: `script`, `style`, `noscript`, `template`, comments, and the attributes that carry microdata and `RDFa`. The
//! page is written out again from its tree, so that the engine parses and reads it like any other page.

use atlas_engine::page::{NodeId, Page};
use std::fmt::Write;

const ELEMENTS: [&str; 4] = ["script", "style", "noscript", "template"];
const ATTRIBUTES: [&str; 6] = ["itemprop", "itemtype", "itemscope", "property", "typeof", "vocab"];
const VOID: [&str; 13] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];

enum Step {
    Open(NodeId),
    Close(String),
}

/// The page's HTML without its markup, UTF-8.
pub(crate) fn strip(page: &Page) -> String {
    let mut html = String::with_capacity(page.text().len() * 4);
    html.push_str("<!DOCTYPE html>");
    let mut steps: Vec<Step> = page.children(page.root()).map(Step::Open).collect();
    steps.reverse();
    while let Some(step) = steps.pop() {
        match step {
            Step::Close(tag) => close(&mut html, &tag),
            Step::Open(node) => open(page, node, &mut html, &mut steps),
        }
    }
    html
}

fn close(html: &mut String, tag: &str) {
    html.push_str("</");
    html.push_str(tag);
    html.push('>');
}

fn open(page: &Page, node: NodeId, html: &mut String, steps: &mut Vec<Step>) {
    let Some(tag) = page.tag(node) else {
        if let Some(text) = page.raw_text(node) {
            escape(text, html);
        }
        return;
    };
    if ELEMENTS.contains(&tag) {
        return;
    }
    html.push('<');
    html.push_str(tag);
    for (name, value) in page.attrs(node).filter(|(name, _)| !ATTRIBUTES.contains(name)) {
        let _ = write!(html, " {name}=\"");
        escape(value, html);
        html.push('"');
    }
    html.push('>');
    if tag == "pre" || tag == "textarea" || tag == "listing" {
        // The parser drops one line break after these; give it one to drop.
        html.push('\n');
    }
    if !VOID.contains(&tag) {
        steps.push(Step::Close(tag.to_owned()));
        let from = steps.len();
        steps.extend(page.children(node).map(Step::Open));
        steps[from..].reverse();
    }
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\u{a0}' => html.push_str("&nbsp;"),
            c => html.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_engine::page::ParseOptions;

    #[test]
    fn markup_goes_and_words_stay() {
        let html = "<body itemscope vocab=x><script>{}</script><!-- c --><h1 itemprop=name class=big>Tea &amp; &lt;cake&gt;</h1>\
                    <noscript>n</noscript><pre>\n\n a</pre><br><p typeof=x>1 &lt; 2";
        let page = Page::from_html(html, &ParseOptions::default()).unwrap();
        let stripped = strip(&page);
        for gone in ["script", "itemprop", "itemscope", "typeof", "vocab", "<!--", "noscript"] {
            assert!(!stripped.contains(gone), "{gone} in {stripped}");
        }
        assert!(stripped.contains("class=\"big\""));
        let again = Page::from_html(&stripped, &ParseOptions::default()).unwrap();
        assert_eq!(again.text(), page.text());
    }
}
