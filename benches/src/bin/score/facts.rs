//! Facts: (property, value) pairs without their subject, in one spelling, from the engine and from labels.
//!
//! Libraries shape embedded data differently: nested or flat, one value or a list of one, vocabulary addresses or bare
//! names. The facts underneath are the same, so facts are what is compared. A property is the last part of its name; a
//! type is a fact of its own; a value that is a thing counts by the facts of that thing, or by its identifier if
//! nothing else is said of it.

use crate::normalise;
use crate::tally::Counts;
use atlas_engine::facts::{Facts, Item, ItemId, Value as Stated};
use atlas_engine::page::Page;
use serde_json::{Map, Value};
use std::collections::HashSet;
use url::Url;

/// One fact: the property and its value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    property: String,
    value: String,
}

impl Fact {
    /// `None` for a value without a word in it.
    pub(crate) fn new(property: &str, value: &str) -> Option<Self> {
        (!value.trim().is_empty()).then(|| Self { property: local(property), value: value.to_owned() })
    }

    /// One of several types of a thing.
    fn kind(name: &str) -> Option<Self> {
        (!name.trim().is_empty()).then(|| Self { property: "@type".into(), value: local(name) })
    }

    /// The fact in the spelling that is compared; a relative address is resolved if there is a base.
    fn key(&self, base: Option<&Url>) -> (String, String) {
        let value = match base {
            Some(base) if self.property != "@type" => base.join(self.value.trim()).ok().map(|url| url.to_string()),
            _ => None,
        };
        (self.property.clone(), spelling(value.as_deref().unwrap_or(&self.value)))
    }
}

/// The last part of a name: `https://schema.org/name`, `schema:name` and `name` are one.
fn local(name: &str) -> String {
    let name = name.trim().trim_end_matches(['/', '#']);
    name.rsplit(['/', '#', ':']).next().unwrap_or(name).to_lowercase()
}

fn spelling(value: &str) -> String {
    if let Some(number) = normalise::number(value) {
        return format!("{number}");
    }
    let trimmed = value.trim();
    let url = if trimmed.contains("://") { Url::parse(trimmed).ok() } else { None };
    let text = normalise::text(url.as_ref().map_or(trimmed, Url::as_str));
    // Members of the vocabulary itself are written as addresses and as names.
    let member = ["https://schema.org/", "http://schema.org/"].iter().find_map(|home| text.strip_prefix(home));
    member.filter(|member| !member.is_empty()).unwrap_or(&text).trim_end_matches('/').to_owned()
}

/// Facts found against the label, as multisets. What is left over is tried again with addresses resolved at `base`.
pub(crate) fn compare(label: &[Fact], found: &[Fact], base: Option<&Url>) -> Counts {
    let mut open: Vec<(String, String)> = label.iter().map(|fact| fact.key(None)).collect();
    let mut tp = 0;
    let mut hit = |key: &(String, String), open: &mut Vec<(String, String)>| match open.iter().position(|o| o == key) {
        Some(at) => {
            open.swap_remove(at);
            tp += 1;
            true
        }
        None => false,
    };
    let left: Vec<&Fact> = found.iter().filter(|fact| !hit(&fact.key(None), &mut open)).collect();
    if base.is_some() {
        for fact in left {
            hit(&fact.key(base), &mut open);
        }
    }
    Counts { tp, fp: found.len() as u64 - tp, fn_: open.len() as u64 }
}

/// What the engine read in one syntax, by the name that evidence gives it.
pub(crate) fn of_syntax(page: &Page, facts: &Facts, syntax: &str) -> Vec<Fact> {
    let items: Vec<(ItemId, &Item)> = facts.items().filter(|(_, item)| item.syntax.as_str() == syntax).collect();
    let says = |item: &Item| !item.types.is_empty() || !item.properties.is_empty();
    let described: HashSet<&str> =
        items.iter().filter(|(_, item)| says(item)).filter_map(|(_, item)| item.id.as_deref()).collect();
    let mut out = Vec::new();
    for (_, item) in &items {
        out.extend(item.types.iter().filter_map(|name| Fact::kind(name)));
        for (name, value) in item.properties.iter().filter(|(name, _)| !name.starts_with(['@', '.'])) {
            match value {
                Stated::Leaf(leaf) => out.extend(Fact::new(name, facts.text(page, leaf))),
                Stated::Item(inner) => {
                    let id = facts.item(*inner).filter(|inner| inner.properties.is_empty());
                    let id = id.and_then(|inner| inner.id.as_deref()).filter(|id| is_outside(id, &described));
                    out.extend(id.and_then(|id| Fact::new(name, id)));
                }
            }
        }
    }
    out
}

