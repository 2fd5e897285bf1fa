//! Peers: other people's libraries, each a small program of its own that `cargo xtask bench` builds into `target/peers`.
//!
//! A peer sets itself up, writes `ready`, waits for a line, does its work, and writes its figures as one JSON line. So
//! what happens between the two lines is the work alone, whoever measures it. One that takes several turns waits for the next
//! line, and ends with its input.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// One figure of a peer.
#[derive(Debug, Deserialize)]
struct Figure {
    name: String,
    value: f64,
}

/// What a peer measured.
#[derive(Debug)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// One figure by name.
    ///
    /// # Errors
    /// If the peer gave none of that name.
    pub fn get(&self, name: &str) -> Result<f64> {
        self.all(name).next().with_context(|| format!("the peer gave no `{name}`"))
    }

    /// All figures of one name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = f64> {
        self.0.iter().filter(move |figure| figure.name == name).map(|figure| figure.value)
    }
}

/// The folder of built peers: `ATLAS_BENCH_PEERS` or `target/peers`.
pub fn folder() -> PathBuf {
    std::env::var_os("ATLAS_BENCH_PEERS").map_or_else(|| PathBuf::from("target/peers"), PathBuf::from)
}

/// Where a peer's program is; `None` if it was not built.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = folder().join(name).join("release").join(format!("peer-{name}"));
    path.is_file().then_some(path)
}

/// A program of a peer's Python environment, such as its `python`; `None` if it was not installed.
pub fn of_python(name: &str, program: &str) -> Option<PathBuf> {
    let path = folder().join(name).join("bin").join(program);
    // A link to the interpreter, which has to stay one: what it is called by tells it its environment.
    path.is_file().then_some(path)
}

/// A peer that waits for its start, or its next turn.
#[derive(Debug)]
pub struct Ready {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Ready {
    /// Starts a built peer and waits until it is set up.
    ///
    /// # Errors
    /// If it can't be started, ends, or says anything but `ready`.
    pub fn start(program: &Path, args: &[&str]) -> Result<Self> {
        Self::spawn(Command::new(program).args(args))
    }

    /// The same, of a command that may have an environment.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("a peer")?;
        let output = child.stdout.take().context("a peer's output")?;
        let input = child.stdin.take();
        let mut peer = Self { child, input, output: BufReader::new(output) };
        let line = peer.line()?;
        ensure!(line == "ready", "a peer said `{line}` in place of `ready`");
        Ok(peer)
    }

    /// Lets it take one turn of several: `what` is its line.
    ///
    /// # Errors
    /// If it ends or gives no figures.
    pub fn turn(&mut self, what: &str) -> Result<Figures> {
        let input = self.input.as_mut().context("a peer's input")?;
        writeln!(input, "{what}")?;
        input.flush()?;
        Ok(Figures(serde_json::from_str(&self.line()?)?))
    }

    /// Lets it work, once.
    ///
    /// # Errors
    /// If it gives no figures or ends with an error.
    pub fn go(mut self) -> Result<Figures> {
        let figures = self.turn("go")?;
        drop(self.input.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "a peer ended with {status}");
        Ok(figures)
    }

    /// What it writes next.
    ///
    /// # Errors
    /// If it has ended.
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
