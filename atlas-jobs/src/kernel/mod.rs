//! What the stores with one local writer share: the methods of the trait, written once over single rows.
//!
//! The memory and SQLite stores differ in how a row is kept, not in what a call means. [`Rows`] is that difference.
//! Stores that talk to a server in sets (and have its concurrency to deal with) do not use this module; they are held
//! to the same conformance suite.

mod claim;
mod command;
mod enqueue;
mod exchange;
mod outbox;
mod sweep;

pub(crate) use command::command;
pub(crate) use enqueue::enqueue;
#[cfg(any(feature = "dynamodb", feature = "postgres"))]
pub(crate) use enqueue::unfit;
pub(crate) use exchange::exchange;
pub(crate) use outbox::outbox;
pub(crate) use sweep::{purge, sweep};

use crate::error::{Kind, StoreError};
use crate::state::{Applied, OutboxEntry};
use crate::store::{Capabilities, JobRef, MAX_PAGE, Pace, QueueChange, QueueState};
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, Progress, QueueName, Stage, Timestamp, WorkerId};
use serde_json::Value;
use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

/// A worker's last sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    pub(crate) count: u64,
    pub(crate) lease: Duration,
    pub(crate) seen_at: Timestamp,
}

/// Where a ready job stands in its queue: the highest priority first, then the earliest run-at time, then the lowest id.
pub(crate) type Place = (Reverse<i16>, Timestamp, JobId);

/// Where a job stands in an index by time: milliseconds since 1970, and the job.
pub(crate) type At = (i64, JobId);

/// An outbox entry that is due: its key, what it says if that can be read, and its tries so far.
pub(crate) type Due = (String, Option<OutboxEntry>, u32);

/// Single rows of a store, in the middle of one write. Records come without payload and result.
pub(crate) trait Rows {
    fn backend(&self) -> &'static str;
    fn stage(&self) -> Stage;
    fn capabilities(&self) -> Capabilities;

    fn find(&mut self, reference: &JobRef) -> Result<Option<JobId>, StoreError>;
    fn load(&mut self, id: JobId) -> Result<Option<JobRecord<()>>, StoreError>;
    /// Whether a job whose record can't be read may still be leased in `epoch`, by what its columns say.
    fn may_hold(&mut self, id: JobId, epoch: u64) -> Result<bool, StoreError>;
    fn payload(&mut self, id: JobId) -> Result<Value, StoreError>;
    fn insert(&mut self, applied: Applied) -> Result<(), StoreError>;
    fn update(&mut self, before: &JobRecord<()>, applied: Applied<()>) -> Result<(), StoreError>;
    fn set_progress(&mut self, id: JobId, progress: &Progress) -> Result<(), StoreError>;
    fn delete(&mut self, record: &JobRecord<()>) -> Result<(), StoreError>;
    /// Deletes a job whose record can't be read, by its keys and columns alone.
    fn discard(&mut self, id: JobId) -> Result<(), StoreError>;

    fn beat(&mut self, worker: &WorkerId) -> Result<Option<Beat>, StoreError>;
    fn set_beat(&mut self, worker: &WorkerId, beat: Beat) -> Result<(), StoreError>;
    /// Forgets workers that hold no lease and were last seen before then.
    fn forget_workers(&mut self, before: Timestamp) -> Result<(), StoreError>;
    fn leaseholders(&mut self) -> Result<Vec<(WorkerId, Option<Beat>)>, StoreError>;
    /// By id, those behind `after`.
    fn leases_of(&mut self, worker: &WorkerId, after: Option<JobId>, limit: usize) -> Result<Vec<JobId>, StoreError>;

