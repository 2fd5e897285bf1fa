//! Ending what nobody else ends, and deleting.

use super::Db;
use super::error::{BACKEND, failed};
use super::record::{Reader, code};
use super::rows::{Place, uuids};
use super::session::{Conn, Session};
use super::transition::Locked;
use crate::error::StoreError;
use crate::kernel::check_limit;
use crate::state::Command;
use crate::store::{CommandOutcome, CommandRequest, JobCommand, Purge, PurgeOptions, Purged, SweepOptions, Swept};
use crate::{kernel::unfit, state::Reject};
use atlas_schema::{Actor, JobId, JobStatus};
use std::collections::HashSet;

/// So many rows of changed counts are folded at a time, until fewer are left.
const FOLDED: i64 = 20_000;

const OVERDUE: &str = "SELECT id FROM (
   (SELECT id, deadline FROM atlas_jobs_ready WHERE deadline <= atlas_jobs_now() AND deadline IS NOT NULL
    ORDER BY deadline LIMIT $1)
   UNION ALL
   (SELECT id, deadline FROM atlas_jobs_deferred WHERE deadline <= atlas_jobs_now() AND deadline IS NOT NULL
    ORDER BY deadline LIMIT $1)
   UNION ALL
   (SELECT id, deadline FROM atlas_jobs_lease WHERE deadline <= atlas_jobs_now() AND deadline IS NOT NULL
    ORDER BY deadline LIMIT $1)
 ) overdue ORDER BY deadline LIMIT $1";
const UNANSWERED: &str = "SELECT id FROM atlas_jobs_lease WHERE cancel_by <= atlas_jobs_now() AND cancel_by IS NOT NULL
 ORDER BY cancel_by LIMIT $1";
/// Their rows stay locked: an exchange that is under way is a sign of life, and one that comes now finds its leases gone.
const SILENT: &str = "SELECT no FROM atlas_jobs_worker
 WHERE NOT idle AND (seen_at + lease_ms <= atlas_jobs_now() OR name = ANY($1::text[])) ORDER BY no
 FOR UPDATE SKIP LOCKED";
const LEASES_OF: &str = "SELECT id FROM atlas_jobs_lease WHERE worker = ANY($1::int4[]) LIMIT $2";

impl Db {
    pub(super) async fn sweep(&self, options: &SweepOptions) -> Result<Swept, StoreError> {
        const OPERATION: &str = "sweep";
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        let mut client = self.client(OPERATION).await?;
        let transaction = self.begin(&mut client, OPERATION).await?;
        let session = Session::new(&transaction, OPERATION);
        let mut swept = Swept::default();
        let mut left = options.limit;
        let overdue = ids(session, OVERDUE, &[&most(left)]).await?;
        (swept.timed_out, _) = self.end(session, &overdue, |_| Command::TimeOut, &mut left).await?;
        let unanswered = ids(session, UNANSWERED, &[&most(left)]).await?;
        (swept.cancelled, _) = self.end(session, &unanswered, |_| Command::EndCancel, &mut left).await?;
        let dead: Vec<&str> = options.dead.iter().map(AsRef::as_ref).collect();
        let mut silent: Vec<i32> = Vec::new();
        for row in session.rows(SILENT, &[&dead]).await? {
            silent.push(Reader::new(&row, OPERATION).get(0)?);
        }
        if !silent.is_empty() {
            let leases = ids(session, LEASES_OF, &[&silent, &most(left)]).await?;
            let (ended, unreadable) =
                self.end(session, &leases, |epoch| Command::ExpireLease { epoch }, &mut left).await?;
            swept.expired = ended + self.put_off(session, &unreadable, &silent).await?;
            if leases.len() < options.limit {
                let sql = "UPDATE atlas_jobs_worker w SET idle = true WHERE no = ANY($1::int4[])
                    AND NOT EXISTS (SELECT FROM atlas_jobs_lease l WHERE l.worker = w.no)";
                session.rows(sql, &[&silent]).await?;
            }
        }
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        swept.more = left == 0;
        let session = Session::new(&client, OPERATION);
        loop {
            let rows = session.rows(include_str!("sql/fold.sql"), &[&FOLDED]).await?;
            let folded: i64 = rows.first().map_or(Ok(0), |row| Reader::new(row, OPERATION).get(0))?;
            if folded < FOLDED {
                break;
            }
        }
        Ok(swept)
    }

