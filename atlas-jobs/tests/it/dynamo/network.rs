//! Workers over a network that fails now and then, all at once.

use super::audit::audit;
use super::caller::{Caller, excuse, failed, kind, noon};
use super::faults::{Fault, Faulty};
use super::{cases, client, client_over, unused_table};
use atlas_jobs::dynamodb::{DynamoOptions, create_table};
use atlas_jobs::state::Retry;
use atlas_jobs::store::{Ack, AckAction, Filter, Scope, SweepOptions};
use atlas_jobs::{DynamoJobs, JobSpec, JobStore, JobStoreExt, NewJob, Random};
use atlas_schema::{AuditKind, JobId, JobStatus, Stage};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

testkit::with_dynamodb! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn workers_over_a_bad_network_end_each_job_once() {
        for seed in 0..cases(3) {
            tokio::spawn(bad_network(seed)).await.unwrap_or_else(|_| panic!("seed {seed}: see above"));
        }
    }
}

/// Three workers and a sweeper over a connection that fails one request in eight.
async fn bad_network(seed: u64) {
    const JOBS: usize = 30;
    let url = testkit::dynamo::shared();
    let table = unused_table();
    let direct = client(&url);
    create_table(&direct, &table).await.unwrap();
    let clean = DynamoJobs::open(direct.clone(), DynamoOptions::new(&table, Stage::Dev)).await.unwrap();
    let random = Random::seeded(seed);
    let now = noon();
    let spec = |n: usize| JobSpec::new(kind(), &n).unwrap().with_max_attempts(1000);
    let jobs: Vec<NewJob> =
        (0..JOBS).map(|n| NewJob::new(spec(n), Stage::Dev, random.job_id(now.wall), random.correlation_id())).collect();
    assert_eq!(clean.enqueue(jobs, now).await.unwrap().len(), JOBS);
    let ran: Arc<Mutex<BTreeSet<(JobId, u64)>>> = Arc::default();
    let workers = (0..3_u64).map(|n| {
        let (url, table, ran) = (url.clone(), table.clone(), Arc::clone(&ran));
        tokio::spawn(async move {
            let dice = Random::seeded(seed * 10 + n + 1);
            let plan = move |_: usize, _: &str| match dice.u64() % 64 {
                0 | 1 => Fault::Throttled,
                2 => Fault::Down,
                3 | 4 => Fault::Conflict(usize::try_from(dice.u64() % 90).unwrap()),
                5 | 6 => Fault::AnswerLost,
                7 => Fault::Twice,
                8..=24 => Fault::Stale,
                _ => Fault::None,
            };
            let faulty = Faulty::new(aws_smithy_http_client::Builder::new().build_http(), plan);
            let options = DynamoOptions::new(&table, Stage::Dev);
            let store = loop {
                match DynamoJobs::open(client_over(&url, faulty.clone()), options.clone()).await {
                    Ok(store) => break store,
                    Err(error) => excuse(&error),
                }
            };
            let mut caller = Caller::new(store);
            caller.again = true;
            let name = format!("worker-{n}");
            let mut acks: Vec<Ack> = Vec::new();
            let dice = Random::seeded(seed * 10 + n + 5);
            for _ in 0..400 {
                let handed_in = std::mem::take(&mut acks);
                let exchanged = caller.trade(&name, handed_in, None, 4).await;
                for job in exchanged.claimed {
                    assert!(ran.lock().unwrap().insert((job.id, job.epoch)), "an epoch is handed out once");
                    let action = match dice.u64() % 4 {
                        0 => AckAction::Fail { error: failed(), retry: Retry::After(Duration::ZERO) },
                        1 => AckAction::Release { delay: Duration::ZERO },
                        _ => AckAction::Complete { result: job.epoch.into() },
                    };
                    acks.push(Ack { job: job.id, epoch: job.epoch, action });
                }
                let sweep = caller.store.sweep(SweepOptions::new(now)).await;
                if let Err(error) = sweep {
                    excuse(&error);
                }
                if acks.is_empty() {
                    let statistics = caller.store.statistics(Scope::default()).await;
                    if statistics.is_ok_and(|counts| counts.in_status(JobStatus::Completed) == 30) {
                        return;
                    }
                }
            }
            panic!("jobs are left after 400 rounds");
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    let ran = ran.lock().unwrap().clone();
    for job in clean.list_all(Filter::default()).await.unwrap() {
        assert_eq!(job.status, JobStatus::Completed);
        assert_eq!(job.result, Some(job.epoch.into()), "the outcome is that of the last epoch");
        assert!(ran.contains(&(job.id, job.epoch)));
        let history = clean.history_all(job.id).await.unwrap();
        assert_eq!(history.iter().filter(|event| event.to.is_terminal()).count(), 1);
        let epochs: Vec<u64> = history.iter().filter(|e| e.kind == AuditKind::Claimed).map(|e| e.epoch).collect();
        assert_eq!(epochs, (1..=job.epoch).collect::<Vec<_>>());
    }
    audit(&direct, &table).await;
}
