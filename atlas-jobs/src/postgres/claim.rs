//! Claiming: which jobs a worker gets, from one queue or many, controlled or not.

use super::Db;
use super::error::{BACKEND, corrupt};
use super::fronts::{Look, Outcome, Piece, Place};
use super::record::{self, CLAIMED, JOB, Reader, group_of, int};
use super::request::Request;
use super::session::{Conn, Param, Session};
use super::transition::Back;
use crate::error::StoreError;
use crate::kernel::{check_limit, unreadable};
use crate::store::{Claim, Pace, QueueState};
use atlas_schema::{JobKind, JobRecord, QueueName, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::PoisonError;
use std::time::Instant;
use tokio_postgres::Row;
use uuid::Uuid;

const OPERATION: &str = "exchange";
/// So many jobs whose time has come are made ready by one claim.
pub(super) const PROMOTED: i64 = 5000;
/// How often one claim looks for other jobs because some of those it took can't be read. The next claim goes on behind them.
const MAX_ROUNDS: usize = 20;

pub(super) const PROMOTE: &str = include_str!("sql/promote.sql");

/// The claim of one lane, of several, and what both end with.
pub(super) struct ClaimSql {
    pub(super) one: String,
    pub(super) many: String,
}

impl ClaimSql {
    pub(super) fn new() -> Self {
        let rest = include_str!("sql/claim_rest.sql");
        let read = format!(
            "SELECT {JOB}, {CLAIMED} FROM taken t, worker,
               LATERAL (SELECT * FROM atlas_jobs_job WHERE id = t.id LIMIT 1) j"
        );
        Self {
            one: format!("{}{rest}{read}", include_str!("sql/claim_one.sql")),
            many: format!("{}{rest}{read}", include_str!("sql/claim_many.sql")),
        }
    }
}

/// What a worker wants, each name once.
pub(super) struct Wanted {
    pub(super) queues: Vec<QueueName>,
    pub(super) kinds: Vec<JobKind>,
    pub(super) limit: usize,
}

impl Wanted {
    /// Whether so many rows are all there were. Of several lanes some may have been passed over for others.
    pub(super) fn is_all(&self, rows: usize) -> bool {
        self.queues.len() == 1 && self.kinds.len() == 1 && rows < self.limit
    }
}

pub(super) fn wanted(claim: Option<Claim>) -> Result<Option<Wanted>, StoreError> {
    let Some(claim) = claim else { return Ok(None) };
    check_limit(claim.limit, 0, BACKEND, OPERATION)?;
    let queues: Vec<QueueName> = claim.queues.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let kinds: Vec<JobKind> = claim.kinds.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let any = claim.limit > 0 && !queues.is_empty() && !kinds.is_empty();
    Ok(any.then_some(Wanted { queues, kinds, limit: claim.limit }))
}

/// What a claim took.
pub(super) struct Claimed {
    pub(super) jobs: Vec<JobRecord>,
    /// Jobs that can't be read: they went back, and left room for others.
    pub(super) put_off: usize,
}

/// In the order in which they should start. Records are large: only their keys move until the order is known.
pub(super) fn in_order(jobs: &mut [JobRecord]) {
    jobs.sort_by_cached_key(|job| (std::cmp::Reverse(job.priority), job.run_at, job.id));
}

/// Where one claim looks, lane by lane.
pub(super) struct Sight {
    lanes: Vec<(QueueName, JobKind, Look)>,
    /// From when on jobs may have become due, in milliseconds.
    pub(super) deferred_from: i64,
    /// Those that were due by then were ready before.
    promoted: Option<Timestamp>,
}

/// What [`PROMOTE`] said.
#[derive(Default)]
pub(super) struct Promoted {
    /// By when all jobs that were due are ready. Where others are making some ready, it is as of before the claim looked.
    pub(super) at: Option<Timestamp>,
    /// None was left behind.
    all: bool,
}

impl Promoted {
    pub(super) fn new(sight: &Sight, said: &[Row]) -> Result<Self, StoreError> {
        let row = said.first().ok_or_else(|| corrupt(OPERATION, "the server gave no answer"))?;
        let row = Reader::new(row, OPERATION);
        let (now, all) = (row.time(0)?, row.get(1)?);
        let at = if all { Some(now) } else { sight.promoted.map(|last| last.min(now)) };
        Ok(Self { at, all })
    }
}

impl Db {
    /// The records of a claim's rows, in the order in which they should start. Those that can't be read go back.
    pub(super) async fn claimed<C: Conn>(
        &self,
        session: Session<'_, C>,
        request: &Request,
        sight: &Sight,
        outcome: Outcome,
        rows: &[Row],
    ) -> Result<Claimed, StoreError> {
        let groups: Result<Vec<i32>, _> = rows.iter().map(|row| group_of(row, OPERATION)).collect();
        let names = self.groups.names(session, groups?.into_iter()).await?;
        let mut jobs: Vec<JobRecord> = Vec::with_capacity(rows.len());
        let mut bad = Vec::new();
        for row in rows {
            let row = Reader::new(row, OPERATION);
            let id = row.id(1)?;
            match record::claimed(row, self.stage, &names, (&request.worker, request.lease_ms)) {
                Err(error) if unreadable(&error, &id) => bad.push(id),
                job => jobs.push(job?),
            }
        }
        in_order(&mut jobs);
        let outcome = Outcome { all: outcome.all && bad.is_empty(), ..outcome };
        for (queue, kind, look) in &sight.lanes {
            let own = jobs.iter().filter(|job| job.queue == *queue && job.kind == *kind);
            self.fronts.found((queue, kind), look, &outcome, own);
        }
        let mut put_off = 0;
        if !bad.is_empty() {
            let own =
                session.rows("SELECT no FROM atlas_jobs_worker WHERE name = $1", &[&request.worker.as_str()]).await?;
            let own: Result<Vec<i32>, _> = own.iter().map(|row| Reader::new(row, OPERATION).get(0)).collect();
            put_off = self.put_off(session, &bad, &own?, Back::Released).await?;
        }
        Ok(Claimed { jobs, put_off })
    }

    /// Where a claim that begins now should look.
    pub(super) fn sight(&self, wanted: &Wanted) -> Sight {
        self.sight_of(wanted.queues.iter(), &wanted.kinds)
    }

    fn sight_of<'a>(&self, queues: impl Iterator<Item = &'a QueueName>, kinds: &[JobKind]) -> Sight {
        let now = Instant::now();
        let lanes = queues.flat_map(|queue| kinds.iter().map(move |kind| (queue, kind)));
        let look =
            |(queue, kind): (&QueueName, &JobKind)| (queue.clone(), kind.clone(), self.fronts.look(queue, kind, now));
        let promoted = self.fronts.last_promoted();
        let lanes: Vec<_> = lanes.map(look).collect();
        let deferred_from = self.fronts.deferred_from(lanes.iter().any(|(.., look)| look.whole));
        Sight { lanes, deferred_from, promoted }
    }

    /// What a claim that is committed has made ready.
    pub(super) fn note_promoted(&self, began: Instant, promoted: &Promoted) {
        if let Promoted { at: Some(at), all: true } = promoted {
            self.fronts.promoted(began, *at);
        }
    }

    /// A claim that may meet paused and limited queues. Who claims from a limited queue waits for its row: the count of what runs
    /// is then exact, since everybody else's claims are committed and seen.
    pub(super) async fn claim_controlled<C: Conn>(
        &self,
        session: Session<'_, C>,
        request: &Request,
        wanted: &Wanted,
    ) -> Result<(Vec<JobRecord>, Promoted), StoreError> {
        let names: Vec<&str> = wanted.queues.iter().map(AsRef::as_ref).collect();
        let sql = "SELECT queue, paused, max_running, max_per_second, pace_left, pace_at, atlas_jobs_now()
            FROM atlas_jobs_queue WHERE queue = ANY($1::text[])
              AND (paused OR max_running IS NOT NULL OR max_per_second IS NOT NULL)
            ORDER BY queue FOR UPDATE";
        let rows = session.rows(sql, &[&names]).await?;
        if rows.is_empty() {
            self.note_free(&wanted.queues);
        }
        let mut running = HashMap::new();
        if !rows.is_empty() {
            for row in session.rows(include_str!("sql/running.sql"), &[&names]).await? {
                let row = Reader::new(&row, OPERATION);
                running.insert(row.text::<QueueName>(0)?, row.get::<i64>(1)?);
            }
        }
        let mut controls = HashMap::new();
        let mut paces = BTreeMap::new();
        for row in &rows {
            let row = Reader::new(row, OPERATION);
            let state = queue_state(row)?;
            if let Some(rate) = state.max_per_second {
                let now = row.time(6)?;
                let pace = match row.maybe_time(5)? {
                    Some(at) => Pace { left: row.number(4)?, at },
                    None => Pace::full(rate, now),
                };
                paces.insert(state.queue.clone(), pace.refilled(rate, now));
            }
            controls.insert(state.queue.clone(), state);
        }
        let mut rooms: Vec<(&QueueName, i64)> = Vec::new();
        for queue in &wanted.queues {
            let mut room = wanted.limit;
            if let Some(control) = controls.get(queue) {
                if control.paused {
                    continue;
                }
                if let Some(most) = control.max_running {
                    let left = i64::from(most) - running.get(queue).copied().unwrap_or(0);
                    room = room.min(usize::try_from(left).unwrap_or(0));
                }
                if let Some(pace) = paces.get(queue) {
                    room = room.min(pace.claims());
                }
            }
            if room > 0 {
                rooms.push((queue, i64::try_from(room).unwrap_or(i64::MAX)));
            }
        }
        if rooms.is_empty() {
            return Ok((Vec::new(), Promoted::default()));
        }
        let sight = self.sight_of(rooms.iter().map(|(queue, _)| *queue), &wanted.kinds);
        let (began, asked) = (request.began, Instant::now());
        let said = session.rows(PROMOTE, &[&PROMOTED, &sight.deferred_from]).await?;
        let promoted = Promoted::new(&sight, &said)?;
        let outcome = Outcome { began, cost: asked.elapsed(), at: promoted.at, all: false };
        let claimed = self.claim_rooms(session, request, wanted, rooms, (sight, outcome)).await?;
        for job in &claimed {
            if let Some(pace) = paces.get_mut(&job.queue) {
                *pace = pace.spent(1);
            }
        }
        for (queue, pace) in &paces {
            let sql = "UPDATE atlas_jobs_queue SET pace_left = $2, pace_at = $3 WHERE queue = $1";
            session.rows(sql, &[&queue.as_str(), &int(pace.left), &pace.at.as_millis()]).await?;
        }
        Ok((claimed, promoted))
    }

    /// Claims until there is no room left, or nothing more that can be read.
    async fn claim_rooms<C: Conn>(
        &self,
        session: Session<'_, C>,
        request: &Request,
        wanted: &Wanted,
        mut rooms: Vec<(&QueueName, i64)>,
        (sight, outcome): (Sight, Outcome),
    ) -> Result<Vec<JobRecord>, StoreError> {
        let mut claimed: Vec<JobRecord> = Vec::new();
        let mut first = Some(sight);
        for _ in 0..MAX_ROUNDS {
            let left = wanted.limit.saturating_sub(claimed.len());
            if left == 0 || rooms.is_empty() {
                break;
            }
            let again = || self.sight_of(rooms.iter().map(|(queue, _)| *queue), &wanted.kinds);
            let sight = first.take().unwrap_or_else(again);
            let mut params = ClaimParams::new(request.worker.as_str(), wanted, &sight);
            params.limit = i64::try_from(left).unwrap_or(i64::MAX);
            params.queues = rooms.iter().map(|(queue, _)| queue.as_str()).collect();
            params.rooms = rooms.iter().map(|(_, room)| *room).collect();
            params.controlled = true;
            let asked = Instant::now();
            let rows = session.rows(&self.claims.many, &params.many()).await?;
            let outcome = Outcome { cost: outcome.cost + asked.elapsed(), ..outcome };
            let Claimed { jobs, put_off } = self.claimed(session, request, &sight, outcome, &rows).await?;
            for job in &jobs {
                if let Some((_, room)) = rooms.iter_mut().find(|(queue, _)| **queue == job.queue) {
                    *room -= 1;
                }
            }
            rooms.retain(|(_, room)| *room > 0);
            claimed.extend(jobs);
            if put_off == 0 {
                break;
            }
        }
        in_order(&mut claimed);
        Ok(claimed)
    }

    pub(super) fn is_controlled(&self, claim: Option<&Wanted>) -> bool {
        let Some(claim) = claim else { return false };
        let known = self.controlled.read().unwrap_or_else(PoisonError::into_inner);
        claim.queues.iter().any(|queue| known.contains(queue))
    }

    pub(super) fn note_controlled(&self, queues: &[QueueName]) {
        let mut known = self.controlled.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(queues.iter().cloned());
    }

    fn note_free(&self, queues: &[QueueName]) {
        let mut known = self.controlled.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|queue| !queues.contains(queue));
    }
}

