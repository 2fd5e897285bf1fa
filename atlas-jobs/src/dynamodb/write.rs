//! Transactions: whole changes of single jobs, many of them in one request.
//!
//! A [`Change`] is written whole or not at all. Several changes share a request, and with it the update of a counter,
//! the list of what is claimed and the check of a worker's beat. DynamoDB refuses such a request as a whole and says
//! which item was at fault: the changes at fault are reported, the others are sent again without them.

use super::DynamoJobs;
use super::change::{Change, Delta, Group};
use super::error::{cancelled, contended, corrupt, failed};
use super::item::{Item, number, text};
use super::keys::{self, Key};
use super::leases::Lease;
use super::lists::list_item;
use crate::error::StoreError;
use atlas_schema::{QueueName, Timestamp, WorkerId};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::builders::ConditionCheckBuilder;
use aws_sdk_dynamodb::types::{CancellationReason, Put, TransactWriteItem, Update};
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;

/// The most items of one transaction, and a safe part of the 4 MB it may have. Amazon DynamoDB Developer Guide,
/// "Amazon DynamoDB Transactions: How it works".
const MAX_ITEMS: usize = 100;
const MAX_BYTES: usize = 3 * 1024 * 1024;
/// How often a request is sent again because of what it shares with others, before the caller is told to come again.
pub(super) const MAX_TRIES: u32 = 8;

/// What became of a change.
#[derive(Debug)]
pub(super) enum Written {
    Done,
    /// A condition was not met: the numbers of the items at fault, with what stands there.
    Refused(Vec<(usize, Option<Item>)>),
    /// Another transaction was writing one of its items.
    Contended,
    /// The limit of its queue is reached.
    NoRoom,
    /// The check that all changes of the call share was not met.
    Stale,
}

/// What the requests of one call have in common.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    /// A condition of all of them.
    pub(super) check: Option<ConditionCheckBuilder>,
    /// The limits of the queues whose slots are taken.
    pub(super) limits: BTreeMap<QueueName, u32>,
    /// Workers whose leases begin may never have called: they are made known, as of this time.
    pub(super) meets: Option<Timestamp>,
}

