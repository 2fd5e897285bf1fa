//! The pure machine: a table of its moves, and what holds after any sequence of commands.

use atlas_jobs::state::{self, Applied, Command, Reject, Retry};
use atlas_jobs::{JobSpec, NewJob, Random};
use atlas_schema::{
    Actor, AuditKind, Callback, ErrorCategory, JobError, JobKind, JobRecord, JobStatus, Stage, Timestamp, WorkerId,
};
use proptest::prelude::*;
use std::time::Duration;

const NOON: i64 = 1_700_000_000_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(NOON).unwrap().saturating_add(Duration::from_millis(millis))
}

fn new(spec: JobSpec) -> JobRecord {
    let random = Random::seeded(7);
    let job = NewJob::new(spec, Stage::Dev, random.job_id(at(0)), random.correlation_id());
    job.apply(at(0)).unwrap().record
}

fn spec() -> JobSpec {
    JobSpec::new(JobKind::new("k").unwrap(), &1).unwrap()
}

fn error() -> JobError {
    JobError { category: ErrorCategory::Network, message: "no answer".into() }
}

fn apply(record: &JobRecord, command: Command, millis: u64) -> Result<Applied, Reject> {
    state::apply(record, command, at(millis), Actor::Caller {})
}

fn claim() -> Command {
    Command::Claim { worker: WorkerId::new("w").unwrap(), lease: Duration::from_secs(1) }
}

fn cancel() -> Command {
    Command::Cancel { reason: "no need".into(), acknowledge_within: Duration::from_secs(1) }
}

fn redrive() -> Command {
    Command::Redrive { reason: "again".into(), delay: Duration::ZERO }
}

fn complete(epoch: u64) -> Command {
    Command::Complete { epoch, result: 1.into() }
}

fn fail(epoch: u64, retry: Retry) -> Command {
    Command::Fail { epoch, error: error(), retry }
}

/// A record in each status, reached by commands.
fn in_status(status: JobStatus) -> JobRecord {
    let pending = new(spec().with_max_attempts(2).with_deadline(at(5000)));
    let step = |record: &JobRecord, command, millis| apply(record, command, millis).unwrap().record;
    let running = step(&pending, claim(), 1);
    match status {
        JobStatus::Pending => pending,
        JobStatus::Processing => running,
        JobStatus::Completed => step(&running, complete(1), 2),
        JobStatus::Failed => step(&running, fail(1, Retry::Never), 2),
        JobStatus::Cancelled => step(&pending, cancel(), 2),
        JobStatus::Timeout => step(&running, Command::TimeOut, 5000),
    }
}

#[test]
fn each_status_takes_exactly_these_commands() {
    use JobStatus::{Cancelled, Completed, Failed, Pending, Processing, Timeout};
    let commands: [(&str, Command); 9] = [
        ("claim", claim()),
        ("complete", complete(1)),
        ("fail", fail(1, Retry::Never)),
        ("release", Command::Release { epoch: 1, delay: Duration::ZERO }),
        ("cancel", cancel()),
        ("abandon", Command::Abandon { error: error() }),
        ("expire", Command::ExpireLease { epoch: 1 }),
        ("time out", Command::TimeOut),
        ("redrive", redrive()),
    ];
    let table = [
        (Pending, vec![("claim", Processing), ("cancel", Cancelled), ("abandon", Failed), ("time out", Timeout)]),
        (
            Processing,
            vec![
                ("complete", Completed),
                ("fail", Failed),
                ("release", Pending),
                ("cancel", Processing),
                ("expire", Pending),
                ("time out", Timeout),
            ],
        ),
        (Completed, vec![]),
        (Failed, vec![("redrive", Pending)]),
        (Cancelled, vec![("redrive", Pending)]),
        (Timeout, vec![("redrive", Pending)]),
    ];
    for (from, moves) in table {
        for (name, command) in &commands {
            // Past the deadline for a time-out, before it for the rest.
            let millis = if *name == "time out" { 6000 } else { 4000 };
            let to = apply(&in_status(from), command.clone(), millis).ok().map(|applied| applied.record.status);
            let expected = moves.iter().find(|(wanted, _)| wanted == name).map(|(_, to)| *to);
            assert_eq!(to, expected, "{name} of a {} job", from.as_str());
        }
    }
}

#[test]
fn a_claim_needs_its_time_an_attempt_and_a_deadline_ahead() {
    let later = new(spec().with_run_at(at(100)));
    assert_eq!(apply(&later, claim(), 99), Err(Reject::NotDue));
    assert_eq!(apply(&later, claim(), 100).unwrap().record.epoch, 1);
    let late = new(spec().with_deadline(at(100)));
    assert_eq!(apply(&late, claim(), 100), Err(Reject::NotDue));
}

