//! Adding jobs, each once.

use super::Db;
use super::columns::{Columns, Manner};
use super::error::{BACKEND, corrupt};
use super::groups::{Group, Names, are_in_one, group_in, names_of};
use super::record::{FROM, JOB, Reader, STATE, full, group_of};
use super::rows::{Write, uuids};
use super::session::{Conn, PART, Session};
use crate::error::{Kind, StoreError};
use crate::kernel::{json_len, readable, unfit};
use crate::spec::NewJob;
use crate::state::{self, Applied, Reject};
use crate::store::{Enqueued, UNREADABLE};
use atlas_schema::{AuditKind, JobId, JobRecord, Timestamp};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio_postgres::Row;

/// The most jobs of one statement; a call with more is several.
pub(super) const CHUNK: usize = 1000;

/// How often a key may be taken by a job that is gone when it is looked at.
const TRIES: usize = 10;

/// A job that is within all limits, but for its deadline: that is the database's to judge.
struct Candidate {
    at: usize,
    applied: Applied,
}

/// How jobs get in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A statement of its own: it may fail, and be tried another way.
    Own,
    /// Within a transaction that must not fail, and may be rolled back.
    Within,
    /// The same, before a claim that may take all of them: who listens is told after it.
    Ahead,
}

impl Db {
    /// Refuses a call with jobs of another stage.
    pub(super) fn check_stage(&self, jobs: &[NewJob], operation: &'static str) -> Result<(), StoreError> {
        if jobs.iter().any(|job| job.record().stage != self.stage) {
            return Err(StoreError::new(Kind::WrongStage, BACKEND, operation));
        }
        Ok(())
    }

    /// Adds up to [`CHUNK`] jobs.
    pub(super) async fn add<C: Conn>(
        &self,
        session: Session<'_, C>,
        jobs: Vec<NewJob>,
        way: Way,
    ) -> Result<Vec<Enqueued>, StoreError> {
        let mut answers: Vec<Option<Enqueued>> = vec![None; jobs.len()];
        let mut candidates = Vec::with_capacity(jobs.len());
        for (at, job) in jobs.into_iter().enumerate() {
            match self.candidate(at, job) {
                Ok(candidate) => candidates.push(candidate),
                Err(refused) => answers[at] = Some(refused),
            }
        }
        let mut groups = HashMap::new();
        if !candidates.is_empty() {
            let runs = candidates.chunk_by(|one, next| are_in_one(&one.applied.record, &next.applied.record));
            let wanted = runs.filter_map(|run| Some(names_of(&run.first()?.applied.record))).collect();
            groups = self.groups.find_or_add(session, wanted, way == Way::Own).await?;
        }
        for attempt in 0..TRIES {
            if candidates.is_empty() {
                break;
            }
            let manner = match way {
                Way::Own if attempt == 0 => Manner::Plain,
                Way::Own | Way::Within => Manner::Free,
                Way::Ahead => Manner::Quiet,
            };
            let (now, there) = self.insert(session, &candidates, &groups, manner).await?;
            candidates = self.settle(session, candidates, &mut answers, now, there).await?;
        }
        let answers: Option<Vec<Enqueued>> = answers.into_iter().collect();
        answers.ok_or_else(|| StoreError::new(Kind::Busy, BACKEND, session.operation))
    }

    fn candidate(&self, at: usize, job: NewJob) -> Result<Candidate, Enqueued> {
        let can = self.capabilities();
        let record = job.record();
        let sizes = [
            ("the payload", Some(&record.payload), can.max_payload_bytes),
            ("the result", record.result.as_ref(), can.max_result_bytes),
        ];
        for (what, value, most) in sizes {
            if let Some(reject) = value.and_then(|value| unfit(value, what, most)) {
                return Err(Enqueued::Refused(reject));
            }
        }
        // Everything but the deadline is the same at any time; the database says when it is.
        let applied = job.apply(Timestamp::MIN).map_err(Enqueued::Refused)?;
        Ok(Candidate { at, applied })
    }

    /// Inserts those whose keys are free; says when, and which.
    async fn insert<C: Conn>(
        &self,
        session: Session<'_, C>,
        candidates: &[Candidate],
        groups: &HashMap<Names, Group>,
        manner: Manner,
    ) -> Result<(Timestamp, HashSet<JobId>), StoreError> {
        // The first of two with one id; the database sees to the other keys. In the order of keys, so that two calls with the
        // same ones do not wait for each other.
        let mut seen = HashSet::with_capacity(candidates.len());
        let mut new: Vec<&Candidate> = candidates.iter().filter(|new| seen.insert(new.applied.record.id)).collect();
        let key = |new: &&Candidate| new.applied.record.idempotency_key.clone();
        if new.iter().any(|new| new.applied.record.idempotency_key.is_some()) {
            new.sort_by_key(key);
        }
        let (moved, born): (Vec<&Candidate>, Vec<&Candidate>) =
            new.into_iter().partition(|new| new.applied.event.kind == AuditKind::Migrated);
        let manner = if manner == Manner::Plain && !moved.is_empty() { Manner::Free } else { manner };
        let (now, mut there) = self.insert_rows(session, &born, groups, manner).await?;
        if !moved.is_empty() {
            // They may belong anywhere in their queues, and are there once the transaction is committed.
            self.fronts.forget();
            self.fronts.doubt();
            there.extend(self.import(session, &moved, groups, now).await?);
        }
        Ok((now, there))
    }

