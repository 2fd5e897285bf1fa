//! A budget that four processes share, offline: none of them knows of the others, and together they never pass it.
//!
//! Run it with `cargo run --example shared_budget`. It starts itself four times over one SQLite file; a script stands in for the
//! provider. Processes on several machines open a `PostgresLedger` or a `DynamoLedger` instead, and nothing else changes.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, bail, ensure};
use atlas_router::catalogue::Catalogue;
use atlas_router::client::{Message, ScriptedLlm, Turn};
use atlas_router::ledger::{BudgetLedger, GroupBy, Month, Scope, SqliteLedger};
use atlas_router::run::{Kind, Request, Router};
use atlas_router::select::Task;
use atlas_schema::{Stage, TenantId, Timestamp, Usd};
use tokio_util::sync::CancellationToken;

const PROCESSES: usize = 4;
/// At once in each process.
const CALLERS: usize = 4;
/// What the budget is worth, in calls at their dearest.
const CALLS: i64 = 100;

fn tenant() -> Result<Scope> {
    Ok(Scope::Tenant(TenantId::new("acme")?))
}

fn request() -> Result<Request> {
    let words = vec![Message::system("Answer with one name."), Message::user("The capital of Portugal?")];
    let task = Task::new("Name the capital").wanting("mini");
    Ok(Request::new(task, words, 200, vec![Scope::Stage(Stage::Dev), tenant()?]))
}

fn router(ledger: Arc<SqliteLedger>) -> Result<Router> {
    // Every other reply is short, so that less is billed than was held.
    let script = (0..1000).map(|n| Turn::text("Lisbon", 20, if n % 2 == 0 { 200 } else { 3 }));
    let told = |alert: atlas_schema::Alert| println!("alert {}: {}", alert.key, alert.message);
    let router =
        Router::builder(Catalogue::built_in()?, ledger).with_client("openai", Arc::new(ScriptedLlm::new(script)));
    Ok(router.with_alerts(told).build()?)
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match std::env::args_os().nth(1) {
        Some(file) => runtime.block_on(spend(Path::new(&file))),
        None => runtime.block_on(share()),
    }
}

/// One of the four: calls until the budget leaves no room, and says what it spent.
async fn spend(file: &Path) -> Result<()> {
    let router = Arc::new(router(Arc::new(SqliteLedger::open(file, Stage::Dev)?))?);
    // All begin together: when the one that started them lets go.
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let router = Arc::clone(&router);
            tokio::spawn(async move {
                let (mut calls, mut spent) = (0_u32, Usd::ZERO);
                loop {
                    match router.run(&request()?, &CancellationToken::new()).await {
                        Ok(outcome) => {
                            calls += 1;
                            spent = spent.saturating_add(outcome.spent());
                        }
                        Err(refused) if refused.kind() == Kind::Budget => return Ok((calls, spent)),
                        Err(error) => bail!(error),
                    }
                }
            })
        })
        .collect();
    let (mut calls, mut spent) = (0, Usd::ZERO);
    for caller in callers {
        let (of_one, cost) = caller.await??;
        calls += of_one;
        spent = spent.saturating_add(cost);
    }
    println!("spent {} {calls}", spent.as_nanos());
    Ok(())
}

/// The one that starts them.
async fn share() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ledger.db");
    let ledger = Arc::new(SqliteLedger::open(&file, Stage::Dev)?);
    let dearest = router(Arc::clone(&ledger))?.plan(&request()?)?.targets.first().context("a model")?.bound;
    let limit = Usd::from_nanos(dearest.as_nanos() * CALLS);
    ledger.limit(vec![(tenant()?, Some(limit))]).await?;
    println!("{PROCESSES} processes of {CALLERS} callers share ${limit}; a call costs ${dearest} at most");

    let month = Month::of(Timestamp::try_from(SystemTime::now())?);
    let mut children = Vec::new();
    for _ in 0..PROCESSES {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(&file).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let words = BufReader::new(child.stdout.take().context("its words")?).lines();
        children.push((child, words));
    }
    for (_, words) in &mut children {
        ensure!(words.next().context("a word")?? == "ready", "it does not begin");
    }
    for (child, _) in &mut children {
        drop(child.stdin.take());
    }
    let (mut spent, mut alerts) = (Usd::ZERO, Vec::new());
    for (number, (mut child, words)) in children.into_iter().enumerate() {
        for line in words {
            let line = line?;
            match line.split_once(' ').context("a line of two words")? {
                ("spent", told) => {
                    let (nanos, calls) = told.split_once(' ').context("what was spent and on how many calls")?;
                    let of_one = Usd::from_nanos(nanos.parse()?);
                    println!("  process {number}: {calls} calls for ${of_one}");
                    spent = spent.saturating_add(of_one);
                }
                (_, alert) => alerts.push(format!("  process {number} passed {alert}")),
            }
        }
        let status = child.wait()?;
        ensure!(status.success(), "process {number} ended with {status}");
    }
    for alert in &alerts {
        println!("{alert}");
    }
    let balance = ledger.balance(&tenant()?, month).await?;
    for line in ledger.report(month, GroupBy::Model).await? {
        println!("  {}: {} calls for ${}", line.name, line.calls, line.settled);
    }
    let percent = balance.used().as_nanos() * 100 / limit.as_nanos();
    println!("${} of ${limit} is used, {percent} %, and ${} held: the ceiling held", balance.used(), balance.held);
    ensure!(balance.used() <= limit, "the budget was passed");
    ensure!((balance.settled, balance.held) == (spent, Usd::ZERO), "the processes and the ledger tell different sums");
    ensure!(alerts.len() == 2, "80 and 95 % are told once each, whoever passes them");
    Ok(())
}
