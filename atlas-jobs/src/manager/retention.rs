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
        report.held_back_by = open.map(|(id, _)| id);
        for Cut { status, before, keep } in policy.cuts(now, open.map(|(_, made)| made)) {
            let options = PurgeOptions::new(Purge::Ended { status, before }).with_least_age(keep);
            while !stop.is_cancelled() {
                let purged = self.store.purge(options.clone()).await?;
                report.count(status, purged.jobs);
                if !purged.more {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        Ok(report)
    }

    /// The oldest batch that has not ended and was made before `before`. A younger one has no child that ended so early.
    async fn oldest_open_batch(
        &self,
        before: Timestamp,
        stop: &CancellationToken,
    ) -> Result<Option<(JobId, Timestamp)>, StoreError> {
        if self.store.statistics(Scope::default().with_kind(JobKind::batch())).await?.unfinished() == 0 {
            return Ok(None);
        }
        let filter = Filter::default().with_kind(JobKind::batch()).with_created_before(before);
        let filter = filter.with_statuses([JobStatus::Pending, JobStatus::Processing]);
        let mut options = ListOptions::new(filter).with_order(Order::OldestFirst).with_limit(1);
        // A batch that can't be read must not hold back everything for as long as it is damaged.
        options = options.with_readable_only();
        loop {
            let page = self.store.list(options.clone()).await?;
            if let Some(batch) = page.items.first() {
                return Ok(Some((batch.id, batch.created_at)));
            }
            if page.next.is_none() || stop.is_cancelled() {
                return Ok(None);
            }
            options.cursor = page.next;
        }
    }
}
