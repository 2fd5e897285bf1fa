//! A worker's round trip: one transaction, and in the usual case one exchange of messages with the server.
//!
//! Usually all outcomes are results and nobody controls the queues. Then every statement can be sent at once, the commit
//! included: those after the beat check by the transaction's number that the beat was accepted. Else the statements follow one
//! another, and the state machine decides in between.

use super::Db;
use super::beat::{BEAT, MARK};
use super::claim::{ClaimParams, Claimed, PROMOTE, PROMOTED, Promoted, Sight, Wanted, in_order};
use super::columns::TELL;
use super::error::failed;
use super::fronts::Outcome;
use super::record::{Reader, int};
use super::request::{News, Request, Results};
use super::rows::uuids;
use super::session::{BEGIN, Conn, Param, Session};
use super::transition::{Back, Locked};
use crate::error::{Kind, StoreError};
use crate::kernel::{readable, unfit};
use crate::state::{self, Command, Reject};
use crate::store::{Ack, AckAction, AckOutcome, Exchange, Exchanged, Held, HeldOutcome, MAX_PAGE};
use atlas_schema::{Actor, CancelRequest, JobId, JobRecord, JobStatus, WorkerId};
use deadpool_postgres::GenericClient;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

const OPERATION: &str = "exchange";
const COMPLETE: &str = include_str!("sql/complete.sql");
const HELD: &str = "SELECT l.id, l.cancel FROM unnest($1::uuid[], $2::int8[]) AS held (id, epoch),
 LATERAL (SELECT id, cancel FROM atlas_jobs_lease WHERE id = held.id AND epoch = held.epoch LIMIT 1) l";
const PROGRESS: &str = "UPDATE atlas_jobs_lease l SET progress = held.progress
 FROM unnest($1::uuid[], $2::int8[], $3::text[]) AS held (id, epoch, progress)
 WHERE l.id = ANY($1::uuid[]) AND l.id = held.id AND l.epoch = held.epoch
   AND EXISTS (SELECT FROM atlas_jobs_worker WHERE ctid = nullif(current_setting('atlas_jobs.worker', true), '')::tid
     AND name = $4 AND xact = pg_current_xact_id())";

/// What the statements said.
#[derive(Default)]
pub(super) struct Said {
    beat: Vec<Row>,
    completed: Vec<Row>,
    held: Vec<Row>,
    promoted: Vec<Row>,
    pub(super) claimed: Vec<Row>,
    /// How long it took to make jobs ready and to claim.
    walk: Duration,
}

/// What they come to.
struct Answer {
    exchanged: Exchanged,
    /// Which outcomes are still open.
    open: Vec<usize>,
    /// So many of the claimed jobs can't be read, and went back.
    put_off: usize,
}

/// What an exchange is sent as.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    /// A transaction of its own.
    Whole,
    /// The end of one that is open and has added jobs, of which nobody was told.
    End { new: &'a [Uuid] },
}

async fn begin<C: GenericClient>(client: &C, frame: Frame<'_>) -> Result<(), tokio_postgres::Error> {
    match frame {
        Frame::Whole => client.batch_execute(BEGIN).await,
        Frame::End { .. } => Ok(()),
    }
}

impl Db {
    pub(super) async fn exchange(&self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        // What one takes that fails or is given up is free again, and others may have passed it over meanwhile.
        let watch = self.fronts.watch();
        let exchanged = self.exchange_once(exchange).await;
        let took_none = |error: &StoreError| matches!(error.kind(), Kind::Conflict | Kind::InvalidInput);
        if exchanged.as_ref().map_or_else(took_none, |_| true) {
            watch.settle();
        }
        exchanged
    }

