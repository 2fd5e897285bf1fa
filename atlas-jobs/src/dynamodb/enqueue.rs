//! Adding jobs, each once.

use super::DynamoJobs;
use super::body::PAYLOAD;
use super::change::Change;
use super::error::{BACKEND, contended};
use super::events::Latest;
use super::item::{Item, Reader, Stored, keyed, text};
use super::keys::{self, ListScope};
use super::leases::Lease;
use super::transition::outbox_item;
use super::write::{Shared, Written};
use crate::error::{Kind, StoreError};
use crate::kernel::unfit;
use crate::spec::NewJob;
use crate::state::Applied;
use crate::store::{Enqueued, JobStore, UNREADABLE};
use atlas_schema::{JobId, JobRecord, Timestamp};
use std::collections::{HashMap, HashSet};

const OPERATION: &str = "enqueue";
/// How often a job is tried again because the one that held its name was deleted meanwhile.
const MAX_ROUNDS: usize = 12;

/// A name that only one job may have: the key of the item that holds it.
type Name = keys::Key;

/// A job on its way in.
struct Entrant {
    job: NewJob,
    /// Its names in the order in which they are looked at: the idempotency key, the id, the external id.
    names: Vec<Name>,
}

/// What an attempt to add a job came to.
enum Attempt {
    Answer(Enqueued),
    /// This job holds the name of that number.
    Held(usize, JobId),
    Again,
}

