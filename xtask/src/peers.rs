//! Peers: other people's libraries that benches are measured against, each a program in a workspace of its own, or a script with
//! a Python environment of its own.

use crate::steps::{Steps, cargo, root, run};
use anyhow::Result;
use std::path::Path;
use std::process::Command;

/// Builds or installs the peers of a bench into `target/peers`. One that can't be had is said here and shown as absent by the
/// bench; the first time they take minutes each.
pub(crate) fn build(steps: &mut Steps, names: &[&str]) {
    for name in names {
        let (folder, target) = (root().join("benches/peers").join(name), root().join("target/peers").join(name));
        let advice = "its figures will be absent; see the message above";
        let built = steps.run(&format!("peer {name}"), advice, || {
            if folder.join("Cargo.toml").is_file() { program(&folder, &target) } else { environment(&folder, &target) }
        });
        if let Err(error) = built {
            eprintln!("{error:#}");
        }
    }
}

fn program(folder: &Path, target: &Path) -> Result<()> {
    run(cargo(["build", "--locked", "--release", "--quiet", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target))
}

/// Installs what `requirements.txt` pins by hash, unless that was done before.
fn environment(folder: &Path, target: &Path) -> Result<()> {
    let (wanted, done) = (folder.join("requirements.txt"), target.join("installed.txt"));
    let pinned = std::fs::read(&wanted)?;
    if std::fs::read(&done).is_ok_and(|installed| installed == pinned) {
        return Ok(());
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(target))?;
    run(Command::new(target.join("bin/python"))
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"])
        .args(["--require-hashes", "-r"])
        .arg(&wanted))?;
    // Only now, so that what was left half done is begun anew.
    Ok(std::fs::write(done, pinned)?)
}
