//! What the memory store keeps: rows, and the indexes over them.

use super::BACKEND;
use crate::error::{Kind, StoreError};
use crate::kernel::{Beat, Place};
use crate::state::OutboxEntry;
use crate::store::{Count, Pace, QueueState, Scope};
use atlas_schema::{
    AuditEvent, ExternalId, IdempotencyKey, JobId, JobKind, JobRecord, JobStatus, QueueName, Stage, TenantId,
    Timestamp, WorkerId,
};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

pub(super) struct Row {
    pub(super) record: JobRecord<()>,
    pub(super) payload: Value,
    pub(super) result: Option<Value>,
    pub(super) events: Vec<AuditEvent>,
}

pub(super) struct Waiting {
    pub(super) entry: OutboxEntry,
    pub(super) tries: u32,
    pub(super) visible_at: Timestamp,
    pub(super) number: u64,
}

type Group = (TenantId, QueueName, JobKind, JobStatus);

pub(super) struct MemoryRows {
    pub(super) stage: Stage,
    pub(super) jobs: HashMap<JobId, Row>,
    pub(super) by_time: BTreeSet<(Timestamp, JobId)>,
    pub(super) by_external: HashMap<(TenantId, ExternalId), JobId>,
    pub(super) by_key: HashMap<(TenantId, IdempotencyKey), JobId>,
    pub(super) by_parent: BTreeSet<(JobId, JobId)>,
    pub(super) ready: BTreeMap<(QueueName, JobKind), BTreeSet<Place>>,
    pub(super) leases: BTreeSet<(WorkerId, JobId)>,
    pub(super) deadlines: BTreeSet<(Timestamp, JobId)>,
    pub(super) cancels: BTreeSet<(Timestamp, JobId)>,
    pub(super) ended: BTreeSet<(JobStatus, Timestamp, JobId)>,
    pub(super) counts: BTreeMap<Group, (u64, Duration)>,
    pub(super) workers: BTreeMap<WorkerId, Beat>,
    pub(super) queues: BTreeMap<QueueName, QueueState>,
    pub(super) paces: BTreeMap<QueueName, Pace>,
    pub(super) outbox: BTreeMap<String, Waiting>,
    /// The keys of each topic, by the time and the order in which they are to be handed out.
    pub(super) outbox_due: BTreeMap<&'static str, BTreeMap<(Timestamp, u64), String>>,
    pub(super) outbox_next: u64,
}

impl MemoryRows {
    pub(super) fn new(stage: Stage) -> Self {
        Self {
            stage,
            jobs: HashMap::new(),
            by_time: BTreeSet::new(),
            by_external: HashMap::new(),
            by_key: HashMap::new(),
            by_parent: BTreeSet::new(),
            ready: BTreeMap::new(),
            leases: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            cancels: BTreeSet::new(),
            ended: BTreeSet::new(),
            counts: BTreeMap::new(),
            workers: BTreeMap::new(),
            queues: BTreeMap::new(),
            paces: BTreeMap::new(),
            outbox: BTreeMap::new(),
            outbox_due: BTreeMap::new(),
            outbox_next: 0,
        }
    }

    pub(super) const fn by_time(&self) -> &BTreeSet<(Timestamp, JobId)> {
        &self.by_time
    }

    pub(super) fn bare(&self, id: JobId) -> Option<&JobRecord<()>> {
        self.jobs.get(&id).map(|row| &row.record)
    }

    /// The whole record, with the end of its lease as its worker's last beat has it.
    pub(super) fn full(&self, id: JobId) -> Option<JobRecord> {
        let row = self.jobs.get(&id)?;
        let mut record = row.record.clone().map_payload(|()| row.payload.clone());
        record.result.clone_from(&row.result);
        self.renew(&mut record);
        Some(record)
    }

    fn renew<P>(&self, record: &mut JobRecord<P>) {
        if let Some(lease) = &mut record.lease
            && let Some(beat) = self.workers.get(&lease.worker)
        {
            lease.expires_at = beat.seen_at.saturating_add(beat.lease);
        }
    }

    pub(super) fn events(&self, id: JobId) -> &[AuditEvent] {
        self.jobs.get(&id).map_or(&[], |row| &row.events)
    }

