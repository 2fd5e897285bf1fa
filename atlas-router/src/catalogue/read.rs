//! From the file to rows: every field checked, every fault told.

use super::day::Day;
use super::error::CatalogueFault;
use super::model::{Around, Effort, Encoding, LongContext, Model, ModelId, PriceSource, Prices, Provider, Structured};
use super::price::{Factor, Rate, decimal};
use super::raw::{RawAround, RawLong, RawModel, RawPrice};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Value;

const NAME: &str = "must be 1 to 64 of the characters a-z, 0-9, '.', '-', '_', ':' and '/'";
const PRICE: &str = "must be a decimal string of dollars per million tokens, such as \"0.125\", at most \"100000\"";
const FACTOR: &str =
    "must be a decimal string above zero with at most three decimals, such as \"1.75\", at most \"100\"";
const FEE: &str = "must be a decimal string of dollars, such as \"0.01\", with at most nine decimals";
const COUNT: &str = "must be a whole number of tokens from 1 to 100000000";
const DAY: &str = "must be a day such as \"2026-12-11\", as a string";
const TEXT: &str = "must be a text of 1 to 64 characters";
/// No window is larger, and sums over it stay far from overflow.
const MOST_TOKENS: i64 = 100_000_000;

/// Reads one row, or notes why it is none.
pub(super) fn model(
    raw: RawModel,
    at: usize,
    sources: &BTreeMap<String, String>,
    faults: &mut Vec<CatalogueFault>,
) -> Option<Model> {
    let name = match &raw.id {
        Some(Value::String(id)) if is_name(id) => id.clone(),
        _ => {
            faults.push(CatalogueFault { place: format!("model number {}, id", at + 1), rule: NAME });
            return None;
        }
    };
    let before = faults.len();
    let mut row = Row { place: format!("model {name}"), faults };
    let provider = row.need("provider", raw.provider, NAME, |text| is_name(text).then(|| Provider::new(text)));
    let family = row.need("family", raw.family, TEXT, |text| is_text(text).then(|| text.to_owned()));
    let encodings = "must be o200k_base, cl100k_base or bytes";
    let encoding = row.may("encoding", raw.encoding, encodings, known::<Encoding>).unwrap_or(Encoding::Bytes);
    let encoding_margin = row.may("encoding_margin", raw.encoding_margin, FACTOR, Factor::read);
    if encoding_margin.is_some_and(|margin| margin < Factor::ONE) {
        row.fault("encoding_margin", "must be at least \"1\": a bound never counts fewer tokens than are there");
    }
    let around = raw.around.map_or_else(|| Some(Around::default()), |around| row.around(&around));
    let max_input = row.count("max_input", raw.max_input.as_ref());
    let max_output = row.count("max_output", raw.max_output.as_ref());
    let efforts = row.efforts(&raw.efforts);
    let is_effort = "must be one of the model's efforts";
    let default_effort = row.may("default_effort", raw.default_effort, is_effort, |text| {
        known(text).filter(|effort| efforts.contains(effort))
    });
    if default_effort.is_none() && !efforts.is_empty() {
        row.fault("default_effort", "must say which effort a request has that names none");
    }
    let forms = "must be none, json_object or json_schema";
    let structured = row.may("structured", raw.structured, forms, known::<Structured>).unwrap_or_default();
    let priced = row.price(raw.price, sources);
    let long = raw.long.and_then(|long| row.long(long));
    let service_tiers = row.tiers(raw.service_tiers);
    let regional = row.may("regional", raw.regional, FACTOR, Factor::read);
    let web_search = row.may("web_search", raw.web_search, FEE, |text| decimal(text, 9));
    let shutdown = row.may("shutdown", raw.shutdown, DAY, |text| text.parse::<Day>().ok());
    let successor = row.may("successor", raw.successor, NAME, |text| is_name(text).then(|| ModelId::new(text)));
    if faults.len() > before {
        return None;
    }
    let (prices, source) = priced?;
    Some(Model {
        id: ModelId::new(name),
        provider: provider?,
        family: family?,
        encoding,
        encoding_margin,
        around: around?,
        max_input: max_input?,
        max_output: max_output?,
        efforts,
        default_effort,
        structured,
        prices,
        source,
        long,
        service_tiers,
        regional,
        web_search,
        shutdown,
        successor,
    })
}

