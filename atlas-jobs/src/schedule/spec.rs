//! What a host says of a schedule, and how it is kept.

use super::cron::{Cron, CronError};
use super::due::CatchUp;
use crate::error::StoreError;
use crate::manager::ManagerError;
use crate::spec::JobSpec;
use atlas_schema::{
    Callback, IdempotencyKey, InvalidId, JobId, JobKind, JobRecord, QueueName, TenantId, Timestamp, Usd,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// A schedule to be made.
///
/// # Example: a report each weekday morning
/// ```
/// use atlas_jobs::schedule::{Cron, ScheduleSpec};
/// use atlas_jobs::{JobManager, JobSpec, MemoryJobs};
/// use atlas_schema::{JobKind, Stage};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let jobs = JobManager::new(std::sync::Arc::new(MemoryJobs::new(Stage::Dev)))?;
/// let report = JobSpec::new(JobKind::new("report")?, &"sales")?;
/// let spec = ScheduleSpec::new("sales-report", Cron::new("0 7 * * MON-FRI", "Europe/Lisbon")?, report)?;
/// // At each start of the host: the same schedule is made once.
/// let scheduled = jobs.schedule(spec.clone()).await?;
/// assert_eq!(jobs.schedule(spec).await?.id, scheduled.id);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ScheduleSpec {
    /// Its name, unique per tenant: 1 to 64 of `[a-z0-9_.-]`.
    pub name: String,
    /// Its times.
    pub cron: Cron,
    /// What becomes of missed times; default the latest of them is run.
    pub catch_up: CatchUp,
    /// The job of each time. Ids, keys, parent, run-at time and deadline are not taken: each time has its own.
    pub job: JobSpec,
    /// The schedule ends then: a time at or before it is run, however late that is; default never.
    pub until: Option<Timestamp>,
}

impl ScheduleSpec {
    /// Runs `job` at the times of `cron`.
    ///
    /// # Errors
    /// [`ScheduleError::Name`] for a name outside its rule, [`ScheduleError::Template`] for a job with an id, a key, a
    /// parent, a run-at time or a deadline.
    pub fn new(name: impl Into<String>, cron: Cron, job: JobSpec) -> Result<Self, ScheduleError> {
        let name = name.into();
        // The rule of queue names, which is that of file names on every system.
        QueueName::new(&name).map_err(|_| ScheduleError::Name)?;
        let set = [
            (job.id.is_some(), "id"),
            (job.external_id.is_some(), "external id"),
            (job.idempotency_key.is_some(), "idempotency key"),
            (job.parent.is_some(), "parent"),
            (job.run_at.is_some(), "run-at time"),
            (job.deadline.is_some(), "deadline"),
            (job.correlation_id.is_some(), "correlation id"),
        ];
        if let Some((_, field)) = set.into_iter().find(|(is_set, _)| *is_set) {
            return Err(ScheduleError::Template { field });
        }
        Ok(Self { name, cron, catch_up: CatchUp::default(), job, until: None })
    }

    /// With another rule for missed times.
    #[must_use]
    pub const fn with_catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Ending at `until`.
    #[must_use]
    pub const fn with_until(mut self, until: Timestamp) -> Self {
        self.until = Some(until);
        self
    }
}

/// A schedule that is in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheduled {
    /// The key of the schedule's job. Another one after a change.
    pub id: JobId,
    /// Its next time.
    pub next: Timestamp,
    /// Whether it is new, or changed.
    pub created: bool,
}

/// A schedule as it stands in the store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Schedule {
    /// The key of the schedule's job.
    pub id: JobId,
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its times.
    pub cron: Cron,
    /// What becomes of missed times.
    pub catch_up: CatchUp,
    /// The kind of its jobs.
    pub kind: JobKind,
    /// Its next time by the manager's clock; `None` if there is none before its end or the year 9999.
    pub next: Option<Timestamp>,
    /// The schedule ends then.
    pub until: Option<Timestamp>,
}

