//! Between items and records.

use super::error::corrupt;
use super::events::Latest;
use super::keys::{self, Key};
use crate::error::StoreError;
use atlas_schema::{JobId, JobRecord, JobStatus, Timestamp};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::str::FromStr;

pub(super) type Item = HashMap<String, AttributeValue>;

/// A text attribute.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number attribute.
#[expect(clippy::needless_pass_by_value, reason = "numbers are copied")]
pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// An item that has its key and nothing else yet.
pub(super) fn keyed(key: Key) -> Item {
    HashMap::from([(keys::PK.into(), text(key.0)), (keys::SK.into(), text(key.1))])
}

/// Reads attributes and says which operation failed if one holds nonsense.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    item: &'a Item,
    operation: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(item: &'a Item, operation: &'static str) -> Self {
        Self { item, operation }
    }

    pub(super) fn maybe_text(&self, name: &str) -> Result<Option<&'a str>, StoreError> {
        self.item.get(name).map(|value| value.as_s().map(String::as_str).map_err(|_| self.bad())).transpose()
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, StoreError> {
        self.maybe_text(name)?.ok_or_else(|| self.bad())
    }

    pub(super) fn parsed<T: FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.text(name)?.parse().map_err(|_| self.bad())
    }

    pub(super) fn maybe_number<T: FromStr>(&self, name: &str) -> Result<Option<T>, StoreError> {
        let Some(value) = self.item.get(name) else { return Ok(None) };
        value.as_n().ok().and_then(|n| n.parse().ok()).map(Some).ok_or_else(|| self.bad())
    }

    pub(super) fn number<T: FromStr>(&self, name: &str) -> Result<T, StoreError> {
        self.maybe_number(name)?.ok_or_else(|| self.bad())
    }

    pub(super) fn maybe_time(&self, name: &str) -> Result<Option<Timestamp>, StoreError> {
        self.maybe_number(name)?.map(Timestamp::from_millis).transpose().map_err(|_| self.bad())
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.item.get(name), Some(AttributeValue::Bool(true)))
    }

    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.text(name)?).map_err(|_| self.bad())
    }

    pub(super) fn bad(&self) -> StoreError {
        corrupt(self.operation, "a stored item is not one that this release writes").in_one_row()
    }
}

/// Where a payload or a result is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the job's own item, as JSON.
    Inline(String),
    /// In an item beside it.
    Item,
    /// In the artifact store, under this name.
    Artifact(String),
}

impl Place {
    fn write(&self, part: &str, item: &mut Item) {
        match self {
            Self::Inline(json) => item.insert(format!("{part}_json"), text(json)),
            Self::Item => item.insert(format!("{part}_item"), AttributeValue::Bool(true)),
            Self::Artifact(name) => item.insert(format!("{part}_at"), text(name)),
        };
    }

    fn read(part: &str, item: &Reader<'_>) -> Result<Option<Self>, StoreError> {
        if let Some(json) = item.maybe_text(&format!("{part}_json"))? {
            return Ok(Some(Self::Inline(json.into())));
        }
        if let Some(name) = item.maybe_text(&format!("{part}_at"))? {
            return Ok(Some(Self::Artifact(name.into())));
        }
        Ok(item.flag(&format!("{part}_item")).then_some(Self::Item))
    }
}

/// A job as its item has it.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// Without payload and result.
    pub(super) record: JobRecord<()>,
    /// Random, and new whenever an id is used again: what belongs to one job is never taken for another's.
    pub(super) incarnation: String,
    pub(super) payload: Place,
    pub(super) result: Option<Place>,
    pub(super) events: Latest,
    /// It runs and counts against the limit of its queue.
    pub(super) slot: bool,
}

impl Stored {
    pub(super) fn read(item: &Item, operation: &'static str) -> Result<Self, StoreError> {
        let reader = Reader::new(item, operation);
        let mut record: JobRecord<()> = reader.json("rec")?;
        record.progress = reader.maybe_text("prog")?.map(|_| reader.json("prog")).transpose()?;
        Ok(Self {
            record,
            incarnation: reader.text("inc")?.into(),
            payload: Place::read("payload", &reader)?.ok_or_else(|| reader.bad())?,
            result: Place::read("result", &reader)?,
            events: Latest::read(item, &reader)?,
            slot: reader.flag("slot"),
        })
    }

