//! The moves of a job that exists.

use super::outbox::follow;
use super::{Applied, Command, MAX_ERROR_CHARS, MAX_REASON_CHARS, Reject, Retry, at_most, holds};
use atlas_schema::{
    Actor, AuditEvent, AuditKind, CancelRequest, ErrorCategory, JobError, JobRecord, JobStatus, Lease, Timestamp,
};
use std::time::Duration;

/// Decides what `command` makes of `record` at `now`.
///
/// # Errors
/// [`Reject`]: the record stays as it is, and nothing is written.
pub fn apply<P: Clone>(
    record: &JobRecord<P>,
    command: Command,
    now: Timestamp,
    actor: Actor,
) -> Result<Applied<P>, Reject> {
    // A store's clock may lag behind the one that wrote last: recorded times of one job never run backwards. What is due is
    // judged by the caller's own time: a clock that was ahead once must not hold a job back for as long as it was ahead.
    let given = now;
    let now = now.max(record.updated_at);
    let step = Step { record, now, given, actor };
    match command {
        Command::Claim { worker, lease } => step.claim(worker, lease),
        Command::Complete { epoch, result } => {
            if record.status == JobStatus::Completed && record.epoch == epoch {
                return Err(Reject::Repeated);
            }
            holds(record, epoch)?;
            Ok(step.end(JobStatus::Completed, AuditKind::Completed, |after| {
                after.result = Some(result);
                after.error = None;
            }))
        }
        Command::Fail { epoch, error, retry } => {
            holds(record, epoch)?;
            at_most(&error.message, "an error message", 0, MAX_ERROR_CHARS)?;
            Ok(step.fail(error, retry))
        }
        Command::Release { epoch, delay } => {
            holds(record, epoch)?;
            if record.cancel_requested.is_some() {
                return Ok(step.cancelled());
            }
            Ok(step.back(AuditKind::Released, delay, |after| after.attempt = after.attempt.saturating_sub(1)))
        }
        Command::AcknowledgeCancel { epoch } => {
            holds(record, epoch)?;
            if record.cancel_requested.is_none() {
                return Err(Reject::WrongStatus { status: record.status });
            }
            Ok(step.cancelled())
        }
        Command::Cancel { reason, acknowledge_within } => step.cancel(reason, acknowledge_within),
        Command::Abandon { error } => {
            if record.status != JobStatus::Pending {
                return Err(Reject::WrongStatus { status: record.status });
            }
            at_most(&error.message, "an error message", 0, MAX_ERROR_CHARS)?;
            Ok(step.end(JobStatus::Failed, AuditKind::Failed, |after| after.error = Some(error)))
        }
        Command::Conclude { result } => {
            if record.status != JobStatus::Pending {
                return Err(Reject::WrongStatus { status: record.status });
            }
            Ok(step.end(JobStatus::Completed, AuditKind::Completed, |after| {
                after.result = Some(result);
                after.error = None;
            }))
        }
        Command::ExpireLease { epoch } => {
            holds(record, epoch)?;
            Ok(step.expire())
        }
        Command::EndCancel => match &record.cancel_requested {
            Some(cancel) if record.status == JobStatus::Processing => {
                if cancel.acknowledge_by > given {
                    return Err(Reject::NotDue);
                }
                Ok(step.cancelled())
            }
            _ => Err(Reject::WrongStatus { status: record.status }),
        },
        Command::TimeOut => {
            if record.status.is_terminal() {
                return Err(Reject::WrongStatus { status: record.status });
            }
            if record.deadline.is_none_or(|deadline| deadline > given) {
                return Err(Reject::NotDue);
            }
            Ok(step.end(JobStatus::Timeout, AuditKind::TimedOut, |after| {
                after.error = Some(JobError {
                    category: ErrorCategory::Timeout,
                    message: "the deadline of the job passed before it was done".into(),
                });
            }))
        }
        Command::Redrive { reason, delay } => step.redrive(reason, delay),
    }
}

/// The error of an attempt whose worker fell silent.
pub(crate) fn silence() -> JobError {
    let message = "the worker fell silent: it crashed, hung or lost its store".into();
    JobError { category: ErrorCategory::Internal, message }
}

/// The event of the transition that led to `record`.
pub(super) fn event<P>(
    record: &JobRecord<P>,
    kind: AuditKind,
    from: Option<JobStatus>,
    actor: Actor,
    at: Timestamp,
) -> AuditEvent {
    let failure = matches!(
        kind,
        AuditKind::Retried | AuditKind::Failed | AuditKind::LeaseExpired | AuditKind::TimedOut | AuditKind::Migrated
    );
    let cancel = matches!(kind, AuditKind::CancelRequested | AuditKind::Cancelled);
    AuditEvent {
        job: record.id,
        version: record.version,
        epoch: record.epoch,
        attempt: record.attempt,
        at,
        actor,
        kind,
        from,
        to: record.status,
        reason: record.cancel_requested.as_ref().filter(|_| cancel).map(|cancel| cancel.reason.clone()),
        error: record.error.clone().filter(|_| failure),
        correlation_id: record.correlation_id.clone(),
    }
}

