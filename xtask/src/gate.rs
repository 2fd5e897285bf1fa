//! `cargo xtask ci`: everything that must hold before a change is handed in, cheapest first.

use crate::{
    consumers, fuzz,
    metadata::Metadata,
    rules,
    steps::{Steps, cargo, exists, root, run},
    test::{self, WHOLE},
    tidy,
};
use anyhow::{Result, bail};

/// Seconds per fuzz target.
const FUZZ_SECONDS: u64 = 8;

/// A step: its name, what to do when it fails, and its work.
type Step = (&'static str, &'static str, fn() -> Result<()>);

const STEPS: &[Step] = &[
    ("format", "run `cargo fmt`", || run(&mut cargo(["fmt", "--all", "--check"]))),
    ("file lengths", "split the file by idea", tidy::file_lengths),
    ("dependency and licence rules", "see xtask/src/rules.rs for each rule's reason", rules::check),
    ("unused dependencies", "remove the line from that Cargo.toml", tidy::unused_dependencies),
    ("clippy", "fix the warnings above", || {
        run(cargo(["clippy", "--all-targets"]).args(WHOLE).args(["--", "-D", "warnings"]))
    }),
    ("docs", "fix the warnings above", || {
        run(cargo(["doc", "--no-deps", "--lib"]).args(WHOLE).env("RUSTDOCFLAGS", "-D warnings"))
    }),
    ("each feature alone", "the crate must build with just the named feature", each_feature),
    ("packages and consumers", "a host that takes the published files would see this", consumers::check),
];

/// Runs the gate, or only the steps whose name holds `only`.
pub(crate) fn all(steps: &mut Steps, skip_tests: bool, only: Option<&str>) -> Result<()> {
    let wanted = |name: &str| only.is_none_or(|part| name.contains(part));
    let mut any = false;
    for (name, advice, work) in STEPS.iter().filter(|(name, ..)| wanted(name)) {
        steps.run(name, advice, work)?;
        any = true;
    }
    if wanted("fuzz") {
        any = true;
        if root().join("fuzz/Cargo.toml").is_file() && exists("c++", "--version") {
            fuzz::all(steps, FUZZ_SECONDS)?;
        } else {
            eprintln!("\n== fuzzing left out: no C++ compiler (Debian: apt-get install g++)");
        }
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

/// Checks the library of each published crate without features and with each one alone.
fn each_feature() -> Result<()> {
    let metadata = Metadata::members_only()?;
    for package in metadata.published() {
        let none = [None];
        let each = package.features.keys().filter(|name| *name != "default").map(Some);
        for feature in none.into_iter().chain(each) {
            // Clippy, because it shares its build of the dependencies with the step before and can deny warnings.
            let mut check =
                cargo(["clippy", "--quiet", "--locked", "--lib", "--no-default-features", "-p", &package.name]);
            if let Some(feature) = feature {
                check.args(["--features", feature]);
            }
            run(check.args(["--", "-D", "warnings"]))?;
        }
    }
    Ok(())
}
