//! The page model: a parsed page that may be shared between threads, with its text as a reader sees it.
//!
//! A [`Page`] is a flat list of nodes in document order, so a [`NodeId`] is a place in the page and a subtree is a range.
//! Its text is derived from the nodes and each byte of it can be traced back ([`Page::node_at`], [`Page::runs`]).
//! Fetching is elsewhere ([`fetch`](crate::fetch)), and so is the meaning of what is on the page. No type of the parser
//! shows here. The rule the rest leans on: whatever the bytes, parsing ends in bounded time and memory, without recursion
//! and without a panic, in a page or a [`PageError`] that says what to do.

mod arena;
mod charset;
mod cut;
mod error;
mod feed;
mod hidden;
mod layout;
mod names;
mod options;
mod rawtext;
mod sink;
mod sniff;
mod tagscan;
mod text;

use std::fmt;
use std::iter;
use std::sync::OnceLock;

use url::Url;

pub use self::charset::{Encoding, EncodingSource};
pub use self::error::PageError;
pub use self::options::ParseOptions;
pub use self::text::Run;

use self::arena::{Arena, Kind, Node};
use self::layout::Layout;
use self::sink::{DOCUMENT, Limits, NONE};

/// A node of one [`Page`]: its number in document order. Asking another page about it gives nothing useful, but no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The node's number in document order, as [`Evidence::node`](atlas_schema::Evidence::node) has it. The document
    /// itself is 0.
    pub const fn index(self) -> u32 {
        self.0
    }
}

/// A parsed page. Comments, processing instructions and doctypes are not part of it.
///
/// # Examples
///
/// ```
/// use atlas_engine::page::{Page, ParseOptions};
///
/// let page = Page::parse(b"<h1>Tea  cake</h1><p hidden>secret</p><p>4 servings", &ParseOptions::default())?;
/// assert_eq!(page.text(), "Tea cake\n4 servings");
/// assert_eq!(page.hidden_text(), "secret");
/// let heading = page.elements("h1").next().ok_or("no heading")?;
/// assert_eq!(page.text_of(heading), "Tea cake");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Page {
    arena: Arena,
    layout: OnceLock<Layout>,
    url: Option<Url>,
    base: Option<Url>,
    encoding: Encoding,
    byte_len: usize,
    cut_short: bool,
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page")
            .field("nodes", &self.arena.nodes.len())
            .field("byte_len", &self.byte_len)
            .field("encoding", &self.encoding)
            .finish_non_exhaustive()
    }
}

impl Page {
    /// Parses a page from its bytes, whatever their charset.
    ///
    /// The charset is the one of the byte order mark, else of [`ParseOptions::charset`], else of the page's `<meta>`, else
    /// detected; a declaration that the bytes contradict gives way to detection. Truncated and broken HTML is a page as it
    /// is in a browser with scripting on.
    ///
    /// # Errors
    /// [`PageError`]: nothing there, no HTML, or more than the limits in `options` allow.
    pub fn parse(bytes: &[u8], options: &ParseOptions) -> Result<Self, PageError> {
        check_size(bytes.len(), options)?;
        if bytes.trim_ascii().is_empty() {
            return Err(PageError::Empty);
        }
        let chosen = charset::choose(bytes, options.charset.as_deref());
        if let Some(found) = sniff::not_html(bytes, chosen.is_wide()) {
            return Err(PageError::NotHtml { found });
        }
        let (html, encoding) = charset::decode(bytes, &chosen);
        Self::build(&html, bytes.len(), encoding, options)
    }

    /// Parses a page that is already text.
    ///
    /// # Errors
    /// As [`Page::parse`].
    pub fn from_html(html: &str, options: &ParseOptions) -> Result<Self, PageError> {
        check_size(html.len(), options)?;
        Self::build(html, html.len(), Encoding::TEXT, options)
    }

    fn build(html: &str, byte_len: usize, encoding: Encoding, options: &ParseOptions) -> Result<Self, PageError> {
        if html.trim_ascii().is_empty() {
            return Err(PageError::Empty);
        }
        let limits = Limits {
            nodes: options.max_nodes.clamp(1, MOST_NODES),
            depth: options.max_depth,
            attributes: options.max_attributes,
            values: html.len().saturating_add(1 << 20).saturating_mul(2).min(u32::MAX as usize),
            work: WORK + (html.len() as u64).saturating_mul(WORK_PER_BYTE),
        };
        let (drafts, names) = feed::parse(html, limits).into_parts()?;
        let arena = Arena::build(drafts, names, options.max_depth)?;
        let mut page = Self {
            arena,
            layout: OnceLock::new(),
            url: options.url.clone(),
            base: None,
            encoding,
            byte_len,
            cut_short: false,
        };
        page.base = page.find_base().or_else(|| page.url.clone());
        page.cut_short = cut::ends_within_a_tag(html) || cut::ends_within_an_element(html, &page);
        Ok(page)
    }

