//! A governed call of a model on this machine: chosen with its reasons, held for, passed on as it is written, and paid by the
//! tokens that the server counts.
//!
//! `cargo xtask model-server` starts a small model and says what to export for `cargo run --example local_model`. Any server that
//! speaks Chat Completions will do: name it in `ATLAS_EXAMPLE_MODEL_SERVER`, and its model in `local_model.toml`.

use std::io::Write as _;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use atlas_config::{Secret, egress::EgressPolicy};
use atlas_router::catalogue::Catalogue;
use atlas_router::client::http::{Dialect, HttpOptions, OpenAiClient};
use atlas_router::client::{Format, JsonSchema, Message, Temperature};
use atlas_router::ledger::{BudgetLedger, MemoryLedger, Month, Scope};
use atlas_router::run::{Part, Planned, Request, Router};
use atlas_router::select::Task;
use atlas_schema::{Stage, TenantId, Timestamp, Usd};
use serde_json::json;
use tokio_util::sync::CancellationToken;

const MODELS: &str = include_str!("local_model.toml");
/// A tenth of a cent in a month.
const BUDGET: Usd = Usd::from_nanos(1_000_000);

/// A model so small goes by examples.
fn words() -> Vec<Message> {
    let mut words = Vec::new();
    for (country, answer) in [("Portugal", r#"{"capital": "Lisbon"}"#), ("Italy", r#"{"capital": "Rome"}"#)] {
        words.extend([Message::user(country), Message::assistant(answer)]);
    }
    words.push(Message::user("France"));
    words
}

fn variable(name: &str) -> Result<String> {
    let advice = "run `cargo xtask model-server` in another shell, and in this one the lines that it prints";
    std::env::var(name).with_context(|| format!("{name} is not set: {advice}"))
}

fn client() -> Result<OpenAiClient> {
    let server = variable("ATLAS_EXAMPLE_MODEL_SERVER")?;
    let base = format!("{}/v1", server.trim_end_matches('/')).parse().context("the server's address")?;
    // By default no address of this machine or its network is dialled, and none without TLS.
    let options = HttpOptions::new(base, Secret::new(variable("ATLAS_EXAMPLE_MODEL_KEY")?))
        .with_policy(EgressPolicy::allowing_loopback());
    Ok(OpenAiClient::new(options, Dialect::Compatible)?)
}

fn explain(planned: &Planned) {
    let decision = &planned.decision;
    println!("rule {} of policy {} chose tier {}:", decision.rule, decision.policy, decision.tier);
    println!(
        "  complexity {} of 10000, cost sensitivity {}",
        decision.score.complexity, decision.score.cost_sensitivity
    );
    for factored in &decision.score.factors {
        println!("    {:?}: {}", factored.factor, factored.points);
    }
    for target in &planned.targets {
        println!("  {} could cost ${} at most", target.model, target.bound);
    }
    for skipped in decision.skipped.iter().chain(&planned.skipped) {
        println!("  without {skipped}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let tenant = Scope::Tenant(TenantId::new("acme")?);
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    ledger.limit(vec![(tenant.clone(), Some(BUDGET))]).await?;
    let catalogue = Catalogue::built_in()?.with_overlay(MODELS)?;
    let router = Router::builder(catalogue, ledger.clone()).with_client("local", Arc::new(client()?)).build()?;

    let task = Task::new("Name the capital of a country");
    let mut request = Request::new(task, words(), 40, vec![Scope::Stage(Stage::Dev), tenant.clone()]);
    // The server lets the model write nothing else.
    let capital = json!({ "type": "string", "maxLength": 20 });
    let schema = json!({ "type": "object", "properties": { "capital": capital }, "required": ["capital"] });
    request.format = Format::JsonSchema(JsonSchema::strict("capital", &schema)?);
    request.temperature = Some(Temperature::ZERO);
    explain(&router.plan(&request)?);

    println!("as it comes:");
    let mut answering = router.stream(&request, &CancellationToken::new()).await?;
    let outcome = loop {
        match answering.next().await.context("an end comes last")?? {
            Part::End(outcome) => break outcome,
            Part::Text(text) => print!("{text}"),
            _ => {}
        }
        std::io::stdout().flush()?;
    };
    println!();

    let attempt = outcome.attempts.last().context("an attempt")?;
    let usage = attempt.usage.context("the server tells no usage")?;
    println!("{} tokens read and {} written by {}", usage.prompt(), usage.completion(), outcome.model);
    println!("held ${}, charged ${}", attempt.bound, outcome.spent());
    let balance = ledger.balance(&tenant, Month::of(Timestamp::try_from(SystemTime::now())?)).await?;
    println!("${} of ${BUDGET} is used, ${} held", balance.used(), balance.held);
    ensure!(outcome.spent() <= attempt.bound && balance.settled == outcome.spent(), "the books are wrong");
    Ok(())
}
