//! Choosing the next jobs.

use super::{Place, Rows};
use crate::error::StoreError;
use crate::state::{self, Command};
use crate::store::{Claim, MAX_PAGE};
use atlas_schema::{Actor, JobKind, JobRecord, QueueName, Timestamp, WorkerId};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) fn claim(
    rows: &mut impl Rows,
    wanted: &Claim,
    worker: &WorkerId,
    lease: Duration,
    now: Timestamp,
) -> Result<Vec<JobRecord>, StoreError> {
    let mut claimed = Vec::new();
    for (_, _, id) in candidates(rows, wanted, now)? {
        let Some(before) = rows.load(id)? else { continue };
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
            rows.update(&before, applied)?;
            let payload = rows.payload(id)?;
            claimed.push(record.map_payload(|()| payload));
        }
    }
    Ok(claimed)
}

fn candidates(rows: &mut impl Rows, wanted: &Claim, now: Timestamp) -> Result<Vec<Place>, StoreError> {
    let queues: BTreeSet<&QueueName> = wanted.queues.iter().collect();
    let kinds: BTreeSet<&JobKind> = wanted.kinds.iter().collect();
    let mut places = Vec::new();
    for queue in queues {
        let Some(room) = room(rows, queue, wanted.limit)? else { continue };
        let mut of_queue = Vec::new();
        for kind in &kinds {
            of_queue.extend(rows.ready(queue, kind, now, room)?);
        }
        of_queue.sort_unstable();
        of_queue.truncate(room);
        places.extend(of_queue);
    }
    places.sort_unstable();
    places.truncate(wanted.limit.min(MAX_PAGE));
    Ok(places)
}

/// How many more jobs of a queue may run; `None` if none.
fn room(rows: &mut impl Rows, queue: &QueueName, limit: usize) -> Result<Option<usize>, StoreError> {
    let Some(state) = rows.queue(queue)? else { return Ok(Some(limit).filter(|room| *room > 0)) };
    if state.paused {
        return Ok(None);
    }
    let room = match state.max_running {
        Some(most) => {
            let left = u64::from(most).saturating_sub(rows.running(queue)?);
            usize::try_from(left).unwrap_or(usize::MAX).min(limit)
        }
        None => limit,
    };
    Ok(Some(room).filter(|room| *room > 0))
}
