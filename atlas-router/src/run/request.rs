//! What a host asks for, and what of it goes to a model.

use crate::catalogue::{Effort, Encoding, Model};
use crate::client::{Call, Format, Message, Temperature};
use crate::cost::{Billing, CacheTime, ServiceTier};
use crate::ledger::{HoldId, Scope};
use crate::select::Task;
use crate::tokens::{Part, PromptTokens, Sum, TokenCounter};
use atlas_schema::{CorrelationId, StrategyName, Usd};
use std::time::Duration;

/// A completion that is wanted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// What it is for: what the model is chosen by. Its `structured` is set from [`format`](Self::format).
    pub task: Task,
    /// What is said to the model.
    pub messages: Vec<Message>,
    /// What form the reply is to have. Default: words.
    pub format: Format,
    /// Most tokens of the reply, reasoning included.
    pub output_cap: u64,
    /// So many tokens of reply are expected, for the estimate. Default: none, and then no estimate.
    pub expected_output: Option<u64>,
    /// How much reasoning. Default: the model's own. A model that does not reason is called without it.
    pub effort: Option<Effort>,
    /// How freely the model chooses its words. Default: the model's own. A model that takes none is called without it.
    pub temperature: Option<Temperature>,
    /// In which service tier. Default: the normal one.
    pub service_tier: ServiceTier,
    /// How long the provider's cache is to keep the prompt. Default: minutes.
    pub cache_time: CacheTime,
    /// In whose budgets it counts: 1 to 8 scopes, each once.
    pub scopes: Vec<Scope>,
    /// The strategy that asks.
    pub strategy: Option<StrategyName>,
    /// The request that causes it.
    pub correlation_id: Option<CorrelationId>,
    /// What all attempts together may cost; the router's own [`Limits`](crate::call::Limits) hold as well. Default: what these and the
    /// budgets allow.
    pub max_spend: Option<Usd>,
    /// Most time for all attempts and waits. Default 5 minutes. The settlement of a call that has ended is not cut short: a ledger
    /// that does not answer can add some 40 seconds to it.
    pub timeout: Duration,
    /// Most time for one call, from when it is sent. The time that the reader of a stream takes between its parts is not counted. Default 2
    /// minutes.
    pub call_timeout: Duration,
}

impl Request {
    /// A request with the defaults.
    pub const fn new(task: Task, messages: Vec<Message>, output_cap: u64, scopes: Vec<Scope>) -> Self {
        Self {
            task,
            messages,
            format: Format::Text,
            output_cap,
            expected_output: None,
            effort: None,
            temperature: None,
            service_tier: ServiceTier::Default,
            cache_time: CacheTime::Short,
            scopes,
            strategy: None,
            correlation_id: None,
            max_spend: None,
            timeout: Duration::from_mins(5),
            call_timeout: Duration::from_mins(2),
        }
    }

    /// What goes to that model: nothing that its row does not allow, and as little reasoning as it can unless it may do more.
    pub(super) fn call(&self, model: &Model, hold: HoldId, may_reason: bool) -> Call {
        let mut call = Call::new(model.id.clone(), self.messages.clone(), self.output_cap);
        call.format = self.format.clone();
        call.effort = if may_reason {
            self.effort.filter(|effort| model.efforts.contains(effort))
        } else {
            model.efforts.iter().min().copied()
        };
        call.temperature = self.temperature.filter(|_| model.takes_sampling(call.effort));
        call.service_tier = self.service_tier.clone();
        call.cache_time = self.cache_time;
        // A hold is of one call only, so its name is also the key of that call.
        call.idempotency_key = Some(hold.to_string());
        call.correlation_id.clone_from(&self.correlation_id);
        call
    }

    /// What the price of the call depends on, with that many tokens of prompt.
    pub(super) fn billing(&self, input_tokens: u64) -> Billing {
        let mut billing = Billing::new(input_tokens, self.output_cap);
        billing.service_tier = self.service_tier.clone();
        billing.cache_time = self.cache_time;
        billing
    }
}

/// Counts a prompt once per encoding, however many models share it.
pub(super) struct Counted<'a> {
    counter: &'a dyn TokenCounter,
    parts: Vec<Part<'a>>,
    known: Vec<(Encoding, Sum)>,
}

impl<'a> Counted<'a> {
    /// `schema` is the reply's schema with its name as text, which is part of the prompt.
    pub(super) fn new(counter: &'a dyn TokenCounter, messages: &'a [Message], schema: Option<&'a str>) -> Self {
        let messages = messages.iter().map(|message| Part::Message { name: None, text: &message.text });
        let parts = messages.chain(schema.map(Part::Definition)).collect();
        Self { counter, parts, known: Vec::new() }
    }

    pub(super) fn of(&mut self, model: &Model) -> PromptTokens {
        if let Some((_, sum)) = self.known.iter().find(|(encoding, _)| *encoding == model.encoding) {
            return sum.for_model(model);
        }
        let sum = Sum::of(self.counter, model.encoding, &self.parts);
        self.known.push((model.encoding, sum));
        sum.for_model(model)
    }
}
