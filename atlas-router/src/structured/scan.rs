//! Finding the documents of a reply among fences and prose.
//!
//! Where a fence comes before any bracket, documents are looked for in fences only. A bracket that opens no document is passed
//! over as prose, unless something of a document was read behind it: then it was meant as one, and what follows in it must not
//! be taken for the whole.

use super::parse::{self, Stop, is_space, spaces};
use super::repairs::{RepairKind, Repairs, Step};
use super::{Bounds, ReadError};
use serde_json::Value;
use std::ops::Range;

/// More documents than this are too many to choose from.
const MOST_DOCUMENTS: usize = 64;
const FENCE: &str = "```";
const BRACKETS: [char; 2] = ['{', '['];

/// A document of a reply.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) repairs: Repairs,
    /// The place of a text that the reply ended in.
    pub(super) half: Option<Vec<Step>>,
    /// Where it stands in the reply.
    pub(super) place: Range<usize>,
}

/// All documents of a text, at least one; objects and arrays, or a single other value if that is the whole text.
pub(super) fn documents(text: &str, bounds: &Bounds) -> Result<Vec<Document>, ReadError> {
    if text.len() > bounds.max_bytes {
        return Err(ReadError::TooLarge { max: bounds.max_bytes });
    }
    let mut search = Search { text, bounds, values: 0, found: Vec::new(), is_cut: false };
    let (fence, bracket) = (text.find(FENCE), text.find(BRACKETS));
    let (start, mut end) = (spaces(text, 0), text.len());
    // Before all else, since a text may hold fences and brackets.
    let is_alone = bracket != Some(start) && fence != Some(start) && search.scalar(start, end);
    match fence.filter(|fence| bracket.is_none_or(|bracket| *fence < bracket)) {
        _ if is_alone => {}
        Some(fence) => {
            search.fences(fence)?;
            if search.found.is_empty() && fence == start {
                // A value of another kind may be all that there is in the fence.
                end = text.trim_end_matches(|one| is_space(one) || one == '`').len();
                search.scalar(content(text, fence), end);
            }
            if search.found.is_empty() && !search.is_cut {
                search.prose(start)?;
            }
        }
        None => search.prose(start)?,
    }
    let Search { mut found, is_cut, .. } = search;
    if found.is_empty() {
        return Err(if is_cut { ReadError::Cut } else { ReadError::Nothing });
    }
    let kind = around(text, &found);
    for document in &mut found {
        if let Some(kind) = kind {
            document.repairs.note(kind, &[]);
        }
    }
    Ok(found)
}

/// Where the content of a fence begins: behind the name of its language, which stands alone on its line.
fn content(text: &str, fence: usize) -> usize {
    /// No language has a longer name.
    const MOST_LETTERS: usize = 32;
    let begin = fence + ticks(text, fence);
    let rest = text.get(begin..).unwrap_or_default();
    let named = |one: &char| one.is_alphanumeric() || matches!(one, '_' | '+' | '-' | '.');
    let name: usize = rest.chars().take(MOST_LETTERS).take_while(named).map(char::len_utf8).sum();
    let line = rest.get(name..).unwrap_or_default().trim_start_matches([' ', '\t', '\r']);
    let json = rest.get(..4).filter(|name| name.eq_ignore_ascii_case("json")).map_or(0, str::len);
    spaces(text, begin + if line.starts_with('\n') { name } else { json })
}

/// How many of them stand there.
fn ticks(text: &str, at: usize) -> usize {
    text.get(at..).unwrap_or_default().bytes().take_while(|byte| *byte == b'`').count()
}

/// What stands around the documents.
fn around(text: &str, found: &[Document]) -> Option<RepairKind> {
    let ends = found.iter().map(|document| document.place.end);
    let starts = found.iter().map(|document| document.place.start).chain([text.len()]);
    let mut kind = None;
    for (from, to) in std::iter::once(0).chain(ends).zip(starts) {
        let mut between = text.get(from..to).unwrap_or_default();
        while let Some(at) = between.find(|one| !is_space(one)) {
            between = between.get(at..).unwrap_or_default();
            if !between.starts_with(FENCE) {
                return Some(RepairKind::Prose);
            }
            kind = Some(RepairKind::Fence);
            let behind = content(text, to - between.len()).min(to);
            between = text.get(behind..to).unwrap_or_default();
        }
    }
    kind
}

struct Search<'a> {
    text: &'a str,
    bounds: &'a Bounds,
    values: usize,
    found: Vec<Document>,
    /// The text ended before something was a value.
    is_cut: bool,
}

impl Search<'_> {
    /// A value of whatever kind from there to that end, and nothing behind it: whether that is what the text is.
    fn scalar(&mut self, at: usize, end: usize) -> bool {
        let Ok(read) = parse::value(self.text, at, self.bounds, &mut self.values) else { return false };
        if spaces(self.text, read.end) < end {
            return false;
        }
        match read.value {
            Some(value) => {
                self.found.push(Document { value, repairs: read.repairs, half: read.half, place: at..read.end });
            }
            None => self.is_cut = at < end,
        }
        true
    }

    /// Documents among prose.
    fn prose(&mut self, start: usize) -> Result<(), ReadError> {
        let mut at = start;
        while let Some(next) = self.text.get(at..).and_then(|rest| rest.find(BRACKETS)) {
            at = self.take(at + next)?;
        }
        Ok(())
    }

    /// Documents in fences, one at the beginning of each.
    fn fences(&mut self, first: usize) -> Result<(), ReadError> {
        let fence = |from: usize| Some(from + self.text.get(from..)?.find(FENCE)?);
        let (mut open, mut places) = (Some(first), Vec::new());
        while let Some(at) = open {
            places.push(at);
            open = fence(at + ticks(self.text, at));
        }
        // Those within texts are passed over, since each search begins behind what was read.
        let (mut behind, mut is_open) = (0, false);
        for at in places {
            if at < behind {
                continue;
            }
            is_open = !is_open;
            let begin = content(self.text, at);
            if is_open && self.text.get(begin..).is_some_and(|rest| rest.starts_with(BRACKETS)) {
                behind = self.take(begin)?;
            }
        }
        Ok(())
    }

    /// Takes what begins at that bracket and says from where to look on: always further on.
    fn take(&mut self, at: usize) -> Result<usize, ReadError> {
        match parse::value(self.text, at, self.bounds, &mut self.values) {
            Ok(read) => {
                match read.value {
                    Some(value) => {
                        self.found.push(Document {
                            value,
                            repairs: read.repairs,
                            half: read.half,
                            place: at..read.end,
                        });
                    }
                    None => self.is_cut = true,
                }
                if self.found.len() > MOST_DOCUMENTS {
                    return Err(ReadError::Several);
                }
                Ok(read.end.max(at + 1))
            }
            Err(unread) => match unread.stop {
                Stop::Broken { at: broken, .. } if !unread.has_content => Ok(broken.max(at + 1)),
                stop => Err(stop.into()),
            },
        }
    }
}
