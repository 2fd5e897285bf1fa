//! What must follow from a transition, written with it: the outbox.

use atlas_schema::{AuditEvent, JobId, JobKind, JobRecord, TenantId};
use serde::{Deserialize, Serialize};

/// One thing that must follow from a transition. Delivered at least once; [`key`](Self::key) tells repeats apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// What is to be done.
    pub topic: OutboxTopic,
    /// The transition that caused it.
    pub event: AuditEvent,
}

impl OutboxEntry {
    /// Names this entry and no other: job, version and topic, such as `<uuid>:7:callback`.
    pub fn key(&self) -> String {
        format!("{}:{}:{}", self.event.job, self.event.version, self.topic.as_str())
    }
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutboxTopic {
    /// Tell this address that the job ended.
    Callback {
        /// An absolute `http` or `https` address.
        url: String,
        /// Whose the job was: it may be deleted before it is told of. `None` in entries of an older release, and of jobs
        /// that came in by SQL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tenant: Option<TenantId>,
    },
    /// Tell the batch that one of its children ended.
    ChildEnded {
        /// The batch.
        parent: JobId,
    },
    /// See to the children of this batch: it has ended.
    BatchEnded {},
}

impl OutboxTopic {
    /// The name by which consumers choose topics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Callback { .. } => "callback",
            Self::ChildEnded { .. } => "child_ended",
            Self::BatchEnded {} => "batch_ended",
        }
    }
}

/// What follows from `event`, which led to `record`.
pub(super) fn follow<P>(record: &JobRecord<P>, event: &AuditEvent) -> Vec<OutboxEntry> {
    if !record.status.is_terminal() {
        return Vec::new();
    }
    topics(record).map(|topic| OutboxEntry { topic, event: event.clone() }).collect()
}

/// What follows from the end of `record`, however it ends.
pub(crate) fn topics<P>(record: &JobRecord<P>) -> impl Iterator<Item = OutboxTopic> {
    let callback = record
        .callback
        .as_ref()
        .map(|callback| OutboxTopic::Callback { url: callback.url.clone(), tenant: Some(record.tenant.clone()) });
    let parent = record.parent.map(|parent| OutboxTopic::ChildEnded { parent });
    let batch = (record.kind == JobKind::batch()).then_some(OutboxTopic::BatchEnded {});
    callback.into_iter().chain(parent).chain(batch)
}
