//! Ending what nobody else ends, and deleting.

use super::Db;
use super::error::{BACKEND, failed};
use super::record::{Reader, code};
use super::rows::{Before, Place, uuids};
use super::session::{Conn, Param, Session};
use super::transition::{Back, Locked};
use crate::error::StoreError;
use crate::kernel::{MOST_PAGES, check_limit};
use crate::state::Command;
use crate::store::{
    CommandOutcome, CommandRequest, JobCommand, MAX_PAGE, Purge, PurgeOptions, Purged, SweepOptions, Swept,
};
use crate::{kernel::unfit, state::Reject};
use atlas_schema::{Actor, JobId, JobStatus, Timestamp};
use std::collections::HashSet;

/// So many rows of changed counts are folded at a time, until fewer are left.
const FOLDED: i64 = 20_000;

const OVERDUE: &str = "SELECT id, deadline FROM (
   (SELECT id, deadline FROM atlas_jobs_ready WHERE deadline BETWEEN $2 AND atlas_jobs_now()
    AND (deadline, id) > ($2, $3::uuid) AND deadline IS NOT NULL ORDER BY deadline, id LIMIT $1)
   UNION ALL
   (SELECT id, deadline FROM atlas_jobs_deferred WHERE deadline BETWEEN $2 AND atlas_jobs_now()
    AND (deadline, id) > ($2, $3::uuid) AND deadline IS NOT NULL ORDER BY deadline, id LIMIT $1)
   UNION ALL
   (SELECT id, deadline FROM atlas_jobs_lease WHERE deadline BETWEEN $2 AND atlas_jobs_now()
    AND (deadline, id) > ($2, $3::uuid) AND deadline IS NOT NULL ORDER BY deadline, id LIMIT $1)
 ) overdue ORDER BY deadline, id LIMIT $1";
const UNANSWERED: &str = "SELECT id, cancel_by FROM atlas_jobs_lease WHERE cancel_by BETWEEN $2 AND atlas_jobs_now()
 AND (cancel_by, id) > ($2, $3::uuid) AND cancel_by IS NOT NULL ORDER BY cancel_by, id LIMIT $1";
/// Their rows stay locked: an exchange that is under way is a sign of life, and one that comes now finds its leases gone.
const SILENT: &str = "SELECT no FROM atlas_jobs_worker
 WHERE NOT idle AND (seen_at + lease_ms <= atlas_jobs_now() OR name = ANY($1::text[])) ORDER BY no
 FOR UPDATE SKIP LOCKED";
/// In the order of the file: no index leads to a worker's leases, and where somebody's old snapshot keeps those that ended, to
/// walk an index over all of them takes several times as long.
const LEASES_OF: &str =
    "SELECT id, $2::int8 FROM (SELECT id FROM atlas_jobs_lease WHERE worker = ANY($4::int4[]) OFFSET 0) own
 WHERE id > $3::uuid ORDER BY id LIMIT $1";

