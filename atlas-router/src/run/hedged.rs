//! A call, and another beside it if it is slow.
//!
//! Each has its own hold. Whichever is answered first is taken; the other is cancelled, and its hold stays counted at its bound, as that
//! of any cancelled call: its provider may bill it.

use super::attempt::CallAttempt;
use super::one::Begun;
use super::time::Job;
use super::{How, Inner, Planned, Tried};
use crate::call::{Event, Hedge, Plan};
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

impl Inner {
    /// One attempt, or two beside each other: which target's event, or reply, it ended with.
    pub(super) async fn hedged(
        &self,
        job: &Job<'_>,
        planned: &Planned,
        plan: &mut Plan,
        (at, wait): (usize, Duration),
        hedge: Hedge,
        trail: &mut Vec<CallAttempt>,
    ) -> (usize, Tried) {
        let cancels = [job.cancel.child_token(), job.cancel.child_token()];
        let [one, two] = cancels.each_ref().map(|cancel| own(job, cancel));
        let (live, client, call) = match self.begin(&one, How::Whole, planned, at, wait, trail).await {
            Begun::Live(live, client, call) => (live, client, call),
            Begun::Over(tried) => return (at, tried),
        };
        let first = live.whole(&one, &*client, &call);
        tokio::pin!(first);
        tokio::select! {
            biased;
            (attempt, tried) = &mut first => {
                trail.push(attempt);
                return (at, tried);
            }
            () = sleep(hedge.after) => {}
        }
        let Some(other) = plan.hedge(self.origin.elapsed()) else {
            let (attempt, tried) = first.await;
            trail.push(attempt);
            return (at, tried);
        };
        let second = async {
            let mut trail = Vec::new();
            let tried = self.attempt(&two, How::Whole, planned, other, Duration::ZERO, &mut trail).await;
            (trail, tried)
        };
        tokio::pin!(second);
        tokio::select! {
            biased;
            (attempt, tried) = &mut first => {
                if let Tried::Next(Event::Failed { verdict, spent, .. }) = tried {
                    plan.fell_out(at, other, verdict, spent);
                    trail.push(attempt);
                    let (mut beside, tried) = second.await;
                    trail.append(&mut beside);
                    return (other, tried);
                }
                cancels[1].cancel();
                // The last one is the one that gave the reply.
                trail.append(&mut second.await.0);
                trail.push(attempt);
                (at, tried)
            }
            (mut beside, tried) = &mut second => {
                if let Tried::Next(Event::Failed { verdict, spent, .. }) = tried {
                    plan.fell_out(other, at, verdict, spent);
                }
                let is_answered = matches!(tried, Tried::Answered(_));
                if is_answered {
                    cancels[0].cancel();
                }
                // Whatever else kept the second one from being made, the first goes on.
                let (attempt, ended) = first.await;
                if is_answered {
                    trail.push(attempt);
                    trail.append(&mut beside);
                    return (other, tried);
                }
                trail.append(&mut beside);
                trail.push(attempt);
                (at, ended)
            }
        }
    }
}

/// The same request, with a way of its own to be cancelled.
const fn own<'a>(job: &'a Job<'a>, cancel: &'a CancellationToken) -> Job<'a> {
    Job { request: job.request, cancel, deadline: job.deadline }
}
