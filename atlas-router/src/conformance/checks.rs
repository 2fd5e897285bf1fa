//! The checks, one per promise.

use super::bench::{Bench, id, kind, mills, unique};
use crate::catalogue::ModelId;
use crate::ledger::{BudgetLedger, GroupBy, HoldState, Kind, Month, Reserve, Reserved, Scope};
use atlas_schema::{Alert, AlertKind, CorrelationId, Stage, StrategyName, Timestamp, Usd};
use std::sync::Arc;
use std::time::Duration;

/// **Hard**, one by one, to the nano-dollar.
pub async fn a_limit_is_never_passed_by_reservations(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    bench.held(mills(7)).await;
    let error = bench.reserve(Usd::from_nanos(3_000_001)).await.expect_err("no room");
    let exceeded = error.exceeded().expect("the scope").clone();
    assert_eq!((error.kind(), exceeded.scope, exceeded.limit), (Kind::Exceeded, bench.tenant.clone(), mills(10)));
    assert_eq!((exceeded.used, exceeded.asked), (mills(7), Usd::from_nanos(3_000_001)));
    bench.held(mills(3)).await;
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
    bench.held(Usd::ZERO).await;
    assert_eq!(bench.used().await, (mills(10), Usd::ZERO));
}

/// **Hard**, at once: exactly as many get in as have room.
pub async fn a_limit_is_never_passed_by_many_callers_at_once(ledger: Arc<dyn BudgetLedger>) {
    let bench = Arc::new(Bench::with_limit(ledger, mills(47)).await);
    let runtime = tokio::runtime::Handle::current();
    let mut calls = Vec::new();
    for _ in 0..100 {
        let (bench, runtime) = (Arc::clone(&bench), runtime.clone());
        // Threads of their own, so that they are at once where the ledger lets them be.
        calls.push(tokio::task::spawn_blocking(move || runtime.block_on(spend_a_thousandth(&bench))));
    }
    let (mut admitted, mut alerts) = (0, Vec::new());
    for call in calls {
        if let Some(raised) = call.await.expect("a call") {
            admitted += 1;
            alerts.extend(raised.into_iter().map(|alert| alert.key));
        }
    }
    assert_eq!(admitted, 47);
    alerts.sort_unstable();
    let key = |percent| format!("budget/{}/{}/{percent}", bench.tenant, Month::of(bench.now));
    assert_eq!(alerts, [key(80), key(95)], "whoever passes a threshold, it is told once");
    assert_eq!(bench.used().await, (Usd::ZERO, mills(47)));
}

/// The alerts that it raised, if it was let in.
async fn spend_a_thousandth(bench: &Bench) -> Option<Vec<Alert>> {
    match bench.reserve(mills(1)).await {
        Ok(reserved) => {
            let mut alerts = reserved.alerts;
            bench.ledger.send(reserved.hold.id, bench.now).await.expect("a hold");
            let hold = reserved.hold.id;
            alerts.extend(bench.ledger.settle(hold, mills(1), bench.now).await.expect("a settlement"));
            Some(alerts)
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::Exceeded, "{error}");
            None
        }
    }
}

/// **Whole**.
pub async fn a_hold_counts_in_all_its_scopes_or_in_none(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    bench.limit(&bench.job, Some(mills(5))).await;
    let month = Month::of(bench.now);
    bench.held(mills(4)).await;
    let error = bench.reserve(mills(2)).await.expect_err("no room in the job");
    assert_eq!(error.exceeded().expect("a scope").scope, bench.job);
    assert_eq!(bench.used().await.0, mills(4), "nothing stays of a refused hold");
    assert_eq!(bench.ledger.balance(&bench.job, month).await.expect("a balance").held, mills(4));
}

