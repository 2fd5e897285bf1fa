//! Where a given-up delivery is kept: a failed job of kind `webhook`, which can be listed and redriven like any other.

use super::event::WebhookEvent;
use super::handler::{InvalidWebhook, WebhookJob, category};
use super::sender::SendError;
use crate::clock::Moment;
use crate::error::{Kind, StoreError};
use crate::random::Random;
use crate::spec::NewJob;
use crate::store::{CommandRequest, Enqueued, JobCommand, JobStore};
use atlas_schema::{Actor, CorrelationId, IdempotencyKey, JobError, JobId, QueueName, TenantId, Timestamp};
use std::time::Duration;

/// The letter waits so long before a worker could take it, should this process die before it is marked as failed.
const UNTAKEN: Duration = Duration::from_hours(1);

/// Why a letter could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum LetterError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Invalid(#[from] InvalidWebhook),
    #[error("the store refused the dead letter: {0}")]
    Refused(#[from] crate::state::Reject),
}

/// A delivery that is given up.
pub(super) struct Letter<'a> {
    pub(super) key: &'a str,
    /// When its job ended.
    pub(super) ended_at: Timestamp,
    pub(super) url: &'a str,
    /// The event in full, and what stands for it if the store takes no letter so large.
    pub(super) events: [WebhookEvent; 2],
    pub(super) tenant: TenantId,
    pub(super) queue: QueueName,
    pub(super) correlation: CorrelationId,
}

/// Keeps the letter, once: its key is the outbox entry's, so that a repeat after a crash finds it there. With the time of the
/// end: a purged job's id may be used again, and then so is the entry's key, for another letter.
pub(super) async fn keep(
    store: &dyn JobStore,
    letter: Letter<'_>,
    why: &SendError,
    random: &Random,
    now: Moment,
) -> Result<JobId, LetterError> {
    let Letter { key, ended_at, url, events, tenant, queue, correlation } = letter;
    let mut refused: LetterError = StoreError::new(Kind::Internal, "job", "enqueue").into();
    let mut kept = None;
    for event in events {
        let spec = WebhookJob::kept(url, event, key).spec()?.with_tenant(tenant.clone()).with_queue(queue.clone());
        let mut spec = spec.with_run_at(now.wall.saturating_add(UNTAKEN)).with_correlation_id(correlation.clone());
        spec.idempotency_key = IdempotencyKey::new(format!("webhook:{key}:{}", ended_at.as_millis())).ok();
        let job = NewJob::new(spec, store.stage(), random.job_id(now.wall), random.correlation_id());
        match store.enqueue(vec![job], now).await?.pop() {
            Some(Enqueued::Created { id } | Enqueued::Existing { id } | Enqueued::Conflict { id, .. }) => {
                kept = Some(id);
                break;
            }
            Some(Enqueued::Refused(reject)) => refused = reject.into(),
            None => {}
        }
    }
    let id = kept.ok_or(refused)?;
    let error = JobError { category: category(why.kind()), message: why.to_string() };
    let request = CommandRequest { job: id, if_version: None, command: JobCommand::Abandon { error } };
    // Refused if it has ended already, or someone redrove it: then it is where it should be.
    store.command(vec![request], Actor::Caller {}, now).await?;
    Ok(id)
}
