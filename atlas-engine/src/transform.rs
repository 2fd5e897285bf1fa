//! Transforms: how a text of the page becomes a typed value, by a name that evidence records.
//!
//! Making a value and checking it run the same pure function, so that a check can apply it again. Which field gets which
//! transform is decided from the schema by [`Transform::wanted`].

mod servings;

use crate::facts::local_name;
use crate::plain;
use crate::shape::{Kind, Node};
use crate::value::availability::Availability;
use crate::value::{self, Locale};
use serde_json::{Number, Value};
use std::ops::Range;

/// A named way to read a value out of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transform {
    /// The text as a reader sees it: references decoded, tags removed, blanks collapsed.
    Text,
    /// A number.
    Number,
    /// A whole number.
    Integer,
    /// The amount of a price, as a number.
    Amount,
    /// The amount of a price, as a decimal string.
    AmountText,
    /// The ISO 4217 code of a price.
    Currency,
    /// A length of time in whole minutes, rounded up.
    Minutes,
    /// A length of time in whole seconds, rounded up.
    Seconds,
    /// A length of time as ISO 8601 writes it.
    Duration,
    /// A calendar day, `YYYY-MM-DD`.
    Date,
    /// A day and time as RFC 3339 writes it.
    DateTime,
    /// An absolute address.
    Url,
    /// Yes or no.
    Boolean,
    /// Whether a thing can be had now, from a state of stock or a plain yes or no.
    InStock,
    /// A state of stock, as schema.org names it: `InStock`, `OutOfStock`.
    Availability,
    /// How much a recipe yields: `4 servings`, `24 cookies`.
    Servings,
    /// A language tag.
    Language,
    /// The last part of a vocabulary address: `https://schema.org/NewCondition` is `NewCondition`.
    Term,
}

const ALL: [(Transform, &str); 18] = [
    (Transform::Text, "text"),
    (Transform::Number, "number"),
    (Transform::Integer, "integer"),
    (Transform::Amount, "amount"),
    (Transform::AmountText, "amount-text"),
    (Transform::Currency, "currency"),
    (Transform::Minutes, "minutes"),
    (Transform::Seconds, "seconds"),
    (Transform::Duration, "duration"),
    (Transform::Date, "date"),
    (Transform::DateTime, "date-time"),
    (Transform::Url, "url"),
    (Transform::Boolean, "boolean"),
    (Transform::InStock, "in-stock"),
    (Transform::Availability, "availability"),
    (Transform::Servings, "servings"),
    (Transform::Language, "language"),
    (Transform::Term, "term"),
];

