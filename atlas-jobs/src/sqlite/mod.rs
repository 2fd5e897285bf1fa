//! The embedded store: one SQLite file.
//!
//! One thread writes and commits calls in groups; others read beside it. Several processes on one machine may
//! open one file; jobs that one enqueues are noticed by the workers of another within milliseconds. What a call means is in the kernel, which the memory store shares; this module keeps rows.

mod draft;
mod error;
mod leased;
mod read;
mod reader;
mod record;
mod rows;
mod schema;
mod transaction;
mod write;
mod writer;

use crate::clock::Moment;
use crate::error::{Kind, StoreError};
use crate::kernel;
use crate::spec::NewJob;
use crate::store::{
    Capabilities, CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, HistoryOptions, JobRef, JobStore,
    ListOptions, OutboxExchange, OutboxItem, Page, PurgeOptions, Purged, QueueChange, QueueState, Scope, Statistics,
    SweepOptions, Swept, Waker, Wakeups,
};
use async_trait::async_trait;
use atlas_schema::{Actor, AuditEvent, JobRecord, Stage};
use error::{BACKEND, failed};
use reader::Readers;
use rusqlite::{Connection, OpenFlags};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use writer::Writer;

/// What a commit survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// A crash of the process or the system, and a power cut: the log is synchronised at each commit
    /// (`synchronous=FULL`).
    #[default]
    Full,
    /// A crash of the process. A power cut may take the last commits, never half of one (`synchronous=NORMAL`).
    Process,
}

/// How a file is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteOptions {
    /// The file; it is made if it is not there, its folder is not.
    pub path: PathBuf,
    /// The stage whose jobs it keeps.
    pub stage: Stage,
    /// What a commit survives. Default [`Durability::Full`].
    pub durability: Durability,
    /// How long a call waits for another process's write. Default 5 s.
    pub busy_timeout: Duration,
    /// Only read: every call that writes fails with [`Kind::ReadOnly`], and nothing is made or upgraded.
    pub read_only: bool,
    /// Threads that read, 1 to 64. Default 2.
    pub readers: usize,
    /// The largest size of the file, in pages of 4096 bytes; `None` for no limit but the disk's. Default none.
    pub max_pages: Option<u32>,
}

impl SqliteOptions {
    /// A file with the defaults.
    pub fn new(path: impl Into<PathBuf>, stage: Stage) -> Self {
        Self {
            path: path.into(),
            stage,
            durability: Durability::Full,
            busy_timeout: Duration::from_secs(5),
            read_only: false,
            readers: 2,
            max_pages: None,
        }
    }

    /// With another durability.
    #[must_use]
    pub const fn with_durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// With another wait for other processes.
    #[must_use]
    pub const fn with_busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Only to read.
    #[must_use]
    pub const fn with_read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// With another number of reading threads.
    #[must_use]
    pub const fn with_readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// With a largest size.
    #[must_use]
    pub const fn with_max_pages(mut self, pages: Option<u32>) -> Self {
        self.max_pages = pages;
        self
    }
}

/// Jobs in one SQLite file. Clones share its threads; once the last clone is dropped they finish what was begun and
/// close the file, which [`close`](SqliteJobs::close) waits for.
///
/// A file that is deleted while it is open is used until it is closed, as the system does it: what is written goes with
/// it, and whoever opens the name meanwhile makes a new file.
#[derive(Clone)]
pub struct SqliteJobs {
    stage: Stage,
    writer: Option<Writer>,
    readers: Readers,
    waker: Arc<Waker>,
    threads: watch::Receiver<()>,
}