    /// The first `<base href>` counts, resolved against the page's own address.
    fn find_base(&self) -> Option<Url> {
        let href = self.elements("base").find_map(|base| self.attr(base, "href"))?.trim();
        match &self.url {
            Some(url) => url.join(href).ok(),
            None => Url::parse(href).ok(),
        }
        .filter(|url| !url.cannot_be_a_base())
    }

    /// Where the page was found, if that was told.
    pub const fn url(&self) -> Option<&Url> {
        self.url.as_ref()
    }

    /// What relative addresses are relative to: `<base href>`, else [`Page::url`].
    pub const fn base_url(&self) -> Option<&Url> {
        self.base.as_ref()
    }

    /// Makes an address found on the page absolute. `None` if it is no address, or relative and the page has none.
    pub fn resolve(&self, href: &str) -> Option<Url> {
        let href = href.trim();
        match &self.base {
            Some(base) => base.join(href).ok(),
            None => Url::parse(href).ok(),
        }
    }

    /// The page's language tag as written (`de`, `pt-BR`): `<html lang>`, else `xml:lang`, else
    /// `<meta http-equiv=content-language>`.
    pub fn language(&self) -> Option<&str> {
        let html = self.elements("html").next();
        html.and_then(|html| self.attr(html, "lang").or_else(|| self.attr(html, "xml:lang")))
            .or_else(|| {
                self.elements("meta")
                    .filter(|meta| {
                        self.attr(*meta, "http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("content-language"))
                    })
                    .find_map(|meta| self.attr(meta, "content"))
            })
            .map(str::trim)
            .filter(|language| !language.is_empty())
    }

    /// The charset the page was decoded with, and who said so.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Whether the source certainly ends before the page does: within a tag, or in text within an element whose end tag
    /// must be written. Data from such a page may be incomplete.
    pub const fn is_cut_short(&self) -> bool {
        self.cut_short
    }

    /// The first `<title>` of the document (not of a picture in it), white space collapsed; `None` if absent or empty.
    pub fn title(&self) -> Option<String> {
        let title = self.elements("title").find(|id| self.node(*id).is_some_and(|node| self.arena.is_html(node)))?;
        let words: Vec<&str> =
            self.children(title).filter_map(|id| self.raw_text(id)).flat_map(str::split_ascii_whitespace).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The size of the page as it was handed in, in bytes.
    pub const fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// The document: the node above `<html>`.
    #[allow(clippy::unused_self, reason = "reads like its neighbours, and another page kind may have another root")]
    pub const fn root(&self) -> NodeId {
        NodeId(DOCUMENT)
    }

    /// How many nodes there are, the document included.
    pub const fn len(&self) -> usize {
        self.arena.nodes.len()
    }

    /// Always false: there is at least the document.
    pub const fn is_empty(&self) -> bool {
        self.arena.nodes.is_empty()
    }

    /// The node of that number, if there is one.
    pub fn node_by_index(&self, index: u32) -> Option<NodeId> {
        self.node(NodeId(index)).map(|_| NodeId(index))
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.arena.node(id.0)
    }

    /// The node around this one; `None` for the document.
    pub fn parent(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).map(|node| node.parent).filter(|parent| *parent != NONE).map(NodeId)
    }

    /// The first node directly below this one.
    pub fn first_child(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).filter(|node| node.end > id.0 + 1).map(|_| NodeId(id.0 + 1))
    }

    /// The node after this one with the same parent.
    pub fn next_sibling(&self, id: NodeId) -> Option<NodeId> {
        let node = self.node(id)?;
        self.arena.node(node.end).filter(|next| next.parent == node.parent).map(|_| NodeId(node.end))
    }

    /// The node before this one with the same parent.
    pub fn prev_sibling(&self, id: NodeId) -> Option<NodeId> {
        self.node(id).map(|node| node.prev).filter(|prev| *prev != NONE).map(NodeId)
    }

    /// The nodes directly below this one, in document order.
    pub fn children(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        iter::successors(self.first_child(id), |child| self.next_sibling(*child))
    }

