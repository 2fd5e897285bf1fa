//! Eight processes of 64 callers on one ledger, some of them killed: this test binary runs itself as the host.
//!
//! Each process appends a byte to one file for each request that leaves: the provider's bill.

use super::careless::Meeting;
use super::*;
use crate::{Rng, rounds};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What a child is told: its number, the folder of the bill, whether its ledger is careless.
const NUMBER: &str = "ATLAS_ROUTER_SPENDER";
const FOLDER: &str = "ATLAS_ROUTER_SPENDER_FOLDER";
const LEDGER: &str = "ATLAS_ROUTER_SPENDER_LEDGER";
const CARELESS: &str = "ATLAS_ROUTER_SPENDER_CARELESS";
const CALLERS: u64 = 64;
/// The careless ones meet in twos, with money for 100 calls of 128.
const CARELESS_LIMIT: i64 = 100;

/// The ledger at an address: `sqlite:/tmp/ledger.db`, or `postgres:SCHEMA:` and how to connect.
async fn open(address: &str) -> Arc<dyn BudgetLedger> {
    match address.split_once(':').unwrap() {
        #[cfg(feature = "sqlite")]
        ("sqlite", path) => Arc::new(atlas_router::ledger::SqliteLedger::open(path, Stage::Dev).unwrap()),
        #[cfg(feature = "postgres")]
        ("postgres", rest) => {
            let (schema, server) = rest.split_once(':').unwrap();
            let pool = crate::postgres::pool(server, schema, 2).await;
            Arc::new(atlas_router::ledger::PostgresLedger::open(pool, Stage::Dev).await.unwrap())
        }
        (scheme, _) => panic!("no harness for {scheme}"),
    }
}

/// Not a test by itself: what a child process does until there is no money left or it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_spends_what_it_can() {
    let Ok(number) = std::env::var(NUMBER) else { return };
    let told = |name| std::env::var(name).unwrap();
    let folder = std::path::PathBuf::from(told(FOLDER));
    let mut ledger = open(&told(LEDGER)).await;
    if std::env::var(CARELESS).is_ok() {
        let meeting = Meeting { callers: CALLERS, processes: 2, folder: folder.join("meeting"), name: number.clone() };
        ledger = Arc::new(Careless::new(ledger, Some(meeting)));
        ledger.limit(vec![(scopes()[1].clone(), Some(budget(CARELESS_LIMIT)))]).await.unwrap();
    }
    let bill = Arc::new(OpenOptions::new().append(true).open(folder.join("bill")).unwrap());
    let (number, next) = (number.parse::<u128>().unwrap(), Arc::new(AtomicU64::new(0)));
    let tasks: Vec<_> = (0..CALLERS)
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

/// Processes on one ledger; those that still run are killed with it.
struct Spenders<'a> {
    folder: &'a Path,
    address: &'a str,
    careless: bool,
    born: u64,
    children: Vec<Child>,
}

impl<'a> Spenders<'a> {
    fn start(folder: &'a Path, address: &'a str, count: u64, careless: bool) -> Self {
        File::create(folder.join("bill")).unwrap();
        std::fs::create_dir_all(folder.join("meeting")).unwrap();
        let mut spenders = Self { folder, address, careless, born: 0, children: Vec::new() };
        for _ in 0..count {
            let child = spenders.birth();
            spenders.children.push(child);
        }
        spenders
    }

    fn birth(&mut self) -> Child {
        self.born += 1;
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "spend::processes::child_spends_what_it_can"]);
        command.env(NUMBER, self.born.to_string()).env(FOLDER, self.folder).env(LEDGER, self.address);
        if self.careless {
            command.env(CARELESS, "1");
        }
        command.stdout(Stdio::null()).spawn().unwrap()
    }

    /// `kill -9` for one of them, and another one takes its place.
    fn replace(&mut self, at: usize) {
        self.children[at].kill().unwrap();
        self.children[at].wait().unwrap();
        self.children[at] = self.birth();
    }

    fn are_at_work(&mut self) -> bool {
        self.children.iter_mut().any(|child| child.try_wait().unwrap().is_none())
    }

    fn end(mut self) {
        for child in &mut self.children {
            assert!(child.wait().unwrap().success(), "a host failed: see above");
        }
    }

    /// How many requests have left.
    fn billed(&self) -> i64 {
        i64::try_from(std::fs::metadata(self.folder.join("bill")).unwrap().len()).unwrap()
    }
}

