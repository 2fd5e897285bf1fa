//! Governed calls: what is tried, when, and where the money goes.

#[cfg(feature = "structured")]
mod ask;
mod counting;
mod faults;
mod hedge;
mod jumps;
mod ledgers;
mod limits;
#[cfg(feature = "metrics")]
mod meters;
mod money;
mod property;
mod reader;
#[cfg(feature = "settings")]
mod settings;
mod spans;
mod stream;

use atlas_router::catalogue::{Catalogue, ModelId};
use atlas_router::client::{LlmClient, Message, ScriptedLlm, Turn};
use atlas_router::cost::{Billing, TokenUsage, settle};
use atlas_router::ledger::{Balance, BudgetLedger, MemoryLedger, Month, Scope};
use atlas_router::run::{Clock, Outcome, Request, Router, RouterBuilder, RunError};
use atlas_router::select::Task;
use atlas_router::tokens::ByteCounter;
use atlas_schema::{Stage, TenantId, Timestamp, Usd};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Two models of account `a` and one of `b`, tried in this order. A token of prompt costs a nano-dollar, one of reply ten.
const MODELS: &str = r#"
version = "test"

[sources]
here = "https://example.org/prices"

[tiers]
t = ["a1", "a2", "b1"]

[[model]]
id = "a1"
provider = "a"
family = "f"
encoding = "bytes"
max_input = 1000
max_output = 1000
price = { input = "0.001", output = "0.01", source = "here", day = "2026-11-26" }

[[model]]
id = "a2"
provider = "a"
family = "f"
encoding = "bytes"
max_input = 2000
max_output = 1000
efforts = ["none", "low"]
default_effort = "low"
price = { input = "0.001", output = "0.01", source = "here", day = "2026-11-26" }

[[model]]
id = "b1"
provider = "b"
family = "f"
encoding = "bytes"
max_input = 1000
max_output = 1000
price = { input = "0.001", output = "0.01", source = "here", day = "2026-11-26" }
"#;

/// The words of every request: two bytes, and six tokens around them.
const WORDS: &str = "hi";
/// Eight tokens of prompt and a hundred of reply.
const BOUND: Usd = Usd::from_nanos(8 + 1000);

fn catalogue() -> Catalogue {
    Catalogue::read(MODELS).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_694_400_000).unwrap()
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        now()
    }
}

fn tenant() -> Scope {
    Scope::Tenant(TenantId::new("acme").unwrap())
}

fn request() -> Request {
    let scopes = vec![Scope::Stage(Stage::Dev), tenant()];
    Request::new(Task::new("say hi").wanting("t"), vec![Message::user(WORDS)], 100, scopes)
}

fn builder(ledger: Arc<dyn BudgetLedger>) -> RouterBuilder {
    Router::builder(catalogue(), ledger).with_clock(Arc::new(Noon)).with_counter(ByteCounter::new()).with_seed(7)
}

/// A router over a ledger in memory, with a script for each account.
struct Rig {
    router: Router,
    ledger: Arc<dyn BudgetLedger>,
    a: ScriptedLlm,
    b: ScriptedLlm,
}

impl Rig {
    fn new(a: impl IntoIterator<Item = Turn>, b: impl IntoIterator<Item = Turn>) -> Self {
        Self::with(Arc::new(MemoryLedger::new(Stage::Dev)), a, b, |builder| builder)
    }

    fn with(
        ledger: Arc<dyn BudgetLedger>,
        a: impl IntoIterator<Item = Turn>,
        b: impl IntoIterator<Item = Turn>,
        change: impl FnOnce(RouterBuilder) -> RouterBuilder,
    ) -> Self {
        let (a, b) = (ScriptedLlm::new(a), ScriptedLlm::new(b));
        let clients: [(&str, Arc<dyn LlmClient>); 2] = [("a", Arc::new(a.clone())), ("b", Arc::new(b.clone()))];
        let builder = clients
            .into_iter()
            .fold(builder(Arc::clone(&ledger)), |builder, (name, client)| builder.with_client(name, client));
        Self { router: change(builder).build().unwrap(), ledger, a, b }
    }

    async fn run(&self) -> Result<Outcome, RunError> {
        self.router.run(&request(), &CancellationToken::new()).await
    }

    async fn balance(&self) -> Balance {
        self.ledger.balance(&tenant(), Month::of(now())).await.unwrap()
    }

    /// What is held and what is settled.
    async fn money(&self) -> (Usd, Usd) {
        let balance = self.balance().await;
        (balance.held, balance.settled)
    }

    fn called(&self) -> Vec<ModelId> {
        self.a.calls().into_iter().chain(self.b.calls()).map(|call| call.model).collect()
    }
}

fn ok() -> Turn {
    Turn::text("hello", 8, 5)
}

/// What [`ok`] costs.
fn cost() -> Usd {
    let usage = TokenUsage { input: 8, output: 5, ..TokenUsage::default() };
    settle(catalogue().model("a1").unwrap(), &Billing::new(8, 100), &usage, None).unwrap().cost
}

/// Lets all other tasks run, on a paused clock.
async fn settle_down() {
    tokio::time::sleep(std::time::Duration::from_secs(30)).await;
}
