//! Ending what nobody else ends, and deleting, over single rows.

use super::{Rows, check_limit, readable};
use crate::error::StoreError;
use crate::lease::SilenceWatch;
use crate::state::{self, Command};
use crate::store::{MAX_PAGE, Purge, PurgeOptions, Purged, SweepOptions, Swept};
use atlas_schema::{Actor, JobId, JobStatus, Timestamp, WorkerId};
use std::collections::HashSet;
use std::time::Duration;

/// A worker without leases is forgotten after so long. It only bounds a table: an earlier or later time loses nothing.
const FORGET_AFTER: Duration = Duration::from_hours(24);

pub(crate) fn sweep(
    rows: &mut impl Rows,
    watch: &mut SilenceWatch,
    options: &SweepOptions,
) -> Result<Swept, StoreError> {
    check_limit(options.limit, 1, rows.backend(), "sweep")?;
    let now = options.now.wall;
    let mut swept = Swept::default();
    let mut left = options.limit;
    for id in rows.overdue(now, left)? {
        swept.timed_out += end(rows, id, now, |_| Command::TimeOut, &mut left)?;
    }
    for id in rows.unanswered(now, left)? {
        swept.cancelled += end(rows, id, now, |_| Command::EndCancel, &mut left)?;
    }
    let mut holders: HashSet<WorkerId> = HashSet::new();
    for (worker, beat) in rows.leaseholders()? {
        // A lease whose worker was never seen can't be renewed by anyone.
        let silent = options.dead.contains(&worker)
            || beat.is_none_or(|beat| watch.is_silent(&worker, beat.count, beat.lease, options.now.steady));
        if silent && left > 0 {
            for id in rows.leases_of(&worker, left)? {
                swept.expired += end(rows, id, now, |epoch| Command::ExpireLease { epoch }, &mut left)?;
            }
        }
        holders.insert(worker);
    }
    watch.retain(|worker| holders.contains(worker));
    rows.forget_workers(now.saturating_sub(FORGET_AFTER))?;
    swept.more = left == 0;
    Ok(swept)
}

fn end(
    rows: &mut impl Rows,
    id: JobId,
    now: Timestamp,
    command: impl FnOnce(u64) -> Command,
    left: &mut usize,
) -> Result<usize, StoreError> {
    let Some(before) = readable(rows.load(id), &id)? else { return Ok(0) };
    match state::apply(&before, command(before.epoch), now, Actor::Sweeper {}) {
        Ok(applied) => {
            rows.update(&before, applied)?;
            *left = left.saturating_sub(1);
            Ok(1)
        }
        // The row changed between the index and the record: whoever changed it has seen to it.
        Err(_) => Ok(0),
    }
}

pub(crate) fn purge(rows: &mut impl Rows, options: &PurgeOptions) -> Result<Purged, StoreError> {
    check_limit(options.limit, 1, rows.backend(), "purge")?;
    let ids = match &options.what {
        Purge::Ended { status, before } => rows.ended(*status, *before, options.limit)?,
        Purge::Jobs(ids) => {
            check_limit(ids.len(), 0, rows.backend(), "purge")?;
            ids.iter().copied().take(options.limit).collect()
        }
    };
    let mut jobs = 0;
    for id in ids.iter().take(MAX_PAGE) {
        if let Some(record) = readable(rows.load(*id), id)?
            && record.status != JobStatus::Processing
        {
            rows.delete(&record)?;
            jobs += 1;
        }
    }
    let more = match &options.what {
        Purge::Ended { .. } => ids.len() == options.limit && jobs > 0,
        Purge::Jobs(all) => all.len() > options.limit,
    };
    Ok(Purged { jobs, more })
}
