//! The rows of the memory store, and the indexes over them.

use super::BACKEND;
use crate::error::{Kind, StoreError};
use crate::kernel::{Beat, Due, Place, Rows};
use crate::state::{Applied, OutboxEntry};
use crate::store::{Capabilities, Count, JobRef, Pace, QueueState, Scope};
use atlas_schema::{
    AuditEvent, ExternalId, IdempotencyKey, JobId, JobKind, JobRecord, JobStatus, Progress, QueueName, Stage, TenantId,
    Timestamp, WorkerId,
};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Duration;

struct Row {
    record: JobRecord<()>,
    payload: Value,
    result: Option<Value>,
    events: Vec<AuditEvent>,
}

struct Waiting {
    entry: OutboxEntry,
    tries: u32,
    visible_at: Timestamp,
    number: u64,
}

type Group = (TenantId, QueueName, JobKind, JobStatus);

pub(super) struct MemoryRows {
    stage: Stage,
    jobs: HashMap<JobId, Row>,
    by_time: BTreeSet<(Timestamp, JobId)>,
    by_external: HashMap<(TenantId, ExternalId), JobId>,
    by_key: HashMap<(TenantId, IdempotencyKey), JobId>,
    by_parent: BTreeSet<(JobId, JobId)>,
    ready: BTreeMap<(QueueName, JobKind), BTreeSet<Place>>,
    leases: BTreeSet<(WorkerId, JobId)>,
    deadlines: BTreeSet<(Timestamp, JobId)>,
    cancels: BTreeSet<(Timestamp, JobId)>,
    ended: BTreeSet<(JobStatus, Timestamp, JobId)>,
    counts: BTreeMap<Group, (u64, Duration)>,
    workers: BTreeMap<WorkerId, Beat>,
    queues: BTreeMap<QueueName, QueueState>,
    paces: BTreeMap<QueueName, Pace>,
    outbox: BTreeMap<String, Waiting>,
    /// The keys of each topic, by the time and the order in which they are to be handed out.
    outbox_due: BTreeMap<&'static str, BTreeMap<(Timestamp, u64), String>>,
    outbox_next: u64,
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

    fn missing() -> StoreError {
        StoreError::new(Kind::Internal, BACKEND, "update")
    }

