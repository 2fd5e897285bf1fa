//! Moves of jobs that exist: read, decide, write on condition, and decide again if someone else came first.

use super::DynamoJobs;
use super::body::{Placed, RESULT};
use super::change::Change;
use super::error::{contended, corrupt};
use super::item::{Item, Stored, keyed, number, text};
use super::keys;
use super::leases::Lease;
use super::write::{Shared, Written};
use crate::error::StoreError;
use crate::kernel::readable;
use crate::state::{Applied, OutboxEntry};
use atlas_schema::{JobId, JobStatus, QueueName};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

/// How often one call decides about a job anew because others keep coming first.
const MAX_ROUNDS: usize = 12;

/// What is to be decided about one job. It is asked again whenever the job has changed meanwhile.
pub(super) struct Task<'a, T> {
    pub(super) job: JobId,
    pub(super) decide: Decide<'a, T>,
}

/// What to write about a job, or the answer if nothing is.
type Decide<'a, T> = Box<dyn Fn(&Stored) -> Result<Applied<()>, T> + Send + Sync + 'a>;

/// What became of a task.
#[derive(Debug)]
pub(super) enum Settled<T> {
    /// The decision is written; this is the job after.
    Done(Box<Stored>),
    /// Nothing is to be written.
    Answer(T),
    /// There is no such job.
    Missing,
    /// The job can't be read.
    Unreadable,
    /// Someone else is at it, or its queue is full.
    Passed,
    /// The shared check was not met.
    Stale,
}

/// How tasks are carried out.
#[derive(Debug, Clone, Default)]
pub(super) struct Terms {
    pub(super) shared: Shared,
    /// A job that someone else writes at the same time is left to them.
    pub(super) yield_to_others: bool,
}

