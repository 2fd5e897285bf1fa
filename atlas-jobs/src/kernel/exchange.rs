//! A worker's round trip, over single rows.

use super::claim::claim;
use super::enqueue::unfit;
use super::{Beat, MOST_PAGES, Rows, check_limit, readable, unreadable};
use crate::error::{Kind, StoreError};
use crate::state::{self, Command, Reject};
use crate::store::{Ack, AckAction, AckOutcome, Exchange, Exchanged, Held, HeldOutcome, MAX_PAGE};
use atlas_schema::{Actor, JobId, Timestamp, WorkerId};
use std::collections::HashSet;
use std::time::Duration;

pub(crate) fn exchange(rows: &mut impl Rows, exchange: Exchange) -> Result<Exchanged, StoreError> {
    let Exchange { worker, beat, lease, now, acks, held, reconcile, claim: wanted } = exchange;
    let now = now.wall;
    if let Some(wanted) = &wanted {
        check_limit(wanted.limit, 0, rows.backend(), "exchange")?;
    }
    if lease < Duration::from_millis(1) {
        let rule = "a lease must last at least one millisecond";
        return Err(StoreError::new(Kind::InvalidInput, rows.backend(), "exchange").with_source(rule));
    }
    if rows.beat(&worker)?.is_some_and(|last| last.count >= beat) {
        return Err(StoreError::new(Kind::Conflict, rows.backend(), "exchange"));
    }
    rows.set_beat(&worker, Beat { count: beat, lease, seen_at: now })?;

    let held_epochs = held.iter().map(|held| (held.job, held.epoch));
    let known: HashSet<(JobId, u64)> = acks.iter().map(|ack| (ack.job, ack.epoch)).chain(held_epochs).collect();
    let mut exchanged = Exchanged::default();
    for ack in acks {
        exchanged.acks.push(acknowledge(rows, ack, &worker, now)?);
    }
    for held in held {
        exchanged.held.push(hold(rows, held)?);
    }
    if reconcile {
        exchanged.reconciled = hand_back(rows, &worker, &known, now)?;
    }
    if let Some(wanted) = wanted {
        exchanged.claimed = claim(rows, &wanted, &worker, lease, now)?;
    }
    Ok(exchanged)
}

fn acknowledge(rows: &mut impl Rows, ack: Ack, worker: &WorkerId, now: Timestamp) -> Result<AckOutcome, StoreError> {
    let before = match rows.load(ack.job) {
        Err(error) if unreadable(&error, &ack.job) => return Ok(AckOutcome::Unreadable),
        loaded => loaded?,
    };
    let Some(before) = before else { return Ok(AckOutcome::NotFound) };
    let epoch = ack.epoch;
    let most = rows.capabilities().max_result_bytes;
    let command = match ack.action {
        AckAction::Complete { result } => {
            // A result that comes too late is lost whatever its size.
            if state::holds(&before, epoch).is_ok()
                && let Some(reject) = unfit(&result, "the result", most)
            {
                return Ok(AckOutcome::Refused(reject));
            }
            Command::Complete { epoch, result }
        }
        AckAction::Fail { error, retry } => Command::Fail { epoch, error, retry },
        AckAction::Release { delay } => Command::Release { epoch, delay },
        AckAction::Cancelled => Command::AcknowledgeCancel { epoch },
    };
    match state::apply(&before, command, now, Actor::Worker { id: worker.clone() }) {
        Ok(applied) => {
            let outcome = AckOutcome::Applied { status: applied.record.status, version: applied.record.version };
            rows.update(&before, applied)?;
            Ok(outcome)
        }
        Err(Reject::Lost { epoch, status }) => Ok(AckOutcome::Lost { epoch, status }),
        Err(Reject::Repeated) => Ok(AckOutcome::Repeated),
        Err(reject) => Ok(AckOutcome::Refused(reject)),
    }
}

fn hold(rows: &mut impl Rows, held: Held) -> Result<HeldOutcome, StoreError> {
    let record = match rows.load(held.job) {
        // What it gives may still be recorded once the row is mended, unless somebody else has taken it.
        Err(error) if unreadable(&error, &held.job) => {
            let lost = HeldOutcome::Lost { epoch: held.epoch, status: None };
            return Ok(if rows.may_hold(held.job, held.epoch)? { HeldOutcome::Continue } else { lost });
        }
        loaded => loaded?,
    };
    let Some(record) = record else {
        return Ok(HeldOutcome::Lost { epoch: held.epoch, status: None });
    };
    if state::holds(&record, held.epoch).is_err() {
        return Ok(HeldOutcome::Lost { epoch: record.epoch, status: Some(record.status) });
    }
    // A note that is too long costs the note, not the lease; the worker cuts notes visibly before they come here.
    if let Some(Ok(after)) = held.progress.map(|progress| state::progress(&record, held.epoch, progress))
        && let Some(progress) = &after.progress
    {
        rows.set_progress(record.id, progress)?;
    }
    Ok(record.cancel_requested.map_or(HeldOutcome::Continue, HeldOutcome::CancelRequested))
}

/// Returns the leases that the worker does not know of: the reply that carried them was lost.
fn hand_back(
    rows: &mut impl Rows,
    worker: &WorkerId,
    known: &HashSet<(JobId, u64)>,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let (mut back, mut after) = (0, None);
    // Those that can't be read stay where they are, and others may stand behind them.
    for _ in 0..MOST_PAGES {
        let most = known.len().saturating_add(MAX_PAGE);
        let leases = rows.leases_of(worker, after, most)?;
        for id in &leases {
            let Some(before) = readable(rows.load(*id), id)? else { continue };
            // A job that is acknowledged in an older epoch is no less unheard of in this one.
            if known.contains(&(*id, before.epoch)) {
                continue;
            }
            let command = Command::Release { epoch: before.epoch, delay: Duration::ZERO };
            if let Ok(applied) = state::apply(&before, command, now, Actor::Worker { id: worker.clone() }) {
                rows.update(&before, applied)?;
                back += 1;
            }
        }
        after = leases.last().copied();
        if leases.len() < most {
            break;
        }
    }
    Ok(back)
}
