//! Between items and what the rules know.

use super::error::{BACKEND, corrupt};
use crate::ledger::error::LedgerError;
use crate::ledger::hold::{Hold, HoldId, HoldState};
use crate::ledger::scope::{Balance, Month};
use crate::ledger::stored::{StoredHold, counted, number as state_number};
use atlas_schema::{Timestamp, Usd};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;
use std::str::FromStr;

pub(super) type Item = HashMap<String, AttributeValue>;

/// The key of the table, and those of its indexes.
pub(super) const PK: &str = "pk";
pub(super) const OPEN: (&str, &str, &str) = ("atlas-1", "g1p", "g1s");
pub(super) const MONTHS: (&str, &str, &str) = ("atlas-2", "g2p", "g2s");
/// The item that says whose table it is.
pub(super) const META: &str = "META";

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<i64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(super) fn hold_key(id: HoldId) -> String {
    format!("H#{id}")
}

pub(super) fn scope_key(scope: &str) -> String {
    format!("S#{scope}")
}

/// Over how many partitions an index is spread, as the table's own item says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spread(pub(super) u8);

impl Spread {
    fn shard(self, id: HoldId) -> u8 {
        id.as_bytes()[15] % self.0.max(1)
    }

    pub(super) fn shards(self) -> std::ops::Range<u8> {
        0..self.0.max(1)
    }

    /// Where an open hold stands in the index of those; `None` if it is not open.
    pub(super) fn open(self, hold: &Hold) -> Option<(String, String)> {
        let partition = open_partition(hold.state, self.shard(hold.id))?;
        Some((partition, format!("{:015}#{}", hold.expires_at.as_millis(), hold.id)))
    }
}

/// The partition of open holds in a state.
pub(super) fn open_partition(state: HoldState, shard: u8) -> Option<String> {
    match state {
        HoldState::Held => Some(format!("U#{shard}")),
        HoldState::Sent => Some(format!("O#{shard}")),
        HoldState::Settled | HoldState::Released => None,
    }
}

pub(super) fn month_partition(month: Month, shard: u8) -> String {
    format!("M#{month}#{shard}")
}

/// After every hold that expires at `now` or before, and before all others.
pub(super) fn due_until(now: Timestamp) -> String {
    format!("{:015}$", now.as_millis())
}

pub(super) fn text_of<'a>(item: &'a Item, name: &str, operation: &'static str) -> Result<&'a str, LedgerError> {
    maybe_text(item, name, operation)?.ok_or_else(|| corrupt(operation))
}

fn maybe_text<'a>(item: &'a Item, name: &str, operation: &'static str) -> Result<Option<&'a str>, LedgerError> {
    item.get(name).map(|value| value.as_s().map(String::as_str).map_err(|_| corrupt(operation))).transpose()
}

pub(super) fn maybe_number<T: FromStr>(
    item: &Item,
    name: &str,
    operation: &'static str,
) -> Result<Option<T>, LedgerError> {
    let Some(value) = item.get(name) else { return Ok(None) };
    value.as_n().ok().and_then(|n| n.parse().ok()).map(Some).ok_or_else(|| corrupt(operation))
}

pub(super) fn number_of<T: FromStr>(item: &Item, name: &str, operation: &'static str) -> Result<T, LedgerError> {
    maybe_number(item, name, operation)?.ok_or_else(|| corrupt(operation))
}

/// The id in a key such as `H#0123…`.
pub(super) fn id_of(item: &Item, operation: &'static str) -> Result<HoldId, LedgerError> {
    let hex = text_of(item, PK, operation)?.strip_prefix("H#").filter(|hex| hex.len() == 32);
    let bits = hex.and_then(|hex| u128::from_str_radix(hex, 16).ok()).ok_or_else(|| corrupt(operation))?;
    Ok(HoldId::from_bytes(bits.to_be_bytes()))
}

pub(super) fn hold(item: &Item, operation: &'static str) -> Result<Hold, LedgerError> {
    let owned = |name| maybe_text(item, name, operation).map(|text| text.map(str::to_owned));
    let stored = StoredHold {
        id: *id_of(item, operation)?.as_bytes(),
        month: number_of(item, "month", operation)?,
        scopes: text_of(item, "scopes", operation)?.to_owned(),
        amount: number_of(item, "amount", operation)?,
        state: number_of(item, "state", operation)?,
        cost: number_of(item, "cost", operation)?,
        created_at: number_of(item, "created_at", operation)?,
        expires_at: number_of(item, "expires_at", operation)?,
        // An item of an index may hold no empty text, so there is none in the table.
        model: owned("model")?.unwrap_or_default(),
        strategy: owned("strategy")?,
        correlation_id: owned("correlation_id")?,
    };
    stored.check(BACKEND, operation)
}

/// The item of a new hold.
pub(super) fn of_hold(hold: &Hold, spread: Spread, operation: &'static str) -> Result<Item, LedgerError> {
    let stored = StoredHold::of(hold, BACKEND, operation)?;
    let mut item = HashMap::from([
        (PK.into(), text(hold_key(hold.id))),
        ("month".into(), number(stored.month)),
        ("scopes".into(), text(stored.scopes)),
        ("amount".into(), number(stored.amount)),
        ("state".into(), number(stored.state)),
        ("cost".into(), number(stored.cost)),
        ("created_at".into(), number(stored.created_at)),
        ("expires_at".into(), number(stored.expires_at)),
        (MONTHS.1.into(), text(month_partition(hold.month, spread.shard(hold.id)))),
        (MONTHS.2.into(), text(hold.id.to_string())),
    ]);
    let texts =
        [("model", Some(stored.model)), ("strategy", stored.strategy), ("correlation_id", stored.correlation_id)];
    for (name, value) in texts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            item.insert(name.into(), text(value));
        }
    }
    if let Some((partition, place)) = spread.open(hold) {
        item.insert(OPEN.1.into(), text(partition));
        item.insert(OPEN.2.into(), text(place));
    }
    Ok(item)
}

/// The state as it is compared and written.
pub(super) fn state(state: HoldState) -> AttributeValue {
    number(state_number(state))
}

/// The names of what a scope's item says of a month.
pub(super) fn month_names(month: Month) -> [String; 3] {
    ["h", "s", "a"].map(|what| format!("{what}{}", month.as_number()))
}

/// What a scope's item says of a month; all zero without an item.
pub(super) fn balance(item: Option<&Item>, month: Month, operation: &'static str) -> Result<Balance, LedgerError> {
    let Some(item) = item else { return Ok(Balance::default()) };
    let [held, settled, alerted] = month_names(month);
    let money = |name: &str| maybe_number(item, name, operation)?.map(|n| counted(n, BACKEND, operation)).transpose();
    Ok(Balance {
        limit: maybe_number(item, "cap", operation)?.map(Usd::from_nanos),
        held: money(&held)?.unwrap_or(Usd::ZERO),
        settled: money(&settled)?.unwrap_or(Usd::ZERO),
        alerted: maybe_number(item, &alerted, operation)?.unwrap_or(0),
    })
}
