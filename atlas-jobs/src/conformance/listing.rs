//! Pages, counts, deletion.

use super::{Bench, LEASE, broken, done};
use crate::error::Kind;
use crate::state::Retry;
use crate::store::{
    Filter, HistoryOptions, JobRef, JobStore, JobStoreExt, ListOptions, MAX_PAGE, Order, OutboxExchange, Purge,
    PurgeOptions, Scope, SweepOptions,
};
use atlas_schema::{JobId, JobStatus};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

fn own(bench: &Bench) -> Filter {
    Filter::default().with_tenant(bench.tenant.clone())
}

async fn walk(bench: &Bench, mut options: ListOptions) -> Vec<JobId> {
    let mut all = Vec::new();
    loop {
        let page = bench.store.list(options.clone()).await.expect("list");
        assert!(page.items.len() <= options.limit);
        all.extend(page.items.iter().map(|job| job.id));
        if page.next.is_none() {
            return all;
        }
        options.cursor = page.next;
    }
}

/// Both ways, in small pages, while other jobs come and change.
pub async fn list_pages_are_complete_and_hold_no_job_twice(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let mut ids = HashSet::new();
    for n in 0..23 {
        ids.insert(bench.add(bench.spec()).await);
        if n % 4 == 0 {
            bench.pass(Duration::from_millis(5)).await;
        }
    }
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let options = ListOptions::new(own(&bench)).with_order(order).with_limit(5);
        let listed = walk(&bench, options).await;
        assert_eq!(listed.len(), 23, "no job twice, none missing");
        assert_eq!(listed.iter().copied().collect::<HashSet<_>>(), ids);
    }
    let first = bench.store.list(ListOptions::new(own(&bench)).with_limit(10)).await.expect("list");
    bench.pass(Duration::from_millis(5)).await;
    bench.add(bench.spec()).await;
    let rest = walk(&bench, ListOptions::new(own(&bench)).with_limit(10).with_cursor(first.next)).await;
    let listed: HashSet<_> = first.items.iter().map(|job| job.id).chain(rest).collect();
    assert!(ids.is_subset(&listed), "a new job shifts no page");
}

/// Each filter field selects.
pub async fn filters_select(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let parent = bench.add(bench.spec()).await;
    let claimed = bench.claim_one(&worker).await;
    bench.ack(&worker, &claimed, done()).await;
    bench.pass(Duration::from_millis(10)).await;
    // By the store's clock, whichever that is.
    let cut = bench.job(parent).await.created_at.saturating_add(Duration::from_millis(1));
    let child = bench.add(bench.spec().with_parent(parent)).await;
    let cases = [
        (own(&bench).with_statuses([JobStatus::Completed]), vec![parent]),
        (own(&bench).with_statuses([JobStatus::Pending, JobStatus::Failed]), vec![child]),
        (Filter::default().with_parent(parent), vec![child]),
        (own(&bench).with_created_from(cut), vec![child]),
        (own(&bench).with_created_before(cut), vec![parent]),
        (own(&bench).with_queue(bench.queue.clone()).with_kind(bench.kind.clone()), vec![child, parent]),
    ];
    for (filter, expected) in cases {
        assert_eq!(walk(&bench, ListOptions::new(filter.clone())).await, expected, "{filter:?}");
    }
}

/// A cursor fits the list it came from and no other.
pub async fn a_cursor_of_another_list_is_refused(store: Arc<dyn JobStore>) {
    let bench = Bench::new(store);
    bench.enqueue(vec![bench.spec(), bench.spec()]).await;
    let page = bench.store.list(ListOptions::new(own(&bench)).with_limit(1)).await.expect("list");
    let other = ListOptions::new(own(&bench)).with_order(Order::OldestFirst).with_cursor(page.next);
    let refused = bench.store.list(other).await.expect_err("a foreign cursor");
    assert_eq!(refused.kind(), Kind::InvalidInput);
}

/// The trail in pages is the trail.
pub async fn history_pages_are_complete(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let id = bench.add(bench.spec()).await;
    for _ in 0..3 {
        let job = bench.claim_one(&worker).await;
        bench.ack(&worker, &job, broken(Retry::After(Duration::ZERO))).await;
    }
    let mut options = HistoryOptions::new(id).with_limit(2);
    let mut versions = Vec::new();
    loop {
        let page = bench.store.history(options.clone()).await.expect("history");
        versions.extend(page.items.iter().map(|event| event.version));
        if page.next.is_none() {
            break;
        }
        options = options.with_cursor(page.next);
    }
    assert_eq!(versions, (1..=7).collect::<Vec<_>>());
}

/// The counts are those of all jobs, not of a first page.
pub async fn statistics_count_every_job(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    for _ in 0..3 {
        bench.enqueue((0..500).map(|_| bench.spec()).collect()).await;
    }
    for n in 0..4 {
        let job = bench.claim_one(&worker).await;
        bench.pass(Duration::from_millis(10)).await;
        let action = if n == 0 { broken(Retry::Never) } else { done() };
        bench.ack(&worker, &job, action).await;
    }
    bench.claim_one(&worker).await;
    let scope = Scope::default().with_tenant(bench.tenant.clone()).with_queue(bench.queue.clone());
    let statistics = bench.store.statistics(scope).await.expect("statistics");
    assert_eq!(statistics.total(), 1500);
    let counts = JobStatus::ALL.map(|status| statistics.in_status(status));
    assert_eq!(counts, [1495, 1, 3, 1, 0, 0]);
    assert_eq!(statistics.success_rate(), Some(0.75));
    assert!(statistics.mean_processing().is_some_and(|mean| mean >= Duration::from_millis(10)));
    assert!(statistics.oldest_pending.is_some());
}

