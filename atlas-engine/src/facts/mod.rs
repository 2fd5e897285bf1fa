//! Facts: what a page states as data, whatever the syntax it states it in.
//!
//! One module a syntax, all giving the same graph: [`Item`]s with types and properties, whose values are other items or
//! [`Leaf`] texts that know where they stand. Choosing among facts and turning texts into typed values is
//! [`strategy::direct`](crate::strategy)'s part. A further syntax is a module that calls `Facts::add`.

pub mod deflist;
mod jsonld;
pub mod labelled;
mod lenient;
mod meta;
mod microdata;
pub mod tables;
mod tree;

use crate::page::{NodeId, Page};
use atlas_schema::{JsonPointer, Source, Span};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use tree::Tree;

/// More items than this state nothing further; the largest page measured has 1,900.
const MAX_ITEMS: usize = 50_000;

/// The syntax a fact was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Syntax {
    /// JSON-LD in a script element.
    JsonLd,
    /// HTML microdata.
    Microdata,
    /// Meta elements: Open Graph, Twitter cards, Dublin Core and the standard names.
    Meta,
}

impl Syntax {
    /// The name, as it stands in evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonLd => "json-ld",
            Self::Microdata => "microdata",
            Self::Meta => "meta",
        }
    }
}

/// Names an item of one [`Facts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(u32);

/// A thing that the page describes.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it was written in.
    pub syntax: Syntax,
    /// Its types, without their vocabulary's address: `Recipe`, `NewsArticle`.
    pub types: Vec<Box<str>>,
    /// Its identifier, if it has one.
    pub id: Option<Box<str>>,
    /// The element that states it.
    pub node: NodeId,
    /// The item it is a value of; `None` for one that stands by itself.
    pub parent: Option<ItemId>,
    /// Its properties as written, in order; repeated names are further values.
    pub properties: Vec<(Box<str>, Value)>,
}

/// A value of a property.
#[derive(Debug, Clone)]
pub enum Value {
    /// Another item.
    Item(ItemId),
    /// A text with a place.
    Leaf(Leaf),
}

/// A text with a place. The text itself is read by [`Facts::text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf(pub(crate) Place);

/// Where a text stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A scalar of an embedded document.
    Json { document: u32, at: u32 },
    /// Several scalars of one object, joined by a blank each: an index into the facts' composed texts.
    Composed { index: u32 },
    /// An attribute's value.
    Attribute { node: NodeId, name: &'static str },
    /// The visible text of a node, or its hidden text if it is hidden.
    Node { node: NodeId },
    /// A range of the page's visible text.
    Visible { node: NodeId, start: usize, end: usize },
}

#[derive(Debug)]
struct Document {
    node: NodeId,
    tree: Tree,
}

/// The name under which an item's value, unit and name stand together, as a reader would say them.
pub(crate) const COMPOSED: &str = "@composed";

#[derive(Debug)]
struct Composed {
    document: u32,
    /// The object.
    at: u32,
    spans: Vec<Span>,
    text: String,
}

/// Everything a page states as data.
#[derive(Debug, Default)]
pub struct Facts {
    composed: Vec<Composed>,
    items: Vec<Item>,
    /// The items of each identifier.
    namesakes: Vec<Namesakes>,
    /// For each item, which of `namesakes` it belongs to, if any.
    named: Vec<Option<u32>>,
    documents: Vec<Document>,
    cut: bool,
}

/// The items of one identifier. Those that state nothing are no part of the lists: pages refer to a thing from many
/// places, and looking at every reference for each reference takes quadratic time.
#[derive(Debug)]
struct Namesakes {
    first: ItemId,
    /// Those with properties.
    stating: Vec<ItemId>,
    /// Those with types.
    typed: Vec<ItemId>,
}

impl Facts {
    /// Reads every syntax. Never fails: what cannot be read states nothing.
    pub fn read(page: &Page) -> Self {
        let mut facts = Self::default();
        jsonld::read(page, &mut facts);
        microdata::read(page, &mut facts);
        meta::read(page, &mut facts);
        facts.index();
        facts
    }