    async fn insert_rows<C: Conn>(
        &self,
        session: Session<'_, C>,
        new: &[&Candidate],
        groups: &HashMap<Names, Group>,
        manner: Manner,
    ) -> Result<(Timestamp, HashSet<JobId>), StoreError> {
        let columns = Columns::of(new.iter().map(|new| &new.applied), groups, session.operation)?;
        let rows = match columns.insert(session, &self.inserts, manner).await {
            // Some key is taken: the careful way finds out which.
            Err(error) if manner == Manner::Plain && error.kind() == Kind::Conflict => {
                columns.insert(session, &self.inserts, Manner::Free).await?
            }
            rows => rows?,
        };
        let row = rows.first().ok_or_else(|| corrupt(session.operation, "the server gave no answer"))?;
        let ids = row.try_get::<_, Vec<_>>(1).map_err(|_| Reader::new(row, session.operation).bad())?;
        Ok((Reader::new(row, session.operation).time(0)?, ids.into_iter().map(JobId::from_uuid).collect()))
    }

    /// Records from elsewhere, with times and states of their own.
    async fn import<C: Conn>(
        &self,
        session: Session<'_, C>,
        moved: &[&Candidate],
        groups: &HashMap<Names, Group>,
        now: Timestamp,
    ) -> Result<HashSet<JobId>, StoreError> {
        let columns = Columns::of(moved.iter().map(|new| &new.applied), groups, session.operation)?;
        let created: Vec<i64> = moved.iter().map(|new| new.applied.record.created_at.as_millis()).collect();
        let rows = columns.import(session, &created).await?;
        let there: Result<HashSet<JobId>, _> =
            rows.iter().map(|row| Reader::new(row, session.operation).id(0)).collect();
        let there = there?;
        let mut write = Write::new(session.operation, now);
        for new in moved.iter().filter(|new| there.contains(&new.applied.record.id)) {
            let record = new.applied.record.clone();
            let result = record.result.clone();
            let mut record = record.map_payload(|_| ());
            record.result = result;
            let mut event = new.applied.event.clone();
            event.at = now;
            let group = group_in(groups, &record, session.operation)?;
            let mut worker = None;
            if let Some(lease) = &record.lease {
                // Never seen here: silent from the start.
                let sql = "WITH new AS (
                    INSERT INTO atlas_jobs_worker (name, beat, lease_ms, seen_at, idle, xact)
                    SELECT $1, -1, 0, 0, false, '0'::xid8
                    WHERE NOT EXISTS (SELECT FROM atlas_jobs_worker WHERE name = $1) RETURNING no
                  ), woken AS (UPDATE atlas_jobs_worker SET idle = false WHERE name = $1 RETURNING no)
                  SELECT no FROM new UNION ALL SELECT no FROM woken";
                let rows = session.rows(sql, &[&lease.worker.as_str()]).await?;
                let row = rows.first().ok_or_else(|| corrupt(session.operation, "a worker can't be given a number"))?;
                worker = Some(Reader::new(row, session.operation).get(0)?);
            }
            write.insert(&record, &event, group, worker)?;
        }
        if !write.is_empty() {
            session.rows(include_str!("sql/write.sql"), &[&write.into_text()?]).await?;
        }
        Ok(there)
    }

    /// Answers for those that are there now or can't get in; gives back those whose keys were taken by a job that is gone.
    async fn settle<C: Conn>(
        &self,
        session: Session<'_, C>,
        candidates: Vec<Candidate>,
        answers: &mut [Option<Enqueued>],
        now: Timestamp,
        mut there: HashSet<JobId>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut doubtful = Vec::new();
        for new in candidates {
            let id = new.applied.record.id;
            if there.remove(&id) {
                answers[new.at] = Some(Enqueued::Created { id });
            } else {
                doubtful.push(new);
            }
        }
        if doubtful.is_empty() {
            return Ok(doubtful);
        }
        let holders = self.holders(session, &doubtful).await?;
        let mut left = Vec::new();
        for (new, holder) in doubtful.into_iter().zip(holders) {
            if let Some((id, old)) = holder {
                let differs = match old {
                    Some(old) => difference(&old, &new.applied.record),
                    None => Some(UNREADABLE),
                };
                let answer = differs.map_or(Enqueued::Existing { id }, |differs| Enqueued::Conflict { id, differs });
                answers[new.at] = Some(answer);
            } else if let Some(reject) = too_late(&new.applied, now) {
                answers[new.at] = Some(Enqueued::Refused(reject));
            } else {
                left.push(new);
            }
        }
        Ok(left)
    }

    /// The job that holds one of each new job's keys, and its record if that can be read.
    async fn holders<C: Conn>(
        &self,
        session: Session<'_, C>,
        new: &[Candidate],
    ) -> Result<Vec<Option<(JobId, Option<JobRecord>)>>, StoreError> {
        let records: Vec<&JobRecord> = new.iter().map(|new| &new.applied.record).collect();
        let tenants: Vec<&str> = records.iter().map(|record| record.tenant.as_str()).collect();
        let keys: Vec<Option<&str>> =
            records.iter().map(|record| record.idempotency_key.as_ref().map(AsRef::as_ref)).collect();
        let external: Vec<Option<&str>> =
            records.iter().map(|record| record.external_id.as_ref().map(AsRef::as_ref)).collect();
        let ids = uuids(records.iter().map(|record| &record.id));
        let found = self.find(session, &tenants, &keys, &ids, &external).await?;
        let there: Vec<JobId> = found.iter().flatten().copied().collect();
        let (rows, names) = self.rows_of(session, &there).await?;
        let mut jobs = HashMap::with_capacity(rows.len());
        for row in &rows {
            let row = Reader::new(row, session.operation);
            let id = row.id(1)?;
            jobs.insert(id, readable(full(row, self.stage, &names).map(Some), &id)?);
        }
        Ok(found.into_iter().map(|id| id.and_then(|id| Some((id, jobs.get(&id)?.clone())))).collect())
    }

    pub(super) async fn find<C: Conn, T: tokio_postgres::types::ToSql + Sync>(
        &self,
        session: Session<'_, C>,
        tenants: &[&str],
        keys: &[Option<&str>],
        ids: &[T],
        external: &[Option<&str>],
    ) -> Result<Vec<Option<JobId>>, StoreError> {
        let rows = session.rows(include_str!("sql/find.sql"), &[&tenants, &keys, &ids, &external]).await?;
        let operation = session.operation;
        let read = |row: &tokio_postgres::Row| {
            let id = row.try_get(1).map_err(|_| Reader::new(row, operation).bad())?;
            Ok(Option::map(id, JobId::from_uuid))
        };
        rows.iter().map(read).collect()
    }

    /// The rows of whole records, and the names of their groups.
    async fn rows_of<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
    ) -> Result<(Vec<Row>, HashMap<i32, Arc<Names>>), StoreError> {
        let sql = format!("SELECT {JOB}, {STATE}, j.payload, s.result FROM {FROM} WHERE j.id = ANY($1::uuid[])");
        let rows = session.rows(&sql, &[&uuids(ids)]).await?;
        let groups: Result<Vec<i32>, _> = rows.iter().map(|row| group_of(row, session.operation)).collect();
        let names = self.groups.names(session, groups?.into_iter()).await?;
        Ok((rows, names))
    }

    /// Whole records.
    pub(super) async fn read<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
    ) -> Result<HashMap<JobId, JobRecord>, StoreError> {
        let (rows, names) = self.rows_of(session, ids).await?;
        let read = |row| {
            let record = full(Reader::new(row, session.operation), self.stage, &names)?;
            Ok((record.id, record))
        };
        rows.iter().map(read).collect()
    }
}

/// Jobs in parts that are small enough for one statement, in order.
pub(super) fn parts(mut jobs: Vec<NewJob>) -> Vec<Vec<NewJob>> {
    let (mut starts, mut bytes) = (Vec::new(), 0);
    for (at, job) in jobs.iter().enumerate() {
        let record = job.record();
        let own = json_len(&record.payload) + record.result.as_ref().map_or(0, json_len);
        bytes += own;
        if at == 0 || bytes > PART {
            bytes = own;
            starts.push(at);
        }
    }
    // From the end: most calls are one part, whose jobs are large and stay where they are.
    let cut = |start| if start == 0 { std::mem::take(&mut jobs) } else { jobs.split_off(start) };
    let mut parts: Vec<Vec<NewJob>> = starts.into_iter().rev().map(cut).collect();
    parts.reverse();
    parts
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

/// Why a new job's deadline does not do, by the database's time.
fn too_late(applied: &Applied, now: Timestamp) -> Option<Reject> {
    let born = applied.event.kind == AuditKind::Enqueued;
    born.then(|| state::enqueue(applied.record.clone().map_payload(|_| ()), now, applied.event.actor.clone()).err())?
}
