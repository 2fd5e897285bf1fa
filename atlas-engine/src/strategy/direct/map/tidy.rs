//! Tidying: list entries as a reader takes them, without what marks, counts and heads them.

use super::Mapper;
use super::candidate::Candidate;
use crate::evidence::folded;
use crate::page::{NodeId, Page};
use crate::plain;
use crate::strategy::direct::effort::Effort;
use crate::strategy::direct::want::Want;
use crate::strategy::direct::{headed, marks, shown};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

impl<'a> Mapper<'a> {
    /// One long text that the page shows in several lines is cut where the page cuts it.
    pub(super) fn as_shown(&self, candidates: Vec<Candidate<'a>>) -> Vec<Candidate<'a>> {
        let [only] = candidates.as_slice() else { return candidates };
        let text = self.part(only);
        if text.len() < 160 {
            return candidates;
        }
        let shown = headed::shown(self.reading, &folded(&plain::clean(text)));
        if shown.len() < 2 {
            return candidates;
        }
        shown.into_iter().map(Candidate::shown).collect()
    }

    /// Ingredients as the page shows them, where the markup leaves the amounts out or cuts the list at commas.
    pub(super) fn completed(&self, candidates: Vec<Candidate<'a>>) -> Vec<Candidate<'a>> {
        let page = self.reading.page();
        let entries: Vec<&str> = candidates.iter().map(|candidate| self.part(candidate)).collect();
        let leaves = shown::recut(page, &entries, self.effort).or_else(|| {
            let entries: Vec<String> = entries.iter().map(|entry| plain::clean(entry).into_owned()).collect();
            shown::with_amounts(page, &entries, self.effort)
        });
        leaves.map_or(candidates, |leaves| leaves.into_iter().map(Candidate::shown).collect())
    }

    /// List entries without their marks: bullets and counting numbers go, and so do lines that only label or count.
    pub(super) fn tidy(&self, candidates: Vec<Candidate<'a>>, want: &Want) -> Vec<Candidate<'a>> {
        let several = candidates.len() > 1;
        let mut tidy = Vec::new();
        let mut dropped = 0;
        for (at, candidate) in candidates.into_iter().enumerate() {
            let folded = folded(&plain::clean(self.part(&candidate)));
            let labels = folded.len() <= 60 && want.labels.contains(&headed::label(&folded));
            // `lemon 1` is an ingredient, where `step 1` says which step comes.
            let ordinal =
                !want.is("ingredients") && marks::is_ordinal(folded.trim_end_matches([':', '.']), at + 1 - dropped);
            if several && (labels || ordinal) {
                dropped += 1;
            } else {
                tidy.push(candidate);
            }
        }
        if want.is("ingredients") {
            self.drop_part_names(&mut tidy);
            if tidy.iter().all(|entry| matches!(entry.leaf, Cow::Owned(_))) {
                self.drop_other_units(&mut tidy);
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

    /// Ingredients without the names of their parts: `For the sauce:`, or what the page sets apart as a heading.
    fn drop_part_names(&self, entries: &mut Vec<Candidate<'a>>) {
        let texts: Vec<String> = entries.iter().map(|entry| plain::clean(self.part(entry)).into_owned()).collect();
        if !texts.iter().any(|text| may_name_a_part(text)) {
            return;
        }
        let apart = looks_apart(self.reading.page(), &texts, self.effort);
        let names: Vec<bool> = texts
            .iter()
            .zip(apart)
            .map(|(text, apart)| may_name_a_part(text) && (headed::names_a_part(text) || apart))
            .collect();
        // Where most entries look like headings, that is how the page writes entries.
        if names.iter().filter(|is_name| **is_name).count() * 3 <= names.len() {
            let mut names = names.into_iter();
            entries.retain(|_| !names.next().unwrap_or(false));
        }
    }

    /// Ingredients without the same again in other units, as pages hold them ready to be switched to.
    fn drop_other_units(&self, entries: &mut Vec<Candidate<'a>>) {
        let things: Vec<String> = entries.iter().map(|entry| thing(&plain::clean(self.part(entry)))).collect();
        let mut keep = vec![true; entries.len()];
        let mut at = 0;
        while at + 1 < things.len() {
            let alike = |from: usize, length: usize| {
                if !self.effort.spend(length) {
                    return false;
                }
                things.get(from..from + length).is_some_and(|next| {
                    // Some things have other names where other units are used.
                    let same = next.iter().zip(&things[at..at + length]).filter(|(next, first)| next == first).count();
                    let is_whole = at == 0 && things.len().is_multiple_of(length);
                    same == length || (is_whole && same * 3 >= length * 2)
                })
            };
            let Some(length) = (3..=(things.len() - at) / 2).rev().find(|length| alike(at + length, *length)) else {
                at += 1;
                continue;
            };
            let mut next = at + length;
            while alike(next, length) {
                keep.iter_mut().skip(next).take(length).for_each(|keep| *keep = false);
                next += length;
            }
            at = next;
        }
        let mut keep = keep.into_iter();
        entries.retain(|_| keep.next().unwrap_or(true));
    }
}

/// A longer text is no heading of a part.
const MAX_NAME: usize = 60;

fn may_name_a_part(text: &str) -> bool {
    text.len() <= MAX_NAME && !text.contains(|c: char| c.is_numeric())
}

/// Which entries the page shows right above the next one and in another look: as a heading, another class, or bold.
fn looks_apart(page: &Page, entries: &[String], effort: &Effort<'_>) -> Vec<bool> {
    let mut shown: HashMap<String, Vec<usize>> = HashMap::new();
    let lines: Vec<Range<usize>> = headed::lines(page.text(), 0).filter(|line| !line.is_empty()).collect();
    let wanted: HashSet<String> = entries.iter().map(|entry| folded(entry)).collect();
    for (at, line) in lines.iter().enumerate() {
        let text = folded(page.text().get(line.clone()).unwrap_or(""));
        if wanted.contains(&text) {
            shown.entry(text).or_default().push(at);
        }
    }
    let places = |entry: &String| shown.get(&folded(entry)).map_or(&[][..], Vec::as_slice);
    let look_at = |at: usize| lines.get(at).and_then(|line| look(page, line));
    let mut looks: HashMap<_, usize> = HashMap::new();
    for look in entries.iter().filter_map(|entry| look_at(*places(entry).first()?)) {
        *looks.entry(look).or_default() += 1;
    }
    let Some(usual) = looks.into_iter().max_by_key(|(look, count)| (*count, *look)).map(|(look, _)| look) else {
        return vec![false; entries.len()];
    };
    let apart = |(entry, next): (&String, &String)| {
        // The places are in order.
        let above = effort.each(places(entry).iter()).find(|at| places(next).binary_search(&(**at + 1)).is_ok());
        above.is_some_and(|at| look_at(*at) != Some(usual) && look_at(*at + 1) == Some(usual))
    };
    let mut found: Vec<bool> = entries.iter().zip(entries.iter().skip(1)).map(apart).collect();
    found.push(false);
    found
}

/// How a line looks: the tag and class of the widest element that holds just it, and whether all of it is bold or a
/// heading.
fn look<'p>(page: &'p Page, line: &Range<usize>) -> Option<(&'p str, &'p str, bool)> {
    let first = page.node_at(line.start)?;
    let within = |node: &NodeId| {
        let range = page.text_range(*node);
        range.start >= line.start && range.end <= line.end
    };
    let elements = || std::iter::once(first).chain(page.ancestors(first)).take_while(within);
    let whole = |node: &NodeId| page.text_range(*node).len() == line.len();
    let apart = elements()
        .any(|node| whole(&node) && matches!(page.tag(node), Some("strong" | "b" | "h2" | "h3" | "h4" | "h5" | "h6")));
    let widest = elements().filter(|node| page.tag(*node).is_some()).last();
    let tag = widest.and_then(|node| page.tag(node)).unwrap_or("");
    let class = widest.and_then(|node| page.attr(node, "class")).unwrap_or("");
    Some((tag, class, apart))
}

/// The last word of an ingredient, which names the thing whatever its amount is given in.
fn thing(text: &str) -> String {
    folded(text).rsplit(' ').next().unwrap_or("").to_owned()
}
