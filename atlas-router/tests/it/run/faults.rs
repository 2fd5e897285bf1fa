//! What is tried after which failure, and when.

use super::*;
use crate::with;
use atlas_router::call::{Answer, BreakerRules, Class, Fault, GiveUp, Limits, Reason};
use atlas_router::client::{Format, JsonSchema, Temperature};
use atlas_router::run::{Charge, End, Kind, PassedOver};
use atlas_schema::{AttemptOutcome, ErrorCategory, StrategyName};
use std::time::Duration;
use tokio::time::Instant;

fn quota() -> Turn {
    Turn::fault(Fault::Answered(Answer::new(429).with_code("insufficient_quota")))
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_settled_to_the_nano_dollar_and_nothing_stays_held() {
    let rig = Rig::new([ok()], []);
    let outcome = rig.run().await.unwrap();
    assert_eq!((outcome.reply.text.as_str(), outcome.model.as_str()), ("hello", "a1"));
    assert_eq!(cost(), Usd::from_nanos(58));
    assert_eq!(outcome.spent(), cost());
    assert_eq!(rig.money().await, (Usd::ZERO, cost()));
    let attempt = &outcome.attempts[0];
    assert_eq!((attempt.bound, attempt.charge, attempt.end.clone()), (BOUND, Charge::Settled(cost()), End::Answered));
}

#[tokio::test(start_paused = true)]
async fn a_server_fault_is_tried_again_each_time_with_a_hold_of_its_own() {
    let rig = Rig::new([Turn::status(500), Turn::status(503), ok()], []);
    let outcome = rig.run().await.unwrap();
    assert_eq!(rig.called(), ["a1".into(), "a1".into(), "a1".into()]);
    let holds: std::collections::BTreeSet<_> = outcome.attempts.iter().map(|attempt| attempt.hold.unwrap()).collect();
    assert_eq!(holds.len(), 3);
    let keys: std::collections::BTreeSet<_> = rig.a.calls().into_iter().map(|call| call.idempotency_key).collect();
    assert_eq!(keys.len(), 3);
    assert_eq!(rig.money().await, (Usd::ZERO, cost()), "what was refused costs nothing");
    let record = outcome.attempts[0].to_record(StrategyName::direct());
    assert_eq!((record.outcome, record.category), (AttemptOutcome::Failed, Some(ErrorCategory::Network)));
    assert_eq!(outcome.attempts[2].to_record(StrategyName::direct()).usage.unwrap().output_tokens, 5);
}

#[tokio::test(start_paused = true)]
async fn the_wait_that_the_provider_asks_for_is_kept_and_a_longer_one_falls_back_at_once() {
    let rig = Rig::new([Turn::status(429).retry_after(Duration::from_millis(12_345)), ok()], []);
    let began = Instant::now();
    let outcome = rig.run().await.unwrap();
    assert_eq!(began.elapsed().as_millis(), 12_345);
    assert_eq!(outcome.attempts[1].waited.as_millis(), 12_345);
    let rig = Rig::new([Turn::status(429).retry_after(Duration::from_secs(61)), ok()], []);
    let began = Instant::now();
    assert_eq!(rig.run().await.unwrap().model.as_str(), "a2");
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_spent_quota_is_one_attempt_and_the_account_is_left_alone_for_a_while() {
    let rig = Rig::new([quota()], [ok(), ok(), ok()]);
    assert_eq!(rig.run().await.unwrap().model.as_str(), "b1");
    assert_eq!(rig.run().await.unwrap().model.as_str(), "b1");
    assert_eq!(rig.called(), ["a1".into(), "b1".into(), "b1".into()], "a is asked once");
    tokio::time::advance(Duration::from_mins(5)).await;
    assert_eq!(rig.router.plan(&request()).unwrap().decision.chain[0].model.as_str(), "a1");
}

#[tokio::test(start_paused = true)]
async fn what_the_caller_must_mend_is_one_attempt() {
    for status in [400, 401, 403, 404, 422] {
        let rig = Rig::new([Turn::status(status)], []);
        let error = rig.run().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Stopped(GiveUp::Final));
        assert_eq!((error.attempts().len(), rig.called().len()), (1, 1), "{status}");
        assert!(!error.is_retryable(), "{status}");
        assert_eq!(rig.money().await, (Usd::ZERO, Usd::ZERO));
    }
}

#[tokio::test(start_paused = true)]
async fn a_prompt_over_the_window_goes_to_a_larger_one() {
    let rig = Rig::new([Turn::fault(Fault::Answered(Answer::new(400).with_code("context_length_exceeded"))), ok()], []);
    assert_eq!(rig.run().await.unwrap().model.as_str(), "a2");
}

#[tokio::test(start_paused = true)]
async fn when_all_fails_the_error_tells_each_attempt_and_the_last_reason() {
    let down = || Turn::status(503).retry_after(Duration::from_secs(7));
    let rig = Rig::with(Arc::new(MemoryLedger::new(Stage::Dev)), (0..3).map(|_| down()), [], |builder| {
        builder.with_limits(with(Limits::default(), |limits| limits.attempts = 3))
    });
    let error = rig.run().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Stopped(GiveUp::Attempts));
    assert_eq!((error.retry_after(), error.category()), (Some(Duration::from_secs(7)), ErrorCategory::RateLimit));
    assert_eq!(
        error.to_string(),
        "the request was not answered after 3 call(s): all attempts were used: raise the limit of attempts or try later; \
         last, a1: the provider answered with status 503 (the provider has too much to do: try later)"
    );
    assert!(matches!(error.attempts()[2].end, End::Failed { verdict, .. } if verdict.reason == Reason::Overloaded));
}