    /// All nodes below this one, in document order, without itself.
    pub fn descendants(&self, id: NodeId) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        let end = self.node(id).map_or(0, |node| node.end);
        (id.0.saturating_add(1)..end).map(NodeId)
    }

    /// The nodes around this one, nearest first, the document last.
    pub fn ancestors(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        iter::successors(self.parent(id), |id| self.parent(*id))
    }

    /// Whether `inner` is `outer` or stands below it.
    pub fn contains(&self, outer: NodeId, inner: NodeId) -> bool {
        self.node(outer).is_some_and(|node| (outer.0..node.end).contains(&inner.0))
    }

    /// An element's name in lower case (in SVG as written there, such as `viewBox`); `None` for texts and the document.
    pub fn tag(&self, id: NodeId) -> Option<&str> {
        self.node(id).and_then(|node| self.arena.local_name(node)).map(|name| &**name)
    }

    /// An attribute's value; `name` in lower case. `Some("")` for one without a value.
    pub fn attr(&self, id: NodeId, name: &str) -> Option<&str> {
        let node = self.node(id)?;
        self.arena.attrs(node).iter().find(|attr| *attr.name == *name).map(|attr| self.arena.value(attr))
    }

    /// An element's attributes as written, names in lower case.
    pub fn attrs(&self, id: NodeId) -> impl Iterator<Item = (&str, &str)> {
        let attrs = self.node(id).map(|node| self.arena.attrs(node)).unwrap_or_default();
        attrs.iter().map(|attr| (&*attr.name, self.arena.value(attr)))
    }

    /// Whether the element's `class` lists `class`, letter for letter.
    pub fn has_class(&self, id: NodeId, class: &str) -> bool {
        self.attr(id, "class").is_some_and(|classes| classes.split_ascii_whitespace().any(|one| one == class))
    }

    /// All elements of that name (lower case), in document order. Costs only what it yields.
    pub fn elements<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = NodeId> + 'a {
        // A name occurs in a second namespace only in pages with SVG or MathML; then the lists are merged.
        let mut lists: Vec<&[u32]> = self.arena.by_tag(tag).collect();
        iter::from_fn(move || {
            let list = lists.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list.first().copied())?;
            let (first, rest) = list.split_first()?;
            *list = rest;
            Some(NodeId(*first))
        })
    }

    /// All elements that have the attribute (lower case), in document order, with its value.
    pub fn elements_with_attr<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (NodeId, &'a str)> + 'a {
        let name = html5ever::LocalName::from(name);
        (0..).map(NodeId).zip(&self.arena.nodes).filter_map(move |(id, node)| {
            let attr = self.arena.attrs(node).iter().find(|attr| attr.name == name)?;
            Some((id, self.arena.value(attr)))
        })
    }

    /// A text node's own characters, or the content of an element that holds code or markup as one text (`script`,
    /// `style`, `noscript`, `iframe`); `None` for other nodes. White space is as in the source.
    pub fn raw_text(&self, id: NodeId) -> Option<&str> {
        let node = self.node(id)?;
        match node.kind {
            Kind::Text => Some(self.arena.raw_text(node)),
            Kind::Element(names::Display::Code) => Some(
                self.first_child(id).and_then(|child| self.node(child)).map_or("", |text| self.arena.raw_text(text)),
            ),
            _ => None,
        }
    }

    /// Whether a reader does not see the node: it or a node around it is hidden by its kind (`template`, `title`, …), the
    /// `hidden` attribute, or an inline style that leaves it no box, no ink or no place on the page.
    ///
    /// What a click would open (`details`, accordions) and what is kept from screen readers only (`aria-hidden`) counts
    /// as visible. Style sheets are not consulted.
    pub fn is_hidden(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.hidden)
    }

    fn layout(&self) -> &Layout {
        self.layout.get_or_init(|| Layout::of(&self.arena, self.byte_len))
    }
}

/// Node numbers must stay below the two that have a meaning of their own.
const MOST_NODES: usize = 1 << 30;

/// Steps of the tree builder that any page may take, and what each byte of it adds; a second makes some hundred million.
/// A page of 30,000 tags that nests 60 deep takes about four million.
const WORK: u64 = 50_000_000;
const WORK_PER_BYTE: u64 = 20;

fn check_size(bytes: usize, options: &ParseOptions) -> Result<(), PageError> {
    let limit = options.byte_limit();
    if bytes > limit { Err(PageError::TooLarge { bytes, limit }) } else { Ok(()) }
}
