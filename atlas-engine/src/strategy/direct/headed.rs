//! Lists under a label: what a page shows below a line such as "Ingredients".

use super::effort::Effort;
use super::outline::Outline;
use super::rows;
use super::vocabulary::{MARKS_INGREDIENTS, MARKS_STEPS};
use crate::evidence::{Reading, folded};
use crate::facts::{Leaf, Place};
use crate::page::{NodeId, Page};
use std::ops::Range;

/// A longer line is prose, not a label.
pub(super) const MAX_LABEL: usize = 60;
/// A longer entry is no list entry, except of instructions.
const MAX_ENTRY: usize = 400;
/// A longer entry says more than an amount of a thing.
const MAX_AMOUNT: usize = 200;
/// A list may start this many bytes of text after its label.
pub(super) const MAX_LEAD: usize = 600;
/// Elements of a line looked at for links.
const MAX_NODES: usize = 200;
/// Lines with a label of one field that are looked below.
const MAX_LABELLED: usize = 500;
/// Lines taken where there is no list.
const MAX_LINES: usize = 40;
/// The next entry starts at most this many bytes of text after the one before: sub-headings fit between.
pub(super) const MAX_GAP: usize = 120;

/// A step says at least so much, in letters of a script of letters.
const MIN_STEP: usize = 25;

/// And so much where the page itself counts the steps.
const MIN_COUNTED_STEP: usize = 12;

/// Whether an entry stands in a list that counts.
fn is_counted(page: &Page, leaf: &Leaf) -> bool {
    let Place::Node { node } = &leaf.0 else { return false };
    page.parent(*node).and_then(|parent| page.tag(parent)) == Some("ol")
}

/// How much a text says, in letters: a sign of a script of syllables or words says what three letters do.
fn weight(text: &str) -> usize {
    let dense = |c: char| matches!(u32::from(c), 0x3040..=0x30FF | 0x3400..=0x9FFF | 0xAC00..=0xD7AF | 0x2_0000..);
    text.chars().map(|c| if dense(c) { 3 } else { 1 }).sum()
}

/// Words between a label and for how many its list is, folded.
const FOR: [&str; 12] = ["for", "fur", "fu\u{308}r", "pour", "para", "per", "voor", "til", "till", "dla", "pro", "na"];

/// What the entries of a list are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// Sentences, such as steps.
    Prose,
    /// Amounts of things, such as ingredients.
    Amounts,
    /// Anything.
    Other,
}

/// Whether a list reads as what it should be. A wrong list under a right label is worse than none: menus, equipment and
/// remarks stand there too.
fn is_plausible(page: &Page, entries: &[Leaf], sort: Sort) -> bool {
    let text = |leaf: &Leaf| match &leaf.0 {
        Place::Node { node } => page.text_of(*node),
        Place::Visible { start, end, .. } => page.text().get(*start..*end).unwrap_or(""),
        _ => "",
    };
    let share = |fits: &dyn Fn(&str) -> bool| {
        entries.iter().filter(|leaf| fits(text(leaf))).count() * 100 / entries.len().max(1)
    };
    match sort {
        Sort::Prose => {
            let counted = entries.iter().all(|leaf| is_counted(page, leaf));
            let least = if counted { MIN_COUNTED_STEP } else { MIN_STEP };
            share(&|text| weight(text) >= least) >= 50
        }
        Sort::Amounts => {
            share(&|text| text.contains(|c: char| c.is_numeric())) >= 30
                && share(&|text| text.len() <= MAX_AMOUNT) >= 80
        }
        Sort::Other => true,
    }
}

/// The entries of the best list under one of `labels`; empty if there is none.
///
/// With `names`, the names of steps' parts stand among the steps. Of several lists so labelled the one with the most entries counts: teasers and tables of contents are short.
pub(super) fn list(
    reading: &Reading<'_>,
    labels: &[String],
    sort: Sort,
    names: bool,
    effort: &Effort<'_>,
) -> Vec<Leaf> {
    let page = reading.page();
    let mut best: Vec<Leaf> = Vec::new();
    let mut outline: Option<Outline> = None;
    let mut labelled = 0;
    for line in effort.each(lines(page.text(), 0)) {
        let text = page.text().get(line.clone()).unwrap_or("");
        if text.len() > MAX_LABEL || !opens(text, labels) {
            continue;
        }
        labelled += 1;
        if labelled > MAX_LABELLED {
            effort.leave_out();
            break;
        }
        let outline = outline.get_or_insert_with(|| Outline::of(page));
        let found = below(page, outline, &line, labels, sort, names, effort);
        if found.len() > best.len() && is_plausible(page, &found, sort) {
            best = found;
        }
    }
    if best.is_empty() { marked(page, sort, effort) } else { best }
}

