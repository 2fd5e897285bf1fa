//! Replies that no caller can use, through everything: a typed error, and the money booked.

use super::server::{events, response};
use super::*;
use atlas_router::call::{Fault, GiveUp, Limits};
use atlas_router::ledger::{Balance, BudgetLedger as _, MemoryLedger, Month, Scope};
use atlas_router::run::{AskOptions, Charge, Clock, End, Kind, Part, Request, Router, RunError};
use atlas_router::select::Task;
use atlas_router::structured::{Shape, Why};
use atlas_schema::{Stage, Usd};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> atlas_schema::Timestamp {
        atlas_schema::Timestamp::from_millis(1_795_694_400_000).unwrap()
    }
}

/// A router that makes one call, of one model behind that server.
struct Rig {
    router: Router,
    ledger: Arc<MemoryLedger>,
    request: Request,
    server: Server,
}

impl Rig {
    async fn new(say: Say) -> Self {
        let server = Server::start(say).await;
        let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
        let router = Router::builder(crate::built_in(), ledger.clone())
            .with_client("openai", Arc::new(openai(&server, Dialect::OpenAi)))
            .with_clock(Arc::new(Noon))
            .with_limits(crate::with(Limits::default(), |limits| limits.attempts = 1))
            .build()
            .unwrap();
        let words = vec![Message::user("What colour is grass?")];
        let task = Task::new("name a colour").wanting("gpt-6-luna");
        let request = Request::new(task, words, 200, vec![Scope::Stage(Stage::Dev)]);
        Self { router, ledger, request, server }
    }

    async fn ask(&self) -> RunError {
        let Format::JsonSchema(schema) = call().format else { unreachable!() };
        let once = crate::with(AskOptions::default(), |options| options.asks = 1);
        let shape = Shape::new(schema).unwrap();
        self.router.ask(&self.request, &shape, once, &CancellationToken::new()).await.unwrap_err()
    }

    async fn balance(&self) -> Balance {
        self.ledger.balance(&Scope::Stage(Stage::Dev), Month::of(Noon.now())).await.unwrap()
    }
}

/// A whole answer with those words, of 10 tokens and 5.
fn says(words: &str) -> Say {
    let body = serde_json::json!({
        "choices": [{ "message": { "content": words }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5 },
    });
    response(200, "Content-Type: application/json\r\n", body.to_string().as_bytes())
}

#[tokio::test]
async fn bad_input_62_replies_that_can_not_be_used_are_typed_errors_and_their_cost_is_booked() {
    // No JSON, and keys that nobody asked for: the provider has billed them.
    for (words, is_read) in [("Grass is green.", false), (r#"{"colour":"green","sure":true,"more":1}"#, true)] {
        let rig = Rig::new(says(words)).await;
        let error = rig.ask().await;
        assert_eq!(error.kind(), Kind::Unusable, "{words}");
        let rejected: &atlas_router::structured::Rejected =
            std::error::Error::source(&error).unwrap().downcast_ref().unwrap();
        assert_eq!(matches!(rejected.why, Why::Unfit { .. }), is_read, "{words}");
        // 10 tokens at $0.1 and 5 at $0.5 per million.
        let (balance, cost) = (rig.balance().await, Usd::from_nanos(1000 + 2500));
        assert_eq!((error.spent(), balance.settled, balance.held), (cost, cost, Usd::ZERO), "{words}");
    }
    // 10 MB, and a success with an error in it: nobody knows what they cost.
    let large = says(&"x".repeat(10_000_000));
    let failed = response(200, "", br#"{"error":{"code":"server_error"}}"#);
    for (say, fault) in [(large, Some(Fault::TooLarge)), (failed, None)] {
        let rig = Rig::new(say).await;
        let error = rig.ask().await;
        assert!(matches!(error.kind(), Kind::Stopped(GiveUp::Attempts | GiveUp::Models)), "{error}");
        let End::Failed { fault: told, .. } = &error.attempts()[0].end else { panic!("{error:?}") };
        assert!(fault.as_ref().is_none_or(|fault| fault == told), "{told}");
        let bound = error.attempts()[0].bound;
        assert_eq!((error.attempts()[0].charge, rig.balance().await.held), (Charge::Open(bound), bound));
    }
    // A stream that is cut.
    let piece = b"data: {\"choices\":[{\"delta\":{\"content\":\"{\"}}]}\n\n";
    let rig = Rig::new(events([piece.as_slice()], true)).await;
    let mut answering = rig.router.stream(&rig.request, &CancellationToken::new()).await.unwrap();
    assert!(matches!(answering.next().await, Some(Ok(Part::Text(text))) if text == "{"));
    let error = answering.next().await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.spent()), (Kind::BrokenOff, error.attempts()[0].bound));
    assert_eq!(rig.balance().await.held, error.spent());
}

#[tokio::test]
async fn bad_input_63_a_retry_after_of_ten_years_a_negative_one_and_a_date_are_capped() {
    let day = Duration::from_hours(24);
    for (header, wait) in [
        ("Retry-After: 315360000", Some(day)),
        ("Retry-After: 99999999999999999999999999", Some(day)),
        ("retry-after-ms: 315360000000", Some(day)),
        ("Retry-After: -5", None),
        ("Retry-After: soon", None),
        ("Date: Thu, 26 Nov 2026 12:00:00 GMT\r\nRetry-After: Wed, 26 Nov 2036 12:00:00 GMT", Some(day)),
        (
            "Date: Thu, 26 Nov 2026 12:00:00 GMT\r\nRetry-After: Thu, 26 Nov 2026 12:00:30 GMT",
            Some(Duration::from_secs(30)),
        ),
        ("Date: Thu, 26 Nov 2026 12:00:00 GMT\r\nRetry-After: Thu, 26 Nov 2026 11:00:00 GMT", Some(Duration::ZERO)),
    ] {
        let rig = Rig::new(response(429, &format!("{header}\r\n"), b"{}")).await;
        let error = rig.router.run(&rig.request, &CancellationToken::new()).await.unwrap_err();
        assert_eq!((error.retry_after(), rig.server.asked().len()), (wait, 1), "{header}");
        let balance = rig.balance().await;
        assert_eq!((error.spent(), balance.held, balance.settled), (Usd::ZERO, Usd::ZERO, Usd::ZERO), "{header}");
    }
}
