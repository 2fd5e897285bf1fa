//! The rare transitions: rows are locked and read, the state machine decides, the rows it makes are written.
//!
//! Claims and completions do not come this way: see `claim_rest.sql` and `complete.sql`. Nor do jobs whose rows can't be read:
//! all that can be done for one is `put_off.sql`.

use super::Db;
use super::error::{BACKEND, corrupt};
use super::groups::Group;
use super::record::{FROM, JOB, Reader, STATE, WIDTH, group_of, record};
use super::rows::{Before, Place, Write, json_text, uuids};
use super::session::{Conn, Session};
use crate::error::{Kind, StoreError};
use crate::kernel::{PUT_OFF, unreadable};
use crate::state::{self, Command, Reject};
use atlas_schema::{Actor, JobId, JobRecord, Timestamp};
use std::collections::{HashMap, HashSet};

/// How often a job may slip from table to table while it is being locked.
const TRIES: usize = 50;

/// So many bytes are written at once: well below the GiB at which the server closes the connection.
const MOST: usize = 512 * 1024 * 1024;

const LOCK: &str = include_str!("sql/lock.sql");

/// Why a lease goes back.
#[derive(Clone, Copy)]
pub(super) enum Back {
    /// Nothing was done: the attempt does not count.
    Released,
    /// Its worker fell silent: the attempt counts.
    Expired,
}

/// Jobs as they are now.
pub(super) struct Loaded {
    pub(super) jobs: HashMap<JobId, Before>,
    /// They are there, and their rows can't be read.
    pub(super) unreadable: HashSet<JobId>,
    pub(super) now: Timestamp,
}

/// Jobs that stay as they are until the transaction ends, and what is to be written of them.
pub(super) struct Locked {
    jobs: HashMap<JobId, Before>,
    unreadable: HashSet<JobId>,
    pub(super) now: Timestamp,
    pub(super) write: Write,
}

impl Locked {
    pub(super) fn get(&self, id: JobId) -> Option<&JobRecord<()>> {
        self.jobs.get(&id).map(|before| &before.record)
    }

    /// Whether it is there, and can't be read.
    pub(super) fn is_unreadable(&self, id: JobId) -> bool {
        self.unreadable.contains(&id)
    }

    /// Those of these that are there, and can't be read.
    pub(super) fn unreadable<'a>(&self, ids: impl IntoIterator<Item = &'a JobId>) -> Vec<JobId> {
        ids.into_iter().copied().filter(|id| self.is_unreadable(*id)).collect()
    }

    pub(super) fn before(&self, id: JobId) -> Option<&Before> {
        self.jobs.get(&id)
    }

    /// Applies a command to a job that is there, and notes what is to be written. The state machine judges a second command by
    /// what the first left. It must not accept both: a job's row leaves its table once.
    pub(super) fn apply(
        &mut self,
        id: JobId,
        command: Command,
        actor: Actor,
    ) -> Result<Option<Result<JobRecord<()>, Reject>>, StoreError> {
        let Some(before) = self.jobs.get_mut(&id) else { return Ok(None) };
        let applied = match state::apply(&before.record, command, self.now, actor) {
            Ok(applied) => applied,
            Err(reject) => return Ok(Some(Err(reject))),
        };
        let record = applied.record.clone();
        self.write.update(before, applied)?;
        before.record = record.clone();
        Ok(Some(Ok(record)))
    }

    /// Notes that a job that is there goes.
    pub(super) fn delete(&mut self, id: JobId) {
        if let Some(before) = self.jobs.get(&id) {
            self.write.delete(before);
        }
    }

    /// Writes, if there is anything to be written.
    pub(super) async fn finish<C: Conn>(self, session: Session<'_, C>) -> Result<(), StoreError> {
        if self.write.is_empty() {
            return Ok(());
        }
        let text = self.write.into_text()?;
        if text.len() > MOST {
            let rule = "the results that need a closer look are too large together: hand in fewer at a time";
            return Err(StoreError::new(Kind::TooLarge, BACKEND, session.operation).with_source(rule));
        }
        session.rows(include_str!("sql/write.sql"), &[&text]).await?;
        Ok(())
    }
}

impl Db {
    /// Locks these jobs, as far as they are there, and reads them without payload and result.
    pub(super) async fn lock<C: Conn>(&self, session: Session<'_, C>, ids: &[JobId]) -> Result<Locked, StoreError> {
        self.lock_by(session, ids, LOCK, false).await
    }

