//! What is spent never passes the budget: many callers, many processes, and processes that are killed.
//!
//! The provider's bill is kept apart: it counts each request that leaves, whatever the ledger thinks.

mod careless;
#[cfg(all(unix, any(feature = "sqlite", feature = "postgres")))]
mod processes;

use atlas_router::catalogue::ModelId;
use atlas_router::ledger::{BudgetLedger, HoldId, Kind, MemoryLedger, Month, Reserve, Scope};
use atlas_schema::{Stage, TenantId, Timestamp, Usd};
use careless::Careless;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const PRICE: Usd = Usd::from_nanos(1_000_000);

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_794_744_000_000).unwrap()
}

pub(crate) fn month() -> Month {
    Month::of(now())
}

/// A stage without a limit and a tenant that has one.
pub(crate) fn scopes() -> Vec<Scope> {
    vec![Scope::Stage(Stage::Dev), Scope::Tenant(TenantId::new("acme").unwrap())]
}

pub(crate) fn budget(calls: i64) -> Usd {
    Usd::from_nanos(calls * PRICE.as_nanos())
}

/// One governed call; `leave` is the request itself. True if it was let through.
async fn call(ledger: &dyn BudgetLedger, id: HoldId, leave: impl FnOnce()) -> bool {
    match ledger.reserve(Reserve::new(id, scopes(), PRICE, ModelId::new("m")), now()).await {
        Ok(reserved) => {
            ledger.send(reserved.hold.id, now()).await.unwrap();
            leave();
            ledger.settle(reserved.hold.id, PRICE, now()).await.unwrap();
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Exceeded, "{error}");
            false
        }
    }
}

/// The same call again while its failure may pass; counts the failures.
#[cfg(any(feature = "postgres", feature = "dynamodb"))]
pub(crate) async fn persist<T, F: Future<Output = Result<T, atlas_router::ledger::LedgerError>>>(
    failures: &mut u32,
    mut ask: impl FnMut() -> F,
) -> Result<T, atlas_router::ledger::LedgerError> {
    loop {
        match ask().await {
            Err(error) if error.is_retryable() => *failures += 1,
            answer => return answer,
        }
    }
}

/// At rest: in each scope stands what the holds add up to; `settled` calls were paid, and the limit was not passed.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "dynamodb"))]
pub(crate) async fn audit(ledger: &dyn BudgetLedger, limit: i64, settled: i64) {
    let report = ledger.report(month(), atlas_router::ledger::GroupBy::Model).await.unwrap();
    let held = report.iter().fold(Usd::ZERO, |sum, line| sum.saturating_add(line.held));
    let paid = report.iter().fold(Usd::ZERO, |sum, line| sum.saturating_add(line.settled));
    for scope in scopes() {
        let balance = ledger.balance(&scope, month()).await.unwrap();
        assert_eq!((balance.held, balance.settled), (held, paid), "{scope}");
        assert!(balance.used() <= budget(limit), "{scope}: {balance:?}");
    }
    assert_eq!(paid, budget(settled));
}

/// So many calls by so many tasks at once, with money for 47 of them; gives how many left.
async fn spend(ledger: Arc<dyn BudgetLedger>, calls: u64, concurrency: u64) -> u64 {
    ledger.limit(vec![(scopes()[1].clone(), Some(budget(47)))]).await.unwrap();
    let (next, billed) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..concurrency)
        .map(|_| {
            let (ledger, next, billed) = (Arc::clone(&ledger), Arc::clone(&next), Arc::clone(&billed));
            tokio::spawn(async move {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= calls {
                        break;
                    }
                    let id = HoldId::from_bytes((u128::from(at) << 64 | 1).to_be_bytes());
                    call(&*ledger, id, || {
                        billed.fetch_add(1, Ordering::Relaxed);
                    })
                    .await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let balance = ledger.balance(&scopes()[1], month()).await.unwrap();
    let billed = billed.load(Ordering::Relaxed);
    assert_eq!(balance.settled, budget(i64::try_from(billed).unwrap()));
    assert_eq!(balance.held, Usd::ZERO);
    billed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn bad_input_68_a_budget_for_47_calls_lets_exactly_47_through_at_any_concurrency() {
    for concurrency in [1, 8, 64, 512] {
        let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
        assert_eq!(spend(ledger, 1000, concurrency).await, 47, "concurrency {concurrency}");
    }
}

/// The measure of the others: on one thread every caller is let through at least once, since all look before one adds.
#[tokio::test]
async fn a_ledger_that_looks_first_and_adds_after_is_found_out() {
    let spent = async |concurrency| {
        let careless = Careless::new(Arc::new(MemoryLedger::new(Stage::Dev)), None);
        spend(Arc::new(careless), 1000, concurrency).await
    };
    assert_eq!(spent(1).await, 47, "alone it is right");
    assert!(spent(8).await > 47);
    assert!(spent(64).await >= 64);
    assert!(spent(512).await >= 512);
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ledger_in_a_file_lets_exactly_47_through_at_any_concurrency() {
    use atlas_router::ledger::SqliteLedger;
    let folder = tempfile::tempdir().unwrap();
    for concurrency in [1, 8, 64, 512] {
        let ledger = SqliteLedger::open(folder.path().join(format!("{concurrency}.db")), Stage::Dev).unwrap();
        assert_eq!(spend(Arc::new(ledger), 1000, concurrency).await, 47, "concurrency {concurrency}");
    }
}

#[cfg(feature = "postgres")]
testkit::with_postgres! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_ledger_in_postgres_lets_exactly_47_through_at_any_concurrency() {
        use atlas_router::ledger::PostgresLedger;
        for concurrency in [1, 8, 64, 512] {
            let schema = crate::postgres::unused_schema();
            let pool = crate::postgres::pool(&testkit::postgres::shared(), &schema, 4).await;
            let ledger = PostgresLedger::open(pool, Stage::Dev).await.unwrap();
            // One caller has no company to share a commit with.
            let calls = if concurrency == 1 { 100 } else { 1000 };
            assert_eq!(spend(Arc::new(ledger), calls, concurrency).await, 47, "concurrency {concurrency}");
        }
    }
}

#[cfg(feature = "dynamodb")]
testkit::with_dynamodb! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_ledger_in_dynamodb_lets_exactly_47_through_at_any_concurrency() {
        for (concurrency, calls) in [(1, 60), (8, 200), (64, 1000), (512, 1000)] {
            let ledger = crate::dynamo::open(&crate::dynamo::unused_table()).await;
            assert_eq!(spend(Arc::new(ledger), calls, concurrency).await, 47, "concurrency {concurrency}");
        }
    }
}
