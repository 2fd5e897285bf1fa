//! Claim and completion: the rate beside raw statements and other job managers, and what a job costs.

use super::middle;
use super::raw;
use super::server::{Database, Host, PerJob};
use crate::drain::{drain, fill, rate};
use crate::{SLOTS, Scale};
use anyhow::Result;
use atlas_benches::peer::{Ready, program};
use atlas_benches::{Row, cpu};
use atlas_jobs::JobStore;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// So many times the jobs of a turn elsewhere: this store is faster, and the server's CPU time counts in ticks of 10 ms.
const TIMES: usize = 4;

/// Workers that share the slots: each has one round trip under way, so each has one connection. As many have the raw statements.
/// So many are fastest on two cores.
const WORKERS: usize = 4;

/// And with so many ours are measured beside the raw statements, too.
const OTHERS: [usize; 3] = [1, 2, 8];

/// A job manager beside ours: its program, which part of our jobs it gets (slow ones fewer), and the ratio that is promised.
struct Rival {
    name: &'static str,
    title: &'static str,
    part: usize,
    floor: f64,
}

const RIVALS: [Rival; 3] = [
    Rival { name: "graphile_worker", title: "graphile_worker", part: 1, floor: 1.3 },
    Rival { name: "awa", title: "awa", part: 4, floor: 3.0 },
    Rival { name: "apalis_pg", title: "apalis-postgres", part: 5, floor: 5.0 },
];

/// What one turn of ours said.
struct Turn {
    rate: f64,
    cost: PerJob,
    own_cpu: f64,
}