impl DynamoJobs {
    /// Writes changes, none of which may touch an item of another. One answer per change, in order.
    pub(super) async fn write(
        &self,
        changes: Vec<Change>,
        shared: &Shared,
        operation: &'static str,
    ) -> Result<Vec<Written>, StoreError> {
        let total = changes.len();
        // Transactions that check one item get in each other's way: one after the other, then.
        let meets = shared.meets.is_some() && changes.iter().any(|change| change.begins.is_some());
        let at_once = if shared.check.is_some() || !shared.limits.is_empty() || meets { 1 } else { self.in_flight() };
        let requests = split(changes, meets).into_iter().map(|request| self.send(request, shared, operation));
        let mut answers = futures_util::stream::iter(requests).buffer_unordered(at_once);
        let mut written: Vec<Option<Written>> = (0..total).map(|_| None).collect();
        let mut fault = None;
        // A failure of one request does not stop the others half-way: all of them are waited for.
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => answer.into_iter().for_each(|(at, one)| written[at] = Some(one)),
                Err(error) => fault = Some(error),
            }
        }
        if let Some(error) = fault {
            return Err(error);
        }
        let missing = || corrupt(operation, "a change was neither written nor refused");
        written.into_iter().map(|one| one.ok_or_else(missing)).collect()
    }

    /// Writes changes that fit into one request.
    async fn send(
        &self,
        mut left: Vec<(usize, Change)>,
        shared: &Shared,
        operation: &'static str,
    ) -> Result<Vec<(usize, Written)>, StoreError> {
        let mut written = Vec::with_capacity(left.len());
        let mut tries = 0;
        let mut lane = self.lanes().take();
        while !left.is_empty() {
            let Request { items, owners, lists } = self.request(&left, shared, lane.number(), operation)?;
            self.leases().sending(lists.iter().map(|(list, _)| list));
            let sent = self.client().transact_write_items().set_transact_items(Some(items)).send().await;
            let Err(error) = sent else {
                self.leases().answered(lists.iter().map(|(list, _)| list));
                for (list, leases) in lists {
                    self.leases().opened(&list, leases);
                }
                for over in left.iter().filter_map(|(_, change)| change.ends.as_ref()) {
                    self.leases().ended(over);
                }
                written.extend(left.into_iter().map(|(at, _)| (at, Written::Done)));
                break;
            };
            let Some(TransactWriteItemsError::TransactionCanceledException(reasons)) = error.as_service_error() else {
                return Err(failed(operation, &error));
            };
            self.leases().answered(lists.iter().map(|(list, _)| list));
            let faults = faults(reasons.cancellation_reasons(), &owners, operation)?;
            if faults.stale {
                written.extend(left.into_iter().map(|(at, _)| (at, Written::Stale)));
                break;
            }
            let before = left.len();
            left = set_aside(left, faults, &mut written);
            if left.len() == before {
                tries += 1;
                if tries == MAX_TRIES {
                    return Err(contended(operation));
                }
                // Another lane, taken before this one is free again.
                lane = self.lanes().take();
                self.stand_back(tries).await;
            }
        }
        Ok(written)
    }

    /// Waits a random while, so that two who got in each other's way do not do so again.
    pub(super) async fn stand_back(&self, tries: u32) {
        let most = 4_000_u64 << tries.min(5);
        tokio::time::sleep(Duration::from_micros(self.random().u64() % most)).await;
    }

    fn request(
        &self,
        changes: &[(usize, Change)],
        shared: &Shared,
        lane: u16,
        operation: &'static str,
    ) -> Result<Request, StoreError> {
        let mut items = Vec::new();
        let mut owners = Vec::new();
        let mut counts: BTreeMap<&str, Delta> = BTreeMap::new();
        let mut slots: BTreeMap<&QueueName, i64> = BTreeMap::new();
        let mut begun: BTreeMap<&WorkerId, Vec<Lease>> = BTreeMap::new();
        for (at, (_, change)) in changes.iter().enumerate() {
            for (number, item) in change.items.iter().enumerate() {
                items.push(item.clone());
                owners.push(Owner::Change(at, number));
            }
            for (group, delta) in &change.counts {
                counts.entry(group).or_default().add(delta);
            }
            if let Some((queue, by)) = &change.slot {
                *slots.entry(queue).or_default() += by;
            }
            if let Some(lease) = &change.begins {
                begun.entry(&lease.worker).or_default().push(lease.clone());
            }
        }
        let broken = |_| corrupt(operation, "a request could not be built");
        for (group, delta) in counts {
            if let Some(update) = delta.update(group, lane, self.shards().spread) {
                let update = update.table_name("").build().map_err(broken)?;
                items.push(TransactWriteItem::builder().update(update).build());
                owners.push(Owner::Count);
            }
        }
        for (queue, by) in slots.into_iter().filter(|(_, by)| *by != 0) {
            let key = keys::running(queue);
            let mut update = Update::builder().key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
            update = update.update_expression("ADD running :by").expression_attribute_values(":by", number(by));
            if let Some(limit) = shared.limits.get(queue).filter(|_| by > 0) {
                update = update.condition_expression(if by <= i64::from(*limit) {
                    "attribute_not_exists(running) or running <= :most"
                } else {
                    "running <= :most"
                });
                update = update.expression_attribute_values(":most", number(i64::from(*limit) - by));
            }
            items.push(TransactWriteItem::builder().update(update.table_name("").build().map_err(broken)?).build());
            owners.push(Owner::Slot(queue.clone()));
        }
        let mut lists = Vec::new();
        for (worker, leases) in begun {
            let mark = (u128::from(self.random().u64()) << 64) | u128::from(self.random().u64());
            let key = keys::leases_list(worker, mark);
            let put = Put::builder().set_item(Some(list_item(&key, &leases))).table_name("").build().map_err(broken)?;
            items.push(TransactWriteItem::builder().put(put).build());
            owners.push(Owner::List);
            lists.push((key, leases));
            if let Some(now) = shared.meets {
                let update = self.meet(worker, now).table_name("").build().map_err(broken)?;
                items.push(TransactWriteItem::builder().update(update).build());
                owners.push(Owner::Beat);
            }
        }
        if let Some(check) = shared.check.clone() {
            let check = check.table_name("").build().map_err(broken)?;
            items.push(TransactWriteItem::builder().condition_check(check).build());
            owners.push(Owner::Check);
        }
        for item in &mut items {
            name_table(item, self.table());
        }
        Ok(Request { items, owners, lists })
    }
}

fn name_table(item: &mut TransactWriteItem, table: &str) {
    if let Some(put) = &mut item.put {
        table.clone_into(&mut put.table_name);
    }
    if let Some(delete) = &mut item.delete {
        table.clone_into(&mut delete.table_name);
    }
    if let Some(update) = &mut item.update {
        table.clone_into(&mut update.table_name);
    }
    if let Some(check) = &mut item.condition_check {
        table.clone_into(&mut check.table_name);
    }
}