/// Why a schedule can't be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The name is outside its rule.
    #[error("the name of a schedule must be 1 to 64 of a-z, 0-9, `_`, `.` and `-`")]
    Name,
    /// The job names something that each time has of its own.
    #[error("the job of a schedule has no {field} of its own: leave it out")]
    Template {
        /// Which field.
        field: &'static str,
    },
    /// The times are none.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// Another schedule has this name.
    #[error(
        "another schedule has this name (job {existing}): change it with `reschedule`, or give this one another name"
    )]
    Differs {
        /// The schedule that is there.
        existing: JobId,
    },
    /// The stored form is none of this release.
    #[error("job {id} is no schedule that this release can read: upgrade, or unschedule it")]
    Unreadable {
        /// The job.
        id: JobId,
    },
    /// The job of each time would be refused.
    #[error("the job of the schedule would be refused each time: mend it")]
    Job(#[source] ManagerError),
    /// It ends before its first time.
    #[error("the schedule ends before its first time: set a later end")]
    Over,
    /// The job was not taken.
    #[error("the schedule was not taken")]
    Manager(#[from] ManagerError),
    /// A key could not be made.
    #[error(transparent)]
    Key(#[from] InvalidId),
    /// The job has no JSON form.
    #[error("the job of the schedule has no JSON form")]
    Json(#[from] serde_json::Error),
}

impl From<StoreError> for ScheduleError {
    fn from(error: StoreError) -> Self {
        Self::Manager(error.into())
    }
}

/// The payload of a job of kind `schedule`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) cron: String,
    pub(crate) time_zone: String,
    pub(crate) catch_up: CatchUp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    pub(crate) job: Template,
}

/// The job of each time.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Template {
    kind: JobKind,
    queue: QueueName,
    max_attempts: u32,
    priority: i16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt_timeout_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<Callback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_cap: Option<Usd>,
    payload: Value,
}

impl Stored {
    pub(crate) fn of(spec: &ScheduleSpec) -> Self {
        let job = &spec.job;
        let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let job = Template {
            kind: job.kind.clone(),
            queue: job.queue.clone(),
            max_attempts: job.max_attempts,
            priority: job.priority,
            attempt_timeout_ms: job.attempt_timeout.map(millis),
            callback: job.callback.clone(),
            cost_cap: job.cost_cap,
            payload: job.payload.clone(),
        };
        Self {
            name: spec.name.clone(),
            cron: spec.cron.expression().into(),
            time_zone: spec.cron.time_zone().into(),
            catch_up: spec.catch_up,
            until: spec.until,
            job,
        }
    }

    pub(crate) fn read(record: &JobRecord) -> Result<Self, ScheduleError> {
        Self::deserialize(&record.payload).map_err(|_| ScheduleError::Unreadable { id: record.id })
    }

    pub(crate) fn cron(&self) -> Result<Cron, CronError> {
        Cron::new(&self.cron, &self.time_zone)
    }

    pub(crate) fn view(&self, record: &JobRecord, now: Timestamp) -> Result<Schedule, ScheduleError> {
        let cron = self.cron()?;
        Ok(Schedule {
            id: record.id,
            name: self.name.clone(),
            tenant: record.tenant.clone(),
            next: cron.next(now).filter(|next| self.until.is_none_or(|until| *next <= until)),
            cron,
            catch_up: self.catch_up,
            kind: self.job.kind.clone(),
            until: self.until,
        })
    }

    /// The queue in which workers find the work, and so the ticks.
    pub(crate) const fn queue(&self) -> &QueueName {
        &self.job.queue
    }

    /// The job of one time.
    pub(crate) fn job(&self, tenant: &TenantId, tick: Timestamp) -> Result<JobSpec, InvalidId> {
        let job = &self.job;
        let mut spec = JobSpec::of_value(job.kind.clone(), job.payload.clone());
        spec.queue = job.queue.clone();
        spec.tenant = tenant.clone();
        spec.max_attempts = job.max_attempts;
        spec.priority = job.priority;
        spec.attempt_timeout = job.attempt_timeout_ms.map(Duration::from_millis);
        spec.callback.clone_from(&job.callback);
        spec.cost_cap = job.cost_cap;
        spec.idempotency_key = Some(IdempotencyKey::new(format!("schedule:{}:{}", self.name, tick.as_millis()))?);
        Ok(spec)
    }
}

/// The key of a schedule's own job.
pub(crate) fn key(name: &str) -> Result<IdempotencyKey, InvalidId> {
    IdempotencyKey::new(format!("schedule:{name}"))
}

/// The key of a schedule's tick: two chains that meet at one time are one from there.
pub(crate) fn tick_key(schedule: JobId, tick: Timestamp) -> Result<IdempotencyKey, InvalidId> {
    IdempotencyKey::new(format!("schedule.tick:{schedule}:{}", tick.as_millis()))
}
