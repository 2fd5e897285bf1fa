//! Mapping: filling the fields of one record from its sources.

use super::choose::Sources;
use super::flatten;
use super::headed;
use super::marks;
use super::shown;
use super::want::Want;
use crate::evidence::{MAX_QUOTE, Reading, folded, quotable, sum_of};
use crate::facts::labelled::Layout;
use crate::facts::{Facts, ItemId, Leaf, Place, Syntax, Value as Fact};
use crate::plain;
use crate::shape::{Field, Kind, NodeRef, Shape};
use crate::strategy::DraftRecord;
use crate::transform::{CHOICE, Transform, is_choice};
use atlas_schema::{Evidence, JsonPointer, Verified, Warning};
use serde_json::{Map, Value};
use std::ops::Range;

/// Recursive schemas are filled this deep.
const MAX_DEPTH: usize = 8;
/// Sightings kept of one value.
const MAX_SIGHTINGS: usize = 3;
/// Candidates looked at for one value.
const MAX_CANDIDATES: usize = 24;
/// A longer text beside a label is a sentence, not a length of time.
const MAX_TIME: usize = 40;
/// Entries of one array.
const MAX_ENTRIES: usize = 5000;

/// Fields whose single text is a list with commas.
const COMMA_LISTS: [&str; 4] = ["keywords", "category", "cuisine", "diet"];

/// Fills one record.
pub(super) struct Mapper<'a> {
    pub(super) reading: &'a Reading<'a>,
    pub(super) shape: &'a Shape,
    pub(super) kinds: Vec<String>,
    /// Whether the record is what the page is about, so that what the page says of itself is said of the record.
    pub(super) whole_page: bool,
    pub(super) record: DraftRecord,
    pub(super) warnings: Vec<Warning>,
}

/// A text that may give a value: a leaf, or a part of it.
struct Candidate<'a> {
    leaf: std::borrow::Cow<'a, Leaf>,
    range: Option<Range<usize>>,
}

