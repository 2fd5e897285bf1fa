//! Finds out which real servers this machine has, so that their tests are shown as ignored where there are none.

use std::path::Path;

#[path = "src/dynamo_program.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library and xtask use the rest")]
mod dynamo_program;
#[path = "src/model_program.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library and xtask use the rest")]
mod model_program;
#[path = "src/tools.rs"]
#[allow(dead_code, unreachable_pub, reason = "the library and xtask use the rest")]
mod tools;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_postgres)");
    println!("cargo::rustc-check-cfg=cfg(has_dynamodb)");
    println!("cargo::rustc-check-cfg=cfg(has_model_server)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=ATLAS_TEST_POSTGRES");
    println!("cargo::rerun-if-env-changed=PATH");
    // A folder that is not there yet makes cargo look again each time, which is the point: it may be installed by then.
    println!("cargo::rerun-if-changed=/usr/lib/postgresql");
    if std::env::var_os("ATLAS_TEST_POSTGRES").is_some() || postgres() {
        println!("cargo::rustc-cfg=has_postgres");
    }
    for variable in tools::VARIABLES.into_iter().chain(["ATLAS_TEST_DYNAMODB", "ATLAS_TEST_MODEL_SERVER"]) {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    for file in ["dynamo_program", "model_program", "tools"] {
        println!("cargo::rerun-if-changed=src/{file}.rs");
    }
    let program = dynamo_program::path();
    println!("cargo::rerun-if-changed={}", program.display());
    if std::env::var_os("ATLAS_TEST_DYNAMODB").is_some() || program.is_file() {
        println!("cargo::rustc-cfg=has_dynamodb");
    }
    println!("cargo::rerun-if-changed={}", model_program::model(&model_program::folder()).display());
    if std::env::var_os("ATLAS_TEST_MODEL_SERVER").is_some() || model_program::is_there() {
        println!("cargo::rustc-cfg=has_model_server");
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
