//! Claim and complete on DynamoDB, beside the rate at which the same server takes single conditional writes from the
//! same client: history, fencing, leases, counters and all. Interleaved; the median of the rounds.
//!
//! Needs the server of the tests: see `testkit::dynamo`.

use anyhow::Result;
use atlas_benches::{Row, report};
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::store::{Ack, AckAction, Claim, Exchange};
use atlas_jobs::{Clock, DynamoJobs, JobSpec, JobStore, NewJob, Random, SystemClock};
use atlas_schema::{JobKind, QueueName, Stage, WorkerId};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_dynamodb::types::AttributeValue;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Jobs, and raw writes, of one round.
const JOBS: usize = 2000;
const ROUNDS: usize = 5;
/// Raw writes at a time: as many as a store has requests under way.
const AT_ONCE: usize = 16;
/// Jobs of one claim: a worker of 16 slots that fetches fast jobs ahead.
const BATCH: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<ExitCode> {
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
    let (mut raw, mut jobs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        raw.push(writes(&client, round).await?);
        jobs.push(claims(&store, round).await?);
        ratios.push(jobs[round] / raw[round]);
    }
    Ok(report(&[
        Row::new("dynamodb/raw-conditional-writes", median(raw), "writes/s"),
        Row::new("dynamodb/claim+complete", median(jobs), "jobs/s"),
        Row::new("dynamodb/claim+complete-to-raw", median(ratios), "x").at_least(0.6),
    ]))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn rate(count: usize, since: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let count = count as f64;
    count / since.elapsed().as_secs_f64()
}

/// Conditional updates per second, of items of their own.
async fn writes(client: &Client, round: usize) -> Result<f64> {
    let text = |text: String| AttributeValue::S(text);
    let number = |number: usize| AttributeValue::N(number.to_string());
    let since = Instant::now();
    let hands = (0..AT_ONCE).map(|hand| {
        let client = client.clone();
        tokio::spawn(async move {
            for n in 0..JOBS / AT_ONCE {
                let update = client.update_item().table_name("raw").key("pk", text(format!("{hand}")));
                let update = update.key("sk", text("s".into())).update_expression("SET v = :to");
                let update = update.condition_expression("attribute_not_exists(v) or v < :to");
                let version = round * JOBS + n + 1;
                update.expression_attribute_values(":to", number(version)).send().await?;
            }
            anyhow::Ok(())
        })
    });
    for hand in hands.collect::<Vec<_>>() {
        hand.await??;
    }
    Ok(rate(JOBS, since))
}

/// Jobs per second from pending to completed, by one worker.
async fn claims(store: &DynamoJobs, round: usize) -> Result<f64> {
    let (clock, random) = (SystemClock::new(), Random::from_os()?);
    let kind = JobKind::new("bench")?;
    let new = || -> Result<NewJob> {
        let spec = JobSpec::new(kind.clone(), &"fifty bytes of payload, more or less, as it is")?;
        Ok(NewJob::new(spec, Stage::Dev, random.job_id(clock.now().wall), random.correlation_id()))
    };
    for _ in 0..JOBS / 500 {
        store.enqueue((0..500).map(|_| new()).collect::<Result<_>>()?, clock.now()).await?;
    }
    let worker = WorkerId::new(format!("bench-{round}"))?;
    let store: Arc<dyn JobStore> = Arc::new(store.clone());
    let (mut acks, mut done) = (Vec::new(), 0);
    let since = Instant::now();
    for beat in 1.. {
        let claim = Claim { queues: vec![QueueName::default()], kinds: vec![kind.clone()], limit: BATCH };
        let exchange = Exchange::new(worker.clone(), beat, Duration::from_secs(30), clock.now());
        let exchanged = store.exchange(exchange.with_acks(acks).with_claim(claim)).await?;
        done += exchanged.acks.len();
        let ack = |job: atlas_schema::JobRecord| Ack {
            job: job.id,
            epoch: job.epoch,
            action: AckAction::Complete { result: 1.into() },
        };
        acks = exchanged.claimed.into_iter().map(ack).collect();
        if acks.is_empty() {
            break;
        }
    }
    anyhow::ensure!(done == JOBS, "{done} of {JOBS} jobs were completed");
    Ok(rate(JOBS, since))
}
