//! The PostgreSQL ledger, on a real server.

// Without a server, nothing uses the helpers: their tests are shown as ignored.
#![allow(dead_code, unused_imports)]

use crate::spend::{PRICE, audit, budget, month, now, persist, scopes};
use atlas_router::catalogue::ModelId;
use atlas_router::ledger::{BudgetLedger, GroupBy, HoldId, Kind, MAX_WAITING, PostgresLedger, Reserve, Scope};
use atlas_schema::{JobId, Stage};
use deadpool_postgres::{Manager, Pool};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio_postgres::{Client, Config, NoTls};

/// A name that no other test has.
pub(crate) fn unused_schema() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("r{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A connection of the test's own.
async fn connect(server: &str) -> Client {
    let (client, connection) = server.parse::<Config>().unwrap().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A pool whose connections see that schema, which is made if it is not there. It also names the program.
pub(crate) async fn pool(server: &str, schema: &str, size: usize) -> Pool {
    connect(server).await.batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await.ok();
    let mut config: Config = server.parse().unwrap();
    config.options(format!("-c search_path={schema}")).application_name(schema);
    Pool::builder(Manager::new(config, NoTls)).max_size(size).build().unwrap()
}

async fn open(schema: &str, size: usize) -> PostgresLedger {
    PostgresLedger::open(pool(&testkit::postgres::shared(), schema, size).await, Stage::Dev).await.unwrap()
}

testkit::with_postgres! {
    #[tokio::test]
    async fn many_processes_open_an_empty_database_at_once() {
        let pool = pool(&testkit::postgres::shared(), &unused_schema(), 8).await;
        let opens: Vec<_> = (0..8).map(|_| tokio::spawn(PostgresLedger::open(pool.clone(), Stage::Dev))).collect();
        for open in opens {
            open.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn a_database_of_another_stage_of_a_newer_release_or_damaged_is_refused() {
        let pool = pool(&testkit::postgres::shared(), &unused_schema(), 2).await;
        PostgresLedger::open(pool.clone(), Stage::Dev).await.unwrap();
        let refused = async |stage| PostgresLedger::open(pool.clone(), stage).await.unwrap_err().kind();
        assert_eq!(refused(Stage::Production).await, Kind::WrongStage);
        let client = pool.get().await.unwrap();
        let set = async |value: &str| {
            let sql = "UPDATE atlas_router_meta SET value = $1 WHERE key = 'version'";
            client.execute(sql, &[&value]).await.unwrap();
        };
        set("99").await;
        assert_eq!(refused(Stage::Dev).await, Kind::NewerVersion);
        set("many").await;
        assert_eq!(refused(Stage::Dev).await, Kind::Corrupt);
    }

    #[tokio::test]
    async fn a_hold_that_can_not_be_read_fails_closed_and_only_for_its_own_call() {
        let pool = pool(&testkit::postgres::shared(), &unused_schema(), 4).await;
        let ledger = PostgresLedger::open(pool.clone(), Stage::Dev).await.unwrap();
        let reserve = |n: u8| Reserve::new(HoldId::from_bytes([n; 16]), scopes(), PRICE, ModelId::new("m"));
        for n in [1, 2] {
            ledger.reserve(reserve(n), now()).await.unwrap();
        }
        let damage = "UPDATE atlas_router_hold SET state = 9 WHERE id = $1";
        pool.get().await.unwrap().execute(damage, &[&&[1_u8; 16][..]]).await.unwrap();
        let (bad, good) = tokio::join!(
            ledger.send(HoldId::from_bytes([1; 16]), now()),
            ledger.send(HoldId::from_bytes([2; 16]), now())
        );
        assert_eq!(bad.unwrap_err().kind(), Kind::Corrupt);
        good.unwrap();
    }

    #[tokio::test]
    async fn a_connection_that_falls_silent_leaves_the_pool_and_stops_no_later_call() {
        let schema = unused_schema();
        let others = pool(&testkit::postgres::shared(), &schema, 1).await;
        let pool = pool(&testkit::postgres::shared(), &schema, 1).await;
        let ledger = PostgresLedger::open(pool.clone(), Stage::Dev).await.unwrap();
        let request = Reserve::new(HoldId::from_bytes([1; 16]), scopes(), PRICE, ModelId::new("m"));
        let mut other = others.get().await.unwrap();
        let lock = other.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE atlas_router_balance").await.unwrap();
        tokio::time::pause();
        let answer = tokio::time::timeout(Duration::from_hours(1), ledger.reserve(request.clone(), now())).await;
        assert_eq!(answer.expect("it gave up").unwrap_err().kind(), Kind::Unavailable);
        tokio::time::resume();
        assert_eq!(pool.status().size, 0, "nobody else gets that connection");
        lock.rollback().await.unwrap();
        ledger.reserve(request, now()).await.unwrap();
    }

    /// Each read, and each write outside of a group.
    #[tokio::test]
    async fn nothing_waits_for_ever_for_a_connection_that_falls_silent() {
        let schema = unused_schema();
        let others = pool(&testkit::postgres::shared(), &schema, 1).await;
        let pool = pool(&testkit::postgres::shared(), &schema, 1).await;
        let ledger = PostgresLedger::open(pool.clone(), Stage::Dev).await.unwrap();
        let mut other = others.get().await.unwrap();
        let lock = other.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE atlas_router_balance, atlas_router_hold, atlas_router_limit").await.unwrap();
        let id = HoldId::from_bytes([1; 16]);
        let past = atlas_router::ledger::Month::from_number(month().as_number() - 3);
        for call in 0..7 {
            // Connecting takes time, which a paused clock does not give.
            drop(pool.get().await.unwrap());
            tokio::time::pause();
            let gives_up = async {
                match call {
                    0 => ledger.hold(id).await.map(|_| ()),
                    1 => ledger.balance(&scopes()[0], month()).await.map(|_| ()),
                    2 => ledger.unreconciled(now(), 10).await.map(|_| ()),
                    3 => ledger.report(month(), GroupBy::Model).await.map(|_| ()),
                    4 => ledger.purge(past, now(), 10).await.map(|_| ()),
                    5 => ledger.sweep(now(), 10).await.map(|_| ()),
                    _ => ledger.limit(vec![(scopes()[0].clone(), None)]).await,
                }
            };
            let answer = tokio::time::timeout(Duration::from_hours(1), gives_up).await;
            assert_eq!(answer.expect("it gave up").unwrap_err().kind(), Kind::Unavailable, "{call}");
            tokio::time::resume();
            assert_eq!(pool.status().size, 0, "nobody else gets that connection");
        }
        lock.rollback().await.unwrap();
        assert!(ledger.hold(id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn more_calls_than_may_wait_are_refused_and_what_was_begun_can_still_be_ended() {
        let ledger = open(&unused_schema(), 1).await;
        let request = |n: usize| {
            Reserve::new(HoldId::from_bytes((n as u128).to_be_bytes()), scopes(), PRICE, ModelId::new("m"))
        };
        ledger.reserve(request(usize::MAX), now()).await.unwrap();
        let mut waiting = Vec::new();
        let poll = |call: &mut std::pin::Pin<Box<dyn Future<Output = _> + Send>>| {
            call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
        };
        // Nobody works on them before this task waits.
        for n in 0..MAX_WAITING {
            let mut call = ledger.reserve(request(n), now());
            assert!(poll(&mut call).is_pending());
            waiting.push(call);
        }
        let std::task::Poll::Ready(Err(refused)) = poll(&mut ledger.reserve(request(MAX_WAITING), now())) else {
            panic!("it was taken on");
        };
        assert_eq!((refused.kind(), refused.is_retryable()), (Kind::Unavailable, true));
        assert!(refused.had_no_effect());
        ledger.release(request(usize::MAX).id, now()).await.unwrap();
        for call in waiting {
            call.await.unwrap();
        }
        let held = ledger.balance(&scopes()[0], month()).await.unwrap().held;
        assert_eq!(held, budget(i64::try_from(MAX_WAITING).unwrap()));
        ledger.reserve(request(MAX_WAITING), now()).await.unwrap();
    }

    #[tokio::test]
    async fn a_model_name_that_no_text_may_hold_is_bad_input_and_leaves_nothing() {
        let ledger = open(&unused_schema(), 2).await;
        let request = Reserve::new(HoldId::from_bytes([1; 16]), scopes(), PRICE, ModelId::new("a\0b"));
        assert_eq!(ledger.reserve(request, now()).await.unwrap_err().kind(), Kind::InvalidInput);
        assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().used(), budget(0));
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_loses_the_answer_and_nothing_else() {
        let ledger = open(&unused_schema(), 2).await;
        let request = Reserve::new(HoldId::from_bytes([1; 16]), scopes(), PRICE, ModelId::new("m"));
        let begins = async {
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { biased; _ = ledger.reserve(request.clone(), now()) => {}, () = begins => {} }
        let hold = loop {
            if let Some(hold) = ledger.hold(request.id).await.unwrap() {
                break hold;
            }
        };
        assert_eq!(ledger.reserve(request, now()).await.unwrap().hold, hold);
        assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().held, PRICE);
    }

    #[tokio::test]
    async fn a_reservation_that_nobody_waits_for_before_it_is_begun_is_not_made() {
        let ledger = open(&unused_schema(), 2).await;
        let request = |n: u8| Reserve::new(HoldId::from_bytes([n; 16]), scopes(), PRICE, ModelId::new("m"));
        let mut given_up = ledger.reserve(request(1), now());
        let mut waits = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(given_up.as_mut().poll(&mut waits).is_pending());
        drop(given_up);
        ledger.reserve(request(2), now()).await.unwrap();
        assert!(ledger.hold(request(1).id).await.unwrap().is_none());
        assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().held, PRICE);
    }

    #[tokio::test]
    async fn a_purge_deletes_no_hold_whose_state_this_release_does_not_know() {
        let pool = pool(&testkit::postgres::shared(), &unused_schema(), 2).await;
        let ledger = PostgresLedger::open(pool.clone(), Stage::Dev).await.unwrap();
        let reserve = |n: u8| Reserve::new(HoldId::from_bytes([n; 16]), scopes(), PRICE, ModelId::new("m"));
        for n in [1, 2] {
            ledger.reserve(reserve(n), now()).await.unwrap();
            ledger.release(reserve(n).id, now()).await.unwrap();
        }
        let damage = "UPDATE atlas_router_hold SET state = 9 WHERE id = $1";
        pool.get().await.unwrap().execute(damage, &[&&[1_u8; 16][..]]).await.unwrap();
        let later = now().saturating_add(Duration::from_hours(24 * 40));
        assert_eq!(ledger.purge(month(), later, 10).await.unwrap(), 1);
        assert_eq!(ledger.hold(reserve(1).id).await.unwrap_err().kind(), Kind::Corrupt, "it is still there");
    }

    #[tokio::test]
    async fn a_database_of_the_first_version_gets_what_came_later() {
        let pool = pool(&testkit::postgres::shared(), &unused_schema(), 2).await;
        PostgresLedger::open(pool.clone(), Stage::Dev).await.unwrap();
        let first = "DROP INDEX atlas_router_hold_ended; UPDATE atlas_router_meta SET value = '1' WHERE key = 'version'";
        pool.get().await.unwrap().batch_execute(first).await.unwrap();
        PostgresLedger::open(pool.clone(), Stage::Dev).await.unwrap();
        let found = "SELECT value, to_regclass('atlas_router_hold_ended') IS NOT NULL FROM atlas_router_meta
            WHERE key = 'version'";
        let row = pool.get().await.unwrap().query_one(found, &[]).await.unwrap();
        assert_eq!((row.get::<_, String>(0).as_str(), row.get(1)), ("2", true));
    }

    /// Each call names its scopes in an order of its own, and many hold the same ones.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn four_hosts_with_scopes_in_any_order_spend_all_and_never_wait_in_a_circle() {
        const LIMIT: i64 = 300;
        let schema = unused_schema();
        let billed = Arc::new(AtomicU64::new(0));
        let mut tasks = Vec::new();
        open(&schema, 1).await.limit(vec![(scopes()[1].clone(), Some(budget(LIMIT)))]).await.unwrap();
        for host in 0..4_u128 {
            let ledger = open(&schema, 4).await;
            for caller in 0..16_u128 {
                let (ledger, billed) = (ledger.clone(), Arc::clone(&billed));
                tasks.push(tokio::spawn(async move {
                    for n in 0_u128.. {
                        let id = HoldId::from_bytes((host << 96 | caller << 64 | n).to_be_bytes());
                        let mut scopes = scopes();
                        scopes.push(Scope::Job(JobId::from_bytes([u8::try_from(caller % 3).unwrap(); 16])));
                        scopes.rotate_left(usize::try_from((host + caller + n) % 3).unwrap());
                        if n % 2 == 1 {
                            scopes.swap(0, 1);
                        }
                        match ledger.reserve(Reserve::new(id, scopes, PRICE, ModelId::new("m")), now()).await {
                            Ok(_) => {}
                            Err(error) if error.kind() == Kind::Exceeded => break,
                            Err(error) => panic!("{error}"),
                        }
                        ledger.send(id, now()).await.unwrap();
                        billed.fetch_add(1, Ordering::Relaxed);
                        ledger.settle(id, PRICE, now()).await.unwrap();
                    }
                }));
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(billed.load(Ordering::Relaxed), LIMIT.unsigned_abs(), "all of the budget, and no more");
        audit(&open(&schema, 1).await, LIMIT, LIMIT).await;
    }

    /// Connections are cut in the midst of transactions; callers repeat what failed, as they are told to.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_connection_that_is_cut_in_the_middle_loses_no_money() {
        const LIMIT: i64 = 400;
        let schema = unused_schema();
        let ledger = open(&schema, 4).await;
        ledger.limit(vec![(scopes()[1].clone(), Some(budget(LIMIT)))]).await.unwrap();
        let billed = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..16_u128)
            .map(|caller| {
                let (ledger, billed) = (ledger.clone(), Arc::clone(&billed));
                tokio::spawn(async move {
                    let mut failures = 0;
                    for n in 0_u128.. {
                        let id = HoldId::from_bytes((caller << 64 | n).to_be_bytes());
                        let request = Reserve::new(id, scopes(), PRICE, ModelId::new("m"));
                        let reserved = persist(&mut failures, || ledger.reserve(request.clone(), now())).await;
                        if reserved.is_err_and(|error| error.kind() == Kind::Exceeded) {
                            break;
                        }
                        persist(&mut failures, || ledger.send(id, now())).await.unwrap();
                        billed.fetch_add(1, Ordering::Relaxed);
                        persist(&mut failures, || ledger.settle(id, PRICE, now())).await.unwrap();
                    }
                    failures
                })
            })
            .collect();
        let over = Arc::new(AtomicBool::new(false));
        let cutter = tokio::spawn({
            let (over, billed, schema) = (Arc::clone(&over), Arc::clone(&billed), schema.clone());
            async move {
                let server = connect(&testkit::postgres::shared()).await;
                // Those that are within a transaction, whenever some more calls have got through.
                let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE application_name = $1 AND xact_start IS NOT NULL";
                let (mut next, mut cuts) = (0, 0);
                while !over.load(Ordering::Relaxed) {
                    if billed.load(Ordering::Relaxed) >= next {
                        let rows = server.query(cut, &[&schema]).await.unwrap();
                        if !rows.is_empty() {
                            cuts += rows.len();
                            next = billed.load(Ordering::Relaxed) + 20;
                        }
                    }
                    tokio::task::yield_now().await;
                }
                cuts
            }
        });
        let mut failures = 0;
        for task in tasks {
            failures += task.await.unwrap();
        }
        over.store(true, Ordering::Relaxed);
        let cuts = cutter.await.unwrap();
        println!("{cuts} cuts, {failures} failures");
        assert!(cuts > 0 && failures > 0, "nothing was cut");
        assert_eq!(billed.load(Ordering::Relaxed), LIMIT.unsigned_abs());
        audit(&open(&schema, 1).await, LIMIT, LIMIT).await;
    }
}
