//! Calls that come at the same time share one commit.
//!
//! A commit costs a write to a disk or a round trip, whatever it holds, and calls of one stage all lock that stage's balance. So
//! the calls of a process that arrive while one commit is under way wait for it and go together in the next. Each is
//! decided by itself, in the order in which they came. A group that fails for no reason of its surroundings is tried call by
//! call: nobody fails for the sake of another.

use super::error::{Kind, LedgerError};
use super::hold::{HoldId, Reserve};
use super::rules::{crowded, pass_over};
use super::sheet::{Answer, Call};
use super::{MAX_BATCH, MAX_WAITING, Reserved};
use atlas_schema::{Alert, Timestamp, Usd};
use std::error::Error as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

type Outcome = Result<Answer, LedgerError>;

/// How long a step may take, longer than any server keeps a lock for: one connection that says nothing more must not stop all
/// calls of the process.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What carries out groups of calls, whole.
pub(super) trait Desk: Send + Sync + 'static {
    const BACKEND: &'static str;
    /// Most calls of one group: it bounds how long the first of them waits for the last.
    const GROUP: usize;

    /// Carries out as many of the calls, from the first on, as go into one commit, and at least one: an answer for each.
    /// The future may be dropped at any point; then either may hold.
    ///
    /// # Errors
    /// None of them was carried out, unless the error is retryable: then either may hold.
    fn carry_out(&self, calls: &[Call]) -> impl Future<Output = Result<Vec<Outcome>, LedgerError>> + Send;

    /// At most `limit` holds that look as if they had expired unsent.
    fn expired(&self, now: Timestamp, limit: usize) -> impl Future<Output = Result<Vec<HoldId>, LedgerError>> + Send;
}

struct Waiting {
    call: Call,
    reply: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Someone is at work on them.
    busy: bool,
}

/// The calls of a process.
pub(super) struct Group<D> {
    pub(super) desk: D,
    queue: Mutex<Queue>,
}

impl<D: Desk> Group<D> {
    pub(super) fn new(desk: D) -> Self {
        Self { desk, queue: Mutex::default() }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries out a call, together with those of other callers. Dropping the future loses the answer only; a reservation that nobody
    /// waits for before it was begun is not carried out.
    async fn call(self: &Arc<Self>, call: Call) -> Outcome {
        let operation = call.operation();
        let runtime = Handle::try_current().map_err(|_| {
            LedgerError::new(Kind::InvalidInput, D::BACKEND, operation)
                .with_source("there is no Tokio runtime: call the ledger from within one")
        })?;
        let (reply, answer) = oneshot::channel();
        // What was begun can still be ended when nothing more can be begun.
        let most = if matches!(call, Call::Reserve(..)) { MAX_WAITING } else { 2 * MAX_WAITING };
        let work = {
            let mut queue = self.queue();
            if queue.waiting.len() >= most {
                return Err(crowded(D::BACKEND, operation));
            }
            queue.waiting.push(Waiting { call, reply });
            let idle = !std::mem::replace(&mut queue.busy, true);
            // From here on it is its drop that ends being busy: a runtime that shuts down drops tasks that never ran.
            idle.then(|| Work { group: Arc::clone(self), over: false })
        };
        if let Some(work) = work {
            runtime.spawn(work.off());
        }
        // Only if the runtime of the task that worked has ended: the call may have been carried out.
        let gone = || LedgerError::new(Kind::Unavailable, D::BACKEND, operation).with_source("its task was ended");
        answer.await.map_err(|_| gone())?
    }

    pub(super) async fn reserve(self: &Arc<Self>, request: Reserve, now: Timestamp) -> Result<Reserved, LedgerError> {
        match self.call(Call::Reserve(request, now)).await? {
            Answer::Reserved(reserved) => Ok(reserved),
            _ => Self::odd("reserve"),
        }
    }

    pub(super) async fn send(self: &Arc<Self>, hold: HoldId) -> Result<(), LedgerError> {
        self.call(Call::Send(hold)).await.map(|_| ())
    }

    pub(super) async fn settle(
        self: &Arc<Self>,
        hold: HoldId,
        cost: Usd,
        now: Timestamp,
    ) -> Result<Vec<Alert>, LedgerError> {
        match self.call(Call::Settle(hold, cost, now)).await? {
            Answer::Settled(alerts) => Ok(alerts),
            _ => Self::odd("settle"),
        }
    }

    pub(super) async fn release(self: &Arc<Self>, hold: HoldId) -> Result<(), LedgerError> {
        self.call(Call::Release(hold)).await.map(|_| ())
    }

    /// For an answer of another sort than the call's.
    fn odd<T>(operation: &'static str) -> Result<T, LedgerError> {
        Err(LedgerError::new(Kind::Internal, D::BACKEND, operation).with_source("an answer to another call"))
    }

    /// An outcome for each call. Money of callers that died before they sent anything makes room for those that found none.
    async fn serve(&self, calls: &[Call]) -> Vec<Outcome> {
        let mut outcomes = self.all(calls).await;
        let refused = |outcome: &Outcome| matches!(outcome, Err(error) if error.kind() == Kind::Exceeded);
        let places: Vec<usize> = (0..outcomes.len()).filter(|at| refused(&outcomes[*at])).collect();
        let nows = places.iter().filter_map(|at| match &calls[*at] {
            Call::Reserve(_, now) => Some(*now),
            _ => None,
        });
        let Some(now) = nows.max() else { return outcomes };
        match self.sweep_all(now).await {
            Ok(false) => {}
            Ok(true) => {
                let again: Vec<Call> = places.iter().map(|at| calls[*at].clone()).collect();
                for (at, outcome) in places.into_iter().zip(self.all(&again).await) {
                    outcomes[at] = outcome;
                }
            }
            Err(error) => places.into_iter().for_each(|at| outcomes[at] = Err(copy(&error, calls[at].operation()))),
        }
        outcomes
    }

    /// Whether there was anything to refund: another process may have been quicker, and then there is room as well.
    async fn sweep_all(&self, now: Timestamp) -> Result<bool, LedgerError> {
        let mut any = false;
        loop {
            let (listed, refunded) = self.sweep_some(now, MAX_BATCH).await?;
            any |= listed > 0;
            if refunded == 0 {
                return Ok(any);
            }
        }
    }

    /// Refunds at most so many holds that have expired unsent, and tells how many.
    pub(super) async fn sweep(&self, now: Timestamp, limit: usize) -> Result<usize, LedgerError> {
        self.sweep_some(now, limit).await.map(|(_, refunded)| refunded)
    }

    /// How many were listed, and how many of those it refunded.
    async fn sweep_some(&self, now: Timestamp, limit: usize) -> Result<(usize, usize), LedgerError> {
        let expired = in_time::<D, _>("sweep", self.desk.expired(now, limit.min(MAX_BATCH))).await?;
        let calls: Vec<Call> = expired.into_iter().map(|id| Call::Expire(id, now)).collect();
        let mut refunded = 0;
        for some in calls.chunks(D::GROUP) {
            for (call, outcome) in some.iter().zip(self.all(some).await) {
                match outcome {
                    Err(error) if error.kind() == Kind::Corrupt => pass_over(D::BACKEND, &call.hold()),
                    outcome => refunded += usize::from(matches!(outcome?, Answer::Expired(true))),
                }
            }
        }
        Ok((calls.len(), refunded))
    }

    async fn all(&self, calls: &[Call]) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(calls.len());
        while let Some(rest) = calls.get(outcomes.len()..).filter(|rest| !rest.is_empty()) {
            match in_time::<D, _>(rest[0].operation(), self.desk.carry_out(rest)).await {
                Ok(some) if !some.is_empty() => outcomes.extend(some),
                Ok(_) => outcomes.push(Self::odd(rest[0].operation())),
                Err(error) if error.is_retryable() => {
                    outcomes.extend(rest.iter().map(|call| Err(copy(&error, call.operation()))));
                }
                Err(error) if rest.len() == 1 => outcomes.push(Err(error)),
                // One of them is at fault: they are tried one by one.
                Err(_) => {
                    for one in rest {
                        let alone =
                            in_time::<D, _>(one.operation(), self.desk.carry_out(std::slice::from_ref(one))).await;
                        let outcome =
                            alone.and_then(|mut answers| answers.pop().unwrap_or_else(|| Self::odd(one.operation())));
                        outcomes.push(outcome);
                    }
                }
            }
        }
        outcomes
    }
}

