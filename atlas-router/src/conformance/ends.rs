//! Checks of what lies at the ends: of the range of money, and of months by clocks that differ.

use super::bench::{Bench, kind, mills};
use crate::ledger::{BudgetLedger, HoldState, Kind, Month};
use atlas_schema::Usd;
use std::sync::Arc;
use std::time::Duration;

/// **Hard**, where the range of money ends: what would pass it is refused, limit or none, and what was counted is given back exactly.
pub async fn sums_that_would_pass_the_range_of_money_are_refused_and_come_apart_exactly(ledger: Arc<dyn BudgetLedger>) {
    let bench = Bench::new(ledger);
    let all = bench.held(Usd::MAX).await;
    for _ in 0..9 {
        let error = bench.reserve(Usd::MAX).await.expect_err("no room");
        let exceeded = error.exceeded().expect("the scope");
        assert_eq!((error.kind(), exceeded.limit, exceeded.used), (Kind::Exceeded, Usd::MAX, Usd::MAX));
    }
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
    bench.held(Usd::ZERO).await;
    assert_eq!(bench.used().await, (Usd::MAX, Usd::ZERO));
    bench.ledger.release(all, bench.now).await.expect("a release");
    assert_eq!(bench.used().await, (Usd::ZERO, Usd::ZERO));
    // Two halves and the nano-dollar between them.
    let half = Usd::from_nanos(Usd::MAX.as_nanos() / 2);
    let (one, two) = (bench.sent(half).await, bench.sent(half).await);
    bench.held(Usd::from_nanos(1)).await;
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
    bench.ledger.settle(one, mills(3), bench.now).await.expect("a settlement");
    let rest = half.saturating_add(Usd::from_nanos(1));
    assert_eq!(bench.used().await, (rest, mills(3)));
    // A cost is a cost, and what is settled stays at the end of the range.
    bench.ledger.settle(two, Usd::MAX, bench.now).await.expect("a settlement");
    assert_eq!(bench.used().await, (Usd::from_nanos(1), Usd::MAX));
    assert_eq!(kind(bench.reserve(Usd::from_nanos(1)).await), Kind::Exceeded);
}

/// Time is given: of no month is more than its limit reserved, whichever clocks say that it is that month, and who settles by another
/// clock settles in the month of the reservation.
pub async fn clocks_a_month_apart_spend_of_two_months_and_of_each_no_more_than_its_limit(
    ledger: Arc<dyn BudgetLedger>,
) {
    let mut bench = Bench::with_limit(ledger, mills(10)).await;
    let ahead = bench.now;
    let behind = ahead.saturating_sub(Duration::from_hours(24 * 31));
    let mut sent = Vec::new();
    // In turn, so that each sees what the other has done.
    for at in [ahead, behind].into_iter().cycle().take(40) {
        bench.now = at;
        match bench.reserve(mills(3)).await {
            Ok(reserved) => {
                assert_eq!(reserved.hold.month, Month::of(at));
                match bench.ledger.send(reserved.hold.id, at).await {
                    Ok(()) => sent.push((at, reserved.hold.id)),
                    // Another check, whose clock is ahead, was quick to refund it.
                    Err(error) => assert_eq!((error.kind(), at), (Kind::NotHeld, behind)),
                }
            }
            Err(error) => assert_eq!(error.kind(), Kind::Exceeded, "{error}"),
        }
    }
    for at in [ahead, behind] {
        bench.now = at;
        assert_eq!(bench.used().await, (mills(9), Usd::ZERO), "{}", Month::of(at));
    }
    for (at, hold) in sent {
        let (other, cost) = if at == ahead { (behind, mills(2)) } else { (ahead, mills(1)) };
        bench.ledger.settle(hold, cost, other).await.expect("a settlement");
    }
    for (at, settled) in [(ahead, mills(6)), (behind, mills(3))] {
        bench.now = at;
        assert_eq!(bench.used().await, (Usd::ZERO, settled), "{}", Month::of(at));
    }
    // What the one behind has not sent is expired for the one ahead: refunded, and then never sent.
    bench.now = behind;
    let unsent = bench.held(mills(4)).await;
    while bench.ledger.sweep(ahead, 1000).await.expect("a sweep") > 0 {}
    assert_eq!(kind(bench.ledger.send(unsent, behind).await), Kind::NotHeld);
    let stored = bench.ledger.hold(unsent).await.expect("an answer").expect("a hold");
    assert_eq!((stored.state, bench.used().await), (HoldState::Released, (Usd::ZERO, mills(3))));
}
