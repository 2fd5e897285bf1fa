//! From bytes to text: which charset, who said so, and whether the bytes agree.
//!
//! Order: byte order mark, transport, `<meta>`, detection. A declaration that the bytes contradict is not followed: bytes
//! that are UTF-8 throughout are read as UTF-8, and bytes declared as UTF-8 that mostly are not get detected. The name in
//! [`Encoding`] is always the one that was used.

use std::borrow::Cow;

use encoding_rs::{Encoding as Charset, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// The charset a page was decoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Encoding {
    /// The charset's name in the WHATWG Encoding Standard, such as `UTF-8` or `windows-1252`.
    pub name: &'static str,
    /// What decided it.
    pub source: EncodingSource,
    /// Some bytes meant nothing in this charset and became U+FFFD.
    pub had_errors: bool,
    /// Another charset was declared, and the bytes contradicted it.
    pub overruled: bool,
}

/// What decided the charset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodingSource {
    /// The page was handed in as text.
    Text,
    /// A byte order mark.
    Bom,
    /// The transport, such as HTTP's `Content-Type`.
    Http,
    /// A `<meta>` element or XML declaration of the page.
    Meta,
    /// The bytes themselves: nothing was declared, or the declaration was contradicted by them.
    Detected,
}

impl Encoding {
    pub(super) const TEXT: Self =
        Self { name: "UTF-8", source: EncodingSource::Text, had_errors: false, overruled: false };
}

/// How far `<meta>` is looked for. The standard asks for 1,024 bytes; pages with a long head declare it later and
/// browsers then reload, so a little more is searched.
const PRESCAN: usize = 8 * 1024;

/// Non-ASCII UTF-8 sequences that overrule a declared multi-byte charset: fewer occur by chance in, say, GBK.
const CHANCE: usize = 8;

/// Bytes with the charset that was chosen for them.
pub(super) struct Chosen<'a> {
    charset: &'static Charset,
    source: EncodingSource,
    /// Length of the byte order mark.
    mark: usize,
    /// A declaration gave way to this charset.
    overruled: bool,
    /// The text itself, where looking at the bytes has already shown that they are UTF-8.
    valid: Option<&'a str>,
}

impl Chosen<'_> {
    /// NUL bytes are part of plain text in this charset.
    pub(super) fn is_wide(&self) -> bool {
        self.charset == UTF_16LE || self.charset == UTF_16BE
    }
}

pub(super) fn decode<'a>(bytes: &'a [u8], chosen: &Chosen<'a>) -> (Cow<'a, str>, Encoding) {
    let Chosen { charset, source, mark, overruled, valid } = *chosen;
    if let Some(text) = valid {
        return (Cow::Borrowed(text), Encoding { name: charset.name(), source, had_errors: false, overruled });
    }
    let body = bytes.get(mark..).unwrap_or_default();
    let (text, had_errors) = charset.decode_without_bom_handling(body);
    (text, Encoding { name: charset.name(), source, had_errors, overruled })
}

pub(super) fn choose<'a>(bytes: &'a [u8], http: Option<&str>) -> Chosen<'a> {
    if let Some((charset, mark)) = Charset::for_bom(bytes) {
        return Chosen { charset, source: EncodingSource::Bom, mark, overruled: false, valid: None };
    }
    let valid = std::str::from_utf8(bytes).ok();
    let declared = http
        .and_then(|label| Charset::for_label_no_replacement(label.trim().as_bytes()))
        .map(|charset| (charset, EncodingSource::Http))
        .or_else(|| wide_by_shape(bytes).map(|charset| (charset, EncodingSource::Detected)))
        .or_else(|| prescan(bytes.get(..PRESCAN).unwrap_or(bytes)).map(|charset| (charset, EncodingSource::Meta)));
    let (charset, source) = match declared {
        Some((charset, source)) if charset == UTF_8 && valid.is_some() => (charset, source),
        Some((charset, source)) if charset == UTF_8 => {
            let tally = Tally::of(bytes);
            if tally.bad > tally.good { (detect(bytes), EncodingSource::Detected) } else { (charset, source) }
        }
        Some((charset, source)) if charset == UTF_16LE || charset == UTF_16BE => (charset, source),
        Some((charset, source)) => {
            let enough = if charset.is_single_byte() { 1 } else { CHANCE };
            if valid.is_some_and(|text| text.chars().filter(|c| !c.is_ascii()).take(enough).count() == enough) {
                (UTF_8, EncodingSource::Detected)
            } else {
                (charset, source)
            }
        }
        None if valid.is_some() => (UTF_8, EncodingSource::Detected),
        None => (detect(bytes), EncodingSource::Detected),
    };
    let overruled = declared.is_some_and(|(declared, _)| declared != charset);
    Chosen { charset, source, mark: 0, overruled, valid: valid.filter(|_| charset == UTF_8) }
}

/// UTF-16 without a mark shows in its first characters: markup starts with ASCII, so every other byte is NUL.
fn wide_by_shape(bytes: &[u8]) -> Option<&'static Charset> {
    match bytes {
        [b'<', 0, b, 0, ..] if *b != 0 => Some(UTF_16LE),
        [0, b'<', 0, b, ..] if *b != 0 => Some(UTF_16BE),
        _ => None,
    }
}

fn detect(bytes: &[u8]) -> &'static Charset {
    let tally = Tally::of(bytes);
    if tally.good > tally.bad.saturating_mul(8) {
        // A page cut in the middle of a character, or with one broken paragraph, is UTF-8 all the same.
        return UTF_8;
    }
    let mut detector = chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
    detector.feed(bytes, true);
    detector.guess(None, chardetng::Utf8Detection::Deny)
}

