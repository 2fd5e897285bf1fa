//! A governed call: choose a model, hold its upper bound, call, settle, and try again or elsewhere until it is enough.
//!
//! What is decided is decided elsewhere, by pure functions: the models in [`select`](crate::select), the bound in
//! [`cost`](crate::cost), what a failure means and what is next in [`call`](crate::call). Here is the shell that reads clocks, draws
//! ids, waits and calls. The rule the rest leans on: nothing leaves before its hold is taken and marked as sent, each attempt has a
//! hold of its own, and no way out of here (reply, error, time limit, cancellation, a dropped future) leaves a hold without
//! its settlement, its release, or its place among those that are counted in full until someone reconciles them.

#[cfg(feature = "structured")]
mod ask;
mod attempt;
mod builder;
mod clock;
mod error;
mod gate;
mod health;
mod money;
mod request;
mod settling;
mod time;
mod trace;

#[cfg(feature = "structured")]
pub use ask::{Answer, AskOptions};
pub use attempt::{CallAttempt, Charge, End, Outcome, PassedOver};
pub use builder::{RouterBuilder, SetupError};
pub use clock::{Clock, SystemClock};
pub use error::{Kind, RunError};
pub use gate::Rates;
pub use request::Request;
pub use trace::SCHEMA_URL;

use crate::call::{Event, Fault, Limits, Plan, Step, Target, classify};
use crate::catalogue::{Catalogue, Day, Model, Provider};
use crate::client::{ClientError, LlmClient, Reply};
use crate::cost::{Billing, Expectation, expected, upper_bound};
use crate::ledger::{self, HoldId, LedgerError};
use crate::random::Random;
use crate::select::{Decision, Policy, SelectError, Situation, Skip, Skipped, Strategy, select};
use crate::tokens::TokenCounter;
use atlas_schema::Usd;
use gate::Gate;
use health::Wards;
use money::{Money, Purse};
use request::Counted;
use settling::{charge, failed, price, reserve};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use time::{Early, Job, after};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Takes alerts of budgets, each at most once.
type Alerts = Arc<dyn Fn(atlas_schema::Alert) + Send + Sync>;

/// Answers requests through models, within budgets. Clones share everything.
///
/// Needs a tokio runtime with time enabled.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
}

struct Inner {
    catalogue: Catalogue,
    policy: Box<dyn Policy>,
    counter: Box<dyn TokenCounter>,
    clients: BTreeMap<Provider, Arc<dyn LlmClient>>,
    gates: BTreeMap<Provider, Gate>,
    wards: Arc<Wards>,
    purse: Purse,
    limits: Limits,
    strategy: Strategy,
    force_stable: bool,
    random: Random,
    origin: Instant,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("catalogue", self.inner.catalogue.version())
            .field("policy", &self.inner.policy)
            .field("clients", &self.inner.clients)
            .field("ledger", &self.inner.purse.ledger)
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

/// What would be tried for a request, in order, and the most that each call could cost.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Planned {
    /// How the models were chosen.
    pub decision: Decision,
    /// The models that would be called.
    pub targets: Vec<Target>,
    /// Models of the decision's chain that can't be called after all, and why.
    pub skipped: Vec<Skipped>,
    details: Vec<Detail>,
}

/// What a call of one target is priced by.
#[derive(Debug, Clone)]
struct Detail {
    billing: Billing,
    estimated: Option<Usd>,
    tokens: u64,
}

/// What became of one step of a plan.
enum Tried {
    Answered(Reply),
    Next(Event),
    /// A budget has no room for it.
    Refused(LedgerError),
    Stopped(Kind, Option<LedgerError>),
}

