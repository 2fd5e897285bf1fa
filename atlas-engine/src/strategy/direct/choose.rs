//! Choosing: which of the things a page describes are the records wanted.

use super::want::{Want, WantedType, is_sort_of};
use crate::evidence::{Reading, folded};
use crate::facts::{Facts, Item, ItemId, Syntax, Value};

/// One record's sources: the same thing, as each syntax states it, the most trusted first.
pub(super) type Sources = Vec<ItemId>;

/// What pages say of themselves rather than of a thing.
const PAGE_TYPES: [&str; 6] = ["WebPage", "ItemPage", "AboutPage", "CollectionPage", "WebSite", "BreadcrumbList"];

/// The records of a page, in page order; empty if it describes nothing of the sort.
///
/// A type that markup has a word for excludes others if the schema insists on it (`x-atlas`), and hints if it is only the
/// schema's title.
pub(super) fn mains(reading: &Reading<'_>, wanted: Option<&WantedType>, wants: &[Want]) -> Vec<Sources> {
    let facts = reading.facts();
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
            Some(_) => by_coverage(facts, wants, (wants.len() * 2).div_ceil(3)),
            None => by_coverage(facts, wants, 0),
        };
    }
    let mut groups = grouped(reading, &items);
    if typed {
        for group in &mut groups {
            add_owners(facts, group);
        }
    }
    if groups.len() < 2 {
        return groups;
    }
    let scores: Vec<(usize, bool)> =
        groups.iter().map(|group| (coverage(facts, group, wants), is_main(reading, group))).collect();
    let most = scores.iter().map(|(covered, _)| *covered).max().unwrap_or(0);
    let main: Vec<usize> = (0..groups.len()).filter(|at| scores[*at].1 && scores[*at].0 * 2 >= most).collect();
    if let [only] = main.as_slice() {
        return groups.into_iter().nth(*only).into_iter().collect();
    }
    // Teasers of other things state little: what states about as much as the fullest one is a record.
    let kept = groups.into_iter().zip(scores).filter(|(_, (covered, _))| covered * 3 >= most * 2 && *covered > 0);
    kept.map(|(group, _)| group).collect()
}

