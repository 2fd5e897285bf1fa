//! Progress for whoever waits: a bar on a terminal, a line now and then elsewhere.

use crate::write;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Waits shorter than this need no progress.
const SHORT: Duration = Duration::from_millis(500);
/// How often a line says how far it is, where there is no terminal.
const LINE: Duration = Duration::from_secs(2);

/// Counts the files that are read before the run: each is hashed, so that a changed one is known.
pub(crate) struct Reading {
    bar: Option<ProgressBar>,
    terminal: bool,
    files: u64,
    bytes: u64,
    last: Instant,
}

impl Reading {
    /// Nothing is read yet.
    pub(crate) fn new() -> Self {
        Self { bar: None, terminal: stderr().is_terminal(), files: 0, bytes: 0, last: Instant::now() }
    }

    /// One more file is read. How many there will be is not known before all folders have been listed.
    pub(crate) fn file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
        if let Some(bar) = &self.bar {
            bar.set_message(self.text());
        } else if self.terminal && self.last.elapsed() > SHORT {
            let bar = ProgressBar::new_spinner().with_message(self.text());
            bar.enable_steady_tick(Duration::from_millis(200));
            self.bar = Some(bar);
        } else if !self.terminal && self.last.elapsed() > LINE {
            self.last = Instant::now();
            write::note(&self.text());
        }
    }

    fn text(&self) -> String {
        format!("reading pages: {} files, {} MB", self.files, self.bytes / 1_000_000)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Counts pages that have an end.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    last: Instant,
}

impl Progress {
    /// For `total` pages, some of which may be done already.
    pub(crate) fn new(total: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64);
            if let Ok(style) =
                ProgressStyle::with_template("{bar:40.cyan/blue} {pos}/{len} pages  {msg}  {elapsed}, {eta} left")
            {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, total, last: Instant::now() }
    }

    /// So many have an end, so many of them failed.
    pub(crate) fn at(&mut self, ended: usize, failed: usize) {
        if let Some(bar) = &self.bar {
            bar.set_position(ended as u64);
            bar.set_message(if failed > 0 { format!("{failed} failed") } else { String::new() });
        } else if self.last.elapsed() > LINE {
            self.last = Instant::now();
            write::note(&format!("{ended} of {} pages, {failed} failed", self.total));
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
