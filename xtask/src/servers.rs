//! Real servers that tests use: installed where that is possible, and their absence said aloud where it is not.

use crate::steps::{cargo, exists, run};
use std::process::Command;
use testkit::dynamo_program;

/// Builds the program that stands in for DynamoDB, once, outside the checkout, unless it or a running server is there.
/// Without it its tests are shown as ignored.
pub(crate) fn dynamodb() {
    if std::env::var_os(testkit::dynamo::VARIABLE).is_some() || dynamo_program::path().is_file() {
        return;
    }
    let folder = dynamo_program::folder();
    let mut install = cargo(["install", "--locked", "--quiet", "--no-default-features", "--features"]);
    install.args([dynamo_program::FEATURES, "--version", &format!("={}", dynamo_program::VERSION)]);
    install.arg("--root").arg(&folder).arg(dynamo_program::CRATE);
    // Quick to build rather than quick: it still writes thousands of items per second.
    install.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
    install.env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16").env("CARGO_PROFILE_RELEASE_STRIP", "symbols");
    // Its objects are of no use afterwards.
    install.env("CARGO_TARGET_DIR", folder.join("build"));
    let built = run(&mut install).is_ok() && dynamo_program::path().is_file();
    let cleared = std::fs::remove_dir_all(folder.join("build")).is_ok() || !folder.join("build").exists();
    if !cleared {
        eprintln!("   {} could not be removed", folder.join("build").display());
    }
    if !built {
        eprintln!(
            "\n   !! {} could not be built: the tests that need DynamoDB are IGNORED.\n   !! \
             See above, or name a server in ATLAS_TEST_DYNAMODB.\n",
            dynamo_program::CRATE
        );
    }
}

/// Installs PostgreSQL from Debian's packages unless it, or a running server, is there. Without it its tests are shown
/// as ignored.
pub(crate) fn postgres() {
    if std::env::var_os(testkit::postgres::VARIABLE).is_some() || installed() {
        return;
    }
    if !exists("apt-get", "--version") || !install("postgresql") || !installed() {
        eprintln!(
            "\n   !! PostgreSQL is not installed and could not be: the tests that need it are IGNORED.\n   !! \
             Install it (Debian: apt-get install postgresql), or name a server in ATLAS_TEST_POSTGRES.\n"
        );
    }
}

/// A server for one test run, if it is to have one of its own.
pub(crate) fn postgres_for_all() -> Option<testkit::postgres::Server> {
    let wanted = std::env::var_os(testkit::postgres::VARIABLE).is_none() && installed();
    wanted.then(testkit::postgres::Server::start)
}

fn installed() -> bool {
    testkit::postgres::binaries().is_some()
}

/// As root, or through a `sudo` that asks for no password.
fn install(package: &str) -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let apt = |args: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.args(["-n", "apt-get"]);
        }
        run(command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null())).is_ok()
    };
    let install = || apt(&["install", "-qq", "--no-install-recommends", package]);
    install() || (apt(&["update", "-qq"]) && install())
}
