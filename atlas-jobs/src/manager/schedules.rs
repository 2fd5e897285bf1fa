//! Schedules, as callers and operators see them.

use super::{Accepted, JobManager, ManagerError, reserved};
use crate::schedule::{
    Schedule, ScheduleError, ScheduleSpec, Scheduled, Stored, ensure_tick, is_tick_of, key, tick_key,
};
use crate::spec::JobSpec;
use crate::store::{Filter, JobCommand, JobRef, ListOptions, MAX_PAGE, Order, Purge, PurgeOptions};
use atlas_schema::{JobKind, JobRecord, JobStatus, QueueName, TenantId};
use serde_json::Value;
use std::time::Duration;

/// A name that is freed may be taken by another process at once. So often is tried again.
const TRIES: usize = 3;

impl JobManager {
    /// Makes a schedule, or finds the same one there. Call it at each start of the host: it also mends a schedule whose
    /// next tick went missing.
    ///
    /// # Errors
    /// [`ScheduleError::Over`] if it has no time to come; the schedule of the name that is there ends then, if it is over too
    /// and no tick of it is left. [`ScheduleError::Differs`] if another schedule has the name: change that with [`reschedule`](Self::reschedule).
    /// [`ScheduleError::Job`] for a job that no tick could enqueue.
    pub async fn schedule(&self, spec: ScheduleSpec) -> Result<Scheduled, ScheduleError> {
        self.put_schedule(spec, false).await
    }

    /// Makes a schedule, in place of another one of the same name if there is one. Times that were run are not run again.
    ///
    /// # Errors
    /// As [`schedule`](Self::schedule). After a failure in the middle there may be no schedule of the name: repeat it.
    pub async fn reschedule(&self, spec: ScheduleSpec) -> Result<Scheduled, ScheduleError> {
        self.put_schedule(spec, true).await
    }

