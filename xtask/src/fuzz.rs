//! Fuzz targets, on the stable toolchain: libFuzzer with the coverage passes that rustc passes on to LLVM.

use crate::{
    metadata::Metadata,
    steps::{Steps, cargo, root, run},
};
use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// What `cargo fuzz` sets, without the nightly-only sanitizers.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// Builds and runs each target for `seconds`.
pub(crate) fn all(steps: &mut Steps, seconds: u64) -> Result<()> {
    let manifest = root().join("fuzz/Cargo.toml");
    let manifest = manifest.to_str().context("the checkout's path is not UTF-8")?;
    let metadata = Metadata::of(&["metadata", "--format-version=1", "--no-deps", "--manifest-path", manifest])?;
    let targets: Vec<&str> = metadata.members().flat_map(|package| package.targets_of("bin")).collect();
    if targets.is_empty() {
        bail!("fuzz/Cargo.toml has no targets");
    }
    let triple = crate::steps::output(Command::new("rustc").arg("--print=host-tuple"))?.trim().to_owned();
    let build_dir = metadata.target_directory.join("fuzz-build");
    steps.run("build fuzz targets", "libFuzzer needs a C++ compiler (Debian: apt-get install g++)", || {
        run_in(
            &build_dir,
            cargo(["build", "--locked", "--release", "--manifest-path", manifest, "--target", &triple])
                .env("RUSTFLAGS", COVERAGE),
        )
    })?;
    for target in targets {
        let corpus = build_dir.join("corpus").join(target);
        std::fs::create_dir_all(&corpus)?;
        let advice = "the input that broke it is named above; make it a test, then fix the parser";
        steps.run(&format!("fuzz {target}, {seconds} s"), advice, || {
            let mut program = Command::new(build_dir.join(&triple).join("release").join(target));
            program.current_dir(&build_dir).arg(&corpus);
            let seeds = root().join("fuzz/seeds").join(target);
            if seeds.is_dir() {
                program.arg(seeds);
            }
            program.args([
                "-close_fd_mask=1",
                "-timeout=10",
                "-rss_limit_mb=2048",
                "-print_final_stats=1",
                "-verbosity=0",
            ]);
            run(program.arg(format!("-max_total_time={seconds}")))
        })?;
    }
    Ok(())
}

fn run_in(dir: &std::path::Path, command: &mut Command) -> Result<()> {
    run(command.env("CARGO_TARGET_DIR", dir))
}
