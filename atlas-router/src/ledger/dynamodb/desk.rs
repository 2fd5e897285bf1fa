//! A group of calls in one transaction: read, decide on a sheet, write on condition that nothing has changed since.

use super::error::{BACKEND, broken, failed, kind_of};
use super::item::{
    self, Item, OPEN, PK, Spread, balance, due_until, hold_key, month_names, number, of_hold, open_partition,
    scope_key, text,
};
use crate::ledger::error::{Kind, LedgerError};
use crate::ledger::group::{Desk, in_time};
use crate::ledger::hold::{Hold, HoldId, HoldState};
use crate::ledger::rules::pass_over;
use crate::ledger::scope::Balance;
use crate::ledger::sheet::{Answer, Call, Place, Sheet};
use crate::random::Random;
use atlas_schema::{Stage, Timestamp};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, Put, TransactWriteItem, Update};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The most items of one transaction, and of one batch of reads. Amazon DynamoDB Developer Guide, "Amazon DynamoDB Transactions:
/// How it works", and API Reference, `BatchGetItem`.
pub(super) const MAX_ITEMS: usize = 100;
/// How often a transaction is tried that others got in the way of, before the caller is told to come again: for two seconds
/// or so.
const MAX_TRIES: u32 = 16;

type Outcome = Result<Answer, LedgerError>;

/// The table and whose it is.
pub(super) struct Db {
    pub(super) client: Client,
    pub(super) table: String,
    pub(super) stage: Stage,
    pub(super) spread: Spread,
    pub(super) random: Random,
}

impl Desk for Db {
    const BACKEND: &'static str = BACKEND;
    const GROUP: usize = 64;

    async fn carry_out(&self, calls: &[Call]) -> Result<Vec<Outcome>, LedgerError> {
        let operation = calls.first().map_or("call", Call::operation);
        for tries in 0..MAX_TRIES {
            if let Some(outcomes) = self.once(calls, operation).await? {
                return Ok(outcomes);
            }
            self.stand_back(tries).await;
        }
        Err(contended(operation))
    }

    /// What an index says, which may lag: each is judged again by its own item.
    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<HoldId>, LedgerError> {
        self.due(HoldState::Held, now, limit, "sweep").await
    }
}

/// Others write the same items all the time: nothing is wrong, and later it will pass.
fn contended(operation: &'static str) -> LedgerError {
    LedgerError::new(Kind::Busy, BACKEND, operation).with_source("other writers kept coming first")
}

impl Db {
    /// Waits a random while, so that two who got in each other's way do not do so again.
    pub(super) async fn stand_back(&self, tries: u32) {
        let most = 4_000_u64 << tries.min(6);
        tokio::time::sleep(Duration::from_micros(self.random.u64() % most)).await;
    }

    /// `None` if others wrote in between.
    async fn once(&self, calls: &[Call], operation: &'static str) -> Result<Option<Vec<Outcome>>, LedgerError> {
        let ids: BTreeSet<HoldId> = calls.iter().map(Call::hold).collect();
        let mut sheet = Sheet::new(BACKEND, self.holds(&ids, operation).await?);
        let (calls, places) = self.as_many_as_fit(&sheet, calls);
        let keys = places.iter().map(|(scope, _)| scope_key(scope)).collect();
        let scopes = self.read(keys, operation).await?;
        for place in places {
            let balance = balance(scopes.get(&scope_key(&place.0)), place.1, operation)?;
            sheet.add_balance(place, balance);
        }
        let outcomes = calls.iter().map(|call| sheet.decide(self.stage, call)).collect();
        let written = sheet.is_unchanged() || self.write(self.changes(&sheet, &scopes, operation)?, operation).await?;
        Ok(written.then_some(outcomes))
    }

