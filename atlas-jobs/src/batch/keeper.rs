//! The keeper: looks at a batch whenever a child of it ended, and ends it when its rule says so.

use super::{BatchRule, Counts, Decision, Plan, decide};
use crate::clock::{Clock, Moment, SystemClock};
use crate::cursor::Cursor;
use crate::error::StoreError;
use crate::state::OutboxTopic;
use crate::store::{
    CommandOutcome, CommandRequest, Delivery, Filter, JobCommand, JobRef, JobStore, JobStoreExt, ListOptions, MAX_PAGE,
    Order, OutboxExchange, OutboxItem, Scope, Settlement,
};
use atlas_schema::{Actor, AuditEvent, ErrorCategory, JobError, JobId, JobKind, JobRecord, JobStatus};
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a hint is hidden from other keepers while this one looks at its batch.
const VISIBILITY: Duration = Duration::from_secs(30);
/// The most pages that one safety pass looks at; the next pass goes on from there.
const PAGES: usize = 16;
/// A hint whose batch can't be read is looked at again after so long: damage is for people to mend.
const DAMAGED: Duration = Duration::from_mins(5);
/// How long a running child has to answer a cancel that came from its batch.
const ANSWER: Duration = Duration::from_secs(30);

/// Ends batches. Any number of keepers may share a store: what one does, another finds done.
///
/// [`Maintenance`](crate::Maintenance) runs one. Hints that children ended come through the outbox, at least once; a
/// safety pass over the open batches makes good what a lost hint, or a wrong clock, left behind.
#[derive(Debug)]
pub struct BatchKeeper {
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    /// Where the safety pass goes on.
    at: Mutex<Option<Cursor>>,
}

/// What a keeper did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeeperReport {
    /// Hints taken from the outbox.
    pub hints: u64,
    /// Batches that were completed.
    pub concluded: u64,
    /// Batches whose rule could not be met.
    pub abandoned: u64,
    /// Children that were stopped, or asked to stop.
    pub cancelled: u64,
}

impl KeeperReport {
    pub(crate) const fn add(&mut self, other: Self) {
        self.hints += other.hints;
        self.concluded += other.concluded;
        self.abandoned += other.abandoned;
        self.cancelled += other.cancelled;
    }
}

impl BatchKeeper {
    /// Over `store`, with the clocks of the operating system.
    pub fn new(store: Arc<dyn JobStore>) -> Self {
        Self::with_clock(store, Arc::new(SystemClock::new()))
    }