/// **Whole**: repeating a call is safe.
pub async fn the_same_reservation_again_takes_nothing_more(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let request = bench.request(mills(6));
    let first = bench.ledger.reserve(request.clone(), bench.now).await.expect("room").hold;
    let again = bench.ledger.reserve(request.clone(), bench.later()).await.expect("the same hold").hold;
    assert_eq!(again, first);
    assert_eq!(bench.used().await.0, mills(6));
    bench.ledger.send(first.id, bench.now).await.expect("a hold");
    bench.ledger.send(first.id, bench.now).await.expect("again is no change");
    bench.ledger.settle(first.id, mills(5), bench.now).await.expect("a settlement");
    let settled = bench.ledger.reserve(request, bench.now).await.expect("the same hold").hold;
    assert_eq!((settled.state, settled.cost), (HoldState::Settled, mills(5)));
}

/// **Whole**: an id is one reservation's.
pub async fn an_id_of_another_reservation_is_a_conflict(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::new(ledger);
    let request = bench.request(mills(6));
    bench.ledger.reserve(request.clone(), bench.now).await.expect("room");
    let changes: [fn(&mut Reserve); 6] = [
        |other| other.amount = mills(7),
        |other| other.scopes.truncate(1),
        |other| other.model = ModelId::new("other"),
        |other| other.expires_in += Duration::from_secs(1),
        |other| other.strategy = StrategyName::new("plan").ok(),
        |other| other.correlation_id = CorrelationId::new("other").ok(),
    ];
    for change in changes {
        let mut other = request.clone();
        change(&mut other);
        assert_ne!(other, request);
        assert_eq!(kind(bench.ledger.reserve(other, bench.now).await), Kind::Conflict);
    }
    assert_eq!(bench.used().await, (mills(6), Usd::ZERO));
}

/// Settlement.
pub async fn a_settlement_puts_the_cost_in_the_place_of_the_hold(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.sent(mills(10)).await;
    assert_eq!(bench.used().await, (mills(10), Usd::ZERO));
    bench.ledger.settle(hold, mills(3), bench.now).await.expect("a settlement");
    assert_eq!(bench.used().await, (Usd::ZERO, mills(3)));
    let stored = bench.ledger.hold(hold).await.expect("an answer").expect("a hold");
    assert_eq!((stored.state, stored.cost, stored.amount), (HoldState::Settled, mills(3), mills(10)));
    bench.held(mills(7)).await;
    assert_eq!(kind(bench.ledger.settle(id(), mills(1), bench.now).await), Kind::NotFound);
    assert!(bench.ledger.hold(id()).await.expect("an answer").is_none());
}

/// **Whole**: a settlement counts once.
pub async fn a_settlement_counts_once_and_another_one_is_a_conflict(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::new(ledger);
    let hold = bench.sent(mills(10)).await;
    for _ in 0..2 {
        bench.ledger.settle(hold, mills(3), bench.now).await.expect("again is no change");
    }
    assert_eq!(kind(bench.ledger.settle(hold, mills(4), bench.now).await), Kind::Conflict);
    assert_eq!(kind(bench.ledger.send(hold, bench.now).await), Kind::NotHeld);
    assert_eq!(bench.used().await, (Usd::ZERO, mills(3)));
}

/// **Hard**: what was spent is never hidden.
pub async fn a_cost_over_its_hold_is_counted_in_full(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.sent(mills(2)).await;
    bench.ledger.settle(hold, mills(12), bench.now).await.expect("a settlement");
    assert_eq!(bench.used().await, (Usd::ZERO, mills(12)));
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
}

/// Release.
pub async fn a_release_gives_back_what_was_not_sent(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.held(mills(10)).await;
    for _ in 0..2 {
        bench.ledger.release(hold, bench.now).await.expect("again is no change");
    }
    assert_eq!(bench.used().await, (Usd::ZERO, Usd::ZERO));
    assert_eq!(kind(bench.ledger.send(hold, bench.now).await), Kind::NotHeld);
    assert_eq!(kind(bench.ledger.release(id(), bench.now).await), Kind::NotFound);
}

/// A sent hold stays counted.
pub async fn a_sent_hold_is_not_released(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.sent(mills(10)).await;
    assert_eq!(kind(bench.ledger.release(hold, bench.now).await), Kind::NotHeld);
    assert_eq!(bench.used().await, (mills(10), Usd::ZERO));
    bench.ledger.settle(hold, Usd::ZERO, bench.now).await.expect("a settlement");
}

