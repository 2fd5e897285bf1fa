//! One connection in the middle of one call.

use super::error::failed;
use crate::error::StoreError;
use deadpool_postgres::{Client, Transaction};
use std::future::Future;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

pub(super) type Param<'a> = &'a (dyn ToSql + Sync);

/// For the length of a transaction, tables are read along their indexes. The planner would choose otherwise for a table
/// that it last saw nearly empty, and a prepared plan outlives what it was made for: a queue that is always short at night is
/// long in the morning. Every access of ours has its index.
///
/// A process that stops in the middle of a transaction keeps its locks for 10 seconds only: the server ends it then. Who waits
/// for a lock waits for longer than that, and then gives up: the call is `Busy`. A host's own transaction is the host's affair.
macro_rules! plan {
    () => {
        "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; \
         SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; \
         SET LOCAL plan_cache_mode = force_generic_plan; \
         SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL lock_timeout = '15s'"
    };
}

/// About so many bytes of payloads or results go into one statement; more are several statements of one transaction. The server
/// closes a connection that sends more than a GiB at once, and needs a multiple of what one sends.
pub(super) const PART: usize = 16 * 1024 * 1024;

/// Begins a transaction of ours.
pub(super) const BEGIN: &str = concat!("BEGIN; ", plan!());

/// The same for a transaction that has begun.
pub(super) const PLAN: &str = plan!();

/// What can run a statement: a connection, a transaction of ours, one of the host's.
pub(super) trait Conn: Sync {
    fn rows(&self, sql: &str, params: &[Param<'_>]) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;
}

impl Conn for Client {
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        let statement = self.prepare_cached(sql).await?;
        self.query(&statement, params).await
    }
}

impl Conn for Transaction<'_> {
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        let statement = self.prepare_cached(sql).await?;
        self.query(&statement, params).await
    }
}

impl Conn for tokio_postgres::Transaction<'_> {
    async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, Error> {
        self.query(sql, params).await
    }
}

/// A connection and the operation it is used for.
pub(super) struct Session<'a, C> {
    conn: &'a C,
    pub(super) operation: &'static str,
}

// Derived, they would ask the same of the connection.
impl<C> Clone for Session<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Session<'_, C> {}

impl<'a, C: Conn> Session<'a, C> {
    pub(super) const fn new(conn: &'a C, operation: &'static str) -> Self {
        Self { conn, operation }
    }

    pub(super) async fn rows(&self, sql: &str, params: &[Param<'_>]) -> Result<Vec<Row>, StoreError> {
        self.conn.rows(sql, params).await.map_err(|error| failed(self.operation, &error))
    }
}