    /// How many were ended, and which can't be read.
    async fn end<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
        command: impl Fn(u64) -> Command,
        left: &mut usize,
    ) -> Result<(usize, Vec<JobId>), StoreError> {
        if ids.is_empty() || *left == 0 {
            return Ok((0, Vec::new()));
        }
        // Whoever holds one is at work on it, or has stopped: the next sweep sees to it.
        let mut locked = self.lock_free(session, ids).await?;
        let mut ended = 0;
        for id in ids.iter().take(*left) {
            let Some(epoch) = locked.get(*id).map(|job| job.epoch) else { continue };
            // One that the state machine refuses has changed since: whoever changed it has seen to it.
            if let Some(Ok(_)) = locked.apply(*id, command(epoch), Actor::Sweeper {})? {
                ended += 1;
            }
        }
        *left = left.saturating_sub(ended);
        let unreadable = locked.unreadable(ids);
        locked.finish(session).await?;
        Ok((ended, unreadable))
    }

    pub(super) async fn command(
        &self,
        requests: Vec<CommandRequest>,
        actor: &Actor,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        const OPERATION: &str = "command";
        let mut client = self.client(OPERATION).await?;
        let transaction = self.begin(&mut client, OPERATION).await?;
        let session = Session::new(&transaction, OPERATION);
        let mut outcomes = Vec::with_capacity(requests.len());
        let mut rest = requests.as_slice();
        // A second request for a job builds on what the first made of it: it is read again.
        while !rest.is_empty() {
            let mut seen = HashSet::new();
            let fresh = rest.iter().take_while(|request| seen.insert(request.job)).count();
            let (now, later) = rest.split_at(fresh);
            rest = later;
            let ids: Vec<JobId> = now.iter().map(|request| request.job).collect();
            let mut locked = self.lock(session, &ids).await?;
            for request in now {
                outcomes.push(self.one(&mut locked, request, actor)?);
            }
            locked.finish(session).await?;
        }
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        Ok(outcomes)
    }

    fn one(&self, locked: &mut Locked, request: &CommandRequest, actor: &Actor) -> Result<CommandOutcome, StoreError> {
        let Some(before) = locked.get(request.job) else { return Ok(CommandOutcome::NotFound) };
        if request.if_version.is_some_and(|version| version != before.version) {
            return Ok(CommandOutcome::Rejected(Reject::VersionConflict { current: before.version }));
        }
        if let JobCommand::Conclude { result } = &request.command
            && let Some(reject) = unfit(result, "the result", self.capabilities().max_result_bytes)
        {
            return Ok(CommandOutcome::Rejected(reject));
        }
        Ok(match locked.apply(request.job, request.command.clone().into(), actor.clone())? {
            Some(Ok(after)) => CommandOutcome::Applied { status: after.status, version: after.version },
            Some(Err(reject)) => CommandOutcome::Rejected(reject),
            None => CommandOutcome::NotFound,
        })
    }

    pub(super) async fn purge(&self, options: &PurgeOptions) -> Result<Purged, StoreError> {
        const OPERATION: &str = "purge";
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        if let Purge::Jobs(ids) = &options.what {
            check_limit(ids.len(), 0, BACKEND, OPERATION)?;
        }
        let mut client = self.client(OPERATION).await?;
        let transaction = self.begin(&mut client, OPERATION).await?;
        let session = Session::new(&transaction, OPERATION);
        let (ids, more) = match &options.what {
            Purge::Jobs(ids) => {
                let some = ids.iter().copied().take(options.limit).collect::<Vec<_>>();
                (some, ids.len() > options.limit)
            }
            Purge::Ended { status, before } => {
                let least_age = i64::try_from(options.least_age.as_millis()).unwrap_or(i64::MAX);
                let params = (code(*status), before.as_millis(), most(options.limit), least_age);
                let params: [super::session::Param<'_>; 4] = [&params.0, &params.1, &params.2, &params.3];
                let found = ids(session, include_str!("sql/purge.sql"), &params).await?;
                let more = !found.is_empty();
                (found, more)
            }
        };
        let mut locked = self.lock(session, &ids).await?;
        let mut gone = Vec::new();
        for id in ids.iter().collect::<HashSet<_>>() {
            let Some(before) = locked.before(*id) else { continue };
            let (status, finished, place) = (before.record.status, before.record.finished_at, before.place);
            let wanted = match &options.what {
                Purge::Jobs(_) => place != Place::Lease,
                Purge::Ended { status: wanted, before } => {
                    let before = (*before).min(locked.now.saturating_sub(options.least_age));
                    status == *wanted && finished.is_some_and(|finished| finished < before)
                }
            };
            if wanted && status != JobStatus::Processing {
                locked.delete(*id);
                gone.push(*id);
            }
        }
        let unreadable = locked.unreadable(&ids);
        locked.finish(session).await?;
        if let Purge::Ended { status, .. } = &options.what
            && !unreadable.is_empty()
        {
            // They were taken off the list of those that ended. Once mended they are to be found again, and until then not by
            // every purge.
            let sql = "INSERT INTO atlas_jobs_ended (at, status, ids) VALUES (atlas_jobs_now(), $1, $2)";
            session.rows(sql, &[&code(*status), &uuids(&unreadable)]).await?;
        }
        let keys = uuids(&gone);
        session.rows("DELETE FROM atlas_jobs_job WHERE id = ANY($1::uuid[])", &[&keys]).await?;
        session.rows("DELETE FROM atlas_jobs_event WHERE job = ANY($1::uuid[])", &[&keys]).await?;
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        // Those that can't be read would be found again and again by who asks for all that ended until now.
        let stuck = gone.is_empty() && !unreadable.is_empty() && matches!(options.what, Purge::Ended { .. });
        Ok(Purged { jobs: gone.len(), more: more && !stuck })
    }
}

async fn ids<C: Conn>(
    session: Session<'_, C>,
    sql: &str,
    params: &[super::session::Param<'_>],
) -> Result<Vec<JobId>, StoreError> {
    let rows = session.rows(sql, params).await?;
    rows.iter().map(|row| Reader::new(row, session.operation).id(0)).collect()
}

/// A bound for `LIMIT`.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