    /// The first places of a queue and kind that are due at `now`, best first.
    fn ready(
        &mut self,
        queue: &QueueName,
        kind: &JobKind,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<Place>, StoreError>;
    /// Puts a job that waits in this place back to a later time, without reading or changing anything else of it.
    fn put_off(&mut self, queue: &QueueName, kind: &JobKind, place: Place, until: Timestamp) -> Result<(), StoreError>;
    /// Takes away a place at which its job does not wait, and gives the job the place where it does wait, if it waits.
    fn correct(
        &mut self,
        queue: &QueueName,
        kind: &JobKind,
        place: Place,
        job: Option<&JobRecord<()>>,
    ) -> Result<(), StoreError>;
    fn running(&mut self, queue: &QueueName) -> Result<u64, StoreError>;
    fn queue(&mut self, queue: &QueueName) -> Result<Option<QueueState>, StoreError>;
    fn set_queue(&mut self, state: &QueueState) -> Result<(), StoreError>;
    fn pace(&mut self, queue: &QueueName) -> Result<Option<Pace>, StoreError>;
    fn set_pace(&mut self, queue: &QueueName, pace: Pace) -> Result<(), StoreError>;
    fn queues(&mut self) -> Result<Vec<QueueState>, StoreError>;

    /// Unfinished jobs whose deadline is at or before `now`, behind `after`.
    fn overdue(&mut self, now: Timestamp, after: Option<At>, limit: usize) -> Result<Vec<At>, StoreError>;
    /// Running jobs whose cancel should have been acknowledged by `now`, behind `after`.
    fn unanswered(&mut self, now: Timestamp, after: Option<At>, limit: usize) -> Result<Vec<At>, StoreError>;
    /// Those that ended so before then, behind `after`.
    fn ended(
        &mut self,
        status: JobStatus,
        before: Timestamp,
        after: Option<At>,
        limit: usize,
    ) -> Result<Vec<At>, StoreError>;

    /// Entries of a topic that are visible at `now`, with their keys and their tries so far, the longest due first.
    fn outbox_due(&mut self, topic: &str, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError>;
    fn outbox_tries(&mut self, key: &str) -> Result<Option<u32>, StoreError>;
    fn outbox_hide(&mut self, key: &str, tries: u32, until: Timestamp) -> Result<(), StoreError>;
    fn outbox_delete(&mut self, key: &str) -> Result<(), StoreError>;
}

/// A job that can't be read waits for so long before a claim looks at it again. Often enough for one that was mended, or that
/// this release can't read while a newer one is being rolled out and another worker can; seldom enough that such rows cost
/// claims next to nothing.
pub(crate) const PUT_OFF: Duration = Duration::from_mins(1);

/// So many pages of rows one call looks through for those that can be read.
pub(crate) const MOST_PAGES: usize = 16;

/// What was read; nothing of a row that can't be read. Such a row is reported, and stands in no other's way. Faults of the
/// file, the tables or the server are not of one row, and stay errors.
pub(crate) fn readable<T>(
    read: Result<Option<T>, StoreError>,
    what: &impl fmt::Display,
) -> Result<Option<T>, StoreError> {
    match read {
        Err(error) if unreadable(&error, what) => Ok(None),
        read => read,
    }
}

/// Whether a row can't be read, and nothing else is wrong. Reports it.
pub(crate) fn unreadable(error: &StoreError, what: &impl fmt::Display) -> bool {
    if error.is_in_one_row() {
        tracing::error!(%error, %what, "a stored row can't be read: it is passed over until it is mended or deleted");
    }
    error.is_in_one_row()
}

/// Changes queues and gives them all.
pub(crate) fn queues(rows: &mut impl Rows, changes: &[QueueChange]) -> Result<Vec<QueueState>, StoreError> {
    for change in changes {
        let state = rows.queue(&change.queue)?.unwrap_or_else(|| QueueState::new(change.queue.clone()));
        rows.set_queue(&state.changed(change))?;
    }
    rows.queues()
}

/// Refuses a limit that would make one call unbounded, or useless.
pub(crate) fn check_limit(
    limit: usize,
    least: usize,
    backend: &'static str,
    operation: &'static str,
) -> Result<(), StoreError> {
    if (least..=MAX_PAGE).contains(&limit) {
        return Ok(());
    }
    let rule = format!("the limit must be {least} to {MAX_PAGE}");
    Err(StoreError::new(Kind::InvalidInput, backend, operation).with_source(rule))
}

/// Whether a value has at most so many arrays and objects within each other. Looks no deeper than that itself.
pub(crate) fn nests_at_most(value: &Value, levels: usize) -> bool {
    let inner = |value: &Value| levels.checked_sub(1).is_some_and(|left| nests_at_most(value, left));
    match value {
        Value::Array(items) => levels > 0 && items.iter().all(inner),
        Value::Object(fields) => levels > 0 && fields.values().all(inner),
        _ => true,
    }
}

/// Whether a value's JSON text has more than `most` bytes. A text that is too long as it stands is not looked through for
/// what must be escaped in it, so that refusing tens of megabytes costs next to nothing.
pub(crate) fn json_is_over(value: &Value, most: usize) -> bool {
    least_json_len(value) > most || json_len(value) > most
}

/// What a value's JSON text has at least, in bytes: its strings without escapes, and a byte for all else.
fn least_json_len(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.iter().map(least_json_len).sum::<usize>() + 2,
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| name.len() + 3 + least_json_len(value)).sum::<usize>() + 2
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
    }
}

/// The length of a value's JSON text in bytes, without building it.
pub(crate) fn json_len(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Writing a JSON value to a counter has no way to fail; if it had, the value would be refused as too large.
    serde_json::to_writer(&mut count, value).map_or(usize::MAX, |()| count.0)
}

#[cfg(test)]
mod tests {
    use super::{json_is_over, json_len};
    use serde_json::json;

    #[test]
    fn a_value_is_too_long_from_the_first_byte_of_json_past_the_limit() {
        let values = [
            json!(null),
            json!(-1.5),
            json!("plain"),
            json!("\"quoted\"\n\u{1}"),
            json!([]),
            json!([1, [], "é"]),
            json!({}),
            json!({ "a": 1, "\t": { "b": [true, "c"] } }),
        ];
        for value in values {
            let len = value.to_string().len();
            assert_eq!(json_len(&value), len, "{value}");
            assert!(!json_is_over(&value, len), "{value}");
            assert!(json_is_over(&value, len - 1), "{value}");
        }
    }
}
