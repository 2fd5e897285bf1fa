//! Named, timed steps that stop at the first failure.

use anyhow::{Context as _, Error, Result, anyhow, bail};
use std::{
    fmt::Write as _,
    fs::File,
    io::Seek as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// What ran so far, with its times.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs `work` as the step `name`; `advice` tells what to do if it fails.
    pub(crate) fn run<T>(&mut self, name: &str, advice: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("\n== {name}");
        let start = Instant::now();
        let value = work().map_err(|error| failed(name, advice, start, &error))?;
        let took = start.elapsed();
        eprintln!("   {name}: ok, {:.1} s", took.as_secs_f64());
        self.done.push((name.to_owned(), took));
        Ok(value)
    }

    /// The last step: prints the table first and nothing after, so that the work's own last lines stay the last.
    pub(crate) fn last<T>(&mut self, name: &str, advice: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("{}\n== {name}", self.table());
        let start = Instant::now();
        work().map_err(|error| failed(name, advice, start, &error))
    }

    /// A table of the steps and their times.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("\nsteps so far (s)\n");
        for (name, took) in &self.done {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:>7.1}  {name}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|(_, took)| *took).sum();
        let _ = writeln!(text, "  {:>7.1}  in all", total.as_secs_f64());
        text
    }
}

fn failed(name: &str, advice: &str, start: Instant, error: &Error) -> Error {
    anyhow!("{name}: failed after {:.1} s\n   {error:#}\n   what to do: {advice}", start.elapsed().as_secs_f64())
}

/// What becomes of a [`Beside`] that is dropped since another step failed.
#[derive(PartialEq)]
pub(crate) enum AtDrop {
    /// It and what it has started is killed.
    Kill,
    /// It is waited for: an installation that is killed half way would have to be mended by hand.
    Wait,
}

/// A command that runs beside the steps; what it wrote is shown when it has ended.
pub(crate) struct Beside {
    shown: String,
    at_drop: AtDrop,
    child: Child,
    output: File,
}

impl Beside {
    pub(crate) fn start(command: &mut Command, at_drop: AtDrop) -> Result<Self> {
        let shown = show(command);
        let output = tempfile::tempfile()?;
        // A group of its own: what it has started ends with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
        let child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        Ok(Self { shown, at_drop, child, output })
    }

    /// Waits for its end, shows its output; any exit code but 0 is an error.
    pub(crate) fn end(mut self) -> Result<()> {
        eprintln!("   $ {} (beside the steps before)", self.shown);
        let status = self.child.wait()?;
        self.output.rewind()?;
        std::io::copy(&mut self.output, &mut std::io::stderr())?;
        if status.success() { Ok(()) } else { bail!("`{}` ended with {status}", self.shown) }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            if self.at_drop == AtDrop::Wait {
                eprintln!("   waiting for the end of `{}`", self.shown);
                drop(self.child.wait());
                return;
            }
            let group = format!("-{}", self.child.id());
            let killed = Command::new("kill").args(["-s", "KILL", "--", &group]).status().is_ok_and(|s| s.success());
            if !killed && self.child.kill().is_err() {
                eprintln!("   `{}` could not be stopped", self.shown);
            }
            drop(self.child.wait());
        }
    }
}

/// The workspace's folder.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// `cargo` of the toolchain that runs us, in the workspace's folder.
pub(crate) fn cargo<I: IntoIterator<Item: AsRef<std::ffi::OsStr>>>(args: I) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Runs `command`, its output going to ours; any exit code but 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    eprintln!("   $ {}", show(command));
    let status = command.status().with_context(|| format!("cannot start `{}`", show(command)))?;
    if status.success() { Ok(()) } else { bail!("`{}` ended with {status}", show(command)) }
}

/// Runs `command` and returns what it wrote to standard output; its errors go to ours.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let (text, ended) = output_whatever(command)?;
    ended.map(|()| text)
}

/// The same, with the output also of a command that ended with another exit code than 0.
pub(crate) fn output_whatever(command: &mut Command) -> Result<(String, Result<()>)> {
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start `{}`", show(command)))?;
    let ended =
        if output.status.success() { Ok(()) } else { Err(anyhow!("`{}` ended with {}", show(command), output.status)) };
    Ok((String::from_utf8(output.stdout).context("the output is not UTF-8")?, ended))
}

/// Whether `program` can be started.
pub(crate) fn exists(program: &str, arg: &str) -> bool {
    Command::new(program).arg(arg).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

fn show(command: &Command) -> String {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
