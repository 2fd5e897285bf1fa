//! Where the money goes on each way out of a call.

use super::ledgers::{Fate, Fated, Op};
use super::*;
use crate::with;
use atlas_router::call::{Fault, GiveUp, Limits};
use atlas_router::client::Reply;
use atlas_router::ledger::{HoldId, HoldState, LedgerError, Reserve};
use atlas_router::run::{Charge, End, Kind, PassedOver, Rates};
use atlas_schema::ErrorCategory;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_in_time_stays_counted_and_is_listed_until_it_is_reconciled() {
    let rig = Rig::new([Turn::hang(), ok()], []);
    let outcome = rig.run().await.unwrap();
    assert_eq!(outcome.attempts[0].took, Duration::from_mins(2));
    assert_eq!(outcome.attempts[0].charge, Charge::Open(BOUND));
    assert_eq!(outcome.spent(), BOUND.saturating_add(cost()));
    assert_eq!(rig.money().await, (BOUND, cost()));
    let listed = rig.ledger.unreconciled(now().saturating_add(Duration::from_mins(3)), 10).await.unwrap();
    assert_eq!(listed.iter().map(|hold| hold.id).collect::<Vec<_>>(), [outcome.attempts[0].hold.unwrap()]);
    assert!(rig.ledger.unreconciled(now().saturating_add(Duration::from_mins(2)), 10).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_time_of_the_whole_request_ends_a_call_and_a_wait() {
    let rig = Rig::new([Turn::hang()], []);
    let hurried = with(request(), |request| request.timeout = Duration::from_secs(3));
    let began = Instant::now();
    let error = rig.router.run(&hurried, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.category(), began.elapsed()),
        (Kind::Deadline, ErrorCategory::Timeout, Duration::from_secs(3))
    );
    assert_eq!((error.spent(), rig.money().await), (BOUND, (BOUND, Usd::ZERO)));
    assert!(
        rig.router.plan(&request()).unwrap().decision.situation.resting.is_empty(),
        "our haste is no fault of a model"
    );
    let rig = Rig::new((0..2).map(|_| Turn::status(429).retry_after(Duration::from_secs(10))), [Turn::status(400)]);
    let error = rig.router.run(&hurried, &CancellationToken::new()).await.unwrap_err();
    assert_eq!(error.spent(), Usd::ZERO);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn limits_beyond_any_clock_are_no_limits() {
    let rig = Rig::new([Turn::status(503), ok().after(Duration::from_hours(1))], []);
    let patient = with(request(), |request| (request.timeout, request.call_timeout) = (Duration::MAX, Duration::MAX));
    rig.router.run(&patient, &CancellationToken::new()).await.unwrap();
    let rushed = with(request(), |request| request.timeout = Duration::ZERO);
    let error = rig.router.run(&rushed, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((error.category(), error.spent(), rig.called().len()), (ErrorCategory::Timeout, Usd::ZERO, 2));
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_a_call_at_once_and_keeps_its_money_counted() {
    let rig = Rig::new([Turn::hang()], []);
    let cancel = CancellationToken::new();
    let (later, began) = (cancel.clone(), Instant::now());
    let request = request();
    let run = rig.router.run(&request, &cancel).await_with(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        later.cancel();
    });
    let error = run.await.unwrap_err();
    assert_eq!(
        (error.kind(), error.category(), began.elapsed()),
        (Kind::Cancelled, ErrorCategory::Cancelled, Duration::from_secs(1))
    );
    assert_eq!(error.attempts()[0].end, End::Cancelled);
    assert_eq!(rig.money().await, (BOUND, Usd::ZERO));
}

#[tokio::test(start_paused = true)]
async fn cancelling_a_wait_or_before_the_start_holds_nothing() {
    let rig = Rig::new([Turn::status(429).retry_after(Duration::from_secs(10))], []);
    let cancel = CancellationToken::new();
    let later = cancel.clone();
    let error = rig
        .router
        .run(&request(), &cancel)
        .await_with(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            later.cancel();
        })
        .await
        .unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (Kind::Cancelled, 1));
    assert_eq!(rig.router.run(&request(), &cancel).await.unwrap_err().kind(), Kind::Cancelled);
    assert_eq!((rig.called().len(), rig.money().await), (1, (Usd::ZERO, Usd::ZERO)));
}

/// Drops a run of a router over that ledger after a second and says what is held and settled at last.
async fn dropped(fates: &[(Op, Fate)], turn: Turn) -> ((Usd, Usd), usize) {
    let ledger = Fated::new(fates.iter().copied());
    let rig = Rig::with(Arc::new(ledger), [turn], [], |builder| builder);
    tokio::time::timeout(Duration::from_secs(1), rig.run()).await.unwrap_err();
    settle_down().await;
    (rig.money().await, rig.called().len())
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_gives_back_what_did_not_leave() {
    let slow = Fate::Slow(Duration::from_secs(2));
    for fates in [[(Op::Reserve, Fate::Never)], [(Op::Send, Fate::Never)], [(Op::Send, slow)]] {
        assert_eq!(dropped(&fates, ok()).await, ((Usd::ZERO, Usd::ZERO), 0), "{fates:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_did_not_leave_is_given_back_though_the_ledger_is_busy_for_its_whole_patience() {
    // The waits between ten tries last 51 s: longer than an SQLite file waits for others.
    for op in [Op::Release, Op::Settle] {
        let fates = [(Op::Send, Fate::Late)].into_iter().chain(std::iter::repeat_n((op, Fate::Lost), 10));
        let rig = Rig::with(Arc::new(Fated::new(fates)), [ok()], [], |builder| builder);
        rig.run().await.unwrap_err();
        tokio::time::sleep(Duration::from_mins(2)).await;
        assert_eq!((rig.called().len(), rig.money().await), (0, (Usd::ZERO, Usd::ZERO)), "{op:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_keeps_counted_what_left() {
    assert_eq!(dropped(&[], Turn::hang()).await, ((BOUND, Usd::ZERO), 1));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_future_settles_what_is_known() {
    for fates in [[(Op::Settle, Fate::Never)], [(Op::Settle, Fate::Slow(Duration::from_secs(2)))]] {
        assert_eq!(dropped(&fates, ok()).await, ((Usd::ZERO, cost()), 1), "{fates:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_without_the_ledger() {
    for (fate, retried) in [
        ((Op::Reserve, Fate::Lost), 0),
        ((Op::Reserve, Fate::Late), 0),
        ((Op::Send, Fate::Lost), 0),
        ((Op::Send, Fate::Late), 0),
    ] {
        let rig = Rig::with(Arc::new(Fated::new([fate])), [ok()], [], |builder| builder);
        let error = rig.run().await.unwrap_err();
        assert_eq!((error.kind(), error.category()), (Kind::Ledger, ErrorCategory::Storage), "{fate:?}");
        assert!(error.is_retryable() && std::error::Error::source(&error).is_some());
        assert_eq!(rig.called().len(), retried);
        settle_down().await;
        assert_eq!(rig.money().await, (Usd::ZERO, Usd::ZERO), "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_ledger_did_not_even_take_on_is_not_given_back() {
    for (fate, released) in [(Fate::Lost, true), (Fate::Refused, false)] {
        let ledger = Arc::new(Fated::new([(Op::Reserve, fate)]));
        let rig = Rig::with(ledger.clone(), [ok()], [], |builder| builder);
        let error = rig.run().await.unwrap_err();
        assert!(error.kind() == Kind::Ledger && error.is_retryable(), "{fate:?}");
        settle_down().await;
        assert_eq!(ledger.releases.load(Ordering::Relaxed) > 0, released, "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_ledger_takes_nothing_from_the_time_of_a_call() {
    let ledger = Fated::new([(Op::Send, Fate::Slow(Duration::from_secs(2)))]);
    let rig = Rig::with(Arc::new(ledger), [ok().after(Duration::from_millis(500))], [], |builder| builder);
    let quick = with(request(), |request| request.call_timeout = Duration::from_secs(1));
    let outcome = rig.router.run(&quick, &CancellationToken::new()).await.unwrap();
    assert_eq!((outcome.attempts.len(), outcome.spent()), (1, cost()));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_does_not_answer_is_waited_for_no_longer_than_the_request_may_take() {
    let slow = Fate::Slow(Duration::from_secs(5));
    for fate in [(Op::Reserve, Fate::Never), (Op::Reserve, slow), (Op::Send, Fate::Never), (Op::Send, slow)] {
        for (kind, seconds) in [(Kind::Deadline, 3), (Kind::Cancelled, 1)] {
            let rig = Rig::with(Arc::new(Fated::new([fate])), [ok()], [], |builder| builder);
            let hurried = with(request(), |request| request.timeout = Duration::from_secs(3));
            let (cancel, began) = (CancellationToken::new(), Instant::now());
            let run = rig.router.run(&hurried, &cancel).await_with(async {
                if kind == Kind::Cancelled {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    cancel.cancel();
                }
            });
            let error = run.await.unwrap_err();
            assert_eq!((error.kind(), began.elapsed()), (kind, Duration::from_secs(seconds)), "{fate:?}");
            settle_down().await;
            assert_eq!((rig.called().len(), rig.money().await), (0, (Usd::ZERO, Usd::ZERO)), "{fate:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_time_is_over_once_its_hold_is_marked_never_leaves_and_costs_nothing() {
    let just = [(Op::Send, Fate::Slow(Duration::from_secs(3)))];
    for (fates, timeout, call_timeout) in [(&just[..], 3, 2), (&[], 3, 0)] {
        let rig = Rig::with(Arc::new(Fated::new(fates.iter().copied())), [ok()], [], |builder| builder);
        let hurried = with(request(), |request| {
            request.timeout = Duration::from_secs(timeout);
            request.call_timeout = Duration::from_secs(call_timeout);
        });
        let error = rig.router.run(&hurried, &CancellationToken::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.spent()), (Kind::Deadline, Usd::ZERO));
        settle_down().await;
        assert_eq!((rig.called().len(), rig.money().await), (0, (Usd::ZERO, Usd::ZERO)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_settlement_whose_answer_is_lost_is_repeated_and_counted_once() {
    for fate in [Fate::Lost, Fate::Late, Fate::Never] {
        let ledger = Fated::new([(Op::Settle, fate), (Op::Settle, fate)]);
        let rig = Rig::with(Arc::new(ledger.clone()), [ok()], [], |builder| builder);
        let outcome = rig.run().await.unwrap();
        assert_eq!(outcome.spent(), cost());
        assert_eq!(rig.money().await, (Usd::ZERO, cost()), "{fate:?}");
        let settlements = ledger.settlements.lock().unwrap().clone();
        assert!(settlements.iter().all(|one| *one == settlements[0]));
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_kept_though_its_settlement_fails_and_its_money_stays_counted() {
    let rig = Rig::with(Arc::new(Fated::new([(Op::Settle, Fate::Lost); 20])), [ok()], [], |builder| builder);
    let outcome = rig.run().await.unwrap();
    assert_eq!((outcome.reply.text.as_str(), outcome.attempts[0].charge), ("hello", Charge::Open(BOUND)));
    settle_down().await;
    assert_eq!(rig.money().await, (BOUND, Usd::ZERO));
    let hold = rig.ledger.hold(outcome.attempts[0].hold.unwrap()).await.unwrap().unwrap();
    assert_eq!(hold.state, HoldState::Sent);
}

#[tokio::test(start_paused = true)]
async fn usage_decides_the_cost_of_failures_too_and_silence_costs_the_bound() {
    let billed = TokenUsage { input: 8, output: 5, ..TokenUsage::default() };
    let rig = Rig::new([Turn::fault(Fault::Garbled).billing(billed), Turn::reply(Reply::new("hello", None))], []);
    let outcome = rig.run().await.unwrap();
    assert_eq!(outcome.attempts[0].charge, Charge::Settled(cost()));
    assert_eq!(outcome.attempts[1].charge, Charge::Settled(BOUND));
    assert_eq!(rig.money().await, (Usd::ZERO, BOUND.saturating_add(cost())));
}

#[tokio::test(start_paused = true)]
async fn usage_that_no_call_can_have_stays_open_at_the_bound_and_uses_up_no_budget() {
    let searched = TokenUsage { input: 8, output: 5, web_searches: 1, ..TokenUsage::default() };
    let of = |input, output| TokenUsage { input, output, ..TokenUsage::default() };
    for usage in [of(8, 101), of(1001, 5), of(u64::MAX, u64::MAX), searched] {
        for turn in [Turn::reply(Reply::new("hello", Some(usage))), Turn::status(400).billing(usage)] {
            let rig = Rig::new([turn], []);
            let attempts = match rig.run().await {
                Ok(outcome) => outcome.attempts,
                Err(error) => error.attempts().to_vec(),
            };
            assert_eq!((attempts[0].charge, attempts[0].usage), (Charge::Open(BOUND), Some(usage)));
            assert_eq!(rig.money().await, (BOUND, Usd::ZERO));
            let listed = rig.ledger.unreconciled(now().saturating_add(Duration::from_mins(3)), 10).await.unwrap();
            assert_eq!(listed.len(), 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cost_over_its_bound_is_counted_in_full_and_marked() {
    let dear = Rig::new([Turn::text("hello", 1000, 100), ok()], []);
    let outcome = dear.run().await.unwrap();
    let cost = Usd::from_nanos(2000);
    assert_eq!((outcome.attempts[0].charge, outcome.attempts[0].is_over_bound()), (Charge::Settled(cost), true));
    let record = outcome.attempts[0].to_record(atlas_schema::StrategyName::direct());
    assert_eq!(record.reason.as_deref(), Some("it cost more than its bound of $0.000001008"));
    assert_eq!(dear.money().await, (Usd::ZERO, cost));
    assert!(!dear.run().await.unwrap().attempts[0].is_over_bound());
}

#[tokio::test(start_paused = true)]
async fn no_try_is_begun_that_could_pass_what_the_request_may_spend() {
    let rig = Rig::new([Turn::fault(Fault::Broken), Turn::fault(Fault::Broken), ok()], [ok()]);
    let thrifty = with(request(), |request| request.max_spend = Some(Usd::from_nanos(2 * BOUND.as_nanos() + 1007)));
    let error = rig.router.run(&thrifty, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((error.category(), error.spent()), (ErrorCategory::Budget, Usd::from_nanos(2 * BOUND.as_nanos())));
    assert_eq!(rig.called().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_budget_without_room_stops_everything_before_it_leaves() {
    let rig = Rig::new([ok()], [ok()]);
    rig.ledger.limit(vec![(tenant(), Some(Usd::from_nanos(1007)))]).await.unwrap();
    let error = rig.run().await.unwrap_err();
    assert_eq!((error.kind(), error.category()), (Kind::Budget, ErrorCategory::Budget));
    assert!(error.attempts().iter().all(|attempt| attempt.end == End::PassedOver(PassedOver::Budget)));
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<LedgerError>());
    assert_eq!(source.and_then(LedgerError::exceeded).unwrap().scope, tenant());
    assert_eq!((rig.called().len(), rig.money().await), (0, (Usd::ZERO, Usd::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn a_budget_without_room_is_told_though_another_model_was_passed_over_for_another_reason() {
    let rates = |builder: RouterBuilder| builder.with_rates("b", Rates::unlimited().with_tokens_per_minute(1));
    let rig = Rig::with(Arc::new(MemoryLedger::new(Stage::Dev)), [], [], rates);
    rig.ledger.limit(vec![(tenant(), Some(Usd::from_nanos(1007)))]).await.unwrap();
    let error = rig.run().await.unwrap_err();
    assert_eq!((error.kind(), error.category(), error.attempts().len()), (Kind::Budget, ErrorCategory::Budget, 3));
    // What was called and failed is the reason where there is one.
    let rig = Rig::new([Turn::fault(Fault::Broken).billing(TokenUsage::default())], []);
    rig.ledger.limit(vec![(tenant(), Some(Usd::from_nanos(1008)))]).await.unwrap();
    let other = Reserve::new(HoldId::from_bytes([1; 16]), vec![tenant()], Usd::from_nanos(1), "m".into());
    let rival = Arc::clone(&rig.ledger);
    let request = request();
    let cancel = CancellationToken::new();
    let run = rig.router.run(&request, &cancel).await_with(async move {
        tokio::time::sleep(Duration::from_nanos(1)).await;
        rival.reserve(other, now()).await.unwrap();
    });
    let error = run.await.unwrap_err();
    assert_eq!((error.kind(), error.category()), (Kind::Stopped(GiveUp::Models), ErrorCategory::Network));
}

#[tokio::test(start_paused = true)]
async fn a_request_may_spend_no_more_than_the_router_allows() {
    let limits = with(Limits::default(), |limits| limits.max_spend = Some(Usd::from_nanos(1007)));
    let rig = Rig::with(Arc::new(MemoryLedger::new(Stage::Dev)), [ok()], [], |builder| builder.with_limits(limits));
    for may in [None, Some(Usd::MAX), Some(BOUND)] {
        let request = with(request(), |request| request.max_spend = may);
        let error = rig.router.run(&request, &CancellationToken::new()).await.unwrap_err();
        assert_eq!((error.kind(), rig.called().len()), (Kind::Stopped(GiveUp::Spend), 0), "{may:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn alerts_of_the_budget_are_handed_on_once() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let rig = Rig::with(Arc::new(MemoryLedger::new(Stage::Dev)), [ok(), ok()], [], |builder| {
        builder.with_alerts(move |alert| sink.lock().unwrap().push(alert.key))
    });
    rig.ledger.limit(vec![(tenant(), Some(Usd::from_nanos(1200)))]).await.unwrap();
    rig.run().await.unwrap();
    rig.run().await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["budget/tenant/acme/2026-11/80"]);
}

/// Runs something beside a future.
trait Beside: Future + Sized {
    async fn await_with(self, other: impl Future<Output = ()>) -> Self::Output {
        let (mut this, mut other, mut done) = (std::pin::pin!(self), std::pin::pin!(other), false);
        loop {
            tokio::select! {
                value = &mut this => return value,
                () = &mut other, if !done => done = true,
            }
        }
    }
}

impl<F: Future> Beside for F {}
