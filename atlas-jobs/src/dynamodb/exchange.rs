//! A worker's round trip, and what callers ask of jobs that exist.

use super::DynamoJobs;
use super::change::beat_stands;
use super::error::{BACKEND, CONFLICT, code, contended, failed, is_refused};
use super::item::{Stored, number, text};
use super::keys::{self, Key};
use super::lists::{DELETE_AT, TOGETHER, Walk};
use super::transition::{Settled, Task, Terms};
use super::write::{MAX_TRIES, Shared};
use crate::error::{Kind, StoreError};
use crate::kernel::{check_limit, unfit};
use crate::state::{self, Applied, Command, Reject};
use crate::store::{
    Ack, AckAction, AckOutcome, CommandOutcome, CommandRequest, Exchange, Exchanged, Held, HeldOutcome, JobCommand,
    JobStore,
};
use atlas_schema::{Actor, JobId, Progress, Timestamp, WorkerId};
use aws_sdk_dynamodb::types::Update;
use aws_sdk_dynamodb::types::builders::UpdateBuilder;
use futures_util::{StreamExt, TryStreamExt};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

const OPERATION: &str = "exchange";

impl DynamoJobs {
    pub(super) async fn trade(&self, exchange: Exchange) -> Result<Exchanged, StoreError> {
        let Exchange { worker, beat, lease, now, acks, held, reconcile, claim } = exchange;
        let now = now.wall;
        if let Some(wanted) = &claim {
            check_limit(wanted.limit, 0, BACKEND, OPERATION)?;
        }
        if lease < Duration::from_millis(1) {
            let rule = "a lease must last at least one millisecond";
            return Err(StoreError::new(Kind::InvalidInput, BACKEND, OPERATION).with_source(rule));
        }
        self.raise_beat(&worker, beat, lease, now).await?;
        let claim = claim.filter(|wanted| wanted.limit > 0);
        let controls = match &claim {
            Some(wanted) => {
                if !reconcile {
                    self.know_lists(&worker, OPERATION).await?;
                }
                self.controls(wanted.queues.iter(), OPERATION).await?
            }
            None => HashMap::new(),
        };
        let held_epochs = held.iter().map(|held| (held.job, held.epoch));
        let known: HashSet<(JobId, u64)> = acks.iter().map(|ack| (ack.job, ack.epoch)).chain(held_epochs).collect();
        let completes = acks.iter().all(|ack| matches!(ack.action, AckAction::Complete { .. }));
        let mut exchanged = Exchanged::default();
        let acked = Box::pin(self.acknowledge(acks, &worker, now));
        if let Some(wanted) = claim.as_ref().filter(|_| completes && !reconcile && controls.is_empty()) {
            // What is completed makes no other job claimable, where nothing limits the queue: both at once, then.
            let claimed = Box::pin(self.claim(wanted, controls, &worker, beat, lease, now));
            let (acked, held, claimed) = futures_util::join!(acked, self.hold(held), claimed);
            (exchanged.acks, exchanged.held, exchanged.claimed) = (acked?, held?, claimed?);
        } else {
            exchanged.acks = acked.await?;
            exchanged.held = self.hold(held).await?;
            if reconcile {
                exchanged.reconciled = Box::pin(self.hand_back(&worker, beat, &known, now)).await?;
            }
            if let Some(wanted) = &claim {
                exchanged.claimed = Box::pin(self.claim(wanted, controls, &worker, beat, lease, now)).await?;
            }
        }
        // A worker with nothing new to do leaves none behind; a busy one has many deleted at once.
        self.delete_spent(if exchanged.claimed.is_empty() { 1 } else { DELETE_AT }).await;
        Ok(exchanged)
    }

    async fn raise_beat(
        &self,
        worker: &WorkerId,
        beat: u64,
        lease: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = keys::beat(worker, self.shards().spread);
        let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let update = self.client().update_item().table_name(self.table());
        let update = update.key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
        // The mark is this call's own: a repeat by the client, whose first reply was lost, is no second exchange.
        let update = update
            .update_expression("SET beat = :beat, lease = :lease, seen = :now, mark = :mark")
            .condition_expression("attribute_not_exists(beat) or beat < :beat or (beat = :beat and mark = :mark)")
            .expression_attribute_values(":beat", number(beat))
            .expression_attribute_values(":lease", number(lease))
            .expression_attribute_values(":now", number(now.as_millis()))
            .expression_attribute_values(":mark", text(format!("{:016x}", self.random().u64())));
        for tries in 1.. {
            match update.clone().send().await {
                Ok(_) => break,
                Err(error) if is_refused(&error) => return Err(StoreError::new(Kind::Conflict, BACKEND, OPERATION)),
                // Jobs of this worker are being brought from elsewhere.
                Err(error) if code(&error) == Some(CONFLICT) && tries < MAX_TRIES => self.stand_back(tries).await,
                Err(error) => return Err(failed(OPERATION, &error)),
            }
        }
        Ok(())
    }

