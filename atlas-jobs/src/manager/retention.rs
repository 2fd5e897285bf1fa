//! Deleting what is old enough, page after page.

use super::JobManager;
use crate::error::StoreError;
use crate::retention::{Cut, Retained, RetentionPolicy};
use crate::store::{Filter, ListOptions, Order, Purge, PurgeOptions, Scope};
use atlas_schema::{JobId, JobKind, JobStatus, Timestamp};
use tokio_util::sync::CancellationToken;

impl JobManager {
    /// Deletes what a policy no longer keeps, in pages of 1000. Other callers get their turn between pages.
    ///
    /// Ages are reckoned by the manager's clock, and by the store's too if it has one of its own, as PostgreSQL has: nothing
    /// is deleted there because this host's clock is ahead.
    ///
    /// # Errors
    /// The store's. What was deleted before stays deleted; the call may be repeated.
    pub async fn retain(&self, policy: &RetentionPolicy) -> Result<Retained, StoreError> {
        self.retain_until(policy, &CancellationToken::new()).await
    }

    /// The same, ending early once `stop` fires.
    pub(crate) async fn retain_until(
        &self,
        policy: &RetentionPolicy,
        stop: &CancellationToken,
    ) -> Result<Retained, StoreError> {
        let now = self.clock.now().wall;
        let mut report = Retained::default();
        let Some(youngest) = policy.cuts(now, None).map(|cut| cut.before).max() else { return Ok(report) };
        let open = self.oldest_open_batch(youngest, stop).await?;
        let made = match open {
            Open::Since(id, made) => {
                report.held_back_by = Some(id);
                Some(made)
            }
            Open::None | Open::Unreadable => None,
        };
        for Cut { status, before, keep } in policy.cuts(now, made) {
            // Nobody can say when a batch was made that can't be read, but whether it was before then.
            let unreadable = |open: Open| matches!(open, Open::Unreadable);
            if unreadable(open) && unreadable(self.oldest_open_batch(before, stop).await?) {
                report.held_back_by_unreadable = true;
                continue;
            }
            let options = PurgeOptions::new(Purge::Ended { status, before }).with_least_age(keep);
            while !stop.is_cancelled() {
                let purged = self.store.purge(options.clone()).await?;
                report.count(status, purged.jobs);
                if !purged.more {
                    break;
                }
                crate::turn::give_way().await;
            }
        }
        Ok(report)
    }

    /// The oldest batch that has not ended and was made before `before`. A younger one has no child that ended so early.
    async fn oldest_open_batch(&self, before: Timestamp, stop: &CancellationToken) -> Result<Open, StoreError> {
        if self.store.statistics(Scope::default().with_kind(JobKind::batch())).await?.unfinished() == 0 {
            return Ok(Open::None);
        }
        let filter = Filter::default().with_kind(JobKind::batch()).with_created_before(before);
        let filter = filter.with_statuses([JobStatus::Pending, JobStatus::Processing]);
        let mut options = ListOptions::new(filter).with_order(Order::OldestFirst).with_limit(1);
        loop {
            let page = match self.store.list(options.clone()).await {
                Err(error) if error.is_in_one_row() => {
                    tracing::error!(%error, "an open batch can't be read: what may be of its children is kept until it is mended \
                        or discarded");
                    return Ok(Open::Unreadable);
                }
                page => page?,
            };
            if let Some(batch) = page.items.first() {
                return Ok(Open::Since(batch.id, batch.created_at));
            }
            if page.next.is_none() || stop.is_cancelled() {
                return Ok(Open::None);
            }
            options.cursor = page.next;
        }
    }
}

/// Whether a batch is open that has to count its children before they go.
#[derive(Clone, Copy)]
enum Open {
    None,
    /// Made then.
    Since(JobId, Timestamp),
    /// The oldest can't be read.
    Unreadable,
}
