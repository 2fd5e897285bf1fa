//! A second call beside a slow one: decided within the one plan's attempts, time and money.

use crate::{Rng, rounds, with};
use atlas_router::call::{Answer, Event, Fault, Hedge, Limits, Plan, Step, Target, Verdict, classify};
use atlas_schema::Usd;
use std::time::Duration;

const T0: Duration = Duration::from_secs(100);
const CENT: i64 = 10_000_000;

fn targets() -> Vec<Target> {
    [("a1", "a"), ("a2", "a"), ("b1", "b")]
        .map(|(model, provider)| Target::new(model.into(), provider.into(), Usd::from_nanos(CENT), 100))
        .to_vec()
}

fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    with(with(Limits::default(), |limits| limits.hedge = Some(Hedge::new(Duration::from_secs(1)))), change)
}

fn begun(limits: Limits) -> Plan {
    let mut plan = Plan::new(targets(), limits);
    assert!(matches!(plan.step(Event::Begin, T0, 0), Step::Call { at: 0, .. }));
    plan
}

fn verdict(status: u16, code: &str) -> Verdict {
    classify(&Fault::Answered(Answer::new(status).with_code(code)))
}

fn failed(verdict: Verdict) -> Event {
    Event::Failed { verdict, retry_after: None, spent: Usd::ZERO }
}

#[test]
fn the_next_model_or_the_same_is_asked_beside_a_slow_one_and_none_unless_it_is_turned_on() {
    assert_eq!(begun(Limits::default()).hedge(T0), None);
    assert_eq!(begun(limits(|_| {})).hedge(T0), Some(1));
    let same = Some(Hedge::same(Duration::from_secs(1)));
    assert_eq!(begun(limits(|limits| limits.hedge = same)).hedge(T0), Some(0));
    assert_eq!(begun(limits(|limits| (limits.hedge, limits.retries) = (same, 0))).hedge(T0), None);
}

#[test]
fn both_calls_need_room_in_attempts_money_and_time() {
    let cents = |count: i64| Some(Usd::from_nanos(CENT * count));
    assert_eq!(begun(limits(|limits| limits.attempts = 1)).hedge(T0), None);
    assert_eq!(begun(limits(|limits| limits.attempts = 2)).hedge(T0), Some(1));
    assert_eq!(begun(limits(|limits| limits.max_spend = cents(1))).hedge(T0), None);
    assert_eq!(begun(limits(|limits| limits.max_spend = cents(2))).hedge(T0), Some(1));
    let late = limits(|limits| limits.deadline = Some(T0 + Duration::from_secs(1)));
    assert_eq!(begun(late).hedge(T0 + Duration::from_secs(1)), None);
}

#[test]
fn what_fell_out_is_not_tried_again_and_takes_its_account_with_it() {
    let mut plan = begun(limits(|_| {}));
    plan.fell_out(0, 1, verdict(503, ""), Usd::ZERO);
    assert!(
        matches!(plan.step(failed(verdict(503, "")), T0, 0), Step::Call { at: 1, .. }),
        "it has retries of its own"
    );
    for _ in 0..2 {
        plan.step(failed(verdict(503, "")), T0, 0);
    }
    assert!(matches!(plan.step(failed(verdict(503, "")), T0, 0), Step::Call { at: 2, .. }));
    let mut plan = begun(limits(|_| {}));
    plan.fell_out(0, 1, verdict(429, "insufficient_quota"), Usd::ZERO);
    assert!(matches!(plan.step(failed(verdict(503, "")), T0, 0), Step::Call { at: 2, .. }), "`a` has no money");
}

#[test]
fn whatever_happens_to_two_calls_beside_each_other_a_plan_ends_within_its_attempts_its_time_and_its_money() {
    let mut rng = Rng::new(61);
    for case in 0..rounds(2000, 10) {
        let limits = limits(|limits| {
            limits.attempts = u32::try_from(rng.below(8)).unwrap();
            limits.max_spend =
                (rng.below(2) == 0).then(|| Usd::from_nanos(CENT * i64::try_from(rng.below(8)).unwrap()));
            limits.deadline = (rng.below(2) == 0).then(|| T0 + Duration::from_millis(rng.below(60_000)));
            let after = Duration::from_secs(1);
            limits.hedge = Some(if rng.below(2) == 0 { Hedge::new(after) } else { Hedge::same(after) });
        });
        let mut plan = Plan::new(targets(), limits);
        let (mut now, mut event, mut calls, mut steps) = (T0, Event::Begin, 0, 0);
        let fault = |rng: &mut Rng| {
            let code = if rng.below(8) == 0 { "insufficient_quota" } else { "" };
            verdict(*rng.pick(&[429, 500, 503, 404, 400]), code)
        };
        let cost = |rng: &mut Rng| if rng.below(2) == 0 { Usd::ZERO } else { Usd::from_nanos(CENT) };
        while let Step::Call { at, wait } = plan.step(event, now, rng.next()) {
            (now, calls, steps) = (now + wait, calls + 1, steps + 1);
            assert!(steps < 50, "case {case} does not end");
            now += Duration::from_millis(rng.below(4000));
            if let Some(other) = plan.hedge(now) {
                calls += 1;
                assert!(limits.deadline.is_none_or(|deadline| now < deadline), "case {case}");
                let both = plan.spent().saturating_add(Usd::from_nanos(2 * CENT));
                assert!(limits.max_spend.is_none_or(|most| both <= most), "case {case}");
                let first = if rng.below(2) == 0 { at } else { other };
                let left = if first == at { other } else { at };
                plan.fell_out(first, left, fault(&mut rng), cost(&mut rng));
            }
            event = Event::Failed { verdict: fault(&mut rng), retry_after: None, spent: cost(&mut rng) };
        }
        assert_eq!(plan.attempts(), calls, "case {case}");
        assert!(calls <= limits.attempts, "case {case}");
        assert!(limits.max_spend.is_none_or(|most| plan.spent() <= most), "case {case}");
    }
}
