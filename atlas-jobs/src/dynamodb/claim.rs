//! Choosing the next jobs.

use super::DynamoJobs;
use super::error::{BACKEND, failed, is_refused};
use super::item::{Stored, keyed, text};
use super::keys;
use super::queues::Control;
use super::read::{Range, string};
use super::transition::{Settled, Task, Terms};
use crate::error::{Kind, StoreError};
use crate::kernel::{PUT_OFF, Place};
use crate::state::{self, Command};
use crate::store::{Claim, MAX_PAGE};
use atlas_schema::{Actor, JobId, JobKind, JobRecord, JobStatus, QueueName, Timestamp, WorkerId};
use futures_util::{StreamExt, TryStreamExt};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

const OPERATION: &str = "exchange";
/// How often one claim looks for other jobs because those it found went to others.
const MAX_ROUNDS: usize = 20;

/// A ready job, as the index has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    place: Place,
    queue: QueueName,
}

impl DynamoJobs {
    /// `controls` are those of the claim's queues, as they were read a moment ago.
    pub(super) async fn claim(
        &self,
        wanted: &Claim,
        controls: HashMap<QueueName, Control>,
        worker: &WorkerId,
        beat: u64,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<JobRecord>, StoreError> {
        let mut tried: HashSet<JobId> = HashSet::new();
        let mut claimed: Vec<JobRecord> = Vec::new();
        let mut left = wanted.limit.min(MAX_PAGE);
        let kinds: BTreeSet<&JobKind> = wanted.kinds.iter().collect();
        let queues: BTreeSet<&QueueName> = wanted.queues.iter().collect();
        let mut read = Some(controls);
        for round in 0..MAX_ROUNDS {
            let controls = match read.take() {
                Some(controls) => controls,
                None => self.controls(queues.iter().copied(), OPERATION).await?,
            };
            // What another claim of this process is about to take would be lost to it.
            let passed = tried.union(&self.picks().others()).copied().collect();
            let mut candidates = self.candidates(&queues, &kinds, &controls, left, now, &passed).await?;
            let found = candidates.len();
            // Where a queue is limited its best job goes first, whoever takes it.
            let job = |one: &Candidate| (!controls.contains_key(&one.queue)).then_some(one.place.2);
            let picked = self.picks().pick(&mut candidates, job);
            if found == 0 {
                break;
            }
            let reserved = self.reserve_all(&candidates, &controls, now).await?;
            let chosen: Vec<&Candidate> =
                candidates.iter().filter(|one| reserved.get(&one.queue) != Some(&0)).collect();
            tried.extend(chosen.iter().map(|one| one.place.2));
            let settled = self.take(&chosen, &controls, worker, beat, lease, now).await?;
            let mut taken: Vec<Stored> = Vec::new();
            let mut lost = chosen.len() < found;
            for (candidate, settled) in chosen.iter().zip(settled) {
                match settled {
                    Settled::Done(after) => {
                        left -= 1;
                        if after.record.status == JobStatus::Processing {
                            self.leases().remember(&after);
                            taken.push(*after);
                        }
                    }
                    // The next exchange of this worker has begun: nobody waits for this one any more.
                    Settled::Stale => return Err(StoreError::new(Kind::Conflict, BACKEND, OPERATION)),
                    Settled::Answer(()) | Settled::Missing => lost = true,
                    Settled::Unreadable => {
                        lost = true;
                        self.put_off(candidate, now).await?;
                    }
                    Settled::Passed => {
                        lost = true;
                        // Its queue may have been full for a moment: it is still the next one then.
                        if controls.contains_key(&candidate.queue) {
                            tried.remove(&candidate.place.2);
                        }
                    }
                }
            }
            // At once: bodies may be read from afar, and whoever waits for the pace of a queue would wait for them, too. Should this
            // process end before that, fewer claims are made than might have been, and never more.
            for (queue, claims) in &reserved {
                let used = taken.iter().filter(|job| job.record.queue == *queue).count();
                let unused = claims - used.min(*claims);
                if unused > 0 {
                    self.put_back(queue, unused, OPERATION).await?;
                }
            }
            drop(picked);
            let (whole, bad) = self.complete_readable(taken, OPERATION).await?;
            if !bad.is_empty() {
                lost = true;
                left += bad.len();
                self.give_back(&bad, worker, beat, now).await?;
                for queue in reserved.keys() {
                    let back = bad.iter().filter(|job| job.record.queue == *queue).count();
                    if back > 0 {
                        self.put_back(queue, back, OPERATION).await?;
                    }
                }
            }
            claimed.extend(whole);
            if left == 0 || !lost {
                break;
            }
            if round > 0 {
                self.stand_back(1).await;
            }
        }
        // Other rounds may have found better places: the order is that of the queue.
        claimed.sort_by_key(|job| (Reverse(job.priority), job.run_at, job.id));
        Ok(claimed)
    }

    /// Puts a job that can't be read back to a later time, by its place in the index alone: its item stays as it is.
    async fn put_off(&self, candidate: &Candidate, now: Timestamp) -> Result<(), StoreError> {
        let (priority, _, id) = candidate.place;
        let then = keys::place_text((priority, now.saturating_add(PUT_OFF), id));
        let update = self.client().update_item().table_name(self.table()).set_key(Some(keyed(keys::job(id))));
        let update = update
            .update_expression("SET g1s = :then")
            // Whoever has changed the job since can read it, or has put it off.
            .condition_expression("g1s = :now")
            .expression_attribute_values(":then", text(then))
            .expression_attribute_values(":now", text(keys::place_text(candidate.place)));
        match update.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(failed(OPERATION, &error)),
        }
    }

