//! Pausing and limiting queues.

use super::DynamoJobs;
use super::error::{failed, is_refused};
use super::item::{Item, Reader, keyed, number, text};
use super::keys;
use super::read::Range;
use crate::error::StoreError;
use crate::store::{Pace, QueueChange, QueueState};
use atlas_schema::{QueueName, Timestamp};
use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

const OPERATION: &str = "queues";

/// A queue that was ever changed, with how far its rate is used up.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub(super) state: QueueState,
    pace: Option<Pace>,
}

fn control(item: &Item, operation: &'static str) -> Result<Control, StoreError> {
    let reader = Reader::new(item, operation);
    let mut state = QueueState::new(reader.parsed(keys::SK)?);
    state.paused = reader.flag("paused");
    state.max_running = reader.maybe_number("most")?;
    state.max_per_second = reader.maybe_number("rate")?;
    let pace = match (reader.maybe_number("paceleft")?, reader.maybe_time("paceat")?) {
        (Some(left), Some(at)) => Some(Pace { left, at }),
        _ => None,
    };
    Ok(Control { state, pace })
}

impl DynamoJobs {
    pub(super) async fn control(&self, changes: &[QueueChange]) -> Result<Vec<QueueState>, StoreError> {
        for change in changes {
            self.change_queue(change).await?;
        }
        let shards = (0..self.shards().spread).map(|shard| Range::all(keys::queues(shard))).collect();
        let items = self.query_each(shards, usize::MAX, OPERATION).await?;
        let states: Result<Vec<_>, _> = items.iter().map(|item| Ok(control(item, OPERATION)?.state)).collect();
        states.map(|mut states: Vec<QueueState>| {
            states.sort_by(|a, b| a.queue.cmp(&b.queue));
            states
        })
    }

    async fn change_queue(&self, change: &QueueChange) -> Result<(), StoreError> {
        let mut set: Vec<(&str, AttributeValue)> = Vec::new();
        let mut remove = Vec::new();
        if let Some(paused) = change.paused {
            set.push(("paused", AttributeValue::Bool(paused)));
        }
        for (name, limit) in [("most", change.max_running), ("rate", change.max_per_second)] {
            match limit {
                Some(Some(limit)) => set.push((name, number(limit))),
                Some(None) => remove.push(name),
                None => {}
            }
        }
        // A change of nothing still makes the queue one that was changed.
        set.push(("changed", AttributeValue::Bool(true)));
        let key = keys::queue(&change.queue, self.shards().spread);
        let mut update = self.client().update_item().table_name(self.table()).set_key(Some(keyed(key)));
        let assignments: Vec<String> = set.iter().map(|(name, _)| format!("{name} = :{name}")).collect();
        let mut expression = format!("SET {}", assignments.join(", "));
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        for (name, value) in set {
            update = update.expression_attribute_values(format!(":{name}"), value);
        }
        let sent = update.update_expression(expression).send().await;
        sent.map(|_| ()).map_err(|error| failed(OPERATION, &error))
    }

    /// The queues of a claim that were ever changed.
    pub(super) async fn controls<'a>(
        &self,
        queues: impl Iterator<Item = &'a QueueName>,
        operation: &'static str,
    ) -> Result<HashMap<QueueName, Control>, StoreError> {
        let keys = queues.map(|queue| keys::queue(queue, self.shards().spread)).collect();
        let items = self.read_all(keys, operation).await?;
        let controls = items.values().map(|item| control(item, operation).map(|c| (c.state.queue.clone(), c)));
        controls.collect()
    }

    /// How many more jobs a queue may start now, at most `wanted`.
    pub(super) async fn room(
        &self,
        control: Option<&Control>,
        wanted: usize,
        now: Timestamp,
        operation: &'static str,
    ) -> Result<usize, StoreError> {
        let Some(Control { state, pace }) = control else { return Ok(wanted) };
        if state.paused {
            return Ok(0);
        }
        let mut room = wanted;
        if let Some(most) = state.max_running {
            let left = u64::from(most).saturating_sub(self.running(&state.queue, operation).await?);
            room = room.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if let Some(rate) = state.max_per_second {
            room = room.min(pace.unwrap_or_else(|| Pace::full(rate, now)).refilled(rate, now).claims());
        }
        Ok(room)
    }

    /// Takes `claims` off the pace of a queue. Whether it could: if not, others took some at the same time.
    pub(super) async fn reserve(
        &self,
        control: &Control,
        claims: usize,
        now: Timestamp,
        operation: &'static str,
    ) -> Result<bool, StoreError> {
        let Some(rate) = control.state.max_per_second else { return Ok(true) };
        let pace = control.pace.unwrap_or_else(|| Pace::full(rate, now)).refilled(rate, now);
        let after = pace.spent(claims);
        let key = keys::queue(&control.state.queue, self.shards().spread);
        let update = self.client().update_item().table_name(self.table()).set_key(Some(keyed(key)));
        let mut update = update
            .update_expression("SET paceleft = :left, paceat = :at, pacemark = :mark")
            .expression_attribute_values(":left", number(after.left))
            .expression_attribute_values(":at", number(after.at.as_millis()))
            .expression_attribute_values(":mark", text(format!("{:016x}", self.random().u64())));
        // The mark is this call's own: a repeat by the client, whose first reply was lost, takes nothing twice.
        update = match control.pace {
            None => update.condition_expression("attribute_not_exists(paceleft) or pacemark = :mark"),
            Some(was) => update
                .condition_expression("(paceleft = :wasleft and paceat = :wasat) or pacemark = :mark")
                .expression_attribute_values(":wasleft", number(was.left))
                .expression_attribute_values(":wasat", number(was.at.as_millis())),
        };
        match update.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(failed(operation, &error)),
        }
    }

    /// Puts back what was reserved and not used. What is put back twice, or by a call whose reply was lost, is capped
    /// by the bucket.
    pub(super) async fn put_back(
        &self,
        queue: &QueueName,
        claims: usize,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        let key = keys::queue(queue, self.shards().spread);
        let update = self.client().update_item().table_name(self.table()).set_key(Some(keyed(key)));
        let update = update
            .update_expression("ADD paceleft :back")
            .condition_expression("attribute_exists(paceleft)")
            .expression_attribute_values(":back", number(claims.saturating_mul(1000)));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(failed(operation, &error)),
        }
    }
}
