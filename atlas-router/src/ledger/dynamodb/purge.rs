//! Forgetting holds that have ended.
//!
//! What the index says has ended has: no hold opens again. So it is deleted without a condition, whatever settles it late: that reads
//! again then, and finds no hold.

use super::desk::Db;
use super::error::{broken, failed};
use super::item::{Item, MONTHS, PK, month_partition, number, text_of};
use crate::ledger::error::{Kind, LedgerError};
use crate::ledger::group::in_time;
use crate::ledger::scope::Month;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, WriteRequest};
use std::collections::HashMap;

const OPERATION: &str = "purge";
/// The most items of one request. Amazon `DynamoDB` API Reference, `BatchWriteItem`.
const BATCH: usize = 25;
/// How often a request is repeated whose items the service had no time for.
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
        for keys in keys.chunks(BATCH) {
            self.delete(keys).await?;
        }
        Ok(keys.len())
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
                .filter_expression("#state >= :ended")
                .expression_attribute_names("#state", "state")
                .expression_attribute_values(":partition", AttributeValue::S(partition.clone()))
                .expression_attribute_values(":ended", number(2))
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

    async fn delete(&self, keys: &[String]) -> Result<(), LedgerError> {
        let mut left = Vec::new();
        for key in keys {
            let delete = DeleteRequest::builder().key(PK, AttributeValue::S(key.clone()));
            let delete = delete.build().map_err(|_| broken(OPERATION))?;
            left.push(WriteRequest::builder().delete_request(delete).build());
        }
        for tries in 0..MAX_TRIES {
            let write = self.client.batch_write_item().request_items(&self.table, left).send();
            let write = Box::pin(async { write.await.map_err(|error| failed(OPERATION, &error)) });
            let mut unprocessed: HashMap<_, _> =
                in_time::<Self, _>(OPERATION, write).await?.unprocessed_items.unwrap_or_default();
            left = unprocessed.remove(&self.table).unwrap_or_default();
            if left.is_empty() {
                return Ok(());
            }
            self.stand_back(tries).await;
        }
        Err(LedgerError::new(Kind::Busy, super::BACKEND, OPERATION)
            .with_source("the service had no time for all of it"))
    }
}
