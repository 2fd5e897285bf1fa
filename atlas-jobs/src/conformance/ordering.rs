//! The order of claims, for stores that keep it strictly.

use super::Bench;
use crate::store::JobStore;
use std::sync::Arc;
use std::time::Duration;

/// Higher priority first, then the earlier run-at time.
pub async fn claims_come_by_priority_then_time(store: Arc<dyn JobStore>) {
    let mut bench = Bench::new(store);
    let low = bench.add(bench.spec().with_priority(-1)).await;
    let soon = bench.wall();
    let later = soon.saturating_add(Duration::from_secs(1));
    let late = bench.add(bench.spec().with_run_at(later)).await;
    let early = bench.add(bench.spec().with_run_at(soon)).await;
    let high = bench.add(bench.spec().with_priority(7)).await;
    bench.pass(Duration::from_millis(1100)).await;
    let worker = bench.worker();
    let order: Vec<_> = bench.claim(&worker, 10).await.into_iter().map(|job| job.id).collect();
    assert_eq!(order, [high, early, late, low]);
}
