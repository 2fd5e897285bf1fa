//! One call, from its wait to its settlement.

use super::attempt::{CallAttempt, Charge, End, PassedOver};
use super::error::Kind;
use super::health::{LONG, Passing};
use super::money::Money;
use super::reading::Passed;
use super::settling::{charge, failed, price, reserve};
use super::stream::Opened;
use super::time::{Early, Job, after};
use super::told::Told;
use super::{Detail, How, Inner, Planned, Tried, trace};
use crate::call::{Event, Fault, classify};
use crate::catalogue::Model;
use crate::client::{Call, ClientError, LlmClient, Reply};
use crate::ledger::{self, HoldId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::Instrument as _;

/// What came while nobody asked is read without waits that add up to so much, wherever it was kept.
const CAUGHT_UP: Duration = Duration::from_secs(1);

/// A call whose hold is taken and marked as sent, with all that its end needs.
pub(super) struct Live {
    pub(super) told: Told,
    passing: Passing,
    money: Money,
    /// Held until the call has ended.
    _permit: Option<OwnedSemaphorePermit>,
    model: Model,
    detail: Detail,
    /// How long it has been waited for since it last said something, if it has.
    waited: Option<Duration>,
    /// For long nobody asked for more, and it has not been waited for so long since then that all of before must have been read.
    was_left: bool,
    /// How long it has been waited for since then.
    caught_up: Duration,
    /// When the call, or the whole request, is over.
    pub(super) until: Instant,
    deadline: Instant,
}

/// What a call ended with.
pub(super) type Answer<T> = Result<Result<T, ClientError>, Early>;

/// How a call may begin.
pub(super) enum Begun {
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
        let (live, client, call) = match self.begin(job, how, planned, at, wait, trail).await {
            Begun::Live(live, client, call) => (live, client, call),
            Begun::Over(tried) => return tried,
        };
        let (attempt, tried) = match how {
            How::Whole => {
                let answer = live.reply(job, &*client, &call).await;
                live.end(answer).await
            }
            How::Streamed => match live.streamed(job, &*client, &call).await {
                Ok(opened) => return Tried::Opened(opened),
                Err(ended) => ended,
            },
        };
        trail.push(attempt);
        tried
    }

    /// Waits for its turn and takes its hold.
    pub(super) async fn begin(
        &self,
        job: &Job<'_>,
        how: How,
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
        // A timer takes until the next millisecond, also for no time at all.
        let waited = match wait {
            Duration::ZERO => job.check(job.deadline),
            wait => job.unless(job.deadline, tokio::time::sleep(wait)).await,
        };
        if let Err(why) = waited {
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
        let reserved = Money::reserve(self.purse.clone(), reserve(job.request, how, target, hold));
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
        let call = job.request.call(model, hold, self.reasoning);
        let span = trace::call(job.request, &attempt, hold);
        let live = Live {
            told: Told::new(attempt, span),
            passing,
            money,
            _permit: permit,
            model: model.clone(),
            detail: detail.clone(),
            waited: None,
            was_left: false,
            caught_up: Duration::ZERO,
            until,
            deadline: job.deadline,
        };
        Begun::Live(Box::new(live), Arc::clone(client), Box::new(call))
    }
}

impl Live {
    /// Waits for the whole reply.
    pub(super) fn reply<'a>(
        &self,
        job: &'a Job<'a>,
        client: &'a dyn LlmClient,
        call: &'a Call,
    ) -> impl Future<Output = Answer<Reply>> + Send + use<'a> {
        job.race(self.until, client.complete(call)).instrument(self.told.span.clone())
    }

    /// Waits for the first piece, or settles the call.
    async fn streamed(
        mut self: Box<Self>,
        job: &Job<'_>,
        client: &dyn LlmClient,
        call: &Call,
    ) -> Result<Box<Opened>, (CallAttempt, Tried)> {
        let span = self.told.span.clone();
        let opening = async {
            let mut pieces = client.stream(call).await?;
            let first = pieces.next().await.unwrap_or_else(|| Err(ClientError::new(Fault::Broken)))?;
            Ok((first, pieces))
        };
        let answer = match job.race(self.until, opening).instrument(span).await {
            Ok(Ok((first, pieces))) => {
                self.says();
                return Ok(Box::new(Opened { live: *self, first, pieces }));
            }
            Ok(Err(error)) => Ok(Err(error)),
            Err(early) => Err(early),
        };
        Err(self.end(answer).await)
    }

    /// More of the reply is asked for now. The time for which it was not is the reader's, neither the model's nor the call's; the time of
    /// the whole request goes on.
    pub(super) fn ask_again(&mut self, Passed { away, waited }: Passed) {
        self.told.kept_waiting(away);
        self.until = self.until.checked_add(away).map_or(self.deadline, |until| until.min(self.deadline));
        self.waited = self.waited.map(|before| before.saturating_add(waited));
        self.caught_up = self.caught_up.saturating_add(waited);
        if away >= LONG {
            (self.was_left, self.caught_up) = (true, Duration::ZERO);
        }
    }

    /// It said something.
    pub(super) fn says(&mut self) {
        self.waited = Some(Duration::ZERO);
        self.was_left &= self.caught_up < CAUGHT_UP;
    }

    /// Settles the call and says what is next.
    pub(super) async fn end(self, answer: Answer<Reply>) -> (CallAttempt, Tried) {
        let Self { mut told, passing, money, model, detail, waited, was_left, until, deadline, .. } = self;
        told.ended();
        let attempt = &mut told.attempt;
        let bound = attempt.bound;
        let tried = match answer {
            Ok(Ok(reply)) => {
                passing.answered();
                trace::replied(&told.span, &reply);
                // A provider that says nothing of usage is paid what was held: nobody can tell it later.
                let cost = reply.usage.map_or(Some(bound), |usage| {
                    price(&model, &detail.billing, usage, reply.service_tier.as_deref(), bound)
                });
                (attempt.usage, attempt.end) = (reply.usage, End::Answered);
                charge(attempt, money, cost).await;
                Tried::Answered(Box::new(reply))
            }
            Ok(Err(error)) => {
                // Whoever is not read hangs up in the end, and is well; the system may call that a timeout.
                let is_cut = matches!(error.fault(), Fault::Broken | Fault::Timeout);
                let passing = Some(passing).filter(|_| !was_left || !is_cut);
                failed(attempt, passing, money, &model, &detail, error).await
            }
            Err(Early::Deadline) if until < deadline => {
                failed(attempt, Some(passing), money, &model, &detail, ClientError::new(Fault::Timeout)).await
            }
            Err(why) => {
                // Money that may be gone stays counted: the guard leaves a sent hold as it is.
                attempt.charge = Charge::Open(bound);
                attempt.end = match why {
                    Early::Cancelled => End::Cancelled,
                    Early::Deadline => {
                        passing.cut_off(waited.unwrap_or(attempt.took));
                        let fault = Fault::Timeout;
                        End::Failed { verdict: classify(&fault), fault, retry_after: None }
                    }
                };
                stopped(&why)
            }
        };
        (told.tell(), tried)
    }
}

fn stopped(why: &Early) -> Tried {
    match why {
        Early::Cancelled => Tried::Stopped(Kind::Cancelled, None),
        Early::Deadline => Tried::Stopped(Kind::Deadline, None),
    }
}
