//! Lists: the entries of a field that wants several texts.

use super::Mapper;
use super::candidate::Candidate;
use crate::facts::labelled::Layout;
use crate::facts::{ItemId, Leaf, Place};
use crate::plain;
use crate::shape::{Kind, NodeRef};
use crate::strategy::direct::want::Want;
use crate::strategy::direct::{byline, flatten, headed};
use crate::transform::Transform;
use atlas_schema::JsonPointer;
use serde_json::Value;
use std::ops::Range;

/// Fields whose single text is a list with commas.
const COMMA_LISTS: [&str; 4] = ["keywords", "category", "cuisine", "diet"];

impl<'a> Mapper<'a> {
    pub(super) fn array(
        &mut self,
        items: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        (top, depth): (bool, usize),
        (max, unique): (usize, bool),
    ) -> Option<Value> {
        let shape = self.shape;
        if matches!(shape.node(items).kind, Kind::Object { .. }) {
            return self.objects(items, want, sources, at, depth, max);
        }
        let mut candidates = Vec::new();
        for id in sources {
            candidates = self.entries(*id, want);
            if !candidates.is_empty() {
                break;
            }
        }
        if top && want.is("ingredients") {
            candidates = self.completed(candidates);
        }
        if want.is("author") {
            self.keep_authors(&mut candidates);
        }
        if candidates.is_empty() && top {
            self.meta_candidates(want, &mut candidates);
            candidates = self.split(candidates, want);
            if want.is("author") {
                self.keep_authors(&mut candidates);
            }
        }
        if candidates.is_empty() && top && want.is("author") {
            candidates.extend(byline::authors(self.reading).into_iter().map(Candidate::shown));
        }
        if top && candidates.is_empty() && list_sort(want) == headed::Sort::Other {
            candidates = self.beside_labels(want);
        }
        if top && !want.labels.is_empty() {
            candidates = self.whole_list(candidates, want, !sources.is_empty());
        }
        let transform = if want.transform == Transform::Text {
            Transform::wanted(shape.node(items), at.as_str())
        } else {
            want.transform
        };
        if transform == Transform::Text {
            candidates = self.tidy(candidates, want);
        }
        let mut values: Vec<Value> = Vec::new();
        for candidate in &candidates {
            if values.len() >= max {
                break;
            }
            let Some((value, evidence)) = self.read(candidate, items, transform) else { continue };
            // Keywords and names repeat by accident; steps and ingredients on purpose.
            if (unique
                || want.is("author")
                || want.concept.is_some_and(|concept| COMMA_LISTS.contains(&concept.names[0])))
                && values.contains(&value)
            {
                continue;
            }
            self.record.evidence.push((at.index(values.len()), evidence));
            values.push(value);
        }
        (!values.is_empty()).then_some(Value::Array(values))
    }

    /// The entries that stand beside one of the field's labels: the descriptions of a term, the lines of a cell, or one line cut
    /// at its commas.
    fn beside_labels(&self, want: &Want) -> Vec<Candidate<'a>> {
        let pairs = want.labels.iter().flat_map(|label| self.reading.labelled(label));
        let Some(pair) = pairs.into_iter().find(|pair| !matches!(pair.layout, Layout::Below | Layout::Prefix)) else {
            return Vec::new();
        };
        let text = self.reading.page().text();
        let entries: Vec<Range<usize>> = match pair.values.as_slice() {
            [only] => {
                let parts = commas(text.get(only.clone()).unwrap_or(""));
                parts.into_iter().map(|part| only.start + part.start..only.start + part.end).collect()
            }
            several => several.to_vec(),
        };
        let place = |entry: Range<usize>| {
            let node = self.reading.page().node_at(entry.start).unwrap_or(pair.node);
            Candidate::shown(Leaf(Place::Visible { node, start: entry.start, end: entry.end }))
        };
        entries.into_iter().map(place).collect()
    }

    /// Authors without addresses and, where the schema keeps the publisher apart, without the site itself.
    pub(super) fn keep_authors(&self, candidates: &mut Vec<Candidate<'a>>) {
        let shape = self.shape;
        let mut fields = shape.fields(shape.root()).iter();
        let apart = fields.any(|field| self.wants.of(field).is("publisher"));
        let names = if apart { byline::site_names(self.reading) } else { Vec::new() };
        candidates.retain(|candidate| byline::may_be_author(&names, self.part(candidate)));
    }

    /// The entries of a list as one item states them: the first path with any.
    pub(super) fn entries(&self, id: ItemId, want: &Want) -> Vec<Candidate<'a>> {
        let facts = self.facts();
        let page = self.reading.page();
        for path in &want.paths {
            let found = self.follow(id, path);
            if found.is_empty() {
                continue;
            }
            let whole = |leaf: &'a Leaf| Candidate::whole(leaf);
            let candidates: Vec<Candidate<'a>> = if want.transform == Transform::Url {
                let mut candidates = Vec::new();
                for fact in found {
                    self.leaves_of(fact, want.transform, &mut candidates);
                }
                candidates
            } else {
                flatten::texts(facts, page, &found, self.effort).into_iter().map(whole).collect()
            };
            let candidates = self.as_shown(self.split(candidates, want));
            if candidates.iter().any(|candidate| !plain::clean(self.part(candidate)).is_empty()) {
                return candidates;
            }
        }
        Vec::new()
    }

    /// One text that holds a whole list, cut at its lines or commas.
    pub(super) fn split(&self, candidates: Vec<Candidate<'a>>, want: &Want) -> Vec<Candidate<'a>> {
        if want.transform == Transform::Url {
            return candidates;
        }
        if want.concept.is_some_and(|concept| COMMA_LISTS.contains(&concept.names[0])) {
            return candidates
                .into_iter()
                .flat_map(|candidate| {
                    let parts = commas(self.part(&candidate));
                    parts.into_iter().map(move |range| Candidate { leaf: candidate.leaf.clone(), range: Some(range) })
                })
                .collect();
        }
        if let [only] = candidates.as_slice() {
            let lines = plain::lines(self.part(only));
            if lines.len() > 1 {
                return lines
                    .into_iter()
                    .map(|range| Candidate { leaf: only.leaf.clone(), range: Some(range) })
                    .collect();
            }
        }
        candidates
    }
}

pub(super) fn list_sort(want: &Want) -> headed::Sort {
    if want.is("instructions") {
        headed::Sort::Prose
    } else if want.is("ingredients") {
        headed::Sort::Amounts
    } else {
        headed::Sort::Other
    }
}

/// The parts of a text between commas, semicolons and line ends, without the blank ones.
fn commas(text: &str) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut cut = |end: usize, next: usize| {
        let part = text.get(start..end).unwrap_or("");
        let lead = part.len() - part.trim_start().len();
        if !part.trim().is_empty() {
            parts.push(start + lead..start + part.trim_end().len());
        }
        start = next;
    };
    // A semicolon that closes a character reference does not separate.
    let mut reference = false;
    for (at, c) in text.char_indices() {
        match c {
            '&' => reference = true,
            ';' if reference => reference = false,
            ',' | ';' | '\n' => cut(at, at + 1),
            c if !c.is_ascii_alphanumeric() && c != '#' => reference = false,
            _ => {}
        }
    }
    cut(text.len(), text.len());
    parts
}
