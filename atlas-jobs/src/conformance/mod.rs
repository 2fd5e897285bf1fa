//! The checks that prove a store: one per promise on the page of [`JobStore`].
//!
//! A host turns on the `conformance` feature in its dev-dependencies and writes two lines:
//!
//! ```
//! # use atlas_jobs::{JobStore, MemoryJobs};
//! # use std::sync::Arc;
//! async fn fresh() -> Arc<dyn JobStore> {
//!     Arc::new(MemoryJobs::new(atlas_schema::Stage::Dev))
//! }
//! mod jobs {
//!     atlas_jobs::job_store_conformance!(crate::fresh; base, claims, ordering, leases, listing, outbox, controls);
//! }
//! # fn main() {}
//! ```
//!
//! Each check becomes a test of its own, such as `jobs::claims::claim_is_exclusive`. The store need not be empty: a
//! check works in a tenant and a queue of its own. `controls` needs the abilities `queue_pause`,
//! `queue_concurrency` and `queue_rate`, `ordering` needs `strict_order`; the other groups are for every store. Time is passed in, except to stores with a clock of
//! their own, where a check waits out leases of a second. New checks may come in any release.
//!
//! [`trail`] checks what must be true after anything: at the end of a test of a host's own, such as one over
//! [`FaultyStore`](crate::faulty::FaultyStore).

// A check is a test: it says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod base;
pub mod claims;
pub mod controls;
pub mod leases;
pub mod listing;
pub mod ordering;
pub mod outbox;
pub mod trail;

use crate::clock::{Clock, Moment, SystemClock};
use crate::random::Random;
use crate::spec::{JobSpec, NewJob};
use crate::state::Retry;
use crate::store::{
    Ack, AckAction, AckOutcome, Claim, CommandOutcome, CommandRequest, Enqueued, Exchange, Exchanged, Held, JobCommand,
    JobRef, JobStore, JobStoreExt,
};
use atlas_schema::{
    Actor, AuditEvent, ErrorCategory, JobError, JobId, JobKind, JobRecord, QueueName, TenantId, Timestamp, WorkerId,
};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The lease of the checks.
const LEASE: Duration = Duration::from_secs(1);

/// Runs one check to its end, on a runtime of its own.
pub fn block_on(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(check);
}

/// A store under test, with names and a time of its own.
struct Bench {
    store: Arc<dyn JobStore>,
    now: Moment,
    random: Random,
    queue: QueueName,
    kind: JobKind,
    tenant: TenantId,
    beat: u64,
}

impl Bench {
    fn new(store: Arc<dyn JobStore>) -> Self {
        let random = Random::from_os().expect("random bits");
        let name = format!("c{:016x}", random.u64());
        Self {
            now: SystemClock::new().now(),
            queue: QueueName::new(&name).expect("a queue name"),
            kind: JobKind::new("check").expect("a kind"),
            tenant: TenantId::new(&name).expect("a tenant id"),
            beat: 0,
            random,
            store,
        }
    }

    fn worker(&self) -> WorkerId {
        self.random.worker_id().expect("a worker id")
    }

    /// Lets time pass: by hand, or by waiting where the store has a clock of its own.
    async fn pass(&mut self, by: Duration) {
        if self.store.capabilities().own_clock {
            tokio::time::sleep(by).await;
        }
        self.now = self.now.plus(by);
    }

    /// The time by the store's clock, as near as can be known.
    fn wall(&self) -> Timestamp {
        if self.store.capabilities().own_clock { SystemClock::new().now().wall } else { self.now.wall }
    }

    /// Whether so much time may have passed by the store's clock since `began`, though the check let none pass: a busy
    /// machine can't be told from a slow store.
    fn stalled(&self, began: Instant, most: Duration) -> bool {
        self.store.capabilities().own_clock && began.elapsed() >= most
    }

    fn spec(&self) -> JobSpec {
        let spec = JobSpec::new(self.kind.clone(), &serde_json::json!({ "n": 1 })).expect("a payload");
        spec.with_queue(self.queue.clone()).with_tenant(self.tenant.clone())
    }

    fn complete(&self, spec: JobSpec) -> NewJob {
        NewJob::new(spec, self.store.stage(), self.random.job_id(self.now.wall), self.random.correlation_id())
    }

