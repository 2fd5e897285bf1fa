//! Messages.

use super::*;
use atlas_router::call::{Fault, Reason, classify};
use atlas_router::client::{Finish, LlmClient as _};
use atlas_router::cost::{CacheTime, ServiceTier, TokenUsage};

const REPLY: &str = include_str!("golden/anthropic_reply.json");

#[tokio::test]
async fn a_call_is_sent_as_the_golden_request_and_its_reply_read_as_billed() {
    let server = Server::saying(200, "request-id: req_011\r\n", REPLY).await;
    let reply = anthropic(&server).complete(&call()).await.unwrap();
    let asked = &server.asked()[0];
    assert!(asked.head.starts_with("POST /v1/messages HTTP/1.1"), "{}", asked.head);
    assert_eq!(asked.header("x-api-key"), Some(KEY));
    assert_eq!((asked.header("anthropic-version"), asked.header("authorization")), (Some("2023-06-01"), None));
    same(&asked.body, include_str!("golden/anthropic_request.json"));
    assert_eq!(reply.text, r#"{"colour":"green","sure":true}"#);
    assert_eq!((reply.finish, reply.request_id.as_deref()), (Finish::Stop, Some("req_011")));
    assert_eq!(reply.service_tier.as_deref(), Some("standard"));
    let usage = TokenUsage { input: 76, cached: 1024, cache_write: 100, output: 26, ..TokenUsage::default() };
    assert_eq!(reply.usage, Some(usage), "its prompt's count leaves the cache out");
}

#[tokio::test]
async fn ends_are_told_apart() {
    for (reason, want) in [("max_tokens", Finish::Length), ("refusal", Finish::Refused), ("pause_turn", Finish::Other)]
    {
        let server = Server::saying(200, "", &REPLY.replace("end_turn", reason)).await;
        assert_eq!(anthropic(&server).complete(&call()).await.unwrap().finish, want);
    }
}

#[tokio::test]
async fn what_it_can_not_say_is_refused_before_it_leaves() {
    let server = Server::saying(200, "", REPLY).await;
    let changes: [fn(&mut Call); 5] = [
        |call| call.format = Format::JsonObject,
        |call| call.temperature = Temperature::from_thousandths(1001),
        |call| call.service_tier = ServiceTier::Named("priority".into()),
        |call| call.cache_time = CacheTime::Long,
        |call| call.format = Format::JsonSchema(JsonSchema::loose("a", serde_json::json!({})).unwrap()),
    ];
    for change in changes {
        let mut call = call();
        change(&mut call);
        assert_eq!(anthropic(&server).complete(&call).await.unwrap_err().fault(), &Fault::Unsupported);
    }
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn its_errors_are_read_by_type() {
    for (status, kind, reason) in [
        (529, "overloaded_error", Reason::Overloaded),
        (429, "rate_limit_error", Reason::RateLimited),
        (404, "not_found_error", Reason::NoSuchModel),
        (401, "authentication_error", Reason::Authentication),
        (400, "invalid_request_error", Reason::Malformed),
        (402, "billing_error", Reason::Quota),
    ] {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"m"}},"request_id":"req_1"}}"#);
        let server = Server::saying(status, "", &body).await;
        let error = anthropic(&server).complete(&call()).await.unwrap_err();
        assert_eq!(classify(error.fault()).reason, reason, "{kind}");
    }
}
