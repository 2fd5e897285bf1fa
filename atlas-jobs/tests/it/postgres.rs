//! The PostgreSQL store, on a real server.

use atlas_jobs::PostgresJobs;
use atlas_schema::Stage;
use deadpool_postgres::{Manager, Pool};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio_postgres::{Config, NoTls};

/// A pool whose connections see a schema of its own, empty at first.
pub(crate) async fn pool() -> Pool {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut config: Config = testkit::postgres::shared().parse().unwrap();
    let (client, connection) = config.connect(NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    client.batch_execute(&format!("CREATE SCHEMA {name}")).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    config.options(format!("-c search_path={name}"));
    pool_of(config, 8)
}

pub(crate) fn pool_of(config: Config, size: usize) -> Pool {
    Pool::builder(Manager::new(config, NoTls)).max_size(size).build().unwrap()
}

pub(crate) async fn fresh() -> PostgresJobs {
    PostgresJobs::open(pool().await, Stage::Dev).await.unwrap()
}
