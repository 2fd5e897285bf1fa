//! What a caller wants done, and the complete new job that a store takes.

use crate::state::{self, Applied, Reject};
use atlas_schema::{
    Actor, Callback, CorrelationId, ExternalId, IdempotencyKey, JobId, JobKind, JobRecord, JobStatus, QueueName,
    SchemaVersion, Stage, TenantId, Timestamp, Usd,
};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// What a caller wants done. The manager fills in what is left out.
///
/// # Example: the same key enqueues once
/// ```
/// use atlas_jobs::JobSpec;
/// use atlas_schema::{IdempotencyKey, JobKind};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let spec = JobSpec::new(JobKind::new("greet")?, &serde_json::json!({ "name": "Ann" }))?
///     .with_idempotency_key(IdempotencyKey::new("greet:ann")?)
///     .with_max_attempts(3);
/// assert_eq!(spec.kind.as_str(), "greet");
/// # Ok(()) }
/// ```
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct JobSpec {
    /// The key; default a fresh version 7 `UUID`.
    pub id: Option<JobId>,
    /// An id from elsewhere, unique per tenant.
    pub external_id: Option<ExternalId>,
    /// What sort of work.
    pub kind: JobKind,
    /// The queue; default `default`.
    pub queue: QueueName,
    /// Whose it is; default `default`.
    pub tenant: TenantId,
    /// At most so many attempts, 1 to 1000; default 5.
    pub max_attempts: u32,
    /// Higher runs first; default 0.
    pub priority: i16,
    /// Not before this time; default now.
    pub run_at: Option<Timestamp>,
    /// Not after this time, however many attempts are left.
    pub deadline: Option<Timestamp>,
    /// For one attempt; at least 1 ms.
    pub attempt_timeout: Option<Duration>,
    /// Whom to tell when it ends.
    pub callback: Option<Callback>,
    /// The batch it is part of.
    pub parent: Option<JobId>,
    /// The caller's key, unique per tenant: the same key with the same body enqueues once.
    pub idempotency_key: Option<IdempotencyKey>,
    /// At most so much money.
    pub cost_cap: Option<Usd>,
    /// The request that caused it; default a fresh id.
    pub correlation_id: Option<CorrelationId>,
    /// What to do.
    pub payload: Value,
}

impl JobSpec {
    /// A job of `kind` with the defaults, due now.
    ///
    /// # Errors
    /// The serializer's, if `payload` has no JSON form.
    pub fn new(kind: JobKind, payload: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::of_value(kind, serde_json::to_value(payload)?))
    }

    /// The same, for a payload that is JSON already.
    pub fn of_value(kind: JobKind, payload: Value) -> Self {
        Self {
            id: None,
            external_id: None,
            kind,
            queue: QueueName::default(),
            tenant: TenantId::default(),
            max_attempts: 5,
            priority: 0,
            run_at: None,
            deadline: None,
            attempt_timeout: None,
            callback: None,
            parent: None,
            idempotency_key: None,
            cost_cap: None,
            correlation_id: None,
            payload,
        }
    }

    /// With a key of the caller's own making.
    #[must_use]
    pub const fn with_id(mut self, id: JobId) -> Self {
        self.id = Some(id);
        self
    }

    /// With an id from elsewhere.
    #[must_use]
    pub fn with_external_id(mut self, id: ExternalId) -> Self {
        self.external_id = Some(id);
        self
    }

    /// In another queue than `default`.
    #[must_use]
    pub fn with_queue(mut self, queue: QueueName) -> Self {
        self.queue = queue;
        self
    }

    /// For another tenant than `default`.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = tenant;
        self
    }

    /// With another number of attempts than 5.
    #[must_use]
    pub const fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// With another priority than 0: higher runs first.
    #[must_use]
    pub const fn with_priority(mut self, priority: i16) -> Self {
        self.priority = priority;
        self
    }

    /// Not before `at`.
    #[must_use]
    pub const fn with_run_at(mut self, at: Timestamp) -> Self {
        self.run_at = Some(at);
        self
    }

    /// Not after `at`.
    #[must_use]
    pub const fn with_deadline(mut self, at: Timestamp) -> Self {
        self.deadline = Some(at);
        self
    }

    /// At most so long per attempt.
    #[must_use]
    pub const fn with_attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = Some(timeout);
        self
    }

    /// Tells `callback` when the job ends.
    #[must_use]
    pub fn with_callback(mut self, callback: Callback) -> Self {
        self.callback = Some(callback);
        self
    }

    /// As part of a batch.
    #[must_use]
    pub const fn with_parent(mut self, parent: JobId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Enqueued once per key and tenant.
    #[must_use]
    pub fn with_idempotency_key(mut self, key: IdempotencyKey) -> Self {
        self.idempotency_key = Some(key);
        self
    }

    /// At most so much money over all attempts.
    #[must_use]
    pub const fn with_cost_cap(mut self, cap: Usd) -> Self {
        self.cost_cap = Some(cap);
        self
    }

    /// Tied to the request that caused it.
    #[must_use]
    pub fn with_correlation_id(mut self, id: CorrelationId) -> Self {
        self.correlation_id = Some(id);
        self
    }
}