    /// Gives back jobs whose payloads can't be read: leased, they would hold up a limited queue.
    async fn give_back(&self, jobs: &[Stored], worker: &WorkerId, beat: u64, now: Timestamp) -> Result<(), StoreError> {
        let release = |job: &Stored| {
            let (id, epoch) = (job.id(), job.record.epoch);
            let command = Command::Release { epoch, delay: PUT_OFF };
            let decide = move |before: &Stored| {
                state::apply(&before.record, command.clone(), now, Actor::Worker { id: worker.clone() }).map_err(|_| ())
            };
            Task { job: id, decide: Box::new(decide) }
        };
        let tasks: Vec<Task<'_, ()>> = jobs.iter().map(release).collect();
        let terms = Terms { shared: self.while_beat_stands(worker, Some(beat)), yield_to_others: false };
        let settled = self.settle(&tasks, HashMap::new(), &terms, OPERATION).await?;
        if settled.iter().any(|one| matches!(one, Settled::Stale)) {
            return Err(StoreError::new(Kind::Conflict, BACKEND, OPERATION));
        }
        Ok(())
    }

    /// Takes chosen jobs, or ends those whose deadline has passed: left in the queue they would stand in front of jobs
    /// that can still run until the next sweep.
    async fn take(
        &self,
        chosen: &[&Candidate],
        controls: &HashMap<QueueName, Control>,
        worker: &WorkerId,
        beat: u64,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Vec<Settled<()>>, StoreError> {
        let task = |candidate: &&Candidate| Task {
            job: candidate.place.2,
            decide: Box::new(move |before: &Stored| {
                let record = &before.record;
                let (command, actor) = if record.deadline.is_some_and(|deadline| deadline <= now) {
                    (Command::TimeOut, Actor::Sweeper {})
                } else {
                    (Command::Claim { worker: worker.clone(), lease }, Actor::Worker { id: worker.clone() })
                };
                // A stale index may name a job that waits for something else by now, or does not wait at all.
                if record.status != JobStatus::Pending {
                    return Err(());
                }
                state::apply(record, command, now, actor).map_err(|_| ())
            }),
        };
        let tasks: Vec<Task<'_, ()>> = chosen.iter().map(task).collect();
        let mut shared = self.while_beat_stands(worker, Some(beat));
        shared.limits = controls.values().filter_map(|c| Some((c.state.queue.clone(), c.state.max_running?))).collect();
        self.settle(&tasks, HashMap::new(), &Terms { shared, yield_to_others: true }, OPERATION).await
    }

    /// Reserves the pace of each limited queue for its candidates: how many of them; none where others came first.
    async fn reserve_all(
        &self,
        candidates: &[Candidate],
        controls: &HashMap<QueueName, Control>,
        now: Timestamp,
    ) -> Result<BTreeMap<QueueName, usize>, StoreError> {
        let mut reserved: BTreeMap<QueueName, usize> = BTreeMap::new();
        for candidate in candidates {
            if controls.get(&candidate.queue).is_some_and(|control| control.state.max_per_second.is_some()) {
                *reserved.entry(candidate.queue.clone()).or_default() += 1;
            }
        }
        for (queue, claims) in &mut reserved {
            if let Some(control) = controls.get(queue)
                && !self.reserve(control, *claims, now, OPERATION).await?
            {
                *claims = 0;
            }
        }
        Ok(reserved)
    }

    async fn candidates(
        &self,
        queues: &BTreeSet<&QueueName>,
        kinds: &BTreeSet<&JobKind>,
        controls: &HashMap<QueueName, Control>,
        limit: usize,
        now: Timestamp,
        tried: &HashSet<JobId>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut all = Vec::new();
        for queue in queues {
            let room = self.room(controls.get(*queue), limit, now, OPERATION).await?;
            if room == 0 {
                continue;
            }
            let partitions = kinds.iter().flat_map(|kind| {
                (0..self.shards().ready).map(|shard| self.ready(keys::ready(queue, kind, shard), now, room, tried))
            });
            let partitions: Vec<_> = partitions.collect();
            let found: Vec<Vec<Place>> =
                futures_util::stream::iter(partitions).buffer_unordered(self.in_flight()).try_collect().await?;
            let mut places: Vec<Place> = found.into_iter().flatten().collect();
            places.sort_unstable();
            places.truncate(room);
            all.extend(places.into_iter().map(|place| Candidate { place, queue: (*queue).clone() }));
        }
        all.sort_unstable();
        all.truncate(limit);
        Ok(all)
    }

    /// The first places of a partition that are due, best first. Jumps from priority to priority over what is not due:
    /// the cost grows with the number of priorities, not of waiting jobs.
    async fn ready(
        &self,
        partition: String,
        now: Timestamp,
        limit: usize,
        tried: &HashSet<JobId>,
    ) -> Result<Vec<Place>, StoreError> {
        let mut places = Vec::new();
        let mut range = Range::all(partition).in_index(keys::INDEX_1);
        loop {
            let (items, next) =
                self.query(&range, None, limit - places.len() + tried.len().min(limit), OPERATION).await?;
            let mut resume = None;
            for text in items.iter().filter_map(|item| string(item, keys::G1S)) {
                let Some(place) = keys::parse_ready(text) else { continue };
                if place.1 > now {
                    resume = Some(keys::after_priority(text));
                    continue;
                }
                resume = Some(keys::just_after(text));
                if !tried.contains(&place.2) && places.len() < limit {
                    places.push(place);
                }
            }
            match (next, resume) {
                (Some(_), Some(from)) if places.len() < limit => range.from = from,
                _ => return Ok(places),
            }
        }
    }

    /// The earliest run-at time in a partition.
    pub(super) async fn earliest(
        &self,
        partition: String,
        operation: &'static str,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut earliest: Option<Timestamp> = None;
        let mut range = Range::all(partition).in_index(keys::INDEX_1);
        loop {
            let (items, _) = self.query(&range, None, 1, operation).await?;
            let Some(text) = items.first().and_then(|item| string(item, keys::G1S)) else { return Ok(earliest) };
            if let Some((_, run_at, _)) = keys::parse_ready(text) {
                earliest = Some(earliest.map_or(run_at, |earliest| earliest.min(run_at)));
            }
            range.from = keys::after_priority(text);
        }
    }
}
