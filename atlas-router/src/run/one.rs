//! One call, from its wait to its settlement.

use super::attempt::{CallAttempt, Charge, End, PassedOver};
use super::error::Kind;
use super::health::Passing;
use super::money::Money;
use super::settling::{charge, failed, price, reserve};
use super::stream::Opened;
use super::time::{Early, Job, after};
use super::{Detail, How, Inner, Planned, Tried, trace};
use crate::call::{Event, Fault, classify};
use crate::catalogue::Model;
use crate::client::{Call, ClientError, LlmClient, Reply};
use crate::ledger::{self, HoldId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

/// A call whose hold is taken and marked as sent, with all that its end needs.
pub(super) struct Live {
    pub(super) attempt: CallAttempt,
    pub(super) span: Span,
    passing: Passing,
    money: Money,
    /// Held until the call has ended.
    _permit: Option<OwnedSemaphorePermit>,
    model: Model,
    detail: Detail,
    sent: Instant,
    /// When the call, or the whole request, is over.
    pub(super) until: Instant,
    deadline: Instant,
}

/// What a call ended with.
pub(super) type Answer<T> = Result<Result<T, ClientError>, Early>;

/// How a call may begin.
enum Begun {
    Live(Box<Live>, Arc<dyn LlmClient>, Box<Call>),
    Over(Tried),
}

impl Inner {
    /// One attempt at one target.
    pub(super) async fn attempt(
        &self,
        job: &Job<'_>,
        how: How,
        planned: &Planned,
        at: usize,
        wait: Duration,
        trail: &mut Vec<CallAttempt>,
    ) -> Tried {
        let (live, client, call) = match self.begin(job, planned, at, wait, trail).await {
            Begun::Live(live, client, call) => (live, client, call),
            Begun::Over(tried) => return tried,
        };
        let span = live.span.clone();
        let answer = match how {
            How::Whole => job.race(live.until, client.complete(&call)).instrument(span).await,
            How::Streamed => {
                let opening = async {
                    let mut pieces = client.stream(&call).await?;
                    let first = pieces.next().await.unwrap_or_else(|| Err(ClientError::new(Fault::Broken)))?;
                    Ok((first, pieces))
                };
                match job.race(live.until, opening).instrument(span).await {
                    Ok(Ok((first, pieces))) => return Tried::Opened(Box::new(Opened { live: *live, first, pieces })),
                    Ok(Err(error)) => Ok(Err(error)),
                    Err(early) => Err(early),
                }
            }
        };
        let (attempt, tried) = live.end(answer).await;
        trail.push(attempt);
        tried
    }

    /// Waits for its turn and takes its hold.
    async fn begin(
        &self,
        job: &Job<'_>,
        planned: &Planned,
        at: usize,
        wait: Duration,
        trail: &mut Vec<CallAttempt>,
    ) -> Begun {
        let began = Instant::now();
        let (target, detail) = (&planned.targets[at], &planned.details[at]);
        let mut attempt = CallAttempt {
            model: target.model.clone(),
            provider: target.provider.clone(),
            hold: None,
            bound: target.bound,
            estimated: detail.estimated,
            waited: Duration::ZERO,
            took: Duration::ZERO,
            end: End::Answered,
            usage: None,
            charge: Charge::Nothing,
        };
        let early = |why| Begun::Over(stopped(&why));
        if let Err(why) = job.unless(job.deadline, tokio::time::sleep(wait)).await {
            return early(why);
        }
        let mut pass_over = |why: PassedOver, next: Tried| {
            attempt.end = End::PassedOver(why);
            attempt.waited = began.elapsed();
            trail.push(attempt.clone());
            Begun::Over(next)
        };
        let passing = match self.wards.admit(&target.model, &target.provider) {
            Ok(passing) => passing,
            Err(until) => return pass_over(PassedOver::Resting, Tried::Next(Event::Resting { until })),
        };
        let entered = match self.gates.get(&target.provider) {
            Some(gate) => job.unless(job.deadline, gate.enter(detail.tokens)).await,
            None => Ok(Ok(None)),
        };
        let permit = match entered {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return pass_over(PassedOver::OverRate, Tried::Next(Event::Barred)),
            Err(why) => return early(why),
        };
        let (Some(client), Some(model)) =
            (self.clients.get(&target.provider), self.catalogue.model(target.model.as_str()))
        else {
            // Planning looked both up.
            return Begun::Over(Tried::Next(Event::Barred));
        };
        let hold = HoldId::from_bytes(self.random.id());
        let reserved = Money::reserve(self.purse.clone(), reserve(job.request, target, hold));
        let mut money = match job.unless(job.deadline, reserved).await {
            Ok(Ok(money)) => money,
            Ok(Err(error)) if error.kind() == ledger::Kind::Exceeded => {
                return pass_over(PassedOver::Budget, Tried::Refused(error));
            }
            Ok(Err(error)) => return Begun::Over(Tried::Stopped(Kind::Ledger, Some(error))),
            Err(why) => return early(why),
        };
        match job.unless(job.deadline, money.send()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Begun::Over(Tried::Stopped(Kind::Ledger, Some(error))),
            Err(why) => return early(why),
        }
        // A slow ledger takes from the time of the request, not from that of the call.
        let until = job.deadline.min(after(job.request.call_timeout));
        if let Err(why) = job.check(until) {
            money.take_back();
            return early(why);
        }
        (attempt.hold, attempt.waited) = (Some(hold), began.elapsed());
        let call = job.request.call(model, hold);
        let span = trace::call(job.request, &attempt, hold);
        let live = Live {
            attempt,
            span,
            passing,
            money,
            _permit: permit,
            model: model.clone(),
            detail: detail.clone(),
            sent: Instant::now(),
            until,
            deadline: job.deadline,
        };
        Begun::Live(Box::new(live), Arc::clone(client), Box::new(call))
    }
}

impl Live {
    /// Settles the call and says what is next.
    pub(super) async fn end(self, answer: Answer<Reply>) -> (CallAttempt, Tried) {
        let Self { mut attempt, span, passing, money, model, detail, until, deadline, sent, _permit } = self;
        attempt.took = sent.elapsed();
        let bound = attempt.bound;
        let tried = match answer {
            Ok(Ok(reply)) => {
                passing.answered();
                // A provider that says nothing of usage is paid what was held: nobody can tell it later.
                let cost = reply.usage.map_or(Some(bound), |usage| {
                    price(&model, &detail.billing, usage, reply.service_tier.as_deref(), bound)
                });
                attempt.usage = reply.usage;
                attempt.charge = charge(money, cost, bound).await;
                Tried::Answered(Box::new(reply))
            }
            Ok(Err(error)) => failed(&mut attempt, passing, money, &model, &detail, error).await,
            Err(Early::Deadline) if until < deadline => {
                failed(&mut attempt, passing, money, &model, &detail, ClientError::new(Fault::Timeout)).await
            }
            Err(why) => {
                // Money that may be gone stays counted: the guard leaves a sent hold as it is.
                attempt.charge = Charge::Open(bound);
                attempt.end = match why {
                    Early::Cancelled => End::Cancelled,
                    Early::Deadline => {
                        passing.cut_off(attempt.took);
                        let fault = Fault::Timeout;
                        End::Failed { verdict: classify(&fault), fault, retry_after: None }
                    }
                };
                stopped(&why)
            }
        };
        let reply = if let Tried::Answered(reply) = &tried { Some(&**reply) } else { None };
        trace::called(&span, &attempt, reply);
        (attempt, tried)
    }

    /// Nobody waits for it any more: what it will cost is not known, so that its hold stays as it is.
    pub(super) fn abandon(mut self) -> CallAttempt {
        self.attempt.took = self.sent.elapsed();
        self.attempt.charge = Charge::Open(self.attempt.bound);
        self.attempt.end = End::Cancelled;
        trace::called(&self.span, &self.attempt, None);
        self.attempt
    }
}

fn stopped(why: &Early) -> Tried {
    match why {
        Early::Cancelled => Tried::Stopped(Kind::Cancelled, None),
        Early::Deadline => Tried::Stopped(Kind::Deadline, None),
    }
}
