//! `cargo xtask test`: everything is built once, then the examples, the doctests and the tests run.

use crate::{
    examples, servers,
    steps::{Steps, cargo, exists, run},
};
use anyhow::{Result, bail};

/// The flags that all builds of the gate share, so that none builds anything twice.
pub(crate) const WHOLE: [&str; 3] = ["--locked", "--workspace", "--all-features"];

/// More tests than this run at a time only where there are as many cores.
const MOST_AT_A_TIME: usize = 16;

/// Runs everything; the test runner's own summary is the last thing printed.
pub(crate) fn all(steps: &mut Steps) -> Result<()> {
    steps.run("set up", "install what is named, then run again", set_up)?;
    steps.run("build tests and examples", "fix the errors above", || run(cargo(["test", "--no-run"]).args(WHOLE)))?;
    // Cargo builds an example as a program or as its tests, not both: the main program's own tests are asked for.
    steps.run("the main program's own tests", "fix the tests named above", || {
        run(cargo(["test", "--quiet", "--example", "extract"]).args(WHOLE))
    })?;
    steps.run("examples", "run the named example by itself: cargo run --example NAME", examples::run_all)?;
    steps.run("doctests", "fix the examples in the documentation named above", || {
        run(cargo(["test", "--doc", "--quiet"]).args(WHOLE))
    })?;
    steps.last("tests", "fix the tests named above; one alone: cargo test -p CRATE NAME", || {
        // nextest gives each test a process of its own: they share servers, which end with this step.
        let (server, model) = (servers::postgres_for_all(), servers::model_for_all());
        let (mut tests, threads) = if has_nextest() {
            (cargo(["nextest", "run", "--no-fail-fast"]), "NEXTEST_TEST_THREADS")
        } else {
            (cargo(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]), "RUST_TEST_THREADS")
        };
        if std::env::var_os(threads).is_none() {
            // Many tests wait: for servers, commits, processes, and for what must not happen. Each may have some of the server's
            // 200 connections.
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            tests.env(threads, cores.max((2 * cores).min(MOST_AT_A_TIME)).to_string());
        }
        if let Some(server) = &server {
            tests.env(testkit::postgres::OF_THE_RUN, server.url());
        }
        if let Some(model) = &model {
            tests.env(testkit::model::OF_THE_RUN, model.endpoint().url);
        }
        run(tests.args(WHOLE))
    })
}

/// `cargo nextest` runs tests of all binaries at once; `cargo test` does as well, slower and with one summary per binary.
fn has_nextest() -> bool {
    cargo(["nextest", "--version"]).output().is_ok_and(|output| output.status.success())
}

/// Installs what tests need and is not there: a database server, a stand-in for DynamoDB, a small model, our dependencies.
pub(crate) fn set_up() -> Result<()> {
    // The linker and the bundled SQLite need a C compiler; nothing else comes from outside cargo.
    if !exists("cc", "--version") {
        bail!("no C compiler `cc` found: install one (Debian: apt-get install gcc libc6-dev)");
    }
    if !has_nextest() {
        eprintln!("   cargo-nextest is not installed; cargo test runs the tests");
    }
    servers::postgres();
    servers::dynamodb();
    servers::model();
    run(&mut cargo(["fetch", "--locked"]))
}
