//! The whole change of one job, as items of a transaction.

use super::item::{Item, Stored, number, text};
use super::keys::{self, Key};
use super::leases::Lease;
use crate::store::Count;
use atlas_schema::{JobRecord, JobStatus, QueueName};
use aws_sdk_dynamodb::types::builders::{ConditionCheckBuilder, DeleteBuilder, PutBuilder, UpdateBuilder};
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure as OnFailure, TransactWriteItem,
    Update,
};
use std::time::Duration;

/// The whole change of one job.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) items: Vec<TransactWriteItem>,
    pub(super) counts: Vec<(Group, Delta)>,
    /// A limited queue, and by how much its number of running jobs changes.
    pub(super) slot: Option<(QueueName, i64)>,
    /// The lease that begins: the request lists it.
    pub(super) begins: Option<Lease>,
    /// The lease that ends.
    pub(super) ends: Option<Lease>,
    pub(super) bytes: usize,
}

/// Whose counter: queue, kind and tenant.
pub(super) type Group = String;

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delta {
    jobs: [i64; 6],
    millis: [i64; 6],
}

impl Change {
    pub(super) fn put(&mut self, item: Item) {
        self.push_put(item, Put::builder());
    }

    /// Puts an item where there is none.
    pub(super) fn put_new(&mut self, item: Item) {
        self.push_put(item, Put::builder().condition_expression("attribute_not_exists(pk)"));
    }

    fn push_put(&mut self, item: Item, put: PutBuilder) {
        self.bytes += weight(&item);
        let put = put.set_item(Some(item)).return_values_on_condition_check_failure(OnFailure::AllOld);
        // The table's name is set when the request is built.
        self.items.extend(put.table_name("").build().ok().map(|put| TransactWriteItem::builder().put(put).build()));
    }

    pub(super) fn delete(&mut self, key: Key) {
        self.push_delete(key, Delete::builder());
    }

    /// Deletes the item of a job as long as it is this version of it.
    pub(super) fn delete_job(&mut self, key: Key, version: u64, incarnation: &str) {
        let delete = Delete::builder().condition_expression("ver = :was and inc = :inc");
        let delete = delete.expression_attribute_values(":was", number(version));
        self.push_delete(key, delete.expression_attribute_values(":inc", text(incarnation)));
    }

    fn push_delete(&mut self, key: Key, delete: DeleteBuilder) {
        self.bytes += key.0.len() + key.1.len();
        let delete = delete.key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
        let delete = delete.return_values_on_condition_check_failure(OnFailure::AllOld).table_name("").build();
        self.items.extend(delete.ok().map(|delete| TransactWriteItem::builder().delete(delete).build()));
    }

    /// Changes the item of a job as long as it is this version of it. One that was not read is to have a record of so
    /// many bytes: what was damaged meanwhile is not written over.
    pub(super) fn update_job(&mut self, before: &Stored, set: Item, remove: &[String], unread: Option<usize>) {
        let key = keys::job(before.id());
        self.bytes += weight(&set) + key.0.len();
        let mut assignments = Vec::new();
        let mut update = Update::builder().key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
        for (name, value) in set {
            assignments.push(format!("{name} = :{name}"));
            update = update.expression_attribute_values(format!(":{name}"), value);
        }
        let mut expression = format!("SET {}", assignments.join(", "));
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        let mut condition = "ver = :was and inc = :inc".to_owned();
        if let Some(bytes) = unread {
            condition.push_str(" and size(rec) = :bytes");
            update = update.expression_attribute_values(":bytes", number(bytes));
        }
        let update = update
            .update_expression(expression)
            .condition_expression(condition)
            .expression_attribute_values(":was", number(before.record.version))
            .expression_attribute_values(":inc", text(&before.incarnation));
        self.push_update(update);
    }

    fn push_update(&mut self, update: UpdateBuilder) {
        let update = update.return_values_on_condition_check_failure(OnFailure::AllOld).table_name("").build();
        self.items.extend(update.ok().map(|update| TransactWriteItem::builder().update(update).build()));
    }

