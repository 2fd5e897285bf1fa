//! Dependency and licence rules that need no network: they read `cargo metadata` and `cargo tree`.

use crate::{
    licence,
    metadata::{Metadata, Package},
    steps::{cargo, output},
};
use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// Which of our crates a crate may depend on: `(crate, always, only as an optional dependency)`.
const EDGES: &[(&str, &[&str], &[&str])] = &[
    ("atlas-schema", &[], &[]),
    ("atlas-config", &["atlas-schema"], &[]),
    ("atlas-router", &["atlas-schema", "atlas-config"], &[]),
    ("atlas-engine", &["atlas-schema", "atlas-config", "atlas-router"], &["atlas-jobs"]),
    ("atlas-jobs", &["atlas-schema", "atlas-config"], &[]),
    ("atlas-health", &["atlas-schema"], &["atlas-config", "atlas-router", "atlas-engine", "atlas-jobs"]),
];

/// Crates that may be nowhere in the lock file: a second TLS stack, or one that needs C libraries of the system.
const BANNED: &[&str] = &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"];

/// Crates that the base features of a published crate must not pull in.
const NOT_IN_BASE: &[&str] = &[
    "reqwest",
    "hyper",
    "rustls",
    "webpki-roots",
    "rusqlite",
    "libsqlite3-sys",
    "sqlx",
    "tokio-postgres",
    "deadpool-postgres",
    "aws-config",
    "aws-sdk-dynamodb",
    "aws-sdk-sqs",
    "aws-smithy-runtime",
    "object-store",
    "bpe-openai",
    "mockall",
    "chromiumoxide",
];

/// What crates without I/O must not pull in either.
const NOT_IN_PURE: &[&str] = &["tokio", "async-trait", "futures-util", "mio", "socket2"];
const PURE: &[&str] = &["atlas-schema", "atlas-config"];

/// Checks everything and reports every breach.
pub(crate) fn check() -> Result<()> {
    let metadata = Metadata::load()?;
    let mut faults = Vec::new();
    for package in &metadata.packages {
        faults.extend(source_and_licence(package));
    }
    for package in metadata.members() {
        faults.extend(edges(package));
    }
    for package in metadata.published() {
        faults.extend(publishing(package));
        faults.extend(base_tree(package)?);
    }
    if faults.is_empty() {
        eprintln!("   {} packages, {} published", metadata.packages.len(), metadata.published().count());
        return Ok(());
    }
    bail!("{} breaches:\n  {}", faults.len(), faults.join("\n  "))
}

fn source_and_licence(package: &Package) -> Vec<String> {
    let mut faults = Vec::new();
    let name = &package.name;
    if BANNED.contains(&name.as_str()) {
        faults.push(format!("`{name}` is banned; `cargo tree -i {name}` tells who wants it"));
    }
    if package
        .source
        .as_ref()
        .is_some_and(|source| !source.starts_with("registry+https://github.com/rust-lang/crates.io-index"))
    {
        faults.push(format!("`{name}` does not come from crates.io"));
    }
    match &package.license {
        Some(expression) if licence::is_allowed(expression) => {}
        Some(expression) => faults.push(format!("`{name}` has the licence `{expression}`, which is not on the list")),
        None => faults.push(format!("`{name}` states no licence expression")),
    }
    faults
}

fn edges(package: &Package) -> Vec<String> {
    let Some((_, always, optional)) = EDGES.iter().find(|(name, ..)| *name == package.name) else {
        let fault = format!("`{}` is published but has no row in EDGES", package.name);
        return if package.is_published() { vec![fault] } else { Vec::new() };
    };
    let ours = |name: &str| EDGES.iter().any(|(ours, ..)| *ours == name);
    let allowed = |name: &str, is_optional: bool| {
        name == package.name || always.contains(&name) || (is_optional && optional.contains(&name))
    };
    let dependencies = package.dependencies.iter().filter(|d| ours(&d.name) && d.kind.as_deref() != Some("dev"));
    let mut faults: Vec<String> = dependencies
        .filter(|d| !allowed(&d.name, d.optional))
        .map(|d| format!("`{}` must not depend on `{}`", package.name, d.name))
        .collect();
    let dev = package.dependencies.iter().filter(|d| ours(&d.name) && d.kind.as_deref() == Some("dev"));
    faults.extend(dev.filter(|d| !allowed(&d.name, true)).map(|d| {
        format!(
            "`{}` must not depend on `{}`, not even for tests: the two could not be published in order",
            package.name, d.name
        )
    }));
    faults
}

