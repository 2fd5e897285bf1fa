//! Pages of jobs and of history.

use crate::cursor::Cursor;
use atlas_schema::{JobId, JobKind, JobRecord, JobStatus, QueueName, TenantId, Timestamp};

/// The most items of one page, one claim or one sweep.
pub const MAX_PAGE: usize = 1000;

/// The most arrays and objects within each other in a payload or a result: one level less than
/// [`MAX_DEPTH`](atlas_schema::read::MAX_DEPTH), which leaves one for the record around it.
pub const MAX_NESTING: usize = atlas_schema::read::MAX_DEPTH - 1;

/// Which jobs. Empty means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// In this queue.
    pub queue: Option<QueueName>,
    /// Of this kind.
    pub kind: Option<JobKind>,
    /// In one of these statuses; empty means any.
    pub statuses: Vec<JobStatus>,
    /// Children of this batch.
    pub parent: Option<JobId>,
    /// Created at this time or later.
    pub created_from: Option<Timestamp>,
    /// Created before this time.
    pub created_before: Option<Timestamp>,
}

impl Filter {
    /// Whether a record matches.
    pub fn matches<P>(&self, record: &JobRecord<P>) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == record.tenant)
            && self.queue.as_ref().is_none_or(|queue| *queue == record.queue)
            && self.kind.as_ref().is_none_or(|kind| *kind == record.kind)
            && (self.statuses.is_empty() || self.statuses.contains(&record.status))
            && self.parent.is_none_or(|parent| record.parent == Some(parent))
            && self.created_from.is_none_or(|from| record.created_at >= from)
            && self.created_before.is_none_or(|before| record.created_at < before)
    }

    /// Of one tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// In one queue.
    #[must_use]
    pub fn with_queue(mut self, queue: QueueName) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Of one kind.
    #[must_use]
    pub fn with_kind(mut self, kind: JobKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// In one of these statuses.
    #[must_use]
    pub fn with_statuses(mut self, statuses: impl Into<Vec<JobStatus>>) -> Self {
        self.statuses = statuses.into();
        self
    }

    /// Children of one batch.
    #[must_use]
    pub const fn with_parent(mut self, parent: JobId) -> Self {
        self.parent = Some(parent);
        self
    }

    /// Created at `from` or later.
    #[must_use]
    pub const fn with_created_from(mut self, from: Timestamp) -> Self {
        self.created_from = Some(from);
        self
    }

    /// Created before `before`.
    #[must_use]
    pub const fn with_created_before(mut self, before: Timestamp) -> Self {
        self.created_before = Some(before);
        self
    }
}

/// Which way a list runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// The latest creation time first.
    #[default]
    NewestFirst,
    /// The earliest creation time first.
    OldestFirst,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListOptions {
    /// Which jobs.
    pub filter: Filter,
    /// Which way.
    pub order: Order,
    /// At most so many, 1 to [`MAX_PAGE`]; default 100.
    pub limit: usize,
    /// Where the last page ended. Filter and order must be the same as then.
    pub cursor: Option<Cursor>,
    /// Jobs that can't be read are left out, and reported in the log; default false: one that may belong in the page fails it.
    pub readable_only: bool,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self { filter: Filter::default(), order: Order::default(), limit: 100, cursor: None, readable_only: false }
    }
}

impl ListOptions {
    /// The first page of the jobs that match.
    pub fn new(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    /// The other way round.
    #[must_use]
    pub const fn with_order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// With another page size.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The page after.
    #[must_use]
    pub fn with_cursor(mut self, cursor: Option<Cursor>) -> Self {
        self.cursor = cursor;
        self
    }

    /// Without jobs that can't be read: for upkeep, which must not stop for one of them.
    #[must_use]
    pub const fn with_readable_only(mut self) -> Self {
        self.readable_only = true;
        self
    }
}

/// Some items and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items; there may be fewer than the limit, even none, before the end.
    pub items: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// One page of a job's audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryOptions {
    /// Which job.
    pub job: JobId,
    /// At most so many, 1 to [`MAX_PAGE`]; default 1000.
    pub limit: usize,
    /// Where the last page ended.
    pub cursor: Option<Cursor>,
}

impl HistoryOptions {
    /// From the beginning.
    pub const fn new(job: JobId) -> Self {
        Self { job, limit: MAX_PAGE, cursor: None }
    }

    /// With another page size.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The page after.
    #[must_use]
    pub fn with_cursor(mut self, cursor: Option<Cursor>) -> Self {
        self.cursor = cursor;
        self
    }
}
