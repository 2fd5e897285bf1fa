//! Cheap looks at the source: dependencies that no file names, and files that grew too long.

use crate::{
    metadata::{Metadata, Package},
    steps::root,
};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Lines above which a file is reported, and above which it is refused.
const LONG: usize = 400;
const TOO_LONG: usize = 800;

/// Refuses a dependency whose name no Rust file of its package holds.
pub(crate) fn unused_dependencies() -> Result<()> {
    let metadata = Metadata::members_only()?;
    let mut faults = Vec::new();
    for package in metadata.members() {
        let text = code_of(package)?;
        for dependency in package.dependencies.iter().filter(|d| d.name != package.name) {
            let name = dependency.rename.as_ref().unwrap_or(&dependency.name).replace('-', "_");
            if !names(&text, &name) {
                faults.push(format!("`{}` lists `{}` and no file names it", package.name, dependency.name));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("{} unused:\n  {}", faults.len(), faults.join("\n  ")) }
}

/// Reports files over [`LONG`] lines and refuses files over [`TOO_LONG`].
pub(crate) fn file_lengths() -> Result<()> {
    let mut files = Vec::new();
    rust_files(&root(), &mut files)?;
    let mut long = Vec::new();
    for file in &files {
        let lines = std::fs::read_to_string(file)?.lines().count();
        if lines > LONG {
            long.push((lines, file.strip_prefix(root()).unwrap_or(file).display().to_string()));
        }
    }
    long.sort_unstable_by(|a, b| b.cmp(a));
    eprintln!("   {} of {} files have more than {LONG} lines", long.len(), files.len());
    for (lines, file) in &long {
        eprintln!("   {lines:>6}  {file}");
    }
    match long.first() {
        Some((lines, file)) if *lines > TOO_LONG => bail!("{file} has {lines} lines"),
        _ => Ok(()),
    }
}

/// Refuses tests in libraries and programs whose manifest says that they have none: nobody would run them.
pub(crate) fn tests_that_never_run() -> Result<()> {
    let metadata = Metadata::members_only()?;
    let mut faults = Vec::new();
    for target in metadata.members().flat_map(|package| &package.targets) {
        let is = |kind: &str| target.kind.iter().any(|is| is == kind);
        if target.test || !is("lib") && !is("bin") {
            continue;
        }
        let mut files = Vec::new();
        match target
            .src_path
            .parent()
            .filter(|_| ["lib.rs", "main.rs"].iter().any(|root| target.src_path.ends_with(root)))
        {
            Some(dir) => rust_files(dir, &mut files)?,
            None => files.push(target.src_path.clone()),
        }
        for file in files {
            if std::fs::read_to_string(&file)?.contains("#[cfg(test)]") {
                faults.push(format!("{} has tests, and `{}` says `test = false`", file.display(), target.name));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { bail!("tests that never run:\n  {}", faults.join("\n  ")) }
}

fn code_of(package: &Package) -> Result<String> {
    let mut files = Vec::new();
    rust_files(package.dir(), &mut files)?;
    let mut text = String::new();
    for file in files {
        let source = std::fs::read_to_string(file)?;
        // Documentation examples count: they are compiled with the package's dependencies.
        text.extend(source.lines().filter(|line| !line.trim_start().starts_with("// ")).flat_map(|line| [line, "\n"]));
    }
    Ok(text)
}

fn rust_files(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !matches!(name.as_str(), "target" | "peers" | "corpus" | "node_modules") {
                rust_files(&path, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Whether `text` holds `name` as a whole word.
fn names(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + name.len()..].starts_with(is_word))
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_counts_as_a_whole_word_only() {
        assert!(names("use url::Url;", "url"));
        assert!(names("url", "url"));
        assert!(!names("curl::x; url_encode", "url"));
    }
}
