//! Receives the tree from html5ever and keeps it as a draft: linked nodes in the order the parser made them.
//!
//! The parser moves nodes about (foster parenting, misnested formatting), so document order and ranges are known only
//! when it is done; [`arena`](super::arena) then rewrites the draft. Comments, processing instructions and doctypes are
//! dropped at once: no value is ever taken from them, and text on both sides of one becomes one text.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use html5ever::interface::{ElementFlags, ExpandedName, NodeOrText, QuirksMode, TreeSink};
use html5ever::tendril::StrTendril;
use html5ever::{Attribute, LocalName, QualName, local_name};

use super::error::PageError;
use super::names::Names;

/// "No such node."
pub(super) const NONE: u32 = u32::MAX;
/// The document node.
pub(super) const DOCUMENT: u32 = 0;
/// Stands for a comment or processing instruction, which is not kept.
const DROPPED: u32 = u32::MAX - 1;

/// Bits of [`Draft::flags`].
pub(super) mod flag {
    /// The element has a `style` attribute.
    pub(in crate::page) const STYLED: u8 = 1;
    /// The element has a `hidden` attribute, or is a hidden input or a closed dialog.
    pub(in crate::page) const HIDDEN: u8 = 2;
    /// The node is a text.
    pub(in crate::page) const TEXT: u8 = 4;
}

/// A node while parsing. For an element `start..end` are its attributes, for a text its characters in `text`.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) parent: u32,
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) prev: u32,
    pub(super) next: u32,
    pub(super) name: u32,
    pub(super) start: u32,
    pub(super) end: u32,
    /// Of an element: how deep it was put. Of a text: its first further piece in `Drafts::pieces`.
    pub(super) extra: u32,
    pub(super) flags: u8,
}

/// More characters of a text that could not be stored behind its others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) next: u32,
}

/// An attribute; its value is `start..end` of the value text.
#[derive(Debug)]
pub(super) struct Attr {
    pub(super) name: LocalName,
    pub(super) start: u32,
    pub(super) end: u32,
}

#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) nodes: Vec<Draft>,
    pub(super) attrs: Vec<Attr>,
    pub(super) pieces: Vec<Piece>,
    pub(super) last_piece: std::collections::HashMap<u32, u32>,
    pub(super) text: String,
    pub(super) values: String,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) nodes: usize,
    pub(super) depth: usize,
    pub(super) attributes: usize,
    /// Bytes of attribute values: formatting elements that the parser repeats repeat theirs too.
    pub(super) values: usize,
    /// Steps of the tree builder over its stacks. Its work per tag grows with the depth and with the square of the
    /// attributes; pages stay below fifty steps a tag.
    pub(super) work: u64,
}

#[derive(Debug)]
pub(super) struct Sink {
    drafts: RefCell<Drafts>,
    names: Names,
    limits: Limits,
    work: Cell<u64>,
    fault: RefCell<Option<PageError>>,
    failed: Cell<bool>,
}

/// An element for the parser: its number and the number of its name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handle {
    id: u32,
    name: u32,
}

impl Handle {
    pub(super) const DOCUMENT: Self = Self { id: DOCUMENT, name: NONE };
}

const NO_NAME: ExpandedName<'static> = ExpandedName { ns: &html5ever::ns!(), local: &local_name!("") };

impl Sink {
    pub(super) fn new(limits: Limits, size: usize) -> Self {
        let mut drafts = Drafts::default();
        // A node for 32 bytes of source and two fifths of the source as text are more than most pages have.
        drafts.nodes.reserve(size / 32);
        drafts.attrs.reserve(size / 64);
        drafts.text.reserve(size / 2);
        drafts.values.reserve(size / 4);
        drafts.nodes.push(Draft {
            parent: NONE,
            first: NONE,
            last: NONE,
            prev: NONE,
            next: NONE,
            name: NONE,
            start: 0,
            end: 0,
            extra: 0,
            flags: 0,
        });
        Self {
            drafts: RefCell::new(drafts),
            names: Names::new(),
            limits,
            work: Cell::new(0),
            fault: RefCell::default(),
            failed: Cell::new(false),
        }
    }

