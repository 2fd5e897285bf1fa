//! CPU time of processes, from Linux's `/proc`.

use anyhow::{Context, Result};
use std::time::Duration;

/// A tick of `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that Linux still builds for.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of a process so far, its threads included; of this one for `self`.
pub(crate) fn of(pid: &str) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("CPU times need Linux's /proc")?;
    // The name of the program is in brackets and may hold anything.
    let (_, fields) = stat.rsplit_once(')').context("an odd /proc/PID/stat")?;
    let field = |at: usize| -> Result<u32> { Ok(fields.split_whitespace().nth(at).context("a short stat")?.parse()?) };
    // utime and stime, fields 14 and 15 of proc(5), count from 1 and the name is the second.
    Ok(TICK * (field(11)? + field(12)?))
}

/// The same of a process and of all its children, those that have ended included.
pub(crate) fn of_family(pid: u32) -> Result<Duration> {
    let mut ticks = 0;
    for entry in std::fs::read_dir("/proc")? {
        let path = entry?.path().join("stat");
        // What is no process has no such file, and one may end meanwhile.
        let Ok(stat) = std::fs::read_to_string(path) else { continue };
        let Some((head, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<u32> = fields.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect();
        // Field 4 of proc(5) is the parent, 14 to 17 are utime, stime and those of children that ended.
        let sum = |range: std::ops::Range<usize>| fields.get(range).map_or(0, |ticks| ticks.iter().sum::<u32>());
        if head.split_whitespace().next() == Some(&pid.to_string()) {
            ticks += sum(10..14);
        } else if fields.first() == Some(&pid) {
            ticks += sum(10..12);
        }
    }
    Ok(TICK * ticks)
}

/// What `work` gives, and the CPU time of this process meanwhile.
pub(crate) fn during<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let before = of("self")?;
    let value = work()?;
    Ok((value, of("self")?.saturating_sub(before)))
}

/// Microseconds per job.
#[allow(clippy::cast_precision_loss, reason = "counts of a bench are small")]
pub(crate) fn per_job(time: Duration, jobs: usize) -> f64 {
    time.as_secs_f64() * 1e6 / jobs as f64
}
