//! Other job managers: each a small program in a workspace of its own, built by `cargo xtask bench jobs`.
//!
//! A peer sets itself up, writes `ready`, waits for a line, does its work, and writes its figures as one JSON line. So
//! what happens between the two lines is the work alone, whoever measures it.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// One figure of a peer.
#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    value: f64,
}

/// A peer that waits for its start.
pub(crate) struct Ready {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

/// What a peer measured.
#[derive(Debug)]
pub(crate) struct Figures(Vec<Figure>);

impl Figures {
    /// One figure by name.
    pub(crate) fn get(&self, name: &str) -> Result<f64> {
        let figure = self.0.iter().find(|figure| figure.name == name);
        figure.map(|figure| figure.value).with_context(|| format!("the peer gave no `{name}`"))
    }

    /// All figures of one name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = f64> {
        self.0.iter().filter(move |figure| figure.name == name).map(|figure| figure.value)
    }
}

/// Where a peer's program is; `None` if it was not built.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ATLAS_BENCH_PEERS").map_or_else(|| PathBuf::from("target/peers"), PathBuf::from);
    let path = folder.join(name).join("release").join(format!("peer-{name}"));
    path.is_file().then_some(path)
}

impl Ready {
    /// Starts a peer and waits until it is set up.
    pub(crate) fn start(program: &PathBuf, args: &[&str]) -> Result<Self> {
        let mut child =
            Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("a peer")?;
        let output = child.stdout.take().context("a peer's output")?;
        let mut peer = Self { child, output: BufReader::new(output) };
        let line = peer.line()?;
        ensure!(line == "ready", "a peer said `{line}` in place of `ready`");
        Ok(peer)
    }

    /// Lets it work.
    pub(crate) fn go(mut self) -> Result<Figures> {
        let mut input = self.child.stdin.take().context("a peer's input")?;
        input.write_all(b"go\n")?;
        let figures = serde_json::from_str(&self.line()?)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a peer ended with {status}");
        Ok(Figures(figures))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            bail!("a peer ended early, with {}", self.child.wait()?);
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // One that has ended can't be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
