//! What one call does to single rows, under the lock.

use super::{Answer, error};
use atlas_jobs::state::{self, Applied, Command, OutboxEntry, Reject};
use atlas_jobs::store::{
    Ack, AckAction, AckOutcome, Claim, Enqueued, Held, HeldOutcome, JobRef, MAX_NESTING, MAX_PAGE, SweepOptions, Swept,
};
use atlas_jobs::{Capabilities, Kind, NewJob, SilenceWatch};
use atlas_schema::{Actor, AuditEvent, JobId, JobRecord, JobStatus, Timestamp, WorkerId};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Inner {
    pub(super) jobs: HashMap<JobId, Row>,
    pub(super) outbox: BTreeMap<String, Waiting>,
    pub(super) beats: HashMap<WorkerId, (u64, Duration)>,
    watch: SilenceWatch,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: JobRecord,
    pub(super) events: Vec<AuditEvent>,
}

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: OutboxEntry,
    pub(super) tries: u32,
    pub(super) visible_at: Timestamp,
}

/// No call does unbounded work.
pub(super) fn bounded(limit: usize, least: usize, operation: &'static str) -> Answer<usize> {
    if (least..=MAX_PAGE).contains(&limit) { Ok(limit) } else { Err(error(Kind::InvalidInput, operation)) }
}

fn nests_at_most(value: &Value, levels: usize) -> bool {
    let inner = |value: &Value| levels > 0 && nests_at_most(value, levels - 1);
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(inner),
        Value::Object(fields) => levels > 0 && fields.values().all(inner),
        _ => true,
    }
}

/// Why a value can't be kept: what is accepted must be readable again.
pub(super) fn unfit(value: &Value, what: &'static str, most: usize) -> Option<Reject> {
    let over = |most: usize, unit| Some(Reject::OutOfRange { what, min: 0, max: most as u64, unit });
    if !nests_at_most(value, MAX_NESTING) {
        return over(MAX_NESTING, "levels of arrays and objects");
    }
    let bytes = serde_json::to_vec(value).map_or(usize::MAX, |text| text.len());
    if bytes > most { over(most, "bytes of JSON") } else { None }
}

impl Inner {
    /// The one write: record, event and outbox together.
    fn put(&mut self, applied: Applied) -> (JobStatus, u64) {
        let Applied { record, event, outbox } = applied;
        let after = (record.status, record.version);
        for entry in outbox {
            self.outbox.insert(entry.key(), Waiting { entry, tries: 0, visible_at: event.at });
        }
        match self.jobs.get_mut(&record.id) {
            Some(row) => {
                row.record = record;
                row.events.push(event);
            }
            None => {
                self.jobs.insert(record.id, Row { record, events: vec![event] });
            }
        }
        after
    }

    pub(super) fn find(&self, reference: &JobRef) -> Option<&JobRecord> {
        let mut records = self.jobs.values().map(|row| &row.record);
        match reference {
            JobRef::Id(id) => self.jobs.get(id).map(|row| &row.record),
            JobRef::External(tenant, id) => {
                records.find(|job| job.tenant == *tenant && job.external_id.as_ref() == Some(id))
            }
            JobRef::Idempotency(tenant, key) => {
                records.find(|job| job.tenant == *tenant && job.idempotency_key.as_ref() == Some(key))
            }
            _ => None,
        }
    }

    pub(super) fn enqueue(&mut self, job: NewJob, can: Capabilities, now: Timestamp) -> Enqueued {
        let new = job.record();
        let payload = unfit(&new.payload, "the payload", can.max_payload_bytes);
        let result = new.result.as_ref().and_then(|result| unfit(result, "the result", can.max_result_bytes));
        if let Some(reject) = payload.or(result) {
            return Enqueued::Refused(reject);
        }
        let key = new.idempotency_key.clone().map(|key| JobRef::Idempotency(new.tenant.clone(), key));
        let external = new.external_id.clone().map(|id| JobRef::External(new.tenant.clone(), id));
        let mut names = [key, Some(JobRef::Id(new.id)), external].into_iter().flatten();
        if let Some(old) = names.find_map(|name| self.find(&name)) {
            let fields = [
                (old.tenant != new.tenant, "tenant"),
                (old.kind != new.kind, "kind"),
                (old.queue != new.queue, "queue"),
                (old.payload != new.payload, "payload"),
            ];
            return match fields.into_iter().find(|(differs, _)| *differs) {
                None => Enqueued::Existing { id: old.id },
                Some((_, differs)) => Enqueued::Conflict { id: old.id, differs },
            };
        }
        let id = new.id;
        match job.apply(now) {
            Ok(applied) => {
                self.put(applied);
                Enqueued::Created { id }
            }
            Err(reject) => Enqueued::Refused(reject),
        }
    }

    /// Applies a command to a job that is there.
    pub(super) fn apply(
        &mut self,
        id: JobId,
        command: Command,
        now: Timestamp,
        actor: Actor,
    ) -> Option<Result<(JobStatus, u64), Reject>> {
        let applied = state::apply(&self.jobs.get(&id)?.record, command, now, actor);
        Some(applied.map(|applied| self.put(applied)))
    }

