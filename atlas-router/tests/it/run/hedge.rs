//! A second call beside a slow one: who is taken, and what both cost.

use super::ledgers::{Fate, Fated, Op};
use super::*;
use crate::with;
use atlas_router::call::{Fault, Hedge, Limits};
use atlas_router::run::{Charge, End, Kind, PassedOver};
use std::time::Duration;
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Hedged after a second; the first model is of `a`, the next as well.
fn rig(a: impl IntoIterator<Item = Turn>, hedge: Option<Hedge>, change: impl FnOnce(&mut Limits)) -> Rig {
    let limits = with(with(Limits::default(), |limits| limits.hedge = hedge), change);
    Rig::with(Arc::new(MemoryLedger::new(Stage::Dev)), a, [], |builder| builder.with_limits(limits))
}

const ON: Option<Hedge> = Some(Hedge::new(SECOND));

fn told(attempts: &[atlas_router::run::CallAttempt]) -> Vec<(&str, &End, Charge)> {
    attempts.iter().map(|one| (one.model.as_str(), &one.end, one.charge)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_slow_model_is_left_for_the_next_that_answers_and_both_are_told_and_counted() {
    let rig = rig([Turn::hang(), ok().after(SECOND)], ON, |_| {});
    let began = Instant::now();
    let outcome = rig.run().await.unwrap();
    assert_eq!((outcome.model.as_str(), began.elapsed()), ("a2", 2 * SECOND));
    let both = [("a1", &End::Cancelled, Charge::Open(BOUND)), ("a2", &End::Answered, Charge::Settled(cost()))];
    assert_eq!(told(&outcome.attempts), both);
    assert_eq!((outcome.spent(), rig.money().await), (BOUND.saturating_add(cost()), (BOUND, cost())));
    let holds: Vec<_> = outcome.attempts.iter().map(|one| one.hold.unwrap()).collect();
    assert_ne!(holds[0], holds[1], "each has a hold of its own");
    let later = now().saturating_add(Duration::from_hours(1));
    let open = rig.ledger.unreconciled(later, 10).await.unwrap();
    assert_eq!(open.iter().map(|hold| hold.id).collect::<Vec<_>>(), [holds[0]], "whoever reconciles finds the loser");
    assert!(
        rig.router.plan(&request()).unwrap().decision.situation.resting.is_empty(),
        "who was cancelled may be well"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_is_taken_if_it_is_answered_first_and_stands_last() {
    let rig = rig([ok().after(3 * SECOND), Turn::hang()], ON, |_| {});
    let outcome = rig.run().await.unwrap();
    assert_eq!(outcome.model.as_str(), "a1");
    let both = [("a2", &End::Cancelled, Charge::Open(BOUND)), ("a1", &End::Answered, Charge::Settled(cost()))];
    assert_eq!(told(&outcome.attempts), both);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_hedged_that_is_quick_or_unless_it_is_turned_on() {
    for (turn, hedge) in [(ok().after(Duration::from_millis(999)), ON), (ok().after(60 * SECOND), None)] {
        let rig = rig([turn, ok()], hedge, |_| {});
        let outcome = rig.run().await.unwrap();
        assert_eq!((outcome.attempts.len(), rig.called().len(), outcome.spent()), (1, 1, cost()));
    }
    assert_eq!(Limits::default().hedge, None);
}

#[tokio::test(start_paused = true)]
async fn the_same_model_can_be_asked_once_more() {
    let rig = rig([Turn::hang(), ok()], Some(Hedge::same(SECOND)), |_| {});
    let outcome = rig.run().await.unwrap();
    assert_eq!(rig.called(), ["a1".into(), "a1".into()]);
    assert_eq!((outcome.attempts.len(), rig.money().await), (2, (BOUND, cost())));
}

#[tokio::test(start_paused = true)]
async fn whichever_fails_the_other_is_waited_for_and_if_both_fail_the_plan_goes_on() {
    let broken = || Turn::status(503).after(2 * SECOND);
    let rig1 = rig([broken(), ok().after(5 * SECOND)], ON, |_| {});
    let outcome = rig1.run().await.unwrap();
    assert_eq!((outcome.model.as_str(), outcome.attempts.len(), outcome.spent()), ("a2", 2, cost()));
    let rig2 = rig([ok().after(5 * SECOND), Turn::status(503)], ON, |_| {});
    let outcome = rig2.run().await.unwrap();
    assert_eq!((outcome.model.as_str(), outcome.attempts.len(), outcome.spent()), ("a1", 2, cost()));
    let fails = Turn::fault(Fault::Garbled).after(2 * SECOND);
    let rig3 = rig([fails.clone(), fails], ON, |limits| limits.attempts = 3);
    let error = rig3.run().await.unwrap_err();
    assert_eq!(rig3.called(), ["a1".into(), "a2".into(), "b1".into()], "b1 has no script and is the last");
    assert_eq!((error.attempts().len(), rig3.money().await.0), (3, BOUND.saturating_add(BOUND)));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_without_room_is_not_made_and_the_first_goes_on() {
    let slow = || ok().after(3 * SECOND);
    // No attempt, no money of the request's, no room in a budget.
    let one = rig([slow(), ok()], ON, |limits| limits.attempts = 1);
    assert_eq!(one.run().await.unwrap().attempts.len(), 1);
    let most = BOUND.saturating_add(BOUND).checked_sub(Usd::from_nanos(1));
    let two = rig([slow(), ok()], ON, |limits| limits.max_spend = most);
    assert_eq!(two.run().await.unwrap().attempts.len(), 1);
    let three = rig([slow(), ok()], ON, |_| {});
    three.ledger.limit(vec![(tenant(), most)]).await.unwrap();
    let outcome = three.run().await.unwrap();
    assert_eq!((outcome.model.as_str(), three.called().len()), ("a1", 1));
    assert_eq!(outcome.attempts[0].end, End::PassedOver(PassedOver::Budget));
    assert_eq!(three.money().await, (Usd::ZERO, cost()));
}

#[tokio::test(start_paused = true)]
async fn cancelled_and_late_pairs_stay_counted_at_both_bounds() {
    let hang = || rig([Turn::hang(), Turn::hang()], ON, |_| {});
    let both = BOUND.saturating_add(BOUND);
    let rig = hang();
    let cancel = CancellationToken::new();
    let request = with(request(), |request| request.timeout = 10 * SECOND);
    let (end, ()) = tokio::join!(rig.router.run(&request, &cancel), async {
        tokio::time::sleep(3 * SECOND).await;
        cancel.cancel();
    });
    let error = end.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len(), error.spent()), (Kind::Cancelled, 2, both));
    let rig = hang();
    let error = rig.router.run(&request, &CancellationToken::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len(), rig.money().await), (Kind::Deadline, 2, (both, Usd::ZERO)));
    let rig = hang();
    assert!(tokio::time::timeout(3 * SECOND, rig.run()).await.is_err());
    settle_down().await;
    assert_eq!(rig.money().await, (both, Usd::ZERO), "dropped");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_answered_is_not_hedged_for_a_slow_ledger() {
    let slow = Fated::new([(Op::Settle, Fate::Slow(5 * SECOND))]);
    let limits = with(Limits::default(), |limits| limits.hedge = ON);
    let turns = [ok().after(Duration::from_millis(900)), ok()];
    let rig = Rig::with(Arc::new(slow), turns, [], |builder| builder.with_limits(limits));
    let outcome = rig.run().await.unwrap();
    assert_eq!((outcome.model.as_str(), outcome.attempts.len(), rig.called().len()), ("a1", 1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_slower_one_is_cancelled_by_the_reply_and_not_once_that_is_settled() {
    let slow = Fated::new([(Op::Settle, Fate::Slow(5 * SECOND))]);
    let limits = with(Limits::default(), |limits| limits.hedge = ON);
    let turns = [ok().after(4 * SECOND), ok().after(SECOND)];
    let rig = Rig::with(Arc::new(slow), turns, [], |builder| builder.with_limits(limits));
    let outcome = rig.run().await.unwrap();
    let both = [("a1", &End::Cancelled, Charge::Open(BOUND)), ("a2", &End::Answered, Charge::Settled(cost()))];
    assert_eq!(told(&outcome.attempts), both);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_model_takes_ends_whoever_says_so() {
    let refuses = || Turn::status(400).after(2 * SECOND);
    let one = rig([refuses(), Turn::hang()], ON, |_| {});
    let error = one.run().await.unwrap_err();
    assert_eq!((error.attempts().len(), one.called()), (2, vec!["a1".into(), "a2".into()]));
    assert_eq!(error.attempts()[0].end, End::Cancelled);
    let two = rig([Turn::status(503).after(5 * SECOND), Turn::status(400)], ON, |_| {});
    let error = two.run().await.unwrap_err();
    assert_eq!((error.attempts().len(), two.called()), (2, vec!["a1".into(), "a2".into()]));
}

#[tokio::test(start_paused = true)]
async fn a_hedge_that_was_never_sent_costs_the_first_model_no_try() {
    let rig = rig([Turn::status(503).after(3 * SECOND), ok()], ON, |_| {});
    let most = BOUND.saturating_add(BOUND).checked_sub(Usd::from_nanos(1));
    rig.ledger.limit(vec![(tenant(), most)]).await.unwrap();
    assert_eq!(rig.run().await.unwrap().model.as_str(), "a1");
    assert_eq!(rig.called(), ["a1".into(), "a1".into()]);
}
