//! Pages of jobs and of history.
//!
//! A list is spread over shards, each of which is read in order and consistently; a page merges them. A job's place
//! never changes and is there for as long as the job is: however the pages fall, it is met once.

use super::DynamoJobs;
use super::error::{BACKEND, corrupt};
use super::events;
use super::item::{Item, Place, Reader, Stored};
use super::keys::{self, ListScope};
use super::read::{Range, string};
use crate::cursor::Cursor;
use crate::error::{Kind, StoreError};
use crate::kernel::{check_limit, readable};
use crate::store::{Filter, HistoryOptions, ListOptions, Order, Page};
use atlas_schema::{AuditEvent, JobId, JobRecord, Timestamp};
use std::collections::{HashMap, VecDeque};
use std::iter::Peekable;

/// The most jobs that one page looks at: a filter that few jobs match gives short pages, not long calls.
const SCAN: usize = 4_000;
/// A page ends once its payloads and results have this many bytes of JSON: one page of large results fits in memory.
const PAGE_BYTES: usize = 16 * 1024 * 1024;
/// The most places that are looked at before their jobs are read.
const CHUNK: usize = 100;
/// The most jobs that are read whole at a time: with items of up to 400 KB for payload and result, 20 MB.
const WHOLE: usize = 25;

/// A job's place in a list, and whether what never changes matches the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    at: Timestamp,
    id: JobId,
    matches: bool,
}

/// One shard of a list, read as far as it was needed.
struct Shard {
    range: Range,
    after: Option<Item>,
    spots: VecDeque<Spot>,
    over: bool,
}