    async fn enqueue(&self, specs: Vec<JobSpec>) -> Vec<Enqueued> {
        let jobs = specs.into_iter().map(|spec| self.complete(spec)).collect();
        self.store.enqueue(jobs, self.now).await.expect("enqueue")
    }

    async fn add(&self, spec: JobSpec) -> JobId {
        match self.enqueue(vec![spec]).await.pop() {
            Some(Enqueued::Created { id }) => id,
            other => panic!("a new job is created, not {other:?}"),
        }
    }

    fn exchange(&mut self, worker: &WorkerId) -> Exchange {
        self.beat += 1;
        Exchange::new(worker.clone(), self.beat, LEASE, self.now)
    }

    fn wanted(&self, limit: usize) -> Claim {
        Claim { queues: vec![self.queue.clone()], kinds: vec![self.kind.clone()], limit }
    }

    async fn claim(&mut self, worker: &WorkerId, limit: usize) -> Vec<JobRecord> {
        let claim = self.wanted(limit);
        let exchange = self.exchange(worker).with_claim(claim);
        self.store.exchange(exchange).await.expect("exchange").claimed
    }

    async fn claim_one(&mut self, worker: &WorkerId) -> JobRecord {
        let mut claimed = self.claim(worker, 1).await;
        assert_eq!(claimed.len(), 1, "one job is ready");
        claimed.remove(0)
    }

    async fn ack(&mut self, worker: &WorkerId, job: &JobRecord, action: AckAction) -> AckOutcome {
        let ack = Ack { job: job.id, epoch: job.epoch, action };
        let exchange = self.exchange(worker).with_acks(vec![ack]);
        let Exchanged { mut acks, .. } = self.store.exchange(exchange).await.expect("exchange");
        assert_eq!(acks.len(), 1, "one answer per acknowledgement");
        acks.remove(0)
    }

    async fn hold(&mut self, worker: &WorkerId, job: &JobRecord) -> crate::store::HeldOutcome {
        let held = Held { job: job.id, epoch: job.epoch, progress: None };
        let exchange = self.exchange(worker).with_held(vec![held]);
        let Exchanged { mut held, .. } = self.store.exchange(exchange).await.expect("exchange");
        assert_eq!(held.len(), 1, "one answer per held job");
        held.remove(0)
    }

    async fn command(&self, job: JobId, if_version: Option<u64>, command: JobCommand) -> CommandOutcome {
        let request = CommandRequest { job, if_version, command };
        let outcomes = self.store.command(vec![request], Actor::Caller {}, self.now).await.expect("command");
        outcomes.into_iter().next().expect("one answer per request")
    }

    async fn job(&self, id: JobId) -> JobRecord {
        let job = self.store.get_one(JobRef::Id(id)).await.expect("get").expect("the job is there");
        crate::state::check(&job).expect("a record keeps its invariants");
        job
    }

    async fn history(&self, id: JobId) -> Vec<AuditEvent> {
        self.store.history_all(id).await.expect("history")
    }
}

/// So many arrays within each other.
fn nested(levels: usize) -> serde_json::Value {
    (0..levels).fold(serde_json::Value::Null, |inner, _| serde_json::Value::Array(vec![inner]))
}

fn done() -> AckAction {
    AckAction::Complete { result: serde_json::json!({ "ok": true }) }
}

fn broken(retry: Retry) -> AckAction {
    AckAction::Fail { error: error(), retry }
}

fn error() -> JobError {
    JobError { category: ErrorCategory::Network, message: "it did not answer".into() }
}

fn cancel() -> JobCommand {
    JobCommand::Cancel { reason: "not needed".into(), acknowledge_within: Duration::from_secs(2) }
}

fn redrive() -> JobCommand {
    JobCommand::Redrive { reason: "mended".into(), delay: Duration::ZERO }
}

/// Declares the tests of a store: `job_store_conformance!(path::to::fresh; base, claims, ...)`. See
/// [`conformance`](crate::conformance).
#[macro_export]
macro_rules! job_store_conformance {
    ($fresh:path; $($group:ident),+ $(,)?) => {
        $($crate::__job_store_group!($fresh; $group);)+
    };
}

