//! Finds out which real servers this machine has, so that their tests are shown as ignored where there are none.

use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_postgres)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ATLAS_TEST_POSTGRES");
    println!("cargo::rerun-if-env-changed=PATH");
    // A folder that is not there yet makes cargo look again each time, which is the point: it may be installed by then.
    println!("cargo::rerun-if-changed=/usr/lib/postgresql");
    if std::env::var_os("ATLAS_TEST_POSTGRES").is_some() || postgres() {
        println!("cargo::rustc-cfg=has_postgres");
    }
}

/// The same places as `postgres::binaries` looks in.
fn postgres() -> bool {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    packaged
        .map(|version| version.path().join("bin"))
        .chain(std::env::split_paths(&on_path))
        .any(|folder| ["initdb", "postgres"].iter().all(|program| Path::new(&folder).join(program).is_file()))
}
