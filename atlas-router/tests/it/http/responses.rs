//! Responses.

use super::server::events;
use super::*;
use atlas_router::call::{Billed, Fault, Reason, classify};
use atlas_router::catalogue::Effort;
use atlas_router::client::{ClientError, Finish, LlmClient as _, Piece, Reply};
use atlas_router::cost::{CacheTime, ServiceTier, TokenUsage};

const REPLY: &str = include_str!("golden/responses_reply.json");

async fn read(body: &str) -> Result<Reply, ClientError> {
    openai(&Server::saying(200, "", body).await, Dialect::Responses).complete(&call()).await
}

/// A stream of those deltas and then the golden reply, changed, in an event of that name.
fn stream(kind: &str, deltas: &[(&str, &str)], change: impl Fn(&str) -> String) -> String {
    let deltas = deltas
        .iter()
        .map(|(kind, text)| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"delta\":{text:?}}}\n\n"));
    let whole: serde_json::Value = serde_json::from_str(&change(REPLY)).unwrap();
    let created =
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"status\":\"in_progress\"}}\n\n";
    format!(
        "{created}{}event: {kind}\ndata: {{\"type\":\"{kind}\",\"response\":{whole}}}\n\n",
        deltas.collect::<String>()
    )
}

async fn told(stream: &[u8], is_cut: bool) -> (String, Result<Reply, ClientError>) {
    let server = Server::start(events([stream], is_cut)).await;
    let mut pieces = openai(&server, Dialect::Responses).stream(&call()).await.unwrap();
    let mut texts = String::new();
    loop {
        match pieces.next().await.unwrap() {
            Ok(Piece::Text(text) | Piece::Refusal(text)) => texts.push_str(&text),
            Ok(Piece::End(reply)) => return (texts, Ok(*reply)),
            Ok(other) => panic!("{other:?}"),
            Err(error) => return (texts, Err(error)),
        }
    }
}

fn usage() -> TokenUsage {
    TokenUsage { input: 76, cached: 1024, cache_write: 100, output: 26, reasoning: 64, ..TokenUsage::default() }
}