    /// Over `store`, with clocks of the caller's.
    pub fn with_clock(store: Arc<dyn JobStore>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, at: Mutex::new(None) }
    }

    /// Looks at every batch of which a hint is due, until there are no more hints.
    ///
    /// # Errors
    /// The store's. What was not seen to is hinted at again.
    pub async fn tend(&self) -> Result<KeeperReport, StoreError> {
        let mut report = KeeperReport::default();
        self.tend_into(&mut report).await?;
        Ok(report)
    }

    /// The same, with what is done noted as it is done. Dropping it loses nothing: what was not seen to is hinted at again.
    pub(crate) async fn tend_into(&self, report: &mut KeeperReport) -> Result<(), StoreError> {
        let mut settlements = Vec::new();
        loop {
            let topics = vec!["child_ended", "batch_ended"];
            let exchange = OutboxExchange::new(topics, MAX_PAGE, VISIBILITY, self.clock.now());
            let items = self.store.outbox(exchange.with_settlements(std::mem::take(&mut settlements))).await?;
            if items.is_empty() {
                return Ok(());
            }
            report.hints += u64::try_from(items.len()).unwrap_or(0);
            let damaged = self.follow(&items, report).await?;
            let settled = |item: &OutboxItem| {
                let later = batch_of(item).is_some_and(|batch| damaged.contains(&batch));
                let delivery = if later { Delivery::Again(DAMAGED) } else { Delivery::Done };
                Settlement { key: item.entry.key(), tries: item.tries, delivery }
            };
            settlements = items.iter().map(settled).collect();
            // A store in memory never waits: others get their turn here.
            crate::turn::give_way().await;
        }
    }

    /// Looks at open batches without any hint, some thousands per call: the next call goes on where this one ended.
    ///
    /// # Errors
    /// The store's.
    pub async fn check_all(&self) -> Result<KeeperReport, StoreError> {
        let mut report = KeeperReport::default();
        self.check_into(&mut report).await?;
        Ok(report)
    }

    /// The same, with what is done noted as it is done.
    pub(crate) async fn check_into(&self, report: &mut KeeperReport) -> Result<(), StoreError> {
        // Cheap, and the usual case: nothing is open.
        if self.store.statistics(Scope::default().with_kind(JobKind::batch())).await?.unfinished() == 0 {
            return Ok(());
        }
        let filter = Filter::default().with_kind(JobKind::batch()).with_statuses([JobStatus::Pending]);
        let mut cursor = self.at.lock().unwrap_or_else(PoisonError::into_inner).take();
        for _ in 0..PAGES {
            let options = ListOptions::new(filter.clone()).with_order(Order::OldestFirst).with_limit(MAX_PAGE);
            let page = self.store.list(options.with_readable_only().with_cursor(cursor)).await?;
            for batch in page.items {
                readable(self.look_at(&batch, report).await, batch.id)?;
            }
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = cursor;
        Ok(())
    }

    /// One look per batch, however many of its children are hinted at. Gives the batches that could not be seen to.
    async fn follow(&self, items: &[OutboxItem], report: &mut KeeperReport) -> Result<BTreeSet<JobId>, StoreError> {
        let mut batches: BTreeMap<JobId, Option<&AuditEvent>> = BTreeMap::new();
        for item in items {
            if let Some(batch) = batch_of(item) {
                let ended = batches.entry(batch).or_default();
                if matches!(item.entry.topic, OutboxTopic::BatchEnded {}) {
                    *ended = Some(&item.entry.event);
                }
            }
        }
        // Parents that are no batches, or gone, need nothing.
        let (found, mut damaged) = self.read(batches.keys().copied().collect()).await?;
        for batch in found {
            let seen_to = match batches.get(&batch.id) {
                // It ended as this hint says, and has not been redriven since.
                Some(Some(event)) if batch.version == event.version => self.after(&batch, report).await,
                _ => self.look_at(&batch, report).await,
            };
            if readable(seen_to, batch.id)? != Some(Seen::Whole) {
                damaged.insert(batch.id);
            }
        }
        Ok(damaged)
    }

    /// The jobs that are there, and those that can't be read: these stand in no other's way.
    async fn read(&self, ids: Vec<JobId>) -> Result<(Vec<JobRecord>, BTreeSet<JobId>), StoreError> {
        let mut damaged = BTreeSet::new();
        match self.store.get(ids.iter().copied().map(JobRef::Id).collect()).await {
            Err(error) if error.is_in_one_row() => {}
            found => return Ok((found?.into_iter().flatten().collect(), damaged)),
        }
        let mut found = Vec::new();
        for id in ids {
            match readable(self.store.get_one(JobRef::Id(id)).await, id)? {
                Some(job) => found.extend(job),
                None => damaged.extend([id]),
            }
        }
        Ok((found, damaged))
    }

    /// Decides one batch, and acts.
    async fn look_at(&self, batch: &JobRecord, report: &mut KeeperReport) -> Result<Seen, StoreError> {
        let Some(plan) = plan(batch).filter(|_| batch.status == JobStatus::Pending) else { return Ok(Seen::Whole) };
        let now = self.clock.now();
        let counts = self.counts(batch).await?;
        match judge(batch, &plan, &counts, now) {
            Decision::Wait => {}
            Decision::Conclude => {
                let result = json!({ "children": plan.children, "counts": counts });
                if self.command(batch.id, JobCommand::Conclude { result }).await? {
                    report.concluded += 1;
                }
            }
            // A batch that was just redriven waits until its children have been, too.
            Decision::Abandon if batch.run_at > now.wall => {}
            Decision::Abandon => {
                if self.command(batch.id, JobCommand::Abandon { error: hopeless(&plan, &counts) }).await? {
                    report.abandoned += 1;
                }
            }
            Decision::CancelRest => {
                let (stopped, seen) = stop_children(&self.store, batch.id, "a part of its batch failed", now).await?;
                report.cancelled += stopped;
                // All that waited has ended by that; what runs hints when it has.
                let counts = self.counts(batch).await?;
                if judge(batch, &plan, &counts, now) == Decision::Abandon
                    && self.command(batch.id, JobCommand::Abandon { error: hopeless(&plan, &counts) }).await?
                {
                    report.abandoned += 1;
                }
                return Ok(seen);
            }
        }
        Ok(Seen::Whole)
    }

    async fn counts(&self, batch: &JobRecord) -> Result<Counts, StoreError> {
        Ok(Counts::of(&self.store.statistics(Scope::default().with_parent(batch.id)).await?))
    }

    /// Stops the children of a batch that has ended, unless they may run on.
    async fn after(&self, batch: &JobRecord, report: &mut KeeperReport) -> Result<Seen, StoreError> {
        let stop = match batch.status {
            JobStatus::Completed => plan(batch).is_some_and(|plan| plan.cancel_rest),
            status => status.is_terminal(),
        };
        if !stop {
            return Ok(Seen::Whole);
        }
        let (stopped, seen) = stop_children(&self.store, batch.id, "its batch has ended", self.clock.now()).await?;
        report.cancelled += stopped;
        Ok(seen)
    }

    /// Whether it applied: if not, someone else was faster.
    async fn command(&self, job: JobId, command: JobCommand) -> Result<bool, StoreError> {
        let request = CommandRequest { job, if_version: None, command };
        let outcomes = self.store.command(vec![request], Actor::Batch {}, self.clock.now()).await?;
        Ok(outcomes.iter().any(|outcome| matches!(outcome, CommandOutcome::Applied { .. })))
    }
}