impl DynamoJobs {
    pub(super) async fn add(&self, jobs: Vec<NewJob>, now: Timestamp) -> Result<Vec<Enqueued>, StoreError> {
        if jobs.iter().any(|job| job.record().stage != self.stage()) {
            return Err(StoreError::new(Kind::WrongStage, BACKEND, OPERATION));
        }
        let mut answers: Vec<Option<Enqueued>> = jobs.iter().map(|job| self.refusal(job.record())).collect();
        let entrants: Vec<Entrant> = jobs.into_iter().map(|job| Entrant { names: names(job.record()), job }).collect();
        // Names that this call has found taken, or has taken.
        let mut taken: HashMap<Name, JobId> = HashMap::new();
        let mut setbacks = 0;
        loop {
            // Each job whose names no earlier open one has: the first of two with one name wins.
            let mut named: HashSet<&Name> = HashSet::new();
            let mut open = Vec::new();
            let mut held = Vec::new();
            for (at, entrant) in entrants.iter().enumerate().filter(|(at, _)| answers[*at].is_none()) {
                let free = entrant.names.iter().all(|name| !named.contains(name));
                named.extend(&entrant.names);
                if !free {
                    continue;
                }
                match entrant.names.iter().find_map(|name| taken.get(name)) {
                    Some(holder) => held.push((at, *holder)),
                    None => open.push(at),
                }
            }
            if open.is_empty() && held.is_empty() {
                break;
            }
            let attempts = self.attempt(&entrants, &open, now).await?;
            let mut lost = false;
            for (at, attempt) in open.into_iter().zip(attempts) {
                match attempt {
                    Attempt::Answer(answer) => {
                        if let Enqueued::Created { id } = &answer {
                            taken.extend(entrants[at].names.iter().map(|name| (name.clone(), *id)));
                        }
                        answers[at] = Some(answer);
                    }
                    Attempt::Held(name, holder) => {
                        taken.insert(entrants[at].names[name].clone(), holder);
                        held.push((at, holder));
                    }
                    Attempt::Again => lost = true,
                }
            }
            for (at, answer) in self.compare(&entrants, &held).await? {
                lost |= answer.is_none();
                if answer.is_none() {
                    // The holder was deleted in between: its names are free.
                    taken.retain(|name, _| !entrants[at].names.contains(name));
                }
                answers[at] = answer;
            }
            if lost {
                setbacks += 1;
                if setbacks > MAX_ROUNDS {
                    return Err(contended(OPERATION));
                }
                self.stand_back(1).await;
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }

    fn refusal(&self, record: &JobRecord) -> Option<Enqueued> {
        let can = self.capabilities();
        let payload = unfit(&record.payload, "the payload", can.max_payload_bytes);
        let result = record.result.as_ref().and_then(|result| unfit(result, "the result", can.max_result_bytes));
        payload.or(result).map(Enqueued::Refused)
    }

    async fn attempt(&self, entrants: &[Entrant], open: &[usize], now: Timestamp) -> Result<Vec<Attempt>, StoreError> {
        let mut attempts = Vec::with_capacity(open.len());
        let mut changes = Vec::new();
        let mut sent = Vec::new();
        for at in open {
            let entrant = &entrants[*at];
            match entrant.job.clone().apply(now) {
                // A name that is taken is the answer, whatever else is wrong.
                Err(reject) => attempts.push(match self.holder_of(entrant).await? {
                    Some((name, holder)) => Attempt::Held(name, holder),
                    None => Attempt::Answer(Enqueued::Refused(reject)),
                }),
                Ok(applied) => {
                    let (change, stored) = self.birth(applied).await?;
                    sent.push((attempts.len(), entrant, stored));
                    changes.push(change);
                    // Replaced below, once it is known.
                    attempts.push(Attempt::Again);
                }
            }
        }
        let shared = Shared { meets: Some(now), ..Shared::default() };
        let outcomes = self.write(changes, &shared, OPERATION).await?;
        for ((at, entrant, stored), outcome) in sent.into_iter().zip(outcomes) {
            if !matches!(outcome, Written::Done) {
                self.unplace(&stored.payload).await;
                if let Some(result) = &stored.result {
                    self.unplace(result).await;
                }
            }
            attempts[at] = match outcome {
                Written::Done => Attempt::Answer(Enqueued::Created { id: stored.id() }),
                Written::Refused(items) => holder(entrant, stored.id(), &items)?,
                _ => Attempt::Again,
            };
        }
        Ok(attempts)
    }

    async fn holder_of(&self, entrant: &Entrant) -> Result<Option<(usize, JobId)>, StoreError> {
        let items = self.read_all(entrant.names.clone(), OPERATION).await?;
        for (number, name) in entrant.names.iter().enumerate() {
            if let Some(item) = items.get(name) {
                let own = entrant.job.id();
                let id = if *name == keys::job(own) { own } else { Reader::new(item, OPERATION).parsed("id")? };
                return Ok(Some((number, id)));
            }
        }
        Ok(None)
    }

    /// Everything that a new job puts into the table. Its names come first, in their order.
    async fn birth(&self, applied: Applied) -> Result<(Change, Stored), StoreError> {
        let Applied { mut record, event, outbox } = applied;
        let payload = record.payload.take();
        let result = record.result.take();
        let record = record.map_payload(|_| ());
        let (id, shards) = (record.id, self.shards());
        let incarnation = format!("{:016x}", self.random().u64());
        let payload = self.place(id, &incarnation, PAYLOAD, &payload, OPERATION).await?;
        let result = match result {
            Some(result) => Some(self.place(id, &incarnation, super::body::RESULT, &result, OPERATION).await?),
            None => None,
        };
        let mut events = Latest::default();
        let moved = events.push(&event, &incarnation, OPERATION)?;
        let stored = Stored {
            record,
            events,
            payload: payload.place,
            result: result.as_ref().map(|result| result.place.clone()),
            slot: false,
            incarnation,
        };
        let record = &stored.record;
        let mut change = Change::default();
        for name in names(record) {
            let mut item = keyed(name.clone());
            if name == keys::job(id) {
                item = stored.item(shards, OPERATION)?;
            } else {
                item.insert("id".into(), text(id.to_string()));
            }
            change.put_new(item);
        }
        for item in payload.item.into_iter().chain(result.and_then(|result| result.item)).chain(moved) {
            change.put(item);
        }
        for entry in &outbox {
            change.put(outbox_item(entry, shards.spread, OPERATION)?);
        }
        for place in places(record, shards.spread) {
            change.put(list_item(place, record));
        }
        change.begins = Lease::of(&stored);
        change.count(None, Some(record));
        Ok((change, stored))
    }

    /// Compares jobs with those that hold their names. No answer if the holder is gone.
    async fn compare(
        &self,
        entrants: &[Entrant],
        held: &[(usize, JobId)],
    ) -> Result<Vec<(usize, Option<Enqueued>)>, StoreError> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.load_readable(held.iter().map(|(_, id)| *id), OPERATION).await?;
        let mut unreadable: HashSet<JobId> = found.iter().filter(|(_, job)| job.is_none()).map(|(id, _)| *id).collect();
        let (whole, bad) = self.complete_readable(found.into_values().flatten().collect(), OPERATION).await?;
        unreadable.extend(bad.iter().map(Stored::id));
        let whole: HashMap<JobId, JobRecord> = whole.into_iter().map(|record| (record.id, record)).collect();
        let answer = |at: usize, id: JobId| {
            if unreadable.contains(&id) {
                return Some(Enqueued::Conflict { id, differs: UNREADABLE });
            }
            let (old, new) = (whole.get(&id)?, entrants[at].job.record());
            Some(match difference(old, new) {
                None => Enqueued::Existing { id },
                Some(differs) => Enqueued::Conflict { id, differs },
            })
        };
        Ok(held.iter().map(|(at, id)| (*at, answer(*at, *id))).collect())
    }
}

/// The first field in which two jobs are not the same work.
fn difference(old: &JobRecord, new: &JobRecord) -> Option<&'static str> {
    let fields = [
        (old.tenant != new.tenant, "tenant"),
        (old.kind != new.kind, "kind"),
        (old.queue != new.queue, "queue"),
        (old.payload != new.payload, "payload"),
    ];
    fields.into_iter().find(|(differs, _)| *differs).map(|(_, field)| field)
}

