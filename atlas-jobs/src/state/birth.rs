//! How a job comes to be: enqueued, or imported from elsewhere.

use super::{Applied, MAX_ATTEMPTS, Reject, check::check, transition::event};
use atlas_schema::{Actor, AuditKind, Callback, JobRecord, JobStatus, Timestamp};

/// The first version of an enqueued job. A run-at time in the past means now.
///
/// # Errors
/// [`Reject::OutOfRange`] for attempts outside 1 to 1000, an attempt timeout of zero, or a deadline that has passed.
pub fn enqueue<P>(record: JobRecord<P>, now: Timestamp, actor: Actor) -> Result<Applied<P>, Reject> {
    let range = |what, min, max, unit| Err(Reject::OutOfRange { what, min, max, unit });
    if !(1..=MAX_ATTEMPTS).contains(&record.max_attempts) {
        return range("the number of attempts", 1, u64::from(MAX_ATTEMPTS), "attempts");
    }
    // The greatest integer that JSON readers agree on (RFC 8259, section 6).
    let most = (1 << 53) - 1;
    if record.attempt_timeout_ms.is_some_and(|ms| ms == 0 || ms > most) {
        return range("the attempt timeout", 1, most, "milliseconds");
    }
    if record.deadline.is_some_and(|deadline| deadline <= now) {
        let after = u64::try_from(now.as_millis()).unwrap_or(0) + 1;
        let last = u64::try_from(Timestamp::MAX.as_millis()).unwrap_or(u64::MAX);
        return range("the deadline", after, last, "milliseconds since 1970");
    }
    callback_fits(&record)?;
    let record = JobRecord {
        status: JobStatus::Pending,
        version: 1,
        epoch: 0,
        attempt: 0,
        run_at: record.run_at.max(now),
        created_at: now,
        updated_at: now,
        lease: None,
        cancel_requested: None,
        started_at: None,
        finished_at: None,
        progress: None,
        result: None,
        error: None,
        ..record
    };
    let event = event(&record, AuditKind::Enqueued, None, actor, now);
    Ok(Applied { record, event, outbox: Vec::new() })
}

fn callback_fits<P>(record: &JobRecord<P>) -> Result<(), Reject> {
    if record.callback.as_ref().is_none_or(Callback::is_valid) {
        return Ok(());
    }
    let (what, unit) = ("the callback's address", "printable ASCII characters beginning with http:// or https://");
    Err(Reject::OutOfRange { what, min: 8, max: 2048, unit })
}

/// A job from elsewhere, as it is: version 1, its own times, nothing follows from it.
///
/// A record that says it is running keeps its lease, and loses it at the first sweep: its worker is unknown here.
///
/// # Errors
/// [`Reject::Invalid`] if it breaks an invariant.
pub fn import<P>(record: JobRecord<P>, now: Timestamp, actor: Actor) -> Result<Applied<P>, Reject> {
    let record = JobRecord { version: 1, ..record };
    check(&record)?;
    callback_fits(&record)?;
    let event = event(&record, AuditKind::Migrated, None, actor, now);
    Ok(Applied { record, event, outbox: Vec::new() })
}