/// The entries of the best part of the page that its class or id calls a list of this sort, where no label is seen.
fn marked(page: &Page, sort: Sort, effort: &Effort<'_>) -> Vec<Leaf> {
    let words = match sort {
        Sort::Amounts => MARKS_INGREDIENTS,
        Sort::Prose => MARKS_STEPS,
        Sort::Other => return Vec::new(),
    };
    let mut best: Vec<Leaf> = Vec::new();
    let mut consider = |entries: Vec<rows::Row>| {
        if entries.len() < 2 || entries.len() <= best.len() || is_mostly_links(page, &entries) {
            return;
        }
        let leaves: Vec<Leaf> = tidied(page, entries, sort).into_iter().map(Leaf).collect();
        if leaves.len() > best.len() && is_plausible(page, &leaves, sort) && has_enough(page, &leaves, sort) {
            best = leaves;
        }
    };
    let parts = rows::marked(page, words);
    for (node, range) in &parts {
        let items = rows::items(page, *node, effort);
        consider(if items.len() > 1 {
            items
        } else {
            rows::repeated(page, (*node, *node), range, sort == Sort::Amounts, effort)
        });
    }
    // The word may stand on each entry instead of around them.
    for like in rows::alike(page, &parts) {
        consider(like);
    }
    best
}

/// Without a label that says so, more than a few digits must speak for a list of ingredients.
fn has_enough(page: &Page, leaves: &[Leaf], sort: Sort) -> bool {
    let amount = |leaf: &&Leaf| match leaf.0 {
        Place::Node { node } => page.text_of(node).contains(|c: char| c.is_numeric()),
        _ => false,
    };
    sort != Sort::Amounts || leaves.iter().filter(amount).count() * 2 >= leaves.len()
}

/// Lists of links lead elsewhere: menus, tags, related pages.
fn is_mostly_links(page: &Page, entries: &[rows::Row]) -> bool {
    entries.iter().filter(|(node, range)| is_link(page, *node, range)).count() * 2 > entries.len()
}

/// The places of list entries, without those that only name a part of an ingredient list.
fn tidied(page: &Page, entries: Vec<rows::Row>, sort: Sort) -> Vec<Place> {
    let fits = |(node, range): &rows::Row| match sort {
        Sort::Prose => true,
        Sort::Amounts => {
            range.len() <= MAX_ENTRY && !names_a_part(page.text_of(*node)) && heading(page, *node).is_none()
        }
        Sort::Other => range.len() <= MAX_ENTRY,
    };
    entries.into_iter().filter(fits).map(|(node, _)| Place::Node { node }).collect()
}

/// Whether an entry is the name of those below it: `For the sauce:`.
pub(super) fn names_a_part(text: &str) -> bool {
    text.trim_end().ends_with([':', '：']) && !text.contains(|c: char| c.is_numeric())
}

/// The name of the steps between two entries (or a label and the first entry), if it is set apart as a heading.
fn part_name(page: &Page, between: &Range<usize>, labels: &[String]) -> Option<Place> {
    let gap = page.text().get(between.clone())?;
    let last = gap.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let text = gap.get(last..)?;
    let start = between.start + last + (text.len() - text.trim_start().len());
    let end = start + text.trim().len();
    let name = page.text().get(start..end).filter(|name| !name.is_empty() && name.len() <= MAX_LABEL)?;
    let node = page.node_at(start)?;
    let apart = heading(page, node).is_some()
        || page.ancestors(node).take(3).any(|node| matches!(page.tag(node), Some("strong" | "b" | "dt")));
    (apart && !labels.contains(&label(name))).then_some(Place::Visible { node, start, end })
}

/// A line as a label: folded, without closing punctuation and counts.
pub(super) fn label(text: &str) -> String {
    let folded = folded(text);
    let end = folded.find([':', '(', '[']).unwrap_or(folded.len());
    folded.get(..end).unwrap_or("").trim().trim_end_matches(['.', '!', '…', ':']).to_owned()
}