/// The parameters of a claim.
pub(super) struct ClaimParams<'a> {
    worker: &'a str,
    limit: i64,
    queues: Vec<&'a str>,
    kinds: Vec<&'a str>,
    rooms: Vec<i64>,
    controlled: bool,
    /// The pieces of the lanes' indexes that are looked at, column by column.
    piece_queues: Vec<&'a str>,
    piece_kinds: Vec<&'a str>,
    from: Places,
    to: Places,
}

/// Places, column by column.
#[derive(Default)]
struct Places {
    ranks: Vec<i32>,
    run_at: Vec<i64>,
    ids: Vec<Uuid>,
}

impl Places {
    fn push(&mut self, place: Place) {
        self.ranks.push(place.rank);
        self.run_at.push(place.run_at);
        self.ids.push(place.id.as_uuid());
    }

    fn params(&self) -> [Param<'_>; 3] {
        [&self.ranks, &self.run_at, &self.ids]
    }
}

impl<'a> ClaimParams<'a> {
    pub(super) fn new(worker: &'a str, wanted: &'a Wanted, sight: &'a Sight) -> Self {
        let limit = i64::try_from(wanted.limit).unwrap_or(i64::MAX);
        let mut params = Self {
            worker,
            limit,
            queues: wanted.queues.iter().map(AsRef::as_ref).collect(),
            kinds: wanted.kinds.iter().map(AsRef::as_ref).collect(),
            rooms: vec![limit; wanted.queues.len()],
            controlled: false,
            piece_queues: Vec::new(),
            piece_kinds: Vec::new(),
            from: Places::default(),
            to: Places::default(),
        };
        for (queue, kind, look) in &sight.lanes {
            for Piece { from, to } in &look.pieces {
                params.piece_queues.push(queue.as_str());
                params.piece_kinds.push(kind.as_str());
                params.from.push(*from);
                params.to.push(*to);
            }
        }
        params
    }

