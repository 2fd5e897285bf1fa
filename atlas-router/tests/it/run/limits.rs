//! Calls at once and per minute, and budgets under many callers.

use super::*;
use crate::with;
use atlas_router::client::{Call, ClientError, Reply};
use atlas_router::run::{End, Kind, PassedOver, Rates};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Answers after a second and knows how many calls it has and had at once.
#[derive(Debug, Default)]
struct Busy {
    now: AtomicU64,
    most: AtomicU64,
    all: AtomicU64,
}

#[async_trait::async_trait]
impl LlmClient for Busy {
    async fn complete(&self, _: &Call) -> Result<Reply, ClientError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.all.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(Reply::new("hello", Some(TokenUsage { input: 8, output: 5, ..TokenUsage::default() })))
    }
}

/// So many requests at once; gives their ends, in order of time, and the client.
async fn at_once(count: usize, rates: Rates, limit: Option<Usd>) -> (Vec<Result<Duration, Kind>>, Arc<Busy>, Balance) {
    let (ledger, client) = (Arc::new(MemoryLedger::new(Stage::Dev)), Arc::new(Busy::default()));
    ledger.limit(vec![(tenant(), limit)]).await.unwrap();
    let router = builder(ledger.clone()).with_client("a", client.clone()).with_rates("a", rates).build().unwrap();
    let began = Instant::now();
    let only_a1 = with(request(), |request| request.task = Task::new("say hi").wanting("a1"));
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (router, request) = (router.clone(), only_a1.clone());
            tokio::spawn(async move {
                let end = router.run(&request, &CancellationToken::new()).await;
                end.map(|_| began.elapsed()).map_err(|error| error.kind())
            })
        })
        .collect();
    let mut ends = Vec::new();
    for task in tasks {
        ends.push(task.await.unwrap());
    }
    let balance = ledger.balance(&tenant(), Month::of(now())).await.unwrap();
    (ends, client, balance)
}

#[tokio::test(start_paused = true)]
async fn no_more_calls_are_out_at_once_than_allowed() {
    let (ends, client, _) = at_once(10, Rates::unlimited().with_concurrent(3), None).await;
    assert_eq!(client.most.load(Ordering::SeqCst), 3);
    assert_eq!(ends.iter().map(|end| end.unwrap()).max(), Some(Duration::from_secs(4)));
}

#[tokio::test(start_paused = true)]
async fn calls_over_the_rate_wait_in_turn() {
    let (ends, _, _) = at_once(4, Rates::unlimited().with_requests_per_minute(2), None).await;
    let seconds: Vec<u64> = ends.iter().map(|end| end.unwrap().as_secs()).collect();
    assert_eq!(seconds, [1, 1, 31, 61]);
    // A call is counted at its prompt and its cap: 108 tokens.
    let (ends, _, _) = at_once(3, Rates::unlimited().with_tokens_per_minute(216), None).await;
    let seconds: Vec<u64> = ends.iter().map(|end| end.unwrap().as_secs()).collect();
    assert_eq!(seconds, [1, 1, 31]);
}

#[tokio::test(start_paused = true)]
async fn a_large_call_is_not_overtaken_by_small_ones_for_ever() {
    let rates = Rates::unlimited().with_tokens_per_minute(216);
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let router = builder(ledger).with_client("a", Arc::new(Busy::default())).with_rates("a", rates).build().unwrap();
    let began = Instant::now();
    // The first takes all of a minute's tokens, the second waits for most of it, and a dozen small ones come after.
    let caps = std::iter::once(208).chain([200]).chain([1; 12]);
    let tasks: Vec<_> = caps
        .map(|cap| {
            let router = router.clone();
            let request = with(request(), |request| {
                (request.task, request.output_cap) = (Task::new("say hi").wanting("a1"), cap);
            });
            tokio::spawn(async move {
                router.run(&request, &CancellationToken::new()).await.unwrap();
                began.elapsed().as_secs()
            })
        })
        .collect();
    let mut seconds = Vec::new();
    for task in tasks {
        seconds.push(task.await.unwrap());
    }
    assert_eq!(seconds[..2], [1, 58]);
    assert!(seconds[2..].iter().all(|second| *second > 58), "{seconds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_rate_never_lets_through_is_passed_over_and_holds_nothing() {
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let rig = Rig::with(ledger, [], [ok()], |builder| {
        builder.with_rates("a", Rates::unlimited().with_tokens_per_minute(107))
    });
    let outcome = rig.run().await.unwrap();
    assert_eq!(outcome.model.as_str(), "b1");
    assert_eq!(outcome.attempts[0].end, End::PassedOver(PassedOver::OverRate));
    assert_eq!(rig.money().await, (Usd::ZERO, cost()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_its_turn_longer_than_it_may_gives_up_its_place() {
    let (ledger, client) = (Arc::new(MemoryLedger::new(Stage::Dev)), Arc::new(Busy::default()));
    let rates = Rates::unlimited().with_requests_per_minute(1);
    let router = builder(ledger).with_client("a", client.clone()).with_rates("a", rates).build().unwrap();
    let hurried = with(request(), |request| request.timeout = Duration::from_secs(5));
    router.run(&hurried, &CancellationToken::new()).await.unwrap();
    let error = router.run(&hurried, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.spent()), (Kind::Deadline, Usd::ZERO));
    tokio::time::advance(Duration::from_mins(1)).await;
    router.run(&hurried, &CancellationToken::new()).await.unwrap();
    assert_eq!(client.all.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_for_seven_calls_at_once_lets_seven_through_and_then_what_their_real_cost_leaves() {
    for concurrency in [1, 8, 64, 512] {
        let limit = Usd::from_nanos(7 * BOUND.as_nanos());
        let (ends, client, balance) = at_once(concurrency, Rates::unlimited(), Some(limit)).await;
        let through = ends.iter().filter(|end| end.is_ok()).count();
        assert_eq!(through, concurrency.min(7));
        assert!(ends.iter().filter_map(|end| end.err()).all(|kind| kind == Kind::Budget));
        assert_eq!(client.all.load(Ordering::SeqCst), through as u64);
        assert_eq!((balance.held, balance.settled), (Usd::ZERO, Usd::from_nanos(58 * i64::try_from(through).unwrap())));
    }
}
