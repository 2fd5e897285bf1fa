//! The main job: pages become validated records in which every value has its quote.
//!
//! `cargo run --release --example extract -- [PAGE.html | URL | directory]... --schema FILE | --type TYPE`
//!
//! Each page is a durable job in a SQLite file; this program enqueues what is missing, runs a worker until all of its
//! pages have an end, and shows the results. Standard output carries results only; progress, the summary and problems go
//! to standard error. See `--help` for the exit codes.

mod args;
mod fetch;
mod grid;
mod json;
mod outcome;
mod plain;
mod progress;
mod report;
mod run;
mod shape;
mod source;
mod source_view;
mod store;
mod table;
mod views;
mod write;

use args::{Args, Format};
use clap::Parser;
use outcome::{Done, Sums};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Some pages gave no data, or not all that the schema requires.
const INCOMPLETE: u8 = 1;
/// The call is wrong.
const USAGE: u8 = 2;
/// The database or the output can't be used.
const ENVIRONMENT: u8 = 3;
/// Interrupted.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    let code = match plan(&args) {
        Ok(sources) => run(&args, sources).unwrap_or_else(|error| {
            write::note(&format!("error: {error:#}"));
            ENVIRONMENT
        }),
        Err(error) => {
            write::note(&format!("error: {error:#}\n\nFor more information, try '--help'."));
            USAGE
        }
    };
    ExitCode::from(code)
}

/// The pages and their shapes: everything that can be wrong with the call shows here, before anything is written.
fn plan(args: &Args) -> anyhow::Result<Vec<source::Source>> {
    let shape = match (&args.schema, args.kind) {
        (Some(file), _) => Some(shape::Shape::file(file)?),
        (None, Some(kind)) => Some(shape::Shape::builtin(kind.name())?),
        (None, None) => None,
    };
    let out = args.target();
    if out.is_some_and(Path::is_dir) {
        anyhow::bail!("--out names a directory: name a file");
    }
    if out.is_some_and(|out| same_file(out, &args.db)) {
        anyhow::bail!("--out names the job database: name another file");
    }
    let mut sources = source::collect(args, shape)?;
    let is_target = |source: &source::Source| match &source.place {
        source::Place::File { path, .. } => out.is_some_and(|out| same_file(out, path)),
        _ => false,
    };
    if args.out.is_some() && sources.iter().any(is_target) {
        anyhow::bail!("--out names one of the pages, which it would replace: name another file");
    }
    // A report of an earlier run in a directory of pages is no page.
    sources.retain(|source| !is_target(source));
    Ok(sources)
}

fn run(args: &Args, sources: Vec<source::Source>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let started = Instant::now();
    let pages = Arc::new(run::fetchers(args, &sources)?);
    let run::Finished { done, interrupted } = runtime.block_on(run::all(args, sources, pages.clone()))?;
    let sums = Sums::of(&done);
    let summary = sums.text(started.elapsed(), &run::cost(&done), &args.db.display().to_string());
    emit(args, &done, &pages, &summary)?;
    for page in done.iter().filter(|_| !matches!(args.format, Format::Table)) {
        if let Some(problem) = page.problem().map(str::to_owned).or_else(|| page.lack()) {
            write::note(&format!("{}: {}", plain::line(&page.source.label), plain::line(&problem)));
        }
    }
    write::note(&summary);
    // Work that is still blocking, such as a slow page after an interruption, is not waited for.
    runtime.shutdown_background();
    if interrupted {
        write::note("Interrupted: nothing is lost. Run the same command again to go on.");
        return Ok(INTERRUPTED);
    }
    Ok(if sums.failed + sums.partial > 0 { INCOMPLETE } else { 0 })
}

/// Whether two paths lead to the same file, there already or not.
fn same_file(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// Writes the results where they were asked for.
fn emit(args: &Args, done: &[Done], pages: &fetch::Pages, summary: &str) -> anyhow::Result<()> {
    let text = match args.format {
        Format::Table => table::render(done, table::terminal_width()),
        Format::Json => json::array(done),
        Format::Jsonl => json::lines(done),
        Format::Html => report::render(done, &views::all(done, pages), summary),
    };
    match args.target() {
        None => write::stdout(&text),
        Some(path) => {
            write::file(path, &text)?;
            write::note(&format!("The results are in {}.", path.display()));
            Ok(())
        }
    }
}
