//! Ending what nobody else ends, and deleting, over single rows.

use super::{At, MOST_PAGES, Rows, check_limit, readable, unreadable};
use crate::error::StoreError;
use crate::lease::SilenceWatch;
use crate::state::{self, Command};
use crate::store::{MAX_PAGE, Purge, PurgeOptions, Purged, SweepOptions, Swept};
use atlas_schema::{Actor, JobId, JobStatus, Timestamp, WorkerId};
use std::collections::HashSet;
use std::time::Duration;

/// A worker without leases is forgotten after so long. It only bounds a table: an earlier or later time loses nothing.
const FORGET_AFTER: Duration = Duration::from_hours(24);

pub(crate) fn sweep<R: Rows>(
    rows: &mut R,
    watch: &mut SilenceWatch,
    options: &SweepOptions,
) -> Result<Swept, StoreError> {
    check_limit(options.limit, 1, rows.backend(), "sweep")?;
    let now = options.now.wall;
    let mut swept = Swept::default();
    let mut left = options.limit;
    swept.timed_out = walk(
        rows,
        |rows, after| rows.overdue(now, after, MAX_PAGE),
        &mut left,
        |rows, id| end(rows, id, now, |_| Command::TimeOut),
    )?;
    swept.cancelled = walk(
        rows,
        |rows, after| rows.unanswered(now, after, MAX_PAGE),
        &mut left,
        |rows, id| end(rows, id, now, |_| Command::EndCancel),
    )?;
    let mut holders: HashSet<WorkerId> = HashSet::new();
    for (worker, beat) in rows.leaseholders()? {
        // A lease whose worker was never seen can't be renewed by anyone.
        let silent = options.dead.contains(&worker)
            || beat.is_none_or(|beat| watch.is_silent(&worker, beat.count, beat.lease, options.now.steady));
        if silent && left > 0 {
            let leases = |rows: &mut R, after: Option<At>| {
                let ids = rows.leases_of(&worker, after.map(|(_, id)| id), MAX_PAGE)?;
                Ok(ids.into_iter().map(|id| (0, id)).collect())
            };
            swept.expired +=
                walk(rows, leases, &mut left, |rows, id| end(rows, id, now, |epoch| Command::ExpireLease { epoch }))?;
        }
        holders.insert(worker);
    }
    watch.retain(|worker| holders.contains(worker));
    rows.forget_workers(now.saturating_sub(FORGET_AFTER))?;
    swept.more = left == 0;
    Ok(swept)
}

/// Goes along an index until `left` jobs were seen to, which it gives, or none is left. Rows that can't be read stay in the
/// index: however many stand in front, those behind them have their turn.
fn walk<R: Rows>(
    rows: &mut R,
    page: impl Fn(&mut R, Option<At>) -> Result<Vec<At>, StoreError>,
    left: &mut usize,
    mut see_to: impl FnMut(&mut R, JobId) -> Result<bool, StoreError>,
) -> Result<usize, StoreError> {
    let (mut done, mut after) = (0, None);
    for _ in 0..MOST_PAGES {
        let found = page(rows, after)?;
        for (_, id) in &found {
            if *left == 0 {
                return Ok(done);
            }
            if see_to(rows, *id)? {
                (done, *left) = (done + 1, *left - 1);
            }
        }
        after = found.last().copied();
        if found.len() < MAX_PAGE {
            return Ok(done);
        }
    }
    tracing::error!("so many rows can't be read that upkeep gave up looking behind them: mend or purge them");
    Ok(done)
}

fn end(
    rows: &mut impl Rows,
    id: JobId,
    now: Timestamp,
    command: impl FnOnce(u64) -> Command,
) -> Result<bool, StoreError> {
    let Some(before) = readable(rows.load(id), &id)? else { return Ok(false) };
    match state::apply(&before, command(before.epoch), now, Actor::Sweeper {}) {
        Ok(applied) => rows.update(&before, applied).map(|()| true),
        // The row changed between the index and the record: whoever changed it has seen to it.
        Err(_) => Ok(false),
    }
}

pub(crate) fn purge<R: Rows>(rows: &mut R, options: &PurgeOptions) -> Result<Purged, StoreError> {
    check_limit(options.limit, 1, rows.backend(), "purge")?;
    let named = |ids: &[JobId], backend| {
        check_limit(ids.len(), 0, backend, "purge")?;
        Ok::<_, StoreError>((ids.iter().copied().take(options.limit).collect::<Vec<_>>(), ids.len() > options.limit))
    };
    let mut jobs = 0;
    let more = match &options.what {
        Purge::Ended { status, before } => {
            let mut left = options.limit;
            jobs = walk(rows, |rows, after| rows.ended(*status, *before, after, MAX_PAGE), &mut left, remove)?;
            left == 0
        }
        Purge::Jobs(ids) => {
            let (ids, more) = named(ids, rows.backend())?;
            for id in ids {
                jobs += usize::from(remove(rows, id)?);
            }
            more
        }
        Purge::Unreadable(ids) => {
            let (ids, more) = named(ids, rows.backend())?;
            for id in ids {
                if rows.load(id).is_err_and(|error| unreadable(&error, &id)) {
                    rows.discard(id)?;
                    jobs += 1;
                }
            }
            more
        }
    };
    Ok(Purged { jobs, more })
}

/// Deletes a job that can be read and does not run.
fn remove(rows: &mut impl Rows, id: JobId) -> Result<bool, StoreError> {
    let record = readable(rows.load(id), &id)?.filter(|record| record.status != JobStatus::Processing);
    let Some(record) = record else { return Ok(false) };
    rows.delete(&record).map(|()| true)
}