    /// A limit was passed: nothing more need be fed.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.get() || self.work.get() > self.limits.work
    }

    pub(super) fn fail(&self, error: PageError) {
        if !self.failed.replace(true) {
            self.fault.replace(Some(error));
        }
    }

    pub(super) fn into_parts(self) -> Result<(Drafts, Names), PageError> {
        if let Some(error) = self.fault.into_inner() {
            return Err(error);
        }
        if self.work.get() > self.limits.work {
            return Err(PageError::TooComplex);
        }
        Ok((self.drafts.into_inner(), self.names))
    }

    fn spend(&self, steps: usize) {
        self.work.set(self.work.get().saturating_add(steps as u64));
    }

    /// Stores attributes and gives their range, their flags.
    fn store(&self, drafts: &mut Drafts, attrs: Vec<Attribute>) -> u8 {
        let mut flags = 0;
        for attribute in attrs {
            let Attribute { name: QualName { prefix, local, .. }, value } = attribute;
            match local {
                local_name!("style") => flags |= flag::STYLED,
                local_name!("hidden") => flags |= flag::HIDDEN,
                _ => {}
            }
            let name = match prefix {
                Some(prefix) => LocalName::from(format!("{prefix}:{local}")),
                None => local,
            };
            let start = offset(drafts.values.len());
            drafts.values.push_str(&value);
            drafts.attrs.push(Attr { name, start, end: offset(drafts.values.len()) });
        }
        if drafts.values.len() > self.limits.values {
            self.fail(PageError::TooComplex);
        }
        if drafts.attrs.len() > self.limits.nodes {
            self.fail(PageError::TooManyAttributes { limit: self.limits.nodes });
        }
        flags
    }

    fn put(&self, parent: u32, before: u32, child: NodeOrText<Handle>) {
        let drafts = &mut *self.drafts.borrow_mut();
        match child {
            NodeOrText::AppendText(text) => drafts.put_text(parent, before, &text),
            NodeOrText::AppendNode(Handle { id: DROPPED, .. }) => {}
            NodeOrText::AppendNode(Handle { id, .. }) => {
                drafts.detach(id);
                let depth = drafts.link(parent, before, id);
                if depth as usize > self.limits.depth {
                    self.fail(PageError::TooDeep { limit: self.limits.depth });
                }
            }
        }
        if drafts.nodes.len() > self.limits.nodes {
            self.fail(PageError::TooManyNodes { limit: self.limits.nodes });
        }
    }
}

impl Drafts {
    fn add(&mut self, draft: Draft) -> u32 {
        let id = offset(self.nodes.len());
        self.nodes.push(draft);
        id
    }

    fn node(&mut self, id: u32) -> Option<&mut Draft> {
        self.nodes.get_mut(id as usize)
    }

    fn parent(&self, id: u32) -> u32 {
        self.nodes.get(id as usize).map_or(NONE, |node| node.parent)
    }

    /// Links `id` below `parent`, in front of `before` or last, and gives its depth.
    fn link(&mut self, parent: u32, before: u32, id: u32) -> u32 {
        let prev = match self.node(before) {
            Some(sibling) => std::mem::replace(&mut sibling.prev, id),
            None => self.node(parent).map_or(NONE, |node| std::mem::replace(&mut node.last, id)),
        };
        let is_text = self.node(id).is_some_and(|node| node.flags & flag::TEXT != 0);
        let depth = self.node(parent).map_or(0, |node| {
            if prev == NONE {
                node.first = id;
            }
            node.extra + 1
        });
        if let Some(node) = self.node(prev) {
            node.next = id;
        }
        if let Some(node) = self.node(id) {
            node.parent = parent;
            node.prev = prev;
            node.next = before;
            if !is_text {
                node.extra = depth;
            }
        }
        depth
    }

    fn detach(&mut self, id: u32) {
        let Some(node) = self.node(id) else { return };
        let (parent, prev, next) = (node.parent, node.prev, node.next);
        if parent == NONE {
            return;
        }
        (node.parent, node.prev, node.next) = (NONE, NONE, NONE);
        match self.node(prev) {
            Some(node) => node.next = next,
            None => {
                if let Some(node) = self.node(parent) {
                    node.first = next;
                }
            }
        }
        match self.node(next) {
            Some(node) => node.prev = prev,
            None => {
                if let Some(node) = self.node(parent) {
                    node.last = prev;
                }
            }
        }
    }

    fn put_text(&mut self, parent: u32, before: u32, text: &str) {
        let start = offset(self.text.len());
        self.text.push_str(text);
        let end = offset(self.text.len());
        let neighbour = match self.nodes.get(before as usize) {
            Some(sibling) => sibling.prev,
            None => self.nodes.get(parent as usize).map_or(NONE, |node| node.last),
        };
        if let Some(node) = self.nodes.get_mut(neighbour as usize)
            && node.flags & flag::TEXT != 0
        {
            if node.extra == NONE && node.end == start {
                node.end = end;
            } else {
                self.add_piece(neighbour, Piece { start, end, next: NONE });
            }
            return;
        }
        let id = self.add(Draft {
            parent: NONE,
            first: NONE,
            last: NONE,
            prev: NONE,
            next: NONE,
            name: NONE,
            start,
            end,
            extra: NONE,
            flags: flag::TEXT,
        });
        self.link(parent, before, id);
    }

    fn add_piece(&mut self, id: u32, piece: Piece) {
        let at = offset(self.pieces.len());
        match self.last_piece.insert(id, at) {
            Some(last) => {
                if let Some(last) = self.pieces.get_mut(last as usize) {
                    last.next = at;
                }
            }
            None => {
                if let Some(node) = self.node(id) {
                    node.extra = at;
                }
            }
        }
        self.pieces.push(piece);
    }
}

