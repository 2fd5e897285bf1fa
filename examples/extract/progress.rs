//! Progress for whoever waits: a bar on a terminal, a line now and then elsewhere.

use crate::write;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

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
        } else if self.last.elapsed() > Duration::from_secs(2) {
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
