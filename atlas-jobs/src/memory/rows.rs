//! Single rows in memory.

use super::BACKEND;
use super::kept::{MemoryRows, Row, Waiting, heads};
use crate::error::StoreError;
use crate::kernel::{At, Beat, Due, Place, Rows};
use crate::state::Applied;
use crate::store::{Capabilities, JobRef, Pace, QueueState};
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, Progress, QueueName, Stage, Timestamp, WorkerId};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Bound;

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

    fn may_hold(&mut self, _: JobId, _: u64) -> Result<bool, StoreError> {
        // What is in memory can be read.
        Ok(true)
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

    fn discard(&mut self, _: JobId) -> Result<(), StoreError> {
        // What is in memory can be read.
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

    fn leases_of(&mut self, worker: &WorkerId, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError> {
        let from = after.map_or(Bound::Included(JobId::MIN), Bound::Excluded).map(|id| (worker.clone(), id));
        let range = (from, Bound::Included((worker.clone(), JobId::MAX)));
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

    fn correct(&mut self, _: &QueueName, _: &JobKind, _: Place, _: Option<&JobRecord<()>>) -> Result<(), StoreError> {
        // Jobs and their places change together.
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

    fn overdue(&mut self, now: Timestamp, after: Option<At>, limit: usize) -> Result<Vec<At>, StoreError> {
        Ok(timed(&self.deadlines, now, after, limit))
    }

    fn unanswered(&mut self, now: Timestamp, after: Option<At>, limit: usize) -> Result<Vec<At>, StoreError> {
        Ok(timed(&self.cancels, now, after, limit))
    }

    fn ended(
        &mut self,
        status: JobStatus,
        before: Timestamp,
        after: Option<At>,
        limit: usize,
    ) -> Result<Vec<At>, StoreError> {
        let range = (status, Timestamp::MIN, JobId::MIN)..(status, before, JobId::MIN);
        let behind = self.ended.range(range).map(|(_, at, id)| (at.as_millis(), *id));
        Ok(behind.filter(|at| after.is_none_or(|after| *at > after)).take(limit).collect())
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

/// What is due by `now` behind `after`.
fn timed(times: &BTreeSet<(Timestamp, JobId)>, now: Timestamp, after: Option<At>, limit: usize) -> Vec<At> {
    let due = times.range(..=(now, JobId::MAX)).map(|(at, id)| (at.as_millis(), *id));
    due.filter(|at| after.is_none_or(|after| *at > after)).take(limit).collect()
}