    pub(super) fn children<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a JobRecord<()>> {
        let of_parent = move |parent| self.by_parent.range((parent, JobId::MIN)..=(parent, JobId::MAX));
        scope
            .parent
            .into_iter()
            .flat_map(of_parent)
            .filter_map(|(_, id)| self.bare(*id))
            .filter(|record| scope.covers(&record.tenant, &record.queue, &record.kind))
    }

    pub(super) fn counts(&self, scope: &Scope) -> Vec<Count> {
        let covered = self.counts.iter().filter(|((tenant, queue, kind, _), _)| scope.covers(tenant, queue, kind));
        let count = |((_, queue, kind, status), (jobs, processing)): (&Group, &(u64, Duration))| Count {
            queue: queue.clone(),
            kind: kind.clone(),
            status: *status,
            jobs: *jobs,
            processing: *processing,
        };
        covered.map(count).collect()
    }

    /// Jumps from priority to priority: the cost does not grow with the number of jobs.
    pub(super) fn oldest_pending(&self, scope: &Scope) -> Option<Timestamp> {
        let wanted = |queue: &QueueName, kind: &JobKind| {
            scope.queue.as_ref().is_none_or(|q| q == queue) && scope.kind.as_ref().is_none_or(|k| k == kind)
        };
        let queues = self.ready.iter().filter(|((queue, kind), _)| wanted(queue, kind));
        queues.flat_map(|(_, places)| heads(places)).map(|(_, run_at, _)| run_at).min()
    }

    pub(super) fn missing() -> StoreError {
        StoreError::new(Kind::Internal, BACKEND, "update")
    }

    /// Enters a record into every index that its state belongs in, or takes it out.
    pub(super) fn index(&mut self, record: &JobRecord<()>, enter: bool) {
        let id = record.id;
        let unfinished = !record.status.is_terminal();
        let place: Place = (Reverse(record.priority), record.run_at, id);
        let group = (record.tenant.clone(), record.queue.clone(), record.kind.clone(), record.status);
        let count = self.counts.entry(group).or_default();
        if enter {
            count.0 += 1;
            count.1 += Count::processing_of(record);
        } else {
            count.0 = count.0.saturating_sub(1);
            count.1 = count.1.saturating_sub(Count::processing_of(record));
        }
        if record.status == JobStatus::Pending {
            let queue = self.ready.entry((record.queue.clone(), record.kind.clone())).or_default();
            put(queue, place, enter);
        }
        if let Some(lease) = &record.lease {
            put(&mut self.leases, (lease.worker.clone(), id), enter);
        }
        if let Some(deadline) = record.deadline.filter(|_| unfinished) {
            put(&mut self.deadlines, (deadline, id), enter);
        }
        if let Some(cancel) = record.cancel_requested.as_ref().filter(|_| unfinished) {
            put(&mut self.cancels, (cancel.acknowledge_by, id), enter);
        }
        if let Some(finished) = record.finished_at {
            put(&mut self.ended, (record.status, finished, id), enter);
        }
    }

    pub(super) fn post(&mut self, entries: Vec<OutboxEntry>) {
        for entry in entries {
            let key = entry.key();
            let visible_at = entry.event.at;
            // An entry of the same key can only be that of a purged job whose id was used again.
            self.forget(&key);
            self.outbox_next += 1;
            self.wait(key, Waiting { entry, tries: 0, visible_at, number: self.outbox_next });
        }
    }

    pub(super) fn wait(&mut self, key: String, waiting: Waiting) {
        let due = self.outbox_due.entry(waiting.entry.topic.as_str()).or_default();
        due.insert((waiting.visible_at, waiting.number), key.clone());
        self.outbox.insert(key, waiting);
    }

    pub(super) fn forget(&mut self, key: &str) -> Option<Waiting> {
        let waiting = self.outbox.remove(key)?;
        if let Some(due) = self.outbox_due.get_mut(waiting.entry.topic.as_str()) {
            due.remove(&(waiting.visible_at, waiting.number));
        }
        Some(waiting)
    }
}

/// The first place of each priority.
pub(super) fn heads(places: &BTreeSet<Place>) -> impl Iterator<Item = Place> {
    std::iter::successors(places.first().copied(), |(priority, _, _)| {
        let last = (*priority, Timestamp::MAX, JobId::MAX);
        places.range((Bound::Excluded(last), Bound::Unbounded)).next().copied()
    })
}

fn put<T: Ord>(set: &mut BTreeSet<T>, item: T, enter: bool) {
    if enter {
        set.insert(item);
    } else {
        set.remove(&item);
    }
}
