//! `cargo xtask ci`: everything that must hold before a change is handed in, cheapest first.

use crate::{
    consumers, fuzz,
    metadata::Metadata,
    rules,
    steps::{Steps, cargo, exists, root, run},
    test::{self, WHOLE},
    tidy,
};
use anyhow::Result;

/// Seconds per fuzz target.
const FUZZ_SECONDS: u64 = 8;

/// Runs the gate.
pub(crate) fn all(steps: &mut Steps, skip_tests: bool) -> Result<()> {
    steps.run("format", "run `cargo fmt`", || run(&mut cargo(["fmt", "--all", "--check"])))?;
    steps.run("file lengths", "split the file by idea", tidy::file_lengths)?;
    steps.run("dependency and licence rules", "see xtask/src/rules.rs for each rule's reason", rules::check)?;
    steps.run("unused dependencies", "remove the line from that Cargo.toml", tidy::unused_dependencies)?;
    steps.run("clippy", "fix the warnings above", || {
        run(cargo(["clippy", "--all-targets"]).args(WHOLE).args(["--", "-D", "warnings"]))
    })?;
    steps.run("docs", "fix the warnings above", || {
        run(cargo(["doc", "--no-deps", "--lib"]).args(WHOLE).env("RUSTDOCFLAGS", "-D warnings"))
    })?;
    steps.run("each feature alone", "the crate must build with just the named feature", each_feature)?;
    steps.run("packages and consumers", "a host that takes the published files would see this", consumers::check)?;
    if root().join("fuzz/Cargo.toml").is_file() && exists("c++", "--version") {
        fuzz::all(steps, FUZZ_SECONDS)?;
    } else {
        eprintln!("\n== fuzzing left out: no C++ compiler (Debian: apt-get install g++)");
    }
    if skip_tests {
        eprint!("{}", steps.table());
        return Ok(());
    }
    test::all(steps)
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
