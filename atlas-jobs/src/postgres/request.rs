//! An exchange as the statements take it: plain outcomes and progress apart, column by column.

use super::claim::{Wanted, wanted};
use super::error::BACKEND;
use super::record::int;
use super::session::{PART, Param};
use crate::error::{Kind, StoreError};
use crate::kernel::unfit;
use crate::state;
use crate::store::{Ack, AckAction, Exchange, Held};
use atlas_schema::{JobId, Progress, Timestamp, WorkerId};
use std::collections::HashSet;
use std::mem;
use std::time::{Duration, Instant};

const OPERATION: &str = "exchange";

/// An exchange as the statements take it.
pub(super) struct Request {
    /// Before its transaction.
    pub(super) began: Instant,
    pub(super) worker: WorkerId,
    pub(super) beat: i64,
    pub(super) lease_ms: i64,
    pub(super) acks: Vec<Ack>,
    pub(super) held: Vec<Held>,
    pub(super) reconcile: bool,
    pub(super) claim: Option<Wanted>,
    /// In parts that are small enough for one statement.
    pub(super) results: Vec<Results>,
    pub(super) progress: News,
}

/// The plain outcomes, in order of ids.
#[derive(Default)]
pub(super) struct Results {
    pub(super) ids: Vec<JobId>,
    pub(super) epochs: Vec<i64>,
    /// One after another.
    pub(super) values: Vec<u8>,
    /// Where each begins, from 1 on.
    pub(super) starts: Vec<i32>,
    /// How many bytes each has.
    pub(super) lengths: Vec<i32>,
}

impl Results {
    /// A job whose result is the rest of the values.
    fn push(&mut self, id: JobId, epoch: i64) -> Result<(), StoreError> {
        let start =
            self.starts.last().zip(self.lengths.last()).map_or(1, |(start, length)| start.saturating_add(*length));
        let end = i32::try_from(self.values.len().saturating_add(1));
        let end = end.map_err(|error| StoreError::new(Kind::Internal, BACKEND, OPERATION).with_source(error))?;
        self.ids.push(id);
        self.epochs.push(epoch);
        self.starts.push(start);
        self.lengths.push(end.saturating_sub(start));
        Ok(())
    }

    /// What `complete.sql` takes after the worker and the ids.
    pub(super) fn params(&self) -> [Param<'_>; 4] {
        [&self.epochs, &self.values, &self.starts, &self.lengths]
    }
}

/// News of the progress of held jobs.
#[derive(Default)]
pub(super) struct News {
    pub(super) ids: Vec<JobId>,
    pub(super) epochs: Vec<i64>,
    pub(super) values: Vec<String>,
}

impl Request {
    pub(super) fn new(exchange: Exchange, max_result: usize) -> Result<Self, StoreError> {
        let Exchange { worker, beat, lease, acks, held, reconcile, claim, .. } = exchange;
        let claim = wanted(claim)?;
        if lease < Duration::from_millis(1) {
            let rule = "a lease must last at least one millisecond";
            return Err(StoreError::new(Kind::InvalidInput, BACKEND, OPERATION).with_source(rule));
        }
        // A longer lease than all of time would overflow, and every job of the worker would be unreadable.
        let most = Timestamp::MAX.as_millis();
        let lease_ms = i64::try_from(lease.as_millis()).map_or(most, |lease| lease.min(most));
        let internal =
            |error: serde_json::Error| StoreError::new(Kind::Internal, BACKEND, OPERATION).with_source(error);
        let mut seen = HashSet::with_capacity(acks.len());
        let mut plain = Vec::with_capacity(acks.len());
        for ack in &acks {
            // Only the first word on a job may go ahead of the others.
            if seen.insert(ack.job)
                && let AckAction::Complete { result } = &ack.action
                && unfit(result, "the result", max_result).is_none()
            {
                plain.push((ack.job, int(ack.epoch), result));
            }
        }
        // Two that hand in the same jobs lock them in the same order.
        plain.sort_unstable_by_key(|(id, ..)| *id);
        let mut results: Vec<Results> = Vec::new();
        for (id, epoch, value) in plain {
            let mut part = results.pop().unwrap_or_default();
            let before = part.values.len();
            serde_json::to_writer(&mut part.values, value).map_err(internal)?;
            if before > 0 && part.values.len() > PART {
                let values = part.values.split_off(before);
                part.values.shrink_to_fit();
                results.push(mem::replace(&mut part, Results { values, ..Results::default() }));
            }
            part.push(id, epoch)?;
            results.push(part);
        }
        let mut progress = News::default();
        for held in &held {
            // A note that is too long costs the note, not the lease.
            if let Some(news) = held.progress.as_ref().filter(|news| fits(news)) {
                progress.ids.push(held.job);
                progress.epochs.push(int(held.epoch));
                progress.values.push(serde_json::to_string(news).map_err(internal)?);
            }
        }
        Ok(Self {
            began: Instant::now(),
            worker,
            beat: int(beat),
            lease_ms,
            acks,
            held,
            reconcile,
            claim,
            results,
            progress,
        })
    }

    /// Whether nothing needs a decision of ours.
    pub(super) fn is_usual(&self) -> bool {
        !self.reconcile
            && self.results.len() <= 1
            && self.acks.iter().all(|ack| matches!(ack.action, AckAction::Complete { .. }))
    }

    pub(super) fn known(&self) -> HashSet<JobId> {
        self.acks.iter().map(|ack| ack.job).chain(self.held.iter().map(|held| held.job)).collect()
    }
}

fn fits(progress: &Progress) -> bool {
    progress.note.as_ref().is_none_or(|note| state::at_most(note, "", 0, state::MAX_REASON_CHARS).is_ok())
}