impl Router {
    /// What would be tried for a request now, without calling or reserving anything.
    ///
    /// # Errors
    /// [`Kind::NoModel`] with a [`SelectError`] as its source.
    pub fn plan(&self, request: &Request) -> Result<Planned, RunError> {
        let inner = &*self.inner;
        let mut task = request.task.clone();
        task.structured = request.format.needs();
        let mut situation = Situation::new(inner.purse.ledger.stage(), Day::of(inner.purse.clock.now()));
        situation.strategy = inner.strategy;
        situation.force_stable = inner.force_stable;
        situation.effort = request.effort;
        situation.resting = inner.wards.resting(inner.catalogue.models().map(|model| (&model.id, &model.provider)));
        let refused = |error: SelectError| RunError::new(Kind::NoModel, Vec::new()).with_source(error);
        let decision = select(&inner.catalogue, &*inner.policy, &task, &situation).map_err(refused)?;
        let schema = match &request.format {
            // Both are put before the model.
            crate::client::Format::JsonSchema(schema) => Some(format!("{}\n{}", schema.name(), schema.schema())),
            _ => None,
        };
        let mut counted = Counted::new(&*inner.counter, &request.messages, schema.as_deref());
        let (mut targets, mut details, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for link in &decision.chain {
            let Some(model) = inner.catalogue.model(link.model.as_str()) else { continue };
            match inner.price(request, model, &mut counted) {
                Ok((bound, detail)) => {
                    targets.push(Target::new(model.id.clone(), model.provider.clone(), bound, model.max_input));
                    details.push(detail);
                }
                Err(reason) => skipped.push(Skipped { model: model.id.clone(), reason }),
            }
        }
        if targets.is_empty() {
            let from = decision.tier.to_string();
            let skipped = decision.skipped.iter().cloned().chain(skipped).collect();
            return Err(refused(SelectError::NoModel { from, skipped }).with_decision(decision));
        }
        Ok(Planned { decision, targets, skipped, details })
    }

    /// Answers a request, or says what was tried.
    ///
    /// Cancelling and the time limit end waits and the call at once, those for the ledger included; only the settlement of a call
    /// that has ended is not cut short (see [`Request::timeout`]). Dropping the future does so too; see the crate's README for what becomes of
    /// the money.
    ///
    /// # Errors
    /// [`RunError`] with all attempts and their cost. Nothing leaves if the ledger fails.
    pub async fn run(&self, request: &Request, cancel: &CancellationToken) -> Result<Outcome, RunError> {
        let job = Job { request, cancel, deadline: after(request.timeout) };
        self.watched(&job, self.limits(request)).await
    }

    /// What may be tried for a request.
    fn limits(&self, request: &Request) -> Limits {
        let mut limits = self.inner.limits;
        limits.max_spend = request.max_spend.into_iter().chain(limits.max_spend).min();
        limits
    }

    async fn watched(&self, job: &Job<'_>, limits: Limits) -> Result<Outcome, RunError> {
        let span = trace::request(job.request);
        let end = self.carry_out(job, limits).instrument(span.clone()).await;
        trace::ended(&span, end.as_ref());
        end
    }

    async fn carry_out(&self, job: &Job<'_>, mut limits: Limits) -> Result<Outcome, RunError> {
        let inner = &*self.inner;
        let planned = self.plan(job.request)?;
        limits.deadline = Some(job.deadline.saturating_duration_since(inner.origin));
        let mut plan = Plan::new(planned.targets.clone(), limits);
        let (mut trail, mut event, mut refused) = (Vec::new(), Event::Begin, None);
        loop {
            let (at, wait) = match plan.step(event, inner.origin.elapsed(), inner.random.u64()) {
                Step::Call { at, wait } => (at, wait),
                Step::Stop(why) => {
                    // Nothing was called, and raising the budget is what would change that.
                    let refused = refused.filter(|_| trail.iter().all(|attempt: &CallAttempt| attempt.hold.is_none()));
                    let kind = if refused.is_some() { Kind::Budget } else { Kind::Stopped(why) };
                    return Err(RunError::new(kind, trail).with_decision(planned.decision).caused_by(refused));
                }
            };
            match inner.attempt(job, &planned, at, wait, &mut trail).await {
                Tried::Next(next) => event = next,
                Tried::Refused(error) => {
                    // The first is of the model that is wanted most.
                    refused.get_or_insert(error);
                    event = Event::Barred;
                }
                Tried::Answered(reply) => {
                    let model = planned.targets[at].model.clone();
                    return Ok(Outcome { reply, model, decision: planned.decision, attempts: trail });
                }
                Tried::Stopped(kind, source) => {
                    return Err(RunError::new(kind, trail).with_decision(planned.decision).caused_by(source));
                }
            }
        }
    }
}

impl Inner {
    /// The bound of a call, or why the model can't take it.
    fn price<'a>(&self, request: &Request, model: &'a Model, counted: &mut Counted<'a>) -> Result<(Usd, Detail), Skip> {
        if !self.clients.contains_key(&model.provider) {
            return Err(Skip::NoClient { provider: model.provider.clone() });
        }
        let tokens = counted.of(model);
        let billing = request.billing(tokens.most);
        let unpriced = |error: crate::cost::CostError| Skip::Unpriced { why: error.to_string() };
        let bound = upper_bound(model, &billing).map_err(unpriced)?;
        if request.task.max_cost.is_some_and(|cap| bound > cap) {
            return Err(Skip::OverCap { bound });
        }
        let likely = |output_tokens| Expectation { cached_tokens: 0, output_tokens };
        let estimate = |output| expected(model, &billing, tokens.counted, likely(output)).ok();
        let estimated = request.expected_output.and_then(estimate);
        let tokens = tokens.counted.saturating_add(request.output_cap);
        Ok((bound, Detail { billing, estimated, tokens }))
    }