struct Step<'a, P> {
    record: &'a JobRecord<P>,
    /// What is recorded: never before the record's last change.
    now: Timestamp,
    /// The caller's own time.
    given: Timestamp,
    actor: Actor,
}

impl<P: Clone> Step<'_, P> {
    fn claim(self, worker: atlas_schema::WorkerId, lease: Duration) -> Result<Applied<P>, Reject> {
        let record = self.record;
        if record.status != JobStatus::Pending {
            return Err(Reject::WrongStatus { status: record.status });
        }
        let past = record.deadline.is_some_and(|deadline| deadline <= self.given);
        if record.run_at > self.given || past || record.attempt >= record.max_attempts {
            return Err(Reject::NotDue);
        }
        let now = self.now;
        Ok(self.write(JobStatus::Processing, AuditKind::Claimed, |after| {
            after.epoch += 1;
            after.attempt += 1;
            after.lease = Some(Lease { worker, expires_at: now.saturating_add(lease) });
            after.started_at = Some(now);
            after.progress = None;
        }))
    }

    fn fail(self, error: JobError, retry: Retry) -> Applied<P> {
        let left = self.record.attempt < self.record.max_attempts;
        match retry {
            // Who asked for a stop does not want another attempt.
            _ if self.record.cancel_requested.is_some() => self.cancelled(),
            Retry::After(delay) if left => self.back(AuditKind::Retried, delay, |after| after.error = Some(error)),
            _ => self.end(JobStatus::Failed, AuditKind::Failed, |after| after.error = Some(error)),
        }
    }

    fn expire(self) -> Applied<P> {
        if self.record.cancel_requested.is_some() {
            return self.cancelled();
        }
        let left = self.record.attempt < self.record.max_attempts;
        let error = silence();
        if left {
            return self.back(AuditKind::LeaseExpired, Duration::ZERO, |after| after.error = Some(error));
        }
        self.end(JobStatus::Failed, AuditKind::LeaseExpired, |after| after.error = Some(error))
    }

    fn cancel(self, reason: String, acknowledge_within: Duration) -> Result<Applied<P>, Reject> {
        at_most(&reason, "a reason", 0, MAX_REASON_CHARS)?;
        let pending = match self.record.status {
            JobStatus::Pending => true,
            JobStatus::Processing if self.record.cancel_requested.is_none() => false,
            JobStatus::Processing => return Err(Reject::Repeated),
            status => return Err(Reject::WrongStatus { status }),
        };
        let now = self.now;
        let acknowledge_by = if pending { now } else { self.given.saturating_add(acknowledge_within) };
        let request = CancelRequest { at: now, reason, acknowledge_by };
        if pending {
            return Ok(
                self.end(JobStatus::Cancelled, AuditKind::Cancelled, |after| after.cancel_requested = Some(request))
            );
        }
        Ok(self
            .write(JobStatus::Processing, AuditKind::CancelRequested, |after| after.cancel_requested = Some(request)))
    }

    fn redrive(self, reason: String, delay: Duration) -> Result<Applied<P>, Reject> {
        at_most(&reason, "a reason", 0, MAX_REASON_CHARS)?;
        match self.record.status {
            JobStatus::Failed | JobStatus::Cancelled | JobStatus::Timeout => {}
            status => return Err(Reject::WrongStatus { status }),
        }
        let now = self.given;
        let mut applied = self.back(AuditKind::Redriven, delay, |after| {
            after.attempt = 0;
            after.finished_at = None;
            after.error = None;
            after.started_at = None;
            // A deadline that has passed would end the job again at once.
            after.deadline = after.deadline.filter(|deadline| *deadline > now);
        });
        applied.event.reason = Some(reason);
        Ok(applied)
    }

    fn cancelled(self) -> Applied<P> {
        self.end(JobStatus::Cancelled, AuditKind::Cancelled, |_| {})
    }

    fn end(self, status: JobStatus, kind: AuditKind, change: impl FnOnce(&mut JobRecord<P>)) -> Applied<P> {
        let now = self.now;
        self.write(status, kind, |after| {
            after.lease = None;
            after.finished_at = Some(now);
            if status != JobStatus::Cancelled {
                after.cancel_requested = None;
            }
            change(after);
        })
    }

    fn back(self, kind: AuditKind, delay: Duration, change: impl FnOnce(&mut JobRecord<P>)) -> Applied<P> {
        let now = self.given;
        self.write(JobStatus::Pending, kind, |after| {
            after.lease = None;
            after.cancel_requested = None;
            after.progress = None;
            after.run_at = now.saturating_add(delay);
            change(after);
        })
    }

    fn write(self, status: JobStatus, kind: AuditKind, change: impl FnOnce(&mut JobRecord<P>)) -> Applied<P> {
        let mut after = self.record.clone();
        after.status = status;
        after.version += 1;
        after.updated_at = self.now;
        change(&mut after);
        let event = event(&after, kind, Some(self.record.status), self.actor, self.now);
        let outbox = follow(&after, &event);
        Applied { record: after, event, outbox }
    }
}