    /// Counts a job out of the place it had and into the one it has.
    pub(super) fn count(&mut self, before: Option<&JobRecord<()>>, after: Option<&JobRecord<()>>) {
        let mut delta = Delta::default();
        let mut add = |record: &JobRecord<()>, by: i64| {
            let place = place(record.status);
            let millis = i64::try_from(Count::processing_of(record).as_millis()).unwrap_or(i64::MAX);
            delta.jobs[place] += by;
            delta.millis[place] += by * millis;
        };
        if let Some(record) = before {
            add(record, -1);
        }
        if let Some(record) = after {
            add(record, 1);
        }
        if let Some(record) = before.or(after) {
            self.counts.push((format!("{}#{}#{}", record.queue, record.kind, record.tenant), delta));
        }
    }

    /// Counts out a job of which no more is known than this.
    pub(super) fn count_out(&mut self, group: Group, status: JobStatus, processing: Duration) {
        let (mut delta, place) = (Delta::default(), place(status));
        delta.jobs[place] -= 1;
        delta.millis[place] -= i64::try_from(processing.as_millis()).unwrap_or(0);
        self.counts.push((group, delta));
    }

    /// Deletes the item of a job as long as its record is this damaged one.
    pub(super) fn delete_damaged(&mut self, key: Key, record: Option<AttributeValue>) {
        let delete = match record {
            Some(record) => {
                Delete::builder().condition_expression("rec = :rec").expression_attribute_values(":rec", record)
            }
            None => Delete::builder().condition_expression("attribute_exists(pk) and attribute_not_exists(rec)"),
        };
        self.push_delete(key, delete);
    }

    /// Takes or gives back the slot of a limited queue.
    pub(super) fn slot(&mut self, queue: &QueueName, by: i64) {
        self.slot = Some((queue.clone(), by));
    }

    /// How many items it has so far: the number that the next one gets.
    pub(super) const fn len(&self) -> usize {
        self.items.len()
    }
}

/// The place of a status in [`JobStatus::ALL`], by which its counters are named.
pub(super) const fn place(status: JobStatus) -> usize {
    match status {
        JobStatus::Pending => 0,
        JobStatus::Processing => 1,
        JobStatus::Completed => 2,
        JobStatus::Failed => 3,
        JobStatus::Cancelled => 4,
        JobStatus::Timeout => 5,
    }
}

fn weight(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.as_s().map_or(24, String::len)).sum()
}

/// A check that the changes of one call share: a worker's beat stands where it stood.
pub(super) fn beat_stands(key: Key, beat: Option<u64>) -> ConditionCheckBuilder {
    let check = ConditionCheck::builder().key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
    match beat {
        Some(beat) => check.condition_expression("beat = :beat").expression_attribute_values(":beat", number(beat)),
        None => check.condition_expression("attribute_not_exists(beat)"),
    }
}

impl Delta {
    pub(super) fn add(&mut self, other: &Self) {
        for place in 0..6 {
            self.jobs[place] += other.jobs[place];
            self.millis[place] += other.millis[place];
        }
    }

    /// The update that counts it in one lane; none if it changes nothing.
    pub(super) fn update(&self, group: &str, lane: u16, spread: u16) -> Option<UpdateBuilder> {
        let mut parts = Vec::new();
        let mut update = Update::builder()
            .key(keys::PK, text(keys::counts(lane % spread.max(1))))
            .key(keys::SK, text(format!("{group}#{lane:04}")));
        for (what, values) in [('n', self.jobs), ('t', self.millis)] {
            for (place, value) in values.into_iter().enumerate().filter(|(_, value)| *value != 0) {
                parts.push(format!("{what}{place} :{what}{place}"));
                update = update.expression_attribute_values(format!(":{what}{place}"), number(value));
            }
        }
        (!parts.is_empty()).then(|| update.update_expression(format!("ADD {}", parts.join(", "))))
    }
}