    async fn exchange_once(&self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        let request = Arc::new(Request::new(exchange, self.capabilities().max_result_bytes)?);
        self.eager.note_busy(&request.worker);
        if request.is_usual() && !self.is_controlled(request.claim.as_ref()) {
            let went = self.eager.go_along(&request, |wanted| self.sight(wanted)).await;
            let (sight, mut said, mut client) = if let Some(went) = went {
                went?
            } else {
                let client = self.client(OPERATION).await?;
                let sight = request.claim.as_ref().map(|wanted| self.sight(wanted));
                let said = self.ask(&client, &request, sight.as_ref(), Frame::Whole).await?;
                (sight, said, client)
            };
            if said.beat.is_empty() {
                // Nothing was done. Servers differ in whether an update by place follows a row that moves in that very moment.
                self.beats.forget(&request.worker);
                said = self.ask(&client, &request, sight.as_ref(), Frame::Whole).await?;
            }
            let controlled: bool = self.beaten(&request, &said.beat)?.get(2)?;
            let session = Session::new(&client, OPERATION);
            // Where nobody looked, nothing is known.
            let sight = sight.filter(|_| !controlled || !said.claimed.is_empty());
            let Answer { mut exchanged, open, put_off } = self.answer(session, &request, sight.as_ref(), &said).await?;
            if !open.is_empty() {
                // Somebody asked the job to stop in that very moment: its row changed while it was being ended. Now it is locked.
                let transaction = self.begin(&mut client, OPERATION).await?;
                let session = Session::new(&transaction, OPERATION);
                let ids: Vec<JobId> = open.iter().map(|at| request.acks[*at].job).collect();
                let mut locked = self.lock(session, &ids).await?;
                for at in open {
                    exchanged.acks[at] = self.acknowledge(&mut locked, &request.acks[at], &request.worker)?;
                }
                locked.finish(session).await?;
                transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
            }
            // What was claimed after all was claimed because the control ended between the beat and the claim: the worker has it.
            let controlled = controlled && exchanged.claimed.is_empty();
            if (controlled || put_off > 0)
                && let Some(claim) = &request.claim
            {
                if controlled {
                    // Somebody controls one of the queues since the last time: this claim goes the careful way, and the next
                    // ones at once.
                    self.note_controlled(&claim.queues);
                    // If it came between the last beat and its claim, that found nothing only since it did not look.
                    self.fronts.doubt();
                }
                let limit = claim.limit.saturating_sub(exchanged.claimed.len());
                let rest = Wanted { queues: claim.queues.clone(), kinds: claim.kinds.clone(), limit };
                let transaction = self.begin(&mut client, OPERATION).await?;
                let session = Session::new(&transaction, OPERATION);
                let marked = session.rows(MARK, &[&request.worker.as_str(), &request.beat]).await?;
                if let Some(place) = marked.first().map(|row| Reader::new(row, OPERATION).get(0)).transpose()? {
                    self.beats.note(&request.worker, place);
                }
                let (claimed, promoted) = self.claim_controlled(session, &request, &rest).await?;
                exchanged.claimed.extend(claimed);
                transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
                self.note_promoted(request.began, &promoted);
                in_order(&mut exchanged.claimed);
            } else if let Some(claim) = &request.claim
                && exchanged.claimed.is_empty()
                && self.waker.is_awaited()
            {
                self.eager.note_idle(&request.worker, claim);
            }
            return Ok(exchanged);
        }
        let mut client = self.client(OPERATION).await?;
        let transaction = self.begin(&mut client, OPERATION).await?;
        let (exchanged, promoted) = self.step_by_step(Session::new(&transaction, OPERATION), &request).await?;
        transaction.commit().await.map_err(|error| failed(OPERATION, &error))?;
        self.note_promoted(request.began, &promoted);
        if request.reconcile || request.acks.iter().any(|ack| !matches!(ack.action, AckAction::Complete { .. })) {
            self.fronts.came(request.began);
        }
        Ok(exchanged)
    }