/// A batch asks how its children stand.
pub async fn the_children_of_a_batch_are_counted(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let parent = bench.random.job_id(bench.now.wall);
    bench.enqueue((0..3).map(|_| bench.spec().with_parent(parent)).collect()).await;
    let job = bench.claim_one(&worker).await;
    bench.ack(&worker, &job, done()).await;
    bench.add(bench.spec()).await;
    let statistics = bench.store.statistics(Scope::default().with_parent(parent)).await.expect("statistics");
    assert_eq!((statistics.total(), statistics.in_status(JobStatus::Completed)), (3, 1));
}

/// Old ends go, with their keys; what runs or waits stays, unless it is named.
pub async fn a_purge_removes_what_ended_and_nothing_else(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let key = atlas_schema::IdempotencyKey::new(format!("p-{}", bench.tenant)).expect("a key");
    let ended = bench.add(bench.spec().with_priority(1).with_idempotency_key(key.clone())).await;
    let job = bench.claim_one(&worker).await;
    bench.ack(&worker, &job, done()).await;
    let waiting = bench.add(bench.spec()).await;
    let running = bench.claim_one(&worker).await.id;
    let pending = bench.add(bench.spec()).await;
    assert_eq!(waiting, running);
    let purge = PurgeOptions::new(Purge::Jobs(vec![ended, running, pending]));
    assert_eq!(bench.store.purge(purge).await.expect("purge").jobs, 2, "a running job is never deleted");
    let names = vec![JobRef::Id(ended), JobRef::Id(pending), JobRef::Idempotency(bench.tenant.clone(), key)];
    assert_eq!(bench.store.get(names).await.expect("get"), [None, None, None]);
    assert_eq!(bench.history(ended).await, []);
    let scope = Scope::default().with_tenant(bench.tenant.clone());
    assert_eq!(bench.store.statistics(scope).await.expect("statistics").total(), 1);
    let left = bench.store.list_all(own(&bench)).await.expect("list");
    assert_eq!(left.iter().map(|job| job.id).collect::<Vec<_>>(), [running]);
    assert_eq!(bench.claim(&worker, 5).await, [], "a deleted job is not in its queue");
}

/// A job that can be read is none of those that can't.
pub async fn a_purge_of_what_can_not_be_read_leaves_what_can(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let worker = bench.worker();
    let ended = bench.add(bench.spec().with_priority(2)).await;
    let job = bench.claim_one(&worker).await;
    bench.ack(&worker, &job, done()).await;
    let running = bench.add(bench.spec().with_priority(1)).await;
    bench.claim_one(&worker).await;
    let pending = bench.add(bench.spec()).await;
    let nobody = bench.random.job_id(bench.now.wall);
    let purge = PurgeOptions::new(Purge::Unreadable(vec![ended, running, pending, nobody]));
    let purged = bench.store.purge(purge).await.expect("purge");
    assert_eq!((purged.jobs, purged.more), (0, false));
    for (id, status) in [(ended, JobStatus::Completed), (running, JobStatus::Processing), (pending, JobStatus::Pending)]
    {
        assert_eq!(bench.job(id).await.status, status);
    }
}

/// A caller whose clock is ahead deletes nothing young from a store that knows the time itself.
pub async fn a_purge_by_a_wrong_clock_leaves_what_is_young_by_the_stores_own(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    if !bench.store.capabilities().own_clock {
        return;
    }
    let (id, worker) = (bench.add(bench.spec()).await, bench.worker());
    let job = bench.claim_one(&worker).await;
    bench.ack(&worker, &job, done()).await;
    let month = std::time::Duration::from_hours(24 * 30);
    let what = Purge::Ended { status: JobStatus::Completed, before: bench.wall().saturating_add(month) };
    bench.store.purge(PurgeOptions::new(what).with_least_age(month)).await.expect("purge");
    assert_eq!(bench.job(id).await.status, JobStatus::Completed, "it ended a moment ago");
}

/// Nothing is unbounded, and nothing asked for is nothing given.
pub async fn an_impossible_limit_is_refused(store: Arc<dyn JobStore>) {
    fn refused<T: std::fmt::Debug>(answer: Result<T, crate::StoreError>) {
        assert_eq!(answer.expect_err("a bad limit").kind(), Kind::InvalidInput);
    }
    let mut bench = Bench::new(store);
    let (id, worker) = (bench.add(bench.spec()).await, bench.worker());
    let store = Arc::clone(&bench.store);
    for limit in [0, MAX_PAGE + 1] {
        refused(store.list(ListOptions::default().with_limit(limit)).await);
        refused(store.history(HistoryOptions::new(id).with_limit(limit)).await);
        refused(store.sweep(SweepOptions::new(bench.now).with_limit(limit)).await);
        let ended = Purge::Ended { status: JobStatus::Completed, before: bench.now.wall };
        refused(store.purge(PurgeOptions::new(ended).with_limit(limit)).await);
    }
    let claim = bench.wanted(MAX_PAGE + 1);
    refused(store.exchange(bench.exchange(&worker).with_claim(claim)).await);
    refused(store.outbox(OutboxExchange::new(vec!["callback"], MAX_PAGE + 1, LEASE, bench.now)).await);
    refused(store.get(vec![JobRef::Id(id); MAX_PAGE + 1]).await);
    refused(store.purge(PurgeOptions::new(Purge::Jobs(vec![id; MAX_PAGE + 1]))).await);
    refused(store.purge(PurgeOptions::new(Purge::Unreadable(vec![id; MAX_PAGE + 1]))).await);
    assert_eq!(bench.job(id).await.version, 1);
}