fn publishing(package: &Package) -> Vec<String> {
    let name = &package.name;
    let mut faults = Vec::new();
    let mut need = |present: bool, what: &str| {
        if !present {
            faults.push(format!("`{name}` needs {what}"));
        }
    };
    need(package.description.is_some(), "a description");
    need(package.repository.is_some(), "the workspace's repository");
    need(package.rust_version.is_some(), "the workspace's rust-version");
    need(package.license.as_deref() == Some("MIT OR Apache-2.0"), "the workspace's licence");
    need(package.readme.as_ref().is_some_and(|file| package.dir().join(file).is_file()), "a README.md");
    need(package.features.get("default").is_none_or(Vec::is_empty), "empty default features");
    let manifest = std::fs::read_to_string(&package.manifest_path).unwrap_or_default();
    need(manifest.contains("[lints]\nworkspace = true"), "the workspace's lints");
    need(manifest.contains("[package.metadata.docs.rs]"), "metadata for docs.rs");
    need(manifest.contains("include = ["), "a list of the files to package");
    faults
}

fn base_tree(package: &Package) -> Result<Vec<String>> {
    let mut tree =
        cargo(["tree", "--locked", "--no-default-features", "-e", "normal", "--prefix", "none", "-f", "{lib}", "-p"]);
    tree.arg(&package.name);
    let text = output(&mut tree)?;
    let found: BTreeSet<String> = text.lines().map(|line| line.trim().replace('_', "-")).collect();
    let banned = NOT_IN_BASE.iter().chain(NOT_IN_PURE.iter().filter(|_| PURE.contains(&package.name.as_str())));
    Ok(banned
        .filter(|name| found.contains(**name))
        .map(|name| format!("the base features of `{}` pull in `{name}`", package.name))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Package {
        Package {
            id: name.into(),
            name: name.into(),
            version: "0.1.0".into(),
            license: Some("MIT".into()),
            source: None,
            description: None,
            readme: None,
            repository: None,
            rust_version: None,
            publish: None,
            manifest_path: "Cargo.toml".into(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind, optional)| Dependency {
                    name: (*name).into(),
                    rename: None,
                    kind: kind.map(Into::into),
                    optional: *optional,
                })
                .collect(),
            features: std::collections::BTreeMap::new(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn edges_against_the_order_of_crates_are_refused() {
        assert!(
            edges(&package("atlas-engine", &[("atlas-schema", None, false), ("atlas-jobs", None, true)])).is_empty()
        );
        assert_eq!(edges(&package("atlas-engine", &[("atlas-jobs", None, false)])).len(), 1);
        assert_eq!(edges(&package("atlas-jobs", &[("atlas-engine", None, true)])).len(), 1);
        assert_eq!(edges(&package("atlas-jobs", &[("atlas-engine", Some("dev"), false)])).len(), 1);
        assert_eq!(edges(&package("atlas-schema", &[("atlas-config", None, false)])).len(), 1);
        assert_eq!(edges(&package("atlas-new", &[])).len(), 1, "a new crate needs a row");
    }

    #[test]
    fn banned_crates_foreign_sources_and_odd_licences_are_refused() {
        assert!(source_and_licence(&package("serde", &[])).is_empty());
        assert_eq!(source_and_licence(&package("openssl-sys", &[])).len(), 1);
        let mut forked = package("serde", &[]);
        forked.source = Some("git+https://example.org/serde".into());
        forked.license = Some("AGPL-3.0".into());
        assert_eq!(source_and_licence(&forked).len(), 2);
    }
}
