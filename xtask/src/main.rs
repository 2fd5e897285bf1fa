//! The project's own commands: `cargo xtask COMMAND`.
//!
//! Each command is a list of named steps. A step prints its name, what it runs and how long it took; the first failure
//! stops the command with what to do about it and exit code 1 (2 for a wrong call).

mod consumers;
mod examples;
mod fuzz;
mod gate;
mod licence;
mod measure;
mod metadata;
mod peers;
mod rules;
mod servers;
mod steps;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};
use steps::Steps;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Set up what is missing and run everything: examples, doctests, unit and integration tests
    Test,
    /// Only set up what is missing; `test` and `ci` do this, too
    SetUp,
    /// The gate: format, lints, docs, features, dependency and licence rules, packaging, fuzzing, then `test`
    Ci {
        /// Leave out the last part, for a caller that runs `cargo xtask test` itself
        #[arg(long)]
        skip_tests: bool,
        /// Run only the steps whose name holds this text, such as `docs`
        #[arg(long)]
        only: Option<String>,
    },
    /// Measure; without AREA, everything
    Bench {
        /// One of the programs in benches/src/bin
        area: Option<String>,
        /// A folder of pages to measure `engine` on, instead of the bundled samples
        dir: Option<PathBuf>,
        /// One JSON array of rows, for a machine
        #[arg(long)]
        json: bool,
    },
    /// Full counts of the randomised tests of an area
    Soak {
        /// schema, config, router, engine or jobs
        area: String,
        /// Cases per test; the area's own full count if absent
        #[arg(long)]
        cases: Option<u64>,
    },
    /// Start the small model that tests call, and say where it is, until Ctrl-C
    ModelServer {
        /// Its port on the loopback interface; 0 is a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
    },
    /// Precision and recall on a folder of labelled pages
    Score {
        /// The folder, or one of its parts
        dir: PathBuf,
        /// One JSON array of rows, for a machine
        #[arg(long)]
        json: bool,
    },
    /// Run every fuzz target
    Fuzz {
        /// Seconds per target
        #[arg(default_value_t = 30)]
        seconds: u64,
    },
    /// Write the JSON Schema files again from the types
    Schemas,
}

fn main() -> ExitCode {
    let mut steps = Steps::default();
    let result = match Cli::parse().command {
        Command::Test => test::all(&mut steps),
        Command::SetUp => test::set_up(),
        Command::Ci { skip_tests, only } => gate::all(&mut steps, skip_tests, only.as_deref()),
        Command::Bench { area, dir, json } => measure::bench(&mut steps, area.as_deref(), dir.as_deref(), json),
        Command::Soak { area, cases } => measure::soak(&mut steps, &area, cases),
        Command::ModelServer { port } => servers::run_model(port),
        Command::Score { dir, json } => measure::score(&mut steps, &dir, json),
        Command::Fuzz { seconds } => fuzz::all(&mut steps, seconds),
        Command::Schemas => measure::schemas(&mut steps),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