/// A complete job that is not in a store yet. Made by the manager, or here by hosts that enqueue without one.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    record: JobRecord,
    actor: Actor,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Enqueued,
    Migrated,
}

impl NewJob {
    /// Completes a spec: `id` and `correlation` stand in where it names none. Times are set by [`apply`](Self::apply).
    pub fn new(spec: JobSpec, stage: Stage, id: JobId, correlation: CorrelationId) -> Self {
        let unset = Timestamp::MIN;
        let millis = |timeout: Duration| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let record = JobRecord {
            schema_version: SchemaVersion::CURRENT,
            id: spec.id.unwrap_or(id),
            external_id: spec.external_id,
            kind: spec.kind,
            queue: spec.queue,
            tenant: spec.tenant,
            stage,
            status: JobStatus::Pending,
            version: 1,
            epoch: 0,
            attempt: 0,
            max_attempts: spec.max_attempts,
            priority: spec.priority,
            run_at: spec.run_at.unwrap_or(unset),
            deadline: spec.deadline,
            attempt_timeout_ms: spec.attempt_timeout.map(millis),
            lease: None,
            callback: spec.callback,
            parent: spec.parent,
            idempotency_key: spec.idempotency_key,
            cancel_requested: None,
            cost_cap: spec.cost_cap,
            correlation_id: spec.correlation_id.unwrap_or(correlation),
            created_at: unset,
            updated_at: unset,
            started_at: None,
            finished_at: None,
            progress: None,
            payload: spec.payload,
            result: None,
            error: None,
        };
        Self { record, actor: Actor::Caller {}, origin: Origin::Enqueued }
    }

    /// A job from elsewhere, stored as it is, with its own times. One that is `processing` goes to the next worker at
    /// the first sweep.
    pub const fn migrated(record: JobRecord) -> Self {
        Self { record, actor: Actor::Migration {}, origin: Origin::Migrated }
    }

    /// The same, made by someone else than a caller: a batch, a schedule.
    #[must_use]
    pub fn with_actor(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// The key.
    pub const fn id(&self) -> JobId {
        self.record.id
    }

    /// Whether it comes from elsewhere, with a state and times of its own.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "only a store that writes in sets asks"))]
    pub(crate) const fn is_migrated(&self) -> bool {
        matches!(self.origin, Origin::Migrated)
    }

    /// The record as far as it is known before it is stored.
    pub const fn record(&self) -> &JobRecord {
        &self.record
    }

    /// The first version of the record, and its event.
    ///
    /// # Errors
    /// [`Reject`] for a spec outside its limits, or a migrated record that breaks an invariant.
    pub fn apply(self, now: Timestamp) -> Result<Applied, Reject> {
        match self.origin {
            Origin::Enqueued => state::enqueue(self.record, now, self.actor),
            Origin::Migrated => state::import(self.record, now, self.actor),
        }
    }
}