    /// The same of those that nobody else holds; the rest is as if it were not there.
    pub(super) async fn lock_free<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
    ) -> Result<Locked, StoreError> {
        self.lock_by(session, ids, &LOCK.replace("FOR UPDATE", "FOR UPDATE SKIP LOCKED"), true).await
    }

    async fn lock_by<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
        sql: &str,
        free: bool,
    ) -> Result<Locked, StoreError> {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        let keys = uuids(&ids);
        for _ in 0..TRIES {
            let mut held = HashMap::with_capacity(ids.len());
            for row in session.rows(sql, &[&keys]).await? {
                let row = Reader::new(&row, session.operation);
                held.insert(row.id(0)?, place(row, 1)?);
            }
            let Loaded { mut jobs, unreadable, now } = self.load(session, &ids).await?;
            if free {
                jobs.retain(|id, before| held.get(id) == Some(&before.place));
            }
            // One that moved between the two is in neither's hand: again, until none does.
            if jobs.values().all(|before| held.get(&before.record.id) == Some(&before.place)) {
                return Ok(Locked { jobs, unreadable, now, write: Write::new(session.operation, now) });
            }
        }
        Err(StoreError::new(Kind::Busy, BACKEND, session.operation))
    }

    /// Reads these jobs as they are now, and the database's time.
    pub(super) async fn load<C: Conn>(&self, session: Session<'_, C>, ids: &[JobId]) -> Result<Loaded, StoreError> {
        let sql = format!(
            "SELECT {JOB}, {STATE}, s.place, s.claim_here, s.end_here, w.name, g.lane, t.now
             FROM (SELECT atlas_jobs_now() AS now) t
             LEFT JOIN ({FROM} JOIN atlas_jobs_group g ON g.no = j.grp) ON j.id = ANY($1::uuid[])"
        );
        let rows = session.rows(&sql, &[&uuids(ids)]).await?;
        let operation = session.operation;
        let now = match rows.first() {
            Some(row) => Reader::new(row, operation).time(WIDTH + 5)?,
            None => return Err(corrupt(operation, "the server does not say what time it is")),
        };
        let present = |row: &&tokio_postgres::Row| Reader::new(row, operation).get::<Option<i32>>(0).ok().flatten();
        let rows: Vec<_> = rows.iter().filter(|row| present(row).is_some()).collect();
        let groups: Result<Vec<i32>, _> = rows.iter().map(|row| group_of(row, operation)).collect();
        let names = self.groups.names(session, groups?.into_iter()).await?;
        let (mut jobs, mut bad) = (HashMap::with_capacity(rows.len()), HashSet::new());
        for row in rows {
            let row = Reader::new(row, operation);
            let read = || {
                Ok(Before {
                    record: record(row, self.stage, &names)?,
                    group: Group { no: row.get(0)?, lane: row.get(WIDTH + 4)? },
                    place: place(row, WIDTH)?,
                    claim_here: row.get(WIDTH + 1)?,
                    end_here: row.get(WIDTH + 2)?,
                    worker: row.maybe_text(WIDTH + 3)?,
                })
            };
            let id = row.id(1)?;
            match read() {
                Err(error) if unreadable(&error, &id) => bad.extend([id]),
                before => jobs.extend([(id, before?)]),
            }
        }
        Ok(Loaded { jobs, unreadable: bad, now })
    }

    /// Jobs whose rows can't be read go from the leases of these workers back to where they wait: a lease would hold up a
    /// limited queue, and nobody could end it. Gives how many went.
    pub(super) async fn put_off<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
        workers: &[i32],
        why: Back,
    ) -> Result<usize, StoreError> {
        if ids.is_empty() {
            return Ok(0);
        }
        let wait = i64::try_from(PUT_OFF.as_millis()).unwrap_or(i64::MAX);
        let error = match why {
            Back::Released => None,
            Back::Expired => Some(json_text(&state::silence(), session.operation)?),
        };
        Ok(session.rows(include_str!("sql/put_off.sql"), &[&uuids(ids), &workers, &wait, &error]).await?.len())
    }
}

fn place(row: Reader<'_>, at: usize) -> Result<Place, StoreError> {
    Place::ALL.get(row.small::<usize>(at)?).copied().ok_or_else(|| row.bad())
}
