//! The one writer of a process: a thread that owns the connection and commits calls in groups.
//!
//! A commit costs an `fsync`, whatever it holds. So the calls that arrived while the last commit was under way go into one
//! transaction. Replies are sent after the commit, never before.

use super::rows::SqliteRows;
use super::{BACKEND, failed};
use crate::ledger::MAX_WAITING;
use crate::ledger::error::{Kind, LedgerError};
use crate::ledger::rules::crowded;
use rusqlite::Connection;
use std::error::Error as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use tokio::sync::oneshot;

/// The most calls of one commit: it bounds how long the first of them waits for the last.
const GROUP: usize = 256;

/// The operation that takes money, and has a smaller share of those that wait.
const RESERVE: &str = "reserve";

/// Runs a call; gives whether its writes stand, and what to do after the commit.
type Call = Box<dyn FnOnce(Result<&Connection, LedgerError>) -> (bool, After) + Send>;
/// Called after the commit, with the failure if there was one.
type After = Box<dyn FnOnce(Option<LedgerError>) + Send>;

/// The callers' end.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    calls: mpsc::Sender<Call>,
    /// How many of them the thread has not taken up yet.
    waiting: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts the thread; it ends when the last clone is dropped and its calls are done.
    pub(super) fn start(connection: Connection) -> Result<Self, LedgerError> {
        let (sender, calls) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waiting);
        let named = thread::Builder::new().name("atlas-ledger".into());
        named
            .spawn(move || run(&connection, &calls, &counted))
            .map_err(|error| LedgerError::new(Kind::Unavailable, BACKEND, "open").with_source(error))?;
        Ok(Self { calls: sender, waiting })
    }

    /// Runs `work` in a transaction and answers when it is durable.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl FnOnce(&mut SqliteRows<'_>) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let (reply, answer) = oneshot::channel();
        let call: Call = Box::new(move |connection| {
            // Whoever would have sent something has gone, before it was begun.
            if operation == RESERVE && reply.is_closed() {
                return (false, Box::new(|_| {}));
            }
            let run = |connection: &Connection| {
                let mut rows = SqliteRows { connection, operation };
                // A fault in one call must not end the thread that serves all.
                catch_unwind(AssertUnwindSafe(|| work(&mut rows))).unwrap_or_else(|_| {
                    Err(LedgerError::new(Kind::Internal, BACKEND, operation).with_source("the call panicked"))
                })
            };
            let result = connection.and_then(run);
            let stands = result.is_ok();
            let after: After = Box::new(move |failure| {
                // Who no longer waits has no use for the answer.
                let _ = reply.send(failure.map_or(result, Err));
            });
            (stands, after)
        });
        let gone = || LedgerError::new(Kind::Internal, BACKEND, operation).with_source("the ledger's thread has ended");
        // What was begun can still be ended when nothing more can be begun.
        let most = if operation == RESERVE { MAX_WAITING } else { 2 * MAX_WAITING };
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= most {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(crowded(BACKEND, operation));
        }
        self.calls.send(call).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

fn run(connection: &Connection, calls: &mpsc::Receiver<Call>, waiting: &AtomicUsize) {
    while let Ok(first) = calls.recv() {
        let mut group = vec![first];
        while group.len() < GROUP
            && let Ok(next) = calls.try_recv()
        {
            group.push(next);
        }
        waiting.fetch_sub(group.len(), Ordering::Relaxed);
        commit(connection, group);
    }
}

/// A full disk, a failed read or the like in one call makes SQLite undo the whole transaction. What came after it must not run
/// outside of one.
fn undone() -> LedgerError {
    LedgerError::new(Kind::Unavailable, BACKEND, "commit").with_source("the database undid the calls of this commit")
}

fn commit(connection: &Connection, group: Vec<Call>) {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        for call in group {
            call(Err(failed(&error, "begin"))).1(None);
        }
        return;
    }
    let mut answers = Vec::with_capacity(group.len());
    for call in group {
        if connection.is_autocommit() {
            answers.push((call(Err(undone())).1, None));
            continue;
        }
        let (stands, after) = match connection.execute_batch("SAVEPOINT call") {
            Ok(()) => call(Ok(connection)),
            Err(error) => call(Err(failed(&error, "begin"))),
        };
        let end = if stands { "RELEASE call" } else { "ROLLBACK TO call; RELEASE call" };
        let failure = connection.execute_batch(end).err().map(|error| failed(&error, "savepoint"));
        answers.push((after, failure));
    }
    let committed = if connection.is_autocommit() {
        Err(undone())
    } else {
        connection.execute_batch("COMMIT").map_err(|error| failed(&error, "commit"))
    };
    if committed.is_err() && !connection.is_autocommit() {
        // What could not be committed is given up: no later call may carry it along. If this fails too the next BEGIN says so.
        let _ = connection.execute_batch("ROLLBACK");
    }
    for (after, failure) in answers {
        let lost = committed.as_ref().err().map(|error| {
            let told = error.source().map(ToString::to_string).unwrap_or_default();
            LedgerError::new(error.kind(), BACKEND, "commit").with_source(told)
        });
        after(lost.or(failure));
    }
}
