//! How a router is set up.

use super::clock::{Clock, SystemClock};
use super::gate::{Gate, Rates};
use super::health::Wards;
use super::money::Purse;
use super::{Inner, Router};
use crate::call::{BreakerRules, Limits};
use crate::catalogue::{Catalogue, Provider};
use crate::client::LlmClient;
use crate::ledger::BudgetLedger;
use crate::random::Random;
use crate::select::{DefaultPolicy, Policy, Strategy};
use crate::tokens::TokenCounter;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;

/// A router could not be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// Nothing can be called.
    #[error("a router needs at least one client: add one with `with_client`")]
    NoClient,
    /// There is nothing to draw ids from.
    #[error("the operating system gave no random bytes: check that its random device is there")]
    NoEntropy,
    /// The settings and the ledger are of different stages.
    #[error("the settings are of another stage than the ledger: open the ledger of their stage")]
    WrongStage,
}

/// Sets up a [`Router`].
pub struct RouterBuilder {
    catalogue: Catalogue,
    policy: Box<dyn Policy>,
    counter: Box<dyn TokenCounter>,
    clients: BTreeMap<Provider, Arc<dyn LlmClient>>,
    rates: BTreeMap<Provider, Rates>,
    purse: Purse,
    limits: Limits,
    breakers: BreakerRules,
    strategy: Strategy,
    force_stable: bool,
    stable_fallback: bool,
    reasoning: bool,
    seed: Option<u64>,
}

impl fmt::Debug for RouterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterBuilder")
            .field("clients", &self.clients)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Router {
    /// A router over a catalogue that spends from a ledger, of whose stage it is.
    pub fn builder(catalogue: Catalogue, ledger: Arc<dyn BudgetLedger>) -> RouterBuilder {
        RouterBuilder {
            catalogue,
            policy: Box::new(DefaultPolicy::new()),
            counter: default_counter(),
            clients: BTreeMap::new(),
            rates: BTreeMap::new(),
            purse: Purse { ledger, clock: Arc::new(SystemClock::new()), alerts: None },
            limits: Limits::default(),
            breakers: BreakerRules::default(),
            strategy: Strategy::Auto,
            force_stable: false,
            stable_fallback: true,
            reasoning: true,
            seed: None,
        }
    }
}

/// Exact where the feature is on; a byte for a token where it is not, which never counts too few.
fn default_counter() -> Box<dyn TokenCounter> {
    #[cfg(feature = "tokenizer")]
    return Box::new(crate::tokens::BpeCounter::new());
    #[cfg(not(feature = "tokenizer"))]
    Box::new(crate::tokens::ByteCounter::new())
}

impl RouterBuilder {
    /// Who calls the models of a provider, by the name that the catalogue uses.
    #[must_use]
    pub fn with_client(mut self, provider: impl Into<Provider>, client: Arc<dyn LlmClient>) -> Self {
        self.clients.insert(provider.into(), client);
        self
    }

    /// What a provider's account is allowed. Default: no limit of our own.
    #[must_use]
    pub fn with_rates(mut self, provider: impl Into<Provider>, rates: Rates) -> Self {
        self.rates.insert(provider.into(), rates);
        self
    }

    /// How a tier is chosen. Default: [`DefaultPolicy`].
    #[must_use]
    pub fn with_policy(mut self, policy: impl Policy) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// How tokens are counted. Default: exactly, with the feature `tokenizer`; otherwise a byte for a token.
    #[must_use]
    pub fn with_counter(mut self, counter: impl TokenCounter) -> Self {
        self.counter = Box::new(counter);
        self
    }

    /// How much is tried for one request. Its `deadline` is set from each request.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// When models and accounts that fail are left alone.
    #[must_use]
    pub const fn with_breakers(mut self, rules: BreakerRules) -> Self {
        self.breakers = rules;
        self
    }

    /// Which generations are taken. Default: by the stage.
    #[must_use]
    pub const fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Only the stable family, whatever else is said. Default: no.
    #[must_use]
    pub const fn with_force_stable(mut self, force: bool) -> Self {
        self.force_stable = force;
        self
    }

    /// Whether a call that begins with other models may fall back to the stable family. Default: yes.
    #[must_use]
    pub const fn with_stable_fallback(mut self, may: bool) -> Self {
        self.stable_fallback = may;
        self
    }

    /// Whether models may reason as much as requests ask for. Default: yes; else each reasons as little as it can.
    #[must_use]
    pub const fn with_reasoning(mut self, may: bool) -> Self {
        self.reasoning = may;
        self
    }

    /// The stage of the ledger.
    #[cfg(feature = "settings")]
    pub(super) fn stage(&self) -> atlas_schema::Stage {
        self.purse.ledger.stage()
    }

    /// Nobody is told when a budget passes anything.
    #[cfg(feature = "settings")]
    pub(super) fn without_alerts(mut self) -> Self {
        self.purse.alerts = None;
        self
    }

    /// Who is told when a budget passes 80 and 95 percent: of each at most once, since the alert of a call that is dropped while the
    /// ledger answers is lost. What must not be missed is read from [`balance`](crate::ledger::BudgetLedger::balance). It is called
    /// where a hold or a settlement is, and must not block.
    #[must_use]
    pub fn with_alerts(mut self, sink: impl Fn(atlas_schema::Alert) + Send + Sync + 'static) -> Self {
        self.purse.alerts = Some(Arc::new(sink));
        self
    }

    /// Who tells the time of day. Default: the operating system.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.purse.clock = clock;
        self
    }

    /// Where jitter and the ids of holds come from. Default: the operating system. Two routers of one ledger must never have
    /// the same seed: this is for tests.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Makes the router.
    ///
    /// # Errors
    /// [`SetupError`] without a client or without random bytes.
    pub fn build(self) -> Result<Router, SetupError> {
        if self.clients.is_empty() {
            return Err(SetupError::NoClient);
        }
        let random = match self.seed {
            Some(seed) => Random::seeded(seed),
            None => Random::from_os().map_err(|_| SetupError::NoEntropy)?,
        };
        let origin = Instant::now();
        let gates = self.rates.into_iter().map(|(provider, rates)| (provider, Gate::new(rates, origin))).collect();
        let inner = Inner {
            catalogue: self.catalogue,
            policy: self.policy,
            counter: self.counter,
            clients: self.clients,
            gates,
            wards: Arc::new(Wards::new(self.breakers, origin)),
            purse: self.purse,
            limits: self.limits,
            strategy: self.strategy,
            force_stable: self.force_stable,
            stable_fallback: self.stable_fallback,
            reasoning: self.reasoning,
            random,
            origin,
        };
        Ok(Router { inner: Arc::new(inner) })
    }
}
