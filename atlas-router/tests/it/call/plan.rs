//! Plans: what is tried next, and that they always end within attempts, time and money.

use crate::{Rng, rounds, with};
use atlas_router::call::{Answer, Billed, Class, Event, Fault, GiveUp, Limits, Plan, Reason, Step, Target, classify};
use atlas_schema::Usd;
use std::collections::BTreeMap;
use std::time::Duration;

const T0: Duration = Duration::from_secs(100);

fn usd(cents: i64) -> Usd {
    Usd::from_nanos(cents * 10_000_000)
}

/// Models `a1`, `a2` of account `a` and `b1` of `b`, with windows of 100, 200 and 100 tokens, at ten cents each.
fn targets() -> Vec<Target> {
    [("a1", "a", 100), ("a2", "a", 200), ("b1", "b", 100)]
        .map(|(model, provider, window)| Target::new(model.into(), provider.into(), usd(10), window))
        .to_vec()
}

fn plan(limits: Limits) -> Plan {
    let mut plan = Plan::new(targets(), limits);
    assert_eq!(plan.step(Event::Begin, T0, 0), call(0, 0));
    plan
}

fn call(at: usize, millis: u64) -> Step {
    Step::Call { at, wait: Duration::from_millis(millis) }
}

fn failed(fault: &Fault) -> Event {
    Event::Failed { verdict: classify(fault), retry_after: None, spent: Usd::ZERO }
}

fn answered(status: u16, code: &str) -> Event {
    failed(&Fault::Answered(Answer::new(status).with_code(code)))
}

fn asking(status: u16, wait: Duration) -> Event {
    let verdict = classify(&Fault::Answered(Answer::new(status)));
    Event::Failed { verdict, retry_after: Some(wait), spent: Usd::ZERO }
}

#[test]
fn what_may_pass_is_tried_again_with_growing_waits_then_the_next_model() {
    let mut plan = plan(Limits::default());
    assert_eq!(plan.step(answered(500, ""), T0, 1 << 63), call(0, 250));
    assert_eq!(plan.step(answered(500, ""), T0, 1 << 63), call(0, 500));
    assert_eq!(plan.step(answered(500, ""), T0, 1 << 63), call(1, 0));
    assert_eq!(plan.step(answered(500, ""), T0, 1 << 63), call(1, 250), "each model starts with the shortest wait");
    assert_eq!(plan.step(answered(500, ""), T0, 1 << 63), call(1, 500));
    assert_eq!(plan.step(answered(500, ""), T0, 1 << 63), Step::Stop(GiveUp::Attempts));
    assert_eq!(plan.attempts(), 6);
}

#[test]
fn what_the_caller_must_mend_is_tried_once() {
    for (status, code) in [(400, ""), (401, "invalid_api_key"), (403, ""), (404, ""), (422, "")] {
        let mut plan = plan(Limits::default());
        assert_eq!(plan.step(answered(status, code), T0, 0), Step::Stop(GiveUp::Final), "{status}");
        assert_eq!(plan.attempts(), 1);
        assert_eq!(plan.step(answered(500, ""), T0, 0), Step::Stop(GiveUp::Final), "it stays so");
    }
}

#[test]
fn a_spent_quota_is_tried_once_and_takes_the_whole_account_with_it() {
    let mut plan = plan(Limits::default());
    assert_eq!(plan.step(answered(429, "insufficient_quota"), T0, 0), call(2, 0));
    assert_eq!(plan.step(answered(429, "insufficient_quota"), T0, 0), Step::Stop(GiveUp::Models));
    assert_eq!(plan.attempts(), 2);
}

#[test]
fn a_prompt_over_the_window_goes_to_a_larger_window_only() {
    let mut plan = plan(Limits::default());
    assert_eq!(plan.step(answered(400, "context_length_exceeded"), T0, 0), call(1, 0));
    assert_eq!(plan.step(answered(400, "context_length_exceeded"), T0, 0), Step::Stop(GiveUp::Models));
}

#[test]
fn the_wait_that_a_provider_asks_for_is_kept_to_the_millisecond() {
    let mut plan = plan(Limits::default());
    assert_eq!(plan.step(asking(429, Duration::from_millis(59_999)), T0, u64::MAX), call(0, 59_999));
    assert_eq!(plan.step(asking(429, Duration::from_mins(1)), T0, u64::MAX), call(0, 60_000));
}