impl<'a> Mapper<'a> {
    fn facts(&self) -> &'a Facts {
        self.reading.facts()
    }

    fn text(&self, leaf: &'a Leaf) -> &'a str {
        self.reading.facts().text(self.reading.page(), leaf)
    }

    /// Fills the record's fields from `sources`; absent fields stay absent.
    pub(super) fn fill(mut self, sources: &Sources) -> (DraftRecord, Vec<Warning>) {
        let root = self.shape.root();
        let top = self.whole_page;
        let data = self.object(root, sources, &JsonPointer::root(), top, 0);
        self.record.data = data.unwrap_or_else(|| Value::Object(Map::new()));
        self.total_time();
        (self.record, self.warnings)
    }

    fn object(
        &mut self,
        node: NodeRef,
        sources: &[ItemId],
        at: &JsonPointer,
        top: bool,
        depth: usize,
    ) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        let Kind::Object { fields, rest } = &self.shape.node(node).kind else { return None };
        let mut map = Map::new();
        for field in fields {
            if let Some(value) = self.field(field, sources, &at.key(&field.name), top, depth) {
                map.insert(field.name.clone(), value);
            }
        }
        if let Some(rest) = rest {
            self.rest(*rest, sources, at, &mut map);
        }
        (!map.is_empty()).then_some(Value::Object(map))
    }

    /// Members without a name of their own: every property of the item that reads as one.
    fn rest(&mut self, node: NodeRef, sources: &[ItemId], at: &JsonPointer, map: &mut Map<String, Value>) {
        let facts = self.facts();
        let shape = self.shape;
        for (name, fact) in sources.iter().flat_map(|id| facts.properties(*id)) {
            let Fact::Leaf(leaf) = fact else { continue };
            if map.contains_key(name) || map.len() >= 200 {
                continue;
            }
            let transform = Transform::wanted(shape.node(node), name);
            let found = self.read(&Candidate { leaf: std::borrow::Cow::Borrowed(leaf), range: None }, node, transform);
            if let Some((value, evidence)) = found {
                self.record.evidence.push((at.key(name), evidence));
                map.insert(name.to_owned(), value);
            }
        }
    }

    fn field(&mut self, field: &Field, sources: &[ItemId], at: &JsonPointer, top: bool, depth: usize) -> Option<Value> {
        let want = Want::new(&field.name, self.shape.node(field.node), &self.kinds);
        self.node(field.node, &want, sources, at, top, depth)
    }

    fn node(
        &mut self,
        node: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        top: bool,
        depth: usize,
    ) -> Option<Value> {
        let shape = self.shape;
        match &shape.node(node).kind {
            Kind::Object { .. } => self.nested(node, want, sources, at, depth),
            Kind::Array { items, max, unique } => {
                let max = max.and_then(|max| usize::try_from(max).ok()).unwrap_or(MAX_ENTRIES).min(MAX_ENTRIES);
                self.array(*items, want, sources, at, (top, depth), (max, *unique))
            }
            Kind::Union(options) => options.iter().find_map(|option| {
                let transform =
                    Transform::wanted(shape.node(*option), want.concept.and_then(|c| c.names.first()).unwrap_or(&""));
                let want = Want {
                    transform,
                    paths: want.paths.clone(),
                    meta: want.meta.clone(),
                    labels: want.labels.clone(),
                    concept: want.concept,
                };
                self.node(*option, &want, sources, at, top, depth)
            }),
            _ => self.scalar(node, want, sources, at, top),
        }
    }

    // Scalars.

    fn scalar(&mut self, node: NodeRef, want: &Want, sources: &[ItemId], at: &JsonPointer, top: bool) -> Option<Value> {
        let mut candidates: Vec<Candidate<'a>> = Vec::new();
        for id in sources {
            for path in &want.paths {
                for fact in self.follow(*id, path) {
                    self.leaves_of(fact, want.transform, &mut candidates, 0);
                }
            }
        }
        if top {
            self.meta_candidates(want, &mut candidates);
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
        let shown = self.under_labels(want, !sources.is_empty());
        self.first(&shown, node, want, at)
    }

    /// The first candidate that reads as a value, with those that agree as further sightings.
    fn first(&mut self, candidates: &[Candidate<'a>], node: NodeRef, want: &Want, at: &JsonPointer) -> Option<Value> {
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

    /// The values at the end of a property path.
    fn follow(&self, id: ItemId, path: &[String]) -> Vec<&'a Fact> {
        let facts = self.facts();
        let Some((first, rest)) = path.split_first() else { return Vec::new() };
        let found = facts.properties(id).filter(|(name, _)| name.eq_ignore_ascii_case(first)).map(|(_, value)| value);
        if rest.is_empty() {
            return found.collect();
        }
        found
            .filter_map(|value| match value {
                Fact::Item(inner) => Some(*inner),
                Fact::Leaf(_) => None,
            })
            .flat_map(|inner| self.follow(inner, rest))
            .collect()
    }

    /// The texts that stand for a value where one text is wanted: an item's name, address or amount.
    fn leaves_of(&self, fact: &'a Fact, transform: Transform, out: &mut Vec<Candidate<'a>>, depth: usize) {
        let id = match fact {
            Fact::Leaf(leaf) => return out.push(Candidate { leaf: std::borrow::Cow::Borrowed(leaf), range: None }),
            Fact::Item(id) => *id,
        };
        if depth > 2 || out.len() >= MAX_CANDIDATES {
            return;
        }
        let names: &[&str] = match transform {
            Transform::Url => &["url", "contentUrl"],
            Transform::Amount | Transform::AmountText | Transform::Number | Transform::Integer => {
                &["value", "price", "amount", "ratingValue", "name"]
            }
            Transform::Minutes | Transform::Seconds | Transform::Duration => &["maxValue", "value"],
            _ => &["name", "text", "value", "streetAddress", "url"],
        };
        for name in names {
            for value in self.follow(id, &[(*name).to_owned()]) {
                self.leaves_of(value, transform, out, depth + 1);
            }
        }
    }

    /// What the page says of itself in meta elements.
    fn meta_candidates(&self, want: &Want, out: &mut Vec<Candidate<'a>>) {
        let facts = self.facts();
        let title = want.is("title");
        let structured = out.len();
        for wanted in &want.meta {
            for (_, item) in facts.items().filter(|(_, item)| item.syntax == Syntax::Meta) {
                for (name, fact) in item.properties.iter().filter(|(name, _)| **name == **wanted) {
                    let Fact::Leaf(leaf) = fact else { continue };
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
    fn under_labels(&self, want: &Want, described: bool) -> Vec<Candidate<'a>> {
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
                let leaf = Leaf(Place::Visible { node: pair.node, start: value.start, end: value.end });
                out.push(Candidate { leaf: std::borrow::Cow::Owned(leaf), range: None });
            }
        }
        out
    }

    /// Whether a text beside a label may be the value. Lengths of time that are links lead to pages of that sort.
    fn is_likely(&self, value: &Range<usize>, transform: Transform, described: bool) -> bool {
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

    fn is_heading_in_title(&self, candidate: &Candidate<'a>) -> bool {
        let facts = self.facts();
        let page = self.reading.page();
        if !Facts::is_heading(page, &candidate.leaf) {
            return false;
        }
        let heading = folded(facts.text(page, &candidate.leaf));
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
    fn without_site_name(&self, name: &str, leaf: &'a Leaf) -> Option<Range<usize>> {
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

    /// A candidate as a value of `node`, with its evidence.
    fn read(&mut self, candidate: &Candidate<'_>, node: NodeRef, transform: Transform) -> Option<(Value, Evidence)> {
        let page = self.reading.page();
        let facts = self.facts();
        let leaf = &*candidate.leaf;
        let whole = facts.text(page, leaf);
        let base = candidate.range.clone().unwrap_or(0..whole.len());
        let text = whole.get(base.clone())?;
        let shape = self.shape;
        let node = shape.node(node);
        let (mut value, range) = transform.read(text, self.reading.locale())?;
        if matches!(node.kind, Kind::Text { .. }) && !value.is_string() {
            value = Value::String(value.to_string());
        }
        // A length of time of nothing is how templates say that nobody entered one.
        if transform == Transform::Minutes && value.as_u64() == Some(0) {
            return None;
        }
        let mut chosen = false;
        if let Some(allowed) = node.allowed.as_ref().filter(|allowed| !allowed.contains(&value)) {
            let quote = text.get(range.clone())?;
            value = allowed.iter().find(|choice| is_choice(choice, quote)).cloned()?;
            chosen = true;
        }
        let range = base.start + range.start..base.start + range.end;
        let quote = whole.get(range.clone())?;
        if !quotable(quote) {
            self.warnings.push(Warning {
                code: "value_too_long".into(),
                pointer: None,
                message: format!("a value of over {MAX_QUOTE} characters was left out: it cannot be quoted"),
            });
            return None;
        }
        let (source, node, spans) = facts.locate(page, leaf, &range);
        let plain = value.as_str() == Some(quote);
        let evidence = Evidence {
            source,
            document: 0,
            node: Some(node.index()),
            spans,
            quote: quote.to_owned(),
            transform: (!plain).then(|| if chosen { CHOICE } else { transform.name() }.to_owned()),
            verified: Verified::default(),
        };
        Some((value, evidence))
    }

    // Objects.

    fn nested(
        &mut self,
        node: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        depth: usize,
    ) -> Option<Value> {
        let items = |facts: Vec<&'a Fact>| -> Vec<ItemId> {
            facts.into_iter().filter_map(|fact| if let Fact::Item(id) = fact { Some(*id) } else { None }).collect()
        };
        let paths = want.paths.iter().chain(&[]);
        for path in paths {
            for id in sources {
                let found = items(self.follow(*id, path));
                if let Some(first) = found.first()
                    && let Some(value) = self.object(node, &[*first], at, false, depth + 1)
                {
                    return Some(value);
                }
            }
        }
        // `price: {amount, currency}` stands in the offer that holds the price.
        for path in want.paths.iter().filter(|path| path.len() > 1) {
            for id in sources {
                let owners = items(self.follow(*id, &path[..path.len() - 1]));
                if let Some(first) = owners.first()
                    && let Some(value) = self.object(node, &[*first], at, false, depth + 1)
                {
                    return Some(value);
                }
            }
        }
        // `author: {name}` where the page gives a plain text.
        let leaf = sources.iter().flat_map(|id| want.paths.iter().map(|path| (*id, path))).find_map(|(id, path)| {
            self.follow(id, path)
                .into_iter()
                .find_map(|fact| if let Fact::Leaf(leaf) = fact { Some(leaf) } else { None })
        });
        self.named(node, leaf?, at)
    }

    /// An object of which only the name is known.
    fn named(&mut self, node: NodeRef, leaf: &'a Leaf, at: &JsonPointer) -> Option<Value> {
        let shape = self.shape;
        let fields = shape.fields(node);
        let field = ["name", "text", "title", "value", "label", "url"]
            .iter()
            .find_map(|name| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)))?;
        let transform = Transform::wanted(shape.node(field.node), &field.name);
        let candidate = Candidate { leaf: std::borrow::Cow::Borrowed(leaf), range: None };
        let (value, evidence) = self.read(&candidate, field.node, transform)?;
        self.record.evidence.push((at.key(&field.name), evidence));
        Some(Value::Object(Map::from_iter([(field.name.clone(), value)])))
    }

    // Arrays.

    fn array(
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
        if candidates.is_empty() && top {
            self.meta_candidates(want, &mut candidates);
            candidates = self.split(candidates, want);
        }
        if candidates.is_empty() && top && !want.labels.is_empty() {
            let leaves = headed::list(self.reading, &want.labels, list_sort(want));
            candidates
                .extend(leaves.into_iter().map(|leaf| Candidate { leaf: std::borrow::Cow::Owned(leaf), range: None }));
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
            // Keywords repeat by accident; steps and ingredients on purpose.
            if (unique || want.concept.is_some_and(|concept| COMMA_LISTS.contains(&concept.names[0])))
                && values.contains(&value)
            {
                continue;
            }
            self.record.evidence.push((at.index(values.len()), evidence));
            values.push(value);
        }
        (!values.is_empty()).then_some(Value::Array(values))
    }

    /// The entries of a list as one item states them: the first path with any.
    fn entries(&self, id: ItemId, want: &Want) -> Vec<Candidate<'a>> {
        let facts = self.facts();
        let page = self.reading.page();
        for path in &want.paths {
            let found = self.follow(id, path);
            if found.is_empty() {
                continue;
            }
            let whole = |leaf: &'a Leaf| Candidate { leaf: std::borrow::Cow::Borrowed(leaf), range: None };
            let candidates: Vec<Candidate<'a>> = if want.transform == Transform::Url {
                let mut candidates = Vec::new();
                for fact in found {
                    self.leaves_of(fact, want.transform, &mut candidates, 0);
                }
                candidates
            } else {
                flatten::texts(facts, page, &found).into_iter().map(whole).collect()
            };
            let candidates = self.as_shown(self.split(candidates, want));
            if candidates.iter().any(|candidate| !plain::clean(self.part(candidate)).is_empty()) {
                return candidates;
            }
        }
        Vec::new()
    }

    fn part<'c>(&'c self, candidate: &'c Candidate<'a>) -> &'c str {
        let text = self.reading.facts().text(self.reading.page(), &candidate.leaf);
        candidate.range.clone().map_or(text, |range| text.get(range).unwrap_or(""))
    }

    /// One text that holds a whole list, cut at its lines or commas.
    fn split(&self, candidates: Vec<Candidate<'a>>, want: &Want) -> Vec<Candidate<'a>> {
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

    /// One long text that the page shows in several lines is cut where the page cuts it.
    fn as_shown(&self, candidates: Vec<Candidate<'a>>) -> Vec<Candidate<'a>> {
        let [only] = candidates.as_slice() else { return candidates };
        let text = self.part(only);
        if text.len() < 160 {
            return candidates;
        }
        let shown = headed::shown(self.reading, &folded(&plain::clean(text)));
        if shown.len() < 2 {
            return candidates;
        }
        shown.into_iter().map(|leaf| Candidate { leaf: std::borrow::Cow::Owned(leaf), range: None }).collect()
    }

    /// Ingredients as the page shows them, where the markup leaves the amounts out or cuts the list at commas.
    fn completed(&self, candidates: Vec<Candidate<'a>>) -> Vec<Candidate<'a>> {
        let page = self.reading.page();
        let entries: Vec<&str> = candidates.iter().map(|candidate| self.part(candidate)).collect();
        let leaves = shown::recut(page, &entries).or_else(|| {
            let entries: Vec<String> = entries.iter().map(|entry| plain::clean(entry).into_owned()).collect();
            shown::with_amounts(page, &entries)
        });
        let whole = |leaf| Candidate { leaf: std::borrow::Cow::Owned(leaf), range: None };
        leaves.map_or(candidates, |leaves| leaves.into_iter().map(whole).collect())
    }

    /// List entries without their marks: bullets and counting numbers go, and so do lines that only label or count.
    fn tidy(&self, candidates: Vec<Candidate<'a>>, want: &Want) -> Vec<Candidate<'a>> {
        let several = candidates.len() > 1;
        let mut tidy = Vec::new();
        let mut dropped = 0;
        for (at, candidate) in candidates.into_iter().enumerate() {
            let folded = folded(&plain::clean(self.part(&candidate)));
            let labels = folded.len() <= 60 && want.labels.contains(&headed::label(&folded));
            if several && (labels || marks::is_ordinal(folded.trim_end_matches([':', '.']), at + 1 - dropped)) {
                dropped += 1;
            } else {
                tidy.push(candidate);
            }
        }
        let entries: Vec<&str> = tidy.iter().map(|candidate| self.part(candidate)).collect();
        // Amounts of things start with numbers too: of those all must count.
        let numbers = marks::counting(&entries, !want.is("ingredients"));
        let skips: Vec<Option<usize>> =
            numbers.into_iter().zip(&entries).map(|(number, entry)| number.or_else(|| marks::bullet(entry))).collect();
        for (candidate, skip) in tidy.iter_mut().zip(skips) {
            if let Some(skip) = skip {
                let whole = candidate.range.clone().unwrap_or(0..self.text_len(candidate));
                candidate.range = Some(whole.start + skip..whole.end);
            }
        }
        tidy
    }

    fn text_len(&self, candidate: &Candidate<'a>) -> usize {
        self.reading.facts().text(self.reading.page(), &candidate.leaf).len()
    }

    fn objects(
        &mut self,
        items: NodeRef,
        want: &Want,
        sources: &[ItemId],
        at: &JsonPointer,
        depth: usize,
        max: usize,
    ) -> Option<Value> {
        for id in sources {
            for path in &want.paths {
                let mut values = Vec::new();
                for fact in self.follow(*id, path).into_iter().take(max) {
                    let here = at.index(values.len());
                    let value = match fact {
                        Fact::Item(inner) => self.object(items, &[*inner], &here, false, depth + 1),
                        Fact::Leaf(leaf) => self.named(items, leaf, &here),
                    };
                    values.extend(value);
                }
                if !values.is_empty() {
                    return Some(Value::Array(values));
                }
            }
        }
        None
    }

    /// The total is the sum of its parts, where the page gives only those.
    fn total_time(&mut self) {
        let shape = self.shape;
        let find = |concept: &str| {
            shape.fields(shape.root()).iter().find(|field| {
                let want = Want::new(&field.name, shape.node(field.node), &self.kinds);
                want.is(concept) && want.transform == Transform::Minutes
            })
        };
        let Some(total) = find("total time") else { return };
        let Some(map) = self.record.data.as_object_mut().filter(|map| !map.contains_key(&total.name)) else { return };
        let parts: Vec<(&str, u64)> = ["prep time", "cook time"]
            .iter()
            .filter_map(|concept| find(concept))
            .filter_map(|field| Some((field.name.as_str(), map.get(&field.name)?.as_u64()?)))
            .collect();
        if parts.is_empty() {
            return;
        }
        let sum: u64 = parts.iter().map(|(_, minutes)| minutes).sum();
        map.insert(total.name.clone(), Value::from(sum));
        let inputs = parts.iter().map(|(name, _)| JsonPointer::root().key(name)).collect();
        self.record.evidence.push((JsonPointer::root().key(&total.name), sum_of(inputs)));
    }
}

fn list_sort(want: &Want) -> headed::Sort {
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
