//! What the store relies on, asked of the server itself: no race test means anything on a server that gets these wrong.

use super::{client, unused_table};
use atlas_jobs::dynamodb::create_table;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, Put, ReturnValue, ReturnValuesOnConditionCheckFailure as OnFailure,
    TransactWriteItem, Update,
};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

struct Table {
    client: Client,
    name: String,
}

impl Table {
    async fn new() -> Arc<Self> {
        let table = Self { client: client(&testkit::dynamo::shared()), name: unused_table() };
        create_table(&table.client, &table.name).await.unwrap();
        Arc::new(table)
    }

    fn key(pk: &str) -> HashMap<String, AttributeValue> {
        HashMap::from([("pk".into(), s(pk)), ("sk".into(), s("s"))])
    }

    async fn put(&self, pk: &str, fields: &[(&str, AttributeValue)]) {
        let mut item = Self::key(pk);
        item.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await.unwrap();
    }

    async fn get(&self, pk: &str) -> Option<HashMap<String, AttributeValue>> {
        let get = self.client.get_item().table_name(&self.name).set_key(Some(Self::key(pk))).consistent_read(true);
        get.send().await.unwrap().item
    }

    /// A conditional step of a counter. Whether it was taken, or the error code.
    async fn step(&self, pk: &str, from: i64) -> Result<(), String> {
        let update = self.client.update_item().table_name(&self.name).set_key(Some(Self::key(pk)));
        let update = update.update_expression("SET v = :to").condition_expression("v = :from");
        let update =
            update.expression_attribute_values(":from", n(from)).expression_attribute_values(":to", n(from + 1));
        update.send().await.map(|_| ()).map_err(|error| error.code().unwrap_or("none").to_owned())
    }

    fn put_new(&self, pk: &str, condition: &str) -> TransactWriteItem {
        let put = Put::builder().table_name(&self.name).set_item(Some(Self::key(pk)));
        let put = put.condition_expression(condition).return_values_on_condition_check_failure(OnFailure::AllOld);
        TransactWriteItem::builder().put(put.build().unwrap()).build()
    }

    fn add(&self, pk: &str, by: i64) -> TransactWriteItem {
        let update = Update::builder().table_name(&self.name).set_key(Some(Self::key(pk)));
        let update = update.update_expression("ADD v :by").expression_attribute_values(":by", n(by));
        TransactWriteItem::builder().update(update.build().unwrap()).build()
    }

    async fn transact(&self, items: Vec<TransactWriteItem>, token: Option<&str>) -> Result<(), Vec<String>> {
        let write = self.client.transact_write_items().set_transact_items(Some(items));
        let sent = write.set_client_request_token(token.map(Into::into)).send().await;
        sent.map(|_| ()).map_err(|error| {
            let error = error.into_service_error();
            if !error.is_transaction_canceled_exception() {
                return vec![error.code().unwrap_or("none").to_owned()];
            }
            let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
                cancelled,
            ) = error
            else {
                return Vec::new();
            };
            let reasons = cancelled.cancellation_reasons.unwrap_or_default();
            reasons.iter().map(|reason| reason.code().unwrap_or("None").to_owned()).collect()
        })
    }
}

