//! The one writer: a thread that owns the only writing connection and commits calls in groups.
//!
//! A commit costs an `fsync`, whatever it holds. So the calls that arrived while the last commit was under way go into
//! one transaction, each within a savepoint of its own: a call that fails takes back its own writes only. Replies are
//! sent after the commit, never before.

use super::error::{BACKEND, kind_of};
use super::leased::Leased;
use super::transaction::SqliteRows;
use crate::error::{Kind, StoreError};
use crate::lease::SilenceWatch;
use crate::store::Waker;
use atlas_schema::Stage;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// The most calls of one commit: it bounds how long the first of them waits for the last.
const GROUP: usize = 256;
/// Between two looks for jobs of other processes. A look costs some microseconds.
const LOOK: Duration = Duration::from_millis(5);

/// Called after the commit: with the failure, if there was one.
type Reply = Box<dyn FnOnce(Result<(), Failure>) + Send>;
/// Runs a call inside its savepoint, if one could be opened; true if its writes stand.
type Call = Box<dyn FnOnce(Option<(&mut SqliteRows<'_>, &mut SilenceWatch)>) -> (bool, Reply) + Send>;

/// Why a group was not committed; each of its calls gets an error of its own.
#[derive(Clone)]
struct Failure {
    kind: Kind,
    message: String,
}

impl Failure {
    fn new(error: &rusqlite::Error) -> Self {
        Self { kind: kind_of(error), message: error.to_string() }
    }

    fn into_error(self, operation: &'static str) -> StoreError {
        StoreError::new(self.kind, BACKEND, operation).with_source(self.message)
    }
}

struct Task {
    operation: &'static str,
    call: Call,
}

/// The callers' end.
#[derive(Debug, Clone)]
pub(super) struct Writer(mpsc::Sender<Task>);

impl Writer {
    /// Starts the thread. It ends when the last clone is dropped, its queue is done and `reading` has no sender left:
    /// only a writing connection that closes last can fold the log into the file.
    pub(super) fn start(
        conn: Connection,
        stage: Stage,
        waker: Arc<Waker>,
        reading: mpsc::Receiver<()>,
        alive: watch::Sender<()>,
    ) -> Result<Self, StoreError> {
        let (sender, tasks) = mpsc::channel();
        let thread = thread::Builder::new().name("atlas-jobs-writer".into());
        thread
            .spawn(move || {
                let watch = SilenceWatch::new();
                let session = Session { watch, leased: Leased::default(), waker, youngest: None };
                serve(&conn, session, stage, &tasks);
                while reading.recv().is_ok() {}
                // First the file is closed, then it is said to be.
                drop(conn);
                drop(alive);
            })
            .map_err(|error| StoreError::new(Kind::Unavailable, BACKEND, "open").with_source(error))?;
        Ok(Self(sender))
    }

    /// Runs `call` in the next group and waits for its commit. Dropping the future does not stop the call.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        call: impl FnOnce(&mut SqliteRows<'_>, &mut SilenceWatch) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, reply) = oneshot::channel();
        let call: Call = Box::new(move |session| {
            let result = session.map(|(rows, watch)| {
                guarded(operation, || {
                    let value = call(rows, watch)?;
                    rows.flush().map(|()| value)
                })
            });
            let stands = matches!(result, Some(Ok(_)));
            let reply: Reply = Box::new(move |committed| {
                let result = match (result, committed) {
                    (Some(Err(error)), _) => Err(error),
                    (_, Err(failure)) => Err(failure.into_error(operation)),
                    (Some(Ok(value)), Ok(())) => Ok(value),
                    (None, Ok(())) => Err(StoreError::new(Kind::Internal, BACKEND, operation)),
                };
                // Nobody listens if the caller's future was dropped, which it may be.
                drop(sender.send(result));
            });
            (stands, reply)
        });
        let gone = || StoreError::new(Kind::Unavailable, BACKEND, operation);
        self.0.send(Task { operation, call }).map_err(|_| gone())?;
        reply.await.map_err(|_| gone())?
    }
}

/// What the thread knows from one transaction to the next.
struct Session {
    watch: SilenceWatch,
    leased: Leased,
    waker: Arc<Waker>,
    /// The youngest row of the job table.
    youngest: Option<i64>,
}

impl Session {
    /// Notices what other processes have written, and wakes who waits if there are jobs among it.
    ///
    /// Other writes wake nobody: two idle workers would keep each other awake by their heartbeats.
    fn look(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        if self.leased.look(conn)? {
            let sql = "SELECT max(rowid) FROM atlas_jobs_job";
            let youngest = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            if self.youngest != youngest {
                self.youngest = youngest;
                self.waker.wake();
            }
        }
        Ok(())
    }

    /// The next task; between two, while anyone waits for jobs, looks for those of other processes.
    fn next(&mut self, conn: &Connection, tasks: &mpsc::Receiver<Task>) -> Option<Task> {
        while self.waker.is_awaited() {
            match tasks.recv_timeout(LOOK) {
                Ok(task) => return Some(task),
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                // A look that fails costs a hint, and the next call will say why.
                Err(mpsc::RecvTimeoutError::Timeout) => drop(self.look(conn)),
            }
        }
        tasks.recv().ok()
    }
}

fn serve(conn: &Connection, mut session: Session, stage: Stage, tasks: &mpsc::Receiver<Task>) {
    while let Some(first) = session.next(conn, tasks) {
        let mut group: Vec<Task> = std::iter::once(first).chain(tasks.try_iter().take(GROUP - 1)).collect();
        while !group.is_empty() {
            group = commit(conn, stage, &mut session, group);
        }
    }
}

/// Runs a group in one transaction. Gives back those that must run again because a failure took the transaction away.
fn commit(conn: &Connection, stage: Stage, session: &mut Session, group: Vec<Task>) -> Vec<Task> {
    if let Err(error) = run(conn, "BEGIN IMMEDIATE").and_then(|()| session.look(conn)) {
        roll_back(conn);
        // Nothing ran: each call gets the same answer without having been tried.
        let failure = Failure::new(&error);
        for task in group {
            (task.call)(None).1(Err(failure.clone()));
        }
        return Vec::new();
    }
    let Session { watch, leased, .. } = session;
    let mut replies = Vec::with_capacity(group.len());
    // A call on its own takes the whole transaction back if it fails: a savepoint would make SQLite copy each page that the
    // call changes, a fifth of the work of a worker's round trip.
    let alone = group.len() == 1;
    let mut tasks = group.into_iter();
    for task in tasks.by_ref() {
        let opened = if alone { Ok(()) } else { run(conn, "SAVEPOINT atlas_jobs_call") };
        let mut rows = SqliteRows::new(conn, stage, task.operation, leased);
        let (stands, reply) = (task.call)(Some((&mut rows, &mut *watch)));
        if !stands {
            leased.forget_all();
        }
        if alone && !stands {
            // Whether SQLite has rolled back already or does it now: the call has its own failure to tell.
            roll_back(conn);
            reply(Ok(()));
            return Vec::new();
        }
        let closed = opened.and_then(|()| {
            if alone || conn.is_autocommit() {
                return Ok(());
            }
            if !stands {
                run(conn, "ROLLBACK TO atlas_jobs_call")?;
            }
            run(conn, "RELEASE atlas_jobs_call")
        });
        replies.push(reply);
        // A full disk or a failing one makes SQLite roll the whole transaction back.
        if conn.is_autocommit() || closed.is_err() {
            let failure = closed.err().as_ref().map_or_else(lost, Failure::new);
            leased.forget_all();
            roll_back(conn);
            for reply in replies {
                reply(Err(failure.clone()));
            }
            return tasks.collect();
        }
    }
    let committed = run(conn, "COMMIT").map_err(|error| Failure::new(&error));
    if committed.is_err() {
        leased.forget_all();
        roll_back(conn);
    }
    for reply in replies {
        reply(committed.clone());
    }
    Vec::new()
}

/// A panic in one call is that caller's failure: its writes are taken back, and the thread goes on for the
/// others. Nothing half done is seen afterwards: rows are read anew by each call, and a watch that missed a worker only
/// begins to watch it again.
pub(super) fn guarded<T>(
    operation: &'static str,
    call: impl FnOnce() -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        // The panic's own message may hold a payload: it goes to the host's panic hook.
        Err(StoreError::new(Kind::Internal, BACKEND, operation).with_source("the call panicked"))
    })
}