    /// Enters a record into every index that its state belongs in, or takes it out.
    fn index(&mut self, record: &JobRecord<()>, enter: bool) {
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

    fn post(&mut self, entries: Vec<OutboxEntry>) {
        for entry in entries {
            let key = entry.key();
            let visible_at = entry.event.at;
            // An entry of the same key can only be that of a purged job whose id was used again.
            self.forget(&key);
            self.outbox_next += 1;
            self.wait(key, Waiting { entry, tries: 0, visible_at, number: self.outbox_next });
        }
    }

    fn wait(&mut self, key: String, waiting: Waiting) {
        let due = self.outbox_due.entry(waiting.entry.topic.as_str()).or_default();
        due.insert((waiting.visible_at, waiting.number), key.clone());
        self.outbox.insert(key, waiting);
    }

    fn forget(&mut self, key: &str) -> Option<Waiting> {
        let waiting = self.outbox.remove(key)?;
        if let Some(due) = self.outbox_due.get_mut(waiting.entry.topic.as_str()) {
            due.remove(&(waiting.visible_at, waiting.number));
        }
        Some(waiting)
    }
}

/// The first place of each priority.
fn heads(places: &BTreeSet<Place>) -> impl Iterator<Item = Place> {
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

impl Rows for MemoryRows {
    fn backend(&self) -> &'static str {
        BACKEND
    }

    fn stage(&self) -> Stage {
        self.stage
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::minimal();
        can.atomic_items = usize::MAX;
        can.max_payload_bytes = 1024 * 1024;
        can.max_result_bytes = 64 * 1024 * 1024;
        can.queue_pause = true;
        can.queue_concurrency = true;
        can.queue_rate = true;
        can.strict_order = true;
        can
    }

    fn find(&mut self, reference: &JobRef) -> Result<Option<JobId>, StoreError> {
        Ok(match reference {
            JobRef::Id(id) => self.jobs.contains_key(id).then_some(*id),
            JobRef::External(tenant, id) => self.by_external.get(&(tenant.clone(), id.clone())).copied(),
            JobRef::Idempotency(tenant, key) => self.by_key.get(&(tenant.clone(), key.clone())).copied(),
        })
    }

    fn load(&mut self, id: JobId) -> Result<Option<JobRecord<()>>, StoreError> {
        Ok(self.jobs.get(&id).map(|row| row.record.clone()))
    }

    fn payload(&mut self, id: JobId) -> Result<Value, StoreError> {
        self.jobs.get(&id).map(|row| row.payload.clone()).ok_or_else(Self::missing)
    }

    fn insert(&mut self, applied: Applied) -> Result<(), StoreError> {
        let Applied { mut record, event, outbox } = applied;
        let payload = record.payload.take();
        let result = record.result.take();
        let record = record.map_payload(|_| ());
        let id = record.id;
        self.by_time.insert((record.created_at, id));
        if let Some(external) = &record.external_id {
            self.by_external.insert((record.tenant.clone(), external.clone()), id);
        }
        if let Some(key) = &record.idempotency_key {
            self.by_key.insert((record.tenant.clone(), key.clone()), id);
        }
        if let Some(parent) = record.parent {
            self.by_parent.insert((parent, id));
        }
        self.index(&record, true);
        self.jobs.insert(id, Row { record, payload, result, events: vec![event] });
        self.post(outbox);
        Ok(())
    }

    fn update(&mut self, before: &JobRecord<()>, applied: Applied<()>) -> Result<(), StoreError> {
        let Applied { mut record, event, outbox } = applied;
        let result = record.result.take();
        self.index(before, false);
        self.index(&record, true);
        let row = self.jobs.get_mut(&record.id).ok_or_else(Self::missing)?;
        row.record = record;
        row.result = result;
        row.events.push(event);
        self.post(outbox);
        Ok(())
    }

    fn set_progress(&mut self, id: JobId, progress: &Progress) -> Result<(), StoreError> {
        let row = self.jobs.get_mut(&id).ok_or_else(Self::missing)?;
        row.record.progress = Some(progress.clone());
        Ok(())
    }

    fn delete(&mut self, record: &JobRecord<()>) -> Result<(), StoreError> {
        let id = record.id;
        self.index(record, false);
        self.by_time.remove(&(record.created_at, id));
        if let Some(external) = &record.external_id {
            self.by_external.remove(&(record.tenant.clone(), external.clone()));
        }
        if let Some(key) = &record.idempotency_key {
            self.by_key.remove(&(record.tenant.clone(), key.clone()));
        }
        if let Some(parent) = record.parent {
            self.by_parent.remove(&(parent, id));
        }
        self.jobs.remove(&id);
        Ok(())
    }

    fn beat(&mut self, worker: &WorkerId) -> Result<Option<Beat>, StoreError> {
        Ok(self.workers.get(worker).copied())
    }

    fn set_beat(&mut self, worker: &WorkerId, beat: Beat) -> Result<(), StoreError> {
        self.workers.insert(worker.clone(), beat);
        Ok(())
    }

    fn forget_workers(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let leases = &self.leases;
        let holds =
            |worker: &WorkerId| leases.range((worker.clone(), JobId::MIN)..).next().is_some_and(|(w, _)| w == worker);
        self.workers.retain(|worker, beat| beat.seen_at >= before || holds(worker));
        Ok(())
    }

    fn leaseholders(&mut self) -> Result<Vec<(WorkerId, Option<Beat>)>, StoreError> {
        let mut workers: Vec<WorkerId> = self.leases.iter().map(|(worker, _)| worker.clone()).collect();
        workers.dedup();
        Ok(workers.into_iter().map(|worker| (worker.clone(), self.workers.get(&worker).copied())).collect())
    }

    fn leases_of(&mut self, worker: &WorkerId, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let range = (worker.clone(), JobId::MIN)..=(worker.clone(), JobId::MAX);
        Ok(self.leases.range(range).map(|(_, id)| *id).take(limit).collect())
    }

    fn ready(
        &mut self,
        queue: &QueueName,
        kind: &JobKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Place>, StoreError> {
        let Some(places) = self.ready.get(&(queue.clone(), kind.clone())) else { return Ok(Vec::new()) };
        let due = heads(places).flat_map(|head| places.range(head..=(head.0, now, JobId::MAX).max(head)));
        Ok(due.filter(|(_, run_at, _)| *run_at <= now).take(limit).copied().collect())
    }

    fn put_off(&mut self, _: &QueueName, _: &JobKind, _: Place, _: Timestamp) -> Result<(), StoreError> {
        // What is in memory can be read.
        Ok(())
    }

    fn running(&mut self, queue: &QueueName) -> Result<u64, StoreError> {
        let of_queue = self.counts.iter().filter(|((_, q, _, s), _)| q == queue && *s == JobStatus::Processing);
        Ok(of_queue.map(|(_, (jobs, _))| jobs).sum())
    }

    fn queue(&mut self, queue: &QueueName) -> Result<Option<QueueState>, StoreError> {
        Ok(self.queues.get(queue).cloned())
    }

    fn set_queue(&mut self, state: &QueueState) -> Result<(), StoreError> {
        self.queues.insert(state.queue.clone(), state.clone());
        Ok(())
    }

    fn pace(&mut self, queue: &QueueName) -> Result<Option<Pace>, StoreError> {
        Ok(self.paces.get(queue).copied())
    }

    fn set_pace(&mut self, queue: &QueueName, pace: Pace) -> Result<(), StoreError> {
        self.paces.insert(queue.clone(), pace);
        Ok(())
    }

    fn queues(&mut self) -> Result<Vec<QueueState>, StoreError> {
        Ok(self.queues.values().cloned().collect())
    }

    fn overdue(&mut self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        Ok(self.deadlines.range(..=(now, JobId::MAX)).map(|(_, id)| *id).take(limit).collect())
    }

    fn unanswered(&mut self, now: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        Ok(self.cancels.range(..=(now, JobId::MAX)).map(|(_, id)| *id).take(limit).collect())
    }

    fn ended(&mut self, status: JobStatus, before: Timestamp, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let range = (status, Timestamp::MIN, JobId::MIN)..(status, before, JobId::MIN);
        Ok(self.ended.range(range).map(|(_, _, id)| *id).take(limit).collect())
    }

    fn outbox_due(&mut self, topic: &str, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        let due = self.outbox_due.get(topic).into_iter().flat_map(|due| due.range(..=(now, u64::MAX)));
        let waiting = due.filter_map(|(_, key)| Some((key, self.outbox.get(key)?)));
        let due = waiting.map(|(key, waiting)| (key.clone(), Some(waiting.entry.clone()), waiting.tries));
        Ok(due.take(limit).collect())
    }

    fn outbox_tries(&mut self, key: &str) -> Result<Option<u32>, StoreError> {
        Ok(self.outbox.get(key).map(|waiting| waiting.tries))
    }

    fn outbox_hide(&mut self, key: &str, tries: u32, until: Timestamp) -> Result<(), StoreError> {
        if let Some(waiting) = self.forget(key) {
            self.wait(key.into(), Waiting { tries, visible_at: until, ..waiting });
        }
        Ok(())
    }

    fn outbox_delete(&mut self, key: &str) -> Result<(), StoreError> {
        self.forget(key);
        Ok(())
    }
}
