//! Tapes: what was recorded is replayed, and what must not be on them is not.

use atlas_router::call::{Answer, Fault};
use atlas_router::client::{Call, Cassette, CassetteError, LlmClient, Message, Reply, ScriptedLlm, Turn};
use atlas_router::cost::TokenUsage;
use std::sync::Arc;
use std::time::Duration;

const USAGE: TokenUsage =
    TokenUsage { input: 8, cached: 0, cache_write: 0, cache_write_long: 0, output: 5, reasoning: 0, web_searches: 0 };

fn call(words: &str) -> Call {
    Call::new("m".into(), vec![Message::user(words)], 100)
}

fn script() -> Vec<Turn> {
    let quota = Fault::Answered(Answer::new(429).with_code("slow_down"));
    vec![
        Turn::fault(quota).retry_after(Duration::from_millis(1500)).billing(USAGE),
        Turn::text("first", 8, 5),
        Turn::text("second", 8, 5),
    ]
}

async fn end(client: &dyn LlmClient, words: &str) -> Result<Reply, (Fault, Option<Duration>, Option<TokenUsage>)> {
    let mut call = call(words);
    call.idempotency_key = Some(format!("{:p}", &raw const call));
    let end = client.complete(&call).await;
    end.map_err(|error| (error.fault().clone(), error.retry_after(), error.usage()))
}

#[tokio::test]
async fn what_was_recorded_is_replayed_in_its_order_and_once() {
    let cassette = Cassette::new();
    let recorder = cassette.recorder(Arc::new(ScriptedLlm::new(script())));
    let mut recorded = Vec::new();
    for words in ["same", "same", "other"] {
        recorded.push(end(&recorder, words).await);
    }
    let player = Cassette::from_json(&cassette.to_json()).unwrap().player();
    assert_eq!(player.left(), 3);
    // Other calls in between change nothing, and neither do the keys.
    assert_eq!(end(&player, "other").await, recorded[2]);
    assert_eq!(end(&player, "same").await, recorded[0]);
    assert_eq!(end(&player, "same").await, recorded[1]);
    for words in ["same", "never said"] {
        assert_eq!(end(&player, words).await, Err((Fault::Unsupported, None, None)), "{words}");
    }
    assert_eq!(player.left(), 0);
}

#[tokio::test]
async fn a_call_that_asks_for_something_else_is_another_call() {
    let cassette = Cassette::new();
    end(&cassette.recorder(Arc::new(ScriptedLlm::new([Turn::text("hi", 8, 5)]))), "a").await.unwrap();
    let player = cassette.player();
    let mut other = call("a");
    other.output_cap += 1;
    assert_eq!(player.complete(&other).await.unwrap_err().fault(), &Fault::Unsupported);
    assert_eq!(player.complete(&call("a")).await.unwrap().text, "hi");
}

#[tokio::test]
async fn neither_prompts_nor_named_secrets_are_on_a_tape_and_the_caller_still_gets_them() {
    let cassette = Cassette::new();
    let reply = Reply::new("the password is hunter2", Some(USAGE)).with_request_id(Some("req_hunter2".into()));
    let recorder = cassette.recorder(Arc::new(ScriptedLlm::new([Turn::reply(reply)]))).without("hunter2").without("");
    assert_eq!(end(&recorder, "I am Ada").await.unwrap().text, "the password is hunter2");
    let tape = cassette.to_json();
    assert!(!tape.contains("Ada") && !tape.contains("hunter2"), "{tape}");
    assert!(!format!("{recorder:?} {cassette:?} {:?}", cassette.player()).contains("hunter2"));
    let replayed = cassette.player().complete(&call("I am Ada")).await.unwrap();
    assert_eq!((replayed.text.as_str(), replayed.usage), ("the password is [REMOVED]", Some(USAGE)));
}

#[test]
fn a_text_that_is_no_tape_is_refused_by_its_place_and_its_version() {
    let refused = |text: &str| Cassette::from_json(text).unwrap_err();
    assert!(matches!(refused(""), CassetteError::Malformed { line: 1, .. }));
    assert!(matches!(refused("{\"version\": 1,\n\"entries\": [{}]}"), CassetteError::Malformed { line: 2, .. }));
    assert!(matches!(refused(r#"{"version": 1, "entries": [], "more": 1}"#), CassetteError::Malformed { .. }));
    assert!(matches!(refused(r#"{"version": 2, "tracks": []}"#), CassetteError::Version { version: 2 }));
    assert_eq!(Cassette::from_json(&Cassette::new().to_json()).unwrap().player().left(), 0);
}
