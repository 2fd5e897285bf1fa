//! The pace of a limited queue, when a claim does not come to its end.

use super::faults::{Fault, Faulty};
use super::{client, client_over, unused_table};
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::store::{Claim, Exchange, QueueChange};
use atlas_jobs::{Clock, DynamoJobs, JobManager, JobSpec, JobStore, SystemClock};
use atlas_schema::{JobKind, QueueName, Stage, WorkerId};
use aws_sdk_dynamodb::types::AttributeValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

testkit::with_dynamodb! {
    #[tokio::test]
    async fn what_of_a_pace_was_not_used_is_not_held_back_by_a_body_that_can_not_be_read() {
        let (url, table) = (testkit::dynamo::shared(), unused_table());
        let direct = client(&url);
        create_table(&direct, &table).await.unwrap();
        let options = DynamoOptions::new(&table, Stage::Dev);
        let clean = Arc::new(DynamoJobs::open(direct.clone(), options.clone()).await.unwrap());
        let jobs = JobManager::new(clean.clone()).unwrap();
        let kind = JobKind::new("k").unwrap();
        let add = async |priority: i16, bytes: usize| {
            let spec = JobSpec::new(kind.clone(), &"x".repeat(bytes)).unwrap().with_priority(priority);
            jobs.enqueue(spec).await.unwrap().id()
        };
        let bad = add(9, 1).await;
        // Its payload has an item of its own.
        add(5, 1000).await;
        let next = add(0, 1).await;
        let update = direct.update_item().table_name(&table).key("pk", AttributeValue::S(format!("J#{bad}")));
        let update = update.key("sk", AttributeValue::S("M".into())).update_expression("SET rec = :bad");
        update.expression_attribute_values(":bad", AttributeValue::S("{".into())).send().await.unwrap();
        // What was enqueued is due by then.
        let now = SystemClock::new().now().plus(Duration::from_secs(1));
        clean.queues(vec![QueueChange::new(QueueName::default()).with_max_per_second(Some(2))], now).await.unwrap();

        let taken = AtomicBool::new(false);
        let plan = move |_: usize, operation: &str| {
            taken.fetch_or(operation == "TransactWriteItems", Ordering::Relaxed);
            let body = operation == "GetItem" && taken.load(Ordering::Relaxed);
            if body { Fault::Down } else { Fault::None }
        };
        let faulty = Faulty::new(aws_smithy_http_client::Builder::new().build_http(), plan);
        let broken = DynamoJobs::open(client_over(&url, faulty.clone()), options).await.unwrap();
        let exchange = |worker: &str| {
            let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind.clone()], limit: 2 };
            Exchange::new(WorkerId::new(worker).unwrap(), 1, Duration::from_mins(1), now).with_claim(claim)
        };
        broken.exchange(exchange("w1")).await.unwrap_err();
        assert!(faulty.hit() > 0, "the payload was not to be had");
        let claimed = clean.exchange(exchange("w2")).await.unwrap().claimed;
        let ids: Vec<_> = claimed.iter().map(|job| job.id).collect();
        assert_eq!(ids, [next], "one of two is used, by the job whose payload was not read");
    }
}
