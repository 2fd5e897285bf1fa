//! Claim and complete on DynamoDB, with history, fencing, leases, counters and all, against the rate at which the same server
//! takes single conditional writes from the same client: of a number, and of what a job's two transitions change.

use crate::{Scale, drain};
use anyhow::Result;
use atlas_benches::Row;
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::store::{Ack, AckAction, Claim, Exchange};
use atlas_jobs::{Clock, DynamoJobs, JobStore, SystemClock};
use atlas_schema::{JobRecord, QueueName, Stage, WorkerId};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The most jobs, and raw writes, of one turn: the server keeps all of them in memory.
const MOST: usize = 2000;
/// Raw writes at a time: as many as a store has requests under way.
const AT_ONCE: usize = 16;
/// Workers, each with one exchange under way.
const WORKERS: usize = 2;
/// Jobs of one claim: a worker of 8 slots that fetches fast jobs ahead.
const BATCH: usize = 90;
/// Bytes of a payload, and about those of a job's record and of an event of it.
const PAYLOAD: usize = 50;
const RECORD: usize = 440;
const EVENT: usize = 130;

pub(crate) fn rows(runtime: &Runtime, scale: Scale) -> Result<Vec<Row>> {
    if !testkit::dynamo::is_available() {
        return Ok(vec![Row::absent("dynamodb/to-raw (no server: `cargo xtask test` builds it)", "ratio")]);
    }
    runtime.block_on(measure(scale))
}

async fn measure(scale: Scale) -> Result<Vec<Row>> {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(testkit::dynamo::shared())
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    let client = Client::from_conf(config.build());
    create_table(&client, "raw").await?;
    create_table(&client, "jobs").await?;
    let store = DynamoJobs::open(client.clone(), DynamoOptions::new("jobs", Stage::Dev)).await?;
    let count = scale.jobs.clamp(AT_ONCE, MOST) / AT_ONCE * AT_ONCE;
    let mut turns: [Vec<f64>; 5] = Default::default();
    for round in 0..=scale.rounds {
        let raw = writes(&client, round, count).await?;
        let like = transitions(&client, round, count).await?;
        let our = claims(&store, round, count).await?;
        // The first turn opens connections.
        if round > 0 {
            turns.iter_mut().zip([raw, like, our, our / raw, our / like]).for_each(|(turns, one)| turns.push(one));
        }
    }
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    };
    let [raw, like, our, to_raw, to_like] = turns.map(middle);
    Ok(vec![
        Row::new("dynamodb/claim-complete", our, "jobs/s"),
        Row::new("dynamodb/raw-conditional-writes", raw, "writes/s"),
        Row::new("dynamodb/to-raw", to_raw, "ratio").at_least(0.6),
        Row::new("dynamodb/raw-transitions", like, "writes/s"),
        Row::new("dynamodb/to-raw-transitions", to_like, "ratio"),
    ])
}

/// Conditional updates per second, of items of their own.
async fn writes(client: &Client, round: usize, count: usize) -> Result<f64> {
    let text = |text: String| AttributeValue::S(text);
    let number = |number: usize| AttributeValue::N(number.to_string());
    let since = Instant::now();
    let hands = (0..AT_ONCE).map(|hand| {
        let client = client.clone();
        tokio::spawn(async move {
            for n in 0..count / AT_ONCE {
                let update = client.update_item().table_name("raw").key("pk", text(format!("{hand}")));
                let update = update.key("sk", text("s".into())).update_expression("SET v = :to");
                let update = update.condition_expression("attribute_not_exists(v) or v < :to");
                let version = round * count + n + 1;
                update.expression_attribute_values(":to", number(version)).send().await?;
            }
            anyhow::Ok(())
        })
    });
    for hand in hands.collect::<Vec<_>>() {
        hand.await??;
    }
    Ok(drain::rate(count, since.elapsed()))
}

/// Conditional updates per second that change what the two transitions of a job do: record, version, an event, and the
/// place in an index, which the first leaves and the second enters.
async fn transitions(client: &Client, round: usize, count: usize) -> Result<f64> {
    let text = AttributeValue::S;
    let number = |number: usize| AttributeValue::N(number.to_string());
    let items: Vec<String> = (0..count / 2).map(|n| format!("J#{round:03}-{n:032}")).collect();
    for item in &items {
        let put = client.put_item().table_name("raw").item("pk", text(item.clone())).item("sk", text("M".into()));
        let put = put.item("g1p", text("R#bench".into())).item("g1s", text(item.clone())).item("v", number(1));
        let put = put.item("payload", text("x".repeat(PAYLOAD))).item("e1", text("x".repeat(EVENT)));
        put.item("rec", text("x".repeat(RECORD))).send().await?;
    }
    let since = Instant::now();
    let hands = items.chunks(items.len().div_ceil(AT_ONCE)).map(|items| {
        let (client, items) = (client.clone(), items.to_vec());
        tokio::spawn(async move {
            for item in items {
                for (was, place) in [(1, " REMOVE g1p, g1s"), (2, ", g1p = :p, g1s = :s")] {
                    let update = client.update_item().table_name("raw").key("pk", text(item.clone()));
                    let set = format!("SET rec = :rec, e{} = :event, v = :to{place}", was + 1);
                    let mut update = update.key("sk", text("M".into())).update_expression(set);
                    update = update.condition_expression("v = :was");
                    update = update.expression_attribute_values(":was", number(was));
                    update = update.expression_attribute_values(":to", number(was + 1));
                    update = update.expression_attribute_values(":rec", text("y".repeat(RECORD)));
                    update = update.expression_attribute_values(":event", text("y".repeat(EVENT)));
                    if was == 2 {
                        update = update.expression_attribute_values(":p", text("Z#done".into()));
                        update = update.expression_attribute_values(":s", text(item.clone()));
                    }
                    update.send().await?;
                }
            }
            anyhow::Ok(())
        })
    });
    for hand in hands.collect::<Vec<_>>() {
        hand.await??;
    }
    Ok(drain::rate(items.len() * 2, since.elapsed()))
}

/// Jobs per second from pending to completed.
async fn claims(store: &DynamoJobs, round: usize, count: usize) -> Result<f64> {
    let store: Arc<dyn JobStore> = Arc::new(store.clone());
    drain::fill(&store, count, PAYLOAD).await?;
    let since = Instant::now();
    let workers = (0..WORKERS).map(|n| tokio::spawn(work(store.clone(), format!("bench-{round}-{n}"))));
    let mut done = 0;
    for worker in workers.collect::<Vec<_>>() {
        done += worker.await??;
    }
    anyhow::ensure!(done == count, "{done} of {count} jobs were completed");
    Ok(drain::rate(count, since.elapsed()))
}

/// Claims and completes until nothing is left, and gives the number of jobs.
async fn work(store: Arc<dyn JobStore>, name: String) -> Result<usize> {
    let (clock, worker) = (SystemClock::new(), WorkerId::new(name)?);
    let (mut acks, mut done) = (Vec::new(), 0);
    for beat in 1.. {
        let claim = Claim { queues: vec![QueueName::default()], kinds: vec![drain::kind()?], limit: BATCH };
        let exchange = Exchange::new(worker.clone(), beat, Duration::from_secs(30), clock.now());
        let exchanged = store.exchange(exchange.with_acks(acks).with_claim(claim)).await?;
        done += exchanged.acks.len();
        let ack =
            |job: JobRecord| Ack { job: job.id, epoch: job.epoch, action: AckAction::Complete { result: 1.into() } };
        acks = exchanged.claimed.into_iter().map(ack).collect();
        if acks.is_empty() {
            break;
        }
    }
    Ok(done)
}
