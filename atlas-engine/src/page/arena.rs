//! The finished tree: nodes in document order, so that a subtree is a range of numbers.

use html5ever::{LocalName, local_name, ns};

use super::error::PageError;
use super::hidden;
use super::names::{Display, Name, Names};
use super::sink::{Attr, DOCUMENT, Drafts, NONE, flag};

/// A node. Its subtree is `id..end`; its first child, if any, is `id + 1`.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: u32,
    pub(super) end: u32,
    pub(super) prev: u32,
    /// Of an element: its name; of the document and of texts: [`NONE`].
    pub(super) name: u32,
    /// Of an element: its attributes; of a text: its characters.
    pub(super) start: u32,
    pub(super) stop: u32,
    /// The node or one around it is not shown.
    pub(super) hidden: bool,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Document,
    Element(Display),
    Text,
}

#[derive(Debug)]
pub(super) struct Arena {
    pub(super) nodes: Vec<Node>,
    pub(super) names: Vec<Name>,
    attrs: Vec<Attr>,
    text: String,
    values: String,
    /// Elements by name: those of name `n` are `by_name[starts[n]..starts[n + 1]]`.
    by_name: Vec<u32>,
    starts: Vec<u32>,
}

impl Arena {
    /// Rewrites a draft in document order.
    pub(super) fn build(drafts: Drafts, names: Names, max_depth: usize) -> Result<Self, PageError> {
        let Drafts { nodes: drafted, attrs, pieces, text, values, .. } = drafts;
        let names = names.into_vec();
        let mut arena = Self {
            nodes: Vec::with_capacity(drafted.len()),
            names,
            attrs,
            text,
            values,
            by_name: Vec::new(),
            starts: Vec::new(),
        };
        let mut open: Vec<u32> = Vec::new();
        let (mut at, mut prev) = (DOCUMENT, NONE);
        'nodes: while let Some(draft) = drafted.get(at as usize) {
            let id = number(arena.nodes.len());
            let parent = open.last().copied();
            let hidden_above =
                parent.and_then(|parent| arena.nodes.get(parent as usize)).is_some_and(|node| node.hidden);
            let (kind, start, stop, hidden) = if draft.flags & flag::TEXT != 0 {
                let (start, stop) = if draft.extra == NONE {
                    (draft.start, draft.end)
                } else {
                    gather(&mut arena.text, &pieces, draft.start, draft.end, draft.extra)
                };
                (Kind::Text, start, stop, hidden_above)
            } else if draft.name == NONE {
                (Kind::Document, 0, 0, false)
            } else {
                let display = arena.names.get(draft.name as usize).map_or(Display::Inline, |name| name.display);
                let (display, hidden) = arena.shown(display, draft.flags, draft.start, draft.end);
                (Kind::Element(display), draft.start, draft.end, hidden || hidden_above)
            };
            arena.nodes.push(super::arena::Node {
                parent: parent.unwrap_or(NONE),
                end: id + 1,
                prev,
                name: draft.name,
                start,
                stop,
                hidden,
                kind,
            });
            if draft.first != NONE {
                open.push(id);
                if open.len() > max_depth + 1 {
                    return Err(PageError::TooDeep { limit: max_depth });
                }
                (at, prev) = (draft.first, NONE);
                continue;
            }
            let (mut done, mut done_id) = (draft, id);
            loop {
                if done.next != NONE {
                    (at, prev) = (done.next, done_id);
                    continue 'nodes;
                }
                let (Some(id), Some(parent)) = (open.pop(), drafted.get(done.parent as usize)) else { break 'nodes };
                let end = number(arena.nodes.len());
                if let Some(node) = arena.nodes.get_mut(id as usize) {
                    node.end = end;
                }
                (done, done_id) = (parent, id);
            }
        }
        arena.index();
        Ok(arena)
    }

    /// How an element stands on the page once its attributes are looked at.
    fn shown(&self, display: Display, flags: u8, start: u32, stop: u32) -> (Display, bool) {
        let mut shown = hidden::Shown { display, hidden: matches!(display, Display::Hidden | Display::Code) };
        if flags & flag::HIDDEN != 0 {
            shown.hidden = true;
        }
        if flags & flag::STYLED != 0 {
            let style = self
                .attrs
                .get(start as usize..stop as usize)
                .and_then(|attrs| attrs.iter().find(|attr| attr.name == local_name!("style")))
                .map_or("", |attr| self.value(attr));
            hidden::apply(style, &mut shown);
        }
        (shown.display, shown.hidden)
    }

    fn index(&mut self) {
        let mut starts = vec![0_u32; self.names.len() + 1];
        for node in &self.nodes {
            if let Some(count) = starts.get_mut(node.name as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut next = starts.clone();
        let mut by_name = vec![0_u32; sum as usize];
        for (id, node) in (0..).zip(&self.nodes) {
            if let Some(place) = next.get_mut(node.name as usize) {
                if let Some(slot) = by_name.get_mut(*place as usize) {
                    *slot = id;
                }
                *place += 1;
            }
        }
        self.starts = starts;
        self.by_name = by_name;
    }

    pub(super) fn node(&self, id: u32) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    pub(super) fn local_name(&self, node: &Node) -> Option<&LocalName> {
        self.names.get(node.name as usize).map(|name| &name.name.local)
    }

    pub(super) fn is_html(&self, node: &Node) -> bool {
        self.names.get(node.name as usize).is_some_and(|name| name.name.ns == ns!(html))
    }

    /// Elements of each name that is written `tag`, one list for each namespace it occurs in.
    pub(super) fn by_tag<'a>(&'a self, tag: &'a str) -> impl Iterator<Item = &'a [u32]> {
        self.names.iter().zip(self.starts.windows(2)).filter(move |(name, _)| *name.name.local == *tag).filter_map(
            |(_, range)| match range {
                [start, end] => self.by_name.get(*start as usize..*end as usize),
                _ => None,
            },
        )
    }

    pub(super) fn attrs(&self, node: &Node) -> &[Attr] {
        match node.kind {
            Kind::Element(_) => self.attrs.get(node.start as usize..node.stop as usize).unwrap_or_default(),
            _ => &[],
        }
    }

    pub(super) fn value(&self, attr: &Attr) -> &str {
        self.values.get(attr.start as usize..attr.end as usize).unwrap_or_default()
    }

    pub(super) fn raw_text(&self, node: &Node) -> &str {
        match node.kind {
            Kind::Text => self.text.get(node.start as usize..node.stop as usize).unwrap_or_default(),
            _ => "",
        }
    }
}

/// Puts the pieces of one text together at the end of all texts.
fn gather(text: &mut String, pieces: &[super::sink::Piece], start: u32, end: u32, first: u32) -> (u32, u32) {
    let from = number(text.len());
    text.extend_from_within(start as usize..end as usize);
    let mut piece = pieces.get(first as usize);
    while let Some(&super::sink::Piece { start, end, next }) = piece {
        text.extend_from_within(start as usize..end as usize);
        piece = pieces.get(next as usize);
    }
    (from, number(text.len()))
}

/// Counts fit: the sink is limited to fewer.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
