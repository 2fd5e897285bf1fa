//! CPU time: of this process by its clock, of others from Linux's `/proc`.

use anyhow::Result;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A tick of `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that Linux still builds for.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of this process so far, its threads included, to the nanosecond.
pub fn own() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // A clock of what was used is never before its beginning.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The same of another process and of all its children, those that have ended included, in hundredths of a second.
///
/// # Errors
/// If there is no `/proc`.
pub fn of_family(pid: u32) -> Result<Duration> {
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
///
/// # Errors
/// Those of `work`.
pub fn during<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
    let before = own();
    let value = work()?;
    Ok((value, own().saturating_sub(before)))
}

/// Microseconds per job.
#[allow(clippy::cast_precision_loss, reason = "counts of a bench are small")]
pub fn per_job(time: Duration, jobs: usize) -> f64 {
    time.as_secs_f64() * 1e6 / jobs as f64
}