    /// Makes a worker known that may never have called: the leases of a job from elsewhere are found by it.
    pub(super) fn meet(&self, worker: &WorkerId, now: Timestamp) -> UpdateBuilder {
        let key = keys::beat(worker, self.shards().spread);
        // What changes tells a sweep that is about to forget the worker that it must not.
        Update::builder()
            .key(keys::PK, text(key.0))
            .key(keys::SK, text(key.1))
            .update_expression("SET seen = if_not_exists(seen, :now), metat = :now, met = :met")
            .expression_attribute_values(":now", number(now.as_millis()))
            .expression_attribute_values(":met", text(format!("{:016x}", self.random().u64())))
    }

    /// The condition that no newer exchange of this worker has begun.
    pub(super) fn while_beat_stands(&self, worker: &WorkerId, beat: Option<u64>) -> Shared {
        let key = keys::beat(worker, self.shards().spread);
        Shared { check: Some(beat_stands(key, beat)), ..Shared::default() }
    }

    async fn acknowledge(
        &self,
        acks: Vec<Ack>,
        worker: &WorkerId,
        now: Timestamp,
    ) -> Result<Vec<AckOutcome>, StoreError> {
        let most = self.capabilities().max_result_bytes;
        let task = |ack: Ack| Task {
            job: ack.job,
            decide: Box::new(move |before: &Stored| acknowledged(&before.record, &ack, worker, now, most)),
        };
        let guesses = self.leases().recall(acks.iter().map(|ack| ack.job));
        let tasks: Vec<Task<'_, AckOutcome>> = acks.into_iter().map(task).collect();
        let settled = self.settle(&tasks, guesses, &Terms::default(), OPERATION).await?;
        let outcome = |settled| match settled {
            Settled::Done(after) => {
                Ok(AckOutcome::Applied { status: after.record.status, version: after.record.version })
            }
            Settled::Answer(outcome) => Ok(outcome),
            Settled::Missing => Ok(AckOutcome::NotFound),
            Settled::Unreadable => Ok(AckOutcome::Unreadable),
            Settled::Passed | Settled::Stale => Err(StoreError::new(Kind::Internal, BACKEND, OPERATION)),
        };
        settled.into_iter().map(outcome).collect()
    }

    async fn hold(&self, held: Vec<Held>) -> Result<Vec<HeldOutcome>, StoreError> {
        let found = self.load_readable(held.iter().map(|held| held.job), OPERATION).await?;
        self.leases().saw(found.values().flatten());
        let mut notes: HashMap<JobId, (u64, Progress)> = HashMap::new();
        let mut outcomes = Vec::with_capacity(held.len());
        for held in held {
            let stored = match found.get(&held.job) {
                Some(Some(stored)) => stored,
                // What it gives may still be recorded once the item is mended, unless somebody else has taken it.
                Some(None) => {
                    let lost = HeldOutcome::Lost { epoch: held.epoch, status: None };
                    let may = self.may_hold(held.job, held.epoch, OPERATION).await?;
                    outcomes.push(if may { HeldOutcome::Continue } else { lost });
                    continue;
                }
                None => {
                    outcomes.push(HeldOutcome::Lost { epoch: held.epoch, status: None });
                    continue;
                }
            };
            let record = &stored.record;
            if state::holds(record, held.epoch).is_err() {
                outcomes.push(HeldOutcome::Lost { epoch: record.epoch, status: Some(record.status) });
                continue;
            }
            // A note that is too long costs the note, not the lease; the worker cuts notes visibly before they come here.
            if let Some(Ok(after)) = held.progress.map(|progress| state::progress(record, held.epoch, progress))
                && let Some(progress) = after.progress
            {
                notes.insert(record.id, (held.epoch, progress));
            }
            let cancel = record.cancel_requested.clone();
            outcomes.push(cancel.map_or(HeldOutcome::Continue, HeldOutcome::CancelRequested));
        }
        let notes: Vec<_> = notes.iter().map(|(id, (epoch, progress))| self.note(*id, *epoch, progress)).collect();
        futures_util::stream::iter(notes).buffer_unordered(self.in_flight()).try_collect::<()>().await?;
        Ok(outcomes)
    }

    /// Writes a job's progress for as long as its epoch lasts.
    async fn note(&self, id: JobId, epoch: u64, progress: &Progress) -> Result<(), StoreError> {
        let json = serde_json::to_string(progress).map_err(|_| StoreError::new(Kind::Internal, BACKEND, OPERATION))?;
        let key = keys::job(id);
        let update = self.client().update_item().table_name(self.table());
        let update = update.key(keys::PK, text(key.0)).key(keys::SK, text(key.1));
        let update = update
            .update_expression("SET prog = :prog")
            .condition_expression("epoch = :epoch and stat = :processing")
            .expression_attribute_values(":prog", text(json))
            .expression_attribute_values(":epoch", number(epoch))
            .expression_attribute_values(":processing", text("processing"));
        match update.send().await {
            Ok(_) => Ok(()),
            // The epoch ended meanwhile: the next heartbeat says so.
            Err(error) if is_refused(&error) => Ok(()),
            Err(error) => Err(failed(OPERATION, &error)),
        }
    }

