//! Eager start: a job for an idle worker of the same process is added and claimed in one transaction.
//!
//! Adding and claiming each wait for the disk, and a job starts after both. So whoever adds a job that an idle worker of this
//! very store asked for in vain wakes it before the commit, leaves the transaction open for the moment that the worker needs
//! to ask, and lets its exchange in. Both are committed, or neither is; what each of them means is as ever. It takes two
//! more messages to and fro, and one wait for the disk less.

use super::Db;
use super::claim::{Sight, Wanted};
use super::coalesce::OPERATION;
use super::columns::TELL;
use super::enqueue::{Way, parts};
use super::error::{BACKEND, failed};
use super::exchange::{Frame, Said};
use super::record::Reader;
use super::request::Request;
use super::session::{BEGIN, Session};
use crate::error::{Kind, StoreError};
use crate::spec::NewJob;
use crate::store::Enqueued;
use atlas_schema::{JobId, JobKind, QueueName, WorkerId};
use deadpool_postgres::Client;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

/// So long a transaction waits for an idle worker: many times what it needs, and little beside a commit.
const OPEN: Duration = Duration::from_millis(2);
/// Nobody is waited for so long after a worker did not come.
const REST: Duration = Duration::from_secs(1);
/// The worker's beat counts from the start of the transaction. An enqueue that took longer than this, since another holds one of its
/// keys, lets nobody in.
const YOUNG: Duration = Duration::from_millis(20);
/// More workers than a process has at a time: those that ended are forgotten.
const MOST_IDLE: usize = 1000;

/// Which workers are idle, and the way into an open transaction.
#[derive(Default)]
pub(super) struct Eager {
    idle: Mutex<Idle>,
    door: Mutex<Option<Door>>,
}

/// What workers asked for last, and got nothing of.
#[derive(Default)]
struct Idle {
    wanted: HashMap<WorkerId, (Vec<QueueName>, Vec<JobKind>)>,
    /// Until then nobody is waited for.
    rest: Option<Instant>,
}

/// The way in, for one worker.
struct Door {
    worker: WorkerId,
    guest: oneshot::Sender<Guest>,
}

/// Where an exchange looked, what it said, and the connection that it went over.
type Went = Result<(Option<Sight>, Said, Client), StoreError>;

/// An exchange that goes along in the transaction of an enqueue.
struct Guest {
    request: Arc<Request>,
    sight: Sight,
    reply: oneshot::Sender<Went>,
}

/// Why jobs were not added together with a claim.
pub(super) enum Failed {
    /// They can't be added.
    Jobs(StoreError),
    /// The claim may be the cause: without it they may get in.
    Guest,
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Jobs(error)
    }
}

impl Eager {
    /// A worker asked in vain.
    pub(super) fn note_idle(&self, worker: &WorkerId, wanted: &Wanted) {
        let mut idle = lock(&self.idle);
        if idle.wanted.len() >= MOST_IDLE {
            idle.wanted.clear();
        }
        idle.wanted.insert(worker.clone(), (wanted.queues.clone(), wanted.kinds.clone()));
    }

    /// A worker asks again.
    pub(super) fn note_busy(&self, worker: &WorkerId) {
        lock(&self.idle).wanted.remove(worker);
    }

    /// An idle worker that asked for one of these. Jobs with a time of their own are seldom due.
    pub(super) fn wanted_by<'a>(&self, jobs: impl Iterator<Item = &'a NewJob>) -> Option<WorkerId> {
        let idle = lock(&self.idle);
        if idle.wanted.is_empty() || idle.rest.is_some_and(|rest| Instant::now() < rest) {
            return None;
        }
        jobs.map(NewJob::record).filter(|job| job.run_at <= job.created_at).find_map(|job| {
            let wants = |(queues, kinds): &(Vec<QueueName>, Vec<JobKind>)| {
                queues.contains(&job.queue) && kinds.contains(&job.kind)
            };
            idle.wanted.iter().find(|(_, wanted)| wants(wanted)).map(|(worker, _)| worker.clone())
        })
    }

    /// Goes along in a transaction that is open for this worker, if there is one: what the statements said, once it is committed.
    ///
    /// Only a mere claim does: outcomes and progress lock leases, for which a host's transaction may be waiting that holds what
    /// the enqueue waits for.
    pub(super) async fn go_along(&self, request: &Arc<Request>, sight: impl FnOnce(&Wanted) -> Sight) -> Option<Went> {
        let claim = request.claim.as_ref()?;
        if !request.acks.is_empty() || !request.progress.ids.is_empty() {
            return None;
        }
        let door = lock(&self.door).take_if(|door| door.worker == request.worker)?;
        let (reply, answer) = oneshot::channel();
        // Too late: it was closed in that very moment.
        door.guest.send(Guest { request: Arc::clone(request), sight: sight(claim), reply }).ok()?;
        // Without an answer nobody knows whether it was committed.
        let unknown = |_| StoreError::new(Kind::Unavailable, BACKEND, "exchange");
        Some(answer.await.map_err(unknown).and_then(|went| went))
    }
}

