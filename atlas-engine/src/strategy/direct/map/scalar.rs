//! Single values: which of the texts that may give a field's value does.

use super::Mapper;
use super::candidate::{Candidate, MAX_CANDIDATES};
use crate::evidence::folded;
use crate::facts::labelled::Layout;
use crate::facts::{Facts, ItemId, Leaf, Place, Syntax, Value as Fact};
use crate::plain;
use crate::shape::NodeRef;
use crate::strategy::direct::want::Want;
use crate::strategy::direct::{byline, headed};
use crate::transform::Transform;
use atlas_schema::JsonPointer;
use serde_json::Value;
use std::ops::Range;

/// Sightings kept of one value.
const MAX_SIGHTINGS: usize = 3;
/// A longer text beside a label is a sentence, not a length of time.
const MAX_TIME: usize = 40;
/// A longer line says more than how much a recipe makes.
const MAX_YIELD: usize = 30;

impl<'a> Mapper<'a> {
    pub(super) fn scalar(
        &mut self,
        node: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        top: bool,
    ) -> Option<Value> {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        for id in sources {
            for path in &want.paths {
                for fact in self.follow(*id, path) {
                    self.leaves_of(fact, want.transform, &mut candidates);
                }
            }
        }
        if top {
            self.meta_candidates(want, &mut candidates);
        }
        if want.is("author") {
            self.keep_authors(&mut candidates);
        }
        let text = |candidate: &Candidate<'a>| self.reading.facts().text(self.reading.page(), &candidate.leaf);
        let first = candidates.first().map(|candidate| text(candidate).to_owned());
        candidates.sort_by_key(|candidate| {
            !want.transform.prefers(text(candidate))
                || !first.as_deref().is_some_and(|first| want.transform.agrees(first, text(candidate)))
        });
        // Of many pictures the page's own choice is the one it shares.
        if top && want.is("image") {
            candidates.sort_by_key(|candidate| !Facts::is_page_level(&candidate.leaf));
        }
        let chosen = self.first(&candidates, node, want, at);
        if chosen.is_some() || !top {
            return chosen;
        }
        let mut shown = self.under_labels(want, !sources.is_empty());
        if want.is("date published") {
            shown.extend(byline::dates(self.reading).into_iter().map(Candidate::shown));
            shown.extend(self.dated_addresses());
        } else if want.is("author") {
            shown.extend(byline::authors(self.reading).into_iter().map(Candidate::shown));
        } else if want.is("yields") {
            shown.extend(self.self_evident_yields());
        }
        self.first(&shown, node, want, at)
    }