    pub(super) fn acknowledge(&mut self, ack: Ack, most: usize, now: Timestamp, actor: Actor) -> AckOutcome {
        let Some(row) = self.jobs.get(&ack.job) else { return AckOutcome::NotFound };
        let epoch = ack.epoch;
        let command = match ack.action {
            AckAction::Complete { result } => {
                // A result that comes too late is lost, whatever its size.
                let holds = row.record.status == JobStatus::Processing && row.record.epoch == epoch;
                if let Some(reject) = unfit(&result, "the result", most).filter(|_| holds) {
                    return AckOutcome::Refused(reject);
                }
                Command::Complete { epoch, result }
            }
            AckAction::Fail { error, retry } => Command::Fail { epoch, error, retry },
            AckAction::Release { delay } => Command::Release { epoch, delay },
            _ => Command::AcknowledgeCancel { epoch },
        };
        match self.apply(ack.job, command, now, actor) {
            Some(Ok((status, version))) => AckOutcome::Applied { status, version },
            Some(Err(Reject::Lost { epoch, status })) => AckOutcome::Lost { epoch, status },
            Some(Err(Reject::Repeated)) => AckOutcome::Repeated,
            Some(Err(reject)) => AckOutcome::Refused(reject),
            None => AckOutcome::NotFound,
        }
    }

    pub(super) fn hold(&mut self, held: Held) -> HeldOutcome {
        let Some(row) = self.jobs.get_mut(&held.job) else {
            return HeldOutcome::Lost { epoch: held.epoch, status: None };
        };
        let (epoch, status) = (row.record.epoch, row.record.status);
        if status != JobStatus::Processing || epoch != held.epoch {
            return HeldOutcome::Lost { epoch, status: Some(status) };
        }
        if let Some(Ok(after)) = held.progress.map(|progress| state::progress(&row.record, epoch, progress)) {
            row.record = after;
        }
        row.record.cancel_requested.clone().map_or(HeldOutcome::Continue, HeldOutcome::CancelRequested)
    }

    /// The ids of jobs that match, in an order of the caller's.
    pub(super) fn ids<K: Ord>(
        &self,
        matches: impl Fn(&JobRecord) -> bool,
        place: impl Fn(&JobRecord) -> K,
    ) -> Vec<JobId> {
        let mut found: Vec<&JobRecord> = self.jobs.values().map(|row| &row.record).filter(|job| matches(job)).collect();
        found.sort_by_key(|job| place(job));
        found.into_iter().map(|job| job.id).collect()
    }

    pub(super) fn claim(
        &mut self,
        wanted: &Claim,
        worker: &WorkerId,
        lease: Duration,
        now: Timestamp,
    ) -> Vec<JobRecord> {
        let ready = |job: &JobRecord| {
            job.status == JobStatus::Pending
                && job.run_at <= now
                && wanted.queues.contains(&job.queue)
                && wanted.kinds.contains(&job.kind)
        };
        let place = |job: &JobRecord| (std::cmp::Reverse(job.priority), job.run_at, job.id);
        let mut claimed = Vec::new();
        for id in self.ids(ready, place) {
            if claimed.len() == wanted.limit {
                break;
            }
            let command = Command::Claim { worker: worker.clone(), lease };
            // A job past its deadline can't be claimed; the sweep ends it.
            if let Some(Ok(_)) = self.apply(id, command, now, Actor::Worker { id: worker.clone() }) {
                claimed.extend(self.jobs.get(&id).map(|row| row.record.clone()));
            }
        }
        claimed
    }

    pub(super) fn sweep(&mut self, options: &SweepOptions) -> Swept {
        let now = options.now.wall;
        let mut swept = Swept::default();
        let holder = |job: &JobRecord| job.lease.as_ref().map(|lease| lease.worker.clone());
        let holders: HashSet<WorkerId> = self.jobs.values().filter_map(|row| holder(&row.record)).collect();
        // Silence is watched on the steady clock: no wall clock decides who owns a job.
        let silent: HashSet<&WorkerId> = holders
            .iter()
            .filter(|worker| {
                options.dead.contains(worker)
                    || self
                        .beats
                        .get(worker)
                        .is_none_or(|(beat, lease)| self.watch.is_silent(worker, *beat, *lease, options.now.steady))
            })
            .collect();
        self.watch.retain(|worker| holders.contains(worker));
        let mut left = options.limit;
        for id in self.ids(|job| !job.status.is_terminal(), |job| job.id) {
            let Some(row) = self.jobs.get(&id) else { continue };
            let (epoch, lost) = (row.record.epoch, holder(&row.record).is_some_and(|worker| silent.contains(&worker)));
            let commands = [
                (true, Command::TimeOut, &mut swept.timed_out),
                (true, Command::EndCancel, &mut swept.cancelled),
                (lost, Command::ExpireLease { epoch }, &mut swept.expired),
            ];
            for (tried, command, count) in commands {
                if tried && left > 0 && matches!(self.apply(id, command, now, Actor::Sweeper {}), Some(Ok(_))) {
                    *count += 1;
                    left -= 1;
                    break;
                }
            }
        }
        swept.more = left == 0;
        swept
    }
}