    /// Sends everything before any answer has come, the commit included. Dropping it loses the answers only.
    pub(super) async fn ask<C: GenericClient>(
        &self,
        client: &C,
        request: &Request,
        sight: Option<&Sight>,
        frame: Frame<'_>,
    ) -> Result<Said, StoreError> {
        let prepare = |sql: &str| {
            let sql = sql.to_owned();
            async move { client.prepare_cached(&sql).await.map_err(|error| failed(OPERATION, &error)) }
        };
        let none = Vec::new();
        let queues: Vec<&str> =
            request.claim.as_ref().map_or(none, |claim| claim.queues.iter().map(AsRef::as_ref).collect());
        let worker = request.worker.as_str();
        let place = self.beats.place(&request.worker);
        let beat = prepare(BEAT).await?;
        let none = Results::default();
        let results = request.results.first().unwrap_or(&none);
        let [epochs, values, starts, lengths] = results.params();
        let mut held = (Vec::new(), Vec::new());
        for one in &request.held {
            held.0.push(one.job);
            held.1.push(int(one.epoch));
        }
        let (acked, holding, news) = (uuids(&results.ids), uuids(&held.0), uuids(&request.progress.ids));
        // Prepared before anything is sent: a statement that is new to this connection costs a round trip, once.
        let complete = if results.ids.is_empty() { None } else { Some(prepare(COMPLETE).await?) };
        let look = if request.held.is_empty() { None } else { Some(prepare(HELD).await?) };
        let note = if request.progress.ids.is_empty() { None } else { Some(prepare(PROGRESS).await?) };
        let claim_params = sight.zip(request.claim.as_ref());
        let claim_params = claim_params.map(|(sight, wanted)| ClaimParams::new(worker, wanted, sight));
        let claim = match &claim_params {
            None => None,
            Some(params) if params.is_one() => Some(prepare(&self.claims.one).await?),
            Some(_) => Some(prepare(&self.claims.many).await?),
        };
        let deferred_from = sight.map_or(i64::MAX, |sight| sight.deferred_from);
        let promote = if claim.is_some() { Some(prepare(PROMOTE).await?) } else { None };
        let claim_params = claim_params.as_ref().map(ClaimParams::params);
        let (tell, new) = match frame {
            Frame::Whole => (None, [].as_slice()),
            Frame::End { new } => (Some(prepare(TELL).await?), new),
        };

        // Polled in this order, and each hands its message over at its first poll.
        let (began, beat, completed, noted, held, promoted, claimed, told, committed) = tokio::join!(
            biased;
            begin(client, frame),
            timed(query(client, Some(beat), vec![&worker, &request.beat, &request.lease_ms, &queues, &place])),
            timed(query(client, complete, vec![&worker, &acked, epochs, values, starts, lengths])),
            timed(query(client, note, vec![&news, &request.progress.epochs, &request.progress.values, &worker])),
            timed(query(client, look, vec![&holding, &held.1])),
            query(client, promote, vec![&PROMOTED, &deferred_from]),
            timed(query(client, claim, claim_params.unwrap_or_default())),
            query(client, tell, vec![&new]),
            client.batch_execute("COMMIT"),
        );
        let wrong = |error| failed(OPERATION, &error);
        // The first failure is the cause; those after it only say that the transaction is over.
        began.map_err(wrong)?;
        let walk = claimed.1.saturating_duration_since(beat.1.max(completed.1).max(noted.1).max(held.1));
        let said = Said {
            beat: beat.0.map_err(wrong)?,
            completed: completed.0.map_err(wrong)?,
            held: noted.0.and(held.0).map_err(wrong)?,
            promoted: promoted.map_err(wrong)?,
            claimed: claimed.0.map_err(wrong)?,
            walk,
        };
        told.map_err(wrong)?;
        committed.map_err(wrong)?;
        Ok(said)
    }

    /// The answers of a usual exchange. Outcomes that found no lease are too late: a look at their jobs tells why.
    async fn answer<C: Conn>(
        &self,
        session: Session<'_, C>,
        request: &Request,
        sight: Option<&Sight>,
        said: &Said,
    ) -> Result<Answer, StoreError> {
        let mut applied = applied(&said.completed)?;
        let (mut held, cancels) = (Vec::with_capacity(request.held.len()), cancels(&said.held)?);
        let late = request.acks.iter().filter(|ack| !applied.contains_key(&ack.job)).map(|ack| ack.job);
        let gone = request.held.iter().filter(|held| !cancels.contains_key(&held.job)).map(|held| held.job);
        let unclear: Vec<JobId> = late.chain(gone).collect();
        // An acknowledgement that came twice in one exchange is the second one's affair.
        let twice = applied.len() < request.acks.len();
        let (mut jobs, mut unreadable) = (HashMap::new(), HashSet::new());
        if twice || !unclear.is_empty() {
            let ids: Vec<JobId> = request.known().into_iter().collect();
            let loaded = self.load(session, &ids).await?;
            jobs.extend(loaded.jobs.into_iter().map(|(id, before)| (id, before.record)));
            unreadable = loaded.unreadable;
        }
        let (mut acks, mut open) = (Vec::with_capacity(request.acks.len()), Vec::new());
        for (at, ack) in request.acks.iter().enumerate() {
            if let Some(version) = applied.remove(&ack.job) {
                acks.push(AckOutcome::Applied { status: JobStatus::Completed, version });
                continue;
            }
            if unreadable.contains(&ack.job) {
                acks.push(AckOutcome::Unreadable);
                continue;
            }
            let job = jobs.get(&ack.job);
            let outcome = late_ack(job, ack, self.capabilities().max_result_bytes);
            let holds = job.is_some_and(|job| state::holds(job, ack.epoch).is_ok());
            if holds && matches!(outcome, AckOutcome::Lost { .. }) {
                open.push(at);
            }
            acks.push(outcome);
        }
        for one in &request.held {
            held.push(match cancels.get(&one.job) {
                Some(cancel) => cancel.clone().map_or(HeldOutcome::Continue, HeldOutcome::CancelRequested),
                None => lost(jobs.get(&one.job), one),
            });
        }
        let Claimed { jobs: claimed, put_off } = match (sight, &request.claim) {
            (Some(sight), Some(wanted)) => {
                let promoted = Promoted::new(sight, &said.promoted)?;
                self.note_promoted(request.began, &promoted);
                let at = promoted.at;
                let all = wanted.is_all(said.claimed.len());
                let outcome = Outcome { began: request.began, cost: said.walk, at, all };
                self.claimed(session, request, sight, outcome, &said.claimed).await?
            }
            _ => Claimed { jobs: Vec::new(), put_off: 0 },
        };
        Ok(Answer { exchanged: Exchanged { acks, held, claimed, reconciled: 0 }, open, put_off })
    }

