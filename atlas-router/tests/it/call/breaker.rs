//! Breakers: when they open, when they close, and what can't move them.

use crate::{Rng, rounds};
use atlas_router::call::{Breaker, BreakerRules, Health, Pass};
use std::time::Duration;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const UNWELL: Health = Health::Unwell { rest: None };

fn rules() -> BreakerRules {
    BreakerRules::default()
}

fn fail(breaker: &mut Breaker, times: u32, now: Duration) {
    for _ in 0..times {
        let pass = breaker.admit(&rules(), now).unwrap();
        breaker.record(&rules(), pass, UNWELL, now);
    }
}

/// One that opened at that second.
fn open(second: u64) -> Breaker {
    let mut breaker = Breaker::default();
    fail(&mut breaker, 5, at(second));
    assert_eq!(breaker.admit(&rules(), at(second)), Err(at(second + 30)));
    breaker
}

#[test]
fn five_failures_in_a_minute_open_it_for_half_a_minute() {
    let mut breaker = Breaker::default();
    fail(&mut breaker, 4, at(0));
    assert_eq!(breaker.rests_until(), None);
    fail(&mut breaker, 1, at(59));
    assert_eq!(breaker.rests_until(), Some(at(89)));
    assert_eq!(breaker.admit(&rules(), at(88)), Err(at(89)));
    assert_eq!(breaker.admit(&rules(), at(89)), Ok(Pass::Probe(1)));
}

#[test]
fn failures_of_different_windows_are_not_added_up() {
    let mut breaker = Breaker::default();
    fail(&mut breaker, 4, at(0));
    fail(&mut breaker, 4, at(60));
    assert_eq!(breaker.rests_until(), None);
}

#[test]
fn a_model_that_answers_more_often_than_not_stays_in_use() {
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        breaker.record(&rules(), Pass::Normal, Health::Well, at(1));
        breaker.record(&rules(), Pass::Normal, Health::Well, at(1));
        breaker.record(&rules(), Pass::Normal, UNWELL, at(1));
    }
    assert_eq!(breaker.rests_until(), None);
}

#[test]
fn one_probe_goes_through_and_its_success_closes() {
    let mut breaker = open(0);
    let probe = breaker.admit(&rules(), at(30)).unwrap();
    assert_eq!(breaker.admit(&rules(), at(31)), Err(at(60)), "one probe at a time");
    breaker.record(&rules(), probe, Health::Well, at(32));
    assert_eq!(breaker.admit(&rules(), at(32)), Ok(Pass::Normal));
}

#[test]
fn each_probe_that_fails_doubles_the_rest_up_to_the_longest() {
    let mut breaker = open(0);
    let (mut now, mut rests) = (at(30), Vec::new());
    for _ in 0..6 {
        let probe = breaker.admit(&rules(), now).unwrap();
        breaker.record(&rules(), probe, UNWELL, now);
        let until = breaker.rests_until().unwrap();
        rests.push(until.checked_sub(now).unwrap().as_secs());
        now = until;
    }
    assert_eq!(rests, [60, 120, 240, 480, 600, 600]);
}

#[test]
fn the_answer_to_a_call_from_before_does_not_close_it() {
    let mut breaker = open(0);
    breaker.record(&rules(), Pass::Normal, Health::Well, at(1));
    assert_eq!(breaker.rests_until(), Some(at(30)));
    let probe = breaker.admit(&rules(), at(30)).unwrap();
    breaker.record(&rules(), Pass::Normal, Health::Well, at(31));
    breaker.record(&rules(), Pass::Probe(0), Health::Well, at(31));
    assert_eq!(breaker.admit(&rules(), at(32)), Err(at(60)));
    breaker.record(&rules(), probe, Health::Well, at(33));
    assert_eq!(breaker.rests_until(), None);
}

#[test]
fn a_probe_that_never_comes_back_does_not_keep_it_open_for_ever() {
    let mut breaker = open(0);
    let lost = breaker.admit(&rules(), at(30)).unwrap();
    let next = breaker.admit(&rules(), at(60)).unwrap();
    assert_ne!(lost, next);
    breaker.record(&rules(), next, Health::Well, at(61));
    assert_eq!(breaker.rests_until(), None);
    let mut breaker = open(0);
    let silent = breaker.admit(&rules(), at(30)).unwrap();
    breaker.record(&rules(), silent, Health::Silent, at(31));
    assert!(matches!(breaker.admit(&rules(), at(31)), Ok(Pass::Probe(_))), "another may go at once");
}

#[test]
fn a_model_that_answers_more_slowly_than_a_rest_closes_it_and_one_that_hangs_rests_longer_and_longer() {
    let probing = || {
        let mut breaker = open(0);
        let probes = [30, 60, 90, 120].map(|second| breaker.admit(&rules(), at(second)).unwrap());
        (breaker, probes)
    };
    let (mut breaker, probes) = probing();
    breaker.record(&rules(), probes[0], Health::Well, at(149));
    assert_eq!(breaker.rests_until(), None, "the first probe ended after three more had gone");
    let (mut breaker, probes) = probing();
    breaker.record(&rules(), probes[0], UNWELL, at(150));
    assert_eq!(breaker.rests_until(), Some(at(210)), "twice the first rest");
    for (probe, second) in probes[1..].iter().zip([180, 210, 240]) {
        breaker.record(&rules(), *probe, UNWELL, at(second));
    }
    assert_eq!(breaker.rests_until(), Some(at(210)), "they belong to the time before");
    let late = breaker.admit(&rules(), at(240)).unwrap();
    breaker.record(&rules(), probes[3], Health::Well, at(241));
    assert!(breaker.rests_until().is_some(), "so does that one");
    breaker.record(&rules(), late, Health::Well, at(242));
    assert_eq!(breaker.rests_until(), None);
}