/// Expiry. One check, since a sweep refunds what has expired in every scope: two at once would sweep each other's holds.
pub async fn expired_holds_are_refunded_unless_they_were_sent(ledger: Arc<dyn BudgetLedger>) {
    unsent_holds_are_refunded_and_then_not_sent(Arc::clone(&ledger)).await;
    unsent_holds_make_room_without_a_sweep(Arc::clone(&ledger)).await;
    sent_holds_are_not_refunded(ledger).await;
}

/// To the millisecond.
async fn unsent_holds_are_refunded_and_then_not_sent(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.held_briefly(mills(10)).await;
    let before = Timestamp::from_millis(bench.soon().as_millis() - 1).expect("a time");
    while bench.ledger.sweep(before, 1000).await.expect("a sweep") > 0 {}
    assert_eq!(bench.used().await.0, mills(10), "not a moment early");
    while bench.ledger.sweep(bench.soon(), 1000).await.expect("a sweep") > 0 {}
    assert_eq!(bench.used().await, (Usd::ZERO, Usd::ZERO));
    assert_eq!(kind(bench.ledger.send(hold, bench.soon()).await), Kind::NotHeld);
}

/// Dead callers' money comes back by itself.
async fn unsent_holds_make_room_without_a_sweep(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    bench.held_briefly(mills(10)).await;
    assert_eq!(kind(bench.reserve(mills(1)).await), Kind::Exceeded);
    bench.ledger.reserve(bench.request(mills(10)), bench.soon()).await.expect("the dead one's room");
}

async fn sent_holds_are_not_refunded(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.held_briefly(mills(10)).await;
    bench.ledger.send(hold, bench.now).await.expect("a hold to send");
    while bench.ledger.sweep(bench.soon(), 1000).await.expect("a sweep") > 0 {}
    assert_eq!(bench.used().await, (mills(10), Usd::ZERO));
    let more = bench.ledger.reserve(bench.request(Usd::from_nanos(1)), bench.soon()).await;
    assert_eq!(kind(more), Kind::Exceeded);
    // Left open, it would stand in the way of later runs: what waits to be reconciled is listed oldest first.
    bench.ledger.settle(hold, Usd::ZERO, bench.soon()).await.expect("a settlement");
}

/// **Hard**: a cost that comes late is still a cost.
pub async fn a_late_cost_of_a_refunded_hold_still_counts(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.held(mills(10)).await;
    bench.ledger.release(hold, bench.now).await.expect("a release");
    bench.ledger.settle(hold, mills(4), bench.now).await.expect("a settlement");
    assert_eq!(bench.used().await, (Usd::ZERO, mills(4)));
}

/// Reconciliation.
pub async fn sent_holds_past_their_time_are_listed_until_they_are_settled(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::new(ledger);
    let (sent, unsent) = (bench.sent(mills(2)).await, bench.held(mills(1)).await);
    let listed = async |at| {
        let holds = bench.ledger.unreconciled(at, 1000).await.expect("a list");
        (holds.iter().any(|hold| hold.id == sent), holds.iter().any(|hold| hold.id == unsent))
    };
    assert_eq!(listed(bench.now).await, (false, false));
    assert_eq!(listed(bench.later()).await, (true, false));
    bench.ledger.settle(sent, mills(1), bench.later()).await.expect("a settlement");
    assert_eq!(listed(bench.later()).await, (false, false));
}

/// Limits at their ends.
pub async fn a_limit_of_zero_lets_nothing_in_and_no_limit_everything(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, Usd::ZERO).await;
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
    let other = Stage::ALL.into_iter().find(|stage| *stage != bench.ledger.stage()).expect("another stage");
    for (scope, limit, expected) in [
        (bench.tenant.clone(), Usd::from_nanos(-1), Kind::InvalidInput),
        (Scope::Stage(other), Usd::ZERO, Kind::WrongStage),
    ] {
        let limits = vec![(bench.tenant.clone(), None), (scope, Some(limit))];
        assert_eq!(bench.ledger.limit(limits).await.expect_err("refused").kind(), expected);
        assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded, "none was set");
    }
    bench.limit(&bench.tenant, None).await;
    bench.held(Usd::MAX).await;
    // Past the range of money nothing has room, even without a limit that is lower.
    bench.limit(&bench.tenant, Some(Usd::MAX)).await;
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
}

