//! Forgetting holds that have ended.
//!
//! An index may lag, and an id that was forgotten may be reserved again: each hold is deleted on condition that it has ended in that month.

use super::desk::Db;
use super::error::{code, failed};
use super::item::{Item, MONTHS, PK, month_partition, number, state, text, text_of};
use crate::ledger::error::{Kind, LedgerError};
use crate::ledger::group::in_time;
use crate::ledger::hold::HoldState;
use crate::ledger::scope::Month;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

const OPERATION: &str = "purge";
/// How many deletions are under way at once.
const AT_ONCE: usize = 16;
/// How often a deletion is repeated that the service had no time for.
const MAX_TRIES: u32 = 16;

impl Db {
    /// Forgets at most `limit` holds of a month that are no longer open, and tells how many.
    pub(super) async fn purge(&self, month: Month, limit: usize) -> Result<usize, LedgerError> {
        let mut keys = Vec::new();
        for shard in self.spread.shards() {
            if keys.len() < limit {
                self.ended(month_partition(month, shard), limit, &mut keys).await?;
            }
        }
        let deletions = stream::iter(keys).map(|key| self.delete(key, month)).buffer_unordered(AT_ONCE);
        deletions.try_fold(0, async |count, was_there| Ok(count + usize::from(was_there))).await
    }

    /// Adds the keys of holds of a partition that have ended, until there are so many.
    async fn ended(&self, partition: String, limit: usize, keys: &mut Vec<String>) -> Result<(), LedgerError> {
        let mut start: Option<Item> = None;
        loop {
            let query = self
                .client
                .query()
                .table_name(&self.table)
                .index_name(MONTHS.0)
                .key_condition_expression(format!("{} = :partition", MONTHS.1))
                .filter_expression("#state IN (:settled, :released)")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":partition", AttributeValue::S(partition.clone()))
                .expression_attribute_values(":settled", state(HoldState::Settled))
                .expression_attribute_values(":released", state(HoldState::Released))
                .set_exclusive_start_key(start);
            let ask = Box::pin(async { query.send().await.map_err(|error| failed(OPERATION, &error)) });
            let answer = in_time::<Self, _>(OPERATION, ask).await?;
            for item in answer.items.unwrap_or_default() {
                if keys.len() == limit {
                    return Ok(());
                }
                keys.push(text_of(&item, PK, OPERATION)?.to_owned());
            }
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() {
                return Ok(());
            }
        }
    }

    /// Deletes a hold if it has ended in that month, and tells whether it had.
    async fn delete(&self, key: String, month: Month) -> Result<bool, LedgerError> {
        for tries in 0..MAX_TRIES {
            let delete = self
                .client
                .delete_item()
                .table_name(&self.table)
                .key(PK, text(&key))
                .condition_expression("#month = :month AND #state IN (:settled, :released)")
                .expression_attribute_names("#month", "month")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":month", number(month.as_number()))
                .expression_attribute_values(":settled", state(HoldState::Settled))
                .expression_attribute_values(":released", state(HoldState::Released));
            let ask = Box::pin(async {
                match delete.send().await {
                    Ok(_) => Ok(Some(true)),
                    Err(error) if code(&error) == Some("ConditionalCheckFailedException") => Ok(Some(false)),
                    Err(error) => match failed(OPERATION, &error) {
                        busy if busy.kind() == Kind::Busy => Ok(None),
                        other => Err(other),
                    },
                }
            });
            if let Some(was_there) = in_time::<Self, _>(OPERATION, ask).await? {
                return Ok(was_there);
            }
            self.stand_back(tries).await;
        }
        Err(LedgerError::new(Kind::Busy, super::BACKEND, OPERATION)
            .with_source("the service had no time for all of it"))
    }
}