#[test]
fn a_longer_wait_than_allowed_falls_back_at_once() {
    let mut plan = plan(Limits::default());
    assert_eq!(plan.step(asking(429, Duration::from_millis(60_001)), T0, 0), call(1, 0));
}

#[test]
fn nothing_is_begun_at_the_deadline() {
    let limits = with(Limits::default(), |limits| limits.deadline = Some(T0 + Duration::from_secs(10)));
    let mut late = plan(limits);
    assert_eq!(late.step(asking(429, Duration::from_secs(10)), T0, 0), call(1, 0), "another model needs no wait");
    let at_deadline = T0 + Duration::from_secs(10);
    assert_eq!(late.step(answered(500, ""), at_deadline, 0), Step::Stop(GiveUp::Deadline));
}

#[test]
fn no_try_is_begun_that_could_spend_more_than_allowed() {
    let limits = with(Limits::default(), |limits| limits.max_spend = Some(usd(25)));
    let mut plan = plan(limits);
    let event = |cents| Event::Failed { verdict: classify(&Fault::Timeout), retry_after: None, spent: usd(cents) };
    assert_eq!(plan.step(event(10), T0, 0), call(0, 0));
    assert_eq!(plan.step(event(6), T0, 0), Step::Stop(GiveUp::Spend), "16 and 10 are over 25");
    assert_eq!(plan.spent(), usd(16));
    let poor = with(Limits::default(), |limits| limits.max_spend = Some(usd(9)));
    assert_eq!(Plan::new(targets(), poor).step(Event::Begin, T0, 0), Step::Stop(GiveUp::Spend));
}

#[test]
fn a_resting_model_gives_way_and_if_all_rest_the_soonest_is_waited_for() {
    let mut plan = plan(Limits::default());
    let until = |seconds| Event::Resting { until: T0 + Duration::from_secs(seconds) };
    assert_eq!(plan.step(until(30), T0, 0), call(1, 0));
    assert_eq!(plan.step(until(10), T0, 0), call(2, 0));
    assert_eq!(plan.step(until(20), T0, 0), call(1, 10_000));
    assert_eq!(plan.attempts(), 0);
    let mut plan = self::plan(Limits::default());
    for _ in 0..2 {
        plan.step(until(61), T0, 0);
    }
    assert_eq!(plan.step(until(61), T0, 0), Step::Stop(GiveUp::Resting));
}

#[test]
fn of_models_that_rest_come_too_late_and_cost_too_much_the_money_is_told_and_then_the_time() {
    let rests = |seconds: u64| Event::Resting { until: T0 + Duration::from_secs(seconds) };
    let first = || Target::new("a1".into(), "a".into(), usd(1), 100);
    let dear = || Target::new("a2".into(), "a".into(), usd(10), 100);
    for targets in [vec![dear(), first()], vec![first(), dear()]] {
        let at = targets.iter().position(|target| target.bound == usd(1)).unwrap();
        let mut plan = Plan::new(targets, with(Limits::default(), |limits| limits.max_spend = Some(usd(5))));
        assert_eq!(plan.step(Event::Begin, T0, 0), call(at, 0));
        assert_eq!(plan.step(rests(61), T0, 0), Step::Stop(GiveUp::Spend));
    }
    // Two that rest: one beyond the deadline, one beyond any wait.
    let soon = with(Limits::default(), |limits| limits.deadline = Some(T0 + Duration::from_secs(10)));
    for order in [[61, 20], [20, 61]] {
        let mut plan = Plan::new(vec![first(), dear()], soon);
        assert_eq!(plan.step(Event::Begin, T0, 0), call(0, 0));
        assert_eq!(plan.step(rests(order[0]), T0, 0), call(1, 0));
        assert_eq!(plan.step(rests(order[1]), T0, 0), Step::Stop(GiveUp::Deadline));
    }
}

#[test]
fn models_that_are_found_resting_again_and_again_are_given_up() {
    let mut plan = plan(Limits::default());
    let mut now = T0;
    for rests in 0.. {
        match plan.step(Event::Resting { until: now + Duration::from_millis(1) }, now, 0) {
            Step::Call { wait, .. } => now += wait,
            step => {
                assert_eq!((step, rests), (Step::Stop(GiveUp::Resting), 9), "six attempts and three models");
                break;
            }
        }
    }
}

