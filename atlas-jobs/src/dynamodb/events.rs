//! Where a job's events stand: the latest in the job's own item, one attribute each, older ones in items beside it.
//!
//! A transition so writes one item. What the job's item has is always the end of its history, without a gap: a
//! transition that would make it too many or too large moves the oldest out, in the same transaction. An event is kept without
//! what the job's record says anyway.

use super::error::corrupt;
use super::item::{Item, Reader, keyed, text};
use super::keys;
use crate::error::StoreError;
use atlas_schema::{AuditEvent, JobRecord};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most events of a job's item. The plain life of a job has three.
const MOST: usize = 8;
/// The most bytes of them: the item is read and paid for as a whole with each transition.
const BYTES: usize = 4096;

/// The attribute of an event in an item of its own.
const BRIEF: &str = "brief";

/// The end of a job's history: texts by version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Latest(BTreeMap<u64, String>);

impl Latest {
    pub(super) fn read(item: &Item, reader: &Reader<'_>) -> Result<Self, StoreError> {
        let mut latest = BTreeMap::new();
        for (name, value) in item {
            if let Some(version) = name.strip_prefix('e').and_then(|version| version.parse().ok()) {
                latest.insert(version, value.as_s().map_err(|_| reader.bad())?.clone());
            }
        }
        Ok(Self(latest))
    }

    pub(super) fn write(&self, item: &mut Item) {
        item.extend(self.0.iter().map(|(version, brief)| (format!("e{version}"), text(brief))));
    }

    /// Adds an event. Gives what has no more room, as items.
    pub(super) fn push(
        &mut self,
        event: &AuditEvent,
        incarnation: &str,
        operation: &'static str,
    ) -> Result<Vec<Item>, StoreError> {
        self.0.insert(event.version, shorten(event, operation)?);
        let mut moved = Vec::new();
        while self.0.len() > MOST || self.0.values().map(String::len).sum::<usize>() > BYTES {
            let Some((version, brief)) = self.0.pop_first() else { break };
            let mut item = keyed(keys::event(event.job, incarnation, version));
            item.insert(BRIEF.into(), text(brief));
            moved.push(item);
        }
        Ok(moved)
    }

    /// The first version that is here; those before it have items of their own.
    pub(super) fn first(&self) -> Option<u64> {
        self.0.keys().next().copied()
    }

    /// The events behind version `after`, at most so many.
    pub(super) fn after(
        &self,
        after: u64,
        limit: usize,
        record: &JobRecord<()>,
        operation: &'static str,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let behind = self.0.range(after.saturating_add(1)..).take(limit);
        behind.map(|(version, brief)| lengthen(brief, *version, record, operation)).collect()
    }
}

/// An event from an item of its own.
pub(super) fn from_item(
    item: &Item,
    record: &JobRecord<()>,
    operation: &'static str,
) -> Result<AuditEvent, StoreError> {
    let reader = Reader::new(item, operation);
    let version = reader.text(keys::SK)?.rsplit('#').next().and_then(|version| version.parse().ok());
    lengthen(reader.text(BRIEF)?, version.ok_or_else(|| reader.bad())?, record, operation)
}

/// What an event has of the job: its id, its version, which the name tells, and its correlation id.
const OF_JOB: [&str; 3] = ["job", "version", "correlationId"];

fn shorten(event: &AuditEvent, operation: &'static str) -> Result<String, StoreError> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(event) else {
        return Err(corrupt(operation, "the event is no JSON object"));
    };
    fields.retain(|name, _| !OF_JOB.contains(&name.as_str()));
    Ok(Value::Object(fields).to_string())
}

fn lengthen(
    brief: &str,
    version: u64,
    record: &JobRecord<()>,
    operation: &'static str,
) -> Result<AuditEvent, StoreError> {
    let read = || {
        let mut fields: Map<String, Value> = serde_json::from_str(brief)?;
        let own = [serde_json::to_value(record.id)?, version.into(), serde_json::to_value(&record.correlation_id)?];
        fields.extend(OF_JOB.map(ToOwned::to_owned).into_iter().zip(own));
        serde_json::from_value(Value::Object(fields))
    };
    read().map_err(|_: serde_json::Error| corrupt(operation, "a stored event can't be read").in_one_row())
}
