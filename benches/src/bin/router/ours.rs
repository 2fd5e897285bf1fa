//! Our side: plans, bare posts of the client, and governed calls over a ledger.

use crate::mock::Mock;
use crate::prompts::prompts;
use anyhow::{Context, Result, ensure};
use atlas_benches::cpu;
use atlas_config::Secret;
use atlas_config::egress::EgressPolicy;
use atlas_router::catalogue::Catalogue;
use atlas_router::client::http::{Dialect, HttpOptions, OpenAiClient};
use atlas_router::client::{Call, LlmClient, Message};
use atlas_router::ledger::{BudgetLedger, MemoryLedger, Scope, SqliteLedger};
use atlas_router::run::{Request, Router};
use atlas_router::select::Task;
use atlas_schema::{Stage, TenantId, Usd};
use std::hint::black_box;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Most tokens of a reply.
const CAP: u64 = 256;
/// What each budget is worth: more than the bench spends.
const LIMIT: Usd = Usd::from_nanos(1_000_000_000_000_000);

/// All of ours needs: one thread that calls, as a host's would.
pub(crate) struct Ours {
    pub(crate) runtime: Runtime,
    pub(crate) prompts: Arc<[String]>,
    client: Arc<dyn LlmClient>,
}

/// A client of a server on the loopback interface.
pub(crate) fn client(url: &str, key: &str, dialect: Dialect) -> Result<Arc<dyn LlmClient>> {
    let options = HttpOptions::new(url.parse()?, Secret::new(key)).with_policy(EgressPolicy::allowing_loopback());
    Ok(Arc::new(OpenAiClient::new(options, dialect)?))
}

/// What a caller asks for, in the budgets of its stage and tenant.
fn request(prompt: &str) -> Result<Request> {
    let scopes = vec![Scope::Stage(Stage::Dev), tenant()?];
    Ok(Request::new(Task::new(prompt), vec![Message::user(prompt)], CAP, scopes))
}

fn tenant() -> Result<Scope> {
    Ok(Scope::Tenant(TenantId::new("acme")?))
}

/// A call as the router makes it, of a model of that name.
pub(crate) fn call(model: &str, prompt: &str) -> Call {
    let mut call = Call::new(model.into(), vec![Message::user(prompt)], CAP);
    call.idempotency_key = Some("00112233445566778899aabbccddeeff".into());
    call
}

impl Ours {
    pub(crate) fn new(mock: &Mock) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client = client(mock.url(), "sk-bench-0123456789", Dialect::OpenAi)?;
        Ok(Self { runtime, prompts: prompts(), client })
    }

    /// A router over an empty ledger in memory.
    pub(crate) fn in_memory(&self) -> Result<Router> {
        self.router(Arc::new(MemoryLedger::new(Stage::Dev)))
    }

    /// A router over an empty ledger in a file that any number of processes may share.
    pub(crate) fn in_file(&self, path: &Path) -> Result<Router> {
        self.router(Arc::new(SqliteLedger::open(path, Stage::Dev)?))
    }

    fn router(&self, ledger: Arc<dyn BudgetLedger>) -> Result<Router> {
        let limits = vec![(Scope::Stage(Stage::Dev), Some(LIMIT)), (tenant()?, Some(LIMIT))];
        self.runtime.block_on(ledger.limit(limits))?;
        let builder = Router::builder(Catalogue::built_in()?, ledger);
        Ok(builder.with_client("openai", Arc::clone(&self.client)).build()?)
    }

    /// CPU of a plan, in us: the model is chosen, the prompt is counted, each model's bound is known.
    pub(crate) fn plans(&self, count: usize) -> Result<f64> {
        let router = self.in_memory()?;
        let ((), cpu) = cpu::during(|| {
            for prompt in self.prompts.iter().cycle().take(count) {
                let planned = router.plan(&request(prompt)?)?;
                ensure!(planned.targets.iter().all(|target| target.bound > Usd::ZERO), "a bound of nothing");
                black_box(planned);
            }
            Ok(())
        })?;
        Ok(cpu::per_job(cpu, count))
    }

    /// CPU of a call through the client alone, in us: nothing is chosen, counted or held.
    pub(crate) fn posts(&self, count: usize, callers: usize) -> Result<f64> {
        let client = Arc::clone(&self.client);
        self.each(count, callers, move |prompt| {
            let client = Arc::clone(&client);
            async move {
                let reply = client.complete(&call("gpt-6.1-terra", &prompt)).await?;
                reply.usage.context("a reply without usage")?;
                Ok(())
            }
        })
    }

    /// CPU of a governed call, in us: chosen, counted, held, sent, read and settled.
    pub(crate) fn calls(&self, router: &Router, count: usize, callers: usize) -> Result<f64> {
        let router = router.clone();
        self.each(count, callers, move |prompt| {
            let router = router.clone();
            async move {
                let outcome = router.run(&request(&prompt)?, &CancellationToken::new()).await?;
                ensure!(outcome.attempts.len() == 1 && outcome.spent() > Usd::ZERO, "a call that cost nothing");
                Ok(())
            }
        })
    }

    /// CPU of a piece of work, in us, done so often by that many callers at once.
    pub(crate) fn each<F>(
        &self,
        count: usize,
        callers: usize,
        work: impl Fn(Prompt) -> F + Clone + Send + 'static,
    ) -> Result<f64>
    where
        F: Future<Output = Result<()>> + Send,
    {
        let (share, mut tasks) = (count / callers, JoinSet::new());
        let ((), cpu) = cpu::during(|| {
            self.runtime.block_on(async {
                for caller in 0..callers {
                    let (work, prompts) = (work.clone(), Arc::clone(&self.prompts));
                    tasks.spawn(async move {
                        for at in caller * share..(caller + 1) * share {
                            work(Prompt { all: Arc::clone(&prompts), at: at % prompts.len() }).await?;
                        }
                        anyhow::Ok(())
                    });
                }
                while let Some(ended) = tasks.join_next().await {
                    ended??;
                }
                Ok(())
            })
        })?;
        Ok(cpu::per_job(cpu, share * callers))
    }
}

/// One of the prompts.
pub(crate) struct Prompt {
    all: Arc<[String]>,
    at: usize,
}

impl Deref for Prompt {
    type Target = str;

    fn deref(&self) -> &str {
        &self.all[self.at]
    }
}
