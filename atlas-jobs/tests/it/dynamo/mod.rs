//! The store on DynamoDB, against a server that speaks its protocol.

// Without a server, nothing uses the helpers: their tests are shown as ignored.
#![allow(dead_code, unused_imports, unused_macros)]

mod audit;
mod caller;
mod failures;
mod faults;
mod landing;
mod layout;
mod network;
mod pace;
mod probe;
mod purges;

use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::{DynamoJobs, JobStore, Random};
use atlas_schema::Stage;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, HttpClient, Region, retry::RetryConfig};
use std::sync::Arc;

/// A client for a server of the tests. Its own retries are off, so that a test sees each failure.
pub(crate) fn client(url: &str) -> Client {
    client_over(url, aws_smithy_http_client::Builder::new().build_http())
}

/// The same over another connection.
pub(crate) fn client_over(url: &str, http: impl HttpClient + 'static) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(url)
        .retry_config(RetryConfig::disabled())
        .http_client(http);
    Client::from_conf(config.build())
}

/// A name that no other test has, so that all of them may share one server.
pub(crate) fn unused_table() -> String {
    format!("atlas-{:016x}", Random::from_os().unwrap().u64())
}

/// A store over a table of its own.
pub(crate) async fn store(change: impl FnOnce(DynamoOptions) -> DynamoOptions) -> DynamoJobs {
    let (client, table) = (client(&testkit::dynamo::shared()), unused_table());
    create_table(&client, &table).await.unwrap();
    DynamoJobs::open(client, change(DynamoOptions::new(table, Stage::Dev))).await.unwrap()
}

/// A store that also takes large payloads and results.
pub(crate) async fn large() -> Arc<dyn JobStore> {
    let artifacts = Arc::new(object_store::memory::InMemory::new());
    Arc::new(store(|options| options.with_artifacts(artifacts)).await)
}

/// How many random cases a test runs: `ATLAS_CASES`, or what the gate has time for.
fn cases(few: u64) -> u64 {
    std::env::var("ATLAS_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(few)
}

async fn plain() -> Arc<dyn JobStore> {
    Arc::new(store(|options| options).await)
}

async fn sharded() -> Arc<dyn JobStore> {
    Arc::new(store(|options| options.with_queue_shards(4).with_spread(3).with_lanes(5)).await)
}

testkit::with_dynamodb! {
    mod one_shard {
        atlas_jobs::job_store_conformance!(
            crate::dynamo::plain; base, claims, ordering, leases, listing, outbox, controls
        );
    }
    mod four_shards {
        atlas_jobs::job_store_conformance!(
            crate::dynamo::sharded; base, claims, leases, listing, outbox, controls
        );
    }
    mod with_artifacts {
        atlas_jobs::job_store_conformance!(crate::dynamo::large; base, claims, listing);
    }
}