/// How well bytes fit UTF-8: sequences beyond ASCII that are valid, and bytes that are not.
struct Tally {
    good: usize,
    bad: usize,
}

impl Tally {
    fn of(bytes: &[u8]) -> Self {
        let mut tally = Self { good: 0, bad: 0 };
        for chunk in bytes.utf8_chunks() {
            // Each sequence beyond ASCII has one byte of the form 11xxxxxx.
            tally.good += chunk.valid().bytes().filter(|byte| *byte >= 0xC0).count();
            tally.bad += usize::from(!chunk.invalid().is_empty());
        }
        tally
    }
}

/// The charset a page declares in its first bytes, after the WHATWG's "prescan a byte stream".
fn prescan(head: &[u8]) -> Option<&'static Charset> {
    if let Some(charset) = xml_declaration(head) {
        return Some(charset);
    }
    let mut at = 0;
    while let Some(rest) = head.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(b"<!--") {
            at += 2 + find(rest.get(2..)?, b"-->")? + 3;
        } else if starts_with_tag(rest, b"meta") {
            let mut attributes = Attributes { bytes: rest, at: 5 };
            if let Some(charset) = meta(&mut attributes) {
                return Some(charset);
            }
            at += attributes.at.max(1);
        } else if starts_with_tag(rest, b"body") {
            return None;
        } else if rest.first() == Some(&b'<') && rest.get(1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/') {
            let name = rest.iter().position(|b| b.is_ascii_whitespace() || *b == b'>')?;
            let mut attributes = Attributes { bytes: rest, at: name };
            attributes.by_ref().for_each(drop);
            at += attributes.at.max(1);
        } else if rest.starts_with(b"<!") || rest.starts_with(b"<?") {
            at += find(rest, b">")? + 1;
        } else {
            at += 1 + rest.get(1..)?.iter().position(|b| *b == b'<')?;
        }
    }
    None
}

fn meta(attributes: &mut Attributes<'_>) -> Option<&'static Charset> {
    let (mut pragma, mut direct, mut content) = (false, None, None);
    for (name, value) in attributes.by_ref() {
        match name.as_str() {
            "http-equiv" => pragma = value.eq_ignore_ascii_case(b"content-type"),
            "charset" if direct.is_none() => direct = for_meta(&value),
            "content" if content.is_none() => content = charset_in_content(&value),
            _ => {}
        }
    }
    direct.or_else(|| content.filter(|_| pragma))
}

/// `text/html; charset=windows-1251` and its sloppy relatives.
fn charset_in_content(content: &[u8]) -> Option<&'static Charset> {
    let lower = content.to_ascii_lowercase();
    let mut at = 0;
    loop {
        at += find(lower.get(at..)?, b"charset")? + 7;
        let rest = lower.get(at..)?.trim_ascii_start();
        if let Some(value) = rest.strip_prefix(b"=") {
            let value = value.trim_ascii_start();
            let label = match value.first()? {
                quote @ (b'"' | b'\'') => value.get(1..)?.split(|b| b == quote).next()?,
                _ => value.split(|b| b.is_ascii_whitespace() || *b == b';').next()?,
            };
            return for_meta(label);
        }
    }
}

/// A label inside a page: the page was readable as ASCII, so UTF-16 can't be meant.
fn for_meta(label: &[u8]) -> Option<&'static Charset> {
    let charset = Charset::for_label_no_replacement(label)?;
    Some(if charset == UTF_16LE || charset == UTF_16BE {
        UTF_8
    } else if charset == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        charset
    })
}

fn xml_declaration(head: &[u8]) -> Option<&'static Charset> {
    let declaration = head.strip_prefix(b"<?xml")?;
    let declaration = declaration.get(..find(declaration, b">")?)?;
    let value = declaration.get(find(declaration, b"encoding")? + 8..)?.trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let quote = *value.first().filter(|b| matches!(b, b'"' | b'\''))?;
    for_meta(value.get(1..)?.split(|b| *b == quote).next()?)
}

fn starts_with_tag(rest: &[u8], name: &[u8]) -> bool {
    rest.first() == Some(&b'<')
        && rest.get(1..=name.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(name))
        && rest.get(name.len() + 1).is_some_and(|b| b.is_ascii_whitespace() || *b == b'/' || *b == b'>')
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// The attributes of one tag, read from bytes whose charset is not known yet.
struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Attributes<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip(&mut self, accept: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&accept) {
            self.at += 1;
        }
    }

    fn take(&mut self, accept: impl Fn(u8) -> bool) -> Vec<u8> {
        let start = self.at;
        self.skip(accept);
        self.bytes.get(start..self.at).unwrap_or_default().to_vec()
    }
}

impl Iterator for Attributes<'_> {
    type Item = (String, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip(|b| b.is_ascii_whitespace() || b == b'/');
        if matches!(self.peek(), None | Some(b'>')) {
            return None;
        }
        let first = self.at;
        self.at += 1;
        self.skip(|b| !b.is_ascii_whitespace() && !matches!(b, b'/' | b'>' | b'='));
        let name = String::from_utf8_lossy(self.bytes.get(first..self.at)?).to_ascii_lowercase();
        self.skip(|b| b.is_ascii_whitespace());
        if self.peek() != Some(b'=') {
            return Some((name, Vec::new()));
        }
        self.at += 1;
        self.skip(|b| b.is_ascii_whitespace());
        let value = match self.peek()? {
            quote @ (b'"' | b'\'') => {
                self.at += 1;
                let value = self.take(|b| b != quote);
                self.at += 1;
                value
            }
            b'>' => Vec::new(),
            _ => self.take(|b| !b.is_ascii_whitespace() && b != b'>'),
        };
        Some((name, value))
    }
}