/// Limits in the middle of a month.
pub async fn a_lowered_limit_takes_nothing_back_and_lets_nothing_in(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.sent(mills(8)).await;
    bench.limit(&bench.tenant, Some(mills(5))).await;
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
    bench.ledger.settle(hold, mills(4), bench.now).await.expect("a settlement");
    bench.held(mills(1)).await;
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
}

/// Alerts at 80 and 95 percent.
pub async fn alerts_come_once_per_threshold_scope_and_month(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(100)).await;
    let percents = |reserved: Reserved| -> Vec<(u8, Usd)> {
        let of = |alert: &atlas_schema::Alert| match alert.kind {
            AlertKind::Budget { percent, used, .. } => (percent, used),
            _ => panic!("an alert of another kind"),
        };
        reserved.alerts.iter().map(of).collect()
    };
    let reserve = async |amount| percents(bench.reserve(amount).await.expect("room"));
    assert_eq!(reserve(Usd::from_nanos(79_999_999)).await, []);
    assert_eq!(reserve(Usd::from_nanos(1)).await, [(80, mills(80))]);
    assert_eq!(reserve(mills(10)).await, []);
    let hold = bench.reserve(mills(5)).await.expect("room");
    let alert = hold.alerts[0].clone();
    assert_eq!(alert.key, format!("budget/{}/{}/95", bench.tenant, Month::of(bench.now)));
    assert_eq!(percents(hold), [(95, mills(95))]);
    assert_eq!(reserve(mills(5)).await, []);
    let fresh = Bench::with_limit(Arc::clone(&bench.ledger), mills(100)).await;
    let both = fresh.reserve(mills(96)).await.expect("room");
    let repeated = fresh.request(mills(1));
    let once = fresh.ledger.reserve(repeated.clone(), fresh.now).await.expect("room");
    assert_eq!(percents(both), [(80, mills(96)), (95, mills(96))]);
    assert_eq!(once.alerts, []);
    // A caller that repeats a call may not have heard the first answer.
    let again = fresh.ledger.reserve(repeated, fresh.now).await.expect("the same hold");
    assert_eq!(percents(again), [(80, mills(97)), (95, mills(97))]);
    // A settlement over its hold can pass a threshold as well.
    let over = Bench::with_limit(Arc::clone(&bench.ledger), mills(100)).await;
    let hold = over.sent(mills(1)).await;
    let alerts = over.ledger.settle(hold, mills(90), over.now).await.expect("a settlement");
    assert_eq!(alerts.len(), 1);
    let again = over.ledger.settle(hold, mills(90), over.now).await.expect("the same settlement");
    assert_eq!(again, alerts, "a repeated settlement tells them again");
}

/// Months.
pub async fn a_new_month_begins_at_nothing(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::with_limit(ledger, mills(10)).await;
    let hold = bench.sent(mills(10)).await;
    let next = bench.now.saturating_add(Duration::from_hours(24 * 31));
    let reserved = bench.ledger.reserve(bench.request(mills(10)), next).await.expect("a month's whole limit");
    assert_eq!(reserved.hold.month, Month::of(next));
    assert_eq!(reserved.alerts.len(), 2, "a new month has alerts of its own");
    bench.ledger.settle(hold, Usd::ZERO, bench.now).await.expect("a settlement");
}

/// Months, at midnight.
pub async fn a_hold_counts_in_the_month_of_its_reservation(ledger: Arc<dyn BudgetLedger>) {
    let mut bench = Bench::with_limit(ledger, mills(10)).await;
    // 2026-11-30T23:59:59.999Z.
    bench.now = Timestamp::from_millis(1_796_083_199_999).expect("a time");
    let hold = bench.sent(mills(10)).await;
    let after = bench.now.saturating_add(Duration::from_millis(1));
    assert_eq!((Month::of(bench.now).to_string(), Month::of(after).to_string()), ("2026-11".into(), "2026-12".into()));
    bench.ledger.settle(hold, mills(9), after).await.expect("a settlement");
    assert_eq!(bench.used().await, (Usd::ZERO, mills(9)));
    let december = bench.ledger.balance(&bench.tenant, Month::of(after)).await.expect("a balance");
    assert_eq!((december.held, december.settled), (Usd::ZERO, Usd::ZERO));
}