impl fmt::Debug for SqliteJobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJobs").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl SqliteJobs {
    /// Opens a file with the defaults, and makes or upgrades its tables.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub async fn open(path: impl AsRef<Path> + Send, stage: Stage) -> Result<Self, StoreError> {
        Self::open_with(SqliteOptions::new(path.as_ref(), stage)).await
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] if its folder is not there or it can't be opened, [`Kind::PermissionDenied`],
    /// [`Kind::ReadOnly`], [`Kind::Busy`] if another process holds it for longer than the busy timeout,
    /// [`Kind::Corrupt`] if it is no SQLite file or damaged, [`Kind::NewerVersion`], [`Kind::WrongStage`],
    /// [`Kind::Full`], [`Kind::InvalidInput`] for an impossible option. Nothing is changed then, and a file that was not
    /// there is not left behind.
    pub async fn open_with(options: SqliteOptions) -> Result<Self, StoreError> {
        // Opening waits for disks and other processes: not on the runtime's threads.
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&options)).await;
        opened.map_err(|error| StoreError::new(Kind::Internal, BACKEND, "open").with_source(error))?
    }

    fn open_blocking(options: &SqliteOptions) -> Result<Self, StoreError> {
        if !(1..=64).contains(&options.readers) {
            let rule = "the number of readers must be 1 to 64";
            return Err(StoreError::new(Kind::InvalidInput, BACKEND, "open").with_source(rule));
        }
        // These names mean another thing to SQLite, which no second connection could share.
        if options.path.as_os_str().is_empty() || options.path.as_os_str() == ":memory:" {
            let rule = "name a file; for jobs in memory there is `MemoryJobs`";
            return Err(StoreError::new(Kind::InvalidInput, BACKEND, "open").with_source(rule));
        }
        let (alive, threads) = watch::channel(());
        let (own, read_by) = mpsc::channel();
        let waker = Arc::new(Waker::new());
        let start = |conn| Writer::start(conn, options.stage, waker.clone(), read_by, alive.clone());
        let writer = if options.read_only { None } else { Some(start(writing(options)?)?) };
        let connections: Result<Vec<_>, _> = (0..options.readers).map(|_| reading(options)).collect();
        let readers = Readers::start(connections?, &own, &alive)?;
        Ok(Self { stage: options.stage, writer, readers, waker, threads })
    }

    /// Waits until the file is closed. Other clones keep it open: drop them first.
    pub async fn close(self) {
        let Self { writer, readers, mut threads, .. } = self;
        drop((writer, readers));
        // Nothing is ever sent: this ends when the last thread has.
        while threads.changed().await.is_ok() {}
    }

    fn writer(&self, operation: &'static str) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or_else(|| StoreError::new(Kind::ReadOnly, BACKEND, operation))
    }
}

fn connect(options: &SqliteOptions, flags: OpenFlags) -> Result<Connection, StoreError> {
    if let Err(error) = std::fs::metadata(&options.path)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        return Err(StoreError::new(Kind::PermissionDenied, BACKEND, "open").with_source(error));
    }
    let open = || {
        let conn = Connection::open_with_flags(&options.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        conn.busy_timeout(options.busy_timeout)?;
        conn.set_prepared_statement_cache_capacity(128);
        Ok(conn)
    };
    open().map_err(|error| failed("open", error))
}

fn writing(options: &SqliteOptions) -> Result<Connection, StoreError> {
    // A file that can't be made whole is not made at all.
    if std::fs::metadata(&options.path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        draft::make(options)?;
    }
    write_to(options)
}