    /// Ends a schedule. False if there is none of this name. A tick that is being run may still enqueue its job.
    ///
    /// # Errors
    /// The store's.
    pub async fn unschedule(
        &self,
        tenant: TenantId,
        name: &str,
        reason: impl Into<String>,
    ) -> Result<bool, ScheduleError> {
        let Some(record) = self.find_schedule(tenant, name).await? else { return Ok(false) };
        if record.status.is_terminal() {
            return Ok(false);
        }
        let reason = reason.into();
        match self.cancel(record.id, reason.clone(), Duration::ZERO).await {
            Ok(_) | Err(ManagerError::NotFound | ManagerError::Rejected(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // The next tick would find its schedule gone and end. There is no need to wait for that.
        let next = Stored::read(&record).ok().and_then(|stored| stored.cron().ok()?.next(self.now().wall));
        if let Some(next) = next {
            let reference = JobRef::Idempotency(record.tenant.clone(), tick_key(record.id, next)?);
            if let Some(tick) = self.get(reference).await?.filter(|tick| tick.status == JobStatus::Pending) {
                match self.cancel(tick.id, reason, Duration::ZERO).await {
                    Ok(_) | Err(ManagerError::NotFound | ManagerError::Rejected(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(true)
    }

    /// All schedules that have not ended, of one tenant or all. Walks the list of jobs: for tools, not for each request.
    ///
    /// # Errors
    /// [`ScheduleError::Unreadable`] for one that a newer release made; the store's.
    pub async fn schedules(&self, tenant: Option<TenantId>) -> Result<Vec<Schedule>, ScheduleError> {
        let mut filter = Filter::default().with_kind(JobKind::schedule()).with_statuses([JobStatus::Pending]);
        filter.tenant = tenant;
        let mut options = ListOptions::new(filter).with_limit(MAX_PAGE);
        let mut schedules = Vec::new();
        loop {
            let page = self.store.list(options.clone()).await?;
            for record in page.items {
                schedules.push(Stored::read(&record)?.view(&record, self.now().wall)?);
            }
            if page.next.is_none() {
                return Ok(schedules);
            }
            options.cursor = page.next;
        }
    }

    async fn find_schedule(&self, tenant: TenantId, name: &str) -> Result<Option<JobRecord>, ScheduleError> {
        let found = self.get(JobRef::Idempotency(tenant, key(name)?)).await?;
        Ok(found.filter(|record| record.kind == JobKind::schedule()))
    }

    /// Ends the schedule of this name if its last time is past and no tick is left that would: one that was deleted, or cancelled,
    /// ends nothing.
    async fn conclude_over(&self, tenant: &TenantId, name: &str) -> Result<(), ScheduleError> {
        let Some(record) = self.find_schedule(tenant.clone(), name).await? else { return Ok(()) };
        let view = Stored::read(&record).and_then(|stored| stored.view(&record, self.now().wall));
        let over = view.is_ok_and(|schedule| schedule.next.is_none());
        if record.status.is_terminal() || !over {
            return Ok(());
        }
        let filter = Filter::default().with_kind(JobKind::schedule_tick()).with_tenant(tenant.clone());
        let filter = filter.with_statuses([JobStatus::Pending, JobStatus::Processing]);
        let filter = filter.with_created_from(record.created_at);
        // A tick makes its successor before it ends, and the successor is younger: in this order one of them is seen.
        let mut options = ListOptions::new(filter).with_order(Order::OldestFirst).with_limit(MAX_PAGE);
        loop {
            let page = self.store.list(options.clone()).await?;
            if page.items.iter().any(|tick| is_tick_of(tick, record.id)) {
                return Ok(());
            }
            if page.next.is_none() {
                break;
            }
            options.cursor = page.next;
        }
        match self.command(record.id, Some(record.version), JobCommand::Conclude { result: Value::Null }).await {
            Ok(_) | Err(ManagerError::NotFound | ManagerError::Rejected(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn put_schedule(&self, spec: ScheduleSpec, replace: bool) -> Result<Scheduled, ScheduleError> {
        let stored = Stored::of(&spec);
        let now = self.now().wall;
        let next = spec.cron.next(now).filter(|next| spec.until.is_none_or(|until| *next <= until));
        let Some(next) = next else {
            self.conclude_over(&spec.job.tenant, &spec.name).await?;
            return Err(ScheduleError::Over);
        };
        // What would be refused at each tick is refused here. A payload that is too large is so in the schedule's own, too.
        reserved(&spec.job.kind).map_err(ScheduleError::Job)?;
        let first = self.prepare(stored.job(&spec.job.tenant, next)?);
        first.apply(now).map_err(|reject| ScheduleError::Job(reject.into()))?;
        let mut job = JobSpec::new(JobKind::schedule(), &stored)?;
        job.tenant = spec.job.tenant.clone();
        job.queue = QueueName::new("schedules")?;
        job.idempotency_key = Some(key(&spec.name)?);
        for _ in 0..TRIES {
            let (id, created) = match self.enqueue_own(job.clone()).await {
                Ok(Accepted::Created(id)) => (id, true),
                Ok(Accepted::Existing(id)) => (id, false),
                Err(ManagerError::Conflict { existing, .. }) => (existing, false),
                Err(error) => return Err(error.into()),
            };
            // Gone again at once: someone else replaces it.
            let Some(record) = self.get(id).await? else { continue };
            let same = record.kind == JobKind::schedule() && Stored::read(&record).is_ok_and(|found| found == stored);
            if !record.status.is_terminal() && same {
                ensure_tick(self, &record, &stored, next).await?;
                return Ok(Scheduled { id, next, created });
            }
            let is_schedule = record.kind == JobKind::schedule();
            if !is_schedule || (!record.status.is_terminal() && !replace) {
                return Err(ScheduleError::Differs { existing: id });
            }
            // An ended or replaced schedule gives up its name. Its ticks find it gone and end.
            self.store.purge(PurgeOptions::new(Purge::Jobs(vec![id]))).await?;
        }
        Err(ManagerError::NotFound.into())
    }
}