/// Bad input.
pub async fn malformed_requests_are_refused(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::new(ledger);
    let refused = async |change: &dyn Fn(&mut Reserve)| {
        let mut request = bench.request(mills(1));
        change(&mut request);
        kind(bench.ledger.reserve(request, bench.now).await)
    };
    assert_eq!(refused(&|request| request.scopes.clear()).await, Kind::InvalidInput);
    assert_eq!(refused(&|request| request.scopes = vec![request.scopes[0].clone(); 2]).await, Kind::InvalidInput);
    assert_eq!(refused(&|request| request.amount = Usd::from_nanos(-1)).await, Kind::InvalidInput);
    assert_eq!(refused(&|request| request.expires_in = Duration::ZERO).await, Kind::InvalidInput);
    assert_eq!(refused(&|request| request.expires_in = Duration::MAX).await, Kind::InvalidInput);
    let other = atlas_schema::Stage::ALL.into_iter().find(|stage| *stage != bench.ledger.stage()).expect("a stage");
    assert_eq!(refused(&|request| request.scopes.push(Scope::Stage(other))).await, Kind::WrongStage);
    let hold = bench.held(mills(1)).await;
    assert_eq!(kind(bench.ledger.settle(hold, Usd::from_nanos(-1), bench.now).await), Kind::InvalidInput);
}

/// Reports.
pub async fn reports_add_up_by_request_model_strategy_and_day(ledger: Arc<dyn BudgetLedger>) {
    let mut bench = Bench::new(ledger);
    // A month that no other check uses.
    let far = i64::from(u32::from_be_bytes(*unique().last_chunk().expect("bytes")) % 60_000);
    bench.now = Timestamp::from_millis(2_000_000_000_000 + far * 86_400_000 * 31).expect("a time");
    let name = bench.tenant.to_string().replace("tenant/", "");
    let correlation = CorrelationId::new(&name).expect("an id");
    let mut request = bench.request(mills(5));
    request.model = ModelId::new("model-a");
    request.strategy = Some(StrategyName::new("plan").expect("a name"));
    request.correlation_id = Some(correlation);
    let hold = bench.ledger.reserve(request, bench.now).await.expect("room").hold.id;
    bench.ledger.send(hold, bench.now).await.expect("a hold");
    bench.ledger.settle(hold, mills(3), bench.now).await.expect("a settlement");
    bench.held(mills(2)).await;
    let line = async |by, name: &str| {
        let lines = bench.ledger.report(Month::of(bench.now), by).await.expect("a report");
        assert!(lines.is_sorted_by(|one, two| one.name < two.name));
        let line = lines.into_iter().find(|line| line.name == name).expect("a line");
        (line.calls, line.settled, line.held)
    };
    assert_eq!(line(GroupBy::CorrelationId, &name).await, (1, mills(3), Usd::ZERO));
    assert_eq!(line(GroupBy::Model, "model-a").await, (1, mills(3), Usd::ZERO));
    assert_eq!(line(GroupBy::Model, "m").await, (0, Usd::ZERO, mills(2)));
    assert_eq!(line(GroupBy::Strategy, "plan").await, (1, mills(3), Usd::ZERO));
    let day = crate::catalogue::Day::of(bench.now).to_string();
    assert_eq!(line(GroupBy::Day, &day).await, (1, mills(3), mills(2)));
    // Sums stop at the end of the range of money, and so many are past the range of 64 bits.
    for _ in 0..10 {
        // No scope has room for two.
        let mut request = Bench::new(Arc::clone(&bench.ledger)).request(Usd::MAX);
        request.model = ModelId::new("model-b");
        bench.ledger.reserve(request, bench.now).await.expect("room");
    }
    assert_eq!(line(GroupBy::Model, "model-b").await, (0, Usd::ZERO, Usd::MAX));
}