    /// The careful way: statement by statement, with decisions in between.
    async fn step_by_step<C: Conn>(
        &self,
        session: Session<'_, C>,
        request: &Request,
    ) -> Result<(Exchanged, Promoted), StoreError> {
        let worker = request.worker.as_str();
        let number = self.beat(session, request).await?;
        let mut exchanged = Exchanged::default();
        let mut done = HashMap::new();
        for results in &request.results {
            let (ids, [epochs, values, starts, lengths]) = (uuids(&results.ids), results.params());
            let rows = session.rows(COMPLETE, &[&worker, &ids, epochs, values, starts, lengths]).await?;
            done.extend(applied(&rows)?);
        }
        let known = request.known();
        let mut affected: Vec<JobId> = known.iter().copied().collect();
        let mut leases: Vec<(JobId, u64)> = Vec::new();
        if request.reconcile {
            let sql = "SELECT id, epoch FROM atlas_jobs_lease WHERE worker = $1 LIMIT $2";
            let most = i64::try_from(known.len().saturating_add(MAX_PAGE)).unwrap_or(i64::MAX);
            for row in session.rows(sql, &[&number, &most]).await? {
                let row = Reader::new(&row, OPERATION);
                leases.push((row.id(0)?, row.number(1)?));
            }
            affected.extend(leases.iter().map(|(id, _)| *id));
        }
        let mut locked = self.lock(session, &affected).await?;
        for ack in &request.acks {
            exchanged.acks.push(match done.remove(&ack.job) {
                Some(version) => AckOutcome::Applied { status: JobStatus::Completed, version },
                None => self.acknowledge(&mut locked, ack, &request.worker)?,
            });
        }
        let unclear: Vec<&Held> = request.held.iter().filter(|held| locked.is_unreadable(held.job)).collect();
        let mut leased = HashMap::new();
        if !unclear.is_empty() {
            let (jobs, epochs): (Vec<_>, Vec<_>) = unclear.iter().map(|held| (held.job, int(held.epoch))).unzip();
            leased = cancels(&session.rows(HELD, &[&uuids(&jobs), &epochs]).await?)?;
        }
        for held in &request.held {
            exchanged.held.push(match locked.get(held.job) {
                Some(job) if state::holds(job, held.epoch).is_ok() => {
                    job.cancel_requested.clone().map_or(HeldOutcome::Continue, HeldOutcome::CancelRequested)
                }
                job => match leased.remove(&held.job) {
                    // What it gives may still be recorded once the row is mended.
                    Some(cancel) => cancel.map_or(HeldOutcome::Continue, HeldOutcome::CancelRequested),
                    None => lost(job, held),
                },
            });
        }
        let mut stray = Vec::new();
        if request.reconcile {
            let of_acks = request.acks.iter().map(|ack| (ack.job, ack.epoch));
            let told: HashSet<(JobId, u64)> =
                of_acks.chain(request.held.iter().map(|held| (held.job, held.epoch))).collect();
            for (id, leased) in &leases {
                let Some(epoch) = locked.get(*id).map(|job| job.epoch) else {
                    stray.extend(Some(*id).filter(|id| locked.is_unreadable(*id) && !told.contains(&(*id, *leased))));
                    continue;
                };
                // A job that is acknowledged in an older epoch is no less unheard of in this one.
                if told.contains(&(*id, epoch)) {
                    continue;
                }
                let command = Command::Release { epoch, delay: Duration::ZERO };
                let applied = locked.apply(*id, command, Actor::Worker { id: request.worker.clone() })?;
                exchanged.reconciled += usize::from(matches!(applied, Some(Ok(_))));
            }
        }
        locked.finish(session).await?;
        exchanged.reconciled += self.put_off(session, &stray, &[number], Back::Released).await?;
        if !request.progress.ids.is_empty() {
            let News { ids, epochs, values } = &request.progress;
            session.rows(PROGRESS, &[&uuids(ids), epochs, values, &worker]).await?;
        }
        let mut promoted = Promoted::default();
        if let Some(claim) = &request.claim {
            (exchanged.claimed, promoted) = self.claim_controlled(session, request, claim).await?;
        }
        Ok((exchanged, promoted))
    }