fn run(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute([]).map(|_| ())
}

fn lost() -> Failure {
    Failure { kind: Kind::Full, message: "the transaction was rolled back: the disk is full or failing".into() }
}

fn roll_back(conn: &Connection) {
    if !conn.is_autocommit()
        && let Err(error) = conn.execute_batch("ROLLBACK")
    {
        tracing::error!(%error, "a failed transaction could not be rolled back; the next one will be refused");
    }
}

// No call of the trait panics, so that the promise can't be seen through the public API.
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    fn writer() -> (Writer, mpsc::Sender<()>, watch::Receiver<()>) {
        let (alive, threads) = watch::channel(());
        let (reading, read_by) = mpsc::channel();
        let conn = Connection::open_in_memory().unwrap();
        crate::sqlite::schema::prepare(&conn, Stage::Dev).unwrap();
        conn.execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
        let waker = Arc::new(Waker::new());
        (Writer::start(conn, Stage::Dev, waker, read_by, alive).unwrap(), reading, threads)
    }

    #[tokio::test]
    async fn a_call_that_panics_fails_alone_and_its_writes_are_taken_back() {
        let (writer, _reading, _threads) = writer();
        let add =
            |n: i64| writer.call("command", move |rows, _| rows.run("INSERT INTO t VALUES (?1)", [n]).map(|_| ()));
        let panics = writer.call("enqueue", |rows, _| -> Result<(), StoreError> {
            rows.run("INSERT INTO t VALUES (?1)", [7])?;
            panic!("a bug")
        });
        // All three may share one commit.
        let (first, broken, last) = tokio::join!(add(1), panics, add(2));
        first.unwrap();
        last.unwrap();
        let error = broken.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (Kind::Internal, "enqueue"));
        add(3).await.unwrap();
        let count = |rows: &mut SqliteRows<'_>, _: &mut SilenceWatch| rows.run("DELETE FROM t WHERE n = ?1", [7]);
        assert_eq!(writer.call("command", count).await.unwrap(), 0, "its row is not there");
    }
}
