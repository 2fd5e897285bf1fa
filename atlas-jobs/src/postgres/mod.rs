//! The PostgreSQL store: many processes, one database.
//!
//! The host passes in its own pool. What a transition means is decided by the state machine; claims and completions, which are
//! nearly all of them, are written in sets by statements that say the same (`sql/claim_rest.sql`, `sql/complete.sql`), and the
//! tests hold them to it. The database's clock is the only one that decides anything.

mod beat;
mod claim;
mod coalesce;
mod columns;
mod eager;
mod enqueue;
mod error;
mod exchange;
mod fronts;
mod groups;
mod host;
mod listen;
mod outbox;
mod read;
mod record;
mod request;
mod rows;
mod schema;
mod session;
mod sweep;
mod transition;

use crate::clock::Moment;
use crate::error::StoreError;
use crate::spec::NewJob;
use crate::store::{
    Capabilities, CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, HistoryOptions, JobRef, JobStore,
    ListOptions, OutboxExchange, OutboxItem, Page, PurgeOptions, Purged, QueueChange, QueueState, Scope, Statistics,
    SweepOptions, Swept, Waker, Wakeups,
};
use async_trait::async_trait;
use atlas_schema::{Actor, AuditEvent, JobRecord, QueueName, Stage};
use claim::ClaimSql;
use columns::InsertSql;
use deadpool_postgres::{Client, Pool, Transaction};
use error::{failed, no_connection};
use fronts::Fronts;
use groups::Groups;
use record::Reader;
use session::Session;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, RwLock};

/// Jobs in a PostgreSQL database, version 14 or later. Clones share one pool.
#[derive(Clone)]
pub struct PostgresJobs {
    db: Arc<Db>,
}

impl fmt::Debug for PostgresJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresJobs").field("stage", &self.db.stage).finish_non_exhaustive()
    }
}

/// What the calls share.
struct Db {
    pool: Pool,
    stage: Stage,
    groups: Groups,
    inserts: InsertSql,
    claims: ClaimSql,
    fronts: Fronts,
    waiting: coalesce::Waiting,
    eager: eager::Eager,
    beats: beat::Beats,
    waker: Arc<Waker>,
    /// Queues that were seen to be paused or limited: claims from them go the careful way at once.
    controlled: RwLock<HashSet<QueueName>>,
}

impl PostgresJobs {
    /// Opens the store in the database that `pool` leads to, in the first schema of its search path, and makes or upgrades
    /// its tables. Any number of processes may do so at once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) if there is no connection,
    /// [`Kind::PermissionDenied`](crate::Kind::PermissionDenied) if the user may not create tables that are missing,
    /// [`Kind::NewerVersion`](crate::Kind::NewerVersion), [`Kind::WrongStage`](crate::Kind::WrongStage),
    /// [`Kind::Corrupt`](crate::Kind::Corrupt) if its own notes make no sense. Nothing is changed then.
    pub async fn open(pool: Pool, stage: Stage) -> Result<Self, StoreError> {
        let db = Db {
            pool,
            stage,
            groups: Groups::default(),
            inserts: InsertSql::new(),
            claims: ClaimSql::new(),
            fronts: Fronts::default(),
            waiting: coalesce::Waiting::default(),
            eager: eager::Eager::default(),
            beats: beat::Beats::default(),
            waker: Arc::new(Waker::new()),
            controlled: RwLock::default(),
        };
        schema::prepare(&mut db.client("open").await?, stage).await?;
        Ok(Self { db: Arc::new(db) })
    }
}

