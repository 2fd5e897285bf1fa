//! What is spent never passes the budget: many callers, many processes, and processes that are killed.
//!
//! The provider's bill is a file of its own: a byte is appended for each request that leaves, whatever the ledger thinks.

use crate::cases;
use atlas_router::catalogue::ModelId;
use atlas_router::ledger::{BudgetLedger, HoldId, Kind, MemoryLedger, Month, Reserve, Scope};
use atlas_schema::{Stage, TenantId, Timestamp, Usd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PRICE: Usd = Usd::from_nanos(1_000_000);

fn now() -> Timestamp {
    Timestamp::from_millis(1_794_744_000_000).unwrap()
}

fn scopes() -> Vec<Scope> {
    vec![Scope::Stage(Stage::Dev), Scope::Tenant(TenantId::new("acme").unwrap())]
}

fn budget(calls: i64) -> Usd {
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
    let balance = ledger.balance(&scopes()[1], Month::of(now())).await.unwrap();
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

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;
    use crate::Rng;
    use atlas_router::ledger::SqliteLedger;
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Child, Command};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_ledger_in_a_file_lets_exactly_47_through_at_any_concurrency() {
        let folder = tempfile::tempdir().unwrap();
        for concurrency in [1, 8, 64, 512] {
            let ledger = SqliteLedger::open(folder.path().join(format!("{concurrency}.db")), Stage::Dev).unwrap();
            assert_eq!(spend(Arc::new(ledger), 1000, concurrency).await, 47, "concurrency {concurrency}");
        }
    }

    /// Names the folder that a child of this test works in, and its number.
    const CHILD: &str = "ATLAS_TEST_SPENDER";

    /// Not a test by itself: what a child process does until there is no money left or it is killed.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn child_spends_what_it_can() {
        let Ok(told) = std::env::var(CHILD) else { return };
        let (number, folder) = told.split_once(' ').unwrap();
        let number: u128 = number.parse().unwrap();
        let ledger = Arc::new(SqliteLedger::open(Path::new(folder).join("ledger.db"), Stage::Dev).unwrap());
        let bill = Arc::new(OpenOptions::new().append(true).open(Path::new(folder).join("bill")).unwrap());
        let next = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..64)
            .map(|_| {
                let (ledger, bill, next) = (Arc::clone(&ledger), Arc::clone(&bill), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let at = u128::from(next.fetch_add(1, Ordering::Relaxed));
                        let id = HoldId::from_bytes((number << 64 | at).to_be_bytes());
                        let leave = || assert_eq!((&*bill).write(b".").unwrap(), 1);
                        if !call(&*ledger, id, leave).await {
                            break;
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }

    fn child(number: u64, folder: &Path) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "spend::sqlite::child_spends_what_it_can"]);
        command
            .env(CHILD, format!("{number} {}", folder.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap()
    }

    /// How many requests have left.
    fn billed(folder: &Path) -> i64 {
        i64::try_from(std::fs::metadata(folder.join("bill")).unwrap().len()).unwrap()
    }

    #[tokio::test]
    async fn eight_processes_of_64_callers_that_are_killed_at_random_never_pass_the_budget() {
        let mut rng = Rng::new(5);
        for round in 0..cases(2) {
            let folder = tempfile::tempdir().unwrap();
            File::create(folder.path().join("bill")).unwrap();
            let ledger = SqliteLedger::open(folder.path().join("ledger.db"), Stage::Dev).unwrap();
            let limit = 1500 + i64::try_from(rng.below(1000)).unwrap();
            ledger.limit(vec![(scopes()[1].clone(), Some(budget(limit)))]).await.unwrap();
            let mut children: Vec<Child> = (1..=8).map(|number| child(number, folder.path())).collect();
            let mut born = 8;
            // A quarter of the time, when some more requests have left, one of them is killed and another takes its place.
            let mut next = 0;
            while children.iter_mut().any(|child| child.try_wait().unwrap().is_none()) {
                if billed(folder.path()) >= next && rng.below(4) == 0 {
                    next = billed(folder.path()) + 50 + i64::try_from(rng.below(200)).unwrap();
                    let at = usize::try_from(rng.below(8)).unwrap();
                    children[at].kill().unwrap();
                    children[at].wait().unwrap();
                    born += 1;
                    children[at] = child(born, folder.path());
                }
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            let (billed, balance) =
                (billed(folder.path()), ledger.balance(&scopes()[1], Month::of(now())).await.unwrap());
            assert!(billed <= limit, "round {round}: {billed} of {limit} left");
            assert!(balance.used() <= budget(limit), "round {round}: {balance:?}");
            assert!(
                balance.used() >= budget(billed),
                "round {round}: {billed} left and the ledger knows of {balance:?}"
            );
            // What died between its reservation and its request comes back; what may have left stays counted and is listed.
            let later = now().saturating_add(std::time::Duration::from_hours(1));
            while ledger.sweep(later, 1000).await.unwrap() > 0 {}
            let open = ledger.unreconciled(later, 1000).await.unwrap();
            let after = ledger.balance(&scopes()[1], Month::of(now())).await.unwrap();
            assert_eq!(after.held, budget(i64::try_from(open.len()).unwrap()));
            assert!(after.used() >= budget(billed), "round {round}");
        }
    }
}
