//! Taking and settling what must follow from transitions.

use super::DynamoJobs;
use super::error::{BACKEND, failed, is_refused};
use super::item::{Reader, keyed, number, text};
use super::keys;
use super::read::{Range, string};
use crate::error::StoreError;
use crate::kernel::{check_limit, readable};
use crate::store::{Delivery, OutboxExchange, OutboxItem, Settlement};
use atlas_schema::Timestamp;
use aws_sdk_dynamodb::types::ReturnValue;
use futures_util::{StreamExt, TryStreamExt};

const OPERATION: &str = "outbox";

/// Sorts by the time from which an entry is to be handed out.
pub(super) fn due_place(at: Timestamp, key: &str) -> String {
    format!("{:015}#{key}", at.as_millis())
}

impl DynamoJobs {
    pub(super) async fn deliver(&self, exchange: &OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
        check_limit(exchange.limit, 0, BACKEND, OPERATION)?;
        let now = exchange.now.wall;
        let settlements: Vec<_> = exchange.settlements.iter().map(|one| self.settle_entry(one, now)).collect();
        futures_util::stream::iter(settlements).buffer_unordered(self.in_flight()).try_collect::<()>().await?;
        let mut taken: Vec<OutboxItem> = Vec::new();
        for topic in &exchange.topics {
            let room = exchange.limit - taken.len();
            if room == 0 {
                break;
            }
            let due = (0..self.shards().spread).map(|shard| {
                Range::new(keys::outbox_due(topic, shard), "\u{1}", keys::through(now)).in_index(keys::INDEX_1)
            });
            let items = self.query_each(due.collect(), room, OPERATION).await?;
            let mut places: Vec<String> =
                items.iter().filter_map(|item| string(item, keys::G1S)).map(ToOwned::to_owned).collect();
            places.sort_unstable();
            places.truncate(room);
            let until = now.saturating_add(exchange.visibility);
            let takes: Vec<_> = places.into_iter().map(|place| self.take_entry(place, until)).collect();
            let entries: Vec<Option<OutboxItem>> =
                futures_util::stream::iter(takes).buffered(self.in_flight()).try_collect().await?;
            taken.extend(entries.into_iter().flatten());
        }
        Ok(taken)
    }

    /// Hides an entry from others and gives it; nothing if someone else was quicker.
    async fn take_entry(&self, place: String, until: Timestamp) -> Result<Option<OutboxItem>, StoreError> {
        let Some((_, key)) = place.split_once('#') else { return Ok(None) };
        let update = self.client().update_item().table_name(self.table()).set_key(Some(keyed(keys::outbox(key))));
        let update = update
            .update_expression("SET g1s = :then ADD tries :one")
            // The index may lag: whoever took the entry meanwhile has moved it.
            .condition_expression("g1s = :now")
            .expression_attribute_values(":then", text(due_place(until, key)))
            .expression_attribute_values(":now", text(&place))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        let item = match update.send().await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(error) if is_refused(&error) => return Ok(None),
            Err(error) => return Err(failed(OPERATION, &error)),
        };
        let reader = Reader::new(&item, OPERATION);
        let read = || Ok(Some(OutboxItem::new(reader.json("entry")?, reader.number("tries")?)));
        // One that can't be read is hidden like the others, so that it is not in their way.
        readable(read(), &key)
    }

    async fn settle_entry(&self, settlement: &Settlement, now: Timestamp) -> Result<(), StoreError> {
        let key = Some(keyed(keys::outbox(&settlement.key)));
        // Someone else has taken it since, or it is gone: the word of a late deliverer does not count.
        let condition = "tries = :tries";
        let tries = number(settlement.tries);
        let refused = match settlement.delivery {
            Delivery::Done => {
                let delete = self.client().delete_item().table_name(self.table()).set_key(key);
                let delete = delete.condition_expression(condition).expression_attribute_values(":tries", tries);
                delete.send().await.err().map(|error| (is_refused(&error), failed(OPERATION, &error)))
            }
            Delivery::Again(wait) => {
                let place = due_place(now.saturating_add(wait), &settlement.key);
                let update = self.client().update_item().table_name(self.table()).set_key(key);
                let update = update.update_expression("SET g1s = :then").condition_expression(condition);
                let update = update.expression_attribute_values(":then", text(place));
                let update = update.expression_attribute_values(":tries", tries);
                update.send().await.err().map(|error| (is_refused(&error), failed(OPERATION, &error)))
            }
        };
        match refused {
            Some((false, error)) => Err(error),
            _ => Ok(()),
        }
    }
}
