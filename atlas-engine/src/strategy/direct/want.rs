//! Want: where a field's value may stand, worked out from its name and hints alone.

use super::vocabulary::{Concept, SORTS, concept_of};
use crate::shape::{Field, Node, NodeRef, Shape};
use crate::strategy::words;
use crate::transform::Transform;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Where to look for one field, the best place first.
#[derive(Debug)]
pub(super) struct Want {
    /// Property paths, each a list of names.
    pub(super) paths: Vec<Vec<String>>,
    /// Names of meta elements.
    pub(super) meta: Vec<&'static str>,
    /// Labels, folded.
    pub(super) labels: Vec<String>,
    /// How to read a text.
    pub(super) transform: Transform,
    /// What the field's name stands for, if known.
    pub(super) concept: Option<&'static Concept>,
}

impl Want {
    /// Works out a field of an object whose type is named `kinds` (such as `recipe`), if it is.
    pub(super) fn new(name: &str, node: &Node, kinds: &[String]) -> Self {
        let full = words(name);
        // `recipe_title` of a recipe is its title.
        let short = match full.split_first() {
            Some((first, rest)) if !rest.is_empty() && kinds.contains(first) => rest.to_vec(),
            _ => full.clone(),
        };
        let concept = concept_of(&full).or_else(|| concept_of(&short));
        let mut paths: Vec<Vec<String>> = Vec::new();
        let mut add = |path: &str| {
            let path: Vec<String> = path.split('.').map(str::to_owned).collect();
            if !paths.contains(&path) {
                paths.push(path);
            }
        };
        node.hints.paths.iter().for_each(|path| add(path));
        // The name itself is the best guess, unless the vocabulary knows a more exact place below it.
        let known = concept.map_or(&[][..], |concept| concept.paths);
        for path in known {
            add(path);
        }
        add(&full.concat());
        add(&short.concat());
        let meta = concept.map_or_else(Vec::new, |concept| concept.meta.to_vec());
        let mut labels: Vec<String> = node.hints.labels.iter().map(|label| crate::evidence::folded(label)).collect();
        labels
            .extend(concept.into_iter().flat_map(|concept| concept.labels).map(|label| crate::evidence::folded(label)));
        labels.push(full.join(" "));
        if let Some(title) = &node.title {
            labels.push(crate::evidence::folded(title));
        }
        Self { paths, meta, labels, transform: Transform::wanted(node, name), concept }
    }

    /// Whether the field wants this concept, named by its first name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.concept.is_some_and(|concept| concept.names.first() == Some(&name))
    }
}

/// What each field of a schema wants, worked out once: a page may hold thousands of records.
#[derive(Debug)]
pub(super) struct Wants<'a> {
    shape: &'a Shape,
    kinds: Vec<String>,
    known: RefCell<HashMap<(NodeRef, &'a str), Rc<Want>>>,
}

impl<'a> Wants<'a> {
    /// For objects whose type is named `kinds`.
    pub(super) fn new(shape: &'a Shape, kinds: Vec<String>) -> Self {
        Self { shape, kinds, known: RefCell::default() }
    }

    pub(super) fn of(&self, field: &'a Field) -> Rc<Want> {
        let mut known = self.known.borrow_mut();
        let want = known.entry((field.node, field.name.as_str()));
        want.or_insert_with(|| Rc::new(Want::new(&field.name, self.shape.node(field.node), &self.kinds))).clone()
    }
}

/// The type of thing that a record's schema asks for.
#[derive(Debug)]
pub(super) struct WantedType {
    /// Its name, lower case, without separators.
    pub(super) name: String,
    /// Whether the schema says so by `x-atlas`: nothing else will do. A title only hints.
    pub(super) insists: bool,
}

impl WantedType {
    /// By `x-atlas`, else by the schema's title.
    pub(super) fn of(shape: &Shape) -> Option<Self> {
        let root = shape.node(shape.root());
        let insists = root.hints.item.is_some();
        let name = root.hints.item.as_ref().or(root.title.as_ref())?;
        Some(Self { name: words(name).concat(), insists })
    }
}

/// Whether an item's type is the wanted one or a sort of it: `NewsArticle` is an article.
pub(super) fn is_sort_of(name: &str, wanted: &str) -> bool {
    let ends = |name: &str| {
        name.len()
            .checked_sub(wanted.len())
            .and_then(|at| name.get(at..))
            .is_some_and(|end| end.eq_ignore_ascii_case(wanted))
    };
    ends(name)
        || SORTS
            .iter()
            .any(|(sort, of)| name.eq_ignore_ascii_case(sort) && (ends(of) || (of != sort && is_sort_of(of, wanted))))
}
