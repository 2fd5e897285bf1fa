//! The server that is measured: its databases, and what it has spent.

use anyhow::{Context, Result};
use atlas_benches::cpu;
use atlas_jobs::PostgresJobs;
use atlas_schema::Stage;
use deadpool_postgres::{Manager, Pool};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use testkit::postgres::Server;
use tokio_postgres::{Client, Config, NoTls};

/// A server of our own, with `fsync` and all other settings of durability at their defaults: on.
pub(crate) struct Host {
    server: Server,
    pid: u32,
    databases: AtomicU32,
}

/// An empty database.
pub(crate) struct Database {
    pub(crate) config: Config,
    /// As other drivers want it.
    pub(crate) url: String,
}

/// What the server has spent so far.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    /// Bytes of write-ahead log.
    log: i64,
    /// Transactions that wrote something.
    commits: i64,
    /// Of all its processes.
    cpu: Duration,
}

/// The same per job, CPU in microseconds.
#[derive(Clone, Copy, Default)]
pub(crate) struct PerJob {
    pub(crate) log: f64,
    pub(crate) commits: f64,
    pub(crate) cpu: f64,
}

impl Host {
    pub(crate) fn start() -> Self {
        let server = Server::start();
        let pid = server.pid();
        Self { server, pid, databases: AtomicU32::new(0) }
    }

    pub(crate) async fn database(&self) -> Result<Database> {
        let name = format!("b{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut config: Config = self.server.url().parse()?;
        connect(&config).await?.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        config.dbname(&name);
        let folder = self.server.folder().to_str().context("the folder's name is no text")?;
        let url = format!("postgres://postgres@localhost/{name}?host={}", folder.replace('/', "%2F"));
        Ok(Database { config, url })
    }

    /// Ends a database: the server would tidy it up in turns to come.
    pub(crate) async fn remove(&self, database: Database) -> Result<()> {
        let name = database.config.get_dbname().context("a database without a name")?;
        let client = connect(&self.server.url().parse()?).await?;
        Ok(client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await?)
    }

    /// Numbers of the whole server: nothing else runs on it.
    pub(crate) async fn spent(&self) -> Result<Spent> {
        let client = connect(&self.server.url().parse()?).await?;
        let sql = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::int8,
            pg_snapshot_xmax(pg_current_snapshot())::text::int8";
        let row = client.query_one(sql, &[]).await?;
        Ok(Spent { log: row.get(0), commits: row.get(1), cpu: cpu::of_family(self.pid)? })
    }
}

impl Spent {
    #[allow(clippy::cast_precision_loss, reason = "counts of a bench are small")]
    pub(crate) fn until(self, after: Self, jobs: usize) -> PerJob {
        PerJob {
            log: (after.log - self.log) as f64 / jobs as f64,
            commits: (after.commits - self.commits) as f64 / jobs as f64,
            cpu: cpu::per_job(after.cpu.saturating_sub(self.cpu), jobs),
        }
    }
}

impl Database {
    pub(crate) fn pool(&self, size: usize) -> Result<Pool> {
        Ok(Pool::builder(Manager::new(self.config.clone(), NoTls)).max_size(size).build()?)
    }

    pub(crate) async fn store(&self, connections: usize) -> Result<PostgresJobs> {
        Ok(PostgresJobs::open(self.pool(connections)?, Stage::Dev).await?)
    }

    pub(crate) async fn connect(&self) -> Result<Client> {
        connect(&self.config).await
    }

    /// Otherwise the server does so at some time of its own, and it has nothing to do with what is measured.
    pub(crate) async fn tidy(&self) -> Result<()> {
        Ok(self.connect().await?.batch_execute("VACUUM ANALYZE").await?)
    }
}

async fn connect(config: &Config) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await?;
    // It ends with its client, or with an error that the client's calls tell too.
    tokio::spawn(connection);
    Ok(client)
}