/// Whether an identifier says something by itself: it names a thing that is described elsewhere than on this page.
fn is_outside(id: &str, described: &HashSet<&str>) -> bool {
    !id.starts_with("_:") && !described.contains(id)
}

/// The meta elements whose names `wanted` accepts; a name is in lower case.
pub(crate) fn of_meta(page: &Page, facts: &Facts, wanted: impl Fn(&str) -> bool) -> Vec<Fact> {
    let items = facts.items().filter(|(_, item)| item.syntax.as_str() == "meta");
    let properties = items.flat_map(|(_, item)| &item.properties).filter(|(name, _)| wanted(name));
    properties
        .filter_map(|(name, value)| match value {
            Stated::Leaf(leaf) => Fact::new(name, facts.text(page, leaf)),
            Stated::Item(_) => None,
        })
        .collect()
}

/// How a label's JSON is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// JSON-LD, plain or expanded.
    JsonLd,
    /// Things with `type`, `id` and `properties`, as the HTML standard and microformats have them; also flattened, with
    /// `@type` and the properties side by side.
    Items,
}

/// The facts in a label.
pub(crate) fn of_label(label: &Value, shape: Shape) -> Vec<Fact> {
    let mut reader = Reader { shape, described: HashSet::new(), out: Vec::new() };
    reader.note_described(label);
    reader.thing("", label);
    reader.out
}

struct Reader<'v> {
    shape: Shape,
    described: HashSet<&'v str>,
    out: Vec<Fact>,
}

/// Keys of flat items that are no properties.
const FLAT: [&str; 6] = ["id", "iid", "iid_ref", "value", "textContent", "children"];

impl<'v> Reader<'v> {
    fn note_described(&mut self, value: &'v Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.note_described(item)),
            Value::Object(object) => {
                if let Some(id) = identifier(object).filter(|_| object.len() > 1) {
                    self.described.insert(id);
                }
                object.values().for_each(|inner| self.note_described(inner));
            }
            _ => {}
        }
    }

    /// A value of `property`; without a name, a thing that stands by itself.
    fn thing(&mut self, property: &str, value: &'v Value) {
        match value {
            Value::Null => {}
            Value::Array(items) => items.iter().for_each(|item| self.thing(property, item)),
            Value::Object(object) => self.object(property, object),
            Value::String(text) => self.out.extend(Fact::new(property, text)),
            other => self.out.extend(Fact::new(property, &other.to_string())),
        }
    }

    fn object(&mut self, property: &str, object: &'v Map<String, Value>) {
        if let Some(inner) = ["@value", "@list", "@set"].iter().find_map(|key| object.get(*key)) {
            return self.thing(property, inner);
        }
        let named = object.get("properties").and_then(Value::as_object).filter(|_| self.shape == Shape::Items);
        let types = object.get("@type").or_else(|| object.get("type").filter(|_| self.shape == Shape::Items));
        let types: Vec<&str> = match types {
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(names)) if self.shape == Shape::Items => names.split_ascii_whitespace().collect(),
            Some(Value::String(name)) => vec![name],
            _ => Vec::new(),
        };
        self.out.extend(types.iter().filter_map(|name| Fact::kind(name)));
        let before = self.out.len();
        match named {
            Some(properties) => properties.iter().for_each(|(name, value)| self.thing(name, value)),
            None => self.flat(object),
        }
        let silent = self.out.len() == before && types.is_empty();
        let text = object.get("value").filter(|_| self.shape == Shape::Items && silent);
        if let Some(children) = object.get("children").filter(|_| self.shape == Shape::Items) {
            self.thing("", children);
        }
        if property.is_empty() || self.out.len() > before {
            return;
        }
        if let Some(id) = identifier(object).filter(|id| is_outside(id, &self.described) || object.len() > 1) {
            self.out.extend(Fact::new(property, id));
        } else if let Some(text) = text {
            self.thing(property, text);
        }
    }

    fn flat(&mut self, object: &'v Map<String, Value>) {
        for (name, value) in object {
            match name.as_str() {
                "@graph" | "@included" => self.thing("", value),
                "@reverse" => value.as_object().into_iter().flatten().for_each(|(name, value)| self.thing(name, value)),
                name if name.starts_with('@') => {}
                "type" | "properties" if self.shape == Shape::Items => {}
                name if self.shape == Shape::Items && FLAT.contains(&name) => {}
                name => self.thing(name, value),
            }
        }
    }
}