impl DynamoJobs {
    pub(super) async fn page(&self, options: &ListOptions) -> Result<Page<JobRecord>, StoreError> {
        let operation = "list";
        check_limit(options.limit, 1, BACKEND, operation)?;
        let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, operation).with_source(source);
        let after = options.cursor.as_ref().map(|cursor| cursor.job(options)).transpose().map_err(foreign)?;
        let mut shards = self.list_shards(options, after);
        let mut items: Vec<JobRecord> = Vec::new();
        let (mut scanned, mut bytes) = (0, 0);
        // The place of the last job that was looked at: where the next page goes on.
        let mut end = None;
        while items.len() < options.limit && scanned < SCAN && bytes < PAGE_BYTES {
            let spots = self.merge(&mut shards, options, CHUNK.min(options.limit - items.len())).await?;
            let Some(last) = spots.last() else { return Ok(Page { items, next: None }) };
            scanned += spots.len();
            end = Some((last.at, last.id));
            let wanted = spots.iter().filter(|spot| spot.matches).map(|spot| spot.id);
            let mut found = if options.readable_only {
                let found = self.load_readable(wanted, operation).await?;
                found.into_iter().filter_map(|(id, job)| Some((id, job?))).collect::<HashMap<_, _>>()
            } else {
                self.load_all(wanted, operation).await?
            };
            found.retain(|_, job| options.filter.matches(&job.record));
            let jobs: Vec<Stored> = spots.iter().filter_map(|spot| found.remove(&spot.id)).collect();
            let mut jobs = jobs.into_iter().peekable();
            while jobs.peek().is_some() {
                if bytes >= PAGE_BYTES {
                    // The rest is for the next page.
                    let next = items.last().map(|last| Cursor::after_job(options, last.created_at, last.id));
                    return Ok(Page { items, next });
                }
                for record in self.whole_or_readable(few(&mut jobs), options.readable_only).await? {
                    bytes += size(&record);
                    items.push(record);
                }
            }
        }
        let more = self.more(&mut shards, options).await?;
        let next = end.filter(|_| more).map(|(at, id)| Cursor::after_job(options, at, id));
        Ok(Page { items, next })
    }

    /// Whole records, without those that can't be read if so asked.
    async fn whole_or_readable(&self, jobs: Vec<Stored>, readable_only: bool) -> Result<Vec<JobRecord>, StoreError> {
        if !readable_only {
            return self.whole_records(jobs, "list").await;
        }
        match self.whole_records(jobs.clone(), "list").await {
            Err(error) if error.is_in_one_row() => {}
            whole => return whole,
        }
        let mut found = Vec::with_capacity(jobs.len());
        for job in jobs {
            let id = job.id();
            let one = self.whole_records(vec![job], "list").await.map(|one| one.into_iter().next());
            found.extend(readable(one, &id)?);
        }
        Ok(found)
    }

    fn list_shards(&self, options: &ListOptions, after: Option<(Timestamp, JobId)>) -> Vec<Shard> {
        let filter = &options.filter;
        let scope = match (filter.parent, &filter.tenant) {
            (Some(parent), _) => ListScope::Parent(parent),
            (None, Some(tenant)) => ListScope::Tenant(tenant),
            (None, None) => ListScope::All,
        };
        let backwards = options.order == Order::NewestFirst;
        let mut low = filter.created_from.map_or_else(|| "\u{1}".to_owned(), keys::before);
        let mut high = filter.created_before.map_or_else(|| "\u{7f}".to_owned(), keys::before);
        if let Some((at, id)) = after {
            let place = keys::list_place(at, id);
            if backwards {
                high = high.min(keys::just_before(&place));
            } else {
                low = low.max(keys::just_after(&place));
            }
        }
        let shard = |number| Shard {
            range: Range::new(keys::list(&scope, number), low.as_str(), high.as_str()).reversed(backwards),
            after: None,
            spots: VecDeque::new(),
            // An empty range is none that may be asked for.
            over: low > high,
        };
        (0..self.shards().spread).map(shard).collect()
    }

    /// The next places of all shards in order, at most so many.
    async fn merge(&self, shards: &mut [Shard], options: &ListOptions, most: usize) -> Result<Vec<Spot>, StoreError> {
        let mut chunk = Vec::new();
        while chunk.len() < most {
            self.fill(shards, options, most).await?;
            let first = shards.iter_mut().filter(|shard| !shard.spots.is_empty());
            let first = match options.order {
                Order::NewestFirst => first.max_by_key(|shard| shard.spots.front().map(|spot| (spot.at, spot.id))),
                Order::OldestFirst => first.min_by_key(|shard| shard.spots.front().map(|spot| (spot.at, spot.id))),
            };
            match first.and_then(|shard| shard.spots.pop_front()) {
                Some(spot) => chunk.push(spot),
                None => break,
            }
        }
        Ok(chunk)
    }

    /// Sees to it that each shard shows its next place, or is over.
    async fn fill(&self, shards: &mut [Shard], options: &ListOptions, most: usize) -> Result<(), StoreError> {
        let empty = shards.iter_mut().filter(|shard| shard.spots.is_empty() && !shard.over);
        let fills = empty.map(|shard| self.fill_one(shard, &options.filter, most));
        for filled in futures_util::future::join_all(fills).await {
            filled?;
        }
        Ok(())
    }

    async fn fill_one(&self, shard: &mut Shard, filter: &Filter, most: usize) -> Result<(), StoreError> {
        while shard.spots.is_empty() && !shard.over {
            let (items, after) = self.query(&shard.range, shard.after.take(), most, "list").await?;
            shard.over = after.is_none();
            shard.after = after;
            for item in &items {
                let reader = Reader::new(item, "list");
                let (at, id) = keys::parse_timed(reader.text(keys::SK)?).ok_or_else(|| reader.bad())?;
                shard.spots.push_back(Spot { at, id, matches: may_match(item, filter) });
            }
        }
        Ok(())
    }

    async fn more(&self, shards: &mut [Shard], options: &ListOptions) -> Result<bool, StoreError> {
        self.fill(shards, options, 1).await?;
        Ok(shards.iter().any(|shard| !shard.spots.is_empty()))
    }

    pub(super) async fn trail(&self, options: &HistoryOptions) -> Result<Page<AuditEvent>, StoreError> {
        let operation = "history";
        check_limit(options.limit, 1, BACKEND, operation)?;
        let foreign = |source| StoreError::new(Kind::InvalidInput, BACKEND, operation).with_source(source);
        let id = options.job;
        let after = options.cursor.as_ref().map(|cursor| cursor.version(id)).transpose().map_err(foreign)?.unwrap_or(0);
        let Some(job) = self.load(id, operation).await?.filter(|job| job.record.version > after) else {
            return Ok(Page { items: Vec::new(), next: None });
        };
        // What the job's item has of its history is the end of it as it was read: the rest has items since then at the latest.
        let moved = job.events.first().map_or(job.record.version, |first| first.saturating_sub(1));
        let mut items = Vec::new();
        if after < moved {
            let place = |version| keys::event(id, &job.incarnation, version);
            let (from, to) = (place(after.saturating_add(1)), place(moved));
            for item in self.query_all(Range::new(from.0, from.1, to.1), options.limit, operation).await? {
                items.push(events::from_item(&item, &job.record, operation)?);
            }
            let wanted = usize::try_from(moved - after).unwrap_or(usize::MAX).min(options.limit);
            if items.len() < wanted {
                // Either the job was deleted since its item was read, or events are lost.
                let same = self.load(id, operation).await?.is_some_and(|now| now.incarnation == job.incarnation);
                let lost = || corrupt(operation, "an event of a job is missing").in_one_row();
                return if same { Err(lost()) } else { Ok(Page { items: Vec::new(), next: None }) };
            }
        }
        let left = options.limit - items.len();
        items.extend(job.events.after(after.max(moved), left, &job.record, operation)?);
        let more = items.last().filter(|last| items.len() == options.limit && last.version < job.record.version);
        let next = more.map(|last| Cursor::after_version(id, last.version));
        Ok(Page { items, next })
    }
}

/// The next jobs that may be read whole at a time: one, if it has an artifact, which may be large.
fn few(jobs: &mut Peekable<std::vec::IntoIter<Stored>>) -> Vec<Stored> {
    let artifact = |place: &Place| matches!(place, Place::Artifact(_));
    let large = |job: &Stored| artifact(&job.payload) || job.result.as_ref().is_some_and(artifact);
    let mut some = Vec::new();
    while some.len() < WHOLE && jobs.peek().is_some_and(|next| some.is_empty() || !large(next)) {
        let Some(job) = jobs.next() else { break };
        let last = large(&job);
        some.push(job);
        if last {
            break;
        }
    }
    some
}

/// Whether what never changes about a job matches.
fn may_match(item: &Item, filter: &Filter) -> bool {
    let fits = |name: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| string(item, name) == Some(wanted));
    let parent = filter.parent.map(|parent| parent.to_string());
    fits("tenant", filter.tenant.as_ref().map(atlas_schema::TenantId::as_str))
        && fits("queue", filter.queue.as_ref().map(atlas_schema::QueueName::as_str))
        && fits("kind", filter.kind.as_ref().map(atlas_schema::JobKind::as_str))
        && fits("parent", parent.as_deref())
}

fn size(record: &JobRecord) -> usize {
    crate::kernel::json_len(&record.payload) + record.result.as_ref().map_or(0, crate::kernel::json_len)
}