    pub(super) const fn id(&self) -> JobId {
        self.record.id
    }

    /// Everything that changes with a transition, save for the progress.
    fn state(&self, shards: Shards, operation: &'static str) -> Result<Item, StoreError> {
        let record = JobRecord { progress: None, result: None, ..self.record.clone() };
        let json = serde_json::to_string(&record).map_err(|_| corrupt(operation, "the record is no JSON"))?;
        let mut item = HashMap::from([
            ("rec".to_owned(), text(json)),
            ("ver".to_owned(), number(self.record.version)),
            ("epoch".to_owned(), number(self.record.epoch)),
            ("stat".to_owned(), text(self.record.status.as_str())),
        ]);
        if let Some(result) = &self.result {
            result.write("result", &mut item);
        }
        if self.slot {
            item.insert("slot".into(), AttributeValue::Bool(true));
        }
        self.events.write(&mut item);
        let mut index = |pk: &str, sk: &str, key: Key| {
            item.insert(pk.into(), text(key.0));
            item.insert(sk.into(), text(key.1));
        };
        if let Some(key) = first_index(&self.record, shards) {
            index(keys::G1P, keys::G1S, key);
        }
        if let Some(key) = second_index(&self.record, shards) {
            index(keys::G2P, keys::G2S, key);
        }
        Ok(item)
    }

    /// The whole item of a new job.
    pub(super) fn item(&self, shards: Shards, operation: &'static str) -> Result<Item, StoreError> {
        let mut item = self.state(shards, operation)?;
        item.extend(keyed(keys::job(self.record.id)));
        item.insert("inc".into(), text(&self.incarnation));
        self.payload.write("payload", &mut item);
        if let Some(progress) = &self.record.progress {
            let json = serde_json::to_string(progress).map_err(|_| corrupt(operation, "the progress is no JSON"))?;
            item.insert("prog".into(), text(json));
        }
        Ok(item)
    }

    /// What to set and what to remove, so that the item of `before` becomes this one's; and the bytes of the old record.
    pub(super) fn change(
        &self,
        before: &Self,
        shards: Shards,
        operation: &'static str,
    ) -> Result<(Item, Vec<String>, usize), StoreError> {
        let mut old = before.state(shards, operation)?;
        let bytes = old.get("rec").and_then(|record| record.as_s().ok()).map_or(0, String::len);
        let mut set = self.state(shards, operation)?;
        let mut remove: Vec<String> = old.keys().filter(|name| !set.contains_key(*name)).cloned().collect();
        // A heartbeat writes the progress without a new version, perhaps after `before` was read: it is left alone
        // by all transitions but those that clear it.
        let (then, now) = (&before.record, &self.record);
        if now.status == JobStatus::Pending || now.epoch != then.epoch {
            remove.push("prog".into());
        }
        // An update may name no key of an index that stays what it is: it would cost a write of the index.
        set.retain(|name, value| old.remove(name).as_ref() != Some(value));
        Ok((set, remove, bytes))
    }
}

/// How many partitions things are spread over, as pinned when the table was first used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shards {
    /// Of the ready jobs of one queue and kind.
    pub(super) ready: u16,
    /// Of everything else.
    pub(super) spread: u16,
    /// How many writers of counters stay out of each other's way.
    pub(super) lanes: u16,
}

fn first_index(record: &JobRecord<()>, shards: Shards) -> Option<Key> {
    let id = record.id;
    match (record.status, record.finished_at) {
        (JobStatus::Pending, _) => {
            let shard = keys::shard(id.as_bytes(), shards.ready);
            Some((keys::ready(&record.queue, &record.kind, shard), keys::ready_place(record)))
        }
        (status, Some(at)) => {
            let shard = keys::shard(id.as_bytes(), shards.spread);
            Some((keys::ended(status, shard), keys::ended_place(at, id)))
        }
        _ => None,
    }
}

fn second_index(record: &JobRecord<()>, shards: Shards) -> Option<Key> {
    if record.status.is_terminal() {
        return None;
    }
    let cancel = record.cancel_requested.as_ref().map(|cancel| cancel.acknowledge_by);
    let at = record.deadline.into_iter().chain(cancel).min()?;
    Some((keys::due(keys::shard(record.id.as_bytes(), shards.spread)), keys::due_place(at, record.id)))
}