impl Drop for Spenders<'_> {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Eight processes, of which now and then one is killed while it works. Gives how many were.
async fn kill_at_random(address: &str, limit: i64, rng: &mut Rng) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(address).await;
    ledger.limit(vec![(scopes()[1].clone(), Some(budget(limit)))]).await.unwrap();
    let mut spenders = Spenders::start(folder.path(), address, 8, false);
    // A quarter of the time, when some more requests have left.
    let mut next = 0;
    while spenders.are_at_work() {
        if spenders.billed() >= next && rng.below(4) == 0 {
            next = spenders.billed() + 50 + i64::try_from(rng.below(200)).unwrap();
            spenders.replace(usize::try_from(rng.below(8)).unwrap());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (billed, killed) = (spenders.billed(), spenders.born - 8);
    spenders.end();
    let balance = async || ledger.balance(&scopes()[1], month()).await.unwrap();
    assert!(billed <= limit, "{billed} of {limit} left");
    let before = balance().await;
    assert!(before.used() <= budget(limit), "{before:?}");
    assert!(before.used() >= budget(billed), "{billed} left and the ledger knows of {before:?}");
    // What died between its reservation and its request comes back; what may have left stays counted and is listed.
    let later = now().saturating_add(Duration::from_hours(1));
    while ledger.sweep(later, 1000).await.unwrap() > 0 {}
    let open = ledger.unreconciled(later, 1000).await.unwrap();
    let after = balance().await;
    assert_eq!(after.held, budget(i64::try_from(open.len()).unwrap()));
    assert!(after.used() >= budget(billed));
    // Once each is reconciled, nothing is held any more.
    for hold in open {
        ledger.settle(hold.id, PRICE, later).await.unwrap();
    }
    let settled = balance().await.settled.as_nanos() / PRICE.as_nanos();
    audit(&*ledger, limit, settled).await;
    killed
}

/// Eight processes that nobody kills use all of the budget: the floor is 95 %.
async fn leave_alone(address: &str, limit: i64) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(address).await;
    ledger.limit(vec![(scopes()[1].clone(), Some(budget(limit)))]).await.unwrap();
    let spenders = Spenders::start(folder.path(), address, 8, false);
    let bill = folder.path().join("bill");
    spenders.end();
    let billed = i64::try_from(std::fs::metadata(bill).unwrap().len()).unwrap();
    println!("{billed} of {limit} left");
    assert!(billed <= limit && billed * 100 >= limit * 95, "{billed} of {limit} left");
    audit(&*ledger, limit, billed).await;
}

/// Two processes over a ledger that looks first and adds after; gives how many calls left.
async fn overspend(address: &str) -> i64 {
    let folder = tempfile::tempdir().unwrap();
    drop(open(address).await);
    let spenders = Spenders::start(folder.path(), address, 2, true);
    let bill = folder.path().join("bill");
    spenders.end();
    i64::try_from(std::fs::metadata(bill).unwrap().len()).unwrap()
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    fn address(folder: &tempfile::TempDir) -> String {
        format!("sqlite:{}", folder.path().join("ledger.db").display())
    }

    #[tokio::test]
    async fn eight_processes_of_64_callers_that_are_killed_at_random_never_pass_the_budget() {
        let mut rng = Rng::new(5);
        let mut killed = 0;
        for round in 0..rounds(1, 100_000) {
            let folder = tempfile::tempdir().unwrap();
            let limit = 1500 + i64::try_from(rng.below(1000)).unwrap();
            println!("round {round}");
            killed += kill_at_random(&address(&folder), limit, &mut rng).await;
        }
        println!("{killed} processes were killed");
        assert!(killed > 0);
    }

    #[tokio::test]
    async fn eight_processes_of_64_callers_use_all_of_the_budget() {
        leave_alone(&address(&tempfile::tempdir().unwrap()), 1000).await;
    }

    #[tokio::test]
    async fn processes_over_a_ledger_that_looks_first_and_adds_after_are_found_out() {
        assert!(overspend(&address(&tempfile::tempdir().unwrap())).await >= 128);
    }
}

#[cfg(feature = "postgres")]
testkit::with_postgres! {
    mod postgres {
        use super::*;

        fn address() -> String {
            format!("postgres:{}:{}", crate::postgres::unused_schema(), testkit::postgres::shared())
        }

        #[tokio::test]
        async fn eight_processes_of_64_callers_that_are_killed_at_random_never_pass_the_budget() {
            let mut rng = Rng::new(6);
            let mut killed = 0;
            for round in 0..rounds(1, 100_000) {
                println!("round {round}");
                killed += kill_at_random(&address(), 1000, &mut rng).await;
            }
            println!("{killed} processes were killed");
            assert!(killed > 0);
        }

        #[tokio::test]
        async fn eight_processes_of_64_callers_use_all_of_the_budget() {
            leave_alone(&address(), 1000).await;
        }
    }
}