impl Db {
    pub(super) async fn sweep(&self, options: &SweepOptions) -> Result<Swept, StoreError> {
        const OPERATION: &str = "sweep";
        check_limit(options.limit, 1, BACKEND, OPERATION)?;
        let mut client = self.client(OPERATION).await?;
        let watch = self.fronts.watch();
        let transaction = self.begin(&mut client, OPERATION).await?;
        let session = Session::new(&transaction, OPERATION);
        let mut swept = Swept::default();
        let mut left = options.limit;
        let time_out = |_| Command::TimeOut;
        swept.timed_out = self.end_all(session, Due { sql: OVERDUE, of: None }, time_out, &mut left).await?;
        let end_cancel = |_| Command::EndCancel;
        swept.cancelled = self.end_all(session, Due { sql: UNANSWERED, of: None }, end_cancel, &mut left).await?;
        let dead: Vec<&str> = options.dead.iter().map(AsRef::as_ref).collect();
        let mut silent: Vec<i32> = Vec::new();
        for row in session.rows(SILENT, &[&dead]).await? {
            silent.push(Reader::new(&row, OPERATION).get(0)?);
        }
        if !silent.is_empty() {
            let due = Due { sql: LEASES_OF, of: Some(&silent) };
            swept.expired = self.end_all(session, due, |epoch| Command::ExpireLease { epoch }, &mut left).await?;
            if left > 0 {
                let sql = "UPDATE atlas_jobs_worker SET idle = true WHERE no = ANY($1::int4[])
                    AND no <> ALL (ARRAY(SELECT worker FROM atlas_jobs_lease WHERE worker = ANY($1::int4[])))";
                session.rows(sql, &[&silent]).await?;
            }
        }
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        watch.committed();
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

    /// Ends what is due, page by page until as many were ended as may be. Gives how many were. Rows that can't be read stay where
    /// they are, if they can't be put off: however many stand in front, those behind them have their turn.
    async fn end_all<C: Conn>(
        &self,
        session: Session<'_, C>,
        due: Due<'_>,
        command: impl Fn(u64) -> Command,
        left: &mut usize,
    ) -> Result<usize, StoreError> {
        let (mut done, mut after) = (0, (i64::MIN, JobId::MIN));
        for _ in 0..MOST_PAGES {
            let (limit, behind) = (most(MAX_PAGE), after.1.as_uuid());
            let mut params: Vec<Param<'_>> = vec![&limit, &after.0, &behind];
            params.extend(due.of.as_ref().map(|of| of as Param<'_>));
            let mut found = Vec::new();
            for row in session.rows(due.sql, &params).await? {
                let row = Reader::new(&row, session.operation);
                found.push((row.get::<i64>(1)?, row.id(0)?));
            }
            let ids: Vec<JobId> = found.iter().map(|(_, id)| *id).collect();
            let (ended, unreadable) = self.end(session, &ids, &command, left).await?;
            done += ended;
            if let Some(workers) = due.of {
                done += self.put_off(session, &unreadable, workers, Back::Expired).await?;
            }
            if *left == 0 || found.len() < MAX_PAGE {
                return Ok(done);
            }
            after = found.last().copied().unwrap_or(after);
        }
        tracing::error!("so many rows can't be read that a sweep gave up looking behind them: mend or purge them");
        Ok(done)
    }

    /// How many were ended, and which can't be read.
    async fn end<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
        command: &impl Fn(u64) -> Command,
        left: &mut usize,
    ) -> Result<(usize, Vec<JobId>), StoreError> {
        if ids.is_empty() || *left == 0 {
            return Ok((0, Vec::new()));
        }
        // Whoever holds one is at work on it, or has stopped: the next sweep sees to it.
        let mut locked = self.lock_free(session, ids).await?;
        let mut ended = 0;
        for id in ids {
            if ended == *left {
                break;
            }
            let Some(epoch) = locked.get(*id).map(|job| job.epoch) else { continue };
            // One that the state machine refuses has changed since: whoever changed it has seen to it.
            if let Some(Ok(_)) = locked.apply(*id, command(epoch), Actor::Sweeper {})? {
                ended += 1;
            }
        }
        *left -= ended;
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
        let watch = self.fronts.watch();
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
        watch.committed();
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
        if let Purge::Jobs(ids) | Purge::Unreadable(ids) = &options.what {
            check_limit(ids.len(), 0, BACKEND, OPERATION)?;
        }
        let mut client = self.client(OPERATION).await?;
        let watch = self.fronts.watch();
        let transaction = self.begin(&mut client, OPERATION).await?;
        let session = Session::new(&transaction, OPERATION);
        let mut purged = Purged::default();
        match &options.what {
            Purge::Jobs(ids) => {
                purged.more = ids.len() > options.limit;
                let some: Vec<JobId> = ids.iter().copied().take(options.limit).collect();
                let wanted = |before: &Before, _| before.place != Place::Lease;
                purged.jobs = self.delete(session, &some, wanted).await?.0;
            }
            Purge::Unreadable(ids) => {
                purged.more = ids.len() > options.limit;
                let some: Vec<JobId> = ids.iter().copied().take(options.limit).collect();
                let unreadable = self.lock(session, &some).await?.unreadable(&some);
                let sql = include_str!("sql/discard.sql");
                purged.jobs = session.rows(sql, &[&uuids(&unreadable)]).await?.len();
            }
            Purge::Ended { status, before } => {
                let least_age = i64::try_from(options.least_age.as_millis()).unwrap_or(i64::MAX);
                let mut unreadable = Vec::new();
                let mut seen = 0;
                // Those that can't be read are in no other's way, however many they are.
                while purged.jobs < options.limit && seen < MOST_PAGES * MAX_PAGE {
                    let room = most((options.limit - purged.jobs).min(MAX_PAGE));
                    let params = (code(*status), before.as_millis(), room, least_age);
                    let params: [Param<'_>; 4] = [&params.0, &params.1, &params.2, &params.3];
                    let found = ids(session, include_str!("sql/purge.sql"), &params).await?;
                    if found.is_empty() {
                        break;
                    }
                    seen += found.len();
                    let wanted = |job: &Before, now: Timestamp| {
                        let before = (*before).min(now.saturating_sub(options.least_age));
                        job.record.status == *status && job.record.finished_at.is_some_and(|finished| finished < before)
                    };
                    let (jobs, bad) = self.delete(session, &found, wanted).await?;
                    purged.jobs += jobs;
                    unreadable.extend(bad);
                }
                purged.more = purged.jobs == options.limit || (seen >= MOST_PAGES * MAX_PAGE && purged.jobs > 0);
                if !unreadable.is_empty() {
                    // They were taken off the list of those that ended. Once mended they are to be found again, and until then
                    // not by every purge.
                    let sql = "INSERT INTO atlas_jobs_ended (at, status, ids) VALUES (atlas_jobs_now(), $1, $2)";
                    session.rows(sql, &[&code(*status), &uuids(&unreadable)]).await?;
                }
            }
        }
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        // Nothing comes in by it.
        watch.settle();
        Ok(purged)
    }

    /// Deletes those of these jobs that are wanted and do not run. Gives how many, and which can't be read.
    async fn delete<C: Conn>(
        &self,
        session: Session<'_, C>,
        ids: &[JobId],
        wanted: impl Fn(&Before, Timestamp) -> bool,
    ) -> Result<(usize, Vec<JobId>), StoreError> {
        let mut locked = self.lock(session, ids).await?;
        let mut gone = Vec::new();
        for id in ids.iter().collect::<HashSet<_>>() {
            let Some(before) = locked.before(*id) else { continue };
            if before.record.status != JobStatus::Processing && wanted(before, locked.now) {
                locked.delete(*id);
                gone.push(*id);
            }
        }
        let unreadable = locked.unreadable(ids);
        locked.finish(session).await?;
        let keys = uuids(&gone);
        session.rows("DELETE FROM atlas_jobs_job WHERE id = ANY($1::uuid[])", &[&keys]).await?;
        session.rows("DELETE FROM atlas_jobs_event WHERE job = ANY($1::uuid[])", &[&keys]).await?;
        Ok((gone.len(), unreadable))
    }
}

/// Where a sweep looks, and of which workers.
#[derive(Clone, Copy)]
struct Due<'a> {
    sql: &'static str,
    of: Option<&'a Vec<i32>>,
}

async fn ids<C: Conn>(session: Session<'_, C>, sql: &str, params: &[Param<'_>]) -> Result<Vec<JobId>, StoreError> {
    let rows = session.rows(sql, params).await?;
    rows.iter().map(|row| Reader::new(row, session.operation).id(0)).collect()
}

/// A bound for `LIMIT`.
fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
