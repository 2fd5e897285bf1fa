//! Choosing: which of the things a page describes are the records wanted.

use super::effort::Effort;
use super::want::{Want, WantedType, is_sort_of};
use crate::evidence::{Reading, folded};
use crate::facts::{Facts, Item, ItemId, Syntax, Value};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// One record's sources: the same thing, as each syntax states it, the most trusted first.
pub(super) type Sources = Vec<ItemId>;

/// What pages say of themselves rather than of a thing.
const PAGE_TYPES: [&str; 6] = ["WebPage", "ItemPage", "AboutPage", "CollectionPage", "WebSite", "BreadcrumbList"];

/// The records of a page, in page order; empty if it describes nothing of the sort.
///
/// A type that markup has a word for excludes others if the schema insists on it (`x-atlas`), and hints if it is only the
/// schema's title.
pub(super) fn mains(
    reading: &Reading<'_>,
    wanted: Option<&WantedType>,
    wants: &[Rc<Want>],
    effort: &Effort<'_>,
) -> Vec<Sources> {
    let facts = reading.facts();
    let coverage = Coverage { facts, wants, effort };
    let mut items: Vec<ItemId> = Vec::new();
    if let Some(wanted) = wanted {
        items = outer(facts, |item| item.types.iter().any(|name| is_sort_of(name, &wanted.name)));
    }
    let typed = !items.is_empty();
    if !typed {
        let known = wanted.filter(|wanted| is_known_type(&wanted.name));
        items = match known {
            Some(wanted) if wanted.insists => Vec::new(),
            // A thing of another sort must answer most of what is asked.
            Some(_) => by_coverage(&coverage, (wants.len() * 2).div_ceil(3)),
            None => by_coverage(&coverage, 0),
        };
    }
    let mut groups = grouped(reading, &items, effort);
    if typed {
        for group in &mut groups {
            add_owners(facts, group);
        }
    }
    // What one of several namesakes states, any of them states: see `Facts::properties`.
    let distinct = |group: &Sources| -> Sources {
        let mut seen = HashSet::new();
        group.iter().copied().filter(|id| seen.insert(facts.identity(*id))).collect()
    };
    if groups.len() < 2 {
        return groups.iter().map(distinct).collect();
    }
    let topic = Topic::of(reading);
    let scored: Vec<(Sources, usize, bool)> = groups
        .iter()
        .map(|group| {
            let sources = distinct(group);
            let covered = coverage.of(&sources);
            let is_main = topic.is(reading, group, &sources, effort);
            (sources, covered, is_main)
        })
        .collect();
    let most = scored.iter().map(|(_, covered, _)| *covered).max().unwrap_or(0);
    let mut main = scored.iter().filter(|(_, covered, is_main)| *is_main && covered * 2 >= most);
    if let (Some((only, ..)), None) = (main.next(), main.next()) {
        return vec![only.clone()];
    }
    // Teasers of other things state little: what states about as much as the fullest one is a record.
    let kept = scored.into_iter().filter(|(_, covered, _)| covered * 3 >= most * 2 && *covered > 0);
    kept.map(|(sources, ..)| sources).collect()
}

/// Items that fit and are not part of another that fits: related things and variants belong to their owner.
fn outer(facts: &Facts, fits: impl Fn(&Item) -> bool) -> Vec<ItemId> {
    let fitting: HashSet<ItemId> = facts.items().filter(|(_, item)| fits(item)).map(|(id, _)| id).collect();
    let all = facts.items().filter(|(id, item)| fitting.contains(id) && !item.properties.is_empty());
    all.map(|(id, _)| id).filter(|id| !is_inside(facts, *id, &fitting)).collect()
}

/// Whether an item is part of one of `others`.
fn is_inside(facts: &Facts, id: ItemId, others: &HashSet<ItemId>) -> bool {
    let above = |id: &ItemId| facts.item(*id).and_then(|item| item.parent);
    std::iter::successors(above(&id), above).any(|above| others.contains(&above))
}

/// An offer is of the thing that holds it: what that states, it states of the offer too.
fn add_owners(facts: &Facts, group: &mut Sources) {
    let owners: Vec<ItemId> = group
        .iter()
        .filter_map(|id| facts.item(*id))
        .filter(|item| item.types.iter().any(|name| is_sort_of(name, "offer")))
        .filter_map(|item| item.parent)
        .collect();
    group.extend(owners);
}

/// Whether a wanted type is one that markup has a word for; then an item of another type is not it.
fn is_known_type(wanted: &str) -> bool {
    const KNOWN: [&str; 16] = [
        "recipe",
        "product",
        "article",
        "event",
        "jobposting",
        "person",
        "organization",
        "book",
        "movie",
        "review",
        "course",
        "place",
        "localbusiness",
        "offer",
        "videoobject",
        "table",
    ];
    KNOWN.contains(&wanted.to_ascii_lowercase().as_str())
}

/// Without a type to go by: the items that answer the most fields, `least` or more.
fn by_coverage(coverage: &Coverage<'_>, least: usize) -> Vec<ItemId> {
    let facts = coverage.facts;
    // Namesakes state the same.
    let mut known: HashMap<ItemId, usize> = HashMap::new();
    let candidates: Vec<(ItemId, usize)> = facts
        .items()
        .filter(|(_, item)| item.syntax != Syntax::Meta && !item.types.iter().any(|name| PAGE_TYPES.contains(&&**name)))
        .map(|(id, _)| (id, *known.entry(facts.identity(id)).or_insert_with(|| coverage.of(&[id]))))
        .collect();
    let most = candidates.iter().map(|(_, covered)| *covered).max().unwrap_or(0);
    // One shared field, such as a name, says nothing about being the thing wanted.
    if most < 2.min(coverage.wants.len()).max(least) || most == 0 {
        return Vec::new();
    }
    let best: Vec<ItemId> =
        candidates.into_iter().filter(|(_, covered)| *covered * 3 >= most * 2).map(|(id, _)| id).collect();
    let known: HashSet<ItemId> = best.iter().copied().collect();
    best.into_iter().filter(|id| !is_inside(facts, *id, &known)).collect()
}

