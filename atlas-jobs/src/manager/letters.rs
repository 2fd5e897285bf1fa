//! Dead letters: jobs that ended without a result, found and sent round again.

use super::{JobManager, ManagerError};
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::store::{CommandOutcome, CommandRequest, Filter, JobCommand, ListOptions, Order, Page};
use atlas_schema::{JobRecord, JobStatus};
use std::time::Duration;

/// The ends that a redrive leaves.
const REDRIVABLE: [JobStatus; 3] = [JobStatus::Failed, JobStatus::Cancelled, JobStatus::Timeout];
/// So many jobs are redriven by one call of the store.
const PAGE: usize = 500;

/// Which jobs are sent round again, and how.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedriveOptions {
    /// Which jobs. Without statuses it means all that failed, were cancelled or timed out; completed ones never match.
    pub filter: Filter,
    /// Why: at most 1000 characters. It stands in the history of each.
    pub reason: String,
    /// At most so many; default no limit.
    pub limit: Option<u64>,
    /// Each job starts at a random time within so long, so that what was down is not run over. Default zero.
    pub spread: Duration,
}

impl RedriveOptions {
    /// All that match, at once.
    pub fn new(filter: Filter, reason: impl Into<String>) -> Self {
        Self { filter, reason: reason.into(), limit: None, spread: Duration::ZERO }
    }

    /// At most so many.
    #[must_use]
    pub const fn with_limit(mut self, jobs: u64) -> Self {
        self.limit = Some(jobs);
        self
    }

    /// At random times within so long.
    #[must_use]
    pub const fn with_spread(mut self, spread: Duration) -> Self {
        self.spread = spread;
        self
    }
}

/// What was sent round again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redriven {
    /// So many jobs wait again.
    pub redriven: u64,
    /// So many had changed by then, and stayed as they were.
    pub unchanged: u64,
    /// The limit was reached: there may be more.
    pub more: bool,
}

impl JobManager {
    /// One page of the jobs that failed for good, newest first; `filter`'s statuses are set.
    ///
    /// # Errors
    /// The store's.
    pub async fn dead_letters(
        &self,
        filter: Filter,
        limit: usize,
        cursor: Option<Cursor>,
    ) -> Result<Page<JobRecord>, StoreError> {
        let filter = filter.with_statuses([JobStatus::Failed]);
        self.list(ListOptions::new(filter).with_limit(limit).with_cursor(cursor)).await
    }

    /// Sends jobs round again, page after page, oldest first. Each by itself is whole; after an error, those before it
    /// are done, and the call may be repeated.
    ///
    /// # Errors
    /// The store's, or [`ManagerError::Rejected`] for a reason of over 1000 characters.
    pub async fn redrive_many(&self, options: RedriveOptions) -> Result<Redriven, ManagerError> {
        crate::state::at_most(&options.reason, "a reason", 0, crate::state::MAX_REASON_CHARS)?;
        let mut filter = options.filter;
        filter.statuses = match filter.statuses.as_slice() {
            [] => REDRIVABLE.to_vec(),
            some => some.iter().copied().filter(|status| REDRIVABLE.contains(status)).collect(),
        };
        let mut report = Redriven::default();
        if filter.statuses.is_empty() {
            return Ok(report);
        }
        let mut list = ListOptions::new(filter).with_order(Order::OldestFirst);
        loop {
            let left = options.limit.map(|limit| limit.saturating_sub(report.redriven));
            let left = left.map_or(PAGE, |left| usize::try_from(left).unwrap_or(PAGE).min(PAGE));
            if left == 0 {
                report.more = true;
                return Ok(report);
            }
            list.limit = left;
            let page = self.store.list(list.clone()).await?;
            let request = |job: &JobRecord| CommandRequest {
                job: job.id,
                if_version: Some(job.version),
                command: JobCommand::Redrive { reason: options.reason.clone(), delay: self.within(options.spread) },
            };
            let requests: Vec<_> = page.items.iter().map(request).collect();
            if !requests.is_empty() {
                for outcome in self.store.command(requests, self.actor.clone(), self.clock.now()).await? {
                    match outcome {
                        CommandOutcome::Applied { .. } => report.redriven += 1,
                        CommandOutcome::Rejected(_) | CommandOutcome::NotFound => report.unchanged += 1,
                    }
                }
            }
            if page.next.is_none() {
                return Ok(report);
            }
            list.cursor = page.next;
        }
    }

    /// A random time of at most so long.
    fn within(&self, spread: Duration) -> Duration {
        let millis = u64::try_from(spread.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random.u64() % millis.saturating_add(1).max(1))
    }
}