    /// Addresses that the page gives itself and that hold a date.
    fn dated_addresses(&self) -> Vec<Candidate<'a>> {
        let facts = self.facts();
        let items = facts.items().filter(|(_, item)| item.syntax == Syntax::Meta);
        let properties = items.flat_map(|(_, item)| &item.properties);
        let addresses = properties.filter(|(name, _)| matches!(&**name, ".canonical" | "og:url" | "twitter:url"));
        let leaves = addresses.filter_map(|(_, fact)| if let Fact::Leaf(leaf) = fact { Some(leaf) } else { None });
        let dated = leaves.filter_map(|leaf| Some((leaf, byline::date_in_address(self.text(leaf))?)));
        dated.map(|(leaf, range)| Candidate { range: Some(range), ..Candidate::whole(leaf) }).collect()
    }

    /// The first line that says nothing but a count and its unit, such as `4 persons`, unless the page has others.
    fn self_evident_yields(&self) -> Option<Candidate<'a>> {
        let page = self.reading.page();
        let lines = headed::lines(page.text(), 0).filter(|line| line.len() <= MAX_YIELD);
        let mut yields = lines.filter(|line| page.text().get(line.clone()).is_some_and(Transform::is_yield));
        let first = yields.next()?;
        let text = |line: &Range<usize>| folded(page.text().get(line.clone()).unwrap_or(""));
        if yields.any(|other| text(&other) != text(&first)) {
            return None;
        }
        let node = page.node_at(first.start)?;
        Some(Candidate::shown(Leaf(Place::Visible { node, start: first.start, end: first.end })))
    }

    /// The first candidate that reads as a value, with those that agree as further sightings.
    pub(super) fn first(
        &mut self,
        candidates: &[Candidate<'a>],
        node: NodeRef,
        want: &Want,
        at: &JsonPointer,
    ) -> Option<Value> {
        let mut chosen: Option<Value> = None;
        let mut sightings = 0;
        for candidate in candidates.iter().take(MAX_CANDIDATES) {
            let Some((value, evidence)) = self.read(candidate, node, want.transform) else { continue };
            match &chosen {
                None => chosen = Some(value),
                Some(first) if *first == value => {}
                Some(_) => continue,
            }
            self.record.evidence.push((at.clone(), evidence));
            sightings += 1;
            if sightings == MAX_SIGHTINGS {
                break;
            }
        }
        chosen
    }

    /// What the page says of itself in meta elements.
    pub(super) fn meta_candidates(&self, want: &Want, out: &mut Vec<Candidate<'a>>) {
        let facts = self.facts();
        let title = want.is("title");
        let structured = out.len();
        for wanted in &want.meta {
            for (_, item) in facts.items().filter(|(_, item)| item.syntax == Syntax::Meta) {
                for (name, fact) in item.properties.iter().filter(|(name, _)| **name == **wanted) {
                    let Fact::Leaf(leaf) = fact else { continue };
                    if title
                        && Facts::is_heading(self.reading.page(), leaf)
                        && byline::is_sites_heading(self.reading, self.text(leaf))
                    {
                        continue;
                    }
                    let range = title.then(|| self.without_site_name(name, leaf)).flatten();
                    out.push(Candidate { leaf: std::borrow::Cow::Borrowed(leaf), range });
                }
            }
        }
        if title {
            // A page's heading is its title when the longer titles agree; the site's own heading is not.
            let agrees = |candidate: &Candidate<'a>| self.is_heading_in_title(candidate);
            if let Some(at) = out.iter().skip(structured).position(agrees) {
                let heading = out.remove(structured + at);
                out.insert(structured, heading);
            }
        }
    }

    /// What the page shows under one of the field's labels. The line below a label, or the rest of a line, must read as
    /// something more exact than text to count. Where markup describes the record (`described`) and leaves the field
    /// out, a bare number is too little.
    pub(super) fn under_labels(&self, want: &Want, described: bool) -> Vec<Candidate<'a>> {
        let mut out = Vec::new();
        // A number or a word says nothing of itself; a length of time or a price does.
        let exact = !matches!(
            want.transform,
            Transform::Text
                | Transform::Url
                | Transform::Term
                | Transform::Language
                | Transform::Number
                | Transform::Integer
                | Transform::Boolean
        );
        let loose = |layout: Layout| matches!(layout, Layout::Below | Layout::Prefix);
        for pair in want.labels.iter().flat_map(|label| self.reading.labelled(label)) {
            if (exact || !loose(pair.layout))
                && let Some(value) = pair.values.first()
                && self.is_likely(value, want.transform, described)
            {
                let parts = if want.transform.is_money() { self.not_struck(value) } else { vec![value.clone()] };
                let place = |part: Range<usize>| {
                    let node = self.reading.page().node_at(part.start).unwrap_or(pair.node);
                    Leaf(Place::Visible { node, start: part.start, end: part.end })
                };
                out.extend(parts.into_iter().map(|part| Candidate::shown(place(part))));
            }
        }
        out
    }

    /// The parts of a stretch of text that are not struck out: a price that is struck out is the old one.
    fn not_struck(&self, value: &Range<usize>) -> Vec<Range<usize>> {
        let page = self.reading.page();
        let elements = ["s", "del", "strike"].into_iter().flat_map(|tag| page.elements(tag));
        let mut struck: Vec<Range<usize>> = elements
            .map(|node| page.text_range(node))
            .filter(|range| !range.is_empty() && range.start < value.end && value.start < range.end)
            .collect();
        struck.sort_by_key(|range| range.start);
        let (mut parts, mut from) = (Vec::new(), value.start);
        for range in struck {
            parts.push(from..range.start.clamp(from, value.end));
            from = from.max(range.end.min(value.end));
        }
        parts.push(from..value.end);
        let text = |part: &Range<usize>| page.text().get(part.clone()).is_some_and(|text| !text.trim().is_empty());
        parts.retain(text);
        parts
    }

    /// Whether a text beside a label may be the value. Lengths of time that are links lead to pages of that sort.
    pub(super) fn is_likely(&self, value: &Range<usize>, transform: Transform, described: bool) -> bool {
        let page = self.reading.page();
        let is_link = || {
            page.node_at(value.start)
                .is_some_and(|node| page.ancestors(node).take(4).any(|node| page.tag(node) == Some("a")))
        };
        match transform {
            // A sentence with a length of time in it is a step.
            Transform::Minutes | Transform::Seconds | Transform::Duration => value.len() <= MAX_TIME && !is_link(),
            Transform::Servings => {
                let text = page.text().get(value.clone()).unwrap_or("");
                Transform::counts_servings(text) && (!described || transform.prefers(text))
            }
            _ => true,
        }
    }

    pub(super) fn is_heading_in_title(&self, candidate: &Candidate<'a>) -> bool {
        let facts = self.facts();
        let page = self.reading.page();
        if !Facts::is_heading(page, &candidate.leaf) {
            return false;
        }
        let heading = facts.text(page, &candidate.leaf);
        if byline::is_sites_heading(self.reading, heading) {
            return false;
        }
        let heading = folded(heading);
        let titles = facts
            .items()
            .filter(|(_, item)| item.syntax == Syntax::Meta)
            .flat_map(|(_, item)| &item.properties)
            .filter(|(name, _)| matches!(&**name, ".title" | "og:title" | "twitter:title"));
        let mut titles = titles.filter_map(|(_, fact)| match fact {
            Fact::Leaf(leaf) => Some(folded(&plain::clean(facts.text(page, leaf)))),
            Fact::Item(_) => None,
        });
        !heading.is_empty() && titles.any(|title| title.contains(&heading))
    }

    /// `Tea cake | Example Kitchen` without the part after the last separator.
    pub(super) fn without_site_name(&self, name: &str, leaf: &'a Leaf) -> Option<Range<usize>> {
        if name.starts_with(".h") {
            return None;
        }
        let text = self.text(leaf);
        let cut = [" | ", " – ", " — ", " :: ", " • ", " · ", " » ", " - "]
            .iter()
            .filter_map(|sign| text.rfind(sign))
            .max()?;
        (cut * 3 > text.len()).then_some(0..cut)
    }
}
