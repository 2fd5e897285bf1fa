//! The text of a page as it is read: white space collapsed, blocks on lines of their own, hidden text apart.
//!
//! Follows the shape of the WHATWG's `innerText`, made simpler to quote from: the blank lines around paragraphs are left
//! out, every box of a line is set apart by a blank, and so are digits from those of another element: a style sheet raises
//! the second half of `$12<span>99</span>`, which is not 1299 dollars.
//!
//! - A run of ASCII white space becomes one blank; none stands at the start or end of a line. No-break spaces stay.
//! - Blocks and `<br>` begin a new line (`\n`); there are no empty lines. Table cells are parted by a tab.
//! - In `pre` white space stays as it is.
//! - Soft hyphens, zero-width spaces, word joiners and byte order marks are left out; the invisible tag characters
//!   (U+E0000 to U+E007F) go to the hidden text.

use std::ops::Range;

use super::arena::{Arena, Kind};
use super::names::Display;

/// A stretch of text that was copied byte for byte, but for white space that became a blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    /// Where it stands in the flow.
    pub(super) at: u32,
    pub(super) len: u32,
    /// The text node, and where in its own characters the stretch begins.
    pub(super) node: u32,
    pub(super) raw: u32,
}

impl Piece {
    pub(super) fn range(&self) -> Range<usize> {
        self.at as usize..(self.at + self.len) as usize
    }
}

/// The text node and the element it belongs to.
#[derive(Debug, Clone, Copy)]
struct Origin {
    node: u32,
    element: u32,
}

/// What stands between two stretches; the greater one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Blank,
    Tab,
    Line,
}

/// One text and where each byte of it came from.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) text: String,
    pub(super) pieces: Vec<Piece>,
    gap: Gap,
    /// The element whose text was written last.
    element: u32,
    /// The white space that a pending blank stands for: node and place.
    blank: Option<(u32, u32)>,
}

impl Flow {
    fn new(capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
            pieces: Vec::new(),
            gap: Gap::None,
            element: u32::MAX,
            blank: None,
        }
    }

    fn part(&mut self, gap: Gap) {
        if gap > self.gap {
            self.gap = gap;
            self.blank = None;
        }
    }

    fn white(&mut self, node: u32, raw: usize) {
        if self.gap < Gap::Blank {
            self.gap = Gap::Blank;
            self.blank = Some((node, offset(raw)));
        }
    }

    /// Writes what is pending before more text.
    fn close_gap(&mut self) {
        if self.gap == Gap::None {
            return;
        }
        let gap = std::mem::replace(&mut self.gap, Gap::None);
        let blank = self.blank.take();
        if self.text.is_empty() {
            return;
        }
        match gap {
            Gap::None => {}
            Gap::Line => self.text.push('\n'),
            Gap::Tab => self.text.push('\t'),
            Gap::Blank => match blank {
                Some((node, raw)) => self.copy(" ", node, raw),
                None => self.text.push(' '),
            },
        }
    }

    fn write(&mut self, text: &str, of: Origin, raw: usize) {
        if !text.is_empty() {
            let digits = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_digit());
            let parted = std::mem::replace(&mut self.element, of.element) != of.element;
            if parted && digits(self.text.bytes().next_back()) && digits(text.bytes().next()) {
                self.part(Gap::Blank);
            }
            self.close_gap();
            self.copy(text, of.node, offset(raw));
        }
    }

    fn copy(&mut self, text: &str, node: u32, raw: u32) {
        let (at, len) = (offset(self.text.len()), offset(text.len()));
        self.text.push_str(text);
        match self.pieces.last_mut() {
            Some(last) if last.node == node && last.at + last.len == at && last.raw + last.len == raw => {
                last.len += len;
            }
            _ => self.pieces.push(Piece { at, len, node, raw }),
        }
    }

    /// The number of pieces before those of node `id` and later ones.
    pub(super) fn pieces_before(&self, id: u32) -> usize {
        self.pieces.partition_point(|piece| piece.node < id)
    }
}

/// Both texts of a page.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) visible: Flow,
    pub(super) hidden: Flow,
    /// For each node, and one past the last, how many visible pieces stand before it.
    pub(super) before: Vec<u32>,
}