impl Transform {
    /// The name that evidence records; also the value of `kind` in the `x-atlas` keyword.
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(transform, _)| *transform == self).map_or("text", |(_, name)| name)
    }

    /// The transform of a name.
    pub fn by_name(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, known)| *known == name).map(|(transform, _)| *transform)
    }

    /// The transform that a field's schema asks for: by `x-atlas`, format, type, and the words of `name` and description.
    pub fn wanted(node: &Node, name: &str) -> Self {
        if let Some(kind) = node.hints.kind.as_deref().and_then(Self::by_name) {
            return kind;
        }
        let words = crate::strategy::words(name);
        let said = |word: &str| {
            words.iter().any(|known| known == word)
                || node
                    .description
                    .as_deref()
                    .is_some_and(|text| crate::strategy::words(text).iter().any(|known| known == word))
        };
        let named = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
        let time = named(&["time", "duration"]);
        match &node.kind {
            Kind::Integer if time || said("minutes") || said("seconds") => {
                if said("seconds") && !said("minutes") {
                    Self::Seconds
                } else {
                    Self::Minutes
                }
            }
            Kind::Number if time && (said("minutes") || said("seconds")) => {
                if said("seconds") {
                    Self::Seconds
                } else {
                    Self::Minutes
                }
            }
            Kind::Integer => Self::Integer,
            Kind::Number if named(&["price", "cost", "amount", "salary", "fee"]) => Self::Amount,
            Kind::Number => Self::Number,
            Kind::Boolean if named(&["stock", "available", "availability"]) => Self::InStock,
            Kind::Boolean => Self::Boolean,
            Kind::Text { format: Some(format) } => match format.as_str() {
                "date" => Self::Date,
                "date-time" => Self::DateTime,
                "duration" => Self::Duration,
                "uri" | "uri-reference" | "iri" | "iri-reference" => Self::Url,
                _ => Self::Text,
            },
            Kind::Text { .. } if named(&["currency"]) => Self::Currency,
            Kind::Text { .. } if named(&["availability"]) => Self::Availability,
            Kind::Text { .. } if named(&["url", "link", "href", "image", "thumbnail", "logo", "photo", "picture"]) => {
                Self::Url
            }
            Kind::Text { .. } if named(&["condition", "diet"]) => Self::Term,
            _ => Self::Text,
        }
    }

    /// The value of a text, and the bytes that gave it; the same transform of those bytes alone gives the same value.
    pub fn read(self, text: &str, locale: &Locale) -> Option<(Value, Range<usize>)> {
        let whole = || trimmed(text);
        let value = match self {
            Self::Text => string(plain::clean(text).into_owned())?,
            Self::Servings => string(servings::read(text)?)?,
            Self::Term => string(local_name(&plain::clean(text)).to_owned())?,
            Self::Language => string(language(text)?)?,
            Self::Number => {
                let found = value::number::parse(text, locale)?;
                return Some((number(&found.value.normalize().to_string())?, found.range));
            }
            Self::Integer => {
                let found = value::number::parse_integer(text, locale)?;
                return Some((Value::from(found.value), found.range));
            }
            Self::Amount | Self::AmountText => {
                let (money, range) = match value::money::parse(text, locale) {
                    Some(found) => (found.value, found.range),
                    // Of a range the lower end: what is to be paid at least.
                    None => value::money::parse_range(text, locale).map(|found| (found.value.low, found.range))?,
                };
                let spelled = money.amount.normalize().to_string();
                let value = if self == Self::Amount { number(&spelled)? } else { Value::String(spelled) };
                return Some((value, range));
            }
            Self::Currency => {
                if let Some(found) = value::money::parse_currency(text, locale) {
                    return Some((found.value.into(), found.range));
                }
                let (money, range) = match value::money::parse(text, locale) {
                    Some(found) => (found.value, found.range),
                    None => value::money::parse_range(text, locale).map(|found| (found.value.low, found.range))?,
                };
                return Some((money.currency?.into(), range));
            }
            Self::Minutes | Self::Seconds | Self::Duration => return time(self, text, locale),
            Self::Date => {
                let found = value::date::parse(text, locale)?;
                return Some((found.value.date().to_string().into(), found.range));
            }
            Self::DateTime => {
                let found = value::date::parse(text, locale)?;
                return Some((found.value.timestamp().map(|_| found.value.to_string())?.into(), found.range));
            }
            Self::Url => {
                let found = value::url::parse(text, locale)?;
                return Some((found.value.to_string().into(), found.range));
            }
            Self::Boolean => {
                let found = value::boolean::parse(text, locale)?;
                return Some((found.value.into(), found.range));
            }
            Self::InStock => {
                let Some(found) = value::availability::parse(text, locale) else {
                    return Self::Boolean.read(text, locale);
                };
                return Some((in_stock(found.value)?.into(), found.range));
            }
            Self::Availability => {
                let found = value::availability::parse(text, locale)?;
                return Some((found.value.name().into(), found.range));
            }
        };
        Some((value, whole()))
    }

    /// Whether the value is an amount of money or its currency.
    pub(crate) const fn is_money(self) -> bool {
        matches!(self, Self::Amount | Self::AmountText | Self::Currency)
    }

    /// Whether `other` may stand for what `first` says: of a yield given twice, `24 cookies` for `24`, but not
    /// `4 to 6 servings` for `4`.
    pub(crate) fn agrees(self, first: &str, other: &str) -> bool {
        let split = |text: &str| {
            let read = servings::read(text)?;
            read.split_once(' ').map(|(count, unit)| (count.to_owned(), !unit.starts_with("serving")))
        };
        let (Some((count, _)), Some((other, is_thing))) = (split(first), split(other)) else { return true };
        self != Self::Servings || servings::names_something(first) || is_thing || count == other
    }

    /// Whether a text counts servings or things: an amount of grams beside a label says how large a portion is.
    pub(crate) fn counts_servings(text: &str) -> bool {
        servings::read(text)
            .is_some_and(|read| !["gram", "milliliter"].iter().any(|unit| read.trim_end_matches('s').ends_with(unit)))
    }

    /// Whether a text is nothing but a count and what is counted: `4 persons`, `2-4 porcje`.
    pub(crate) fn is_yield(text: &str) -> bool {
        servings::is_whole(text)
    }

    /// Whether a text is a better source than most, so that it is tried first: `24 cookies` says more than `24`.
    pub(crate) fn prefers(self, text: &str) -> bool {
        match self {
            Self::Servings => servings::names_something(text),
            Self::Text => !text.trim_start().starts_with("http"),
            _ => true,
        }
    }

    /// How a page might show a value that was read from elsewhere.
    pub(crate) fn spellings(self, value: &Value) -> Vec<String> {
        let plain = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Vec::new(),
        };
        match (self, value.as_u64()) {
            (Self::Minutes, Some(minutes)) => shown_minutes(minutes),
            (Self::Seconds | Self::Duration | Self::Boolean | Self::InStock, _) => Vec::new(),
            (Self::Servings, _) => {
                plain.split(' ').next().map(|count| vec![plain.clone(), count.to_owned()]).unwrap_or_default()
            }
            (Self::Number | Self::Amount | Self::AmountText, _) => {
                let mut spellings = vec![plain.clone(), plain.replace('.', ",")];
                if let Some((whole, fraction)) = plain.split_once('.').filter(|(_, fraction)| fraction.len() == 1) {
                    spellings.push(format!("{whole}.{fraction}0"));
                    spellings.push(format!("{whole},{fraction}0"));
                }
                spellings
            }
            _ => vec![plain],
        }
    }
}

