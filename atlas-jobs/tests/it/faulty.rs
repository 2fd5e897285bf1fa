//! The store that fails by plan: without a plan it is the store beneath, with one it does what the plan says.

use atlas_jobs::faulty::{Fault, FaultPlan, FaultRates, FaultyStore, Operation};
use atlas_jobs::store::{Enqueued, Exchange, Filter, Scope};
use atlas_jobs::{
    Clock, JobSpec, JobStore, JobStoreExt, Kind, ManualClock, MemoryJobs, Moment, NewJob, Random, StoreError,
};
use atlas_schema::{JobKind, Stage, Timestamp, WorkerId};
use std::sync::Arc;
use std::time::Duration;

async fn calm() -> Arc<dyn JobStore> {
    Arc::new(FaultyStore::new(Arc::new(MemoryJobs::new(Stage::Dev)), FaultPlan::none(), 1))
}

mod without_faults {
    atlas_jobs::job_store_conformance!(
        crate::faulty::calm; base, claims, ordering, leases, listing, outbox, controls
    );
}

fn over_memory(plan: FaultPlan, seed: u64) -> FaultyStore {
    FaultyStore::new(Arc::new(MemoryJobs::new(Stage::Dev)), plan, seed)
}

fn at_noon() -> Moment {
    ManualClock::at(Timestamp::from_millis(1_700_000_000_000).unwrap()).now()
}

fn job(n: u64) -> NewJob {
    let random = Random::seeded(n);
    let spec = JobSpec::new(JobKind::new("k").unwrap(), &n).unwrap();
    NewJob::new(spec, Stage::Dev, random.job_id(at_noon().wall), random.correlation_id())
}

async fn add(store: &FaultyStore, n: u64) -> Result<Enqueued, StoreError> {
    store.enqueue(vec![job(n)], at_noon()).await.map(|mut answers| answers.remove(0))
}

async fn total(store: &FaultyStore) -> u64 {
    store.inner().statistics(Scope::default()).await.unwrap().total()
}

#[tokio::test]
async fn a_call_that_fails_before_leaves_nothing_and_one_that_fails_after_leaves_its_effect() {
    let plan = FaultPlan::none().with_fault(Operation::Enqueue, 1, Fault::Before(Kind::Full));
    let store = over_memory(plan.with_fault(Operation::Enqueue, 2, Fault::After(Kind::Unavailable)), 1);
    assert_eq!(add(&store, 1).await.unwrap_err().kind(), Kind::Full);
    assert_eq!(total(&store).await, 0);
    assert_eq!(add(&store, 1).await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(total(&store).await, 1);
    assert!(matches!(add(&store, 1).await.unwrap(), Enqueued::Existing { .. }));
}

#[tokio::test]
async fn a_call_delivered_twice_is_answered_once_or_again_and_a_late_one_comes_after_others() {
    let plan = FaultPlan::none().with_fault(Operation::Enqueue, 1, Fault::Twice);
    let plan =
        plan.with_fault(Operation::Enqueue, 2, Fault::Repeated).with_fault(Operation::Exchange, 1, Fault::Late(1));
    let store = over_memory(plan, 1);
    assert!(matches!(add(&store, 1).await.unwrap(), Enqueued::Created { .. }));
    assert!(matches!(add(&store, 2).await.unwrap(), Enqueued::Existing { .. }));
    let exchange = |beat| Exchange::new(WorkerId::new("w").unwrap(), beat, Duration::from_secs(1), at_noon());
    store.exchange(exchange(7)).await.unwrap();
    // Between the two deliveries of beat 7 came beat 8: had the late one counted, beat 8 would be free again.
    store.exchange(exchange(8)).await.unwrap();
    assert_eq!(store.exchange(exchange(8)).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(store.struck().len(), 3);
}

#[tokio::test]
async fn a_stale_read_answers_what_it_answered_before_and_the_truth_at_first() {
    let plan =
        FaultPlan::none().with_fault(Operation::List, 1, Fault::Stale).with_fault(Operation::List, 3, Fault::Stale);
    let store = over_memory(plan, 1);
    add(&store, 1).await.unwrap();
    let mut seen = Vec::new();
    for n in 2..5 {
        seen.push(store.list_all(Filter::default()).await.unwrap().len());
        add(&store, n).await.unwrap();
    }
    assert_eq!(seen, [1, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn delays_pass_in_the_runtimes_time() {
    let wait = Duration::from_hours(1);
    let plan = FaultPlan::none().with_fault(Operation::Enqueue, 1, Fault::Delay(wait));
    let store = over_memory(plan.with_fault(Operation::Enqueue, 2, Fault::Lag(wait)), 1);
    let began = tokio::time::Instant::now();
    add(&store, 1).await.unwrap();
    assert_eq!(began.elapsed(), wait);
    let late = add(&store, 2);
    assert!(tokio::time::timeout(wait / 2, late).await.is_err());
    assert_eq!(total(&store).await, 2, "what lags is the answer");
}

#[tokio::test(start_paused = true)]
async fn one_seed_strikes_the_same_calls_and_another_seed_others() {
    let strikes = async |seed| {
        let store = over_memory(FaultPlan::none().with_rates(&Operation::ALL, FaultRates::each(50)), seed);
        for n in 0..200 {
            drop(add(&store, n).await);
        }
        store.struck()
    };
    let first = strikes(1).await;
    assert!((40..160).contains(&first.len()), "some 90 of 200 calls: {}", first.len());
    assert_eq!(first, strikes(1).await);
    assert_ne!(first, strikes(2).await);
}
