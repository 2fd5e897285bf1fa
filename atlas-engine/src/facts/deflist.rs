//! Definition lists: `<dl>` with terms and their descriptions.
//!
//! Terms that follow each other share the descriptions after them, and each description is a value; `<div>` around such a
//! group changes nothing, as the HTML standard says (4.4.9 "The dl element").

use super::labelled::{Labelled, Layout, lines_of, pair};
use crate::page::{NodeId, Page};
use std::ops::Range;

/// The pairs of all definition lists, in document order. A hidden term or description is none.
pub fn definitions(page: &Page) -> Vec<Labelled> {
    let mut pairs = Vec::new();
    for list in page.elements("dl").filter(|list| !page.is_hidden(*list)) {
        let mut open = Open::default();
        for child in page.children(list) {
            if page.tag(child) == Some("div") {
                open.end(page, &mut pairs);
                page.children(child).for_each(|inner| open.take(page, inner, &mut pairs));
                open.end(page, &mut pairs);
            } else {
                open.take(page, child, &mut pairs);
            }
        }
        open.end(page, &mut pairs);
    }
    pairs
}

/// A group of terms and descriptions that may go on.
#[derive(Default)]
struct Open {
    terms: Vec<NodeId>,
    values: Vec<Range<usize>>,
}

impl Open {
    fn take(&mut self, page: &Page, node: NodeId, pairs: &mut Vec<Labelled>) {
        match page.tag(node) {
            Some("dt") => {
                if !self.values.is_empty() {
                    self.end(page, pairs);
                }
                self.terms.push(node);
            }
            Some("dd") => self.values.extend(lines_of(page, node)),
            _ => {}
        }
    }

    fn end(&mut self, page: &Page, pairs: &mut Vec<Labelled>) {
        for term in self.terms.drain(..) {
            pairs.extend(pair(page, page.text_range(term), &self.values, Layout::Definition));
        }
        self.values.clear();
    }
}