impl Layout {
    pub(super) fn of(arena: &Arena, source_len: usize) -> Self {
        let mut layout = Self {
            visible: Flow::new(source_len / 8),
            hidden: Flow::new(0),
            before: Vec::with_capacity(arena.nodes.len() + 1),
        };
        // Elements that do something when they end: where they end, and what.
        let mut open: Vec<(u32, Display)> = Vec::new();
        let mut kept = 0_usize;
        let mut id = 0_u32;
        while let Some(node) = arena.node(id) {
            while let Some((_, display)) = open.pop_if(|(end, _)| *end <= id) {
                layout.edge(display);
                kept -= usize::from(display == Display::Preformatted);
            }
            layout.before.push(offset(layout.visible.pieces.len()));
            match node.kind {
                Kind::Document => {}
                Kind::Element(Display::Code) => {
                    let count = offset(layout.visible.pieces.len());
                    layout.before.resize(node.end as usize, count);
                    id = node.end;
                    continue;
                }
                Kind::Element(display) => {
                    layout.edge(display);
                    if !matches!(display, Display::Inline | Display::Break) {
                        open.push((node.end, display));
                        kept += usize::from(display == Display::Preformatted);
                    }
                }
                Kind::Text => {
                    let of = Origin { node: id, element: node.parent };
                    layout.text(arena.raw_text(node), of, node.hidden, kept > 0);
                }
            }
            id += 1;
        }
        layout.before.push(offset(layout.visible.pieces.len()));
        layout
    }

    fn edge(&mut self, display: Display) {
        let gap = match display {
            Display::Inline | Display::Code => return,
            Display::Apart => Gap::Blank,
            Display::Cell => Gap::Tab,
            Display::Hidden => {
                // Nothing is there for the reader; in the hidden text each piece has its line.
                self.hidden.part(Gap::Line);
                return;
            }
            Display::Block | Display::Preformatted | Display::Break => Gap::Line,
        };
        self.visible.part(gap);
        self.hidden.part(gap);
    }

    fn text(&mut self, raw: &str, of: Origin, hidden: bool, kept: bool) {
        let (flow, aside) = if hidden { (&mut self.hidden, None) } else { (&mut self.visible, Some(&mut self.hidden)) };
        let mut aside = aside;
        let bytes = raw.as_bytes();
        // Start of the stretch that is copied as it stands.
        let mut start = 0;
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            match CLASS.get(usize::from(*byte)) {
                Some(Class::White) if !kept => {
                    let white = bytes.get(at..).unwrap_or_default();
                    let len = white.iter().take_while(|b| b.is_ascii_whitespace()).count();
                    if len == 1 && *byte == b' ' && start < at && bytes.get(at + 1).is_some_and(|next| *next < 0x80) {
                        // A blank between words, by far the most common case, stays in the stretch.
                        at += 1;
                        continue;
                    }
                    flow.write(raw.get(start..at).unwrap_or_default(), of, start);
                    flow.white(of.node, at);
                    at += len;
                    start = at;
                }
                Some(Class::Rare) => {
                    let (len, tag) = unseen(bytes.get(at..).unwrap_or_default());
                    if len == 0 {
                        at += 1;
                        continue;
                    }
                    flow.write(raw.get(start..at).unwrap_or_default(), of, start);
                    if tag && let Some(aside) = &mut aside {
                        aside.write(raw.get(at..at + len).unwrap_or_default(), of, at);
                    }
                    at += len;
                    start = at;
                }
                _ => at += 1,
            }
        }
        flow.write(raw.get(start..).unwrap_or_default(), of, start);
    }
}

/// How many bytes at the start are never seen, and whether they are tag characters.
fn unseen(bytes: &[u8]) -> (usize, bool) {
    match bytes {
        // Soft hyphen.
        [0xC2, 0xAD, ..] => (2, false),
        // Zero-width space, word joiner, byte order mark.
        [0xE2, 0x80, 0x8B, ..] | [0xE2, 0x81, 0xA0, ..] | [0xEF, 0xBB, 0xBF, ..] => (3, false),
        // Tag characters, U+E0000 to U+E007F.
        [0xF3, 0xA0, 0x80 | 0x81, _, ..] => (4, true),
        _ => (0, false),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    White,
    /// May begin a character that is not seen.
    Rare,
}

const CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    table[b' ' as usize] = Class::White;
    table[b'\n' as usize] = Class::White;
    table[b'\t' as usize] = Class::White;
    table[b'\r' as usize] = Class::White;
    table[0x0C] = Class::White;
    table[0xC2] = Class::Rare;
    table[0xE2] = Class::Rare;
    table[0xEF] = Class::Rare;
    table[0xF3] = Class::Rare;
    table
};

/// Texts are shorter than 4 GiB: the page is at most 1 GiB, and nothing here makes text longer.
fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