/// Items that fit and are not part of another that fits: related things and variants belong to their owner.
fn outer(facts: &Facts, fits: impl Fn(&Item) -> bool) -> Vec<ItemId> {
    let inside = |item: &Item| {
        let mut parent = item.parent;
        while let Some(item) = parent.and_then(|id| facts.item(id)) {
            if fits(item) {
                return true;
            }
            parent = item.parent;
        }
        false
    };
    let all = facts.items().filter(|(_, item)| fits(item) && !item.properties.is_empty() && !inside(item));
    all.map(|(id, _)| id).collect()
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
fn by_coverage(facts: &Facts, wants: &[Want], least: usize) -> Vec<ItemId> {
    let candidates: Vec<(ItemId, usize)> = facts
        .items()
        .filter(|(_, item)| item.syntax != Syntax::Meta && !item.types.iter().any(|name| PAGE_TYPES.contains(&&**name)))
        .map(|(id, _)| (id, coverage(facts, &[id], wants)))
        .collect();
    let most = candidates.iter().map(|(_, covered)| *covered).max().unwrap_or(0);
    // One shared field, such as a name, says nothing about being the thing wanted.
    if most < 2.min(wants.len()).max(least) || most == 0 {
        return Vec::new();
    }
    let best: Vec<ItemId> =
        candidates.into_iter().filter(|(_, covered)| *covered * 3 >= most * 2).map(|(id, _)| id).collect();
    let outer_only = |id: &ItemId| {
        let mut parent = facts.item(*id).and_then(|item| item.parent);
        while let Some(above) = parent {
            if best.contains(&above) {
                return false;
            }
            parent = facts.item(above).and_then(|item| item.parent);
        }
        true
    };
    best.iter().copied().filter(outer_only).collect()
}

/// How many of the wanted fields a record's sources answer.
fn coverage(facts: &Facts, group: &[ItemId], wants: &[Want]) -> usize {
    let answers = |want: &&Want| {
        want.paths
            .iter()
            .filter_map(|path| path.first())
            .any(|first| group.iter().any(|id| facts.properties(*id).any(|(name, _)| name.eq_ignore_ascii_case(first))))
    };
    wants.iter().filter(answers).count()
}

/// Identifiers, names and sources of one thing.
type Group = (Vec<String>, Vec<String>, Sources);

/// Joins what is stated twice: same identifier, or same name.
fn grouped(reading: &Reading<'_>, items: &[ItemId]) -> Vec<Sources> {
    let facts = reading.facts();
    let key = |id: ItemId| -> (Option<String>, Option<String>) {
        let name = facts.properties(id).find_map(|(name, value)| match value {
            Value::Leaf(leaf) if name.eq_ignore_ascii_case("name") || name.eq_ignore_ascii_case("headline") => {
                Some(folded(&crate::plain::clean(facts.text(reading.page(), leaf))))
            }
            _ => None,
        });
        (facts.item(id).and_then(|item| item.id.as_deref().map(str::to_owned)), name)
    };
    let mut groups: Vec<Group> = Vec::new();
    for id in items {
        let (identifier, name) = key(*id);
        let same = groups.iter().position(|(identifiers, names, _)| {
            identifier.as_ref().is_some_and(|one| identifiers.contains(one))
                || name.as_ref().is_some_and(|one| names.contains(one))
        });
        let at = same.unwrap_or(groups.len());
        if at == groups.len() {
            groups.push((Vec::new(), Vec::new(), Vec::new()));
        }
        let group = &mut groups[at];
        group.0.extend(identifier);
        group.1.extend(name);
        group.2.push(*id);
    }
    groups.into_iter().map(|(_, _, sources)| sources).collect()
}

/// Whether the page says that this is what it is about: by `mainEntity`, by address, or by its heading.
fn is_main(reading: &Reading<'_>, group: &[ItemId]) -> bool {
    let facts = reading.facts();
    let page = reading.page();
    let text = |value: &Value| match value {
        Value::Leaf(leaf) => Some(facts.text(page, leaf)),
        Value::Item(id) => facts.item(*id).and_then(|item| item.id.as_deref()),
    };
    let meta = |wanted: &'static str| {
        facts
            .items()
            .filter(|(_, item)| item.syntax == Syntax::Meta)
            .flat_map(move |(_, item)| item.properties.iter().filter(move |(name, _)| **name == *wanted))
            .filter_map(|(_, value)| text(value))
    };
    let addresses: Vec<String> = meta(".canonical").chain(page.url().map(url::Url::as_str)).map(bare).collect();
    let headings: Vec<String> = meta(".h1").map(folded).collect();
    let title = meta(".title").map(folded).next().unwrap_or_default();
    group.iter().any(|id| {
        let Some(item) = facts.item(*id) else { return false };
        let owned = item.parent.and_then(|parent| facts.item(parent)).is_some_and(|parent| {
            parent.properties.iter().any(|(name, value)| {
                name.eq_ignore_ascii_case("mainEntity") && matches!(value, Value::Item(value) if value == id)
            })
        });
        let by_address = |value: &str| addresses.contains(&bare(value));
        owned
            || item.id.as_deref().is_some_and(by_address)
            || facts.properties(*id).any(|(name, value)| {
                let Some(value) = text(value) else { return false };
                match name.to_ascii_lowercase().as_str() {
                    "url" | "mainentityofpage" => by_address(value),
                    "name" | "headline" => {
                        let name = folded(&crate::plain::clean(value));
                        !name.is_empty() && (headings.contains(&name) || title.starts_with(&name))
                    }
                    _ => false,
                }
            })
    })
}

/// An address without scheme, fragment and closing slash.
fn bare(address: &str) -> String {
    let address = address.split('#').next().unwrap_or("");
    let address = address.strip_prefix("https:").or_else(|| address.strip_prefix("http:")).unwrap_or(address);
    address.trim_end_matches('/').to_owned()
}