impl DynamoJobs {
    /// Carries out tasks, those about one job in their order. One answer per task, in order. `known` holds jobs as they
    /// may still be: enough for a write, whose condition judges it, and not for an answer.
    pub(super) async fn settle<T: Send>(
        &self,
        tasks: &[Task<'_, T>],
        mut known: HashMap<JobId, Stored>,
        terms: &Terms,
        operation: &'static str,
    ) -> Result<Vec<Settled<T>>, StoreError> {
        let mut settled: Vec<Option<Settled<T>>> = tasks.iter().map(|_| None).collect();
        let mut guesses: HashSet<JobId> = known.keys().copied().collect();
        let mut unreadable = HashSet::new();
        let mut results: HashMap<usize, Placed> = HashMap::new();
        let mut setbacks = 0;
        loop {
            // The first open task of each job.
            let mut jobs = HashSet::new();
            let open: Vec<usize> =
                (0..tasks.len()).filter(|at| settled[*at].is_none() && jobs.insert(tasks[*at].job)).collect();
            if open.is_empty() {
                break;
            }
            let unknown: Vec<JobId> = jobs.into_iter().filter(|job| !known.contains_key(job)).collect();
            if !unknown.is_empty() {
                let found = self.load_readable(unknown, operation).await?;
                self.leases().saw(found.values().flatten());
                for (id, stored) in found {
                    match stored {
                        Some(stored) => known.extend([(id, stored)]),
                        None => unreadable.extend([id]),
                    }
                }
            }
            let mut written = Vec::new();
            let mut changes = Vec::new();
            for at in open {
                let Some(before) = known.get(&tasks[at].job) else {
                    let bad = unreadable.contains(&tasks[at].job);
                    settled[at] = Some(if bad { Settled::Unreadable } else { Settled::Missing });
                    continue;
                };
                match (tasks[at].decide)(before) {
                    Err(_) if guesses.remove(&tasks[at].job) => {
                        known.remove(&tasks[at].job);
                    }
                    Err(answer) => settled[at] = Some(Settled::Answer(answer)),
                    Ok(applied) => {
                        let limits = &terms.shared.limits;
                        let guessed = guesses.contains(&tasks[at].job);
                        let (change, after) =
                            self.transition(before, guessed, applied, limits, results.entry(at), operation).await?;
                        changes.push(change);
                        written.push((at, after));
                    }
                }
            }
            let outcomes = self.write(changes, &terms.shared, operation).await?;
            let mut lost = false;
            for ((at, after), outcome) in written.into_iter().zip(outcomes) {
                let job = tasks[at].job;
                guesses.remove(&job);
                match outcome {
                    Written::Done => {
                        known.insert(job, after.clone());
                        settled[at] = Some(Settled::Done(Box::new(after)));
                    }
                    Written::Stale => settled[at] = Some(Settled::Stale),
                    Written::NoRoom => settled[at] = Some(Settled::Passed),
                    Written::Contended if terms.yield_to_others => settled[at] = Some(Settled::Passed),
                    Written::Contended => {
                        known.remove(&job);
                        lost = true;
                    }
                    Written::Refused(items) => {
                        lost = true;
                        known.remove(&job);
                        // What stands there now comes with the refusal; without it, the job is read again.
                        if let Some((0, Some(item))) = items.into_iter().next() {
                            let stored = readable(Stored::read(&item, operation).map(Some), &job)?;
                            self.leases().saw(stored.iter());
                            known.extend(stored.map(|stored| (job, stored)));
                        }
                    }
                }
            }
            if lost {
                setbacks += 1;
                if setbacks > MAX_ROUNDS {
                    return Err(contended(operation));
                }
                self.stand_back(1).await;
            }
        }
        // A result that was put aside for a decision that did not stand.
        for (at, placed) in results {
            let used =
                matches!(&settled[at], Some(Settled::Done(after)) if after.result.as_ref() == Some(&placed.place));
            if !used {
                self.unplace(&placed.place).await;
            }
        }
        let missing = || corrupt(operation, "a task was not settled");
        settled.into_iter().map(|one| one.ok_or_else(missing)).collect()
    }

    /// The whole change of one transition, and the job after. `guessed` is a job that was not read for it.
    async fn transition(
        &self,
        before: &Stored,
        guessed: bool,
        applied: Applied<()>,
        limits: &BTreeMap<QueueName, u32>,
        result: Entry<'_, usize, Placed>,
        operation: &'static str,
    ) -> Result<(Change, Stored), StoreError> {
        let Applied { mut record, event, outbox } = applied;
        let mut after = Stored { result: None, ..before.clone() };
        let mut beside = None;
        if let Some(value) = record.result.take() {
            let placed = match result {
                // Decided anew about the same task: the value has its place already.
                Entry::Occupied(found) => found.get().clone(),
                Entry::Vacant(entry) => {
                    let placed = self.place(record.id, &before.incarnation, RESULT, &value, operation).await?;
                    entry.insert(placed).clone()
                }
            };
            after.result = Some(placed.place);
            beside = placed.item;
        }
        after.record = record;
        let runs = after.record.status == JobStatus::Processing;
        after.slot = runs && (before.slot || limits.contains_key(&after.record.queue));

        let mut change = Change::default();
        let moved = after.events.push(&event, &after.incarnation, operation)?;
        let (set, remove, bytes) = after.change(before, self.shards(), operation)?;
        change.update_job(before, set, &remove, guessed.then_some(bytes));
        for item in moved.into_iter().chain(beside) {
            change.put(item);
        }
        for entry in &outbox {
            change.put(outbox_item(entry, self.shards().spread, operation)?);
        }
        let (was, is) = (Lease::of(before), Lease::of(&after));
        if was != is {
            (change.ends, change.begins) = (was, is);
        }
        change.count(Some(&before.record), Some(&after.record));
        if before.slot != after.slot {
            change.slot(&after.record.queue, if after.slot { 1 } else { -1 });
        }
        Ok((change, after))
    }
}

pub(super) fn outbox_item(entry: &OutboxEntry, spread: u16, operation: &'static str) -> Result<Item, StoreError> {
    let json = serde_json::to_string(entry).map_err(|_| corrupt(operation, "the outbox entry is no JSON"))?;
    let key = entry.key();
    let topic = entry.topic.as_str();
    let shard = keys::shard(key.as_bytes(), spread);
    let mut item = keyed(keys::outbox(&key));
    item.insert("entry".into(), text(json));
    item.insert("tries".into(), number(0));
    item.insert(keys::G1P.into(), text(keys::outbox_due(topic, shard)));
    item.insert(keys::G1S.into(), text(super::outbox::due_place(entry.event.at, &key)));
    Ok(item)
}
