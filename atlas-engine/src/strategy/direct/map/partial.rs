//! Partial lists: markup that gives only some of the entries that the page shows.

use super::Mapper;
use super::candidate::Candidate;
use super::lists::list_sort;
use crate::evidence::folded;
use crate::plain;
use crate::strategy::direct::effort::Effort;
use crate::strategy::direct::headed;
use crate::strategy::direct::want::Want;
use atlas_schema::Warning;
use std::collections::HashSet;

/// A single text that is shorter is no list of steps.
const MIN_ONLY_STEP: usize = 30;

/// A longer text may be a whole list of its own.
const MAX_TOKEN: usize = 60;

impl<'a> Mapper<'a> {
    /// The entries that markup gave, or the list that the page shows where markup gave none, or part of that list.
    ///
    /// Where markup describes the record, parts are named apart from their steps, as its vocabulary does.
    pub(super) fn whole_list(&mut self, given: Vec<Candidate<'a>>, want: &Want, described: bool) -> Vec<Candidate<'a>> {
        let sort = list_sort(want);
        if sort == headed::Sort::Other && !given.is_empty() {
            return given;
        }
        // A shown list of steps may run on into remarks: being longer does not make it the whole one.
        if sort == headed::Sort::Prose && given.len() > 1 {
            return given;
        }
        let leaves = headed::list(self.reading, &want.labels, sort, !described, self.effort);
        let longer: Vec<Candidate<'a>> = leaves.into_iter().map(Candidate::shown).collect();
        if given.is_empty() {
            return self.plausible(longer, sort);
        }
        let longer = self.tidy(longer, want);
        let texts = |list: &[Candidate<'a>]| -> Vec<String> {
            list.iter().map(|candidate| plain::clean(self.part(candidate)).into_owned()).collect()
        };
        let (few, many) = (texts(&given), texts(&longer));
        let amounts = sort == headed::Sort::Amounts;
        if is_token(&few, &many)
            || (amounts && (is_part(&few, &many, self.effort) || is_turned(&few, &many, self.effort)))
        {
            return longer;
        }
        self.plausible(given, sort)
    }

    fn plausible(&mut self, list: Vec<Candidate<'a>>, sort: headed::Sort) -> Vec<Candidate<'a>> {
        if let ([only], headed::Sort::Prose) = (list.as_slice(), sort)
            && plain::clean(self.part(only)).chars().count() < MIN_ONLY_STEP
        {
            self.doubt("one short text stood where a list of steps is wanted, so it was left out");
            return Vec::new();
        }
        list
    }

    fn doubt(&mut self, message: &str) {
        self.warnings.push(Warning { code: "value_doubtful".into(), pointer: None, message: message.into() });
    }
}

/// Whether each entry is part of an entry of a shown list that has more: half as many again, or only further amounts.
fn is_part(few: &[String], many: &[String], effort: &Effort<'_>) -> bool {
    if many.len() <= few.len() || many.len() < 3 {
        return false;
    }
    let Some(held) = held(few, many, effort) else { return false };
    let known: HashSet<&String> = many.iter().zip(&held).filter(|(_, held)| **held).map(|(line, _)| line).collect();
    let mut further = many.iter().zip(&held).filter(|(_, held)| !**held).map(|(line, _)| line);
    many.len() * 2 >= few.len() * 3 || further.all(|line| starts_with_amount(line) && !known.contains(line))
}

/// Which entries of a shown list hold an entry each, so that all of `few` are held.
fn held(few: &[String], many: &[String], effort: &Effort<'_>) -> Option<Vec<bool>> {
    let lines: Vec<HashSet<String>> = many.iter().map(|line| words(line).collect()).collect();
    let mut held = vec![false; many.len()];
    for entry in few {
        let entry: Vec<String> = words(entry).collect();
        let line =
            effort.each(0..lines.len()).find(|at| !held[*at] && entry.iter().all(|word| lines[*at].contains(word)))?;
        held[line] = true;
    }
    Some(held)
}

/// Whether the entries are those shown, but with the amounts behind the things, as programs put fields together.
fn is_turned(few: &[String], many: &[String], effort: &Effort<'_>) -> bool {
    let has_number = |entry: &&String| entry.contains(|c: char| c.is_numeric());
    let counted = few.iter().filter(has_number).count();
    let behind = few.iter().filter(has_number).filter(|entry| !starts_with_amount(entry)).count();
    let before = many.iter().filter(|line| starts_with_amount(line)).count();
    few.len() > 2
        && few.len() == many.len()
        && behind * 3 >= counted * 2
        && before * 3 >= many.iter().filter(has_number).count() * 2
        && counted * 2 >= few.len()
        && held(few, many, effort).is_some()
}

fn starts_with_amount(line: &str) -> bool {
    line.trim_start().starts_with(|c: char| c.is_numeric())
}

/// Whether one short text stands for a list that is shown in full: the main ingredient, a placeholder.
fn is_token(few: &[String], many: &[String]) -> bool {
    let [only] = few else { return false };
    let shown: usize = many.iter().map(String::len).sum();
    many.len() >= 3 && only.chars().count() < MAX_TOKEN && only.len() * 3 < shown
}

/// Runs of letters and runs of digits, folded: `500gr` and `500 gr` are the same two.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut words: Vec<String> = Vec::new();
    let mut last = None;
    for c in folded(text).chars() {
        let kind = (c.is_alphabetic(), c.is_numeric());
        if kind != (false, false) {
            if last == Some(kind)
                && let Some(word) = words.last_mut()
            {
                word.push(c);
            } else {
                words.push(c.to_string());
            }
        }
        last = Some(kind);
    }
    words.into_iter()
}