#[test]
fn a_failure_with_attempts_left_waits_exactly_the_delay_it_is_given() {
    let running = in_status(JobStatus::Processing);
    let retried = apply(&running, fail(1, Retry::After(Duration::from_secs(3))), 10).unwrap();
    assert_eq!(retried.record.run_at, at(3010));
    assert_eq!(retried.event.kind, AuditKind::Retried);
    let again = apply(&retried.record, claim(), 3010).unwrap().record;
    let failed = apply(&again, fail(2, Retry::After(Duration::ZERO)), 3011).unwrap();
    assert_eq!((failed.record.status, failed.record.attempt), (JobStatus::Failed, 2));
}

#[test]
fn a_cancelled_running_job_is_not_tried_again() {
    let running = in_status(JobStatus::Processing);
    let asked = apply(&running, cancel(), 5).unwrap().record;
    for command in [
        fail(1, Retry::After(Duration::ZERO)),
        Command::Release { epoch: 1, delay: Duration::ZERO },
        Command::ExpireLease { epoch: 1 },
        Command::AcknowledgeCancel { epoch: 1 },
    ] {
        assert_eq!(apply(&asked, command, 6).unwrap().record.status, JobStatus::Cancelled);
    }
    assert_eq!(apply(&asked, Command::EndCancel, 1004), Err(Reject::NotDue));
    assert_eq!(apply(&asked, Command::EndCancel, 1005).unwrap().record.status, JobStatus::Cancelled);
    let done = apply(&asked, complete(1), 6).unwrap().record;
    assert_eq!((done.status, done.cancel_requested), (JobStatus::Completed, None), "a result in hand is kept");
}

#[test]
fn an_end_tells_the_callback_and_the_batch_and_nothing_else_does() {
    let parent = Random::seeded(9).job_id(at(0));
    let callback = Callback { url: "https://example.org/hook".into() };
    let job = new(spec().with_callback(callback).with_parent(parent));
    let claimed = apply(&job, claim(), 1).unwrap();
    assert_eq!(claimed.outbox, []);
    let ended = apply(&claimed.record, complete(1), 2).unwrap();
    let keys: Vec<String> = ended.outbox.iter().map(state::OutboxEntry::key).collect();
    assert_eq!(keys, [format!("{}:3:callback", job.id), format!("{}:3:child_ended", job.id)]);
}

#[test]
fn times_of_a_job_never_run_backwards() {
    let running = apply(&in_status(JobStatus::Pending), claim(), 500).unwrap().record;
    let done = apply(&running, complete(1), 0).unwrap().record;
    assert_eq!((done.updated_at, done.finished_at), (at(500), Some(at(500))));
}

#[test]
fn a_clock_that_was_ahead_once_holds_no_job_back() {
    const DAY: u64 = 86_400_000;
    let ahead = apply(&new(spec()), claim(), DAY).unwrap().record;
    let back = apply(&ahead, fail(1, Retry::After(Duration::from_secs(5))), 1000).unwrap().record;
    assert_eq!(
        (back.updated_at, back.run_at),
        (at(DAY), at(6000)),
        "recorded times never run backwards; what is due is due"
    );
    assert!(matches!(apply(&back, claim(), 5999), Err(Reject::NotDue)));
    let again = apply(&back, claim(), 6000).unwrap().record;
    let expired = apply(&again, Command::ExpireLease { epoch: 2 }, 7000).unwrap().record;
    assert_eq!(expired.run_at, at(7000));
    let asked = apply(&ahead, cancel(), 1000).unwrap().record;
    assert!(asked.cancel_requested.unwrap().acknowledge_by < at(DAY));
}

#[test]
fn a_callback_that_no_record_may_hold_is_refused_at_the_door() {
    for url in [
        "http://a/\u{0}",
        "ftp://example.org/",
        "http://",
        "http://example.org/ü",
        &format!("http://a/{}", "x".repeat(2048)),
    ] {
        let spec = spec().with_callback(atlas_schema::Callback { url: url.into() });
        let random = Random::seeded(7);
        let job = NewJob::new(spec, Stage::Dev, random.job_id(at(0)), random.correlation_id());
        let refused = job.apply(at(0)).unwrap_err();
        assert!(matches!(refused, Reject::OutOfRange { .. }), "{refused}");
    }
}

