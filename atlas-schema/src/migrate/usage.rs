//! The metadata of a result: what has a typed home goes there, the rest to the side record.

use super::note::NoteCode;
use super::number;
use super::source::{Source, Trace};
use crate::id::StrategyName;
use crate::money::Usd;
use crate::result::{Cost, ExtractionResult, Timings, Usage};
use serde_json::{Number, Value};

/// `processingMethod` (or `strategy`), `modelUsed` (or `model`), `processingTime`, `pagesProcessed`, `totalItems`, `cost`.
pub(super) fn metadata(result: &mut ExtractionResult, mut source: Source, trace: &mut Trace) {
    for key in ["processingMethod", "strategy"] {
        if result.strategy.is_none()
            && let Some(name) = source.text(key).and_then(|text| StrategyName::new(text).ok())
        {
            source.take(key);
            result.strategy = Some(name);
        }
    }
    for key in ["modelUsed", "model"] {
        let fits = |text: &&str| !text.is_empty() && text.chars().nth(128).is_none();
        if result.model.is_none()
            && let Some(name) = source.text(key).filter(fits).map(str::to_owned)
        {
            source.take(key);
            result.model = Some(name);
        }
    }
    if let Some(total_ms) = count(&source, "processingTime") {
        source.take("processingTime");
        result.timings = Some(Timings { total_ms, ..Default::default() });
    }
    if let Some(pages) = count(&source, "pagesProcessed").and_then(|pages| u32::try_from(pages).ok()) {
        source.take("pagesProcessed");
        result.usage = Some(Usage { pages, ..Default::default() });
    }
    if count(&source, "totalItems") == u64::try_from(result.data.len()).ok() {
        source.take("totalItems");
        trace.note(NoteCode::Redundant, source.pointer("totalItems"));
    }
    cost(result, &mut source, trace);
    source.keep_rest(trace);
}

fn count(source: &Source, key: &str) -> Option<u64> {
    const EXACT: u64 = 9_007_199_254_740_991;
    let number = source.get(key)?.as_number()?;
    number::whole(number).and_then(|n| u64::try_from(n).ok()).filter(|n| *n <= EXACT)
}

/// A bare number is what it cost. In an object: `estimated`, and `actual` or `total`, in dollars.
fn cost(result: &mut ExtractionResult, metadata: &mut Source, trace: &mut Trace) {
    let pointer = metadata.pointer("cost");
    let mut cost = Cost::default();
    match metadata.take("cost") {
        None => return,
        Some(Value::Number(number)) => {
            cost.settled = amount(&number, || pointer.clone(), trace);
            match cost.settled {
                Some(_) => trace.note(NoteCode::MoneyFromNumber, pointer),
                None => trace.unreadable(pointer, Value::Number(number)),
            }
        }
        Some(Value::Object(map)) => {
            let mut source = Source::new(pointer, map);
            if source.get("currency").is_none_or(|currency| currency == "USD") {
                if source.take("currency").is_some() {
                    trace.note(NoteCode::Redundant, source.pointer("currency"));
                }
                cost.estimated = take_amount(&mut source, "estimated", trace);
                cost.settled =
                    take_amount(&mut source, "actual", trace).or_else(|| take_amount(&mut source, "total", trace));
            }
            source.keep_rest(trace);
        }
        Some(other) => trace.unreadable(pointer, other),
    }
    if cost != Cost::default() {
        result.cost = Some(cost);
    }
}

fn take_amount(source: &mut Source, key: &str, trace: &mut Trace) -> Option<Usd> {
    let number = source.get(key)?.as_number()?.clone();
    let usd = amount(&number, || source.pointer(key), trace)?;
    source.take(key);
    trace.note(NoteCode::MoneyFromNumber, source.pointer(key));
    Some(usd)
}

/// Dollars, by the number's shortest decimal spelling, which is what was written; past nine decimals rounded up.
fn amount(number: &Number, pointer: impl Fn() -> crate::JsonPointer, trace: &mut Trace) -> Option<Usd> {
    let text = number.to_string();
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text.as_str(), 0),
    };
    let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let value: i128 = format!("{whole}{part}").parse().ok()?;
    // nanos = value × 10^(exponent − decimals + 9)
    let shift = exponent.checked_sub(i32::try_from(part.len()).ok()?)?.checked_add(9)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    let nanos = match (shift < 0, power) {
        (false, power) => value.checked_mul(power?)?,
        (true, Some(power)) if value % power == 0 => value / power,
        (true, power) => {
            trace.note_kept(NoteCode::MoneyRounded, pointer(), Value::Number(number.clone()));
            power.map_or(0, |power| value / power) + 1
        }
    };
    let signed = if mantissa.starts_with('-') { -nanos } else { nanos };
    i64::try_from(signed).ok().map(Usd::from_nanos)
}