testkit::with_dynamodb! {
    #[tokio::test]
    async fn a_condition_that_is_not_met_changes_nothing_and_shows_what_stands_there() {
        let table = Table::new().await;
        table.put("a", &[("v", n(1))]).await;
        assert_eq!(table.step("a", 0).await, Err("ConditionalCheckFailedException".into()));
        assert_eq!(table.step("a", 1).await, Ok(()));
        assert_eq!(table.get("a").await.unwrap()["v"], n(2));
        let items = vec![table.put_new("b", "attribute_not_exists(pk)"), table.put_new("a", "attribute_not_exists(pk)")];
        let sent = table.client.transact_write_items().set_transact_items(Some(items)).send().await;
        let error = sent.unwrap_err().into_service_error();
        let text = format!("{error:?}");
        assert!(text.contains("ConditionalCheckFailed") && text.contains("\"v\""), "{text}");
        assert_eq!(table.get("b").await, None, "the other item was rolled back");
    }

    #[tokio::test]
    async fn a_cancelled_transaction_names_each_item_at_fault() {
        let table = Table::new().await;
        table.put("a", &[("v", n(1))]).await;
        table.put("c", &[("v", n(1))]).await;
        let absent = "attribute_not_exists(pk)";
        let items = vec![table.put_new("a", absent), table.put_new("b", absent), table.put_new("c", absent)];
        let reasons = table.transact(items, None).await.unwrap_err();
        assert_eq!(reasons, ["ConditionalCheckFailed", "None", "ConditionalCheckFailed"]);
    }

    #[tokio::test]
    async fn a_check_of_an_item_guards_a_transaction() {
        let table = Table::new().await;
        table.put("beat", &[("v", n(7))]).await;
        let check = |v| {
            let check = ConditionCheck::builder().table_name(&table.name).set_key(Some(Table::key("beat")));
            let check = check.condition_expression("v = :v").expression_attribute_values(":v", n(v));
            TransactWriteItem::builder().condition_check(check.build().unwrap()).build()
        };
        assert_eq!(table.transact(vec![table.add("x", 1), check(7)], None).await, Ok(()));
        assert!(table.transact(vec![table.add("x", 1), check(6)], None).await.is_err());
        assert_eq!(table.get("x").await.unwrap()["v"], n(1));
    }

    #[tokio::test]
    async fn two_writes_of_one_item_in_a_transaction_are_refused() {
        let table = Table::new().await;
        let codes = table.transact(vec![table.add("x", 1), table.add("x", 1)], None).await.unwrap_err();
        assert_eq!(codes, ["ValidationException"]);
    }

    #[tokio::test]
    async fn a_hundred_items_are_written_together_and_one_more_is_refused() {
        let table = Table::new().await;
        let adds = |count: usize| (0..count).map(|n| table.add(&format!("i{n}"), 1)).collect();
        assert_eq!(table.transact(adds(100), None).await, Ok(()));
        assert!(table.transact(adds(101), None).await.is_err());
        assert_eq!(table.get("i99").await.unwrap()["v"], n(1));
    }

    #[tokio::test]
    async fn a_request_token_makes_a_repeat_harmless() {
        let table = Table::new().await;
        for _ in 0..3 {
            assert_eq!(table.transact(vec![table.add("x", 1)], Some("token")).await, Ok(()));
        }
        assert_eq!(table.get("x").await.unwrap()["v"], n(1));
    }

    #[tokio::test]
    async fn an_item_over_its_size_is_refused() {
        let table = Table::new().await;
        let put = |bytes: usize| {
            let mut item = Table::key("large");
            item.insert("text".into(), s(&"x".repeat(bytes)));
            table.client.put_item().table_name(&table.name).set_item(Some(item)).send()
        };
        put(384 * 1024 + 200).await.unwrap();
        assert!(put(400 * 1024).await.is_err());
    }

    #[tokio::test]
    async fn an_index_holds_those_with_its_keys_in_order() {
        let table = Table::new().await;
        for (pk, place) in [("a", Some("3")), ("b", Some("1")), ("c", None), ("d", Some("2"))] {
            let mut fields = vec![("other", n(1))];
            if let Some(place) = place {
                fields.extend([("g1p", s("queue")), ("g1s", s(place))]);
            }
            table.put(pk, &fields).await;
        }
        let update = table.client.update_item().table_name(&table.name).set_key(Some(Table::key("d")));
        let update = update.update_expression("REMOVE g1p, g1s").return_values(ReturnValue::AllNew);
        assert!(!update.send().await.unwrap().attributes.unwrap().contains_key("g1p"));
        let query = table.client.query().table_name(&table.name).index_name("atlas-1");
        let query = query.key_condition_expression("g1p = :p and g1s between :low and :high");
        let query = query.expression_attribute_values(":p", s("queue")).expression_attribute_values(":low", s("0"));
        let found = query.expression_attribute_values(":high", s("9")).send().await.unwrap().items.unwrap();
        assert_eq!(found.iter().map(|item| item["pk"].as_s().unwrap().as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert!(found.iter().all(|item| !item.contains_key("other")), "keys only");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_steps_at_once_one_wins_each_time() {
        let table = Table::new().await;
        table.put("v", &[("v", n(0))]).await;
        for round in 0..40 {
            let steps = (0..8).map(|_| {
                let table = Arc::clone(&table);
                tokio::spawn(async move { table.step("v", round).await.is_ok() })
            });
            let mut wins = 0;
            for step in steps.collect::<Vec<_>>() {
                wins += u32::from(step.await.unwrap());
            }
            assert_eq!(wins, 1);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_addition_is_lost_and_no_transfer_torn() {
        let table = Table::new().await;
        let writers = (0..8).map(|_| {
            let table = Arc::clone(&table);
            tokio::spawn(async move {
                for _ in 0..50 {
                    assert_eq!(table.transact(vec![table.add("from", -1), table.add("to", 1)], None).await, Ok(()));
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
        assert_eq!(table.get("from").await.unwrap()["v"], n(-400));
        assert_eq!(table.get("to").await.unwrap()["v"], n(400));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_many_who_take_a_name_at_once_one_gets_it() {
        let table = Table::new().await;
        for round in 0..20 {
            let takers = (0..8).map(|_| {
                let table = Arc::clone(&table);
                let name = format!("name{round}");
                tokio::spawn(async move {
                    let items = vec![table.put_new(&name, "attribute_not_exists(pk)"), table.add("count", 1)];
                    table.transact(items, None).await.is_ok()
                })
            });
            let mut got = BTreeSet::new();
            for (number, taker) in takers.collect::<Vec<_>>().into_iter().enumerate() {
                if taker.await.unwrap() {
                    got.insert(number);
                }
            }
            assert_eq!(got.len(), 1);
        }
        assert_eq!(table.get("count").await.unwrap()["v"], n(20));
    }
}
