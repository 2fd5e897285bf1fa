//! Peers: other people's libraries that benches are measured against, each a program in a workspace of its own.

use crate::steps::{Steps, cargo, run};
use anyhow::Result;
use std::path::Path;

/// Builds the peers of the jobs bench into `target/peers`. One that can't be built is said here and shown as absent by
/// the bench; the first time they take minutes each.
pub(crate) fn build(steps: &mut Steps) -> Result<()> {
    let mut peers: Vec<_> = std::fs::read_dir("benches/peers")?.collect::<Result<_, _>>()?;
    peers.sort_by_key(std::fs::DirEntry::file_name);
    for peer in peers {
        let (manifest, name) = (peer.path().join("Cargo.toml"), peer.file_name());
        // A peer in another language is started by its own bench.
        if !manifest.is_file() {
            continue;
        }
        let advice = "its figures will be absent; see the message above";
        let built = steps.run(&format!("peer {}", name.display()), advice, || {
            let target = Path::new("target/peers").join(&name);
            run(cargo(["build", "--locked", "--release", "--quiet", "--manifest-path"])
                .arg(&manifest)
                .arg("--target-dir")
                .arg(target))
        });
        if let Err(error) = built {
            eprintln!("{error:#}");
        }
    }
    Ok(())
}
