//! Governed calls of models: what a plan, a call and a durable call cost in CPU time, beside rig and `LiteLLM`.
//!
//! One run, in turns: each figure is the median of them, and each ratio the median of the quotients turn by turn. CPU time is that of
//! whoever calls; the provider is a mock on the loopback interface, a process of its own that nobody counts. All take the same
//! prompts and get the same reply. `ATLAS_BENCH_ROUNDS` sets the number of turns (5), `ATLAS_BENCH_CALLS` how many calls ours make
//! in one (20 000), `ATLAS_BENCH_PART` runs one part alone: `plan`, `call`, `durable` or `tokens`.

use anyhow::Result;
use atlas_benches::peer::{Ready, of_python, program};
use atlas_benches::{Row, number, report};
use mock::Mock;
use ours::Ours;
use proxy::Proxy;
use std::path::Path;
use std::process::{Command, ExitCode};
use turns::{Turns, WithPeer};

mod mock;
mod ours;
mod prompts;
mod proxy;
mod tokens;
mod turns;

/// Calls under way at once: to the memory ledger, in rig and in `LiteLLM`'s Router.
const CALLERS: usize = 8;
/// The same with the durable ledger and `LiteLLM`'s proxy. So many holds at most share a commit.
const DURABLE_CALLERS: usize = 64;
/// Calls of a Python peer in a turn: each costs as much as some dozens of ours.
const FEW: usize = 500;

/// The peers that are there.
struct Peers {
    rig: Option<Ready>,
    litellm: Option<Ready>,
    proxy: Option<Proxy>,
}

fn main() -> Result<ExitCode> {
    if std::env::args().nth(1).as_deref() == Some(mock::ARG) {
        mock::serve()?;
        return Ok(ExitCode::SUCCESS);
    }
    let (rounds, calls) = (number("ATLAS_BENCH_ROUNDS", 5)?, number("ATLAS_BENCH_CALLS", 20_000)?);
    let only = std::env::var("ATLAS_BENCH_PART").ok();
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);

    let folder = tempfile::tempdir_in("target")?;
    let mock = Mock::start()?;
    let ours = Ours::new(&mock)?;
    let file = folder.path().join("prompts.json");
    std::fs::write(&file, serde_json::to_vec(&*ours.prompts)?)?;
    let mut peers = Peers {
        rig: if wanted("call") { rig(&mock, &file)? } else { None },
        litellm: if wanted("plan") || wanted("call") { litellm(&file)? } else { None },
        proxy: if wanted("durable") { Proxy::start(&mock, &ours, folder.path())? } else { None },
    };
    let mut turns = Turns::default();
    // The first round warms up all of them.
    for round in 0..=rounds {
        turns.begin(round > 0);
        if wanted("plan") {
            turns.add("plan", ours.plans(calls)?);
            if let Some(litellm) = &mut peers.litellm {
                let figures = litellm.turn(&format!("plan {FEW}"))?;
                let parts = ["hook", "count", "price"].map(|name| figures.get(name));
                let mut whole = 0.0;
                for (name, part) in ["litellm-hook", "litellm-count", "litellm-price"].into_iter().zip(parts) {
                    let part = part?;
                    whole += part;
                    turns.add(name, part);
                }
                turns.add("litellm-plan", whole);
            }
        }
        if wanted("call") {
            turns.add("client", ours.posts(calls, CALLERS)?);
            turns.add("call", ours.calls(&ours.in_memory()?, calls, CALLERS)?);
            if let Some(rig) = &mut peers.rig {
                turns.add("rig", rig.turn(&format!("{CALLERS} {calls}"))?.get("cpu")?);
            }
            if let Some(litellm) = &mut peers.litellm {
                turns.add("litellm-router", litellm.turn(&format!("router {FEW} {CALLERS}"))?.get("cpu")?);
            }
        }
        if wanted("durable") {
            let path = folder.path().join(format!("ledger-{round}.db"));
            turns.add("durable", ours.calls(&ours.in_file(&path)?, calls / 2, DURABLE_CALLERS)?);
            if let Some(proxy) = &mut peers.proxy {
                turns.add("litellm-proxy", proxy.posts(&ours, FEW, DURABLE_CALLERS)?);
                turns.add("litellm-proxy-few-callers", proxy.posts(&ours, FEW, CALLERS)?);
            }
        }
        if wanted("tokens") {
            tokens::turn(&mut turns)?;
        }
    }
    let mut rows: Vec<Row> = Vec::new();
    if wanted("plan") {
        rows.push(turns.row("plan", "us").with_peer(&turns, "litellm-plan"));
        rows.push(turns.ratio("plan-below-litellm", "litellm-plan", "plan", |row| row.at_least(40.0)));
        rows.extend(["litellm-hook", "litellm-count", "litellm-price"].map(|name| turns.row(name, "us")));
    }
    if wanted("call") {
        rows.push(turns.row("client", "us").with_peer(&turns, "rig"));
        rows.push(turns.row("call", "us").with_peer(&turns, "rig"));
        rows.push(turns.ratio("call-to-rig", "call", "rig", |row| row.at_most(1.3)));
        rows.push(turns.ratio("call-below-litellm-router", "litellm-router", "call", |row| row.at_least(30.0)));
        rows.push(turns.row("litellm-router", "us"));
    }
    if wanted("durable") {
        rows.push(turns.row("durable", "us").with_peer(&turns, "litellm-proxy"));
        rows.push(turns.ratio("durable-below-litellm-proxy", "litellm-proxy", "durable", |row| row.at_least(40.0)));
        rows.push(turns.row("litellm-proxy-few-callers", "us"));
    }
    if wanted("tokens") {
        rows.extend(tokens::rows(&turns));
    }
    Ok(report(&rows))
}

fn rig(mock: &Mock, prompts: &Path) -> Result<Option<Ready>> {
    let Some(program) = program("rig") else { return Ok(None) };
    Ready::spawn(Command::new(program).arg(mock.url()).arg(prompts)).map(Some)
}

fn litellm(prompts: &Path) -> Result<Option<Ready>> {
    let Some(python) = of_python("litellm", "python") else { return Ok(None) };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/litellm/bench.py");
    Ready::spawn(proxy::quiet(Command::new(python).arg(script).arg(prompts))).map(Some)
}
