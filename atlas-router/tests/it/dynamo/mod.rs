//! The ledger on DynamoDB, against a server that speaks its protocol.

// Without a server, nothing uses the helpers: their tests are shown as ignored.
#![allow(dead_code, unused_imports)]

mod faults;

use crate::Rng;
use crate::spend::{PRICE, audit, budget, month, now, persist, scopes};
use atlas_router::catalogue::ModelId;
use atlas_router::ledger::{BudgetLedger, DynamoLedger, HoldId, HoldState, Kind, Reserve, Scope};
use atlas_schema::{CorrelationId, JobId, Stage, TenantId};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, HttpClient, Region, StalledStreamProtectionConfig};
use faults::{Fault, Faulty};
use std::error::Error as _;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// A client for a server of the tests. Its own retries are off, so that a test sees each failure.
fn client_over(http: impl HttpClient + 'static) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(testkit::dynamo::shared())
        .retry_config(RetryConfig::disabled())
        // A crowded machine is no fault of the ledger's.
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(http);
    Client::from_conf(config.build())
}

pub(crate) fn client() -> Client {
    client_over(aws_smithy_http_client::Builder::new().build_http())
}

/// A name that no other test has.
pub(crate) fn unused_table() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("router-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A ledger over a table of that name, which is made if it is not there.
pub(crate) async fn open(table: &str) -> DynamoLedger {
    let client = client();
    DynamoLedger::create_table(&client, table).await.unwrap();
    DynamoLedger::open(client, table, Stage::Dev).await.unwrap()
}

async fn open_over(table: &str, plan: impl Fn(&str) -> Fault + Send + Sync + 'static) -> DynamoLedger {
    DynamoLedger::open(client_over(Faulty::new(plan)), table, Stage::Dev).await.unwrap()
}

fn request(n: u128) -> Reserve {
    Reserve::new(HoldId::from_bytes(n.to_be_bytes()), scopes(), PRICE, ModelId::new("m"))
}

/// Callers on ledgers of their own, until the budget is used up; gives how many calls left.
async fn use_up(ledgers: Vec<DynamoLedger>, callers: u128) -> u64 {
    let billed = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for (host, ledger) in (0_u128..).zip(ledgers) {
        for caller in 0..callers {
            let (ledger, billed) = (ledger.clone(), Arc::clone(&billed));
            tasks.push(tokio::spawn(async move {
                let mut failures = 0;
                for n in 0_u128.. {
                    let mut request = request(host << 96 | caller << 64 | n);
                    request.scopes.push(Scope::Job(JobId::from_bytes([u8::try_from(caller).unwrap(); 16])));
                    let id = request.id;
                    match persist(&mut failures, || ledger.reserve(request.clone(), now())).await {
                        Ok(_) => {}
                        Err(error) if error.kind() == Kind::Exceeded => break,
                        Err(error) => panic!("{error}: {:?}", error.source()),
                    }
                    persist(&mut failures, || ledger.send(id, now())).await.unwrap();
                    billed.fetch_add(1, Ordering::Relaxed);
                    persist(&mut failures, || ledger.settle(id, PRICE, now())).await.unwrap();
                }
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    billed.load(Ordering::Relaxed)
}

testkit::with_dynamodb! {
    #[tokio::test]
    async fn a_table_of_another_stage_of_a_newer_release_or_none_at_all_is_refused() {
        let table = unused_table();
        assert_eq!(DynamoLedger::open(client(), &table, Stage::Dev).await.unwrap_err().kind(), Kind::Unavailable);
        open(&table).await;
        let refused = async |stage| DynamoLedger::open(client(), &table, stage).await.unwrap_err().kind();
        assert_eq!(refused(Stage::Production).await, Kind::WrongStage);
        let newer = aws_sdk_dynamodb::types::AttributeValue::N("2".into());
        let update = client().update_item().table_name(&table);
        let update = update.key("pk", aws_sdk_dynamodb::types::AttributeValue::S("META".into()));
        let update = update.update_expression("SET #format = :format").expression_attribute_names("#format", "format");
        update.expression_attribute_values(":format", newer).send().await.unwrap();
        assert_eq!(refused(Stage::Dev).await, Kind::NewerVersion);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn four_hosts_that_get_in_each_others_way_spend_all_and_no_more() {
        const LIMIT: i64 = 60;
        let table = unused_table();
        let ledger = open(&table).await;
        ledger.limit(vec![(scopes()[1].clone(), Some(budget(LIMIT)))]).await.unwrap();
        let mut hosts = vec![ledger.clone()];
        for _ in 0..3 {
            hosts.push(open(&table).await);
        }
        assert_eq!(use_up(hosts, 4).await, LIMIT.unsigned_abs());
        audit(&ledger, LIMIT, LIMIT).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn over_a_bad_network_no_money_is_lost_and_none_is_counted_twice() {
        const LIMIT: i64 = 60;
        let table = unused_table();
        let ledger = open(&table).await;
        ledger.limit(vec![(scopes()[1].clone(), Some(budget(LIMIT)))]).await.unwrap();
        let mut hosts = Vec::new();
        let hit = Arc::new(AtomicU32::new(0));
        for host in 0..3 {
            let (dice, hit) = (Mutex::new(Rng::new(40 + host)), Arc::clone(&hit));
            hosts.push(open_over(&table, move |operation| {
                let all = [Fault::Throttled, Fault::Down, Fault::Conflict, Fault::AnswerLost, Fault::Twice];
                let mut dice = dice.lock().unwrap();
                if operation == "GetItem" || dice.below(4) > 0 {
                    return Fault::None;
                }
                hit.fetch_add(1, Ordering::Relaxed);
                *dice.pick(&all)
            }).await);
        }
        assert_eq!(use_up(hosts, 4).await, LIMIT.unsigned_abs());
        assert!(hit.load(Ordering::Relaxed) > 20, "{hit:?}");
        audit(&ledger, LIMIT, LIMIT).await;
    }

    #[tokio::test]
    async fn a_reservation_whose_answer_is_lost_is_the_same_one_when_it_is_repeated() {
        let table = unused_table();
        let ledger = open(&table).await;
        let lost = AtomicU32::new(0);
        let faulty = open_over(&table, move |operation| match operation {
            "TransactWriteItems" if lost.fetch_add(1, Ordering::Relaxed) == 0 => Fault::AnswerLost,
            _ => Fault::None,
        }).await;
        let error = faulty.reserve(request(1), now()).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().held, PRICE, "it was carried out");
        let hold = faulty.reserve(request(1), now()).await.unwrap().hold;
        assert_eq!(ledger.hold(hold.id).await.unwrap(), Some(hold));
        assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().held, PRICE, "and once");
    }

    #[tokio::test]
    async fn a_connection_that_falls_silent_stops_no_later_call() {
        let table = unused_table();
        open(&table).await;
        let silent = Arc::new(AtomicBool::new(true));
        let still = Arc::clone(&silent);
        let ledger = open_over(&table, move |operation| match operation {
            "BatchGetItem" if still.load(Ordering::Relaxed) => Fault::Silent,
            _ => Fault::None,
        }).await;
        tokio::time::pause();
        let hour = std::time::Duration::from_hours(1);
        let answer = tokio::time::timeout(hour, ledger.reserve(request(1), now())).await;
        assert_eq!(answer.expect("it gave up").unwrap_err().kind(), Kind::Unavailable);
        tokio::time::resume();
        silent.store(false, Ordering::Relaxed);
        ledger.reserve(request(1), now()).await.unwrap();
    }

    #[test]
    fn a_runtime_that_ends_and_a_call_from_outside_of_one_stop_no_later_call() {
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (lasting, ending) = (runtime(), runtime());
        let ledger = lasting.block_on(open(&unused_table()));
        let poll_once = |n| {
            let mut call = ledger.reserve(request(n), now());
            let answer = call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
            (call, answer)
        };
        let (_, outside) = poll_once(1);
        assert!(matches!(outside, Poll::Ready(Err(error)) if error.kind() == Kind::InvalidInput));
        let (waiting, answer) = {
            let _within = ending.enter();
            poll_once(2)
        };
        assert!(answer.is_pending());
        // Its task never ran.
        drop(ending);
        lasting.block_on(async {
            let minute = std::time::Duration::from_mins(1);
            let ended = tokio::time::timeout(minute, waiting).await.expect("an answer");
            assert_eq!(ended.unwrap_err().kind(), Kind::Unavailable);
            tokio::time::timeout(minute, ledger.reserve(request(3), now())).await.expect("an answer").unwrap();
        });
    }

    #[tokio::test]
    async fn a_ledger_that_others_keep_from_writing_gives_up_and_lets_nothing_through() {
        let table = unused_table();
        let ledger = open(&table).await;
        let tries = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&tries);
        let crowded = open_over(&table, move |operation| match operation {
            "TransactWriteItems" => {
                counted.fetch_add(1, Ordering::Relaxed);
                Fault::Conflict
            }
            _ => Fault::None,
        }).await;
        let error = crowded.reserve(request(1), now()).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (Kind::Busy, true));
        assert_eq!(tries.load(Ordering::Relaxed), 16, "its tries are bounded");
        let throttled = open_over(&table, |operation| match operation {
            "BatchGetItem" => Fault::Throttled,
            _ => Fault::None,
        }).await;
        let error = throttled.reserve(request(1), now()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        let source = error.source().unwrap().to_string();
        assert!(!format!("{error} {source}").contains("canary"), "{error}: {source}");
        assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().used(), budget(0));
    }

    /// A transaction has room for a hundred items: what does not fit goes into the next.
    #[tokio::test]
    async fn calls_whose_scopes_do_not_fit_into_one_transaction_go_into_several() {
        let table = unused_table();
        open(&table).await;
        let transactions = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&transactions);
        let count = move |operation: &str| {
            counted.fetch_add(u32::from(operation == "TransactWriteItems"), Ordering::Relaxed);
            Fault::None
        };
        let ledger = open_over(&table, count).await;
        let mut calls = Vec::new();
        for n in 0..40_u128 {
            let mut request = request(n);
            request.scopes.extend((0..6).map(|m| Scope::Tenant(TenantId::new(format!("t{n}-{m}")).unwrap())));
            let ledger = ledger.clone();
            calls.push(tokio::spawn(async move { ledger.reserve(request, now()).await.unwrap().hold }));
        }
        for call in calls {
            let hold = call.await.unwrap();
            assert_eq!(ledger.hold(hold.id).await.unwrap().unwrap().state, HoldState::Held);
        }
        assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().held, budget(40));
        // One by one it would be forty.
        assert!(transactions.load(Ordering::Relaxed) <= 10, "{transactions:?}");
    }

    #[tokio::test]
    async fn more_limits_than_one_transaction_takes_are_all_set() {
        let table = unused_table();
        open(&table).await;
        let ledger = open_over(&table, |_| Fault::None).await;
        let scope = |n: i64| Scope::Correlation(CorrelationId::new(format!("c{n}")).unwrap());
        ledger.limit((0..150).map(|n| (scope(n), Some(budget(n)))).collect()).await.unwrap();
        for n in [0, 99, 100, 149] {
            assert_eq!(ledger.balance(&scope(n), month()).await.unwrap().limit, Some(budget(n)));
        }
    }

    /// Between the index and the deletion someone forgets the hold and takes its id again.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_purge_forgets_no_hold_that_was_opened_again_under_the_same_id() {
        let table = unused_table();
        let ledger = open(&table).await;
        ledger.reserve(request(1), now()).await.unwrap();
        ledger.release(request(1).id, now()).await.unwrap();
        let (asks, asked) = std::sync::mpsc::channel();
        let (goes, go) = std::sync::mpsc::channel();
        let go = Mutex::new(go);
        let slow = open_over(&table, move |operation| {
            if matches!(operation, "DeleteItem" | "BatchWriteItem") {
                asks.send(()).unwrap();
                tokio::task::block_in_place(|| go.lock().unwrap().recv().unwrap());
            }
            Fault::None
        }).await;
        let later = now().saturating_add(std::time::Duration::from_hours(24 * 40));
        let purge = tokio::spawn(async move { slow.purge(month(), later, 10).await });
        tokio::task::block_in_place(|| asked.recv().unwrap());
        assert_eq!(ledger.purge(month(), later, 10).await.unwrap(), 1);
        ledger.reserve(request(1), now()).await.unwrap();
        goes.send(()).unwrap();
        assert_eq!(purge.await.unwrap().unwrap(), 0);
        assert_eq!(ledger.hold(request(1).id).await.unwrap().unwrap().state, HoldState::Held);
    }

    #[tokio::test]
    async fn a_purge_deletes_no_hold_whose_state_this_release_does_not_know() {
        use aws_sdk_dynamodb::types::AttributeValue;
        let table = unused_table();
        let ledger = open(&table).await;
        for n in [1, 2] {
            ledger.reserve(request(n), now()).await.unwrap();
            ledger.release(request(n).id, now()).await.unwrap();
        }
        let damage = client().update_item().table_name(&table).update_expression("SET #state = :state");
        let damage = damage.key("pk", AttributeValue::S(format!("H#{}", request(1).id)));
        let damage = damage.expression_attribute_names("#state", "state");
        damage.expression_attribute_values(":state", AttributeValue::N("9".into())).send().await.unwrap();
        let later = now().saturating_add(std::time::Duration::from_hours(24 * 40));
        assert_eq!(ledger.purge(month(), later, 10).await.unwrap(), 1);
        assert_eq!(ledger.hold(request(1).id).await.unwrap_err().kind(), Kind::Corrupt, "it is still there");
    }
}
