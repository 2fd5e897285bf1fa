//! Adding jobs, each once.

use super::{Rows, json_is_over, nests_at_most, unreadable};
use crate::error::{Kind, StoreError};
use crate::spec::NewJob;
use crate::state::Reject;
use crate::store::{Enqueued, JobRef, MAX_NESTING, UNREADABLE};
use atlas_schema::{JobId, JobRecord, Timestamp};
use serde_json::Value;

pub(crate) fn enqueue(rows: &mut impl Rows, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Enqueued>, StoreError> {
    let stage = rows.stage();
    if jobs.iter().any(|job| job.record().stage != stage) {
        return Err(StoreError::new(Kind::WrongStage, rows.backend(), "enqueue"));
    }
    jobs.into_iter().map(|job| one(rows, job, now)).collect()
}

fn one(rows: &mut impl Rows, job: NewJob, now: Timestamp) -> Result<Enqueued, StoreError> {
    let can = rows.capabilities();
    let record = job.record();
    let sizes = [
        ("the payload", Some(&record.payload), can.max_payload_bytes),
        ("the result", record.result.as_ref(), can.max_result_bytes),
    ];
    for (what, value, most) in sizes {
        if let Some(reject) = value.and_then(|value| unfit(value, what, most)) {
            return Ok(Enqueued::Refused(reject));
        }
    }
    if let Some(id) = existing(rows, record)? {
        return Ok(match difference(rows, record, id)? {
            None => Enqueued::Existing { id },
            Some(differs) => Enqueued::Conflict { id, differs },
        });
    }
    match job.apply(now) {
        Ok(applied) => {
            let id = applied.record.id;
            rows.insert(applied)?;
            Ok(Enqueued::Created { id })
        }
        Err(reject) => Ok(Enqueued::Refused(reject)),
    }
}

/// Why a value can't be kept: no reader of JSON takes what nests too deep, so its job could never be read again.
pub(crate) fn unfit(value: &Value, what: &'static str, most: usize) -> Option<Reject> {
    let over =
        |most, unit| Some(Reject::OutOfRange { what, min: 0, max: u64::try_from(most).unwrap_or(u64::MAX), unit });
    if !nests_at_most(value, MAX_NESTING) {
        return over(MAX_NESTING, "levels of arrays and objects");
    }
    if json_is_over(value, most) { over(most, "bytes of JSON") } else { None }
}

/// The job that holds one of the new job's keys.
fn existing(rows: &mut impl Rows, new: &JobRecord) -> Result<Option<JobId>, StoreError> {
    let key = new.idempotency_key.clone().map(|key| JobRef::Idempotency(new.tenant.clone(), key));
    let external = new.external_id.clone().map(|id| JobRef::External(new.tenant.clone(), id));
    for reference in [key, Some(JobRef::Id(new.id)), external].into_iter().flatten() {
        let found = rows.find(&reference)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// The first field in which two jobs are not the same work.
fn difference(rows: &mut impl Rows, new: &JobRecord, id: JobId) -> Result<Option<&'static str>, StoreError> {
    let old = match rows.load(id) {
        Err(error) if unreadable(&error, &id) => return Ok(Some(UNREADABLE)),
        loaded => loaded?,
    };
    let Some(old) = old else {
        return Err(StoreError::new(Kind::Corrupt, rows.backend(), "enqueue"));
    };
    let payload = match rows.payload(id) {
        Err(error) if unreadable(&error, &id) => return Ok(Some(UNREADABLE)),
        payload => payload?,
    };
    let fields = [
        (old.tenant != new.tenant, "tenant"),
        (old.kind != new.kind, "kind"),
        (old.queue != new.queue, "queue"),
        (payload != new.payload, "payload"),
    ];
    Ok(fields.into_iter().find(|(differs, _)| *differs).map(|(_, field)| field))
}