/// Whether a thing in that state can be had now; unknown for what is promised for later, which is neither.
const fn in_stock(state: Availability) -> Option<bool> {
    match state {
        Availability::InStock
        | Availability::LimitedAvailability
        | Availability::OnlineOnly
        | Availability::InStoreOnly => Some(true),
        Availability::OutOfStock | Availability::SoldOut | Availability::Discontinued => Some(false),
        _ => None,
    }
}

/// The transform of a value that a schema lists, such as `out_of_stock` for `https://schema.org/OutOfStock`.
pub(crate) const CHOICE: &str = "choice";

/// Whether a listed value is what a text says: equal but for letter case, separators and a vocabulary's address.
pub(crate) fn is_choice(choice: &Value, text: &str) -> bool {
    let simple = |text: &str| crate::evidence::folded(text).replace(['_', '-', ' '], "");
    let text = plain::clean(text);
    choice.as_str().map(simple).is_some_and(|choice| choice == simple(&text) || choice == simple(local_name(&text)))
}

/// Minutes as pages write them, hours apart and together.
fn shown_minutes(minutes: u64) -> Vec<String> {
    let mut shown: Vec<String> = ["min", " min", "m", "’"].iter().map(|unit| format!("{minutes}{unit}")).collect();
    let (hours, rest) = (minutes / 60, minutes % 60);
    if hours > 0 {
        for unit in ["h", " h", " u", " st", " hr"] {
            if rest == 0 {
                shown.push(format!("{hours}{unit}"));
            } else {
                shown.extend(["", " "].iter().map(|gap| format!("{hours}{unit}{gap}{rest}")));
            }
        }
        shown.push(format!("{hours} hour {rest}"));
        shown.push(format!("{hours} hours {rest}"));
        shown.push(format!("{hours} hr {rest}"));
        shown.push(format!("{hours} hrs {rest}"));
        shown.push(format!("{hours}:{rest:02}"));
    }
    shown
}

/// Longer than 100 days is a time stamp gone astray, not how long something takes.
const MAX_SECONDS: u64 = 100 * 24 * 3600;

fn time(transform: Transform, text: &str, locale: &Locale) -> Option<(Value, Range<usize>)> {
    let (seconds, range) = if let Some(found) = value::duration::parse(text, locale) {
        (found.value.as_secs(), found.range)
    } else {
        // A bare number where minutes are wanted is minutes: so do pages write it in their data.
        let minutes: u64 = text.trim().parse::<u32>().ok()?.into();
        (minutes * 60, trimmed(text))
    };
    if seconds > MAX_SECONDS {
        return None;
    }
    let value = match transform {
        Transform::Minutes => Value::from(seconds.div_ceil(60)),
        Transform::Seconds => Value::from(seconds),
        _ => Value::String(value::duration::to_iso8601(std::time::Duration::from_secs(seconds))),
    };
    Some((value, range))
}

/// A decimal spelling as a JSON number: whole ones without a fraction.
fn number(spelled: &str) -> Option<Value> {
    if let Ok(whole) = spelled.parse::<i64>() {
        return Some(Value::from(whole));
    }
    Number::from_f64(spelled.parse().ok()?).map(Value::Number)
}

fn string(text: String) -> Option<Value> {
    (!text.is_empty()).then_some(Value::String(text))
}

/// `en_US` and `EN-us` are `en-US`; anything that is no tag is nothing.
fn language(text: &str) -> Option<String> {
    let mut parts = text.trim().split(['-', '_']);
    let language =
        parts.next().filter(|part| (2..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphabetic()))?;
    let mut tag = language.to_ascii_lowercase();
    for part in parts.take(3) {
        if part.is_empty() || part.len() > 8 || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return None;
        }
        tag.push('-');
        tag.push_str(&if part.len() == 2 { part.to_ascii_uppercase() } else { part.to_owned() });
    }
    Some(tag)
}

/// The text without outer blanks.
fn trimmed(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..text.trim_end().len().max(start)
}