pub(crate) fn rows(runtime: &Runtime, host: &Host, scale: Scale) -> Result<Vec<Row>> {
    let jobs = scale.jobs * TIMES;
    let programs = RIVALS.map(|rival| program(rival.name));
    let (mut small, mut large, mut raws) = (vec![], vec![], vec![]);
    let mut others: [Vec<f64>; OTHERS.len()] = Default::default();
    let mut rivals: [Vec<(f64, PerJob)>; RIVALS.len()] = Default::default();
    for round in 0..=scale.rounds {
        let (turn, raw) = pair(runtime, host, jobs, WORKERS)?;
        for (workers, ratios) in OTHERS.iter().zip(&mut others) {
            let (turn, (rate, _)) = pair(runtime, host, jobs, *workers)?;
            ratios.extend(Some(turn.rate / rate).filter(|_| round > 0));
        }
        let mut figures = Vec::new();
        for (rival, program) in RIVALS.iter().zip(&programs) {
            figures.push(match program {
                Some(program) => Some(theirs(runtime, host, program, jobs / rival.part)?),
                None => None,
            });
        }
        let heavy = ours(runtime, host, jobs / 2, 2000, WORKERS)?;
        // The first turn warms up the disk and the caches.
        if round > 0 {
            small.push(turn);
            large.push(heavy);
            raws.push(raw);
            for (rival, figure) in rivals.iter_mut().zip(figures) {
                rival.extend(figure);
            }
        }
    }
    let of = |turns: &[Turn], figure: fn(&Turn) -> f64| middle(turns.iter().map(figure).collect());
    let cost =
        |of: &[(f64, PerJob)], figure: fn(&PerJob) -> f64| middle(of.iter().map(|(_, cost)| figure(cost)).collect());
    let ratio = |theirs: &[(f64, PerJob)]| {
        middle(small.iter().zip(theirs).map(|(ours, (theirs, _))| ours.rate / theirs).collect())
    };
    let mut rows = vec![
        Row::new("postgres/claim-complete", of(&small, |turn| turn.rate), "jobs/s"),
        Row::new("postgres/raw-same-batch", middle(raws.iter().map(|(rate, _)| *rate).collect()), "jobs/s"),
        Row::new("postgres/to-raw", ratio(&raws), "ratio").at_least(0.8),
        Row::new("postgres/log-50B", of(&small, |turn| turn.cost.log), "B/job").at_most(620.0),
        Row::new("postgres/log-2kB", of(&large, |turn| turn.cost.log), "B/job").at_most(620.0),
        Row::new("postgres/commits", of(&small, |turn| turn.cost.commits), "per job").at_most(0.01),
        Row::new("postgres/server-cpu", of(&small, |turn| turn.cost.cpu), "us/job").at_most(18.0),
        Row::new("postgres/raw-server-cpu", cost(&raws, |cost| cost.cpu), "us/job"),
        Row::new("postgres/client-cpu", of(&small, |turn| turn.own_cpu), "us/job").at_most(9.0),
    ];
    for (workers, ratios) in OTHERS.iter().zip(others) {
        rows.push(Row::new(format!("postgres/to-raw-{workers}-connections"), middle(ratios), "ratio").at_least(0.8));
    }
    for (Rival { title, floor, .. }, figures) in RIVALS.iter().zip(&rivals) {
        if figures.is_empty() {
            rows.push(Row::absent(format!("postgres/to-{title} (not built)"), "ratio"));
            continue;
        }
        let theirs = middle(figures.iter().map(|(rate, _)| *rate).collect());
        rows.push(Row::new(format!("postgres/to-{title}"), ratio(figures), "ratio").at_least(*floor).peer(theirs));
        rows.push(Row::new(format!("postgres/{title}-log"), cost(figures, |cost| cost.log), "B/job"));
        rows.push(Row::new(format!("postgres/{title}-server-cpu"), cost(figures, |cost| cost.cpu), "us/job"));
    }
    Ok(rows)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a small count")]
fn batch(cost: PerJob) -> usize {
    (1.0 / cost.commits).round().clamp(1.0, 1000.0) as usize
}

/// A turn of ours, and of the raw statements at the same batch.
fn pair(runtime: &Runtime, host: &Host, jobs: usize, workers: usize) -> Result<(Turn, (f64, PerJob))> {
    let turn = ours(runtime, host, jobs, 50, workers)?;
    let batch = batch(turn.cost);
    Ok((turn, raw_turn(runtime, host, jobs, batch, workers)?))
}

fn ours(runtime: &Runtime, host: &Host, jobs: usize, bytes: usize, workers: usize) -> Result<Turn> {
    let (database, store, before) = runtime.block_on(async {
        let database = host.database().await?;
        let store: Arc<dyn JobStore> = Arc::new(database.store(workers + 2).await?);
        fill(&store, jobs, bytes).await?;
        database.tidy().await?;
        anyhow::Ok((database, store, host.spent().await?))
    })?;
    // On a task of its own, as a host has it: the main thread of a runtime is slower to wake.
    let task = async move { drain(&store, jobs, workers).await };
    let (took, own) = cpu::during(|| runtime.block_on(runtime.spawn(task))?)?;
    let cost = before.until(runtime.block_on(host.spent())?, jobs);
    runtime.block_on(host.remove(database))?;
    Ok(Turn { rate: rate(jobs, took), cost, own_cpu: cpu::per_job(own, jobs) })
}

fn raw_turn(runtime: &Runtime, host: &Host, jobs: usize, batch: usize, workers: usize) -> Result<(f64, PerJob)> {
    let (database, before) = runtime.block_on(async {
        let database = host.database().await?;
        raw::filled(&database, jobs, 50).await?;
        anyhow::Ok((database, host.spent().await?))
    })?;
    let task = async move { anyhow::Ok((raw::drain(&database, jobs, batch, workers).await?, database)) };
    let (rate, database) = runtime.block_on(runtime.spawn(task))??;
    let cost = before.until(runtime.block_on(host.spent())?, jobs);
    runtime.block_on(host.remove(database))?;
    Ok((rate, cost))
}

fn theirs(runtime: &Runtime, host: &Host, program: &Path, jobs: usize) -> Result<(f64, PerJob)> {
    let database: Database = runtime.block_on(host.database())?;
    let args = ["drain", &database.url, &jobs.to_string(), &SLOTS.to_string(), "50"];
    let ready = Ready::start(program, &args)?;
    runtime.block_on(database.tidy())?;
    let before = runtime.block_on(host.spent())?;
    let seconds = ready.go()?.get("seconds")?;
    let cost = before.until(runtime.block_on(host.spent())?, jobs);
    runtime.block_on(host.remove(database))?;
    Ok((rate(jobs, Duration::from_secs_f64(seconds)), cost))
}
