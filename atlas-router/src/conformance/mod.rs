//! The checks that prove a ledger: one per promise on the page of [`BudgetLedger`](crate::ledger::BudgetLedger).
//!
//! A host turns on the `conformance` feature in its dev-dependencies and writes two lines:
//!
//! ```
//! # use atlas_router::ledger::{BudgetLedger, MemoryLedger};
//! # use std::sync::Arc;
//! async fn fresh() -> Arc<dyn BudgetLedger> {
//!     Arc::new(MemoryLedger::new(atlas_schema::Stage::Dev))
//! }
//! mod ledger {
//!     atlas_router::budget_ledger_conformance!(crate::fresh);
//! }
//! # fn main() {}
//! ```
//!
//! Each check becomes a test of its own. The ledger need not be empty, and all checks may share one at the same time, such as a
//! host's database: a check works in scopes of its own, and what one of them sweeps is held by no other. Only the whole suite
//! must not run twice at once on one ledger. New checks may come in any release.

// A check is a test: it says what is wrong by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

mod bench;
mod checks;
mod ends;
mod purge;

pub use checks::*;
pub use ends::*;
pub use purge::*;

use std::future::Future;

/// Makes one test of each check for the ledger that `$fresh` gives.
#[macro_export]
macro_rules! budget_ledger_conformance {
    ($fresh:path) => {
        $crate::budget_ledger_conformance!(@each $fresh;
            a_limit_is_never_passed_by_reservations,
            a_limit_is_never_passed_by_many_callers_at_once,
            a_hold_counts_in_all_its_scopes_or_in_none,
            the_same_reservation_again_takes_nothing_more,
            an_id_of_another_reservation_is_a_conflict,
            a_settlement_puts_the_cost_in_the_place_of_the_hold,
            a_settlement_counts_once_and_another_one_is_a_conflict,
            a_cost_over_its_hold_is_counted_in_full,
            a_release_gives_back_what_was_not_sent,
            a_sent_hold_is_not_released,
            expired_holds_are_refunded_unless_they_were_sent,
            a_late_cost_of_a_refunded_hold_still_counts,
            sent_holds_past_their_time_are_listed_until_they_are_settled,
            a_limit_of_zero_lets_nothing_in_and_no_limit_everything,
            a_lowered_limit_takes_nothing_back_and_lets_nothing_in,
            alerts_come_once_per_threshold_scope_and_month,
            a_new_month_begins_at_nothing,
            a_hold_counts_in_the_month_of_its_reservation,
            malformed_requests_are_refused,
            reports_add_up_by_request_model_strategy_and_day,
            sums_that_would_pass_the_range_of_money_are_refused_and_come_apart_exactly,
            clocks_a_month_apart_spend_of_two_months_and_of_each_no_more_than_its_limit,
            a_purge_forgets_what_has_ended_of_a_month_that_is_over_and_changes_no_sum,
        );
    };
    (@each $fresh:path; $($check:ident,)*) => {
        $(
            #[test]
            fn $check() {
                $crate::conformance::block_on(async { $crate::conformance::$check($fresh().await).await });
            }
        )*
    };
}

/// Runs one check to its end, on a runtime of its own.
pub fn block_on(check: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(check);
}