/// Whether a line opens a list: one of its labels, alone or with for how many it is (`Zutaten für 4 Personen`).
fn opens(text: &str, labels: &[String]) -> bool {
    let whole = label(text);
    if labels.contains(&whole) {
        return true;
    }
    let Some(before) = whole.find(|c: char| c.is_ascii_digit()).and_then(|at| whole.get(..at)) else { return false };
    let words = before.trim().trim_end_matches([',', '-', '~']).trim_end();
    let without = words.rsplit_once(' ').filter(|(_, last)| FOR.contains(last)).map_or(words, |(rest, _)| rest);
    labels.iter().any(|label| label == words || label == without)
}

/// The lines of a text from a byte on.
pub(super) fn lines(text: &str, from: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = from;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.find('\n').unwrap_or(rest.len());
        let line = start..start + length;
        start = (line.end + 1).min(text.len());
        Some(line)
    })
}

/// The list entries, else the lines, between a label and whatever ends its part of the page.
fn below(
    page: &Page,
    outline: &Outline,
    line: &Range<usize>,
    labels: &[String],
    sort: Sort,
    names: bool,
    effort: &Effort<'_>,
) -> Vec<Leaf> {
    let level = page.node_at(line.start).and_then(|node| heading(page, node));
    let end = outline.end_of_part(line.end, level, labels, effort);
    let mut entries: Vec<(NodeId, Range<usize>)> = Vec::new();
    let mut counts: Option<bool> = None;
    for (node, range) in effort.each(outline.items_from(line.end)).cloned() {
        let far = match entries.last() {
            Some((_, last)) => last.end + MAX_GAP < range.start,
            None => line.end + MAX_LEAD < range.start,
        };
        if far || range.start >= end {
            break;
        }
        if range.end > end {
            // An unclosed entry holds what ends the list: its text up to there is an entry still.
            if sort == Sort::Prose && !entries.is_empty() {
                entries.push((node, range.start..end));
            }
            break;
        }
        if effort.each(page.descendants(node)).any(|inner| page.tag(inner) == Some("li")) {
            continue;
        }
        // Steps that the page counts do not go on in bullets.
        let counted = page.parent(node).and_then(|parent| page.tag(parent)) == Some("ol");
        if sort == Sort::Prose && *counts.get_or_insert(counted) && !counted {
            break;
        }
        entries.push((node, range));
    }
    if is_mostly_links(page, &entries) {
        return Vec::new();
    }
    if entries.len() > 1 {
        if sort != Sort::Prose {
            return tidied(page, entries, sort).into_iter().map(Leaf).collect();
        }
        let mut leaves = Vec::new();
        let mut from = line.end;
        for (node, range) in entries {
            if names {
                leaves.extend(part_name(page, &(from..range.start), labels).map(Leaf));
            }
            from = range.end;
            leaves.push(Leaf(if range == page.text_range(node) {
                Place::Node { node }
            } else {
                let length = page.text().get(range.clone()).map_or(0, |text| text.trim_end().len());
                Place::Visible { node, start: range.start, end: range.start + length }
            }));
        }
        return leaves;
    }
    if sort != Sort::Other {
        let rows = rows::below(page, line, end, sort == Sort::Amounts, effort);
        if rows.len() > 1 && covers_most(&rows) && !is_mostly_links(page, &rows) {
            let leaves: Vec<Leaf> = tidied(page, rows, sort).into_iter().map(Leaf).collect();
            if is_plausible(page, &leaves, sort) {
                return leaves;
            }
        }
    }
    let mut leaves = Vec::new();
    for line in lines(page.text(), line.end + 1).take_while(|line| line.end <= end).take(MAX_LINES) {
        let Some(node) = page.node_at(line.start) else { continue };
        let text = page.text().get(line.clone()).unwrap_or("");
        // What leads elsewhere or is to be pressed comes after the steps.
        if sort == Sort::Prose && (is_control(page, node) || is_mostly_link(page, node, &line)) {
            break;
        }
        let apart =
            sort == Sort::Amounts && (names_a_part(text) || heading(page, node).is_some() || is_control(page, node));
        if !apart && (line.len() <= MAX_ENTRY || sort == Sort::Prose) {
            leaves.push(Leaf(Place::Visible { node, start: line.start, end: line.end }));
        }
    }
    if sort == Sort::Prose { without_links_at_end(page, leaves) } else { leaves }
}

