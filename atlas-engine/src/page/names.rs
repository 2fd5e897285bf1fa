//! Element names of one page, each stored once, with what a browser's default style does to the element.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use html5ever::{LocalName, QualName, ns};

/// How an element's text stands on the page by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Display {
    /// Text runs on.
    Inline,
    /// A box within the line: its text is apart from what is beside it.
    Apart,
    /// A block: lines of its own.
    Block,
    /// A block whose white space is kept.
    Preformatted,
    /// A table cell: apart from its neighbours.
    Cell,
    /// A line break.
    Break,
    /// Not shown, though its content is text.
    Hidden,
    /// Not shown, and its content is no text but code or markup.
    Code,
}

impl Display {
    /// After the WHATWG's section 15.3 "Non-replaced elements" (the default style sheet) and 15.4 "Replaced elements".
    fn of(name: &QualName) -> Self {
        let local = &*name.local;
        if name.ns != ns!(html) {
            return match local {
                "script" | "style" => Self::Code,
                "title" | "desc" | "defs" | "metadata" | "symbol" | "annotation" | "annotation-xml" => Self::Hidden,
                "svg" | "text" => Self::Apart,
                _ => Self::Inline,
            };
        }
        match local {
            "script" | "style" | "noscript" | "iframe" | "noembed" | "noframes" => Self::Code,
            "title" | "template" | "datalist" | "rp" | "audio" | "video" | "canvas" => Self::Hidden,
            "br" => Self::Break,
            "td" | "th" => Self::Cell,
            "pre" | "listing" | "plaintext" | "xmp" => Self::Preformatted,
            "button" | "embed" | "img" | "input" | "meter" | "object" | "progress" | "select" | "textarea" => {
                Self::Apart
            }
            "address" | "article" | "aside" | "blockquote" | "body" | "caption" | "center" | "dd" | "details"
            | "dialog" | "dir" | "div" | "dl" | "dt" | "fieldset" | "figcaption" | "figure" | "footer" | "form"
            | "frameset" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "head" | "header" | "hgroup" | "hr" | "html"
            | "legend" | "li" | "main" | "menu" | "nav" | "ol" | "optgroup" | "option" | "p" | "search" | "section"
            | "summary" | "table" | "tbody" | "tfoot" | "thead" | "tr" | "ul" => Self::Block,
            _ => Self::Inline,
        }
    }
}

#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: QualName,
    pub(super) display: Display,
}

/// Append-only, and its entries stay where they are, so that the parser may hold references while names are added.
///
/// Slab `k` holds `FIRST << 3k` names.
#[derive(Debug)]
pub(super) struct Names {
    slabs: [OnceCell<Box<[OnceCell<Name>]>>; SLABS],
    count: Cell<u32>,
    index: RefCell<HashMap<(LocalName, u8), u32, BuildHasherDefault<Mix>>>,
}

const FIRST: usize = 64;
const SLABS: usize = 9;

impl Names {
    pub(super) fn new() -> Self {
        Self { slabs: [const { OnceCell::new() }; SLABS], count: Cell::new(0), index: RefCell::default() }
    }

    pub(super) fn intern(&self, name: QualName) -> u32 {
        let space = match name.ns {
            ns!(html) => 0,
            ns!(svg) => 1,
            _ => 2,
        };
        let mut index = self.index.borrow_mut();
        *index.entry((name.local.clone(), space)).or_insert_with(|| {
            let id = self.count.get();
            let (slab, at) = place(id);
            let entry = self
                .slabs
                .get(slab)
                .map(|slab_cell| slab_cell.get_or_init(|| (0..FIRST << (3 * slab)).map(|_| OnceCell::new()).collect()));
            if let Some(cell) = entry.and_then(|slab| slab.get(at)) {
                let display = Display::of(&name);
                cell.get_or_init(|| Name { name, display });
                self.count.set(id + 1);
            }
            id
        })
    }

    pub(super) fn get(&self, id: u32) -> Option<&Name> {
        let (slab, at) = place(id);
        self.slabs.get(slab)?.get()?.get(at)?.get()
    }

    pub(super) fn into_vec(self) -> Vec<Name> {
        self.slabs
            .into_iter()
            .filter_map(OnceCell::into_inner)
            .flat_map(|slab| slab.into_vec().into_iter().filter_map(OnceCell::into_inner))
            .collect()
    }
}

/// Slab and place of name `id`.
fn place(id: u32) -> (usize, usize) {
    let (mut at, mut slab, mut size) = (id as usize, 0, FIRST);
    while at >= size {
        at -= size;
        slab += 1;
        size <<= 3;
    }
    (slab, at)
}

/// Atoms hash to a ready number, which is only mixed here.
#[derive(Debug, Default)]
pub(super) struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        // 2^64 divided by the golden ratio; the high half is folded down because tables index by the low bits.
        let mixed = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
