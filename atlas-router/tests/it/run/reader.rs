//! Whoever reads a stream takes time: it is not the model's.

use super::ledgers::{Fate, Fated, Op};
use super::*;
use crate::with;
use atlas_router::call::{BreakerRules, Fault};
use atlas_router::client::{Call, ClientError, Piece, Pieces, Reply};
use atlas_router::run::{Kind, Part};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn said(then: Turn) -> Turn {
    Turn::pieces(["hel", "lo"], then)
}

/// Five streams, as many as would open a breaker, whose reader is away for so long before each part: their ends, and whether the model
/// rests then.
async fn five(turn: impl Fn() -> Turn, request: &Request, away: Duration) -> (Vec<Result<Outcome, RunError>>, bool) {
    let rules = with(BreakerRules::default(), |rules| rules.window = Duration::from_hours(24));
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let rig = Rig::with(ledger, (0..5).map(|_| turn()), [], |builder| builder.with_breakers(rules));
    let mut ends = Vec::new();
    for _ in 0..5 {
        let mut answering = rig.router.stream(request, &CancellationToken::new()).await.unwrap();
        ends.push(loop {
            sleep(away).await;
            match answering.next().await.unwrap() {
                Ok(Part::End(outcome)) => break Ok(*outcome),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        });
    }
    let resting = rig.router.plan(&super::request()).unwrap().decision.situation.resting;
    (ends, resting.contains(&ModelId::new("a1")))
}

fn patient() -> Request {
    with(request(), |request| request.timeout = Duration::from_hours(1))
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_its_reply_and_says_nothing_about_the_model() {
    let (ends, rests) = five(|| said(ok()), &patient(), Duration::from_mins(5)).await;
    for end in ends {
        let outcome = end.unwrap();
        assert_eq!((outcome.reply.text.as_str(), outcome.attempts[0].took), ("hello", Duration::ZERO));
    }
    assert!(!rests);
    // The time of the whole request goes on, whosever it is.
    let (ends, rests) = five(|| said(ok()), &request(), Duration::from_mins(4)).await;
    assert!(ends.into_iter().all(|end| end.unwrap_err().kind() == Kind::Deadline) && !rests);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_breaks_off_or_hangs_is_unwell_unless_it_was_kept_waiting() {
    let broken = || said(Turn::fault(Fault::Broken));
    for (seconds, expected) in [(0, true), (29, true), (30, false)] {
        let (ends, rests) = five(broken, &patient(), Duration::from_secs(seconds)).await;
        assert!(ends.into_iter().all(|end| end.unwrap_err().kind() == Kind::BrokenOff));
        assert_eq!(rests, expected, "{seconds} s");
    }
    let (_, rests) = five(|| said(Turn::hang()), &patient(), Duration::from_mins(5)).await;
    assert!(rests, "it had all the time of its call");
}

/// Streams of five pieces that break off, whose reader is away once before the second: whether the model rests then.
async fn left_once(fault: Fault, ahead: Duration) -> bool {
    let rules = with(BreakerRules::default(), |rules| rules.window = Duration::from_hours(24));
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let client = Arc::new(Buffered(fault, ahead));
    let router = builder(ledger).with_client("a", client).with_breakers(rules).build().unwrap();
    for _ in 0..5 {
        let mut answering = router.stream(&patient(), &CancellationToken::new()).await.unwrap();
        sleep(Duration::from_mins(5)).await;
        while answering.next().await.unwrap().is_ok() {}
    }
    router.plan(&super::request()).unwrap().decision.situation.resting.contains(&ModelId::new("a1"))
}

/// Three pieces, each after so long, and then a fault.
#[derive(Debug)]
struct Buffered(Fault, Duration);

#[async_trait::async_trait]
impl LlmClient for Buffered {
    async fn complete(&self, _: &Call) -> Result<Reply, ClientError> {
        Err(ClientError::new(Fault::Unsupported))
    }

    async fn stream(&self, _: &Call) -> Result<Pieces, ClientError> {
        let (fault, ahead) = (self.0.clone(), self.1);
        Ok(Pieces::new(futures_util::stream::unfold(0, move |said| {
            let fault = fault.clone();
            async move {
                if said > 0 && said < 3 {
                    sleep(ahead).await;
                }
                let piece = if said < 3 { Ok(Piece::Text("a".into())) } else { Err(ClientError::new(fault)) };
                (said < 4).then_some((piece, said + 1))
            }
        })))
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_left_alone_once_may_be_cut_after_all_that_it_had_said_was_read() {
    for fault in [Fault::Broken, Fault::Timeout] {
        assert!(!left_once(fault.clone(), Duration::ZERO).await, "{fault:?}");
        // Bytes on their way from the system to us.
        assert!(!left_once(fault.clone(), Duration::from_millis(10)).await, "{fault:?}");
        assert!(left_once(fault.clone(), Duration::from_secs(1)).await, "it had gone on since then: {fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_hangs_is_found_by_a_reader_that_never_waits_for_long() {
    let request = with(request(), |request| request.timeout = Duration::from_mins(1));
    let rules = with(BreakerRules::default(), |rules| rules.window = Duration::from_hours(24));
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let turns = (0..5).map(|_| said(Turn::hang()));
    let rig = Rig::with(ledger, turns, [], |builder| builder.with_breakers(rules));
    for _ in 0..5 {
        let mut answering = rig.router.stream(&request, &CancellationToken::new()).await.unwrap();
        while !matches!(tokio::time::timeout(Duration::from_secs(1), answering.next()).await, Ok(Some(Err(_)))) {}
    }
    assert!(rig.router.plan(&super::request()).unwrap().decision.situation.resting.contains(&ModelId::new("a1")));
}

/// Each future of a part is polled once, and then when the reader has time.
#[tokio::test(start_paused = true)]
async fn a_future_of_a_part_that_is_held_and_not_polled_is_the_readers_time() {
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let router = builder(ledger).with_client("a", Arc::new(Talker)).build().unwrap();
    let mut answering = router.stream(&patient(), &CancellationToken::new()).await.unwrap();
    answering.next().await.unwrap().unwrap();
    for _ in 0..10 {
        let mut next = Box::pin(answering.next());
        assert!(std::future::poll_fn(|context| Poll::Ready(next.as_mut().poll(context).is_pending())).await);
        sleep(Duration::from_mins(5)).await;
        next.await.unwrap().unwrap();
    }
    let error = loop {
        if let Err(error) = answering.next().await.unwrap() {
            break error;
        }
    };
    assert_eq!((error.kind(), error.attempts()[0].took), (Kind::BrokenOff, Duration::from_mins(2)));
}

#[tokio::test(start_paused = true)]
async fn a_call_has_all_its_time_however_slowly_it_is_read() {
    let rig = Rig::new([said(Turn::hang())], []);
    let mut answering = rig.router.stream(&patient(), &CancellationToken::new()).await.unwrap();
    for _ in 0..2 {
        sleep(Duration::from_mins(10)).await;
        answering.next().await.unwrap().unwrap();
    }
    // A reader that looks in now and then waits for the model while it does, and does not in between.
    for _ in 0..3 {
        let looked = tokio::time::timeout(Duration::from_secs(30), answering.next()).await;
        assert!(looked.is_err());
        sleep(Duration::from_mins(3)).await;
    }
    let began = Instant::now();
    let error = answering.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), began.elapsed()), (Kind::BrokenOff, Duration::from_secs(30)));
    assert_eq!(error.attempts()[0].took, Duration::from_mins(2));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_future_of_a_part_loses_nothing_while_its_call_is_settled() {
    let slow = Arc::new(Fated::new([(Op::Settle, Fate::Slow(Duration::from_secs(3)))]));
    let rig = Rig::with(slow.clone(), [said(ok())], [], |builder| builder);
    let mut answering = rig.router.stream(&request(), &CancellationToken::new()).await.unwrap();
    for _ in 0..2 {
        answering.next().await.unwrap().unwrap();
    }
    for _ in 0..2 {
        assert!(tokio::time::timeout(Duration::from_secs(1), answering.next()).await.is_err());
    }
    let Some(Ok(Part::End(outcome))) = answering.next().await else { panic!("no end") };
    assert_eq!((outcome.spent(), outcome.attempts.len(), outcome.attempts[0].took), (cost(), 1, Duration::ZERO));
    assert_eq!((rig.money().await, slow.settlements.lock().unwrap().len()), ((Usd::ZERO, cost()), 1));
    assert!(answering.next().await.is_none());
}

/// Says a word each second and never stops.
#[derive(Debug)]
struct Talker;

#[async_trait::async_trait]
impl LlmClient for Talker {
    async fn complete(&self, _: &Call) -> Result<Reply, ClientError> {
        Err(ClientError::new(Fault::Unsupported))
    }

    async fn stream(&self, _: &Call) -> Result<Pieces, ClientError> {
        Ok(Pieces::new(futures_util::stream::unfold((), async |()| {
            sleep(Duration::from_secs(1)).await;
            Some((Ok(Piece::Text("a".into())), ()))
        })))
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_stops_talking_is_stopped_by_the_time_of_its_call() {
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let router = builder(ledger.clone()).with_client("a", Arc::new(Talker)).build().unwrap();
    let mut answering = router.stream(&request(), &CancellationToken::new()).await.unwrap();
    let mut words = 0;
    let error = loop {
        match answering.next().await.unwrap() {
            Ok(_) => words += 1,
            Err(error) => break error,
        }
    };
    assert!((118..=120).contains(&words), "{words}");
    let balance = ledger.balance(&tenant(), Month::of(now())).await.unwrap();
    assert_eq!((error.kind(), balance.held, balance.settled), (Kind::BrokenOff, BOUND, Usd::ZERO));
}