/// Whether rows hold at least half of the text from the first to the last: what skips most of it is not the list.
fn covers_most(rows: &[rows::Row]) -> bool {
    let (Some((_, first)), Some((_, last))) = (rows.first(), rows.last()) else { return false };
    let covered: usize = rows.iter().map(|(_, range)| range.len()).sum();
    covered * 2 >= last.end.saturating_sub(first.start)
}

/// Whether links cover half of a line or more.
fn is_mostly_link(page: &Page, node: NodeId, line: &Range<usize>) -> bool {
    linked(page, node, line) * 2 >= line.len()
}

/// How many bytes of a line links cover.
fn linked(page: &Page, node: NodeId, line: &Range<usize>) -> usize {
    let covers = |node: &NodeId| {
        let range = page.text_range(*node);
        range.start <= line.start && line.end <= range.end
    };
    let Some(block) = std::iter::once(node).chain(page.ancestors(node)).find(covers) else { return 0 };
    if page.ancestors(block).take(3).any(|node| page.tag(node) == Some("a")) {
        return line.len();
    }
    let within = std::iter::once(block).chain(page.descendants(block)).take(MAX_NODES);
    let links = within.filter(|node| page.tag(*node) == Some("a")).map(|node| page.text_range(node));
    links.map(|link| link.end.min(line.end).saturating_sub(link.start.max(line.start))).sum()
}

/// Lines of steps without those at the end that lead elsewhere, where no other line does.
fn without_links_at_end(page: &Page, mut leaves: Vec<Leaf>) -> Vec<Leaf> {
    let leads = |leaf: &Leaf| match leaf.0 {
        Place::Visible { node, start, end } => linked(page, node, &(start..end)) > 0,
        _ => false,
    };
    let steps = leaves.iter().rposition(|leaf| !leads(leaf)).map_or(0, |last| last + 1);
    if steps > 1 && !leaves.iter().take(steps).any(leads) {
        leaves.truncate(steps);
    }
    leaves
}

/// Whether a text is something to press.
fn is_control(page: &Page, node: NodeId) -> bool {
    page.ancestors(node).take(4).any(|node| matches!(page.tag(node), Some("button" | "select" | "option")))
}

/// Whether all that an entry shows is a link.
fn is_link(page: &Page, node: NodeId, range: &Range<usize>) -> bool {
    page.descendants(node).any(|inner| page.tag(inner) == Some("a") && page.text_range(inner) == *range)
}

/// The lines of the page that together show the folded `text`, in order; empty unless they show nearly all of it.
pub(super) fn shown(reading: &Reading<'_>, text: &str) -> Vec<Leaf> {
    let page = reading.page();
    let mut leaves = Vec::new();
    let (mut at, mut covered) = (0, 0);
    for line in lines(page.text(), 0) {
        let shown = folded(page.text().get(line.clone()).unwrap_or(""));
        // A short line counts where it stands right behind the one before.
        let is_short = shown.chars().count() < 8;
        if is_short && (leaves.is_empty() || shown.chars().filter(|c| c.is_alphabetic()).count() < 3) {
            continue;
        }
        // Between two lines stands at most a number or a bullet.
        let gap = if is_short { 2 } else { 12 };
        // Further on it would not count.
        let mut window = (at + gap + shown.len()).min(text.len());
        while !text.is_char_boundary(window) {
            window += 1;
        }
        let rest = text.get(at..window).unwrap_or("");
        let Some(found) = rest.find(&shown).filter(|found| *found <= gap) else { continue };
        let Some(node) = page.node_at(line.start) else { continue };
        at += found + shown.len();
        covered += shown.len();
        leaves.push(Leaf(Place::Visible { node, start: line.start, end: line.end }));
    }
    if covered * 10 >= text.len() * 9 { leaves } else { Vec::new() }
}

/// The level of the heading that a node stands in.
fn heading(page: &Page, node: NodeId) -> Option<u8> {
    let mut around = std::iter::once(node).chain(page.ancestors(node).take(6));
    around.find_map(|node| page.tag(node)?.strip_prefix('h')?.parse().ok().filter(|level| (1..=6).contains(level)))
}
