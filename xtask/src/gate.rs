//! `cargo xtask ci`: everything that must hold before a change is handed in, cheapest first.

use crate::{
    consumers,
    metadata::Metadata,
    rules,
    steps::{AtDrop, Beside, Steps, cargo, exists, output, root, run},
    test::{self, WHOLE},
    tidy,
};
use anyhow::{Result, bail};
use std::process::Command;

/// Seconds per fuzz target.
const FUZZ_SECONDS: u64 = 8;

/// The first of the steps that fuzzing runs beside, and the setting up of what tests need: steps that know nothing of the tests.
const BESIDE: &str = "each feature alone";

/// A step: its name, what to do when it fails, and its work.
type Step = (&'static str, &'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("format", "run `cargo fmt`", || run(&mut cargo(["fmt", "--all", "--check"]))),
    ("file lengths", "split the file by idea", tidy::file_lengths),
    ("dependency and licence rules", "see xtask/src/rules.rs for each rule's reason", rules::check),
    ("tests that never run", "take `test = false` out of that Cargo.toml", tidy::tests_that_never_run),
    ("unused dependencies", "remove the line from that Cargo.toml", tidy::unused_dependencies),
    ("clippy", "fix the warnings above", || {
        run(cargo(["clippy", "--all-targets"]).args(WHOLE).args(["--", "-D", "warnings"]))
    }),
    ("docs", "fix the warnings above", docs),
    ("each feature alone", "the crate must build with just the named feature", each_feature),
    ("packages and consumers", "a host that takes the published files would see this", consumers::check),
];

/// Runs the gate, or only the steps whose name holds `only`.
pub(crate) fn all(steps: &mut Steps, skip_tests: bool, only: Option<&str>) -> Result<()> {
    let wanted = |name: &str| only.is_none_or(|part| name.contains(part));
    let mut any = false;
    // What fails ends the fuzzing first, and then waits for the other.
    let (mut setting_up, mut fuzzing) = (None, None);
    for (name, advice, work) in STEPS.iter().filter(|(name, ..)| wanted(name)) {
        if *name == BESIDE && only.is_none() {
            // Most of it is waiting for the network, and the tests come last. One compiler more is enough for the memory.
            let mut set_up = Command::new(std::env::current_exe()?);
            setting_up = Some(Beside::start(set_up.arg("set-up").env("CARGO_BUILD_JOBS", "1"), AtDrop::Wait)?);
        }
        if *name == BESIDE && wanted("fuzz") {
            fuzzing = start_fuzzing()?;
        }
        steps.run(name, advice, work)?;
        any = true;
    }
    if wanted("fuzz") {
        any = true;
        let fuzzing = if fuzzing.is_some() { fuzzing } else { start_fuzzing()? };
        match fuzzing {
            Some(fuzzing) => steps.run("fuzz targets", "see the output above", || fuzzing.end())?,
            None => eprintln!("\n== fuzzing left out: no C++ compiler (Debian: apt-get install g++)"),
        }
    }
    if let Some(setting_up) = setting_up {
        steps.run("set up", "install what is named, then run again", || setting_up.end())?;
    }
    if !skip_tests && wanted("tests") {
        return test::all(steps);
    }
    if !any {
        let names: Vec<&str> = STEPS.iter().map(|(name, ..)| *name).chain(["fuzz", "tests"]).collect();
        bail!("no such step; there are: {}", names.join(", "));
    }
    eprint!("{}", steps.table());
    Ok(())
}

/// Fuzzing has a build folder of its own, so it can run beside steps that leave a core idle; none without a C++ compiler.
fn start_fuzzing() -> Result<Option<Beside>> {
    if !root().join("fuzz/Cargo.toml").is_file() || !exists("c++", "--version") {
        return Ok(None);
    }
    let mut command = Command::new(std::env::current_exe()?);
    Beside::start(command.args(["fuzz", &FUZZ_SECONDS.to_string()]), AtDrop::Kill).map(Some)
}

/// Documents our libraries, on top of what clippy has checked.
fn docs() -> Result<()> {
    // An example is documented, too, since it makes cargo count the features that tests need: without them tokio, and so the
    // AWS SDK and all else above it, would be checked once more.
    let mut doc = cargo(["doc", "--no-deps", "--lib", "--example", "quick_start"]);
    doc.args(WHOLE).env("RUSTDOCFLAGS", "-D warnings");
    // As `cargo clippy -- -D warnings` calls rustc, so that our own crates are not checked once more either. If clippy ever
    // calls it otherwise, they are, and nothing else happens.
    let sysroot = output(Command::new("rustc").arg("--print=sysroot"))?;
    let driver = std::path::Path::new(sysroot.trim()).join("bin/clippy-driver");
    if driver.is_file() {
        doc.env("RUSTC_WORKSPACE_WRAPPER", driver);
        doc.env("CLIPPY_ARGS", "-D__CLIPPY_HACKERY__warnings__CLIPPY_HACKERY__");
    }
    run(&mut doc)
}

/// Checks the library of each published crate without features and with each one alone.
fn each_feature() -> Result<()> {
    let metadata = Metadata::members_only()?;
    for package in metadata.published() {
        let none = [None];
        let each = package.features.keys().filter(|name| *name != "default").map(Some);
        for feature in none.into_iter().chain(each) {
            // In the profile `check` it shares the dependencies with clippy, whose lints have seen all the code already.
            let mut check = cargo(["rustc", "--quiet", "--locked", "--lib", "--profile", "check"]);
            check.args(["--no-default-features", "-p", &package.name]);
            if let Some(feature) = feature {
                check.args(["--features", feature]);
            }
            run(check.args(["--", "-D", "warnings"]))?;
        }
    }
    Ok(())
}
