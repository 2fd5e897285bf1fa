//! Claim and complete on DynamoDB, against the rate at which the same server takes single conditional writes from the
//! same client: history, fencing, leases, counters and all.

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
/// Jobs of one claim: a worker of 16 slots that fetches fast jobs ahead.
const BATCH: usize = 100;
/// Bytes of a payload.
const PAYLOAD: usize = 50;

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
    let (mut raws, mut ours, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=scale.rounds {
        let raw = writes(&client, round, count).await?;
        let our = claims(&store, round, count).await?;
        // The first turn opens connections.
        if round > 0 {
            raws.push(raw);
            ours.push(our);
            ratios.push(our / raw);
        }
    }
    let middle = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    };
    let [raw, our, ratio] = [raws, ours, ratios].map(middle);
    Ok(vec![
        Row::new("dynamodb/claim-complete", our, "jobs/s"),
        Row::new("dynamodb/raw-conditional-writes", raw, "writes/s"),
        Row::new("dynamodb/to-raw", ratio, "ratio").at_least(0.6),
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

/// Jobs per second from pending to completed, by one worker.
async fn claims(store: &DynamoJobs, round: usize, count: usize) -> Result<f64> {
    let clock = SystemClock::new();
    let worker = WorkerId::new(format!("bench-{round}"))?;
    let store: Arc<dyn JobStore> = Arc::new(store.clone());
    drain::fill(&store, count, PAYLOAD).await?;
    let (mut acks, mut done) = (Vec::new(), 0);
    let since = Instant::now();
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
    anyhow::ensure!(done == count, "{done} of {count} jobs were completed");
    Ok(drain::rate(count, since.elapsed()))
}
