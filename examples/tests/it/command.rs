//! Running the built example.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The main program.
pub(crate) fn program() -> PathBuf {
    example("extract")
}

/// An example, built by the same `cargo test` that built this test.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test's own path");
    let built = test.parent().and_then(Path::parent).expect("target/debug/deps").join("examples").join(name);
    let built = built.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(built.is_file(), "build the example first: cargo build -p atlas-examples --example {name}");
    built
}

/// A scratch folder and calls in it.
pub(crate) struct Scratch {
    pub(crate) dir: tempfile::TempDir,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a scratch folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), content).expect("written");
        self
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("the program starts"))
    }
}

/// What a call gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The pages of `--format jsonl`.
    pub(crate) fn pages(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }

    /// The page of that name.
    pub(crate) fn page(&self, name: &str) -> Value {
        self.pages().into_iter().find(|page| page["page"] == name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// A small page with a recipe.
pub(crate) fn recipe(name: &str) -> String {
    format!(
        r#"<!doctype html><title>{name}</title><h1>{name}</h1><script type="application/ld+json">
        {{"@type": "Recipe", "name": "{name}", "recipeIngredient": ["1 bag of tea", "2 cups of water"], "totalTime": "PT5M"}}
        </script><ul><li>1 bag of tea<li>2 cups of water</ul>"#
    )
}
