//! Checks of what is forgotten.

use super::bench::{Bench, kind, mills, unique};
use crate::ledger::{BudgetLedger, GroupBy, Kind, Month};
use atlas_schema::{Timestamp, Usd};
use std::sync::Arc;
use std::time::Duration;

/// Retention: what has ended of a month that is over is forgotten page by page; sums, open holds and other months stay.
pub async fn a_purge_forgets_what_has_ended_of_a_month_that_is_over_and_changes_no_sum(ledger: Arc<dyn BudgetLedger>) {
    let mut bench = Bench::with_limit(ledger, mills(100)).await;
    // A month that no other check uses.
    let far = i64::from(u32::from_be_bytes(*unique().last_chunk().expect("bytes")) % 60_000);
    bench.now = Timestamp::from_millis(2_000_000_000_000 + far * 86_400_000 * 31).expect("a time");
    let (now, month) = (bench.now, Month::of(bench.now));
    let mut ended = Vec::new();
    for _ in 0..3 {
        let hold = bench.sent(mills(5)).await;
        bench.ledger.settle(hold, mills(2), now).await.expect("a settlement");
        ended.push(hold);
    }
    let given_back = bench.held(mills(5)).await;
    bench.ledger.release(given_back, now).await.expect("a release");
    ended.push(given_back);
    let (held, sent) = (bench.held(mills(7)).await, bench.sent(mills(11)).await);
    // Of the next month, and over as well.
    bench.now = now.saturating_add(Duration::from_hours(24 * 31));
    let next = bench.sent(mills(1)).await;
    bench.ledger.settle(next, mills(1), bench.now).await.expect("a settlement");
    bench.now = now;
    for early in [now, next_month(month, now).saturating_add(Duration::from_millis(48 * 3_600_000 - 1))] {
        assert_eq!(kind(bench.ledger.purge(month, early, 1000).await), Kind::InvalidInput);
    }
    let over = next_month(month, now).saturating_add(Duration::from_hours(48));
    assert_eq!(bench.ledger.purge(month, over, 3).await.expect("a purge"), 3, "no more than was asked for");
    let mut rest = 0;
    loop {
        match bench.ledger.purge(month, over, 3).await.expect("a purge") {
            0 => break,
            more => rest += more,
        }
    }
    assert_eq!(rest, 1);
    assert_eq!(bench.used().await, (mills(18), mills(6)), "sums stay");
    for hold in ended {
        assert!(bench.ledger.hold(hold).await.expect("an answer").is_none());
        assert_eq!(kind(bench.ledger.settle(hold, mills(2), now).await), Kind::NotFound);
    }
    for hold in [held, sent, next] {
        assert!(bench.ledger.hold(hold).await.expect("an answer").is_some());
    }
    let lines = bench.ledger.report(month, GroupBy::Model).await.expect("a report");
    let line = lines.iter().find(|line| line.name == "m").expect("a line");
    assert_eq!((line.calls, line.settled, line.held), (0, Usd::ZERO, mills(18)), "a report tells of what is left");
    // What was open ends as ever, and can be forgotten then.
    bench.ledger.settle(sent, mills(4), over).await.expect("a settlement");
    bench.ledger.release(held, over).await.expect("a release");
    assert_eq!(bench.used().await, (Usd::ZERO, mills(10)));
    let mut rest = 0;
    loop {
        match bench.ledger.purge(month, over, 1000).await.expect("a purge") {
            0 => break,
            more => rest += more,
        }
    }
    assert_eq!(rest, 2);
}

/// The beginning of the month after that one.
fn next_month(month: Month, within: Timestamp) -> Timestamp {
    let mut day = within;
    while Month::of(day) == month {
        day = day.saturating_add(Duration::from_hours(1));
    }
    Timestamp::from_millis(day.as_millis() - day.as_millis() % 86_400_000).expect("a time")
}
