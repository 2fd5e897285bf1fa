//! Packages the published crates and checks programs outside the workspace that use the packaged files.
//!
//! Three hosts: one with the base features, one with all features, and one that also uses sqlx 0.9, whose SQLite
//! library must be the same as ours (`links = "sqlite3"` allows one per program).

use crate::{
    metadata::Metadata,
    steps::{cargo, root, run},
};
use anyhow::{Context as _, Result, bail};
use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// What a host of all features brings along: clients of DynamoDB and SQS, and a runtime. With the features that our tests use, so
/// that nothing is checked twice; that each of our features names what it needs is another step's business.
const OF_THE_HOST: &str = r#"
aws-sdk-dynamodb = { version = "1", default-features = false, features = ["rt-tokio"] }
aws-sdk-sqs = { version = "1", default-features = false, features = ["rt-tokio"] }
aws-smithy-http-client = { version = "1", default-features = false, features = ["default-client"] }
tokio = { version = "1", features = ["fs", "io-util", "macros", "net", "rt-multi-thread", "signal", "sync", "test-util", "time"] }
"#;

/// Packages, unpacks and checks the consumers.
pub(crate) fn check() -> Result<()> {
    let metadata = Metadata::members_only()?;
    let packages = package(&metadata)?;
    let home = metadata.target_directory.join("consumers");
    if home.exists() {
        fs::remove_dir_all(&home)?;
    }
    let sqlx = "sqlx = { version = \"0.9\", default-features = false, features = [\"runtime-tokio\", \"sqlite\"] }\n";
    let base = dependencies(&packages, |_| Vec::new());
    let all = dependencies(&packages, |package| package.features.iter().map(String::as_str).collect());
    let all = all + OF_THE_HOST;
    let sqlite = dependencies(&packages, |package| {
        package.features.iter().map(String::as_str).filter(|f| *f == "sqlite").collect()
    });
    consume(&home, "base", &packages, &base, include_str!("../consumers/base.rs"), &metadata)?;
    consume(&home, "all-features", &packages, &all, include_str!("../consumers/all_features.rs"), &metadata)?;
    consume(&home, "sqlx", &packages, &(sqlite + sqlx), include_str!("../consumers/sqlx.rs"), &metadata)
}

struct Unpacked {
    name: String,
    version: String,
    features: Vec<String>,
    dir: PathBuf,
}

fn dependencies<'a>(packages: &'a [Unpacked], features: impl Fn(&'a Unpacked) -> Vec<&'a str>) -> String {
    let line = |package: &'a Unpacked| {
        format!("{} = {{ version = \"{}\", features = {:?} }}\n", package.name, package.version, features(package))
    };
    packages.iter().map(line).collect()
}

fn package(metadata: &Metadata) -> Result<Vec<Unpacked>> {
    let mut command = cargo(["package", "--workspace", "--locked", "--no-verify", "--allow-dirty", "--quiet"]);
    for member in metadata.members().filter(|member| !member.is_published()) {
        command.args(["--exclude", &member.name]);
    }
    run(&mut command)?;
    let files = metadata.target_directory.join("package");
    let unpacked = metadata.target_directory.join("unpacked");
    if unpacked.exists() {
        fs::remove_dir_all(&unpacked)?;
    }
    fs::create_dir_all(&unpacked)?;
    let mut packages = Vec::new();
    for member in metadata.published() {
        let stem = format!("{}-{}", member.name, member.version);
        run(Command::new("tar").arg("-xzf").arg(files.join(format!("{stem}.crate"))).arg("-C").arg(&unpacked))?;
        let dir = unpacked.join(&stem);
        for needed in ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"] {
            if !dir.join(needed).is_file() {
                bail!("the package {stem} lacks {needed}: see `include` in its Cargo.toml");
            }
        }
        let features = member.features.keys().filter(|name| *name != "default").cloned().collect();
        packages.push(Unpacked { name: member.name.clone(), version: member.version.clone(), features, dir });
    }
    Ok(packages)
}

fn consume(
    home: &Path,
    name: &str,
    packages: &[Unpacked],
    dependencies: &str,
    source: &str,
    metadata: &Metadata,
) -> Result<()> {
    let dir = home.join(name);
    fs::create_dir_all(dir.join("src"))?;
    fs::write(dir.join("src/main.rs"), source)?;
    let mut patch = String::new();
    for package in packages {
        writeln!(patch, "{} = {{ path = '{}' }}", package.name, package.dir.display())?;
    }
    // A workspace of its own, so that nothing of ours is inherited.
    let manifest = format!(
        "[package]\nname = \"consumer-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{dependencies}\n[patch.crates-io]\n{patch}\n{}",
        profiles()?
    );
    fs::write(dir.join("Cargo.toml"), manifest)?;
    // Our lock first: the same versions, already downloaded and, with the same profile, already checked.
    fs::copy(root().join("Cargo.lock"), dir.join("Cargo.lock"))?;
    let mut check = cargo(["check", "--quiet"]);
    check.current_dir(&dir).env("CARGO_TARGET_DIR", &metadata.target_directory);
    run(&mut check).with_context(|| format!("consumer `{name}`"))
}

/// The profile tables of the workspace, for builds that can be shared.
fn profiles() -> Result<String> {
    let text = fs::read_to_string(root().join("Cargo.toml"))?;
    let start = text.find("[profile.").context("no profile in Cargo.toml")?;
    Ok(text[start..].to_owned())
}
