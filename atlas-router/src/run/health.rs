//! The breakers of all models and accounts that a router calls.

use crate::call::{Breaker, BreakerRules, Health, Pass, Reason, Verdict};
use crate::catalogue::{ModelId, Provider};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an account is left alone after its quota was found spent.
const QUOTA_REST: Duration = Duration::from_mins(5);
/// A call that had so long for its answer says that the model hangs, whosever time was over. As long as a breaker's first rest.
pub(super) const LONG: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Wards {
    rules: BreakerRules,
    origin: Instant,
    states: Mutex<States>,
}

#[derive(Debug, Default)]
struct States {
    models: BTreeMap<ModelId, Breaker>,
    providers: BTreeMap<Provider, Breaker>,
}

/// A call that was let through. Dropped without an end, it says nothing about anyone's health.
pub(super) struct Passing {
    wards: Arc<Wards>,
    model: (ModelId, Pass),
    provider: (Provider, Pass),
    ends: (Health, Health),
}

impl Wards {
    pub(super) fn new(rules: BreakerRules, origin: Instant) -> Self {
        Self { rules, origin, states: Mutex::default() }
    }

    /// States are plain numbers: whatever was written before a panic elsewhere is whole.
    fn lock(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The models, of those that are named, that rest now.
    pub(super) fn resting<'a>(&self, all: impl Iterator<Item = (&'a ModelId, &'a Provider)>) -> BTreeSet<ModelId> {
        let (now, states) = (self.now(), self.lock());
        let rests = |breaker: Option<&Breaker>| breaker.and_then(Breaker::rests_until).is_some_and(|until| now < until);
        all.filter(|(model, provider)| rests(states.models.get(*model)) || rests(states.providers.get(*provider)))
            .map(|(model, _)| model.clone())
            .collect()
    }

    /// Lets a call through, or says when to ask again.
    pub(super) fn admit(self: &Arc<Self>, model: &ModelId, provider: &Provider) -> Result<Passing, Duration> {
        let (now, mut states) = (self.now(), self.lock());
        let States { models, providers } = &mut *states;
        let account = providers.entry(provider.clone()).or_default();
        let of_provider = account.admit(&self.rules, now)?;
        match models.entry(model.clone()).or_default().admit(&self.rules, now) {
            Ok(of_model) => Ok(Passing {
                wards: Arc::clone(self),
                model: (model.clone(), of_model),
                provider: (provider.clone(), of_provider),
                ends: (Health::Silent, Health::Silent),
            }),
            Err(until) => {
                account.record(&self.rules, of_provider, Health::Silent, now);
                Err(until)
            }
        }
    }
}

impl Passing {
    /// It was answered.
    pub(super) fn answered(mut self) {
        self.ends = (Health::Well, Health::Well);
    }

    /// It failed.
    pub(super) fn failed(mut self, verdict: Verdict, retry_after: Option<Duration>) {
        let unwell = Health::Unwell { rest: retry_after };
        // Its class says what this request does next; how the model is, only the reason tells.
        self.ends = match verdict.reason {
            Reason::Quota => (Health::Silent, Health::Out { rest: retry_after.unwrap_or(QUOTA_REST) }),
            Reason::NoConnection => (Health::Silent, unwell),
            Reason::Forbidden | Reason::Unsupported | Reason::Cancelled => (Health::Silent, Health::Silent),
            Reason::RateLimited
            | Reason::Overloaded
            | Reason::ServerFault
            | Reason::Conflict
            | Reason::TimedOut
            | Reason::Broken
            | Reason::Garbled => (unwell, Health::Well),
            // Refused for reasons of the request: whoever refuses is well.
            _ => (Health::Well, Health::Well),
        };
    }

    /// The time of the whole request was over after the model had been waited for so long. Our own haste is no fault of a model.
    pub(super) fn cut_off(mut self, waited: Duration) {
        if waited >= LONG {
            self.ends = (Health::Unwell { rest: None }, Health::Silent);
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let (now, mut states) = (self.wards.now(), self.wards.lock());
        let rules = &self.wards.rules;
        if let Some(breaker) = states.models.get_mut(&self.model.0) {
            breaker.record(rules, self.model.1, self.ends.0, now);
        }
        if let Some(breaker) = states.providers.get_mut(&self.provider.0) {
            breaker.record(rules, self.provider.1, self.ends.1, now);
        }
    }
}
