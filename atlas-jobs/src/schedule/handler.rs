//! The handler of ticks: enqueues what is due, then its own successor.

use super::due::{Due, due_until};
use super::spec::{ScheduleError, Stored, tick_key};
use crate::manager::{Accepted, JobManager, ManagerError};
use crate::spec::JobSpec;
use crate::state::MAX_ATTEMPTS;
use crate::store::JobCommand;
use crate::worker::{AfterError, HandlerError, JobContext, JobHandler};
use async_trait::async_trait;
use atlas_schema::{Actor, ErrorCategory, JobId, JobKind, JobRecord, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;

/// How long a tick is put off that can't be run as things are.
const PUT_OFF: Duration = Duration::from_mins(5);
/// So many jobs are enqueued by one call of the store.
const PAGE: usize = 500;

/// The payload of a job of kind `schedule.tick`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Tick {
    schedule: JobId,
    tick: Timestamp,
}

/// Runs jobs of kind `schedule.tick`. Any number of workers may; they must look at the queues of the schedules' jobs.
///
/// A worker with this handler never drains: there always is a next tick.
#[derive(Debug, Clone)]
pub struct ScheduleHandler {
    jobs: JobManager,
}

impl ScheduleHandler {
    /// Enqueues through `jobs`. What is due is reckoned by the time at which a tick was claimed: by the store's clock, if it has
    /// one of its own, and else by that of the worker.
    pub const fn new(jobs: JobManager) -> Self {
        Self { jobs }
    }
}

#[async_trait]
impl JobHandler for ScheduleHandler {
    async fn run(&self, job: JobContext) -> Result<Value, HandlerError> {
        let Tick { schedule, tick } = job.params()?;
        let record = self.jobs.get(schedule).await.map_err(|error| storage(&error))?;
        let Some(record) = record.filter(|record| !record.status.is_terminal()) else {
            return Ok(json!({ "over": true }));
        };
        // A schedule that this process can't read is one of a newer release, or names a time zone that this host does not
        // know: the tick waits for a worker that can.
        let broken = |error: ScheduleError| {
            tracing::error!(%schedule, %error, "a schedule can't be read here; its tick is put off");
            HandlerError::snooze(PUT_OFF)
        };
        let stored = Stored::read(&record).map_err(broken)?;
        let cron = stored.cron().map_err(|error| broken(error.into()))?;
        // The time of the claim: that of the store, if it has a clock of its own. The store judged the tick to be due; a
        // clock that lags behind must not lose it.
        let now = job.record().started_at.unwrap_or(tick).max(tick);
        let before = tick.saturating_sub(Duration::from_millis(1));
        let until = stored.until.unwrap_or(Timestamp::MAX);
        let Due { ticks, next } = due_until(&cron, before, now, until, stored.catch_up);
        let work: Result<Vec<_>, _> = ticks.iter().map(|tick| stored.job(&record.tenant, *tick)).collect();
        let refused = enqueue(&self.jobs, work.map_err(|error| broken(error.into()))?).await?;
        // Last: whoever dies before this is followed by another attempt of this very tick.
        if let Some(next) = next {
            let spec = tick_spec(&record, &stored, next).map_err(broken)?;
            if let Some(error) = enqueue(&self.jobs, vec![spec]).await? {
                tracing::error!(%schedule, %error, "the next tick of a schedule was refused; this one is put off");
                return Err(HandlerError::snooze(PUT_OFF));
            }
        } else if let Err(ManagerError::Store(error)) =
            self.jobs.command(schedule, None, JobCommand::Conclude { result: Value::Null }).await
        {
            return Err(storage(&error));
        }
        // A time whose work is refused is lost, and a dead letter says so; the schedule goes on.
        if let Some(error) = refused {
            let why = match error {
                ManagerError::Rejected(reject) => reject.to_string(),
                other => other.to_string(),
            };
            let failed = HandlerError::new(ErrorCategory::InvalidInput, format!("the work was refused: {why}"));
            return Err(failed.with_after(AfterError::Fail));
        }
        Ok(json!({ "ticks": ticks, "next": next }))
    }
}

fn storage(error: &crate::error::StoreError) -> HandlerError {
    HandlerError::new(ErrorCategory::Storage, error.to_string())
}

/// Enqueues what is not there yet, and gives the first refusal. A key that is taken by other work was used before the
/// schedule was changed: that time has been run.
async fn enqueue(jobs: &JobManager, specs: Vec<JobSpec>) -> Result<Option<ManagerError>, HandlerError> {
    let mut specs = specs.into_iter();
    let mut refused = None;
    loop {
        let page: Vec<_> = specs.by_ref().take(PAGE).collect();
        if page.is_empty() {
            return Ok(refused);
        }
        let answers = jobs.enqueue_as(page, &Actor::Schedule {}).await.map_err(|error| match error {
            ManagerError::Store(error) => storage(&error),
            other => HandlerError::new(ErrorCategory::Internal, other.to_string()),
        })?;
        for answer in answers {
            match answer {
                Ok(_) | Err(ManagerError::Conflict { .. }) => {}
                Err(error) => {
                    refused.get_or_insert(error);
                }
            }
        }
    }
}

fn tick_spec(schedule: &JobRecord, stored: &Stored, tick: Timestamp) -> Result<JobSpec, ScheduleError> {
    let spec = JobSpec::new(JobKind::schedule_tick(), &Tick { schedule: schedule.id, tick })?
        .with_queue(stored.queue().clone())
        .with_tenant(schedule.tenant.clone())
        .with_run_at(tick)
        .with_max_attempts(MAX_ATTEMPTS)
        .with_idempotency_key(tick_key(schedule.id, tick)?);
    Ok(spec)
}

/// Sees to it that the first tick after now is there. Harmless if it is, or if an earlier one is still to come.
pub(crate) async fn ensure_tick(
    jobs: &JobManager,
    schedule: &JobRecord,
    stored: &Stored,
    next: Timestamp,
) -> Result<Accepted, ScheduleError> {
    let spec = tick_spec(schedule, stored, next)?;
    let mut answers = jobs.enqueue_as(vec![spec], &Actor::Schedule {}).await?;
    Ok(answers.pop().unwrap_or(Err(ManagerError::NotFound))?)
}

/// Whether a job is a tick of this schedule.
pub(crate) fn is_tick_of(record: &JobRecord, schedule: JobId) -> bool {
    record.kind == JobKind::schedule_tick()
        && Tick::deserialize(&record.payload).is_ok_and(|tick| tick.schedule == schedule)
}

/// The time for which a schedule made this job; `None` for other jobs.
pub fn tick_of<P>(record: &JobRecord<P>) -> Option<Timestamp> {
    let rest = record.idempotency_key.as_ref()?.as_str().strip_prefix("schedule:")?;
    Timestamp::from_millis(rest.rsplit_once(':')?.1.parse().ok()?).ok()
}
