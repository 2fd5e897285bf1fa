//! Plain text out of strings that carry markup: what JSON-LD and attributes hold instead of text.

use html5ever::data::NAMED_ENTITIES;
use std::borrow::Cow;
use std::ops::Range;

/// Elements that end a line. Others leave no trace.
const BLOCKS: [&str; 24] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "ol",
    "p",
    "section",
    "ul",
];
/// A longer tag is none.
const MAX_TAG: usize = 4096;
/// Table parts end a line too.
const TABLE: [&str; 4] = ["table", "td", "th", "tr"];

/// The text a reader would see: character references decoded, tags removed, whitespace collapsed to single blanks.
///
/// References are decoded up to three times, because content systems escape twice. Zero-width characters go.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if is_clean(text) {
        return Cow::Borrowed(text);
    }
    let mut decoded = decode_entities(text);
    for _ in 0..2 {
        match decode_entities(&decoded) {
            Cow::Owned(again) => decoded = Cow::Owned(again),
            Cow::Borrowed(_) => break,
        }
    }
    // A blank of UTF-8 read as Latin-1, which pages hand on in their data.
    if decoded.contains("\u{c2}\u{a0}") {
        decoded = Cow::Owned(decoded.replace("\u{c2}\u{a0}", " "));
    }
    let mut plain = String::with_capacity(decoded.len());
    let mut blank = false;
    let mut push = |c: char| {
        if c.is_whitespace() || c.is_control() {
            blank = true;
        } else if !is_invisible(c) {
            if blank && !plain.is_empty() {
                plain.push(' ');
            }
            blank = false;
            plain.push(c);
        }
    };
    let mut rest = &*decoded;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        before.chars().for_each(&mut push);
        if let Some((length, ends_line)) = tag(from) {
            if ends_line {
                push(' ');
            }
            rest = from.get(length..).unwrap_or("");
        } else {
            push('<');
            rest = from.get(1..).unwrap_or("");
        }
    }
    rest.chars().for_each(&mut push);
    Cow::Owned(single_brackets(plain))
}

/// `((optional))` is `(optional)`: content systems bracket what an author bracketed already.
fn single_brackets(text: String) -> String {
    if text.contains("((") && text.contains("))") {
        return text.replace("((", "(").replace("))", ")");
    }
    text
}

fn is_clean(text: &str) -> bool {
    let mut before = ' ';
    for c in text.chars() {
        let odd = matches!(c, '&' | '<')
            || (c == '(' && before == '(')
            || c.is_control()
            || is_invisible(c)
            || (c.is_whitespace() && (c != ' ' || before == ' '));
        if odd {
            return false;
        }
        before = c;
    }
    before != ' ' || text.is_empty()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200c}' | '\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

/// The lines of a marked-up text: byte ranges between block tags and line ends, none of them blank.
pub(crate) fn lines(text: &str) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let length = match bytes[at] {
            b'\n' | b'\r' => 1,
            b'<' => match tag(text.get(at..).unwrap_or("")) {
                Some((length, true)) => length,
                Some((length, false)) => {
                    at += length;
                    continue;
                }
                None => 0,
            },
            b'&' => escaped_block(text.get(at..).unwrap_or("")),
            _ => 0,
        };
        if length > 0 {
            lines.push(start..at);
            start = at + length;
            at = start;
        } else {
            at += 1;
        }
    }
    lines.push(start..text.len());
    lines.retain(|line| text.get(line.clone()).is_some_and(|line| !clean(line).is_empty()));
    lines
}

/// The length of a block tag whose brackets are written as references (`&lt;br&gt;`), else 0.
fn escaped_block(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("&lt;") else { return 0 };
    let Some(end) = rest.find("&gt;").filter(|end| *end < 60) else { return 0 };
    let inner = rest.get(..end).unwrap_or("");
    if is_block(inner) { "&lt;".len() + end + "&gt;".len() } else { 0 }
}

/// The length of the tag or comment that `text` starts with, and whether it ends a line.
fn tag(text: &str) -> Option<(usize, bool)> {
    let inner = text.strip_prefix('<')?;
    if let Some(comment) = inner.strip_prefix("!--") {
        return Some((comment.find("-->").map_or(text.len(), |end| end + "<!---->".len()), false));
    }
    let first = inner.trim_start_matches('/').bytes().next()?;
    if !first.is_ascii_alphabetic() {
        return None;
    }
    // Bounded, so that a text of lone brackets costs linear time.
    let end = inner.bytes().take(MAX_TAG).position(|b| b == b'>')?;
    Some((end + 2, is_block(inner.get(..end)?)))
}

fn is_block(inner: &str) -> bool {
    let name = inner.trim_start_matches('/');
    let name = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("").to_ascii_lowercase();
    BLOCKS.contains(&name.as_str()) || TABLE.contains(&name.as_str())
}

/// Decodes character references, as HTML does; what is none stays.
pub(crate) fn decode_entities(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('&') else { return Cow::Borrowed(text) };
    let mut decoded = String::with_capacity(text.len());
    decoded.push_str(text.get(..first).unwrap_or(""));
    let mut rest = text.get(first..).unwrap_or("");
    let mut changed = false;
    while let Some(at) = rest.find('&') {
        decoded.push_str(rest.get(..at).unwrap_or(""));
        rest = rest.get(at..).unwrap_or("");
        if let Some((first, second, length)) = reference(rest) {
            decoded.push(first);
            decoded.extend(second);
            rest = rest.get(length..).unwrap_or("");
            changed = true;
        } else {
            decoded.push('&');
            rest = rest.get(1..).unwrap_or("");
        }
    }
    if !changed {
        return Cow::Borrowed(text);
    }
    decoded.push_str(rest);
    Cow::Owned(decoded)
}

/// The characters of the reference that `text` starts with, and its length in bytes.
fn reference(text: &str) -> Option<(char, Option<char>, usize)> {
    let inner = text.strip_prefix('&')?;
    if let Some(digits) = inner.strip_prefix('#') {
        let (radix, digits) = match digits.strip_prefix(['x', 'X']) {
            Some(hex) => (16, hex),
            None => (10, digits),
        };
        let length = digits.bytes().take_while(|b| (*b as char).is_digit(radix)).count();
        let code = u32::from_str_radix(digits.get(..length)?, radix).ok()?;
        let prefix = text.len() - digits.len();
        let end = usize::from(digits.get(length..).is_some_and(|after| after.starts_with(';')));
        let c = char::from_u32(code).filter(|c| *c != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
        return Some((c, None, prefix + length + end));
    }
    let length = inner.bytes().take(32).position(|b| b == b';')?;
    let name = inner.get(..=length)?;
    let (first, second) = NAMED_ENTITIES.get(name).copied().filter(|(first, _)| *first != 0)?;
    Some((char::from_u32(first)?, char::from_u32(second).filter(|c| *c != '\0'), 1 + name.len()))
}
