//! Runs every example of the workspace once, offline.

use crate::{
    metadata::Metadata,
    steps::{cargo, output, run},
};
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use testkit::postgres::Server;

/// Examples of a host whose data is in PostgreSQL.
const NEEDS_POSTGRES: &[&str] = &["jobs_postgres"];
/// Examples that call a model of this machine.
const NEEDS_MODEL: &[&str] = &["local_model"];

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<crate::metadata::Target>,
    executable: Option<PathBuf>,
}

/// Runs the examples that the test build has built.
pub(crate) fn run_all() -> Result<()> {
    let metadata = Metadata::members_only()?;
    let wanted: Vec<&str> = metadata.members().flat_map(|package| package.targets_of("example")).collect();
    let scratch = metadata.target_directory.join("xtask-examples");
    // An example must work from nothing, so what an earlier run left goes first.
    if scratch.exists() {
        std::fs::remove_dir_all(&scratch)?;
    }
    std::fs::create_dir_all(&scratch)?;
    let built = built()?;
    // One server of each for those that need one; it ends with this step.
    let (server, model) = (crate::servers::postgres_for_all(), crate::servers::model_for_all());
    let database = std::env::var(testkit::postgres::VARIABLE).ok().or_else(|| server.as_ref().map(Server::url));
    let model = testkit::model::named().or_else(|| model.as_ref().map(testkit::model::Server::endpoint));
    for name in wanted {
        if database.is_none() && NEEDS_POSTGRES.contains(&name) {
            eprintln!("   !! the example `{name}` is left out: it needs PostgreSQL, or ATLAS_TEST_POSTGRES");
            continue;
        }
        if model.is_none() && NEEDS_MODEL.contains(&name) {
            eprintln!("   !! the example `{name}` is left out: it needs the model server, or ATLAS_TEST_MODEL_SERVER");
            continue;
        }
        let Some((_, program)) = built.iter().find(|(built, _)| built == name) else {
            bail!("the example `{name}` was not built");
        };
        let mut example = Command::new(program);
        if let Some(database) = &database {
            example.env("ATLAS_EXAMPLE_POSTGRES", database);
        }
        if let Some(model) = &model {
            example.env("ATLAS_EXAMPLE_MODEL_SERVER", &model.url).env("ATLAS_EXAMPLE_MODEL_KEY", &model.key);
        }
        run(example.args(arguments(name, &scratch)).current_dir(&scratch))
            .with_context(|| format!("example `{name}`"))?;
    }
    Ok(())
}

/// What an example is called with; most need nothing.
fn arguments(name: &str, scratch: &Path) -> Vec<PathBuf> {
    match name {
        "extract" => vec!["--db".into(), scratch.join("atlas.db")],
        _ => Vec::new(),
    }
}

/// The examples' names and programs. The same flags as the test build, so nothing is built again.
fn built() -> Result<Vec<(String, PathBuf)>> {
    let text = output(cargo(["test", "--no-run", "--quiet", "--message-format=json"]).args(crate::test::WHOLE))?;
    let mut programs = Vec::new();
    for line in text.lines() {
        let message: Message = serde_json::from_str(line).context("cannot read cargo's messages")?;
        if let (true, Some(target), Some(program)) =
            (message.reason == "compiler-artifact", message.target, message.executable)
            && target.kind.iter().any(|kind| kind == "example")
        {
            programs.push((target.name, program));
        }
    }
    Ok(programs)
}