    /// Whether the statement for one lane will do.
    pub(super) fn is_one(&self) -> bool {
        self.queues.len() == 1 && self.kinds.len() == 1
    }

    /// For the statement for one lane, or else for several.
    pub(super) fn params(&self) -> Vec<Param<'_>> {
        match (self.queues.first(), self.kinds.first()) {
            (Some(queue), Some(kind)) if self.is_one() => {
                let lane: [Param<'_>; 4] = [&self.worker, &self.limit, queue, kind];
                lane.into_iter().chain(self.from.params()).chain(self.to.params()).collect()
            }
            _ => self.many(),
        }
    }

    fn many(&self) -> Vec<Param<'_>> {
        let lanes: [Param<'_>; 8] = [
            &self.worker,
            &self.limit,
            &self.queues,
            &self.kinds,
            &self.rooms,
            &self.controlled,
            &self.piece_queues,
            &self.piece_kinds,
        ];
        lanes.into_iter().chain(self.from.params()).chain(self.to.params()).collect()
    }
}

pub(super) fn queue_state(row: Reader<'_>) -> Result<QueueState, StoreError> {
    let limit = |at| row.get::<Option<i64>>(at)?.map(u32::try_from).transpose().map_err(|_| row.bad());
    let mut state = QueueState::new(row.text(0)?);
    state.paused = row.get(1)?;
    state.max_running = limit(2)?;
    state.max_per_second = limit(3)?;
    Ok(state)
}