impl Db {
    /// Adds jobs, and lets the idle worker in that wants them. If it fails, either all of it is there or nothing.
    pub(super) async fn add_eagerly(&self, jobs: Vec<NewJob>, worker: WorkerId) -> Result<Vec<Enqueued>, Failed> {
        let open = Open(Some(self.client(OPERATION).await?));
        let (began, watch) = (Instant::now(), self.fronts.watch());
        let wrong = |error| failed(OPERATION, &error);
        let add = async {
            let mut answers = Vec::with_capacity(jobs.len());
            for part in parts(jobs) {
                answers.extend(self.add(Session::new(open.client()?, OPERATION), part, Way::Ahead).await?);
            }
            Ok::<_, StoreError>(answers)
        };
        let (begun, added) = tokio::join!(biased; open.client()?.batch_execute(BEGIN), add);
        begun.map_err(wrong)?;
        let answers = added?;
        let new: Vec<Uuid> = answers.iter().filter_map(created).map(|id| id.as_uuid()).collect();
        let guest = if !new.is_empty() && began.elapsed() < YOUNG { self.guest(worker).await } else { None };
        let Some(Guest { request, sight, reply }) = guest else {
            if !new.is_empty() {
                Session::new(open.client()?, OPERATION).rows(TELL, &[&new]).await?;
            }
            open.client()?.batch_execute("COMMIT").await.map_err(wrong)?;
            drop(open.over());
            watch.committed();
            self.waker.wake();
            return Ok(answers);
        };
        // The commit goes with it.
        let said = self.ask(open.client()?, &request, Some(&sight), Frame::End { new: &new }).await;
        let all = said.as_ref().map(|said| has_all(said, &answers));
        let (all, committed) = (matches!(all, Ok(true)), all.is_ok());
        let went = said.and_then(|said| Ok((Some(sight), said, open.over().ok_or_else(no_connection)?)));
        // Nobody listens if the worker's future was dropped: then its leases end by silence, or it reconciles.
        drop(reply.send(went));
        if !committed {
            return Err(Failed::Guest);
        }
        watch.committed();
        if !all {
            self.waker.wake();
        }
        Ok(answers)
    }

    /// The exchange of a worker that is woken now, if it comes in time.
    async fn guest(&self, worker: WorkerId) -> Option<Guest> {
        let (guest, mut came) = oneshot::channel();
        *lock(&self.eager.door) = Some(Door { worker, guest });
        self.waker.wake();
        if let Ok(came) = tokio::time::timeout(OPEN, &mut came).await {
            return came.ok();
        }
        came.close();
        let came = came.try_recv().ok();
        if came.is_none() {
            lock(&self.eager.idle).rest = Some(Instant::now() + REST);
        }
        came
    }
}

/// A connection in a transaction. Dropped before it is over, it is closed, by which the server undoes what was done.
struct Open(Option<Client>);

impl Open {
    fn client(&self) -> Result<&Client, StoreError> {
        self.0.as_ref().ok_or_else(no_connection)
    }

    /// The transaction has ended.
    fn over(mut self) -> Option<Client> {
        self.0.take()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(client) = self.0.take() {
            drop(Client::take(client));
        }
    }
}

fn no_connection() -> StoreError {
    StoreError::new(Kind::Internal, BACKEND, OPERATION)
}

/// Whether all jobs that were added were claimed: nobody else needs to look for them.
fn has_all(said: &Said, answers: &[Enqueued]) -> bool {
    let id = |row| Reader::new(row, OPERATION).id(1).ok();
    let claimed: HashSet<JobId> = said.claimed.iter().filter_map(id).collect();
    answers.iter().filter_map(created).all(|id| claimed.contains(&id))
}

const fn created(answer: &Enqueued) -> Option<JobId> {
    match answer {
        Enqueued::Created { id } => Some(*id),
        Enqueued::Existing { .. } | Enqueued::Conflict { .. } | Enqueued::Refused(_) => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