/// What a step gives, if it does so in time. After that its outcome is unknown.
pub(super) async fn in_time<D: Desk, T>(
    operation: &'static str,
    step: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    let late = || LedgerError::new(Kind::Unavailable, D::BACKEND, operation).with_source("no answer within 20 seconds");
    tokio::time::timeout(PATIENCE, step).await.unwrap_or_else(|_| Err(late()))
}

/// The same failure, for each of those whom it concerns.
fn copy(error: &LedgerError, operation: &'static str) -> LedgerError {
    let copied = LedgerError::new(error.kind(), error.backend(), operation);
    match error.source() {
        Some(source) => copied.with_source(source.to_string()),
        None => copied,
    }
}

/// Being the one at work. Whatever ends it, the next caller starts another.
struct Work<D: Desk> {
    group: Arc<Group<D>>,
    /// Someone else may be at work by now.
    over: bool,
}

impl<D: Desk> Work<D> {
    async fn off(mut self) {
        while let Some(group) = self.next() {
            let (calls, replies): (Vec<Call>, Vec<_>) = group.into_iter().map(|one| (one.call, one.reply)).unzip();
            for (reply, outcome) in replies.into_iter().zip(self.group.serve(&calls).await) {
                // Nobody listens if the caller's future was dropped, which it may be.
                drop(reply.send(outcome));
            }
        }
    }

    /// The next group; none, and the work is over.
    fn next(&mut self) -> Option<Vec<Waiting>> {
        let mut queue = self.group.queue();
        // Whoever would have sent something has gone.
        queue.waiting.retain(|one| !(matches!(one.call, Call::Reserve(..)) && one.reply.is_closed()));
        let most = queue.waiting.len().min(D::GROUP);
        let group: Vec<Waiting> = queue.waiting.drain(..most).collect();
        self.over = group.is_empty();
        queue.busy = !self.over;
        (!self.over).then_some(group)
    }
}

impl<D: Desk> Drop for Work<D> {
    fn drop(&mut self) {
        // Only if the task was taken away before its end, or before it ran at all: those who wait hear that they must try again.
        if !self.over {
            let mut queue = self.group.queue();
            queue.busy = false;
            let waiting = std::mem::take(&mut queue.waiting);
            drop(queue);
            // It wakes them: not under the lock.
            drop(waiting);
        }
    }
}
