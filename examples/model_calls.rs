//! Model calls within a budget, offline: which model and why, what it can cost, a call that is retried and falls back, a budget
//! that is used up, and the same calls replayed from a tape.
//!
//! Run it with `cargo run --example model_calls`. Scripts stand in for the providers; a program puts `OpenAiClient` and
//! `AnthropicClient` (feature `http-llm`) in their place.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use atlas_router::call::{Answer, Fault};
use atlas_router::catalogue::Catalogue;
use atlas_router::client::{Cassette, LlmClient, Message, ScriptedLlm, Turn};
use atlas_router::ledger::{BudgetLedger, MemoryLedger, Month, Scope};
use atlas_router::run::{Outcome, Request, Router};
use atlas_router::select::Task;
use atlas_schema::{Stage, TenantId, Timestamp, Usd};
use tokio_util::sync::CancellationToken;

fn request(tenant: &Scope) -> Request {
    let task = Task::new("Name the capital of each country in the table").wanting("mini");
    let words = vec![Message::system("Answer with one name."), Message::user("Portugal?")];
    Request::new(task, words, 200, vec![Scope::Stage(Stage::Dev), tenant.clone()])
}

fn router(ledger: Arc<dyn BudgetLedger>, client: Arc<dyn LlmClient>) -> Result<Router> {
    Ok(Router::builder(Catalogue::built_in()?, ledger).with_client("openai", client).build()?)
}

fn tell(outcome: &Outcome) {
    for attempt in &outcome.attempts {
        let end = match &attempt.end {
            atlas_router::run::End::Failed { fault, .. } => fault.to_string(),
            end => format!("{end:?}"),
        };
        println!(
            "  {}: held ${}, charged {:?}, after {:?}: {end}",
            attempt.model, attempt.bound, attempt.charge, attempt.waited
        );
    }
    println!("  {:?} from {} for ${}", outcome.reply.text, outcome.model, outcome.spent());
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let tenant = Scope::Tenant(TenantId::new("acme")?);
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    // The first model is busy for a moment, then gone; the next one answers.
    let gone = Fault::Answered(Answer::new(404).with_code("model_not_found"));
    let script =
        [Turn::status(503).retry_after(Duration::from_millis(20)), Turn::fault(gone), Turn::text("Lisbon", 24, 2)];
    let tape = Cassette::new();
    let recorder = tape.recorder(Arc::new(ScriptedLlm::new(script).or_else(Turn::text("Lisbon", 24, 2))));
    let router = self::router(ledger.clone(), Arc::new(recorder))?;

    let planned = router.plan(&request(&tenant))?;
    println!("rule {}: tier {}", planned.decision.rule, planned.decision.tier);
    for target in &planned.targets {
        println!("  {} could cost ${} at most", target.model, target.bound);
    }
    for skipped in planned.decision.skipped.iter().chain(&planned.skipped) {
        println!("  without {skipped}");
    }

    println!("a call that is retried and falls back:");
    let first = router.run(&request(&tenant), &CancellationToken::new()).await?;
    tell(&first);

    println!("as many as the budget lets through:");
    let most = planned.targets.first().context("a target")?.bound;
    let limit = Usd::from_nanos(first.spent().as_nanos() + most.as_nanos());
    ledger.limit(vec![(tenant.clone(), Some(limit))]).await?;
    let mut answered = 0;
    let refused = loop {
        match router.run(&request(&tenant), &CancellationToken::new()).await {
            Ok(_) => answered += 1,
            Err(refused) => break refused,
        }
    };
    let balance = ledger.balance(&tenant, Month::of(Timestamp::try_from(std::time::SystemTime::now())?)).await?;
    println!("  {answered} more, then: {refused}");
    println!("  ${} of ${limit} is used, ${} held", balance.used(), balance.held);
    ensure!(balance.used() <= limit, "the budget was passed");

    println!("the first call again, from its tape of {} bytes:", tape.to_json().len());
    let player = Cassette::from_json(&tape.to_json())?.player();
    let replayed = self::router(Arc::new(MemoryLedger::new(Stage::Dev)), Arc::new(player))?;
    let again = replayed.run(&request(&tenant), &CancellationToken::new()).await?;
    tell(&again);
    ensure!((again.spent(), &again.reply) == (first.spent(), &first.reply), "the replay differs");
    Ok(())
}
