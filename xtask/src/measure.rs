//! Benches, soaks, scores and generated files: thin calls of the programs that do them.

use crate::{
    metadata::Metadata,
    peers, servers,
    steps::{Steps, cargo, output_whatever, run},
};
use anyhow::{Context as _, Result, bail};
use std::path::Path;

/// Programs in benches/ that are no bench: they have commands of their own.
const NOT_BENCHES: &[&str] = &["score"];

/// `(area, package, full count)`. The count reaches the tests as `ATLAS_CASES`.
const SOAKS: &[(&str, &str, u64)] = &[
    ("schema", "atlas-schema", 1_000_000),
    ("config", "atlas-config", 1_000_000),
    ("router", "atlas-router", 1_000_000),
    ("engine", "atlas-engine", 100_000),
    ("jobs", "atlas-jobs", 100_000),
];

/// Benches that take a folder of pages to measure on.
const TAKES_DIR: &[&str] = &["engine"];

/// Benches that start peers, which are built before: folders of benches/peers.
const HAS_PEERS: &[(&str, &[&str])] =
    &[("jobs", &["apalis_pg", "apalis_sqlite", "awa", "graphile_worker"]), ("router", &["litellm", "rig"])];

/// Runs one bench program, or all of them. As JSON, the rows of all of them are one array.
pub(crate) fn bench(steps: &mut Steps, area: Option<&str>, dir: Option<&Path>, json: bool) -> Result<()> {
    let metadata = Metadata::members_only()?;
    let mut areas: Vec<&str> = metadata
        .members()
        .filter(|package| package.name == "atlas-benches")
        .flat_map(|package| package.targets_of("bin"))
        .filter(|name| !NOT_BENCHES.contains(name))
        .collect();
    if let Some(area) = area {
        if !areas.contains(&area) {
            bail!("no bench `{area}`; there are {} of them: {}", areas.len(), areas.join(", "));
        }
        areas = vec![area];
    }
    // The bench runs in the workspace's folder, the caller may be elsewhere.
    let dir = match dir {
        Some(dir) if !dir.is_dir() => bail!("{} is no folder; give a folder of pages", dir.display()),
        Some(_) if !areas.iter().all(|area| TAKES_DIR.contains(area)) => {
            bail!("only these benches measure on a folder of pages: {}", TAKES_DIR.join(", "))
        }
        Some(dir) => Some(std::path::absolute(dir)?),
        None => None,
    };
    // One slow figure must not hide the others.
    let mut missed = Vec::new();
    let mut rows: Vec<serde_json::Value> = Vec::new();
    for area in areas {
        for (_, names) in HAS_PEERS.iter().filter(|(name, _)| *name == area) {
            peers::build(steps, names);
        }
        let mut program = cargo(["run", "--locked", "--release", "--quiet", "-p", "atlas-benches", "--bin", area]);
        program.arg("--").args(&dir);
        let advice = "a figure under its floor is marked; run again on an idle machine before believing it";
        let ran = steps.run(&format!("bench {area}"), advice, || {
            if !json {
                return run(&mut program);
            }
            let (text, whole) = output_whatever(program.arg("--json"))?;
            // A bench that missed a floor has printed its rows all the same.
            rows.extend(serde_json::from_str::<Vec<serde_json::Value>>(text.trim()).context("it printed no rows")?);
            whole
        });
        if let Err(error) = ran {
            eprintln!("{error:#}");
            missed.push(area.to_owned());
        }
    }
    if json {
        println!("{}", serde_json::Value::Array(rows));
    }
    if missed.is_empty() { Ok(()) } else { bail!("missed a floor or failed: {}", missed.join(", ")) }
}

/// Runs the tests of one area, optimised, with full counts.
pub(crate) fn soak(steps: &mut Steps, area: &str, cases: Option<u64>) -> Result<()> {
    let Some((_, package, full)) = SOAKS.iter().find(|(name, ..)| *name == area) else {
        let areas: Vec<&str> = SOAKS.iter().map(|(name, ..)| *name).collect();
        bail!("no soak `{area}`; there are: {}", areas.join(", "));
    };
    let cases = cases.unwrap_or(*full);
    if area == "router" {
        servers::model();
    }
    steps.run(&format!("soak {area}, {cases} cases per test"), "keep the seed: make it a named case", || {
        let mut tests = cargo(["test", "--locked", "--release", "--all-features", "--lib", "--tests", "-p", package]);
        run(tests.env("ATLAS_CASES", cases.to_string()))
    })
}

/// Runs the scorer.
pub(crate) fn score(steps: &mut Steps, dir: &Path, json: bool) -> Result<()> {
    // The scorer runs in the workspace's folder, the caller may be elsewhere.
    let dir = std::path::absolute(dir)?;
    if !dir.is_dir() {
        bail!("{} is no folder; give a folder of labelled pages", dir.display());
    }
    steps.run("score", "see the message above", || {
        let mut program =
            cargo(["run", "--locked", "--release", "--quiet", "-p", "atlas-benches", "--bin", "score", "--"]);
        program.arg(&dir);
        if json {
            program.arg("--json");
        }
        run(&mut program)
    })
}

/// Writes the JSON Schema files, through the test that otherwise compares them.
pub(crate) fn schemas(steps: &mut Steps) -> Result<()> {
    steps.run("schemas", "fix the types in atlas-schema", || {
        let mut test = cargo(["test", "--locked", "--quiet", "-p", "atlas-schema", "--test", "it", "schemas"]);
        run(test.env("UPDATE_SCHEMAS", "1"))
    })
}
