//! A text in the form that words and numbers are compared in, with the way back.
//!
//! Letters are lower case without accents, digits of any script are ASCII, blanks are one of two kinds. Each byte of the
//! folded text knows the character of the source that gave it.

use std::ops::Range;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

/// The blank that does not break a line: no-break, narrow, thin and figure spaces all become this one.
pub(super) const FIXED_BLANK: char = '\u{a0}';

/// First characters of the decimal digits in scripts that pages use (Unicode `Nd`).
const ZEROS: [char; 16] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{1040}', '\u{ff10}',
];

pub(super) struct Folded<'t> {
    pub(super) source: &'t str,
    pub(super) text: String,
    /// For each byte of `text`, the source character's first byte and the byte after it.
    origin: Vec<(u32, u32)>,
}

impl<'t> Folded<'t> {
    /// `None` for texts of 4 GiB and more.
    pub(super) fn new(source: &'t str) -> Option<Self> {
        u32::try_from(source.len()).ok()?;
        let mut folded =
            Self { source, text: String::with_capacity(source.len()), origin: Vec::with_capacity(source.len()) };
        for (at, c) in source.char_indices() {
            folded.push(c, at);
        }
        Some(folded)
    }

    fn push(&mut self, c: char, at: usize) {
        let end = at + c.len_utf8();
        let before = self.text.len();
        if c.is_ascii() {
            self.text.push(if c.is_ascii_whitespace() { ' ' } else { c.to_ascii_lowercase() });
        } else if is_combining_mark(c) {
            // The mark belongs to the letter before it.
            if let Some((_, last_end)) = self.origin.last_mut() {
                *last_end = narrow(end);
            }
        } else {
            fold_char(c, &mut self.text);
        }
        let span = (narrow(at), narrow(end));
        self.origin.extend(std::iter::repeat_n(span, self.text.len() - before));
    }

    /// Where a part of the folded text stands in the source. An empty part gives an empty range.
    pub(super) fn source_range(&self, part: Range<usize>) -> Range<usize> {
        let start = self.origin.get(part.start).map_or(self.source.len(), |(start, _)| *start as usize);
        if part.is_empty() {
            return start..start;
        }
        let end = self.origin.get(part.end - 1).map_or(self.source.len(), |(_, end)| *end as usize);
        start..end
    }

    /// The source characters behind a part of the folded text.
    pub(super) fn source_of(&self, part: Range<usize>) -> &'t str {
        self.source.get(self.source_range(part)).unwrap_or_default()
    }

    /// The folded text without blanks at its ends, as a range.
    pub(super) fn trimmed(&self) -> Range<usize> {
        let start = self.text.len() - self.text.trim_start().len();
        start..start + self.text.trim().len()
    }
}

/// Only called for offsets of texts under 4 GiB.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

fn fold_char(c: char, out: &mut String) {
    match c {
        '\u{a0}' | '\u{202f}' | '\u{2007}'..='\u{2009}' => out.push(FIXED_BLANK),
        // Invisible: soft hyphen, zero-width characters, direction marks, byte order mark.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {}
        '\u{2212}' | '\u{2010}' | '\u{2011}' | '\u{fe63}' => out.push('-'),
        '\u{2012}' | '\u{2014}' | '\u{2015}' => out.push('\u{2013}'),
        '’' | 'ʼ' | '′' | '‘' => out.push('\''),
        '\u{ff01}'..='\u{ff5e}' => {
            let ascii = u32::from(c) - 0xff01 + 0x21;
            out.push(char::from_u32(ascii).unwrap_or(c).to_ascii_lowercase());
        }
        _ if c.is_whitespace() => out.push(' '),
        _ => match digit(c) {
            Some(digit) => out.push(digit),
            // Syllables and kana are words' parts, not letters with marks.
            None if matches!(c, '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7a3}') => out.push(c),
            None if c.is_alphabetic() => {
                out.extend(c.to_lowercase().nfd().filter(|c| !is_combining_mark(*c)));
            }
            None => out.push(c),
        },
    }
}

fn digit(c: char) -> Option<char> {
    let zero = ZEROS.iter().rev().find(|zero| **zero <= c)?;
    char::from_digit(u32::from(c) - u32::from(*zero), 10)
}

/// The folded form of a word from a table.
pub(super) fn fold(word: &str) -> String {
    Folded::new(word).map(|folded| folded.text).unwrap_or_default()
}

/// If the letter belongs to a script that writes words without blanks between them.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}')
}

/// If a letter there would run on into what stands beside it, so that the two are one word.
pub(super) fn is_word(c: char) -> bool {
    c.is_alphabetic() && !is_unspaced(c)
}

/// The end of the run of characters that fit, from `at`.
pub(super) fn run_end(text: &str, at: usize, fits: impl Fn(char) -> bool) -> usize {
    text.get(at..).map_or(at, |rest| rest.find(|c| !fits(c)).map_or(text.len(), |len| at + len))
}

/// The first byte at or after `at` that is not a blank.
pub(super) fn skip_blanks(text: &str, at: usize) -> usize {
    run_end(text, at, char::is_whitespace)
}

/// The character that ends just before `at`.
pub(super) fn before(text: &str, at: usize) -> Option<char> {
    text.get(..at)?.chars().next_back()
}

/// The character that starts at `at`.
pub(super) fn at(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}