impl Db {
    #[expect(clippy::unused_self, reason = "of the store, as in the others")]
    const fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::minimal();
        can.durable = true;
        can.shared = true;
        can.own_clock = true;
        can.atomic_items = enqueue::CHUNK;
        can.max_payload_bytes = 1024 * 1024;
        can.max_result_bytes = 64 * 1024 * 1024;
        can.strict_order = true;
        can.queue_pause = true;
        can.queue_concurrency = true;
        can.queue_rate = true;
        can
    }

    async fn client(&self, operation: &'static str) -> Result<Client, StoreError> {
        self.pool.get().await.map_err(|error| no_connection(operation, &error))
    }

    /// A transaction that reads along indexes. Dropped, it is rolled back.
    async fn begin<'a>(&self, client: &'a mut Client, operation: &'static str) -> Result<Transaction<'a>, StoreError> {
        let transaction = client.transaction().await.map_err(|error| failed(operation, &error))?;
        transaction.batch_execute(session::PLAN).await.map_err(|error| failed(operation, &error))?;
        Ok(transaction)
    }

    async fn queues(&self, changes: &[QueueChange]) -> Result<Vec<QueueState>, StoreError> {
        const OPERATION: &str = "queues";
        let mut client = self.client(OPERATION).await?;
        let transaction = self.begin(&mut client, OPERATION).await?;
        let session = Session::new(&transaction, OPERATION);
        for change in changes {
            let sql = "INSERT INTO atlas_jobs_queue (queue, paused) VALUES ($1, false)
                ON CONFLICT (queue) DO UPDATE SET queue = excluded.queue
                RETURNING queue, paused, max_running, max_per_second";
            let rows = session.rows(sql, &[&change.queue.as_str()]).await?;
            let Some(row) = rows.first() else { continue };
            let state = claim::queue_state(Reader::new(row, OPERATION))?.changed(change);
            let sql = "UPDATE atlas_jobs_queue SET paused = $2, max_running = $3, max_per_second = $4 WHERE queue = $1";
            let (running, rate) = (state.max_running.map(i64::from), state.max_per_second.map(i64::from));
            session.rows(sql, &[&change.queue.as_str(), &state.paused, &running, &rate]).await?;
        }
        let sql = "SELECT queue, paused, max_running, max_per_second FROM atlas_jobs_queue ORDER BY queue";
        let rows = session.rows(sql, &[]).await?;
        let states = rows.iter().map(|row| claim::queue_state(Reader::new(row, OPERATION))).collect();
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        states
    }
}

#[async_trait]
impl JobStore for PostgresJobs {
    fn stage(&self) -> Stage {
        self.db.stage
    }

    fn capabilities(&self) -> Capabilities {
        self.db.capabilities()
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, _now: Moment) -> Result<Vec<Enqueued>, StoreError> {
        self.db.check_stage(&jobs, "enqueue")?;
        if jobs.len() <= coalesce::SMALL {
            return self.db.add_together(jobs).await;
        }
        self.db.add_now(jobs).await
    }

    async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        self.db.exchange(exchange).await
    }

    async fn command(
        &self,
        requests: Vec<CommandRequest>,
        actor: Actor,
        _now: Moment,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let outcomes = self.db.command(requests, &actor).await?;
        self.db.waker.wake();
        Ok(outcomes)
    }

    async fn get(&self, references: Vec<JobRef>) -> Result<Vec<Option<JobRecord>>, StoreError> {
        self.db.get(&references).await
    }

    async fn list(&self, options: ListOptions) -> Result<Page<JobRecord>, StoreError> {
        self.db.list(&options).await
    }

    async fn history(&self, options: HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        self.db.history(&options).await
    }

    async fn outbox(&self, exchange: OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
        self.db.outbox(&exchange).await
    }

    async fn sweep(&self, options: SweepOptions) -> Result<Swept, StoreError> {
        let swept = self.db.sweep(&options).await?;
        if swept.expired > 0 {
            self.db.waker.wake();
        }
        Ok(swept)
    }

    async fn statistics(&self, scope: Scope) -> Result<Statistics, StoreError> {
        self.db.statistics(&scope).await
    }

    async fn purge(&self, options: PurgeOptions) -> Result<Purged, StoreError> {
        self.db.purge(&options).await
    }

    async fn queues(&self, changes: Vec<QueueChange>, _now: Moment) -> Result<Vec<QueueState>, StoreError> {
        let states = self.db.queues(&changes).await?;
        self.db.waker.wake();
        Ok(states)
    }

    fn wakeups(&self) -> Option<Wakeups> {
        Some(self.db.waker.subscribe())
    }
}
