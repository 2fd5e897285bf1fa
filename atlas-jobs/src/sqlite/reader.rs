//! Readers: threads with read-only connections of their own, beside the writer.

use super::error::{BACKEND, failed};
use super::writer::guarded;
use crate::error::{Kind, StoreError};
use rusqlite::Connection;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use tokio::sync::{oneshot, watch};

type Task = Box<dyn FnOnce(&Connection) + Send>;

/// The callers' end.
#[derive(Debug, Clone)]
pub(super) struct Readers(mpsc::Sender<Task>);

impl Readers {
    /// Starts a thread per connection. They end when the last clone is dropped, and drop their `reading` then.
    pub(super) fn start(
        connections: Vec<Connection>,
        reading: &mpsc::Sender<()>,
        alive: &watch::Sender<()>,
    ) -> Result<Self, StoreError> {
        let (sender, tasks) = mpsc::channel::<Task>();
        let tasks = Arc::new(Mutex::new(tasks));
        for conn in connections {
            let (tasks, reading, alive) = (Arc::clone(&tasks), reading.clone(), alive.clone());
            let thread = thread::Builder::new().name("atlas-jobs-reader".into());
            thread
                .spawn(move || {
                    let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    while let Ok(task) = next() {
                        task(&conn);
                    }
                    // First the file is closed, then it is said to be.
                    drop(conn);
                    drop((reading, alive));
                })
                .map_err(|error| StoreError::new(Kind::Unavailable, BACKEND, "open").with_source(error))?;
        }
        Ok(Self(sender))
    }

    /// Runs `read` over one snapshot of the file.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (sender, reply) = oneshot::channel();
        let task: Task = Box::new(move |conn| {
            let result = match conn.unchecked_transaction() {
                Ok(snapshot) => guarded(operation, || read(&snapshot)),
                Err(error) => Err(failed(operation, error)),
            };
            // Nobody listens if the caller's future was dropped, which it may be.
            drop(sender.send(result));
        });
        let gone = || StoreError::new(Kind::Unavailable, BACKEND, operation);
        self.0.send(task).map_err(|_| gone())?;
        reply.await.map_err(|_| gone())?
    }
}
