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
mod hedged;
mod money;
mod one;
mod reading;
mod request;
#[cfg(feature = "settings")]
mod settings;
mod settling;
mod stream;
mod time;
mod told;
mod trace;

#[cfg(feature = "structured")]
pub use ask::{Answer, AskOptions};
pub use attempt::{CallAttempt, Charge, End, Outcome, PassedOver};
pub use builder::{RouterBuilder, SetupError};
pub use clock::{Clock, SystemClock};
pub use error::{Kind, RunError};
pub use gate::Rates;
pub use request::Request;
#[cfg(feature = "settings")]
pub use settings::{SizedPolicy, limit_stage};
pub use stream::{Answering, Part};
pub use trace::SCHEMA_URL;
#[cfg(feature = "metrics")]
pub use trace::metric;

use crate::call::{Event, Limits, Plan, Step, Target};
use crate::catalogue::{Catalogue, Day, Model, ModelId, Provider};
use crate::client::refs::without_root;
use crate::client::{LlmClient, Reply};
use crate::cost::{Billing, Expectation, expected, upper_bound};
use crate::ledger::LedgerError;
use crate::random::Random;
use crate::select::{Decision, Policy, SelectError, Situation, Skip, Skipped, Strategy, select};
use crate::tokens::TokenCounter;
use atlas_schema::Usd;
use gate::Gate;
use health::Wards;
use money::Purse;
use request::Counted;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use stream::Opened;
use time::{Job, after};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// Takes alerts of budgets. One can come again with the same key, if an answer of the ledger was lost.
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
    stable_fallback: bool,
    reasoning: bool,
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

/// How a reply is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Whole,
    Streamed,
}

/// What became of one step of a plan.
enum Tried {
    Answered(Box<Reply>),
    /// Its first piece is there; what it costs is not known yet.
    Opened(Box<Opened>),
    Next(Event),
    /// A budget has no room for it.
    Refused(LedgerError),
    Stopped(Kind, Option<LedgerError>),
}

/// What a plan led to.
struct Arrived {
    reply: Arrival,
    model: ModelId,
    decision: Decision,
    attempts: Vec<CallAttempt>,
}

enum Arrival {
    Whole(Box<Reply>),
    Opened(Box<Opened>),
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
        situation.no_stable_fallback = !inner.stable_fallback;
        situation.effort = request.effort.filter(|_| inner.reasoning);
        situation.resting = inner.wards.resting(inner.catalogue.models().map(|model| (&model.id, &model.provider)));
        let refused = |error: SelectError| RunError::new(Kind::NoModel, Vec::new()).with_source(error);
        let decision = select(&inner.catalogue, &*inner.policy, &task, &situation).map_err(refused)?;
        let schema = match &request.format {
            // Both are put before the model, the schema in the longest form in which a client writes it.
            crate::client::Format::JsonSchema(schema) => {
                Some(format!("{}\n{}", schema.name(), without_root(schema.schema())))
            }
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
    /// that has ended is not cut short (see [`Request::timeout`]). With [`Limits::hedge`] a slow call gets another beside it.
    /// Dropping the future does so too; see the crate's README for what becomes of
    /// the money.
    ///
    /// # Errors
    /// [`RunError`] with all attempts and their cost. Nothing leaves if the ledger fails.
    pub async fn run(&self, request: &Request, cancel: &CancellationToken) -> Result<Outcome, RunError> {
        let job = Job { request, cancel, deadline: after(request.timeout) };
        let limits = self.limits(request);
        let route = trace::Route::of(request);
        let end = self.whole(&job, limits).instrument(route.span()).await;
        route.ended(end.as_ref());
        end
    }

    /// What may be tried for a request.
    fn limits(&self, request: &Request) -> Limits {
        let mut limits = self.inner.limits;
        limits.max_spend = request.max_spend.into_iter().chain(limits.max_spend).min();
        limits
    }

    async fn whole(&self, job: &Job<'_>, limits: Limits) -> Result<Outcome, RunError> {
        let Arrived { reply, model, decision, attempts } = self.carry_out(job, limits, How::Whole).await?;
        match reply {
            Arrival::Whole(reply) => Ok(Outcome { reply: *reply, model, decision, attempts }),
            // What is asked for as a whole comes as a whole.
            Arrival::Opened(_) => Err(RunError::new(Kind::BrokenOff, attempts)),
        }
    }

    async fn carry_out(&self, job: &Job<'_>, mut limits: Limits, how: How) -> Result<Arrived, RunError> {
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
            let (at, tried) = match limits.hedge {
                Some(hedge) if how == How::Whole => {
                    Box::pin(inner.hedged(job, &planned, &mut plan, (at, wait), hedge, &mut trail)).await
                }
                _ => (at, inner.attempt(job, how, &planned, at, wait, &mut trail).await),
            };
            let reply = match tried {
                Tried::Next(next) => {
                    event = next;
                    continue;
                }
                Tried::Refused(error) => {
                    // The first is of the model that is wanted most.
                    refused.get_or_insert(error);
                    event = Event::Barred;
                    continue;
                }
                Tried::Answered(reply) => Arrival::Whole(reply),
                Tried::Opened(opened) => Arrival::Opened(opened),
                Tried::Stopped(kind, source) => {
                    return Err(RunError::new(kind, trail).with_decision(planned.decision).caused_by(source));
                }
            };
            let model = planned.targets[at].model.clone();
            return Ok(Arrived { reply, model, decision: planned.decision, attempts: trail });
        }
    }
}

impl Inner {
    /// The bound of a call, or why the model can't take it.
    fn price(&self, request: &Request, model: &Model, counted: &mut Counted<'_>) -> Result<(Usd, Detail), Skip> {
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
        let likely = |output_tokens| Expectation { output_tokens, ..Expectation::default() };
        let estimate = |output| expected(model, &billing, tokens.counted, likely(output)).ok();
        let estimated = request.expected_output.and_then(estimate);
        let tokens = tokens.counted.saturating_add(request.output_cap);
        Ok((bound, Detail { billing, estimated, tokens }))
    }
}
