//! Choosing the next jobs.

use super::{Place, Rows, readable};
use crate::error::{Kind, StoreError};
use crate::state::{self, Command};
use crate::store::{Claim, MAX_PAGE, Pace};
use atlas_schema::{Actor, JobKind, JobRecord, QueueName, Timestamp, WorkerId};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

pub(super) fn claim(
    rows: &mut impl Rows,
    wanted: &Claim,
    worker: &WorkerId,
    lease: Duration,
    now: Timestamp,
) -> Result<Vec<JobRecord>, StoreError> {
    let mut claimed = Vec::new();
    let mut paces = BTreeMap::new();
    let mut rooms = BTreeMap::new();
    let mut left = wanted.limit.min(MAX_PAGE);
    for before in found(rows, wanted, &mut rooms, &mut paces, now)? {
        let Some(room) = rooms.get_mut(&before.queue).filter(|room| **room > 0 && left > 0) else { continue };
        (*room, left) = (*room - 1, left - 1);
        let id = before.id;
        if before.deadline.is_some_and(|deadline| deadline <= now) {
            // Left in the queue it would stand in front of jobs that can still run until the next sweep.
            if let Ok(applied) = state::apply(&before, Command::TimeOut, now, Actor::Sweeper {}) {
                rows.update(&before, applied)?;
            }
            continue;
        }
        let command = Command::Claim { worker: worker.clone(), lease };
        if let Ok(applied) = state::apply(&before, command, now, Actor::Worker { id: worker.clone() }) {
            let record = applied.record.clone();
            if let Some(pace) = paces.get_mut(&record.queue) {
                *pace = pace.spent(1);
            }
            rows.update(&before, applied)?;
            let payload = rows.payload(id)?;
            claimed.push(record.map_payload(|()| payload));
        }
    }
    for (queue, pace) in &paces {
        rows.set_pace(queue, *pace)?;
    }
    Ok(claimed)
}

/// The jobs that may be claimed, best first, and perhaps some more than there is room for: behind those that can't be read
/// others are looked for.
fn found<'w>(
    rows: &mut impl Rows,
    wanted: &'w Claim,
    rooms: &mut BTreeMap<&'w QueueName, usize>,
    paces: &mut BTreeMap<QueueName, Pace>,
    now: Timestamp,
) -> Result<Vec<JobRecord<()>>, StoreError> {
    let mut unreadable = HashSet::new();
    loop {
        let known = unreadable.len();
        let mut found = Vec::new();
        for (_, _, id) in candidates(rows, wanted, known, rooms, paces, now)? {
            match rows.load(id) {
                Err(error) if error.kind() == Kind::Corrupt => {
                    if unreadable.insert(id) {
                        readable::<()>(Err(error), &id)?;
                    }
                }
                loaded => found.extend(loaded?),
            }
        }
        if unreadable.len() == known || known >= MAX_PAGE {
            return Ok(found);
        }
    }
}

fn candidates<'w>(
    rows: &mut impl Rows,
    wanted: &'w Claim,
    more: usize,
    rooms: &mut BTreeMap<&'w QueueName, usize>,
    paces: &mut BTreeMap<QueueName, Pace>,
    now: Timestamp,
) -> Result<Vec<Place>, StoreError> {
    let queues: BTreeSet<&QueueName> = wanted.queues.iter().collect();
    let kinds: BTreeSet<&JobKind> = wanted.kinds.iter().collect();
    let mut places = Vec::new();
    for queue in queues {
        let Some(room) = room(rows, queue, wanted.limit, paces, now)? else { continue };
        rooms.insert(queue, room);
        let mut of_queue = Vec::new();
        for kind in &kinds {
            of_queue.extend(rows.ready(queue, kind, now, room + more)?);
        }
        of_queue.sort_unstable();
        of_queue.truncate(room + more);
        places.extend(of_queue);
    }
    places.sort_unstable();
    places.truncate(wanted.limit.min(MAX_PAGE) + more);
    Ok(places)
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