/// Lengths fit: pages are capped at 1 GiB, text at three times that, values by [`Limits::values`].
fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl TreeSink for Sink {
    type Handle = Handle;
    type Output = Self;
    type ElemName<'a> = ExpandedName<'a>;

    fn finish(self) -> Self {
        self
    }

    fn parse_error(&self, _: Cow<'static, str>) {}

    fn get_document(&self) -> Handle {
        Handle::DOCUMENT
    }

    fn elem_name<'a>(&'a self, target: &'a Handle) -> ExpandedName<'a> {
        self.spend(1);
        self.names.get(target.name).map_or(NO_NAME, |entry| entry.name.expanded())
    }

    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, _: ElementFlags) -> Handle {
        let drafts = &mut *self.drafts.borrow_mut();
        if attrs.len() > self.limits.attributes {
            self.fail(PageError::TooManyAttributes { limit: self.limits.attributes });
        }
        // The tokenizer compared each name with all earlier ones.
        self.spend(attrs.len() * attrs.len() / 2);
        let mut flags = match name.local {
            local_name!("input") if is(&attrs, &local_name!("type"), Some("hidden")) => flag::HIDDEN,
            local_name!("dialog") if !is(&attrs, &local_name!("open"), None) => flag::HIDDEN,
            _ => 0,
        };
        let name = self.names.intern(name);
        let start = offset(drafts.attrs.len());
        flags |= self.store(drafts, attrs);
        let end = offset(drafts.attrs.len());
        let id = drafts.add(Draft {
            parent: NONE,
            first: NONE,
            last: NONE,
            prev: NONE,
            next: NONE,
            name,
            start,
            end,
            extra: 0,
            flags,
        });
        Handle { id, name }
    }

    fn create_comment(&self, _: StrTendril) -> Handle {
        Handle { id: DROPPED, name: NONE }
    }

    fn create_pi(&self, _: StrTendril, _: StrTendril) -> Handle {
        Handle { id: DROPPED, name: NONE }
    }

    fn append(&self, parent: &Handle, child: NodeOrText<Handle>) {
        self.put(parent.id, NONE, child);
    }

    fn append_based_on_parent_node(&self, element: &Handle, prev_element: &Handle, child: NodeOrText<Handle>) {
        let parent = self.drafts.borrow().parent(element.id);
        if parent == NONE {
            self.put(prev_element.id, NONE, child);
        } else {
            self.put(parent, element.id, child);
        }
    }

    fn append_doctype_to_document(&self, _: StrTendril, _: StrTendril, _: StrTendril) {}

    // A template's content hangs below the template itself: the page is read, never instantiated.
    fn get_template_contents(&self, target: &Handle) -> Handle {
        *target
    }

    fn same_node(&self, x: &Handle, y: &Handle) -> bool {
        self.spend(1);
        x.id == y.id
    }

    fn set_quirks_mode(&self, _: QuirksMode) {}

    fn append_before_sibling(&self, sibling: &Handle, new_node: NodeOrText<Handle>) {
        let parent = self.drafts.borrow().parent(sibling.id);
        self.put(parent, sibling.id, new_node);
    }

    fn add_attrs_if_missing(&self, target: &Handle, attrs: Vec<Attribute>) {
        let drafts = &mut *self.drafts.borrow_mut();
        let Some((start, end)) = drafts.node(target.id).map(|node| (node.start as usize, node.end as usize)) else {
            return;
        };
        let old = drafts.attrs.get(start..end).unwrap_or_default();
        self.spend(old.len() * attrs.len());
        let new: Vec<_> = attrs.into_iter().filter(|new| old.iter().all(|old| old.name != new.name.local)).collect();
        if new.is_empty() {
            return;
        }
        if old.len() + new.len() > self.limits.attributes {
            self.fail(PageError::TooManyAttributes { limit: self.limits.attributes });
        }
        // Attributes of one element stand together: take the old ones along to the end.
        let moved: Vec<_> =
            old.iter().map(|attr| Attr { name: attr.name.clone(), start: attr.start, end: attr.end }).collect();
        let start = offset(drafts.attrs.len());
        drafts.attrs.extend(moved);
        let flags = self.store(drafts, new);
        let end = offset(drafts.attrs.len());
        if let Some(node) = drafts.node(target.id) {
            (node.start, node.end) = (start, end);
            node.flags |= flags;
        }
    }

    fn remove_from_parent(&self, target: &Handle) {
        self.drafts.borrow_mut().detach(target.id);
    }

    fn reparent_children(&self, node: &Handle, new_parent: &Handle) {
        let drafts = &mut *self.drafts.borrow_mut();
        let mut child = drafts.node(node.id).map_or(NONE, |node| node.first);
        let mut steps = 0;
        while let Some(next) = drafts.node(child).map(|child| child.next) {
            drafts.detach(child);
            drafts.link(new_parent.id, NONE, child);
            child = next;
            steps += 1;
        }
        self.spend(steps);
    }
}

/// Whether there is an attribute of that name, and of that value if one is given.
fn is(attrs: &[Attribute], name: &LocalName, value: Option<&str>) -> bool {
    attrs
        .iter()
        .any(|attr| attr.name.local == *name && value.is_none_or(|value| attr.value.eq_ignore_ascii_case(value)))
}