#[test]
fn limits_are_exact() {
    let text = |chars| "ä".repeat(chars);
    let running = in_status(JobStatus::Processing);
    let failed = |chars| {
        let error = JobError { category: ErrorCategory::Internal, message: text(chars) };
        apply(&running, Command::Fail { epoch: 1, error, retry: Retry::Never }, 5)
    };
    assert!(failed(5000).is_ok());
    assert!(matches!(failed(5001), Err(Reject::OutOfRange { max: 5000, .. })));
    let cancelled =
        |chars| apply(&running, Command::Cancel { reason: text(chars), acknowledge_within: Duration::ZERO }, 5);
    assert!(cancelled(1000).is_ok());
    assert!(matches!(cancelled(1001), Err(Reject::OutOfRange { max: 1000, .. })));
    let attempts = |n| NewJob::new(spec().with_max_attempts(n), Stage::Dev, running.id, running.correlation_id.clone());
    assert!(attempts(1).apply(at(0)).is_ok() && attempts(1000).apply(at(0)).is_ok());
    assert!(attempts(0).apply(at(0)).is_err() && attempts(1001).apply(at(0)).is_err());
}

#[test]
fn an_import_that_breaks_an_invariant_is_refused() {
    let mut record = in_status(JobStatus::Completed);
    record.result = None;
    assert!(matches!(NewJob::migrated(record).apply(at(9)), Err(Reject::Invalid(_))));
    let mut running = in_status(JobStatus::Processing);
    running.lease = None;
    assert!(matches!(NewJob::migrated(running).apply(at(9)), Err(Reject::Invalid(_))));
}

fn any_command() -> impl Strategy<Value = Command> {
    let epoch = 0_u64..6;
    let delay = (0_u64..50).prop_map(Duration::from_millis);
    prop_oneof![
        4 => Just(claim()),
        2 => epoch.clone().prop_map(complete),
        3 => (epoch.clone(), prop::option::of(delay.clone())).prop_map(|(epoch, delay)| {
            fail(epoch, delay.map_or(Retry::Never, Retry::After))
        }),
        2 => (epoch.clone(), delay.clone()).prop_map(|(epoch, delay)| Command::Release { epoch, delay }),
        1 => epoch.clone().prop_map(|epoch| Command::AcknowledgeCancel { epoch }),
        1 => delay.prop_map(|acknowledge_within| Command::Cancel { reason: String::new(), acknowledge_within }),
        1 => Just(Command::Abandon { error: error() }),
        2 => epoch.prop_map(|epoch| Command::ExpireLease { epoch }),
        1 => Just(Command::EndCancel),
        1 => Just(Command::TimeOut),
        3 => Just(redrive()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Versions have no gap, epochs rise by claims only, each change has one event that tells the truth.
    #[test]
    fn any_sequence_keeps_the_invariants(
        commands in prop::collection::vec((any_command(), 0_u64..40), 0..60),
        deadline in prop::option::of(1_u64..1500),
        max_attempts in 1_u32..4,
    ) {
        let mut spec = spec().with_max_attempts(max_attempts);
        spec.deadline = deadline.map(at);
        let mut record = new(spec);
        let mut now = 0;
        for (command, wait) in commands {
            now += wait;
            let named = match &command {
                Command::Complete { epoch, .. } | Command::Fail { epoch, .. } | Command::Release { epoch, .. }
                | Command::AcknowledgeCancel { epoch } | Command::ExpireLease { epoch } => Some(*epoch),
                _ => None,
            };
            let is_claim = matches!(command, Command::Claim { .. });
            let is_redrive = matches!(command, Command::Redrive { .. });
            let Ok(Applied { record: after, event, outbox }) = apply(&record, command, now) else { continue };
            prop_assert_eq!(state::check(&after), Ok(()));
            prop_assert_eq!(after.version, record.version + 1);
            prop_assert_eq!(after.epoch, record.epoch + u64::from(is_claim));
            prop_assert!(named.is_none_or(|epoch| epoch == record.epoch && record.status == JobStatus::Processing));
            prop_assert!(!record.status.is_terminal() || is_redrive);
            prop_assert!(record.status != JobStatus::Completed);
            prop_assert_eq!((event.version, event.epoch, event.attempt), (after.version, after.epoch, after.attempt));
            prop_assert_eq!((event.from, event.to, event.at), (Some(record.status), after.status, after.updated_at));
            prop_assert!(after.updated_at >= record.updated_at);
            prop_assert!(outbox.is_empty());
            prop_assert_eq!((after.id, after.created_at, &after.payload), (record.id, record.created_at, &record.payload));
            record = after;
        }
    }
}