/// How many of the wanted fields a record's sources answer.
struct Coverage<'a> {
    facts: &'a Facts,
    wants: &'a [Rc<Want>],
    effort: &'a Effort<'a>,
}

impl Coverage<'_> {
    fn of(&self, sources: &[ItemId]) -> usize {
        let stated = self.effort.each(sources.iter().flat_map(|id| self.facts.properties(*id)));
        let names: HashSet<String> = stated.map(|(name, _)| name.to_ascii_lowercase()).collect();
        let answers = |want: &&Rc<Want>| {
            let mut firsts = want.paths.iter().filter_map(|path| path.first());
            firsts.any(|first| names.contains(&first.to_ascii_lowercase()))
        };
        self.wants.iter().filter(answers).count()
    }
}

/// Joins what is stated twice: same identifier, or same name.
fn grouped(reading: &Reading<'_>, items: &[ItemId], effort: &Effort<'_>) -> Vec<Sources> {
    let facts = reading.facts();
    let name_of = |id: ItemId| {
        effort.each(facts.properties(id)).find_map(|(name, value)| match value {
            Value::Leaf(leaf) if name.eq_ignore_ascii_case("name") || name.eq_ignore_ascii_case("headline") => {
                Some(folded(&crate::plain::clean(facts.text(reading.page(), leaf))))
            }
            _ => None,
        })
    };
    // The first group of each identifier and of each name.
    let mut identifiers: HashMap<&str, usize> = HashMap::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Sources> = Vec::new();
    for id in items {
        let identifier = facts.item(*id).and_then(|item| item.id.as_deref());
        let name = name_of(*id);
        let same_id = identifier.and_then(|one| identifiers.get(one));
        let same_name = name.as_ref().and_then(|one| names.get(one));
        let at = same_id.into_iter().chain(same_name).min().copied().unwrap_or(groups.len());
        if at == groups.len() {
            groups.push(Vec::new());
        }
        groups[at].push(*id);
        if let Some(identifier) = identifier {
            identifiers.entry(identifier).or_insert(at);
        }
        if let Some(name) = name {
            names.entry(name).or_insert(at);
        }
    }
    groups
}

/// What the page says that it is about: by `mainEntity`, by address, or by its heading.
struct Topic {
    entities: HashSet<ItemId>,
    addresses: HashSet<String>,
    headings: HashSet<String>,
    title: String,
}

fn text_of<'a>(reading: &'a Reading<'_>, value: &'a Value) -> Option<&'a str> {
    match value {
        Value::Leaf(leaf) => Some(reading.facts().text(reading.page(), leaf)),
        Value::Item(id) => reading.facts().item(*id).and_then(|item| item.id.as_deref()),
    }
}

impl Topic {
    fn of(reading: &Reading<'_>) -> Self {
        let (facts, page) = (reading.facts(), reading.page());
        let meta = |wanted: &'static str| {
            facts
                .items()
                .filter(|(_, item)| item.syntax == Syntax::Meta)
                .flat_map(move |(_, item)| item.properties.iter().filter(move |(name, _)| **name == *wanted))
                .filter_map(|(_, value)| text_of(reading, value))
        };
        let entities = facts
            .items()
            .flat_map(|(_, item)| &item.properties)
            .filter(|(name, _)| name.eq_ignore_ascii_case("mainEntity"))
            .filter_map(|(_, value)| if let Value::Item(id) = value { Some(*id) } else { None });
        Self {
            entities: entities.collect(),
            addresses: meta(".canonical").chain(page.url().map(url::Url::as_str)).map(bare).collect(),
            headings: meta(".h1").map(folded).collect(),
            title: meta(".title").map(folded).next().unwrap_or_default(),
        }
    }

    /// Whether the page is about a group of items, which `sources` speak for.
    fn is(&self, reading: &Reading<'_>, group: &[ItemId], sources: &[ItemId], effort: &Effort<'_>) -> bool {
        let facts = reading.facts();
        let by_address = |value: &str| self.addresses.contains(&bare(value));
        let by_itself = |id: &ItemId| {
            self.entities.contains(id) || facts.item(*id).and_then(|item| item.id.as_deref()).is_some_and(by_address)
        };
        let by_property = |(name, value): (&str, &Value)| {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
            if is("url") || is("mainEntityOfPage") {
                return text_of(reading, value).is_some_and(by_address);
            }
            if !is("name") && !is("headline") {
                return false;
            }
            let name = folded(&crate::plain::clean(text_of(reading, value).unwrap_or_default()));
            !name.is_empty() && (self.headings.contains(&name) || self.title.starts_with(&name))
        };
        group.iter().any(by_itself) || effort.each(sources.iter().flat_map(|id| facts.properties(*id))).any(by_property)
    }
}

/// An address without scheme, fragment and closing slash.
fn bare(address: &str) -> String {
    let address = address.split('#').next().unwrap_or("");
    let address = address.strip_prefix("https:").or_else(|| address.strip_prefix("http:")).unwrap_or(address);
    address.trim_end_matches('/').to_owned()
}
