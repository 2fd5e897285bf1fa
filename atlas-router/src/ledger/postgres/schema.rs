//! The tables, and how an older database becomes a present one.
//!
//! All names begin with `atlas_router_` and stand in the first schema of the connection's search path: one database may serve
//! the host's tables and a job store too, or several stages in schemas of their own.

use super::error::{BACKEND, corrupt, failed};
use crate::ledger::error::{Kind, LedgerError};
use atlas_schema::Stage;
use deadpool_postgres::{Client, GenericClient};
use std::str::FromStr;

const OPERATION: &str = "open";

/// What brings a database from version `n` to `n + 1`, from 0.
const STEPS: [&str; 2] = [include_str!("sql/v1.sql"), include_str!("sql/v2.sql")];

/// Whoever opens the ledger waits for whoever is opening it. The number is `atlasldg` in ASCII.
const ALONE: &str = "SELECT pg_advisory_xact_lock(7022356884781556839)";

/// Creates or upgrades the tables, and binds them to their stage.
pub(super) async fn prepare(client: &mut Client, stage: Stage) -> Result<(), LedgerError> {
    let wrong = |error: tokio_postgres::Error| failed(OPERATION, &error);
    // Nothing is to be done, nearly always: then nothing is locked.
    if version(client).await? == STEPS.len() {
        return check(client, stage).await;
    }
    let transaction = client.transaction().await.map_err(wrong)?;
    // One that stops in the middle would keep all others from opening.
    let timeout = "SET LOCAL idle_in_transaction_session_timeout = '1min'";
    transaction.batch_execute(timeout).await.map_err(wrong)?;
    transaction.batch_execute(ALONE).await.map_err(wrong)?;
    let found = version(&transaction).await?;
    if found < STEPS.len() {
        if found == 0 {
            let meta = "CREATE TABLE atlas_router_meta (key text NOT NULL PRIMARY KEY, value text NOT NULL)";
            transaction.batch_execute(meta).await.map_err(wrong)?;
            put(&transaction, "stage", stage.as_str()).await?;
        }
        for step in STEPS.iter().skip(found) {
            transaction.batch_execute(step).await.map_err(wrong)?;
        }
        put(&transaction, "version", &STEPS.len().to_string()).await?;
    }
    check(&transaction, stage).await?;
    transaction.commit().await.map_err(wrong)
}

/// Refuses a database of a newer release or of another stage.
async fn check<C: GenericClient>(client: &C, stage: Stage) -> Result<(), LedgerError> {
    if version(client).await? > STEPS.len() {
        return Err(LedgerError::new(Kind::NewerVersion, BACKEND, OPERATION));
    }
    match meta(client, "stage").await?.as_deref().map(Stage::from_str) {
        Some(Ok(found)) if found == stage => Ok(()),
        Some(Ok(_)) => Err(LedgerError::new(Kind::WrongStage, BACKEND, OPERATION)),
        _ => Err(corrupt(OPERATION, "the ledger does not say which stage it belongs to")),
    }
}

/// How many steps the database has seen; 0 if it has no table of ours.
async fn version<C: GenericClient>(client: &C) -> Result<usize, LedgerError> {
    // Not by `to_regclass`: after a wait for the lock it may still remember that there was no such table.
    let tables = "SELECT EXISTS (SELECT FROM pg_catalog.pg_class
        WHERE relname = 'atlas_router_meta' AND relkind = 'r' AND pg_catalog.pg_table_is_visible(oid))";
    let row = client.query_one(tables, &[]).await.map_err(|error| failed(OPERATION, &error))?;
    if !row.try_get::<_, bool>(0).map_err(|error| failed(OPERATION, &error))? {
        return Ok(0);
    }
    let text = meta(client, "version").await?;
    text.and_then(|text| text.parse().ok())
        .filter(|version| *version > 0)
        .ok_or_else(|| corrupt(OPERATION, "the ledger does not say which version it is"))
}

async fn meta<C: GenericClient>(client: &C, key: &str) -> Result<Option<String>, LedgerError> {
    let sql = "SELECT value FROM atlas_router_meta WHERE key = $1";
    let row = client.query_opt(sql, &[&key]).await.map_err(|error| failed(OPERATION, &error))?;
    row.map(|row| row.try_get(0)).transpose().map_err(|error| failed(OPERATION, &error))
}

async fn put<C: GenericClient>(client: &C, key: &str, value: &str) -> Result<(), LedgerError> {
    let sql = "INSERT INTO atlas_router_meta (key, value) VALUES ($1, $2)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    client.execute(sql, &[&key, &value]).await.map(|_| ()).map_err(|error| failed(OPERATION, &error))
}