    /// The calls, from the first on, whose items go into one transaction, and the balances that they need.
    fn as_many_as_fit<'a>(&self, sheet: &Sheet, calls: &'a [Call]) -> (&'a [Call], BTreeSet<Place>) {
        let (mut keys, mut places) = (BTreeSet::new(), BTreeSet::new());
        for (at, call) in calls.iter().enumerate() {
            let needs = sheet.needs(call, self.stage);
            keys.insert(hold_key(call.hold()));
            keys.extend(needs.iter().map(|(scope, _)| scope_key(scope)));
            // One call alone has nine items at most.
            if keys.len() > MAX_ITEMS && at > 0 {
                return (&calls[..at], places);
            }
            places.extend(needs);
        }
        (calls, places)
    }

    fn changes(
        &self,
        sheet: &Sheet,
        scopes: &HashMap<String, Item>,
        operation: &'static str,
    ) -> Result<Vec<TransactWriteItem>, LedgerError> {
        let mut items = Vec::new();
        for (hold, before) in sheet.changed_holds() {
            items.push(match before {
                None => self.add(hold, operation)?,
                Some(before) => self.change(hold, before, operation)?,
            });
        }
        // A scope's months are in one item.
        let mut balances: BTreeMap<&str, Vec<(&Place, &Balance)>> = BTreeMap::new();
        for changed in sheet.changed_balances() {
            balances.entry(&changed.0.0).or_default().push(changed);
        }
        for (scope, months) in balances {
            items.push(self.count(scope, &months, scopes.get(&scope_key(scope)), operation)?);
        }
        Ok(items)
    }

    fn add(&self, hold: &Hold, operation: &'static str) -> Result<TransactWriteItem, LedgerError> {
        let put = Put::builder().table_name(&self.table).set_item(Some(of_hold(hold, self.spread, operation)?));
        let put = put.condition_expression("attribute_not_exists(pk)").build().map_err(|_| broken(operation))?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    fn change(
        &self,
        hold: &Hold,
        before: HoldState,
        operation: &'static str,
    ) -> Result<TransactWriteItem, LedgerError> {
        let update = Update::builder().table_name(&self.table).key(PK, text(hold_key(hold.id)));
        let update = update.expression_attribute_names("#state", "state").expression_attribute_names("#cost", "cost");
        let update = update
            .condition_expression("#state = :before")
            .expression_attribute_values(":before", item::state(before))
            .expression_attribute_values(":state", item::state(hold.state))
            .expression_attribute_values(":cost", number(hold.cost.as_nanos()));
        let update = match self.spread.open(hold) {
            Some((partition, place)) => update
                .update_expression("SET #state = :state, #cost = :cost, g1p = :partition, g1s = :place")
                .expression_attribute_values(":partition", text(partition))
                .expression_attribute_values(":place", text(place)),
            None => update.update_expression("SET #state = :state, #cost = :cost REMOVE g1p, g1s"),
        };
        let update = update.build().map_err(|_| broken(operation))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn count(
        &self,
        scope: &str,
        months: &[(&Place, &Balance)],
        found: Option<&Item>,
        operation: &'static str,
    ) -> Result<TransactWriteItem, LedgerError> {
        let mut update = Update::builder().table_name(&self.table).key(PK, text(scope_key(scope)));
        let version = match found {
            None => {
                update = update.condition_expression("attribute_not_exists(pk)");
                0
            }
            Some(found) => {
                let version: i64 = item::number_of(found, "v", operation)?;
                update = update.condition_expression("v = :v").expression_attribute_values(":v", number(version));
                version
            }
        };
        let mut sets = vec!["v = :next".to_owned()];
        update = update.expression_attribute_values(":next", number(version.wrapping_add(1)));
        for ((_, month), balance) in months {
            let values = [balance.held.as_nanos(), balance.settled.as_nanos(), i64::from(balance.alerted)];
            for (name, value) in month_names(*month).into_iter().zip(values) {
                sets.push(format!("{name} = :{name}"));
                update = update.expression_attribute_values(format!(":{name}"), number(value));
            }
        }
        let update = update.update_expression(format!("SET {}", sets.join(", ")));
        Ok(TransactWriteItem::builder().update(update.build().map_err(|_| broken(operation))?).build())
    }

    /// Writes all or nothing; false if a condition was not met or another transaction was under way. The token makes it safe that
    /// the client sends it again: Amazon `DynamoDB` API Reference, `TransactWriteItems`, `ClientRequestToken`.
    pub(super) async fn write(
        &self,
        items: Vec<TransactWriteItem>,
        operation: &'static str,
    ) -> Result<bool, LedgerError> {
        let token = format!("{:032x}", u128::from_be_bytes(self.random.id()));
        let request = self.client.transact_write_items().client_request_token(token);
        let Err(error) = request.set_transact_items(Some(items)).send().await else { return Ok(true) };
        let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error() else {
            return Err(failed(operation, &error));
        };
        for code in cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()) {
            if !matches!(code, "None" | "ConditionalCheckFailed" | "TransactionConflict") {
                let what = format!("transaction cancelled: {code}");
                return Err(LedgerError::new(kind_of(code), BACKEND, operation).with_source(what));
            }
        }
        Ok(false)
    }

    /// Writes what depends on nothing that was read, until it is written.
    pub(super) async fn write_surely(
        &self,
        items: Vec<TransactWriteItem>,
        operation: &'static str,
    ) -> Result<(), LedgerError> {
        for tries in 0..MAX_TRIES {
            if in_time::<Self, _>(operation, self.write(items.clone(), operation)).await? {
                return Ok(());
            }
            self.stand_back(tries).await;
        }
        Err(contended(operation))
    }

    /// The holds of some ids, as far as there are such.
    pub(super) async fn holds(
        &self,
        ids: &BTreeSet<HoldId>,
        operation: &'static str,
    ) -> Result<Vec<Hold>, LedgerError> {
        let found = self.read(ids.iter().map(|id| hold_key(*id)).collect(), operation).await?;
        found.values().map(|found| item::hold(found, operation)).collect()
    }

    /// The items of some keys, as they are now.
    pub(super) async fn read(
        &self,
        keys: BTreeSet<String>,
        operation: &'static str,
    ) -> Result<HashMap<String, Item>, LedgerError> {
        let keys: Vec<String> = keys.into_iter().collect();
        let mut found = HashMap::new();
        for keys in keys.chunks(MAX_ITEMS) {
            let mut wanted = KeysAndAttributes::builder().consistent_read(true);
            for key in keys {
                wanted = wanted.keys(HashMap::from([(PK.to_owned(), text(key))]));
            }
            let mut left = Some(wanted.build().map_err(|_| broken(operation))?);
            let mut tries = 0;
            while let Some(wanted) = left.take() {
                let ask = self.client.batch_get_item().request_items(&self.table, wanted).send();
                let ask = Box::pin(async { ask.await.map_err(|error| failed(operation, &error)) });
                let mut answer = in_time::<Self, _>(operation, ask).await?;
                let items = answer.responses.as_mut().and_then(|tables| tables.remove(&self.table)).unwrap_or_default();
                for item in items {
                    found.insert(item::text_of(&item, PK, operation)?.to_owned(), item);
                }
                // What the server had no time for is asked for again.
                left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
                if left.is_some() {
                    tries += 1;
                    if tries == MAX_TRIES {
                        return Err(contended(operation));
                    }
                    self.stand_back(tries).await;
                }
            }
        }
        Ok(found)
    }

    /// At most `limit` open holds in a state that look as if they had expired, oldest first.
    pub(super) async fn due(
        &self,
        state: HoldState,
        now: Timestamp,
        limit: usize,
        operation: &'static str,
    ) -> Result<Vec<HoldId>, LedgerError> {
        let mut due = Vec::new();
        for shard in self.spread.shards() {
            let Some(partition) = open_partition(state, shard) else { continue };
            let until = Some(due_until(now));
            for found in self.query(OPEN, partition, until, limit, operation).await? {
                match (item::text_of(&found, OPEN.2, operation), item::id_of(&found, operation)) {
                    (Ok(place), Ok(id)) => due.push((place.to_owned(), id)),
                    _ => pass_over(BACKEND, &item::text_of(&found, PK, operation).unwrap_or("without a key")),
                }
            }
        }
        due.sort_unstable();
        due.truncate(limit);
        Ok(due.into_iter().map(|(_, id)| id).collect())
    }

    /// At most `limit` items of a partition of an index, in order, up to a place in it. Each page has its time.
    pub(super) async fn query(
        &self,
        (index, hash, range): (&str, &str, &str),
        partition: String,
        until: Option<String>,
        limit: usize,
        operation: &'static str,
    ) -> Result<Vec<Item>, LedgerError> {
        let mut found: Vec<Item> = Vec::new();
        let mut start: Option<HashMap<String, AttributeValue>> = None;
        let page = i32::try_from(limit.clamp(1, 1000)).unwrap_or(1000);
        loop {
            let mut query = self.client.query().table_name(&self.table).index_name(index).limit(page);
            query = query.expression_attribute_values(":partition", text(&partition));
            query = match &until {
                Some(until) => query
                    .key_condition_expression(format!("{hash} = :partition AND {range} < :until"))
                    .expression_attribute_values(":until", text(until)),
                None => query.key_condition_expression(format!("{hash} = :partition")),
            };
            let ask = query.set_exclusive_start_key(start).send();
            let ask = Box::pin(async { ask.await.map_err(|error| failed(operation, &error)) });
            let answer = in_time::<Self, _>(operation, ask).await?;
            found.extend(answer.items.unwrap_or_default());
            start = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if start.is_none() || found.len() >= limit {
                return Ok(found);
            }
        }
    }
}
