//! Choosing the next jobs.

use super::{PUT_OFF, Place, Rows, unreadable};
use crate::error::StoreError;
use crate::state::{self, Command};
use crate::store::{Claim, MAX_PAGE, Pace};
use atlas_schema::{Actor, JobKind, JobRecord, JobStatus, QueueName, Timestamp, WorkerId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many more jobs of each wanted queue may run; queues without room are missing.
type Rooms<'w> = BTreeMap<&'w QueueName, usize>;

/// A job that may be claimed. Sorts as claims do, over all queues.
type Candidate<'w> = (Place, &'w QueueName, &'w JobKind);

/// Jobs that can't be read take nobody's room: they are put off, and others are looked for in their place. So are places at
/// which their jobs do not wait, as after a row was put off while it was damaged and then restored from a backup: they are
/// corrected. A claim does so with [`MAX_PAGE`] or a few more at most; the next one finds those behind them.
pub(super) fn claim(
    rows: &mut impl Rows,
    wanted: &Claim,
    worker: &WorkerId,
    lease: Duration,
    now: Timestamp,
) -> Result<Vec<JobRecord>, StoreError> {
    let mut claimed: Vec<JobRecord> = Vec::new();
    let mut paces = BTreeMap::new();
    let mut rooms = rooms(rows, wanted, &mut paces, now)?;
    let mut left = wanted.limit.min(MAX_PAGE);
    let mut amiss = 0;
    loop {
        let known = amiss;
        for (place, queue, kind) in candidates(rows, wanted, &rooms, left, now)? {
            let id = place.2;
            let before = match rows.load(id) {
                Err(error) if unreadable(&error, &id) => {
                    rows.put_off(queue, kind, place, now.saturating_add(PUT_OFF))?;
                    amiss += 1;
                    continue;
                }
                loaded => loaded?,
            };
            let Some(before) = before.as_ref().filter(|job| waits_at(job, queue, kind, place)) else {
                rows.correct(queue, kind, place, before.as_ref())?;
                amiss += 1;
                continue;
            };
            let Some(room) = rooms.get_mut(queue).filter(|room| **room > 0 && left > 0) else { continue };
            (*room, left) = (*room - 1, left - 1);
            if before.deadline.is_some_and(|deadline| deadline <= now) {
                // Left in the queue it would stand in front of jobs that can still run until the next sweep.
                if let Ok(applied) = state::apply(before, Command::TimeOut, now, Actor::Sweeper {}) {
                    rows.update(before, applied)?;
                }
                continue;
            }
            let command = Command::Claim { worker: worker.clone(), lease };
            if let Ok(applied) = state::apply(before, command, now, Actor::Worker { id: worker.clone() }) {
                let record = applied.record.clone();
                if let Some(pace) = paces.get_mut(&record.queue) {
                    *pace = pace.spent(1);
                }
                rows.update(before, applied)?;
                let payload = rows.payload(id)?;
                claimed.push(record.map_payload(|()| payload));
            }
        }
        if amiss == known || left == 0 {
            break;
        }
        if amiss >= MAX_PAGE {
            tracing::error!(amiss, "so many waiting jobs can't be read that a claim gave up looking behind them");
            break;
        }
    }
    if amiss > 0 {
        // Those that were found later may have stood in front in another queue.
        claimed.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
    }
    for (queue, pace) in &paces {
        rows.set_pace(queue, *pace)?;
    }
    Ok(claimed)
}

/// Whether it is there that a job waits.
fn waits_at(job: &JobRecord<()>, queue: &QueueName, kind: &JobKind, place: Place) -> bool {
    job.status == JobStatus::Pending
        && (&job.queue, &job.kind) == (queue, kind)
        && (Reverse(job.priority), job.run_at, job.id) == place
}

/// The next places of all queues with room, best first.
fn candidates<'w>(
    rows: &mut impl Rows,
    wanted: &'w Claim,
    rooms: &Rooms<'w>,
    most: usize,
    now: Timestamp,
) -> Result<Vec<Candidate<'w>>, StoreError> {
    let kinds: BTreeSet<&JobKind> = wanted.kinds.iter().collect();
    let mut all = Vec::new();
    for (queue, room) in rooms.iter().filter(|(_, room)| **room > 0) {
        let mut of_queue = Vec::new();
        for kind in &kinds {
            of_queue.extend(rows.ready(queue, kind, now, *room)?.into_iter().map(|place| (place, *queue, *kind)));
        }
        of_queue.sort_unstable();
        of_queue.truncate(*room);
        all.extend(of_queue);
    }
    all.sort_unstable();
    all.truncate(most);
    Ok(all)
}

/// Notes the paces of queues with a rate limit.
fn rooms<'w>(
    rows: &mut impl Rows,
    wanted: &'w Claim,
    paces: &mut BTreeMap<QueueName, Pace>,
    now: Timestamp,
) -> Result<Rooms<'w>, StoreError> {
    let mut rooms = Rooms::new();
    for queue in wanted.queues.iter().collect::<BTreeSet<_>>() {
        if let Some(room) = room(rows, queue, wanted.limit, paces, now)? {
            rooms.insert(queue, room);
        }
    }
    Ok(rooms)
}

/// How many more jobs of a queue may run; `None` if none. Notes the pace of a queue with a rate limit.
fn room(
    rows: &mut impl Rows,
    queue: &QueueName,
    limit: usize,
    paces: &mut BTreeMap<QueueName, Pace>,
    now: Timestamp,
) -> Result<Option<usize>, StoreError> {
    let Some(state) = rows.queue(queue)? else { return Ok(Some(limit).filter(|room| *room > 0)) };
    if state.paused {
        return Ok(None);
    }
    let mut room = limit;
    if let Some(most) = state.max_running {
        let left = u64::from(most).saturating_sub(rows.running(queue)?);
        room = room.min(usize::try_from(left).unwrap_or(usize::MAX));
    }
    if let Some(rate) = state.max_per_second {
        let pace = rows.pace(queue)?.unwrap_or_else(|| Pace::full(rate, now)).refilled(rate, now);
        room = room.min(pace.claims());
        paces.insert(queue.clone(), pace);
    }
    Ok(Some(room).filter(|room| *room > 0))
}
