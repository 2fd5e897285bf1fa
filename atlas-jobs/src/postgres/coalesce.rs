//! Small calls that come at the same time share one statement and one commit.
//!
//! A commit costs a write to the disk, whatever it holds. So the calls that arrive while one is under way wait for it, and go
//! together next. Callers that were answered together tend to ask again together, so the next group waits for as many beside
//! those that wait already, a millisecond at most: else there would be two groups that take turns, each waiting for the commit
//! of the other. Where commits are quick nobody waits, but the others have their turn to come first. A caller that is alone waits
//! for no other. A group that fails is tried call by call: nobody fails for the sake of another.

use super::Db;
use super::eager::Failed;
use super::enqueue::{CHUNK, Way, parts};
use super::error::BACKEND;
use super::session::Session;
use crate::error::{Kind, StoreError};
use crate::spec::NewJob;
use crate::store::Enqueued;
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

pub(super) const OPERATION: &str = "enqueue";
/// Calls with more jobs than this have a statement of their own: they would make the others wait.
pub(super) const SMALL: usize = 50;

/// So long a group waits for those who were answered just now.
const GATHER: Duration = Duration::from_millis(1);
/// A group that took longer than this has waited for the disk: then it is worth while to wait for others.
const SLOW: Duration = Duration::from_millis(2);
/// So often the tasks of those who were answered have their turn before a group goes that waits for nothing.
const TURNS: usize = 8;

struct Call {
    jobs: Vec<NewJob>,
    reply: oneshot::Sender<Result<Vec<Enqueued>, StoreError>>,
}

/// The calls that wait, and whether someone is at work on them.
#[derive(Default)]
pub(super) struct Waiting {
    queue: Mutex<Queue>,
    /// As many calls have come as the next group waits for.
    gathered: Notify,
}

#[derive(Default)]
struct Queue {
    calls: Vec<Call>,
    busy: bool,
    wanted: usize,
}

impl Db {
    /// Adds a few jobs, together with those of other callers. Dropping the future loses the answer only.
    pub(super) async fn add_together(self: &Arc<Self>, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let start = {
            let mut queue = self.waiting.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.calls.push(Call { jobs, reply });
            if queue.calls.len() == queue.wanted {
                self.waiting.gathered.notify_one();
            }
            !std::mem::replace(&mut queue.busy, true)
        };
        if start {
            // Whatever ends this task, also before it has begun, the next caller starts another.
            let guard = Release { db: Arc::clone(self), over: Cell::new(false) };
            tokio::spawn(async move { guard.work_off().await });
        }
        answer.await.map_err(|_| StoreError::new(Kind::Unavailable, BACKEND, OPERATION))?
    }

    /// Answers a group, and says how many calls wait once those that were answered are back.
    async fn add_group(&self, mut group: Vec<Call>) -> usize {
        let answered = group.len();
        let sizes: Vec<usize> = group.iter().map(|call| call.jobs.len()).collect();
        let few = sizes.iter().sum::<usize>() <= SMALL;
        // Records from elsewhere go a way of their own.
        let few = few && !group.iter().flat_map(|call| &call.jobs).any(NewJob::is_migrated);
        let worker = if few { self.eager.wanted_by(group.iter().flat_map(|call| &call.jobs)) } else { None };
        let together = || group.iter().flat_map(|call| call.jobs.iter().cloned()).collect();
        let added = match worker {
            Some(worker) => Some(self.add_eagerly(together(), worker).await),
            None if answered > 1 => Some(self.add_now(together()).await.map_err(Failed::from)),
            None => None,
        };
        match added {
            Some(Ok(answers)) => {
                // Before anybody hears of it: who is answered may be back at once.
                let expected = self.waiting.calls().saturating_add(answered);
                let mut answers = answers.into_iter();
                for (call, size) in group.into_iter().zip(sizes) {
                    // Nobody listens if the caller's future was dropped, which it may be.
                    drop(call.reply.send(Ok(answers.by_ref().take(size).collect())));
                }
                expected
            }
            // It is the caller who tries again.
            Some(Err(Failed::Jobs(error))) if answered == 1 => {
                if let Some(call) = group.pop() {
                    drop(call.reply.send(Err(error)));
                }
                answered
            }
            _ => {
                let mut expected = answered;
                for call in group.drain(..) {
                    let answer = self.add_now(call.jobs).await;
                    expected = self.waiting.calls().saturating_add(answered);
                    drop(call.reply.send(answer));
                }
                expected
            }
        }
    }

    /// One statement, if that will do; a transaction for records from elsewhere, and for more than one statement takes.
    pub(super) async fn add_now(&self, jobs: Vec<NewJob>) -> Result<Vec<Enqueued>, StoreError> {
        let mut client = self.client(OPERATION).await?;
        let mut answers = Vec::with_capacity(jobs.len());
        let mut rest = jobs;
        while !rest.is_empty() {
            let watch = self.fronts.watch();
            let later = rest.split_off(rest.len().min(CHUNK));
            let migrated = rest.iter().any(NewJob::is_migrated);
            let mut parts = parts(rest);
            if migrated || parts.len() > 1 {
                let transaction = self.begin(&mut client, OPERATION).await?;
                for part in parts {
                    answers.extend(self.add(Session::new(&transaction, OPERATION), part, Way::Within).await?);
                }
                transaction.commit().await.map_err(|error| super::error::failed(OPERATION, &error))?;
                if migrated {
                    self.fronts.forget();
                }
            } else if let Some(part) = parts.pop() {
                answers.extend(self.add(Session::new(&client, OPERATION), part, Way::Own).await?);
            }
            watch.committed();
            rest = later;
        }
        self.waker.wake();
        Ok(answers)
    }
}

impl Waiting {
    fn calls(&self) -> usize {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).calls.len()
    }

    /// Lets the other tasks run, a few times, until so many calls wait.
    async fn give_way(&self, wanted: usize) {
        for _ in 0..TURNS {
            if self.calls() >= wanted {
                return;
            }
            crate::turn::give_way().await;
        }
    }

    /// Until so many calls wait, or not much longer.
    async fn gather(&self, wanted: usize) {
        let until = Instant::now() + GATHER;
        loop {
            {
                let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                queue.wanted = wanted;
                if queue.calls.len() >= wanted {
                    return;
                }
            }
            // Woken by an earlier group's call, it looks again.
            if timeout_at(until, self.gathered.notified()).await.is_err() {
                return;
            }
        }
    }
}

struct Release {
    db: Arc<Db>,
    /// Nothing was left: whoever comes now starts another task, and this one has nothing more to say.
    over: Cell<bool>,
}

impl Release {
    async fn work_off(self) {
        while let Some(group) = self.next() {
            let began = Instant::now();
            let expected = self.db.add_group(group).await;
            if expected > 1 && began.elapsed() > SLOW {
                self.db.waiting.gather(expected).await;
            } else {
                self.db.waiting.give_way(expected).await;
            }
        }
    }

    /// The calls of the next group; none, and the work is over.
    fn next(&self) -> Option<Vec<Call>> {
        let mut queue = self.db.waiting.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = 0;
        let fit = queue.calls.iter().take_while(|call| {
            jobs += call.jobs.len();
            jobs <= CHUNK
        });
        let fit = fit.count();
        let group: Vec<Call> = queue.calls.drain(..fit).collect();
        if group.is_empty() {
            queue.busy = false;
            self.over.set(true);
            return None;
        }
        Some(group)
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if self.over.get() {
            return;
        }
        // The task was taken away in the middle: those who wait hear that they must try again.
        let mut queue = self.db.waiting.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.busy = false;
        queue.calls.clear();
    }
}
