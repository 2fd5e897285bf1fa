//! Ids: what names a job, a worker, a queue. Ours are `UUIDv7` (time-ordered); ids from elsewhere are external ids.

use crate::macros::text_id;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text does not match the rule of its id type. Carries the rule, never the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {min} to {max} characters matching {pattern}")]
pub struct InvalidId {
    what: &'static str,
    min: usize,
    max: usize,
    pattern: &'static str,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, min: usize, max: usize, pattern: &'static str) -> Self {
        Self { what, min, max, pattern }
    }
}

/// The key of a job: a `UUID`, version 7 for jobs made here, so that keys sort by creation time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct JobId(Uuid);

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::from_str(&text).map_err(serde::de::Error::custom)
    }
}

impl JobId {
    /// Before every other id.
    pub const MIN: Self = Self(Uuid::nil());
    /// After every other id.
    pub const MAX: Self = Self(Uuid::max());

    /// A version 7 id from a time and ten random bytes; the same inputs give the same id.
    pub fn from_parts(at: Timestamp, random: [u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// Wraps a `UUID` made elsewhere, of any version.
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The id of these sixteen bytes: the inverse of [`as_bytes`](Self::as_bytes).
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The `UUID`.
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    /// The sixteen bytes, big-endian: they sort as the id does.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

/// SHA-256 of an external id: the same id gives the same key everywhere.
pub(crate) fn digest(id: &ExternalId) -> [u8; 32] {
    sha2::Sha256::digest(id.as_str()).into()
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({})", self.0.as_hyphenated())
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    /// Reads the canonical spelling only: lower-case, hyphenated, 36 characters.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let rule = || InvalidId::new("job id", 36, 36, UUID_PATTERN);
        let uuid = Uuid::try_parse(text).map_err(|_| rule())?;
        let id = Self(uuid);
        if id.to_string() == text { Ok(id) } else { Err(rule()) }
    }
}

const UUID_PATTERN: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

impl JsonSchema for JobId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "JobId".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "minLength": 36, "maxLength": 36, "pattern": UUID_PATTERN })
    }
}

const fn word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}
const fn lower_word(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.')
}
const fn graphic(b: u8) -> bool {
    matches!(b, b'!'..=b'~')
}

text_id!(
    /// The id by which the outside knows a job: 1 to 128 of `[a-zA-Z0-9_-]`. Legacy ids live here.
    ExternalId, what: "external id", min: 1, max: 128, pattern: "^[a-zA-Z0-9_-]+$", char: word);
text_id!(
    /// What sort of work a job is, such as `extract` or `webhook`. Hosts have kinds of their own.
    JobKind, what: "job kind", min: 1, max: 64, pattern: "^[a-z0-9_.-]+$", char: lower_word);
text_id!(
    /// The queue a job waits in. Workers claim from named queues.
    QueueName, what: "queue name", min: 1, max: 64, pattern: "^[a-z0-9_.-]+$", char: lower_word);
text_id!(
    /// Whose job it is. Listings and budgets are per tenant; single-tenant hosts use `default`.
    TenantId, what: "tenant id", min: 1, max: 64, pattern: "^[a-zA-Z0-9_-]+$", char: word);
text_id!(
    /// One worker process. Random per process, never a host name: a restarted host is another worker.
    WorkerId, what: "worker id", min: 1, max: 64, pattern: "^[a-zA-Z0-9_-]+$", char: word);
text_id!(
    /// A caller's key for one intended job: the same key enqueues once. Printable ASCII, no blanks.
    IdempotencyKey, what: "idempotency key", min: 1, max: 255, pattern: "^[!-~]+$", char: graphic);
text_id!(
    /// The strategy that produced a result, such as `direct`. Legacy processing methods fit here too.
    StrategyName, what: "strategy name", min: 1, max: 128, pattern: "^[a-zA-Z0-9_-]+$", char: word);

impl StrategyName {
    /// `direct`: the engine's built-in strategy that needs no model.
    pub fn direct() -> Self {
        Self("direct".into())
    }
}

impl Default for QueueName {
    /// `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

impl Default for TenantId {
    /// `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

impl JobKind {
    /// `extract`: a job whose payload is an [`ExtractionRequest`](crate::ExtractionRequest).
    pub fn extract() -> Self {
        Self("extract".into())
    }

    /// `webhook`: a job that tells an address of an event.
    pub fn webhook() -> Self {
        Self("webhook".into())
    }

    /// `batch`: the parent of other jobs. No worker takes it; it ends when its children have.
    pub fn batch() -> Self {
        Self("batch".into())
    }

    /// `schedule`: work that is due again and again. No worker takes it; its ticks are jobs of their own.
    pub fn schedule() -> Self {
        Self("schedule".into())
    }

    /// `schedule.tick`: the next time of a schedule.
    pub fn schedule_tick() -> Self {
        Self("schedule.tick".into())
    }
}

impl WorkerId {
    /// Holds the leases, all over, of jobs that were processing when they were migrated.
    pub(crate) fn migration() -> Self {
        Self("migration".into())
    }
}

impl ExternalId {
    /// The key of a job made here, as the outside knows it.
    pub fn of_job(id: JobId) -> Self {
        Self(id.to_string().into())
    }
}