#[tokio::test]
async fn a_call_is_sent_as_the_golden_request_and_its_reply_read_as_billed() {
    let server = Server::saying(200, "x-request-id: req_7\r\n", REPLY).await;
    let reply = openai(&server, Dialect::Responses).complete(&call()).await.unwrap();
    let asked = &server.asked()[0];
    assert!(asked.head.starts_with("POST /v1/responses HTTP/1.1"), "{}", asked.head);
    assert_eq!(asked.header("idempotency-key"), Some("00ff"));
    same(&asked.body, include_str!("golden/responses_request.json"));
    assert_eq!((reply.text.as_str(), reply.finish), (r#"{"colour":"green","sure":null}"#, Finish::Stop));
    assert_eq!((reply.usage, reply.request_id.as_deref()), (Some(usage()), Some("req_7")));
    assert_eq!((reply.service_tier.as_deref(), reply.model.as_deref()), (Some("default"), Some("m-1-2026-11-01")));
}

#[tokio::test]
async fn efforts_tiers_cache_times_and_loose_formats_are_said_in_its_words() {
    let server = Server::saying(200, "", REPLY).await;
    let mut call = call();
    (call.effort, call.cache_time) = (Some(Effort::Xhigh), CacheTime::Long);
    call.service_tier = ServiceTier::Named("priority".into());
    call.format = Format::JsonObject;
    openai(&server, Dialect::Responses).complete(&call).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!((&body["reasoning"]["effort"], &body["prompt_cache_retention"]), (&"xhigh".into(), &"24h".into()));
    assert_eq!((&body["service_tier"], &body["text"]["format"]["type"]), (&"priority".into(), &"json_object".into()));
    assert_eq!((body.get("n"), body.get("reasoning_effort"), body.get("response_format")), (None, None, None));
}

#[tokio::test]
async fn a_model_is_asked_nothing_that_its_row_of_the_catalogue_does_not_allow() {
    use atlas_router::ledger::{MemoryLedger, Scope};
    use atlas_router::run::{Request, Router};
    use atlas_router::select::Task;
    use atlas_schema::Stage;
    use std::sync::Arc;

    let server = Server::saying(200, "", REPLY).await;
    let router = Router::builder(crate::built_in(), Arc::new(MemoryLedger::new(Stage::Dev)))
        .with_client("openai", Arc::new(openai(&server, Dialect::Responses)))
        .build()
        .unwrap();
    let task = Task::new("name a colour").wanting("gpt-6-luna");
    let mut request = Request::new(task, vec![Message::user("x".repeat(20_000))], 200, vec![Scope::Stage(Stage::Dev)]);
    request.temperature = Some(Temperature::ZERO);
    for (effort, sent) in [(None, false), (Some(Effort::None), true)] {
        request.effort = effort;
        router.run(&request, &tokio_util::sync::CancellationToken::new()).await.unwrap();
        let body: serde_json::Value = serde_json::from_str(&server.asked().last().unwrap().body).unwrap();
        assert_eq!(body.get("temperature").is_some(), sent, "luna takes one only when it does not reason");
        assert_eq!(body.pointer("/reasoning/effort").is_some(), sent);
    }
}

#[tokio::test]
async fn refusals_ends_and_failures_are_told_apart() {
    let refused = REPLY.replace(r#""type": "output_text", "text""#, r#""type": "refusal", "refusal""#);
    let reply = read(&refused).await.unwrap();
    assert_eq!((reply.finish, reply.text.is_empty(), reply.usage), (Finish::Refused, false, Some(usage())));
    for (reason, finish) in
        [("max_output_tokens", Finish::Length), ("content_filter", Finish::Filtered), ("x", Finish::Other)]
    {
        let body = REPLY
            .replacen(r#""status": "completed""#, r#""status": "incomplete""#, 1)
            .replace(r#""incomplete_details": null"#, &format!(r#""incomplete_details": {{ "reason": "{reason}" }}"#));
        assert_eq!(read(&body).await.unwrap().finish, finish);
    }
    let failed = REPLY
        .replacen(r#""status": "completed""#, r#""status": "failed""#, 1)
        .replace(r#""error": null"#, r#""error": { "code": "rate_limit_exceeded", "message": "Ada" }"#);
    let error = read(&failed).await.unwrap_err();
    assert_eq!((classify(error.fault()).reason, error.usage()), (Reason::RateLimited, Some(usage())));
    let silent = REPLY.replacen(r#""status": "completed""#, r#""status": "failed""#, 1);
    let error = read(&silent).await.unwrap_err();
    assert_eq!(
        (classify(error.fault()).reason, classify(error.fault()).billed),
        (Reason::ServerFault, Billed::Unknown)
    );
    let error = read(&REPLY.replace(r#""output""#, r#""was""#)).await.unwrap_err();
    assert_eq!((error.fault(), error.usage()), (&Fault::Garbled, Some(usage())));
}

#[tokio::test]
async fn a_reply_that_has_as_many_tokens_as_it_may_is_cut_even_if_it_is_called_completed() {
    let text = [("response.output_text.delta", "{}")];
    for (tokens, finish) in [(64, Finish::Length), (63, Finish::Stop)] {
        let count = |body: &str| body.replace(r#""output_tokens": 90"#, &format!(r#""output_tokens": {tokens}"#));
        assert_eq!(read(&count(REPLY)).await.unwrap().finish, finish);
        let streamed = stream("response.completed", &text, count);
        assert_eq!(told(streamed.as_bytes(), false).await.1.unwrap().finish, finish);
    }
}

#[tokio::test]
async fn a_stream_ends_with_the_whole_reply_and_is_broken_wherever_it_is_cut_before() {
    let text =
        [("response.output_text.delta", "{\"colour\":\"green\","), ("response.output_text.delta", "\"sure\":null}")];
    let whole = stream("response.completed", &text, str::to_owned);
    let (texts, reply) = told(whole.as_bytes(), false).await;
    let reply = reply.unwrap();
    assert_eq!((texts.as_str(), reply.finish, reply.usage), (reply.text.as_str(), Finish::Stop, Some(usage())));
    // Every byte of the others is cut in the tests of streams; here one of each event and the last ones.
    for at in (0..whole.len() - 2).step_by(97).chain(whole.len() - 5..whole.len() - 1) {
        let (_, end) = told(&whole.as_bytes()[..at], true).await;
        let error = end.unwrap_err();
        assert_eq!((error.fault(), error.usage()), (&Fault::Broken, None), "cut at {at}");
    }
    let refusal = [("response.refusal.delta", "I can't.")];
    let refused = stream("response.completed", &refusal, |body| {
        body.replace(r#""type": "output_text", "text""#, r#""type": "refusal", "refusal""#)
    });
    let (texts, reply) = told(refused.as_bytes(), false).await;
    assert_eq!((texts.as_str(), reply.unwrap().finish), ("I can't.", Finish::Refused));
    let cut = stream("response.incomplete", &text, |body| {
        body.replacen(r#""status": "completed""#, r#""status": "incomplete""#, 1)
            .replace(r#""incomplete_details": null"#, r#""incomplete_details": { "reason": "max_output_tokens" }"#)
    });
    assert_eq!(told(cut.as_bytes(), false).await.1.unwrap().finish, Finish::Length);
    let failed = stream("response.failed", &text, |body| {
        body.replace(r#""error": null"#, r#""error": { "code": "server_is_overloaded", "message": "Ada" }"#)
    });
    let (_, error) = told(failed.as_bytes(), false).await;
    let error = error.unwrap_err();
    assert_eq!((classify(error.fault()).reason, error.usage()), (Reason::Overloaded, Some(usage())));
    let garbled = stream("response.completed", &[], |body| body.replace(r#""output":"#, r#""was":"#));
    let error = told(garbled.as_bytes(), false).await.1.unwrap_err();
    assert_eq!((error.fault(), error.usage()), (&Fault::Garbled, Some(usage())));
}

#[tokio::test]
async fn a_stream_whose_end_has_no_output_ends_with_what_came_before() {
    for output in [r#""was":"#, r#""output": [], "was":"#] {
        let bare = |body: &str| body.replace(r#""output":"#, output);
        let texts = [("response.output_text.delta", "{\"a\":"), ("response.output_text.delta", "1}")];
        let whole = stream("response.completed", &texts, bare)
            .replace("event: response.completed", "data: \n\nevent: response.completed");
        let reply = told(whole.as_bytes(), false).await.1.unwrap();
        assert_eq!((reply.text.as_str(), reply.finish, reply.usage), ("{\"a\":1}", Finish::Stop, Some(usage())));
        let refused = stream("response.completed", &[("response.refusal.delta", "I can't.")], bare);
        let reply = told(refused.as_bytes(), false).await.1.unwrap();
        assert_eq!((reply.text.as_str(), reply.finish), ("I can't.", Finish::Refused));
    }
}

#[tokio::test]
async fn a_cap_that_the_api_refuses_is_not_sent() {
    let server = Server::saying(200, "", REPLY).await;
    let mut call = call();
    call.output_cap = 15;
    let error = openai(&server, Dialect::Responses).complete(&call).await.unwrap_err();
    assert_eq!((error.fault(), server.asked().len()), (&Fault::Unsupported, 0));
}