pub(super) fn names<P>(record: &JobRecord<P>) -> Vec<Name> {
    let key = record.idempotency_key.as_ref().map(|key| keys::idempotency(&record.tenant, key.as_str()));
    let external = record.external_id.as_ref().map(|id| keys::external(&record.tenant, id.as_str()));
    key.into_iter().chain([keys::job(record.id)]).chain(external).collect()
}

/// Where a job stands in lists.
pub(super) fn places<P>(record: &JobRecord<P>, spread: u16) -> Vec<keys::Key> {
    let shard = keys::shard(record.id.as_bytes(), spread);
    let place = keys::list_place(record.created_at, record.id);
    let parent = record.parent.map(ListScope::Parent);
    let scopes = [ListScope::All, ListScope::Tenant(&record.tenant)].into_iter().chain(parent);
    scopes.map(|scope| (keys::list(&scope, shard), place.clone())).collect()
}

/// What never changes and a list may be filtered by.
fn list_item<P>(place: keys::Key, record: &JobRecord<P>) -> Item {
    let mut item = keyed(place);
    item.insert("tenant".into(), text(record.tenant.as_str()));
    item.insert("queue".into(), text(record.queue.as_str()));
    item.insert("kind".into(), text(record.kind.as_str()));
    if let Some(parent) = record.parent {
        item.insert("parent".into(), text(parent.to_string()));
    }
    item
}

/// Which of the entrant's names is held, and by whom. The names are the first items of its change.
fn holder(entrant: &Entrant, id: JobId, items: &[(usize, Option<Item>)]) -> Result<Attempt, StoreError> {
    let Some((number, item)) = items.iter().min_by_key(|(number, _)| *number) else { return Ok(Attempt::Again) };
    if entrant.names.get(*number) == Some(&keys::job(id)) {
        return Ok(Attempt::Held(*number, id));
    }
    let Some(item) = item else { return Ok(Attempt::Again) };
    Ok(Attempt::Held(*number, Reader::new(item, OPERATION).parsed("id")?))
}