fn write_to(options: &SqliteOptions) -> Result<Connection, StoreError> {
    let conn = connect(options, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let pragma = |name: &str, value: &str| conn.pragma_update(None, name, value).map_err(|error| failed("open", error));
    write_ahead(&conn, options.busy_timeout).map_err(|error| failed("open", error))?;
    pragma("synchronous", if options.durability == Durability::Full { "FULL" } else { "NORMAL" })?;
    // Some 16 MiB of log between checkpoints: fewer of them stand in the way of a burst.
    pragma("wal_autocheckpoint", "4000")?;
    if let Some(pages) = options.max_pages {
        pragma("max_page_count", &pages.to_string())?;
    }
    schema::prepare(&conn, options.stage)?;
    Ok(conn)
}

/// Turns the write-ahead log on, asking again while another connection is doing the same to a new file.
///
/// `SQLite` answers this one lock with "busy" at once, without regard to its busy timeout.
fn write_ahead(conn: &Connection, patience: Duration) -> rusqlite::Result<()> {
    let start = Instant::now();
    loop {
        match conn.pragma_update(None, "journal_mode", "WAL") {
            Err(error)
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
                    && start.elapsed() < patience =>
            {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return done,
        }
    }
}

fn reading(options: &SqliteOptions) -> Result<Connection, StoreError> {
    let conn = connect(options, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    schema::check(&conn, options.stage)?;
    Ok(conn)
}

#[async_trait]
impl JobStore for SqliteJobs {
    fn stage(&self) -> Stage {
        self.stage
    }

    fn capabilities(&self) -> Capabilities {
        rows::capabilities()
    }

    async fn enqueue(&self, jobs: Vec<NewJob>, now: Moment) -> Result<Vec<Enqueued>, StoreError> {
        let call = move |rows: &mut transaction::SqliteRows<'_>, _: &mut _| kernel::enqueue(rows, jobs, now.wall);
        let enqueued = self.writer("enqueue")?.call("enqueue", call).await?;
        self.waker.wake();
        Ok(enqueued)
    }

    async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        let gives_back = exchange.gives_back();
        let call = move |rows: &mut transaction::SqliteRows<'_>, _: &mut _| kernel::exchange(rows, exchange);
        let exchanged = self.writer("exchange")?.call("exchange", call).await?;
        if gives_back {
            self.waker.wake();
        }
        Ok(exchanged)
    }

    async fn command(
        &self,
        requests: Vec<CommandRequest>,
        actor: Actor,
        now: Moment,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let call =
            move |rows: &mut transaction::SqliteRows<'_>, _: &mut _| kernel::command(rows, requests, &actor, now.wall);
        let outcomes = self.writer("command")?.call("command", call).await?;
        self.waker.wake();
        Ok(outcomes)
    }

    async fn get(&self, references: Vec<JobRef>) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let stage = self.stage;
        self.readers.call("get", move |conn| read::get(conn, stage, &references)).await
    }

    async fn list(&self, options: ListOptions) -> Result<Page<JobRecord>, StoreError> {
        let stage = self.stage;
        self.readers.call("list", move |conn| read::list(conn, stage, &options)).await
    }

    async fn history(&self, options: HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        self.readers.call("history", move |conn| read::history(conn, &options)).await
    }

    async fn outbox(&self, exchange: OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
        self.writer("outbox")?.call("outbox", move |rows, _| kernel::outbox(rows, &exchange)).await
    }

    async fn sweep(&self, options: SweepOptions) -> Result<Swept, StoreError> {
        let call = move |rows: &mut transaction::SqliteRows<'_>, watch: &mut _| kernel::sweep(rows, watch, &options);
        let swept = self.writer("sweep")?.call("sweep", call).await?;
        if swept.expired > 0 {
            self.waker.wake();
        }
        Ok(swept)
    }

    async fn statistics(&self, scope: Scope) -> Result<Statistics, StoreError> {
        self.readers.call("statistics", move |conn| read::statistics(conn, &scope)).await
    }

    async fn purge(&self, options: PurgeOptions) -> Result<Purged, StoreError> {
        self.writer("purge")?.call("purge", move |rows, _| kernel::purge(rows, &options)).await
    }

    async fn queues(&self, changes: Vec<QueueChange>, _now: Moment) -> Result<Vec<QueueState>, StoreError> {
        let states = self.writer("queues")?.call("queues", move |rows, _| kernel::queues(rows, &changes)).await?;
        self.waker.wake();
        Ok(states)
    }

    fn wakeups(&self) -> Option<Wakeups> {
        Some(self.waker.subscribe())
    }
}
