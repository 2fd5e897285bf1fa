//! Chat Completions.

use super::*;
use atlas_router::call::{Billed, Fault, Reason, classify};
use atlas_router::catalogue::Effort;
use atlas_router::client::{Finish, LlmClient as _, Reply};
use atlas_router::cost::{CacheTime, ServiceTier, TokenUsage};
use serde_json::json;
use std::time::Duration;

const REPLY: &str = include_str!("golden/openai_reply.json");

/// The reply to a body, with its choice or a part of it replaced.
async fn read(body: &str) -> Result<Reply, Fault> {
    let server = Server::saying(200, "", body).await;
    openai(&server, Dialect::OpenAi).complete(&call()).await.map_err(|error| error.fault().clone())
}

#[tokio::test]
async fn a_call_is_sent_as_the_golden_request_and_its_reply_read_as_billed() {
    let server = Server::saying(200, "Content-Type: application/json\r\nx-request-id: req_7\r\n", REPLY).await;
    let reply = openai(&server, Dialect::OpenAi).complete(&call()).await.unwrap();
    let asked = &server.asked()[0];
    assert!(asked.head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{}", asked.head);
    assert_eq!(asked.header("authorization"), Some("Bearer sk-test-0123456789"));
    assert_eq!(asked.header("idempotency-key"), Some("00ff"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    same(&asked.body, include_str!("golden/openai_request.json"));
    assert_eq!(reply.text, r#"{"colour":"green","sure":null}"#);
    assert_eq!((reply.finish, reply.request_id.as_deref()), (Finish::Stop, Some("req_7")));
    assert_eq!((reply.service_tier.as_deref(), reply.model.as_deref()), (Some("default"), Some("m-1-2026-11-01")));
    let usage =
        TokenUsage { input: 76, cached: 1024, cache_write: 100, output: 26, reasoning: 64, ..TokenUsage::default() };
    assert_eq!(reply.usage, Some(usage));
}

#[tokio::test]
async fn what_a_dialect_does_not_know_is_not_sent_or_refused_before_it_leaves() {
    let server = Server::saying(200, "", include_str!("golden/llamacpp_reply.json")).await;
    let mut call = call();
    call.format = Format::JsonObject;
    let reply = openai(&server, Dialect::Compatible).complete(&call).await.unwrap();
    assert_eq!((reply.text.as_str(), reply.finish), ("Green is a", Finish::Length));
    assert_eq!(reply.usage, Some(TokenUsage { input: 46, output: 3, ..TokenUsage::default() }));
    openai(&server, Dialect::Legacy).complete(&call).await.unwrap();
    call.effort = Some(Effort::Xhigh);
    call.cache_time = CacheTime::Long;
    openai(&server, Dialect::OpenAi).complete(&call).await.unwrap();
    let bodies: Vec<serde_json::Value> =
        server.asked().iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    assert_eq!((&bodies[0]["max_completion_tokens"], bodies[0].get("service_tier")), (&64.into(), None));
    assert_eq!((&bodies[1]["max_tokens"], bodies[1].get("max_completion_tokens")), (&64.into(), None));
    assert_eq!(
        (&bodies[2]["reasoning_effort"], &bodies[2]["prompt_cache_retention"]),
        (&"xhigh".into(), &"24h".into())
    );
    let error = openai(&server, Dialect::Compatible).complete(&call).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Unsupported);
    (call.cache_time, call.service_tier) = (CacheTime::Short, ServiceTier::Named("priority".into()));
    let error = openai(&server, Dialect::Compatible).complete(&call).await.unwrap_err();
    assert_eq!((error.fault(), server.asked().len()), (&Fault::Unsupported, 3));
}

#[tokio::test]
async fn servers_that_follow_no_reference_to_the_whole_of_a_schema_get_one_to_a_copy_of_it() {
    // A property may have any name, and data may look like a reference.
    let schema = json!({
        "type": "object",
        "properties": { "$ref": { "const": "#" }, "default": { "$ref": "#" }, "next": { "anyOf": [{ "$ref": "#" }, { "type": "null" }] } },
        "required": ["$ref", "next"],
        "additionalProperties": false,
        "default": { "$ref": "#" },
        "$defs": { "root0": { "type": "array", "items": { "$ref": "#" } } },
    });
    let server = Server::saying(200, "", REPLY).await;
    let mut call = call();
    call.format = Format::JsonSchema(JsonSchema::loose("chain", schema.clone()).unwrap());
    for dialect in [Dialect::OpenAi, Dialect::Compatible, Dialect::Legacy] {
        openai(&server, dialect).complete(&call).await.unwrap();
    }
    let sent = server.asked().into_iter().map(|asked| serde_json::from_str::<serde_json::Value>(&asked.body).unwrap());
    let sent: Vec<_> = sent.map(|body| body["response_format"]["json_schema"]["schema"].clone()).collect();
    assert_eq!((&sent[0], &sent[1]), (&schema, &sent[2]));
    let next = json!({ "anyOf": [{ "$ref": "#/$defs/root1" }, { "type": "null" }] });
    let copy = &sent[1]["$defs"]["root1"];
    assert_eq!((&sent[1]["properties"]["next"], &copy["properties"]["next"]), (&next, &next));
    assert_eq!(sent[1]["$defs"]["root0"]["items"]["$ref"], "#/$defs/root1");
    assert_eq!(sent[1]["properties"]["default"]["$ref"], "#/$defs/root1");
    assert_eq!((copy.get("$defs"), &copy["default"]["$ref"]), (None, &"#".into()));
}

#[tokio::test]
async fn refusals_length_stops_and_filters_are_told_apart() {
    let stop = r#""finish_reason": "stop""#;
    for (finish, want) in
        [("length", Finish::Length), ("content_filter", Finish::Filtered), ("tool_calls", Finish::Other)]
    {
        let reply = read(&REPLY.replace(stop, &format!(r#""finish_reason": "{finish}""#))).await.unwrap();
        assert_eq!(reply.finish, want);
    }
    let reply = read(&REPLY.replace(r#""refusal": null"#, r#""refusal": "I can't.""#)).await.unwrap();
    assert_eq!((reply.finish, reply.text.as_str()), (Finish::Refused, "I can't."));
    assert!(reply.usage.is_some(), "a refusal is billed");
}

#[tokio::test]
async fn usage_that_is_absent_or_none_is_not_guessed() {
    for usage in [
        r#""usage": null, "was""#,
        r#""usage": {}, "was""#,
        r#""usage": {"prompt_tokens": -1, "completion_tokens": 2}, "was""#,
        r#""was""#,
    ] {
        let reply = read(&REPLY.replace(r#""usage""#, usage)).await.unwrap();
        assert_eq!(reply.usage, None, "{usage}");
    }
}

#[tokio::test]
async fn a_reply_without_a_choice_is_garbled_and_its_usage_kept() {
    let body = REPLY.replace(r#""choices""#, r#""other""#);
    let server = Server::saying(200, "", &body).await;
    let error = openai(&server, Dialect::OpenAi).complete(&call()).await.unwrap_err();
    assert_eq!(error.fault(), &Fault::Garbled);
    assert_eq!(error.usage().unwrap().completion(), 90);
}

#[tokio::test]
async fn errors_of_providers_are_read_by_code_type_and_header() {
    let llamacpp = r#"{"error":{"code":400,"message":"Ada","type":"exceed_context_size_error","n_ctx":8192}}"#;
    let quota = r#"{"error":{"message":"Ada","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#;
    let rows: [(u16, &str, &str, Reason, Option<u64>); 9] = [
        (
            429,
            "retry-after-ms: 1500\r\nretry-after: 9\r\n",
            r#"{"error":{"code":"rate_limit_exceeded"}}"#,
            Reason::RateLimited,
            Some(1500),
        ),
        (429, "Retry-After: 2\r\n", "<html>slow down</html>", Reason::RateLimited, Some(2000)),
        (
            429,
            "Date: Thu, 26 Nov 2026 12:00:00 GMT\r\nRetry-After: Thu, 26 Nov 2026 12:00:30 GMT\r\n",
            "",
            Reason::RateLimited,
            Some(30_000),
        ),
        (429, "retry-after: 5\r\n", quota, Reason::Quota, Some(5000)),
        (400, "", llamacpp, Reason::TooLong, None),
        (401, "", r#"{"error":"no key"}"#, Reason::Authentication, None),
        (503, "", "[1]", Reason::Overloaded, None),
        (200, "", r#"{"error":{"code":429,"message":"Ada"}}"#, Reason::RateLimited, None),
        (200, "", quota, Reason::Quota, None),
    ];
    for (status, headers, body, reason, wait) in rows {
        let server = Server::saying(status, headers, body).await;
        let error = openai(&server, Dialect::OpenAi).complete(&call()).await.unwrap_err();
        assert_eq!(classify(error.fault()).reason, reason, "{status} {body}");
        let billed = if status == 200 { Billed::Unknown } else { Billed::Nothing };
        assert_eq!(classify(error.fault()).billed, billed, "{status} {body}");
        assert_eq!(error.retry_after(), wait.map(Duration::from_millis), "{status} {body}");
        assert_eq!(server.asked().len(), 1, "no retries inside");
        assert!(!format!("{error:?} {error}").contains("Ada"));
    }
}

#[tokio::test]
async fn an_error_within_a_success_is_paid_by_its_usage() {
    let usage = r#""usage":{"prompt_tokens":20,"completion_tokens":5}"#;
    let server = Server::saying(200, "", &format!(r#"{{"error":{{"code":429,"message":"Ada"}},{usage}}}"#)).await;
    let error = openai(&server, Dialect::OpenAi).complete(&call()).await.unwrap_err();
    assert_eq!(error.usage(), Some(TokenUsage { input: 20, output: 5, ..TokenUsage::default() }));
    assert!(error.to_string().contains("status 200, meaning 429"), "{error}");
    let usage = r#""usage":{"input_tokens":20,"output_tokens":5}"#;
    let server = Server::saying(200, "", &format!(r#"{{"error":{{"type":"api_error"}},{usage}}}"#)).await;
    let error = anthropic(&server).complete(&call()).await.unwrap_err();
    assert_eq!(error.usage(), Some(TokenUsage { input: 20, output: 5, ..TokenUsage::default() }));
    assert_eq!(classify(error.fault()).billed, Billed::Unknown);
}

#[derive(Debug)]
struct Noon;

impl atlas_router::run::Clock for Noon {
    fn now(&self) -> atlas_schema::Timestamp {
        atlas_schema::Timestamp::from_millis(1_795_694_400_000).unwrap()
    }
}

#[tokio::test]
async fn a_governed_call_is_held_sent_and_settled_by_the_usage_of_the_answer() {
    use atlas_router::ledger::{BudgetLedger as _, MemoryLedger, Month, Scope};
    use atlas_router::run::{Clock as _, Request, Router};
    use atlas_router::select::Task;
    use atlas_schema::{Stage, Usd};
    use std::sync::Arc;

    let server = Server::saying(200, "", REPLY).await;
    let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
    let router = Router::builder(crate::built_in(), ledger.clone())
        .with_client("openai", Arc::new(openai(&server, Dialect::OpenAi)))
        .with_clock(Arc::new(Noon))
        .build()
        .unwrap();
    let words = vec![Message::user("What colour is grass? ".repeat(400))];
    let task = Task::new("name a colour").wanting("gpt-6-luna");
    let mut request = Request::new(task, words, 200, vec![Scope::Stage(Stage::Dev)]);
    request.temperature = Some(Temperature::ZERO);
    let outcome = router.run(&request, &tokio_util::sync::CancellationToken::new()).await.unwrap();
    // 76 at $0.1, 1024 cached at $0.01, 100 written at $0.125 and 90 of reply at $0.5, all per million.
    let cost = Usd::from_nanos(7_600 + 10_240 + 12_500 + 45_000);
    assert_eq!(outcome.spent(), cost);
    let balance = ledger.balance(&Scope::Stage(Stage::Dev), Month::of(Noon.now())).await.unwrap();
    assert_eq!((balance.held, balance.settled), (Usd::ZERO, cost));
    let body: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!((body.get("temperature"), &body["max_completion_tokens"]), (None, &200.into()), "luna reasons");
}
