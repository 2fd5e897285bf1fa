//! Where a page ended: opaque to callers, checked when it comes back.

use crate::store::{ListOptions, Order};
use atlas_schema::{JobId, Timestamp};
use std::fmt;
use std::str::FromStr;

/// Where a page ended. A text of at most 128 characters that a caller may keep or pass on, and must not take apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Box<str>);

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is 1 to 128 characters of [a-z0-9.-]: pass back the one that came with the last page")]
pub struct InvalidCursor;

/// A cursor that belongs to another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not one of this list: start again without a cursor, with the same filter and order throughout")]
pub struct ForeignCursor;

impl Cursor {
    /// For stores: wraps a text of their own.
    ///
    /// # Errors
    /// [`InvalidCursor`] outside 1 to 128 of `[a-z0-9.-]`.
    pub fn new(text: &str) -> Result<Self, InvalidCursor> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidCursor)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For stores: after the job with this creation time and id, in the list that `options` describe.
    pub fn after_job(options: &ListOptions, created_at: Timestamp, id: JobId) -> Self {
        Self(format!("l1.{:016x}.{}.{}", fingerprint(options), created_at.as_millis(), id).into())
    }

    /// For stores: the place that [`after_job`](Self::after_job) wrote.
    ///
    /// # Errors
    /// [`ForeignCursor`] if it was made for another filter or order, or made up.
    pub fn job(&self, options: &ListOptions) -> Result<(Timestamp, JobId), ForeignCursor> {
        let mut parts = self.0.splitn(4, '.');
        let form = parts.next() == Some("l1");
        let list = parts.next() == Some(format!("{:016x}", fingerprint(options)).as_str());
        let at = parts.next().and_then(|at| at.parse().ok()).and_then(|at| Timestamp::from_millis(at).ok());
        let id = parts.next().and_then(|id| JobId::from_str(id).ok());
        at.zip(id).filter(|_| form && list).ok_or(ForeignCursor)
    }

    /// For stores: after this version of a job's history.
    pub fn after_version(job: JobId, version: u64) -> Self {
        Self(format!("h1.{job}.{version}").into())
    }

    /// For stores: the place that [`after_version`](Self::after_version) wrote.
    ///
    /// # Errors
    /// [`ForeignCursor`] if it was made for another job, or made up.
    pub fn version(&self, job: JobId) -> Result<u64, ForeignCursor> {
        let own = self.0.strip_prefix(&format!("h1.{job}.")).ok_or(ForeignCursor)?;
        own.parse().map_err(|_| ForeignCursor)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;
    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        Self::new(text)
    }
}

/// FNV-1a over filter and order: stable across processes and releases, and no secret.
fn fingerprint(options: &ListOptions) -> u64 {
    let filter = &options.filter;
    let statuses: Vec<&str> = filter.statuses.iter().map(|status| status.as_str()).collect();
    let parts = [
        filter.tenant.as_ref().map(ToString::to_string),
        filter.queue.as_ref().map(ToString::to_string),
        filter.kind.as_ref().map(ToString::to_string),
        Some(statuses.join(",")),
        filter.parent.as_ref().map(ToString::to_string),
        filter.created_from.map(|at| at.as_millis().to_string()),
        filter.created_before.map(|at| at.as_millis().to_string()),
        Some(if options.order == Order::NewestFirst { "n" } else { "o" }.to_string()),
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        let text = part.map_or_else(|| "\u{0}".to_string(), |part| format!("{part}\u{1}"));
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