    /// Notes who shares an identifier with whom, once all is read.
    fn index(&mut self) {
        let mut by_id: HashMap<&str, u32> = HashMap::new();
        for (at, item) in self.items.iter().enumerate() {
            let Some(name) = &item.id else {
                self.named.push(None);
                continue;
            };
            let id = ItemId(u32::try_from(at).unwrap_or(u32::MAX));
            let next = u32::try_from(self.namesakes.len()).unwrap_or(u32::MAX);
            let which = *by_id.entry(name).or_insert(next);
            if which == next {
                self.namesakes.push(Namesakes { first: id, stating: Vec::new(), typed: Vec::new() });
            }
            self.named.push(Some(which));
            let Some(namesakes) = self.namesakes.get_mut(which as usize) else { continue };
            if !item.properties.is_empty() {
                namesakes.stating.push(id);
            }
            if !item.types.is_empty() {
                namesakes.typed.push(id);
            }
        }
    }

    /// Whether the page states more than is read of one page: further items and repeated references were left out.
    pub const fn is_cut_short(&self) -> bool {
        self.cut
    }

    /// Adds an item.
    pub(crate) fn add(&mut self, item: Item) -> ItemId {
        let id = ItemId(u32::try_from(self.items.len()).unwrap_or(u32::MAX));
        self.items.push(item);
        id
    }

    fn push_property(&mut self, item: ItemId, name: &str, value: Value) {
        if let Some(item) = self.items.get_mut(item.0 as usize) {
            item.properties.push((name.into(), value));
        }
    }

    /// Every item, in the order read: JSON-LD, microdata, meta; each in document order.
    pub fn items(&self) -> impl Iterator<Item = (ItemId, &Item)> {
        self.items.iter().enumerate().map(|(at, item)| (ItemId(u32::try_from(at).unwrap_or(u32::MAX)), item))
    }

    /// One item.
    pub fn item(&self, id: ItemId) -> Option<&Item> {
        self.items.get(id.0 as usize)
    }

    fn namesakes(&self, id: ItemId) -> Option<&Namesakes> {
        let which = (*self.named.get(id.0 as usize)?)?;
        self.namesakes.get(which as usize)
    }

    /// One item for all that share an identifier, so that a walk along references can tell what it has seen.
    pub fn identity(&self, id: ItemId) -> ItemId {
        self.namesakes(id).map_or(id, |namesakes| namesakes.first)
    }

    /// The properties of an item, and after them those of every item with the same identifier.
    pub fn properties(&self, id: ItemId) -> impl Iterator<Item = (&str, &Value)> {
        let this = self.item(id);
        let same = self.namesakes(id).map_or(&[][..], |namesakes| &namesakes.stating);
        let others = same.iter().filter(move |other| **other != id).filter_map(|other| self.item(*other));
        this.into_iter().chain(others).flat_map(|item| item.properties.iter().map(|(name, value)| (&**name, value)))
    }

    /// The types of an item, or of its namesakes when it is only a reference.
    pub fn types(&self, id: ItemId) -> impl Iterator<Item = &str> {
        let this = self.item(id);
        let same = this.filter(|item| item.types.is_empty()).and_then(|_| self.namesakes(id));
        let same = same.map_or(&[][..], |namesakes| &namesakes.typed);
        let others = same.iter().filter_map(|other| self.item(*other));
        this.into_iter().chain(others).flat_map(|item| item.types.iter().map(|name| &**name))
    }

    /// The text of a leaf, as its source spells it.
    pub fn text<'a>(&'a self, page: &'a Page, leaf: &Leaf) -> &'a str {
        match &leaf.0 {
            Place::Json { document, at } => {
                self.documents.get(*document as usize).and_then(|document| document.tree.text(*at)).unwrap_or("")
            }
            Place::Composed { index } => self.composed.get(*index as usize).map_or("", |composed| &composed.text),
            Place::Attribute { node, name } => page.attr(*node, name).unwrap_or(""),
            Place::Node { node } if page.is_hidden(*node) => {
                page.hidden_text().get(page.hidden_range(*node)).unwrap_or("")
            }
            Place::Node { node } => page.text_of(*node),
            Place::Visible { start, end, .. } => page.text().get(*start..*end).unwrap_or(""),
        }
    }