#[test]
fn no_targets_and_no_attempts_stop_at_once() {
    assert_eq!(Plan::new(Vec::new(), Limits::default()).step(Event::Begin, T0, 0), Step::Stop(GiveUp::Models));
    let none = with(Limits::default(), |limits| limits.attempts = 0);
    assert_eq!(Plan::new(targets(), none).step(Event::Begin, T0, 0), Step::Stop(GiveUp::Attempts));
}

/// A random fault with what it may mean.
fn fault(rng: &mut Rng) -> Fault {
    match rng.below(9) {
        0 => Fault::Broken,
        1 => Fault::Timeout,
        2 => Fault::Garbled,
        3 => Fault::Connect,
        4 => Fault::Unsupported,
        _ => {
            let codes = ["", "insufficient_quota", "context_length_exceeded", "model_not_found", "rate_limit_exceeded"];
            let status = *rng.pick(&[200, 400, 404, 408, 409, 429, 429, 500, 500, 502, 503, 503]);
            Fault::Answered(Answer::new(status).with_code(rng.pick::<&str>(&codes)))
        }
    }
}

#[test]
fn whatever_happens_a_plan_ends_within_its_attempts_its_time_and_its_money() {
    let mut rng = Rng::new(24);
    for case in 0..rounds(20_000, 10) {
        let count = 1 + rng.below(6);
        // Models may stand several times, as in a chain that was walked in circles.
        let targets: Vec<Target> = (0..count)
            .map(|_| {
                let model = rng.below(5);
                let bound = Usd::from_nanos(i64::try_from(rng.below(1000)).unwrap());
                Target::new(
                    format!("m{model}").as_str().into(),
                    format!("p{}", model % 2).as_str().into(),
                    bound,
                    rng.below(4),
                )
            })
            .collect();
        let most = i64::try_from(rng.below(4000)).unwrap();
        let limits = with(Limits::default(), |limits| {
            limits.attempts = u32::try_from(rng.below(8)).unwrap();
            limits.retries = u32::try_from(rng.below(4)).unwrap();
            limits.max_spend = (rng.below(2) == 0).then(|| Usd::from_nanos(most));
            limits.deadline = (rng.below(2) == 0).then(|| T0 + Duration::from_secs(rng.below(100)));
        });
        let mut plan = Plan::new(targets, limits);
        let (mut now, mut event, mut calls) = (T0, Event::Begin, BTreeMap::<usize, u32>::new());
        let mut dead: Vec<String> = Vec::new();
        let steps = 2 * (u64::from(limits.attempts) + count) + 2;
        for step in 0.. {
            assert!(step < steps, "case {case} does not end");
            let before = plan.clone();
            let random = rng.next();
            let decided = plan.step(event, now, random);
            let mut again = before;
            assert_eq!(again.step(event, now, random), decided, "case {case}: the same again");
            let Step::Call { at, wait } = decided else { break };
            assert!(wait <= limits.longest_wait, "case {case}");
            now += wait;
            assert!(limits.deadline.is_none_or(|deadline| now < deadline), "case {case}");
            let target = plan.targets()[at].clone();
            assert!(!dead.contains(&target.provider.to_string()), "case {case}: an account without money is called");
            let sum = plan.spent().saturating_add(target.bound);
            assert!(limits.max_spend.is_none_or(|most| sum <= most), "case {case}");
            event = match rng.below(8) {
                0 => Event::Resting { until: now + Duration::from_millis(1 + rng.below(90_000)) },
                1 => Event::Barred,
                _ => {
                    *calls.entry(at).or_default() += 1;
                    let verdict = classify(&fault(&mut rng));
                    if verdict.class == Class::NextProvider {
                        assert_eq!(verdict.reason, Reason::Quota);
                        dead.push(target.provider.to_string());
                    }
                    let spent = if verdict.billed == Billed::Unknown { target.bound } else { Usd::ZERO };
                    let retry_after = (rng.below(3) == 0).then(|| Duration::from_millis(rng.below(90_000)));
                    now += Duration::from_millis(rng.below(5000));
                    Event::Failed { verdict, retry_after, spent }
                }
            };
        }
        assert!(plan.attempts() <= limits.attempts, "case {case}");
        assert!(calls.values().all(|calls| *calls <= 1 + limits.retries), "case {case}: {calls:?}");
        assert!(limits.max_spend.is_none_or(|most| plan.spent() <= most), "case {case}");
    }
}