/// A request: its items, whose each one is, and the lists of leases that it writes.
struct Request {
    items: Vec<TransactWriteItem>,
    owners: Vec<Owner>,
    lists: Vec<(Key, Vec<Lease>)>,
}

/// Whose item it is.
enum Owner {
    /// The change at this place, and its item of this number.
    Change(usize, usize),
    Count,
    List,
    Beat,
    Slot(QueueName),
    Check,
}

#[derive(Default)]
struct Faults {
    refused: BTreeMap<usize, Vec<(usize, Option<Item>)>>,
    contended: Vec<usize>,
    full: Vec<QueueName>,
    stale: bool,
}

fn faults(reasons: &[CancellationReason], owners: &[Owner], operation: &'static str) -> Result<Faults, StoreError> {
    let mut faults = Faults::default();
    for (reason, owner) in reasons.iter().zip(owners) {
        match (reason.code().unwrap_or("None"), owner) {
            ("ConditionalCheckFailed", Owner::Change(at, number)) => {
                faults.refused.entry(*at).or_default().push((*number, reason.item().cloned()));
            }
            ("ConditionalCheckFailed", Owner::Slot(queue)) => faults.full.push(queue.clone()),
            ("ConditionalCheckFailed", Owner::Check) => faults.stale = true,
            ("TransactionConflict", Owner::Change(at, _)) => faults.contended.push(*at),
            // A conflict over a shared item: the request is sent again, with another counter.
            ("None" | "TransactionConflict", _) => {}
            (code, _) => return Err(cancelled(operation, code)),
        }
    }
    Ok(faults)
}

/// Takes out the changes at fault, and gives the others.
fn set_aside(
    changes: Vec<(usize, Change)>,
    mut faults: Faults,
    written: &mut Vec<(usize, Written)>,
) -> Vec<(usize, Change)> {
    let mut left = Vec::new();
    for (place, (at, change)) in changes.into_iter().enumerate() {
        let full = change.slot.as_ref().is_some_and(|(queue, by)| *by > 0 && faults.full.contains(queue));
        if let Some(items) = faults.refused.remove(&place) {
            written.push((at, Written::Refused(items)));
        } else if full {
            written.push((at, Written::NoRoom));
        } else if faults.contended.contains(&place) {
            written.push((at, Written::Contended));
        } else {
            left.push((at, change));
        }
    }
    left
}

/// How many of a change's shared items a request has already.
fn shared_items(change: &Change, request: &[(usize, Change)], per_worker: usize) -> usize {
    fn queue(change: &Change) -> Option<&QueueName> {
        change.slot.as_ref().map(|(queue, _)| queue)
    }
    fn worker(change: &Change) -> Option<&WorkerId> {
        change.begins.as_ref().map(|lease| &lease.worker)
    }
    let any = |is: &dyn Fn(&Change) -> bool| request.iter().any(|(_, other)| is(other));
    let counted = |group: &Group| any(&|other| other.counts.iter().any(|(known, _)| known == group));
    change.counts.iter().filter(|(group, _)| counted(group)).count()
        + usize::from(queue(change).is_some() && any(&|other| queue(other) == queue(change)))
        + usize::from(worker(change).is_some() && any(&|other| worker(other) == worker(change))) * per_worker
}

/// Cuts changes into requests, each with its place in the call. A worker that is made known takes an item beside its list.
fn split(changes: Vec<Change>, meets: bool) -> Vec<Vec<(usize, Change)>> {
    let per_worker = 1 + usize::from(meets);
    let mut requests = Vec::new();
    let mut request: Vec<(usize, Change)> = Vec::new();
    // One item is left for the check.
    let (mut items, mut bytes) = (1, 0);
    for (at, change) in changes.into_iter().enumerate() {
        let own = change.len()
            + change.counts.len()
            + usize::from(change.slot.is_some())
            + usize::from(change.begins.is_some()) * per_worker;
        // What is counted or listed together with an earlier change of the request needs no item of its own.
        let shared = shared_items(&change, &request, per_worker);
        let full = items + own - shared > MAX_ITEMS || bytes + change.bytes > MAX_BYTES;
        if full && !request.is_empty() {
            requests.push(std::mem::take(&mut request));
            (items, bytes) = (1 + own, change.bytes);
        } else {
            items += own - shared;
            bytes += change.bytes;
        }
        request.push((at, change));
    }
    if !request.is_empty() {
        requests.push(request);
    }
    requests
}
