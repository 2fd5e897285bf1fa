//! A clock that jumps: by months, ahead and back, between any two looks at it.

use super::*;
use crate::{Rng, with};
use atlas_router::run::Charge;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

#[derive(Debug)]
struct Jumping {
    rng: Mutex<u64>,
    told: Mutex<BTreeSet<Month>>,
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        let mut seed = self.rng.lock().unwrap();
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let month = Duration::from_hours(24 * 31);
        let at = match (*seed >> 33) % 6 {
            0 => now().saturating_add(month),
            1 => now().saturating_sub(month),
            2 => now().saturating_add(month * 1200),
            3 => Timestamp::MIN,
            _ => now(),
        };
        self.told.lock().unwrap().insert(Month::of(at));
        at
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_that_jump_pass_no_months_limit_and_lose_no_money() {
    let mut rng = Rng::new(71);
    for case in 0..crate::cases(30) {
        let clock = Arc::new(Jumping { rng: Mutex::new(rng.next()), told: Mutex::default() });
        let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
        let limit = Usd::from_nanos(BOUND.as_nanos() + 580);
        ledger.limit(vec![(tenant(), Some(limit))]).await.unwrap();
        let turns = (0..300).map(|_| if rng.below(4) == 0 { Turn::status(503) } else { ok() }).collect::<Vec<_>>();
        let router =
            builder(ledger.clone()).with_client("a", Arc::new(ScriptedLlm::new(turns))).with_clock(clock.clone());
        let router = router.with_seed(case).build().unwrap();
        let mut spent = Usd::ZERO;
        for _ in 0..80 {
            let brief = with(request(), |request| request.timeout = Duration::from_secs(20));
            let attempts = match router.run(&brief, &CancellationToken::new()).await {
                Ok(outcome) => outcome.attempts,
                Err(error) => error.attempts().to_vec(),
            };
            for attempt in attempts {
                assert!(!matches!(attempt.charge, Charge::Open(_)), "case {case}: {attempt:?}");
                spent = spent.saturating_add(attempt.charge.most());
            }
        }
        settle_down().await;
        let mut settled = Usd::ZERO;
        let months = clock.told.lock().unwrap().clone();
        for month in months {
            let balance = ledger.balance(&tenant(), month).await.unwrap();
            assert!(balance.used() <= limit && balance.held == Usd::ZERO, "case {case}: {month}: {balance:?}");
            settled = settled.saturating_add(balance.settled);
        }
        assert_eq!(settled, spent, "case {case}");
        assert!(spent > limit, "case {case}: of several months");
    }
}