pub(super) fn is_name(text: &str) -> bool {
    let known = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b".-_:/".contains(&c);
    (1..=64).contains(&text.len()) && text.bytes().all(known)
}

fn is_text(text: &str) -> bool {
    (1..=64).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The variant of that name.
fn known<T: for<'de> Deserialize<'de>>(text: &str) -> Option<T> {
    let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        serde::de::IntoDeserializer::into_deserializer(text);
    T::deserialize(name).ok()
}

struct Row<'a> {
    place: String,
    faults: &'a mut Vec<CatalogueFault>,
}

impl Row<'_> {
    fn fault(&mut self, field: &str, rule: &'static str) {
        self.faults.push(CatalogueFault { place: format!("{}, {field}", self.place), rule });
    }

    /// A field that may be absent.
    fn may<T>(
        &mut self,
        field: &str,
        value: Option<Value>,
        rule: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let found = match &value? {
            Value::String(text) => read(text),
            _ => None,
        };
        if found.is_none() {
            self.fault(field, rule);
        }
        found
    }

    /// A field that may not be absent.
    fn need<T>(
        &mut self,
        field: &str,
        value: Option<Value>,
        rule: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        if value.is_none() {
            self.fault(field, rule);
        }
        self.may(field, value, rule, read)
    }

    fn count(&mut self, field: &str, value: Option<&Value>) -> Option<u64> {
        let found = match value {
            Some(Value::Integer(count)) if (1..=MOST_TOKENS).contains(count) => u64::try_from(*count).ok(),
            _ => None,
        };
        if found.is_none() {
            self.fault(field, COUNT);
        }
        found
    }

    fn around(&mut self, around: &RawAround) -> Option<Around> {
        let prompt = self.count("around.prompt", around.prompt.as_ref());
        let message = self.count("around.message", around.message.as_ref());
        Some(Around { prompt: prompt?, message: message? })
    }

    fn efforts(&mut self, names: &[String]) -> Vec<Effort> {
        let efforts: Vec<Effort> = names.iter().filter_map(|name| known(name)).collect();
        if efforts.len() != names.len() || !efforts.is_sorted_by(|one, two| one < two) {
            self.fault("efforts", "must be some of none, minimal, low, medium, high, xhigh, max, in this order");
        }
        efforts
    }

    fn price(&mut self, price: Option<RawPrice>, sources: &BTreeMap<String, String>) -> Option<(Prices, PriceSource)> {
        let Some(price) = price else {
            self.fault("price", "must hold input, output, source and day");
            return None;
        };
        let input = self.need("price.input", price.input, PRICE, Rate::per_million);
        let cached = self.may("price.cached", price.cached, PRICE, Rate::per_million);
        let write = self.may("price.cache_write", price.cache_write, PRICE, Rate::per_million);
        let long = self.may("price.cache_write_long", price.cache_write_long, PRICE, Rate::per_million);
        let output = self.need("price.output", price.output, PRICE, Rate::per_million);
        let named = "must be one of the names of [sources]";
        let url = self.need("price.source", price.source, named, |name| sources.get(name).cloned());
        let day = self.need("price.day", price.day, DAY, |text| text.parse().ok());
        let (input, output) = (input?, output?);
        let cache_write = write.unwrap_or(input);
        let cache_write_long = long.unwrap_or(cache_write);
        let prices = Prices { input, cached: cached.unwrap_or(input), cache_write, cache_write_long, output };
        Some((prices, PriceSource { url: url?, day: day? }))
    }

    fn long(&mut self, long: RawLong) -> Option<LongContext> {
        let above = self.count("long.above", long.above.as_ref());
        let input = self.need("long.input", long.input, FACTOR, Factor::read);
        let output = self.need("long.output", long.output, FACTOR, Factor::read);
        Some(LongContext { above: above?, input: input?, output: output? })
    }

    fn tiers(&mut self, tiers: BTreeMap<String, Value>) -> BTreeMap<String, Factor> {
        let mut read = BTreeMap::new();
        for (name, value) in tiers {
            let field = format!("service_tiers.{name}");
            if name == "default" || name == "auto" || !is_name(&name) {
                self.fault(&field, "must be a tier's name; default and auto need no factor");
            } else if let Some(factor) = self.may(&field, Some(value), FACTOR, Factor::read) {
                read.insert(name, factor);
            }
        }
        read
    }
}
