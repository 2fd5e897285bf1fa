//! Replies as they come: what is tried before the first piece, and where the money goes on every way out.

use super::*;
use crate::{Rng, with};
use atlas_router::call::Fault;
use atlas_router::client::{Cassette, Piece, Pieces, Reply};
use atlas_router::run::{Answering, Charge, End, Kind, Part};
use futures_util::StreamExt as _;
use std::time::Duration;

fn said(then: Turn) -> Turn {
    Turn::pieces(["hel", "lo"], then)
}

async fn open(rig: &Rig) -> Result<Answering, RunError> {
    rig.router.stream(&request(), &CancellationToken::new()).await
}

/// All texts, and how they end.
async fn all(mut answering: Answering) -> (String, Result<Outcome, RunError>) {
    let mut text = String::new();
    loop {
        match answering.next().await.expect("an end or an error comes last") {
            Ok(Part::Text(more)) => text.push_str(&more),
            Ok(Part::End(outcome)) => {
                assert!(answering.next().await.is_none());
                return (text, Ok(*outcome));
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(answering.next().await.is_none());
                return (text, Err(error));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_settled_before_its_last_part_is_given() {
    let rig = Rig::new([said(ok())], []);
    let mut answering = open(&rig).await.unwrap();
    assert_eq!(rig.money().await, (BOUND, Usd::ZERO));
    for text in ["hel", "lo"] {
        assert!(matches!(answering.next().await, Some(Ok(Part::Text(part))) if part == text));
    }
    let Some(Ok(Part::End(outcome))) = answering.next().await else { panic!("no end") };
    assert_eq!(
        (outcome.reply.text.as_str(), outcome.spent(), rig.money().await),
        ("hello", cost(), (Usd::ZERO, cost()))
    );
    let parts: Vec<_> = {
        let rig = Rig::new([said(ok())], []);
        open(&rig).await.unwrap().into_stream().collect().await
    };
    assert_eq!(parts.len(), 3);
}

#[tokio::test]
async fn nothing_comes_after_the_end_of_a_reply_whatever_its_client_says() {
    let end = || Ok(Piece::End(Box::new(Reply::new("", None))));
    let more = futures_util::stream::iter([end(), Ok(Piece::Text("more".into())), end()]);
    let mut pieces = Pieces::new(more);
    assert!(matches!(pieces.next().await, Some(Ok(Piece::End(_)))));
    assert!(pieces.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn until_the_first_piece_a_failure_is_tried_again_and_elsewhere() {
    let rig = Rig::new([Turn::status(503), Turn::pieces([""; 0], Turn::fault(Fault::Broken)), said(ok())], []);
    let (text, outcome) = all(open(&rig).await.unwrap()).await;
    let outcome = outcome.unwrap();
    assert_eq!((text.as_str(), outcome.attempts.len()), ("hello", 3));
    assert_eq!(outcome.attempts[1].charge, Charge::Open(BOUND), "what broke before a word may be billed");
    assert_eq!(rig.money().await, (BOUND, cost()));
    let rig = Rig::new([Turn::status(401)], []);
    let error = open(&rig).await.unwrap_err();
    assert_eq!((error.attempts().len(), rig.money().await), (1, (Usd::ZERO, Usd::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn after_the_first_piece_nothing_is_tried_again_and_the_hold_stays_at_its_bound() {
    let rig = Rig::new([said(Turn::fault(Fault::Broken)), said(ok())], []);
    let (text, end) = all(open(&rig).await.unwrap()).await;
    let error = end.unwrap_err();
    assert_eq!((text.as_str(), error.kind(), error.is_retryable()), ("hello", Kind::BrokenOff, true));
    assert_eq!((error.spent(), rig.a.calls().len(), rig.money().await), (BOUND, 1, (BOUND, Usd::ZERO)));
}

#[tokio::test(start_paused = true)]
async fn cancelled_late_hanging_and_dropped_streams_stay_counted_at_their_bound() {
    let hangs = || said(Turn::hang());
    // Cancelled.
    let rig = Rig::new([hangs()], []);
    let cancel = CancellationToken::new();
    let mut answering = rig.router.stream(&request(), &cancel).await.unwrap();
    answering.next().await.unwrap().unwrap();
    cancel.cancel();
    let error = answering.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), &error.attempts()[0].end), (Kind::Cancelled, &End::Cancelled));
    assert_eq!(rig.money().await, (BOUND, Usd::ZERO));
    // The time of the call, and that of the request.
    for (call, whole, kind) in [(10, 60, Kind::BrokenOff), (60, 10, Kind::Deadline)] {
        let rig = Rig::new([hangs()], []);
        let request = with(request(), |request| {
            (request.call_timeout, request.timeout) = (Duration::from_secs(call), Duration::from_secs(whole));
        });
        let answering = rig.router.stream(&request, &CancellationToken::new()).await.unwrap();
        let (text, end) = all(answering).await;
        assert_eq!((text.as_str(), end.unwrap_err().kind()), ("hello", kind));
        assert_eq!(rig.money().await, (BOUND, Usd::ZERO));
    }
    // Dropped, before and after the first piece was taken.
    for parts in [0, 1, 2] {
        let rig = Rig::new([hangs()], []);
        let mut answering = open(&rig).await.unwrap();
        for _ in 0..parts {
            answering.next().await.unwrap().unwrap();
        }
        drop(answering);
        settle_down().await;
        assert_eq!(rig.money().await, (BOUND, Usd::ZERO));
        tokio::time::advance(Duration::from_hours(1)).await;
        let listed = rig.ledger.unreconciled(Timestamp::from_millis(1_795_694_400_000 + 3_600_000).unwrap(), 10).await;
        assert_eq!(listed.unwrap().len(), 1, "whoever reconciles finds it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_part_that_nobody_waits_for_is_settled_all_the_same() {
    let rig = Rig::new([said(ok())], []);
    let mut answering = open(&rig).await.unwrap();
    for _ in 0..2 {
        answering.next().await.unwrap().unwrap();
    }
    // Once is enough to take the last piece; what it then waits for, if anything, goes on by itself.
    let _ = tokio::time::timeout(Duration::ZERO, answering.next()).await;
    drop(answering);
    settle_down().await;
    assert_eq!(rig.money().await, (Usd::ZERO, cost()));
}

#[tokio::test(start_paused = true)]
async fn whatever_a_stream_does_no_less_is_counted_than_was_delivered() {
    let mut rng = Rng::new(51);
    let fault = |at: u64| {
        [Fault::Broken, Fault::Garbled, Fault::TooLarge, Fault::Timeout][usize::try_from(at).unwrap()].clone()
    };
    for case in 0..crate::cases(300) {
        let count = rng.below(90);
        let then = match rng.below(4) {
            0 => Turn::text("x".repeat(usize::try_from(count).unwrap()), 8, count),
            1 => Turn::reply(Reply::new("x", None)),
            2 => Turn::hang(),
            _ => Turn::fault(fault(rng.below(4))),
        };
        // A byte is a token here.
        let rig = Rig::new([Turn::pieces(vec!["x"; usize::try_from(count).unwrap()], then)], []);
        let limits = with(atlas_router::call::Limits::default(), |limits| limits.attempts = 1);
        let router = builder(Arc::clone(&rig.ledger)).with_client("a", Arc::new(rig.a.clone())).with_limits(limits);
        let (mut delivered, most) = (0_u64, rng.below(120));
        if let Ok(mut answering) = router.build().unwrap().stream(&request(), &CancellationToken::new()).await {
            for _ in 0..most {
                match answering.next().await {
                    Some(Ok(Part::Text(text))) => delivered += text.len() as u64,
                    _ => break,
                }
            }
        }
        settle_down().await;
        let (held, settled) = rig.money().await;
        let counted = held.saturating_add(settled);
        let usage = TokenUsage { input: 8, output: delivered, ..TokenUsage::default() };
        let price = settle(catalogue().model("a1").unwrap(), &Billing::new(8, 100), &usage, None).unwrap().cost;
        assert!(delivered == 0 || counted >= price, "case {case}: {delivered} tokens, {counted:?} counted");
        assert!(counted <= BOUND, "case {case}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_recorded_at_its_end_and_replayed_whole() {
    let cassette = Cassette::new();
    let rig = Rig::new([said(ok()), said(Turn::fault(Fault::Broken))], []);
    let recorder = Arc::new(cassette.recorder(Arc::new(rig.a.clone())).without("hello"));
    let router = builder(Arc::clone(&rig.ledger)).with_client("a", recorder).build().unwrap();
    for _ in 0..2 {
        let _ = all(router.stream(&request(), &CancellationToken::new()).await.unwrap()).await;
    }
    let router =
        builder(Arc::clone(&rig.ledger)).with_client("a", Arc::new(cassette.player())).with_seed(8).build().unwrap();
    let (text, outcome) = all(router.stream(&request(), &CancellationToken::new()).await.unwrap()).await;
    assert_eq!((text.as_str(), outcome.unwrap().spent()), ("[REMOVED]", cost()));
    assert!(!cassette.to_json().contains("hello") && cassette.to_json().contains("broken"));
}