fn identifier(object: &Map<String, Value>) -> Option<&str> {
    object.get("@id").or_else(|| object.get("id")).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use atlas_engine::page::ParseOptions;
    use serde_json::json;

    fn keys(facts: &[Fact]) -> Vec<(String, String)> {
        let mut keys: Vec<_> = facts.iter().map(|fact| fact.key(None)).collect();
        keys.sort();
        keys
    }

    #[test]
    fn one_thing_in_every_shape_states_the_same_facts() {
        let expanded = json!([
            {"@id": "_:a", "@type": ["http://schema.org/Book"], "http://schema.org/name": [{"@value": "Tides"}],
             "http://schema.org/author": [{"@id": "_:b"}]},
            {"@id": "_:b", "@type": ["http://schema.org/Person"], "http://schema.org/name": [{"@value": "Ann"}]}]);
        let compact = json!({"@context": "https://schema.org", "@type": "Book", "name": "Tides",
            "author": {"@type": "Person", "name": "Ann"}});
        let nested = json!([{"type": "http://schema.org/Book", "properties": {"name": ["Tides"],
            "author": {"type": ["http://schema.org/Person"], "properties": {"name": "Ann"}}}}]);
        let flat = json!([{"@type": "Book", "name": "Tides", "author": {"@type": "Person", "name": "Ann"}}]);
        let page = "<div itemscope itemtype=https://schema.org/Book><b itemprop=name>Tides</b>\
                    <i itemprop=author itemscope itemtype=https://schema.org/Person><b itemprop=name>Ann</b></i></div>";
        let page = Page::from_html(page, &ParseOptions::default()).unwrap();
        let wanted = keys(&of_syntax(&page, &Facts::read(&page), "microdata"));
        assert_eq!(wanted.len(), 4);
        for (label, shape) in [(expanded, Shape::JsonLd), (compact, Shape::JsonLd), (nested, Shape::Items)] {
            assert_eq!(keys(&of_label(&label, shape)), wanted, "{label}");
        }
        assert_eq!(keys(&of_label(&flat, Shape::Items)), wanted);
    }

    #[test]
    fn a_thing_that_only_has_an_identifier_is_that_value() {
        let label = json!({"@type": "Book", "author": {"@id": "https://example.org/ann"}, "about": {"@id": "_:x"}});
        let found = [Fact::kind("Book"), Fact::new("author", "/ann")].map(Option::unwrap);
        let base = Url::parse("https://example.org/books/").unwrap();
        assert_eq!(compare(&of_label(&label, Shape::JsonLd), &found, Some(&base)), Counts { tp: 2, fp: 0, fn_: 0 });
        assert_eq!(compare(&of_label(&label, Shape::JsonLd), &found, None), Counts { tp: 1, fp: 1, fn_: 1 });
    }

    #[test]
    fn spellings_of_one_value_are_one_value() {
        for (one, other) in [
            ("http://schema.org/InStock", "InStock"),
            ("https://example.org", "https://EXAMPLE.org/"),
            ("4.50", "4,5"),
            (" a\n b ", "A b"),
        ] {
            assert_eq!(spelling(one), spelling(other), "{one}");
        }
    }
}