    /// One outcome, by the state machine.
    pub(super) fn acknowledge(
        &self,
        locked: &mut Locked,
        ack: &Ack,
        worker: &WorkerId,
    ) -> Result<AckOutcome, StoreError> {
        let Some(before) = locked.get(ack.job) else {
            let bad = locked.is_unreadable(ack.job);
            return Ok(if bad { AckOutcome::Unreadable } else { AckOutcome::NotFound });
        };
        let epoch = ack.epoch;
        let command = match ack.action.clone() {
            AckAction::Complete { result } => {
                // A result that comes too late is lost whatever its size.
                if state::holds(before, epoch).is_ok()
                    && let Some(reject) = unfit(&result, "the result", self.capabilities().max_result_bytes)
                {
                    return Ok(AckOutcome::Refused(reject));
                }
                Command::Complete { epoch, result }
            }
            AckAction::Fail { error, retry } => Command::Fail { epoch, error, retry },
            AckAction::Release { delay } => Command::Release { epoch, delay },
            AckAction::Cancelled => Command::AcknowledgeCancel { epoch },
        };
        Ok(match locked.apply(ack.job, command, Actor::Worker { id: worker.clone() })? {
            Some(Ok(after)) => AckOutcome::Applied { status: after.status, version: after.version },
            Some(Err(Reject::Lost { epoch, status })) => AckOutcome::Lost { epoch, status },
            Some(Err(Reject::Repeated)) => AckOutcome::Repeated,
            Some(Err(reject)) => AckOutcome::Refused(reject),
            None => AckOutcome::NotFound,
        })
    }
}

/// Sends a statement, if there is one, at its first poll.
async fn query<C: GenericClient>(
    client: &C,
    statement: Option<Statement>,
    params: Vec<Param<'_>>,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    match statement {
        Some(statement) => client.query(&statement, &params).await,
        None => Ok(Vec::new()),
    }
}

/// And when it came to an end.
async fn timed<T>(work: impl Future<Output = T>) -> (T, Instant) {
    (work.await, Instant::now())
}

/// The jobs that were completed, and their versions.
fn applied(rows: &[Row]) -> Result<HashMap<JobId, u64>, StoreError> {
    let Some(row) = rows.first() else { return Ok(HashMap::new()) };
    let row = Reader::new(row, OPERATION);
    let (ids, versions) = (row.get::<Vec<_>>(0)?, row.get::<Vec<i32>>(1)?);
    let version = |version| u64::try_from(version).map_err(|_| row.bad());
    ids.into_iter().zip(versions).map(|(id, at)| Ok((JobId::from_uuid(id), version(at)?))).collect()
}

fn cancels(rows: &[Row]) -> Result<HashMap<JobId, Option<CancelRequest>>, StoreError> {
    let read = |row| {
        let row = Reader::new(row, OPERATION);
        let id = row.id(0)?;
        // The worker goes on with a job of which nobody can say why it was to stop.
        Ok((id, readable(row.maybe_json(1), &id)?))
    };
    rows.iter().map(read).collect()
}

fn lost(job: Option<&JobRecord<()>>, held: &Held) -> HeldOutcome {
    job.map_or(HeldOutcome::Lost { epoch: held.epoch, status: None }, |job| HeldOutcome::Lost {
        epoch: job.epoch,
        status: Some(job.status),
    })
}

/// Why a result found no lease of its epoch.
fn late_ack(job: Option<&JobRecord<()>>, ack: &Ack, max_result: usize) -> AckOutcome {
    let Some(job) = job else { return AckOutcome::NotFound };
    let AckAction::Complete { result } = &ack.action else {
        return AckOutcome::Lost { epoch: job.epoch, status: job.status };
    };
    if job.status == JobStatus::Completed && job.epoch == ack.epoch {
        return AckOutcome::Repeated;
    }
    match unfit(result, "the result", max_result) {
        Some(reject) if state::holds(job, ack.epoch).is_ok() => AckOutcome::Refused(reject),
        _ => AckOutcome::Lost { epoch: job.epoch, status: job.status },
    }
}
