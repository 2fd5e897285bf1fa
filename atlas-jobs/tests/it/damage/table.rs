//! Damaged items of a table.

use super::*;
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;

struct TableHand {
    client: Client,
    table: String,
    name: &'static str,
}

impl TableHand {
    async fn set(&self, key: (String, &str), name: &str, change: impl Fn(&str) -> String) {
        let key = |name: &str| AttributeValue::S(if name == "pk" { key.0.clone() } else { key.1.into() });
        let item = self.client.get_item().table_name(&self.table).consistent_read(true);
        let item = item.key("pk", key("pk")).key("sk", key("sk")).send().await.unwrap().item.unwrap();
        let changed = AttributeValue::S(change(item[name].as_s().unwrap()));
        let update = self.client.update_item().table_name(&self.table).key("pk", key("pk")).key("sk", key("sk"));
        let update = update.update_expression(format!("SET {name} = :changed"));
        update.expression_attribute_values(":changed", changed).send().await.unwrap();
    }
}

impl Hand for TableHand {
    async fn damage(&self, job: JobId) {
        self.set((format!("J#{job}"), "M"), self.name, |text| format!("{{{text}")).await;
    }

    async fn mend(&self, job: JobId) {
        self.set((format!("J#{job}"), "M"), self.name, |text| text[1..].to_owned()).await;
    }

    async fn damage_all_but(&self, _: JobId) {}

    async fn mend_all_but(&self, _: JobId) {}

    async fn make_late(&self) {}

    async fn garble(&self, job: JobId) {
        self.set((format!("O#{job}:2:callback"), "O"), "entry", |_| "{".to_owned()).await;
    }
}

async fn fresh(part: Part) -> (Arc<dyn JobStore>, TableHand) {
    let (client, table) = (crate::dynamo::client(&testkit::dynamo::shared()), crate::dynamo::unused_table());
    create_table(&client, &table).await.unwrap();
    let store = atlas_jobs::DynamoJobs::open(client.clone(), DynamoOptions::new(&table, Stage::Dev)).await.unwrap();
    let name = if part == Part::Record { "rec" } else { "payload_json" };
    (Arc::new(store), TableHand { client, table, name })
}

testkit::with_dynamodb! {
    #[tokio::test]
    async fn an_item_of_a_table_that_can_not_be_read_stops_no_work_on_the_others() {
        let (store, hand) = fresh(Part::Record).await;
        others_go_on(store, &hand).await;
    }

    #[tokio::test]
    async fn a_limited_queue_of_a_table_goes_on_behind_items_that_can_not_be_read() {
        for part in [Part::Record, Part::Payload] {
            let (store, hand) = fresh(part).await;
            a_limited_queue_goes_on(store, &hand).await;
        }
    }

    #[tokio::test]
    async fn an_item_of_a_table_that_can_not_be_read_can_be_deleted() {
        let (store, hand) = fresh(Part::Record).await;
        what_can_not_be_read_can_be_deleted(store, &hand).await;
    }

    #[tokio::test]
    async fn items_of_a_table_that_can_not_be_read_hide_nothing_from_sweeps_and_purges() {
        let (store, hand) = fresh(Part::Record).await;
        let mut bench = Bench::new(Arc::clone(&store));
        let deadline = now().wall.saturating_add(Duration::from_hours(1));
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(bench.add(spec().with_deadline(deadline)).await);
        }
        // Where times are equal, ids decide.
        ids.sort_unstable();
        let last = ids.pop().unwrap();
        let status = async || store.get_one(last.into()).await.unwrap().map(|job| job.status);
        assert_eq!(bench.exchange(Vec::new(), 5).await.claimed.len(), 5);
        for id in &ids {
            hand.damage(*id).await;
        }
        let sweep = || SweepOptions::new(now()).with_limit(2);
        store.sweep(sweep().with_dead(vec![WorkerId::new("w").unwrap()])).await.unwrap();
        assert_eq!(status().await, Some(JobStatus::Pending), "its lease is over");
        let late = now().plus(Duration::from_hours(2));
        store.sweep(SweepOptions::new(late).with_limit(2)).await.unwrap();
        assert_eq!(status().await, Some(JobStatus::Timeout));
        for id in &ids {
            hand.mend(*id).await;
        }
        while store.sweep(SweepOptions::new(late)).await.unwrap().timed_out > 0 {}
        for id in &ids {
            hand.damage(*id).await;
        }
        let before = late.wall.saturating_add(Duration::from_hours(1));
        let options = PurgeOptions::new(Purge::Ended { status: JobStatus::Timeout, before }).with_limit(2);
        assert_eq!(store.purge(options).await.unwrap().jobs, 1);
        assert_eq!(status().await, None);
    }
}