    /// One attempt at one target, from its wait to its settlement.
    async fn attempt(
        &self,
        job: &Job<'_>,
        planned: &Planned,
        at: usize,
        wait: Duration,
        trail: &mut Vec<CallAttempt>,
    ) -> Tried {
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
        let early = |early| match early {
            Early::Cancelled => Tried::Stopped(Kind::Cancelled, None),
            Early::Deadline => Tried::Stopped(Kind::Deadline, None),
        };
        if let Err(why) = job.unless(job.deadline, tokio::time::sleep(wait)).await {
            return early(why);
        }
        let mut pass_over = |why: PassedOver, next: Tried| {
            attempt.end = End::PassedOver(why);
            attempt.waited = began.elapsed();
            trail.push(attempt.clone());
            next
        };
        let passing = match self.wards.admit(&target.model, &target.provider) {
            Ok(passing) => passing,
            Err(until) => return pass_over(PassedOver::Resting, Tried::Next(Event::Resting { until })),
        };
        let entered = match self.gates.get(&target.provider) {
            Some(gate) => job.unless(job.deadline, gate.enter(detail.tokens)).await,
            None => Ok(Ok(None)),
        };
        let _permit = match entered {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return pass_over(PassedOver::OverRate, Tried::Next(Event::Barred)),
            Err(why) => return early(why),
        };
        let (Some(client), Some(model)) =
            (self.clients.get(&target.provider), self.catalogue.model(target.model.as_str()))
        else {
            // Planning looked both up.
            return Tried::Next(Event::Barred);
        };
        let hold = HoldId::from_bytes(self.random.id());
        let reserved = Money::reserve(self.purse.clone(), reserve(job.request, target, hold));
        let mut money = match job.unless(job.deadline, reserved).await {
            Ok(Ok(money)) => money,
            Ok(Err(error)) if error.kind() == ledger::Kind::Exceeded => {
                return pass_over(PassedOver::Budget, Tried::Refused(error));
            }
            Ok(Err(error)) => return Tried::Stopped(Kind::Ledger, Some(error)),
            Err(why) => return early(why),
        };
        match job.unless(job.deadline, money.send()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Tried::Stopped(Kind::Ledger, Some(error)),
            Err(why) => return early(why),
        }
        // A slow ledger takes from the time of the request, not from that of the call.
        let until = job.deadline.min(after(job.request.call_timeout));
        if let Err(why) = job.check(until) {
            money.take_back();
            return early(why);
        }
        (attempt.hold, attempt.waited) = (Some(hold), began.elapsed());
        let sent = Instant::now();
        let call = job.request.call(model, hold);
        let span = trace::call(job.request, &attempt, hold);
        let answer = job.race(until, client.complete(&call)).instrument(span.clone()).await;
        attempt.took = sent.elapsed();
        let tried = match answer {
            Ok(Ok(reply)) => {
                passing.answered();
                // A provider that says nothing of usage is paid what was held: nobody can tell it later.
                let cost = reply.usage.map_or(Some(target.bound), |usage| {
                    price(model, &detail.billing, usage, reply.service_tier.as_deref(), target.bound)
                });
                attempt.usage = reply.usage;
                attempt.charge = charge(money, cost, target.bound).await;
                Tried::Answered(reply)
            }
            Ok(Err(error)) => failed(&mut attempt, passing, money, model, detail, error).await,
            Err(Early::Deadline) if until < job.deadline => {
                failed(&mut attempt, passing, money, model, detail, ClientError::new(Fault::Timeout)).await
            }
            Err(why) => {
                // Money that may be gone stays counted: the guard leaves a sent hold as it is.
                attempt.charge = Charge::Open(target.bound);
                attempt.end = match why {
                    Early::Cancelled => End::Cancelled,
                    Early::Deadline => {
                        passing.cut_off(attempt.took);
                        let fault = Fault::Timeout;
                        End::Failed { verdict: classify(&fault), fault, retry_after: None }
                    }
                };
                early(why)
            }
        };
        let reply = if let Tried::Answered(reply) = &tried { Some(reply) } else { None };
        trace::called(&span, &attempt, reply);
        trail.push(attempt);
        tried
    }
}