    /// Returns the leases that the worker does not know of: the reply that carried them was lost.
    async fn hand_back(
        &self,
        worker: &WorkerId,
        beat: u64,
        known: &HashSet<(JobId, u64)>,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let decide = |before: &Stored| {
            let record = &before.record;
            let holds = record.lease.as_ref().is_some_and(|lease| lease.worker == *worker);
            // A job that is acknowledged in an older epoch is no less unheard of in this one.
            if !holds || known.contains(&(record.id, record.epoch)) {
                return None;
            }
            let command = Command::Release { epoch: record.epoch, delay: Duration::ZERO };
            state::apply(record, command, now, Actor::Worker { id: worker.clone() }).ok()
        };
        let terms = Terms { shared: self.while_beat_stands(worker, Some(beat)), yield_to_others: false };
        let partition = keys::leases(worker);
        // A claim without an answer may have been decided before the beat was raised, and its list not show yet to what reads lists.
        // It has landed, or will never, once a transaction can read it: what comes later fails by its beat.
        let unanswered = self.leases().unanswered(&partition);
        for some in unanswered.chunks(TOGETHER) {
            if self.read_together(some, OPERATION).await?.is_none() {
                return Err(contended(OPERATION));
            }
        }
        self.leases().answered(unanswered.iter());
        let open = self.leases().begin_read(&partition);
        let walk = Walk { worker, decide: &decide, terms, limit: usize::MAX, operation: OPERATION };
        let mut through = self.go_through(&walk).await?;
        if !through.stale && !through.unclear.is_empty() {
            // What a list says of them may be landing. It has landed, or will never, once a transaction can read them.
            let jobs: Vec<Key> = through.unclear.iter().copied().map(keys::job).collect();
            for some in jobs.chunks(TOGETHER) {
                if self.read_together(some, OPERATION).await?.is_none() {
                    return Err(contended(OPERATION));
                }
            }
            let done = through.done;
            through = self.go_through(&walk).await?;
            through.done += done;
        }
        if through.stale {
            return Err(StoreError::new(Kind::Conflict, BACKEND, OPERATION));
        }
        self.leases().read(&partition, &open, through.left);
        Ok(through.done)
    }

    pub(super) async fn order(
        &self,
        requests: Vec<CommandRequest>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Vec<CommandOutcome>, StoreError> {
        let most = self.capabilities().max_result_bytes;
        let task = |request: CommandRequest| Task {
            job: request.job,
            decide: Box::new(move |before: &Stored| {
                let record = &before.record;
                if request.if_version.is_some_and(|version| version != record.version) {
                    return Err(Reject::VersionConflict { current: record.version });
                }
                if let JobCommand::Conclude { result } = &request.command
                    && let Some(reject) = unfit(result, "the result", most)
                {
                    return Err(reject);
                }
                state::apply(record, request.command.clone().into(), now, actor.clone())
            }),
        };
        let tasks: Vec<Task<'_, Reject>> = requests.into_iter().map(task).collect();
        let settled = self.settle(&tasks, HashMap::new(), &Terms::default(), "command").await?;
        let outcome = |settled| match settled {
            Settled::Done(after) => {
                Ok(CommandOutcome::Applied { status: after.record.status, version: after.record.version })
            }
            Settled::Answer(reject) => Ok(CommandOutcome::Rejected(reject)),
            Settled::Missing | Settled::Unreadable => Ok(CommandOutcome::NotFound),
            Settled::Passed | Settled::Stale => Err(StoreError::new(Kind::Internal, BACKEND, "command")),
        };
        settled.into_iter().map(outcome).collect()
    }
}

fn acknowledged(
    record: &atlas_schema::JobRecord<()>,
    ack: &Ack,
    worker: &WorkerId,
    now: Timestamp,
    most: usize,
) -> Result<Applied<()>, AckOutcome> {
    let epoch = ack.epoch;
    let command = match &ack.action {
        AckAction::Complete { result } => {
            // A result that comes too late is lost whatever its size.
            if state::holds(record, epoch).is_ok()
                && let Some(reject) = unfit(result, "the result", most)
            {
                return Err(AckOutcome::Refused(reject));
            }
            Command::Complete { epoch, result: result.clone() }
        }
        AckAction::Fail { error, retry } => Command::Fail { epoch, error: error.clone(), retry: *retry },
        AckAction::Release { delay } => Command::Release { epoch, delay: *delay },
        AckAction::Cancelled => Command::AcknowledgeCancel { epoch },
    };
    state::apply(record, command, now, Actor::Worker { id: worker.clone() }).map_err(|reject| match reject {
        Reject::Lost { epoch, status } => AckOutcome::Lost { epoch, status },
        Reject::Repeated => AckOutcome::Repeated,
        reject => AckOutcome::Refused(reject),
    })
}
