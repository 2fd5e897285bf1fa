//! Jobs in the host's own PostgreSQL database: what the host writes and the job that follows from it are one commit.
//!
//! `ATLAS_EXAMPLE_POSTGRES` names the database, such as `host=/run/postgresql user=me dbname=shop`. Everything stands in a
//! schema of its own, `atlas_example`, which is made anew at each start.

use atlas_jobs::store::{Ack, AckAction, AckOutcome, Scope};
use atlas_jobs::{HandlerError, JobContext, JobHandler, JobManager, JobSpec, PostgresJobs, Worker, handler_fn};
use atlas_schema::{ErrorCategory, IdempotencyKey, JobKind, JobStatus, Stage};
use deadpool_postgres::{Manager, Pool};
use std::sync::Arc;
use tokio_postgres::{Config, NoTls};
use tokio_util::sync::CancellationToken;

const VARIABLE: &str = "ATLAS_EXAMPLE_POSTGRES";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Ok(address) = std::env::var(VARIABLE) else {
        anyhow::bail!("name a database that may be written to: {VARIABLE}='host=/run/postgresql user=me dbname=test'");
    };
    let mut config: Config = address.parse()?;
    config.options("-c search_path=atlas_example");
    let pool = Pool::builder(Manager::new(config.clone(), NoTls)).max_size(8).build()?;
    let mut client = pool.get().await?;
    client
        .batch_execute(
            "SET client_min_messages = warning; DROP SCHEMA IF EXISTS atlas_example CASCADE; CREATE SCHEMA atlas_example;
             CREATE TABLE shop_order (no int8 PRIMARY KEY, cents int8 NOT NULL);
             CREATE TABLE invoice (no int8 PRIMARY KEY, cents int8 NOT NULL, fencing_key text NOT NULL)",
        )
        .await?;

    let store = PostgresJobs::open(pool.clone(), Stage::Dev).await?;
    // Other processes' jobs start at once, and not at the next poll.
    store.listen(config, NoTls).await?;
    let jobs = JobManager::new(Arc::new(store.clone()))?;
    let kind = JobKind::new("invoice")?;
    let spec = |order: i64| -> anyhow::Result<JobSpec> {
        Ok(JobSpec::new(kind.clone(), &order)?.with_idempotency_key(IdempotencyKey::new(format!("order:{order}"))?))
    };

    // The order and its job are one commit.
    let transaction = client.transaction().await?;
    transaction.execute("INSERT INTO shop_order VALUES (7, 1999)", &[]).await?;
    store.enqueue_in(&transaction, vec![jobs.prepare(spec(7)?)]).await?;
    transaction.commit().await?;

    // A customer who changes their mind leaves no job behind.
    let transaction = client.transaction().await?;
    transaction.execute("INSERT INTO shop_order VALUES (8, 500)", &[]).await?;
    store.enqueue_in(&transaction, vec![jobs.prepare(spec(8)?)]).await?;
    transaction.rollback().await?;

    // Any other driver, language or trigger does the same in plain SQL.
    client
        .batch_execute(
            "BEGIN; INSERT INTO shop_order VALUES (9, 100);
             SELECT atlas_jobs_enqueue('invoice', '9', idempotency_key => 'order:9'); COMMIT;
             BEGIN; INSERT INTO shop_order VALUES (10, 100);
             SELECT atlas_jobs_enqueue('invoice', '10', idempotency_key => 'order:10'); ROLLBACK",
        )
        .await?;

    let worker = Worker::builder(Arc::new(store.clone()))
        .handler(kind, invoices(pool.clone(), store.clone()))
        .stop_when_drained(true)
        .build()?;
    worker.run(CancellationToken::new()).await?;

    for row in client.query("SELECT no, cents, fencing_key FROM invoice ORDER BY no", &[]).await? {
        println!("invoice {}: {} cents, by {}", row.get::<_, i64>(0), row.get::<_, i64>(1), row.get::<_, String>(2));
    }
    let statistics = jobs.statistics(Scope::default()).await?;
    anyhow::ensure!((statistics.total(), statistics.in_status(JobStatus::Completed)) == (2, 2), "{statistics:?}");
    client.batch_execute("DROP SCHEMA atlas_example CASCADE").await?;
    Ok(())
}

/// Writes the invoice and ends its job in one transaction: there is never one without the other, whatever breaks.
fn invoices(pool: Pool, store: PostgresJobs) -> Arc<dyn JobHandler> {
    Arc::new(handler_fn(move |job: JobContext, order: i64| {
        let (pool, store) = (pool.clone(), store.clone());
        async move {
            invoice(&pool, &store, &job, order).await.map_err(|error| {
                eprintln!("order {order}: {error:#}");
                HandlerError::new(ErrorCategory::Network, "the invoice could not be written")
            })
        }
    }))
}

async fn invoice(pool: &Pool, store: &PostgresJobs, job: &JobContext, order: i64) -> anyhow::Result<()> {
    let mut client = pool.get().await?;
    let transaction = client.transaction().await?;
    let sql = "INSERT INTO invoice SELECT no, cents, $2 FROM shop_order WHERE no = $1";
    transaction.execute(sql, &[&order, &job.fencing_key()]).await?;
    if let Some(lease) = &job.record().lease {
        let done = AckAction::Complete { result: serde_json::Value::Null };
        let ack = Ack { job: job.id(), epoch: job.record().epoch, action: done };
        let outcome = store.complete_in(&transaction, &lease.worker, ack).await?;
        // Somebody else has the job by now: their invoice counts, and this one is rolled back.
        anyhow::ensure!(matches!(outcome, AckOutcome::Applied { .. }), "{outcome:?}");
    }
    transaction.commit().await?;
    Ok(())
}