#[tokio::test(start_paused = true)]
async fn a_model_that_keeps_failing_rests_and_the_next_requests_go_elsewhere() {
    let rig = Rig::new((0..10).map(|_| Turn::fault(Fault::Broken)), [ok(), ok()]);
    // Three calls of each model of `a`, and then there are no attempts left.
    rig.run().await.unwrap_err();
    let second = rig.run().await.unwrap();
    assert_eq!(second.model.as_str(), "b1");
    let tried: Vec<_> = second.attempts.iter().map(|attempt| (attempt.model.as_str(), attempt.end.clone())).collect();
    assert!(matches!(tried[..2], [("a1", End::Failed { .. }), ("a1", End::Failed { .. })]), "{tried:?}");
    assert!(tried.contains(&("a1", End::PassedOver(PassedOver::Resting))), "{tried:?}");
    let third = rig.run().await.unwrap();
    assert_eq!((third.model.as_str(), third.attempts.len()), ("b1", 1), "a resting model is taken last");
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_for_no_retry_is_unwell_all_the_same() {
    for status in [429, 503, 529] {
        let no_retry = || Turn::fault(Fault::Answered(Answer::new(status).with_should_retry(Some(false))));
        let rig = Rig::new((0..10).map(|_| no_retry()), (0..5).map(|_| ok()));
        for _ in 0..5 {
            assert_eq!(rig.run().await.unwrap().model.as_str(), "b1");
        }
        let resting = rig.router.plan(&request()).unwrap().decision.situation.resting;
        assert_eq!(resting.into_iter().collect::<Vec<_>>(), ["a1".into(), "a2".into()], "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_hangs_until_the_time_of_the_request_is_over_rests_unless_that_was_our_haste() {
    for (seconds, rests) in [(29, false), (30, true)] {
        let rig = Rig::new((0..5).map(|_| Turn::hang()), []);
        let hurried = with(request(), |request| request.timeout = Duration::from_secs(seconds));
        let rules = with(BreakerRules::default(), |rules| rules.window = Duration::from_mins(10));
        let router = builder(rig.ledger.clone()).with_client("a", Arc::new(rig.a.clone())).with_breakers(rules);
        let router = router.build().unwrap();
        for _ in 0..5 {
            let error = router.run(&hurried, &CancellationToken::new()).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Deadline);
        }
        let resting = router.plan(&request()).unwrap().decision.situation.resting;
        assert_eq!(resting.contains(&ModelId::new("a1")), rests, "{seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_gets_nothing_that_its_row_does_not_allow() {
    let rig = Rig::new([Turn::fault(Fault::Garbled), ok()], []);
    let mut request = request();
    request.temperature = Some(Temperature::ZERO);
    request.format = Format::JsonSchema(JsonSchema::loose("s", serde_json::json!({"type": "object"})).unwrap());
    rig.router.run(&request, &CancellationToken::new()).await.unwrap();
    let calls = rig.a.calls();
    assert_eq!(calls[0].temperature, Some(Temperature::ZERO));
    assert_eq!((calls[1].model.as_str(), calls[1].temperature), ("a2", None), "a2 reasons unless told not to");
    assert_eq!(calls[1].format, request.format);
    // The schema, of 17 bytes, and its name are part of the prompt, so they are part of what is held.
    let bound = |name: &str| {
        let format = JsonSchema::loose(name, serde_json::json!({"type": "object"})).unwrap();
        let request = with(request.clone(), |request| request.format = Format::JsonSchema(format));
        rig.router.plan(&request).unwrap().targets[0].bound
    };
    assert_eq!(bound("s"), BOUND.saturating_add(Usd::from_nanos(16 + 17 + 2)));
    assert_eq!(bound(&"s".repeat(64)), bound("s").saturating_add(Usd::from_nanos(63)));
}

#[tokio::test(start_paused = true)]
async fn models_without_a_client_a_window_or_room_under_the_cap_are_told_before_anything_is_held() {
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let only_b = builder(ledger.clone()).with_client("b", Arc::new(ScriptedLlm::new([ok()]))).build().unwrap();
    let outcome = only_b.run(&request(), &CancellationToken::new()).await.unwrap();
    assert_eq!(outcome.model.as_str(), "b1");
    let planned = only_b.plan(&request()).unwrap();
    assert_eq!(planned.skipped[0].to_string(), "a1: no client for a: add one");
    let long = with(request(), |request| request.messages = vec![Message::user("x".repeat(5000))]);
    let dear = with(request(), |request| request.task.max_cost = Some(Usd::from_nanos(1007)));
    for (request, category) in [(long, ErrorCategory::InvalidInput), (dear, ErrorCategory::Budget)] {
        let error = only_b.run(&request, &CancellationToken::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.category()), (Kind::NoModel, category));
        assert!(error.attempts().is_empty());
    }
    let balance = ledger.balance(&tenant(), Month::of(now())).await.unwrap();
    assert_eq!(balance.held, Usd::ZERO);
}

#[tokio::test(start_paused = true)]
async fn prompts_and_replies_are_in_no_debug_output_and_no_error() {
    let secret = "the patient is called Ada";
    let rig = Rig::new([Turn::text(secret, 8, 5), Turn::status(400)], []);
    let mut request = request();
    request.messages = vec![Message::system(secret), Message::user(secret)];
    request.task.instructions = secret.into();
    request.task.url = Some("https://example.org/patients?name=Ada".into());
    let planned = rig.router.plan(&request).unwrap();
    let outcome = rig.router.run(&request, &CancellationToken::new()).await.unwrap();
    let error = rig.router.run(&request, &CancellationToken::new()).await.unwrap_err();
    let barred = with(request.clone(), |request| request.task.max_cost = Some(Usd::ZERO));
    let barred = rig.router.run(&barred, &CancellationToken::new()).await.unwrap_err();
    let shown = format!(
        "{request:?} {planned:?} {outcome:?} {error:?} {error} {barred:?} {barred} {:?} {:?}",
        rig.router, rig.a
    );
    assert!(!shown.contains("Ada") && shown.contains("25 bytes"), "{shown}");
    assert_eq!(rig.a.calls()[0].messages[0].text, secret);
}

#[test]
fn a_retry_is_for_what_may_pass_only() {
    for reason in Reason::ALL {
        assert!(reason.class() != Class::Retry || reason.category().is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn a_mock_of_a_host_answers_as_its_test_expects() {
    let mut client = atlas_router::client::MockLlmClient::new();
    client
        .expect_complete()
        .withf(|call| call.model.as_str() == "b1" && call.output_cap == 100)
        .once()
        .returning(|_| Ok(atlas_router::client::Reply::new("hello", None)));
    let router = builder(Arc::new(MemoryLedger::new(Stage::Dev))).with_client("b", Arc::new(client)).build().unwrap();
    let outcome = router.run(&request(), &CancellationToken::new()).await.unwrap();
    assert_eq!(outcome.reply.text, "hello");
}
