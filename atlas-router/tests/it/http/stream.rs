//! Replies as they come: events however they are cut, and what a stream that ends too early costs.

use super::server::events;
use super::*;
use atlas_router::call::{Billed, Fault, Reason, classify};
use atlas_router::client::{ClientError, Finish, LlmClient, Piece, Reply};
use atlas_router::cost::TokenUsage;

const CHAT: &str = "data: {\"model\":\"m-1\",\"service_tier\":\"default\",\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n\
data: {\"choices\":[{\"delta\":{\"content\":\"grün \"}}]}\r\n\r\n\
: still here\n\
data: {\"choices\":[{\"delta\":{\"content\":\"is\"}}],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":1}}\r\r\
data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
data: {\"choices\":[],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n\
data: [DONE]\n\n";

const MESSAGES: &str = "data: {\"type\":\"message_start\",\"message\":{\"model\":\"m-1\",\"usage\":{\"input_tokens\":16,\"cache_read_input_tokens\":4,\"output_tokens\":1,\"service_tier\":\"standard\"}}}\n\n\
data: {\"type\":\"content_block_start\",\"content_block\":{\"text\":\"\"}}\n\n\
data: {\"type\":\"ping\"}\n\n\
data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"grün \"}}\n\n\
data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"is\"}}\n\n\
data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n\
data: {\"type\":\"message_stop\"}\n\n";

/// The end of either.
fn usage() -> TokenUsage {
    TokenUsage { input: 16, cached: 4, output: 5, ..TokenUsage::default() }
}

/// What a client gives for what a server says: the texts, and how they end.
async fn told(client: &dyn LlmClient) -> (Vec<String>, Result<Reply, ClientError>) {
    let mut texts = Vec::new();
    let mut pieces = match client.stream(&call()).await {
        Ok(pieces) => pieces,
        Err(error) => return (texts, Err(error)),
    };
    let end = loop {
        match pieces.next().await.expect("an end or an error comes last") {
            Ok(Piece::Text(text) | Piece::Refusal(text)) => texts.push(text),
            Ok(Piece::End(reply)) => break Ok(*reply),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break Err(error),
        }
    };
    assert!(pieces.next().await.is_none(), "nothing comes after the last piece");
    (texts, end)
}

async fn chat(say: Say) -> (Vec<String>, Result<Reply, ClientError>) {
    let server = Server::start(say).await;
    told(&OpenAiClient::new(options(&server).with_max_bytes(100_000), Dialect::OpenAi).unwrap()).await
}

async fn messages(say: Say) -> (Vec<String>, Result<Reply, ClientError>) {
    told(&anthropic(&Server::start(say).await)).await
}

#[tokio::test]
async fn a_stream_is_asked_for_with_its_usage_and_read_as_the_reply_that_it_is() {
    let server = Server::start(events([CHAT.as_bytes()], false)).await;
    let (texts, reply) = told(&openai(&server, Dialect::OpenAi)).await;
    let reply = reply.unwrap();
    assert_eq!((texts, reply.text.as_str()), (vec!["grün ".to_owned(), "is".to_owned()], "grün is"));
    assert_eq!((reply.finish, reply.usage), (Finish::Stop, Some(usage())));
    assert_eq!((reply.service_tier.as_deref(), reply.model.as_deref()), (Some("default"), Some("m-1")));
    assert_eq!(reply.request_id.as_deref(), Some("req_7"));
    let body: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!((&body["stream"], &body["stream_options"]["include_usage"]), (&true.into(), &true.into()));
    told(&openai(&server, Dialect::Legacy)).await.1.unwrap();
    let body: serde_json::Value = serde_json::from_str(&server.asked()[1].body).unwrap();
    assert_eq!((&body["stream"], body.get("stream_options")), (&true.into(), None));

    let server = Server::start(events([MESSAGES.as_bytes()], false)).await;
    let (texts, reply) = told(&anthropic(&server)).await;
    let reply = reply.unwrap();
    assert_eq!((texts.concat(), reply.text.as_str()), ("grün is".to_owned(), "grün is"));
    assert_eq!((reply.finish, reply.usage), (Finish::Stop, Some(usage())));
    assert_eq!(reply.service_tier.as_deref(), Some("standard"));
    let body: serde_json::Value = serde_json::from_str(&server.asked()[0].body).unwrap();
    assert_eq!((&body["stream"], body.get("stream_options")), (&true.into(), None));
}

#[tokio::test]
async fn wherever_the_bytes_are_cut_in_two_and_byte_by_byte_the_reply_is_the_same() {
    /// Line ends of each kind, data in two lines, a comment, and a letter of two bytes.
    const SHORT: &str = "data: {\"choices\":[{\"delta\":\r\ndata: {\"content\":\"ü\"}}]}\r\n\r\n:\n\
        data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\r\r";
    let halves = (1..SHORT.len()).map(|at| SHORT.as_bytes().split_at(at));
    let server = Server::start_each(halves.map(|(first, second)| events([first, second], false)).collect()).await;
    let client = openai(&server, Dialect::OpenAi);
    for at in 1..SHORT.len() {
        let (texts, reply) = told(&client).await;
        let reply = reply.unwrap();
        assert_eq!(
            (texts.concat().as_str(), reply.text.as_str(), reply.finish),
            ("ü", "ü", Finish::Stop),
            "cut at {at}"
        );
    }
    let (texts, reply) = chat(events([CHAT.as_bytes()], false)).await;
    let expected = (texts, reply.unwrap());
    let (texts, reply) = chat(events(CHAT.as_bytes().chunks(1), false)).await;
    assert_eq!((texts, reply.unwrap()), expected);
    let (_, reply) = messages(events(MESSAGES.as_bytes().chunks(1), false)).await;
    assert_eq!(reply.unwrap().usage, Some(usage()));
}

#[tokio::test]
async fn a_stream_that_is_cut_at_any_byte_is_broken_without_usage_or_whole() {
    for (stream, name) in [(CHAT, "\"stop\"}]}\n\n"), (MESSAGES, "\"output_tokens\":5}}\n\n")] {
        let end = stream.find(name).unwrap() + name.len();
        let cuts = (0..stream.len()).map(|at| events([&stream.as_bytes()[..at]], true));
        let server = Server::start_each(cuts.collect()).await;
        let clients: (_, _) = (openai(&server, Dialect::OpenAi), anthropic(&server));
        let client: &dyn LlmClient = if stream == CHAT { &clients.0 } else { &clients.1 };
        for at in 0..stream.len() {
            let (texts, reply) = told(client).await;
            match reply {
                Ok(reply) => {
                    assert!(at >= end - 1, "cut at {at}");
                    assert_eq!((texts.concat(), reply.text.as_str()), ("grün is".to_owned(), "grün is"));
                    assert!(reply.usage.is_none() || reply.usage == Some(usage()), "cut at {at}");
                }
                Err(error) => {
                    assert!(at < end, "cut at {at}");
                    assert_eq!((error.fault(), error.usage()), (&Fault::Broken, None), "cut at {at}");
                    assert_eq!(classify(error.fault()).billed, Billed::Unknown);
                    assert!("grün is".starts_with(&texts.concat()), "cut at {at}");
                }
            }
        }
    }
}

#[tokio::test]
async fn ends_refusals_and_servers_that_tell_no_usage_or_no_end_are_told_apart() {
    for (reason, finish) in [("length", Finish::Length), ("content_filter", Finish::Filtered), ("x", Finish::Other)] {
        let stream = CHAT.replace("\"stop\"", &format!("\"{reason}\""));
        assert_eq!(chat(events([stream.as_bytes()], false)).await.1.unwrap().finish, finish);
    }
    for (reason, finish) in [("max_tokens", Finish::Length), ("refusal", Finish::Refused)] {
        let stream = MESSAGES.replace("end_turn", reason);
        assert_eq!(messages(events([stream.as_bytes()], false)).await.1.unwrap().finish, finish);
    }
    let refused = CHAT
        .replace("\"content\":\"grün \"", "\"refusal\":\"I \"")
        .replace("\"content\":\"is\"", "\"refusal\":\"can't\"");
    let reply = chat(events([refused.as_bytes()], false)).await.1.unwrap();
    assert_eq!((reply.finish, reply.text.as_str(), reply.usage), (Finish::Refused, "I can't", Some(usage())));
    let silent = CHAT.replace("\"usage\"", "\"was\"");
    assert_eq!(chat(events([silent.as_bytes()], false)).await.1.unwrap().usage, None);
    let endless = CHAT.replace("\"stop\"", "null");
    let reply = chat(events([endless.as_bytes()], false)).await.1.unwrap();
    assert_eq!((reply.finish, reply.usage), (Finish::Other, None), "counts from the middle are no bill");
}

#[tokio::test]
async fn a_server_that_knows_no_streams_is_read_as_a_whole() {
    let reply = include_str!("golden/openai_reply.json");
    let (texts, whole) = chat(server::response(200, "Content-Type: application/json\r\n", reply.as_bytes())).await;
    assert_eq!(texts.concat(), whole.unwrap().text);
    let (_, error) = chat(server::response(200, "Content-Type: text/html\r\n", b"<html>")).await;
    assert_eq!(error.unwrap_err().fault(), &Fault::Garbled);
    let (_, error) = chat(server::response(429, "Retry-After: 2\r\n", b"{}")).await;
    let error = error.unwrap_err();
    assert_eq!(
        (classify(error.fault()).reason, error.retry_after()),
        (Reason::RateLimited, Some(std::time::Duration::from_secs(2)))
    );
}

#[tokio::test]
async fn errors_in_the_middle_are_read_as_such_and_billed_as_unknown() {
    let start = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":1}}\n\n";
    for (event, reason) in [
        ("data: {\"error\":{\"code\":\"server_error\",\"message\":\"Ada\"}}\n\n", Reason::ServerFault),
        ("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n", Reason::Overloaded),
        ("event: error\ndata: {\"code\":429,\"message\":\"Ada\"}\n\n", Reason::RateLimited),
        ("data: {\"type\":\"error\",\"code\":\"insufficient_quota\"}\n\n", Reason::Quota),
        ("data: {\"choices\": Ada\n\n", Reason::Garbled),
        ("data: 7\n\n", Reason::Garbled),
        ("data: \u{0}\n\n", Reason::Garbled),
    ] {
        let (texts, error) = chat(events([start.as_bytes(), event.as_bytes()], false)).await;
        let error = error.unwrap_err();
        assert_eq!(classify(error.fault()).reason, reason, "{event}");
        assert_eq!((classify(error.fault()).billed, error.usage()), (Billed::Unknown, None), "{event}");
        assert_eq!(texts, ["a"]);
        assert!(!format!("{error:?} {error}").contains("Ada"));
    }
    let (_, error) = chat(events([start.as_bytes(), b"data: \"\xff\"\n\n"], false)).await;
    assert_eq!(error.unwrap_err().fault(), &Fault::Garbled);
}

#[tokio::test]
async fn events_lines_and_texts_without_end_are_cut_off_at_the_limit() {
    let line = vec![b'x'; 100_001];
    let lines = b"data: x\n".repeat(60_000);
    let text =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "a".repeat(1000)).repeat(101);
    for bytes in [&line, &lines, text.as_bytes()] {
        assert_eq!(chat(events([bytes], false)).await.1.unwrap_err().fault(), &Fault::TooLarge);
    }
    let comments = [b": still here\n".repeat(50_000).as_slice(), CHAT.as_bytes()].concat();
    assert!(chat(events([comments.as_slice()], false)).await.1.is_ok(), "what is not kept may go on");
}

#[tokio::test]
async fn a_dropped_stream_hangs_up() {
    let Say::Bytes(bytes) = events([b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n".as_slice()], true)
    else {
        unreachable!()
    };
    let server = Server::start(Say::ThenSilence(bytes)).await;
    let mut pieces = openai(&server, Dialect::OpenAi).stream(&call()).await.unwrap();
    assert_eq!(pieces.next().await.unwrap().unwrap(), Piece::Text("a".into()));
    drop(pieces);
    server.until(Silence::HungUp).await;
}
