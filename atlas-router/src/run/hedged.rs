//! A call, and another beside it if it is slow.
//!
//! Each has its own hold. Whichever is answered first is taken; the other is cancelled, and its hold stays counted at its bound, as that
//! of any cancelled call: its provider may bill it.

use super::attempt::CallAttempt;
use super::one::{Answer, Begun, Live};
use super::time::Job;
use super::{How, Inner, Planned, Tried};
use crate::call::{Class, Event, Hedge, Plan, classify};
use crate::client::Reply;
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
        let reply = live.reply(&one, &*client, &call);
        tokio::pin!(reply);
        tokio::select! {
            biased;
            answer = &mut reply => {
                let (attempt, tried) = live.end(answer).await;
                trail.push(attempt);
                return (at, tried);
            }
            () = sleep(hedge.after) => {}
        }
        let Some(other) = plan.hedge(self.origin.elapsed()) else {
            let (attempt, tried) = live.end(reply.await).await;
            trail.push(attempt);
            return (at, tried);
        };
        let second = async {
            let mut passed_over = Vec::new();
            match self.begin(&two, How::Whole, planned, other, Duration::ZERO, &mut passed_over).await {
                Begun::Live(live, client, call) => {
                    let answer = live.reply(&two, &*client, &call).await;
                    Ok((live, answer))
                }
                Begun::Over(_) => Err(passed_over),
            }
        };
        tokio::pin!(second);
        // Who is cancelled is so by the answer, however long the ledger then takes to settle it.
        let (answer, beside, second_first) = tokio::select! {
            biased;
            answer = &mut reply => {
                if is_last_word(&answer) {
                    cancels[1].cancel();
                }
                let ended = async { live.end(answer).await };
                let (first, beside) = tokio::join!(ended, async { end(second.await).await });
                (first, beside, false)
            }
            beside = &mut second => {
                if matches!(&beside, Ok((_, Ok(Ok(_))))) {
                    cancels[0].cancel();
                }
                let (first, beside) = tokio::join!(async { live.end(reply.await).await }, end(beside));
                (first, beside, true)
            }
        };
        let (attempt, first) = answer;
        let (beside, tried) = match beside {
            Ok(sent) => sent,
            // Whatever kept the second one from being made, there is the first one only.
            Err(passed_over) => {
                trail.extend(passed_over);
                trail.push(attempt);
                return (at, first);
            }
        };
        match (first, tried) {
            (Tried::Next(Event::Failed { verdict, retry_after, spent }), mut tried) => {
                if verdict.class == Class::GiveUp {
                    // No other model mends it; the second was cancelled unless it had been answered.
                    if !matches!(tried, Tried::Answered(_)) {
                        trail.extend([beside, attempt]);
                        return (at, Tried::Next(Event::Failed { verdict, retry_after, spent }));
                    }
                }
                plan.fell_out(at, other, verdict, spent);
                if let Tried::Next(Event::Failed { retry_after: wait, .. }) = &mut tried
                    && at == other
                {
                    *wait = retry_after.max(*wait);
                }
                trail.extend([attempt, beside]);
                (other, tried)
            }
            (first, Tried::Next(Event::Failed { verdict, spent, .. })) => {
                plan.fell_out(other, at, verdict, spent);
                trail.extend([beside, attempt]);
                (at, first)
            }
            // The last one is the one that gave the reply.
            (_, tried @ Tried::Answered(_)) if second_first => {
                trail.extend([attempt, beside]);
                (other, tried)
            }
            (first, _) => {
                trail.extend([beside, attempt]);
                (at, first)
            }
        }
    }
}

/// Whether nothing that the other one says would matter.
fn is_last_word(answer: &Answer<Reply>) -> bool {
    match answer {
        Ok(Err(error)) => classify(error.fault()).class == Class::GiveUp,
        Ok(Ok(_)) | Err(_) => true,
    }
}

async fn end(
    second: Result<(Box<Live>, Answer<Reply>), Vec<CallAttempt>>,
) -> Result<(CallAttempt, Tried), Vec<CallAttempt>> {
    let (live, answer) = second?;
    Ok(live.end(answer).await)
}

/// The same request, with a way of its own to be cancelled.
const fn own<'a>(job: &'a Job<'a>, cancel: &'a CancellationToken) -> Job<'a> {
    Job { request: job.request, cancel, deadline: job.deadline }
}
