//! Scores the engine on folders of pages with labels: `cargo xtask score DIR [--json]`.
//!
//! Nothing here knows a site. A part is known by its label files ([`data`]); pages are read into memory first; the clock
//! runs on parsing and extracting, on one thread; evidence is checked again from the page ([`backing`]).
//! One JSON object or line of text per part, variant and field.

mod articles;
mod backing;
mod data;
mod facts;
mod metadata;
mod normalise;
mod recipes;
mod report;
mod run;
mod strip;
mod tables;
mod tally;

use anyhow::{Result, bail};
use data::Kind;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: score DIR [--json]   DIR: a folder of labelled pages, or one of its parts";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let (mut dir, mut json) = (None, false);
    for argument in std::env::args_os().skip(1) {
        match argument.to_str() {
            Some("--json") => json = true,
            Some("--help" | "-h") => {
                println!("{USAGE}");
                return Ok(());
            }
            Some(flag) if flag.starts_with("--") => bail!("unknown option\n{USAGE}"),
            _ if dir.is_none() => dir = Some(PathBuf::from(argument)),
            _ => bail!("one folder at a time\n{USAGE}"),
        }
    }
    let Some(dir) = dir else { bail!("{USAGE}") };
    let runner = run::Runner::new()?;
    let mut rows = Vec::new();
    let found = data::discover(&dir)?;
    for (folder, what) in &found.later {
        eprintln!("no row for {}: its labels grade {what}, which is not done yet", folder.display());
    }
    for folder in &found.unknown {
        eprintln!("no row for {}: it holds no labels of a known layout", folder.display());
    }
    let mut failed = 0;
    for part in &found.parts {
        eprintln!("scoring {} in {}", part.kind.name(), part.dir.display());
        let scored = match part.kind {
            Kind::Recipes => recipes::score(part, &runner),
            Kind::Tables => tables::score(part, &runner),
            Kind::Article => articles::score(part, &runner),
            Kind::Dates => articles::score_dates(part, &runner),
            Kind::Extruct => metadata::score_extruct(part),
            Kind::SchemaOrg => metadata::score_schema_org(part),
        };
        match scored {
            Ok(more) => rows.extend(more),
            // A part that can't be read must not cost the rows of the others.
            Err(error) => {
                failed += 1;
                eprintln!("no row for {}: {error:#}", part.dir.display());
            }
        }
    }
    let text = if json { serde_json::to_string_pretty(&rows)? + "\n" } else { report::table(&rows) };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    if failed > 0 {
        bail!("{failed} of {} parts could not be scored: see the lines above", found.parts.len());
    }
    Ok(())
}
