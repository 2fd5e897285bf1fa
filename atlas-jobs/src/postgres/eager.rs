//! Eager start: a job for an idle worker of the same process is added and claimed in one transaction.
//!
//! Adding and claiming each wait for the disk, and a job starts after both. So whoever adds a job that an idle worker of this
//! very store asked for in vain wakes it before the commit, leaves the transaction open for the moment that the worker needs
//! to ask, and lets its exchange in. Both are committed, or neither is; what each of them means is as ever.

use super::Db;
use super::claim::{Sight, Wanted};
use super::coalesce::OPERATION;
use super::enqueue::{Way, parts};
use super::error::{BACKEND, failed};
use super::exchange::Said;
use super::record::Reader;
use super::request::Request;
use super::session::Session;
use crate::error::{Kind, StoreError};
use crate::spec::NewJob;
use crate::store::Enqueued;
use atlas_schema::{JobId, JobKind, QueueName, WorkerId};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// So long a transaction waits for an idle worker: many times what it needs, and little beside a commit. A worker that does not
/// come is waited for once.
const OPEN: Duration = Duration::from_millis(2);

/// Which workers are idle, and the way into an open transaction.
#[derive(Default)]
pub(super) struct Eager {
    idle: Mutex<HashMap<WorkerId, Idle>>,
    door: Mutex<Option<oneshot::Sender<Guest>>>,
}

/// What a worker asked for last, and did not get enough of.
struct Idle {
    queues: Vec<QueueName>,
    kinds: Vec<JobKind>,
}

/// An exchange that goes along in the transaction of an enqueue.
pub(super) struct Guest {
    request: Arc<Request>,
    sight: Arc<Sight>,
    reply: oneshot::Sender<Result<Said, StoreError>>,
}

impl Eager {
    /// A worker got less than it asked for.
    pub(super) fn note_idle(&self, worker: &WorkerId, wanted: &Wanted) {
        let idle = Idle { queues: wanted.queues.clone(), kinds: wanted.kinds.clone() };
        lock(&self.idle).insert(worker.clone(), idle);
    }

    /// A worker asks again.
    pub(super) fn note_busy(&self, worker: &WorkerId) {
        lock(&self.idle).remove(worker);
    }

    /// Whether an idle worker asked for one of these.
    pub(super) fn is_wanted<'a>(&self, mut jobs: impl Iterator<Item = &'a NewJob>) -> bool {
        let idle = lock(&self.idle);
        !idle.is_empty()
            && jobs.any(|job| {
                let record = job.record();
                idle.values().any(|idle| idle.queues.contains(&record.queue) && idle.kinds.contains(&record.kind))
            })
    }

    /// Goes along in a transaction that is open for it, if there is one: what the statements said, once it is committed.
    pub(super) async fn go_along(
        &self,
        request: &Arc<Request>,
        sight: &Arc<Sight>,
    ) -> Option<Result<Said, StoreError>> {
        let door = lock(&self.door).take()?;
        let (reply, answer) = oneshot::channel();
        let guest = Guest { request: Arc::clone(request), sight: Arc::clone(sight), reply };
        // Too late: it was closed in that very moment.
        door.send(guest).ok()?;
        // Without an answer nobody knows whether it was committed.
        let unknown = |_| StoreError::new(Kind::Unavailable, BACKEND, "exchange");
        Some(answer.await.map_err(unknown).and_then(|said| said))
    }
}

impl Db {
    /// Adds jobs, and lets the idle worker in that wants them. Nothing is there if it fails.
    pub(super) async fn add_eagerly(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StoreError> {
        let mut client = self.client(OPERATION).await?;
        let transaction = self.begin(&mut client, OPERATION).await?;
        let mut answers = Vec::with_capacity(jobs.len());
        for part in parts(jobs) {
            answers.extend(self.add(Session::new(&transaction, OPERATION), part, Way::Within).await?);
        }
        let Some(Guest { request, sight, reply }) = self.guest().await else {
            transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
            self.waker.wake();
            return Ok(answers);
        };
        let said = match self.ask(&transaction, &request, Some(&sight), false).await {
            Ok(said) => transaction.commit().await.map(|()| said).map_err(|error| failed("exchange", &error)),
            Err(error) => Err(error),
        };
        let kind = said.as_ref().err().map(StoreError::kind);
        let all = said.as_ref().is_ok_and(|said| has_all(said, &answers));
        // Nobody listens if the worker's future was dropped: then its leases end by silence, or it reconciles.
        drop(reply.send(said));
        if let Some(kind) = kind {
            return Err(StoreError::new(kind, BACKEND, OPERATION));
        }
        if !all {
            self.waker.wake();
        }
        Ok(answers)
    }

    /// The exchange of a worker that is woken now, if one comes in time.
    async fn guest(&self) -> Option<Guest> {
        let (door, mut guest) = oneshot::channel();
        *lock(&self.eager.door) = Some(door);
        self.waker.wake();
        if let Ok(came) = tokio::time::timeout(OPEN, &mut guest).await {
            return came.ok();
        }
        guest.close();
        let came = guest.try_recv().ok();
        if came.is_none() {
            // Busy with something else, or gone: they are idle again when they say so.
            lock(&self.eager.idle).clear();
        }
        came
    }
}

/// Whether all jobs that were added were claimed: nobody else needs to look for them.
fn has_all(said: &Said, answers: &[Enqueued]) -> bool {
    let id = |row| Reader::new(row, OPERATION).id(1).ok();
    let claimed: HashSet<JobId> = said.claimed.iter().filter_map(id).collect();
    answers.iter().all(|answer| match answer {
        Enqueued::Created { id } => claimed.contains(id),
        Enqueued::Existing { .. } | Enqueued::Conflict { .. } | Enqueued::Refused(_) => true,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