    /// Whether a leaf is said by the page of itself: a meta element or the document's own elements.
    pub(crate) fn is_page_level(leaf: &Leaf) -> bool {
        matches!(leaf.0, Place::Attribute { name: "content" | "href" | "lang", .. } | Place::Node { .. })
    }

    /// Whether a leaf is a first-level heading.
    pub(crate) fn is_heading(page: &Page, leaf: &Leaf) -> bool {
        matches!(leaf.0, Place::Node { node } if page.tag(node) == Some("h1"))
    }

    /// Where bytes `range` of a leaf's text stand, as evidence says it: source, node, span.
    pub(crate) fn locate(&self, page: &Page, leaf: &Leaf, range: &Range<usize>) -> (Source, NodeId, Vec<Span>) {
        let embedded = |document: u32, at: u32| {
            let document = self.documents.get(document as usize);
            let pointer = document.map(|document| document.tree.pointer(at)).unwrap_or_default();
            let pointer = JsonPointer::parse(&pointer).unwrap_or_default();
            let source = Source::Embedded { syntax: Syntax::JsonLd.as_str().into(), pointer };
            (source, document.map_or(page.root(), |document| document.node))
        };
        match &leaf.0 {
            Place::Json { document, at } => {
                let (source, node) = embedded(*document, *at);
                (source, node, vec![span(0, range)])
            }
            Place::Composed { index } => match self.composed.get(*index as usize) {
                Some(composed) => {
                    let (source, node) = embedded(composed.document, composed.at);
                    (source, node, composed.spans.clone())
                }
                None => (Source::VisibleText {}, page.root(), Vec::new()),
            },
            Place::Attribute { node, name } => {
                (Source::Attribute { name: (*name).into() }, *node, vec![span(0, range)])
            }
            Place::Node { node } if page.is_hidden(*node) => {
                (Source::HiddenText {}, *node, vec![span(page.hidden_range(*node).start, range)])
            }
            Place::Node { node } => (Source::VisibleText {}, *node, vec![span(page.text_range(*node).start, range)]),
            Place::Visible { node, start, .. } => (Source::VisibleText {}, *node, vec![span(*start, range)]),
        }
    }

    /// The text of an embedded document at a pointer, for checking evidence. An object's or array's text is its scalars in
    /// document order, joined by one blank.
    pub(crate) fn embedded(&self, node: u32, pointer: &JsonPointer) -> Option<Cow<'_, str>> {
        let parts: Vec<String> = pointer.parts().collect();
        let mut documents = self.documents.iter().filter(|document| document.node.index() == node);
        documents.find_map(|document| {
            let at = document.tree.find(&parts)?;
            document.tree.text(at).map(Cow::Borrowed).or_else(|| document.tree.joined(at).map(Cow::Owned))
        })
    }

    /// Joins scalars of one object of a document that is about to be added.
    fn compose(&mut self, tree: &Tree, at: u32, parts: &[u32]) -> Leaf {
        let texts: Vec<&str> = parts.iter().filter_map(|part| tree.text(*part)).collect();
        let spans =
            parts.iter().zip(&texts).map(|(part, text)| span(tree.offset_in(at, *part), &(0..text.len()))).collect();
        let document = u32::try_from(self.documents.len()).unwrap_or(u32::MAX);
        let index = u32::try_from(self.composed.len()).unwrap_or(u32::MAX);
        self.composed.push(Composed { document, at, spans, text: texts.join(" ") });
        Leaf(Place::Composed { index })
    }
}

fn span(base: usize, range: &Range<usize>) -> Span {
    let at = |offset: usize| u32::try_from(base.saturating_add(offset)).unwrap_or(u32::MAX);
    Span { start: at(range.start), end: at(range.end) }
}

/// The last part of a type's or property's address: `https://schema.org/Recipe`, `schema:Recipe` and `Recipe` are one.
pub(crate) fn local_name(name: &str) -> &str {
    let name = name.trim().trim_end_matches('/');
    let name = name.rsplit(['/', '#']).next().unwrap_or(name);
    name.rsplit(':').next().unwrap_or(name)
}