/// The checks of each group.
#[doc(hidden)]
#[macro_export]
macro_rules! __job_store_group {
    ($fresh:path; base) => {
        $crate::__job_store_checks!($fresh; base:
            enqueue_makes_one_version_and_one_event, the_same_key_and_body_enqueues_once,
            the_same_key_with_another_body_is_a_conflict_that_says_what_differs,
            the_first_of_two_equal_keys_in_one_call_wins, concurrent_enqueues_of_one_key_make_one_job,
            a_job_of_another_stage_is_refused, an_oversized_payload_is_refused_and_stops_no_other,
            a_payload_that_nests_too_deep_is_refused_and_the_deepest_allowed_comes_back,
            the_same_id_enqueues_once, a_dropped_call_leaves_no_half_written_job,
            get_finds_by_id_external_id_and_key, a_completion_keeps_its_result_and_clears_the_error,
            every_version_has_one_event, terminal_is_terminal, a_redrive_clears_the_error_and_keeps_the_history,
            a_command_at_an_old_version_is_refused, a_waiting_job_is_concluded_without_a_claim, a_command_for_no_job_is_not_found,
            of_complete_fail_and_cancel_at_once_one_wins, a_migrated_record_is_stored_as_it_is,
            a_migrated_running_record_goes_to_the_next_worker,
            a_migrated_record_that_nobody_could_claim_is_refused);
    };
    ($fresh:path; claims) => {
        $crate::__job_store_checks!($fresh; claims:
            claim_is_exclusive, each_of_many_completions_keeps_its_own_result, jobs_of_other_kinds_and_queues_are_left_for_others,
            a_future_job_waits_and_blocks_nothing, acknowledgements_come_before_claims, a_late_worker_is_lost,
            a_completion_handed_in_twice_is_repeated,
            a_second_word_on_one_job_in_one_exchange_comes_too_late, a_release_does_not_count_the_attempt,
            a_failure_waits_out_its_backoff, the_last_failure_is_terminal, a_beat_that_does_not_rise_is_refused,
            a_claim_whose_reply_was_lost_is_handed_back, a_job_taken_again_in_a_lost_reply_is_handed_back,
            progress_shows_and_makes_no_version,
            an_oversized_result_is_refused_and_the_lease_holds,
            a_result_that_nests_too_deep_is_refused_and_the_lease_holds,
            a_lease_longer_than_all_time_leaves_the_job_readable, an_error_of_over_5000_characters_is_refused);
    };
    ($fresh:path; ordering) => {
        $crate::__job_store_checks!($fresh; ordering: claims_come_by_priority_then_time);
    };
    ($fresh:path; leases) => {
        $crate::__job_store_checks!($fresh; leases:
            a_silent_worker_loses_its_leases, a_heartbeat_keeps_leases, a_clock_a_day_ahead_expires_no_lease,
            a_worker_known_to_be_dead_loses_its_leases_at_once, the_last_attempt_of_a_silent_worker_is_a_failure,
            a_passed_deadline_times_out, a_running_job_is_told_of_its_cancel,
            a_cancel_without_answer_is_ended, a_pending_job_is_cancelled_at_once, a_sweep_is_bounded);
    };
    ($fresh:path; listing) => {
        $crate::__job_store_checks!($fresh; listing:
            list_pages_are_complete_and_hold_no_job_twice, filters_select, a_cursor_of_another_list_is_refused,
            history_pages_are_complete, statistics_count_every_job, the_children_of_a_batch_are_counted,
            a_purge_removes_what_ended_and_nothing_else,
            a_purge_of_what_can_not_be_read_leaves_what_can,
            a_purge_by_a_wrong_clock_leaves_what_is_young_by_the_stores_own, an_impossible_limit_is_refused);
    };
    ($fresh:path; outbox) => {
        $crate::__job_store_checks!($fresh; outbox:
            an_end_posts_callback_and_child, an_entry_is_hidden_while_it_is_delivered,
            a_late_delivery_report_does_not_count, an_id_used_again_after_a_purge_can_end_again);
    };
    ($fresh:path; controls) => {
        $crate::__job_store_checks!($fresh; controls:
            a_paused_queue_gives_nothing, a_limited_queue_gives_no_more_than_its_limit,
            a_rate_limited_queue_gives_no_more_than_its_rate);
    };
}

/// One test per check.
#[doc(hidden)]
#[macro_export]
macro_rules! __job_store_checks {
    ($fresh:path; $group:ident: $($check:ident),+ $(,)?) => {
        mod $group {
            $(
                #[test]
                fn $check() {
                    $crate::conformance::block_on(async { $crate::conformance::$group::$check($fresh().await).await });
                }
            )+
        }
    };
}