/// Whether all of a batch was seen to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    Whole,
    /// A child that was to be stopped can't be read: again later.
    InPart,
}

/// The batch that a hint is about.
fn batch_of(item: &OutboxItem) -> Option<JobId> {
    match &item.entry.topic {
        OutboxTopic::ChildEnded { parent } => Some(*parent),
        OutboxTopic::BatchEnded {} => Some(item.entry.event.job),
        OutboxTopic::Callback { .. } => None,
    }
}

/// What came of it; nothing if a row of the batch or of a child can't be read. It is reported, and left as it is.
fn readable<T>(outcome: Result<T, StoreError>, batch: JobId) -> Result<Option<T>, StoreError> {
    match outcome {
        Err(error) if error.is_in_one_row() => {
            tracing::error!(%error, %batch, "a batch, or a child of it, can't be read");
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}

fn plan(batch: &JobRecord) -> Option<Plan> {
    if batch.kind != JobKind::batch() {
        return None;
    }
    let plan = Plan::deserialize(&batch.payload).ok();
    if plan.is_none() {
        tracing::warn!(batch = %batch.id, "the payload of a batch is no plan: it will never end by itself");
    }
    plan
}

/// What is to be done with a batch, by the counts of its children.
fn judge(batch: &JobRecord, plan: &Plan, counts: &Counts, now: Moment) -> Decision {
    // No worker takes a batch, so that its second version is its first end. One that waits after that was redriven; by its
    // run-at time whoever did so has sent its children round again, or enqueued those that never came.
    let redriven = batch.version > 1 && batch.run_at <= now.wall;
    let counts = if redriven { counts.without_the_missing(plan.children) } else { *counts };
    decide(plan.rule, plan.children, plan.fail_fast, &counts)
}

fn hopeless(plan: &Plan, counts: &Counts) -> JobError {
    let wanted = match plan.rule {
        BatchRule::AtLeast(wanted) => wanted,
        BatchRule::All | BatchRule::Ended => plan.children,
    };
    let missing = plan.children.saturating_sub(counts.total());
    let advice = match missing {
        0 => "redrive the batch once the cause is mended".to_owned(),
        _ => format!("{missing} were deleted or never enqueued: make a new batch of what is to be done"),
    };
    let message = format!(
        "{} of {} children completed, {wanted} were needed: {} failed, {} were cancelled, {} timed out; {advice}",
        counts.completed, plan.children, counts.failed, counts.cancelled, counts.timeout
    );
    JobError { category: ErrorCategory::NoData, message }
}

/// Stops the children of a batch that ended while they were being enqueued, if it says so.
pub(super) async fn stop_late_children(store: &Arc<dyn JobStore>, batch: JobId, now: Moment) -> Result<(), StoreError> {
    let Some(batch) = store.get_one(JobRef::Id(batch)).await? else { return Ok(()) };
    if batch.status != JobStatus::Completed || plan(&batch).is_some_and(|plan| plan.cancel_rest) {
        stop_children(store, batch.id, "its batch has ended", now).await?;
    }
    Ok(())
}

/// Cancels every unfinished child that can be read, page after page. Gives how many.
async fn stop_children(
    store: &Arc<dyn JobStore>,
    batch: JobId,
    reason: &str,
    now: Moment,
) -> Result<(u64, Seen), StoreError> {
    let unfinished = [JobStatus::Pending, JobStatus::Processing];
    let filter = Filter::default().with_parent(batch).with_statuses(unfinished);
    let mut options = ListOptions::new(filter).with_order(Order::OldestFirst).with_limit(MAX_PAGE);
    let (mut stopped, mut seen) = (0, Seen::Whole);
    loop {
        let page = match store.list(options.clone()).await {
            Err(error) if error.is_in_one_row() => {
                seen = Seen::InPart;
                store.list(options.clone().with_readable_only()).await?
            }
            page => page?,
        };
        let cancel = |job: JobRecord| CommandRequest {
            job: job.id,
            if_version: None,
            command: JobCommand::Cancel { reason: reason.into(), acknowledge_within: ANSWER },
        };
        let requests: Vec<_> = page.items.into_iter().map(cancel).collect();
        if !requests.is_empty() {
            let outcomes = store.command(requests, Actor::Batch {}, now).await?;
            let applied = |outcome: &&CommandOutcome| matches!(outcome, CommandOutcome::Applied { .. });
            stopped += u64::try_from(outcomes.iter().filter(applied).count()).unwrap_or(0);
        }
        if page.next.is_none() {
            return Ok((stopped, seen));
        }
        options.cursor = page.next;
    }
}