#[test]
fn a_silent_end_lets_another_probe_go_only_if_it_was_the_last_one() {
    let mut breaker = open(0);
    let [first, second, last] = [30, 60, 90].map(|second| breaker.admit(&rules(), at(second)).unwrap());
    breaker.record(&rules(), second, Health::Silent, at(91));
    assert_eq!(breaker.admit(&rules(), at(91)), Err(at(120)), "the last one is still out");
    breaker.record(&rules(), last, Health::Silent, at(92));
    assert!(breaker.admit(&rules(), at(92)).is_ok());
    breaker.record(&rules(), first, UNWELL, at(93));
    assert_eq!(breaker.rests_until(), Some(at(153)), "the first one still decides");
}

#[test]
fn a_later_longer_wait_of_the_provider_wins_over_an_earlier_shorter_one() {
    let mut breaker = open(0);
    let rest = |seconds| Health::Unwell { rest: Some(at(seconds)) };
    breaker.record(&rules(), Pass::Normal, rest(60), at(1));
    assert_eq!(breaker.rests_until(), Some(at(61)));
    breaker.record(&rules(), Pass::Normal, rest(2), at(2));
    assert_eq!(breaker.rests_until(), Some(at(61)));
    breaker.record(&rules(), Pass::Normal, rest(86_400), at(2));
    assert_eq!(breaker.rests_until(), Some(at(602)), "capped");
}

#[test]
fn a_wait_as_long_as_a_rest_opens_it_at_once_and_so_does_a_spent_quota() {
    let mut breaker = Breaker::default();
    breaker.record(&rules(), Pass::Normal, Health::Unwell { rest: Some(at(29)) }, at(0));
    assert_eq!(breaker.rests_until(), None);
    breaker.record(&rules(), Pass::Normal, Health::Unwell { rest: Some(at(45)) }, at(0));
    assert_eq!(breaker.rests_until(), Some(at(45)));
    let mut breaker = Breaker::default();
    breaker.record(&rules(), Pass::Normal, Health::Out { rest: at(300) }, at(0));
    assert_eq!(breaker.rests_until(), Some(at(300)));
}

#[test]
fn probes_are_a_rest_apart_no_rest_is_endless_and_calls_pass_in_the_end() {
    let mut rng = Rng::new(23);
    let rules = rules();
    for case in 0..rounds(2000, 10) {
        let (mut breaker, mut now, mut out) = (Breaker::default(), Duration::ZERO, Vec::<Pass>::new());
        // Probes that are out of the present time of probing, and when the last one went.
        let mut probes: Vec<(Pass, Duration)> = Vec::new();
        for _ in 0..200 {
            now += Duration::from_millis(rng.below(20_000));
            match rng.below(3) {
                0 => match breaker.admit(&rules, now) {
                    Ok(pass) => {
                        assert!(breaker.rests_until().is_none() == (pass == Pass::Normal), "case {case}");
                        if pass != Pass::Normal {
                            let apart = probes.last().is_none_or(|(_, went)| now >= *went + rules.rest);
                            assert!(apart, "case {case}: {} probes are out", probes.len());
                            probes.push((pass, now));
                        }
                        out.push(pass);
                    }
                    Err(until) => {
                        assert!(until > now && until <= now + rules.longest_rest, "case {case}: {until:?} at {now:?}");
                    }
                },
                _ if out.is_empty() => {}
                _ => {
                    let pass = out.swap_remove(usize::try_from(rng.below(out.len() as u64)).unwrap());
                    let rest = Duration::from_secs(rng.below(100_000));
                    let health = *rng.pick(&[
                        Health::Well,
                        UNWELL,
                        Health::Unwell { rest: Some(rest) },
                        Health::Out { rest },
                        Health::Silent,
                    ]);
                    let before = breaker;
                    breaker.record(&rules, pass, health, now);
                    let known = probes.iter().position(|(probe, _)| *probe == pass);
                    match (known, health) {
                        (Some(at), Health::Silent) => {
                            probes.remove(at);
                        }
                        (Some(_), _) => {
                            assert_ne!(breaker, before, "case {case}: any of them decides");
                            probes.clear();
                        }
                        (None, Health::Out { .. }) => probes.clear(),
                        (None, _) => {}
                    }
                    let closed = before.rests_until().is_some() && breaker.rests_until().is_none();
                    assert!(
                        !closed || (health == Health::Well && pass != Pass::Normal),
                        "case {case}: only a probe closes"
                    );
                }
            }
        }
        assert!(breaker.admit(&rules, now + rules.longest_rest).is_ok(), "case {case}");
    }
}
