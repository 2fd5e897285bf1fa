//! What must be true of any job's audit trail, whatever happened: to be checked at the end of a test of one's own.
//!
//! A trail names who held which epoch and what became of it, so that a lost fence, a job handed to two workers and a
//! state without its event all show, even long after the moment.

use crate::error::StoreError;
use crate::state;
use crate::store::{Filter, JobStore, JobStoreExt};
use atlas_schema::{Actor, AuditEvent, AuditKind, JobId, JobRecord, JobStatus, WorkerId};
use std::fmt;

/// A promise that a job's trail or its record breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Breach {
    /// Which job.
    pub job: JobId,
    /// At which version.
    pub version: u64,
    /// What should have been so.
    pub rule: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} at version {}: {}", self.job, self.version, self.rule)
    }
}

/// Reads every job that matches, with its trail, and gives what is wrong with them.
///
/// # Errors
/// The store's.
pub async fn audit(store: &(impl JobStore + ?Sized), filter: Filter) -> Result<Vec<Breach>, StoreError> {
    let mut all = Vec::new();
    for record in store.list_all(filter).await? {
        all.extend(breaches(&record, &store.history_all(record.id).await?));
    }
    Ok(all)
}

/// What is wrong with one job whose whole trail is `history`, oldest first. The record must have been read first, and
/// the job at rest: one that moves between the two reads looks wrong.
pub fn breaches(record: &JobRecord, history: &[AuditEvent]) -> Vec<Breach> {
    let mut walk = Walk { job: record.id, last: None, holder: None, outcome: None, found: Vec::new() };
    for event in history {
        walk.step(event);
    }
    let version = record.version;
    let Some(last) = walk.last else {
        return vec![Breach { job: record.id, version, rule: "a job has a trail" }];
    };
    walk.rule(version, last.version == version, "the last event made the record's version");
    walk.rule(version, last.to == record.status, "the last event led to the record's status");
    walk.rule(version, last.epoch == record.epoch, "the last event is of the record's epoch");
    walk.rule(version, last.attempt == record.attempt, "the last event is of the record's attempt");
    walk.rule(
        version,
        last.at == record.updated_at || first_is_import(history),
        "the last event has the record's time",
    );
    let holder = record.lease.as_ref().map(|lease| &lease.worker);
    walk.rule(version, walk.holder.as_ref() == holder || first_is_import(history), "who claimed last has the lease");
    walk.rule(version, state::check(record).is_ok(), "the record keeps its invariants");
    walk.found
}

fn first_is_import(history: &[AuditEvent]) -> bool {
    history.first().is_some_and(|event| event.kind == AuditKind::Migrated)
}

struct Walk<'a> {
    job: JobId,
    last: Option<&'a AuditEvent>,
    holder: Option<WorkerId>,
    /// The last epoch that has its outcome.
    outcome: Option<u64>,
    found: Vec<Breach>,
}

impl<'a> Walk<'a> {
    fn rule(&mut self, version: u64, holds: bool, rule: &'static str) {
        if !holds {
            self.found.push(Breach { job: self.job, version, rule });
        }
    }

    fn step(&mut self, event: &'a AuditEvent) {
        let version = event.version;
        self.rule(version, event.job == self.job, "an event is of its own job");
        let birth = matches!(event.kind, AuditKind::Enqueued | AuditKind::Migrated);
        let Some(last) = self.last.replace(event) else {
            self.rule(version, birth && event.from.is_none() && version == 1, "a trail begins with the job's birth");
            return;
        };
        self.rule(version, !birth, "a job is born once");
        self.rule(version, version == last.version + 1, "versions rise by one");
        self.rule(version, event.from == Some(last.to), "an event begins where the last one ended");
        self.rule(version, event.at >= last.at, "times do not fall");
        let claimed = event.kind == AuditKind::Claimed;
        self.rule(version, event.epoch == last.epoch + u64::from(claimed), "an epoch is one claim");
        self.rule(version, !last.to.is_terminal() || event.kind == AuditKind::Redriven, "terminal is terminal");
        self.rule(version, last.to != JobStatus::Completed, "a completed job stays so");
        if claimed {
            self.claim(event, last);
        } else {
            self.word(event, last);
        }
    }

    fn claim(&mut self, event: &AuditEvent, last: &AuditEvent) {
        let version = event.version;
        self.rule(version, last.to == JobStatus::Pending, "a claim takes a pending job");
        match &event.actor {
            Actor::Worker { id } => self.holder = Some(id.clone()),
            _ => self.rule(version, false, "a worker claims"),
        }
    }

    /// Whatever is no claim: if a worker says it, that worker holds the epoch, and an epoch ends once.
    fn word(&mut self, event: &AuditEvent, last: &AuditEvent) {
        let version = event.version;
        if let Actor::Worker { id } = &event.actor {
            let holds = last.to == JobStatus::Processing && self.holder.as_ref().is_none_or(|holder| holder == id);
            self.rule(version, holds, "a worker's word counts in the epoch it holds");
        }
        if last.to == JobStatus::Processing && event.to != JobStatus::Processing {
            self.rule(version, self.outcome.is_none_or(|epoch| epoch < event.epoch), "an epoch has one outcome");
            self.outcome = Some(event.epoch);
            self.holder = None;
        }
        let by_worker = matches!(event.actor, Actor::Worker { .. });
        let own = match event.kind {
            AuditKind::Released | AuditKind::Retried => by_worker,
            AuditKind::LeaseExpired | AuditKind::TimedOut => matches!(event.actor, Actor::Sweeper {}),
            AuditKind::Completed | AuditKind::Failed if last.to == JobStatus::Processing => by_worker,
            AuditKind::CancelRequested | AuditKind::Redriven => !by_worker,
            _ => true,
        };
        self.rule(version, own, "who ends a job is who may");
    }
}
