//! Servers that are broken or mean harm, addresses that must not be dialled, and keys that must not be shown.

use super::*;
use atlas_config::egress::hostile::URLS;
use atlas_router::call::{Billed, Fault, classify};
use atlas_router::client::LlmClient as _;
use atlas_router::client::http::{HttpSetupError, Resolver};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

async fn fault(say: Say) -> Fault {
    let server = Server::start(say).await;
    let client = OpenAiClient::new(options(&server).with_max_bytes(100_000), Dialect::OpenAi).unwrap();
    let fault = client.complete(&call()).await.unwrap_err().fault().clone();
    assert_eq!(server.asked().len(), 1);
    fault
}

fn head(headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n").into_bytes()
}

#[tokio::test]
async fn bodies_that_are_no_reply_are_garbled() {
    let deep = "[".repeat(50_000);
    let bodies: [&[u8]; 8] = [
        b"",
        b"<html>",
        b"null",
        b"{\"choices\":[]}",
        b"{\"choices\":[{\"message\":{\"content\":7}}]}",
        b"{\"choices\":[{\"message\":{\"content\":\"\xff\xfe\"}}]}",
        b"{\"choices\":[{\"message\":\"words\"}]} trailing",
        deep.as_bytes(),
    ];
    for body in bodies {
        assert_eq!(fault(server::response(200, "Content-Type: text/html\r\n", body)).await, Fault::Garbled);
    }
    let broken = server::response(200, "Content-Encoding: gzip\r\n", b"no gzip at all");
    assert_eq!(fault(broken).await, Fault::Garbled);
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_at_the_limit() {
    let chunk = b"1000\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 0x1000)).chain(*b"\r\n").collect();
    assert_eq!(fault(Say::Endless(head("Transfer-Encoding: chunked\r\n"), chunk)).await, Fault::TooLarge);
    assert_eq!(fault(Say::ThenSilence(head("Content-Length: 100001\r\n"))).await, Fault::TooLarge);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_left_may_have_to_be_paid() {
    for say in [Say::Bytes(Vec::new()), Say::Bytes(head("Content-Length: 10\r\n")), Say::Bytes(b"HTTP/1.1 2".to_vec())]
    {
        let fault = fault(say).await;
        assert_eq!((&fault, classify(&fault).billed), (&Fault::Broken, Billed::Unknown));
    }
}

#[tokio::test]
async fn who_does_not_listen_was_sent_nothing() {
    // Bound for as long as the test lasts, so that nobody else takes the port and listens there.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/v1", socket.local_addr().unwrap()).parse().unwrap();
    let options = HttpOptions::new(url, Secret::new(KEY)).with_policy(EgressPolicy::allowing_loopback());
    let error = OpenAiClient::new(options, Dialect::OpenAi).unwrap().complete(&call()).await.unwrap_err();
    assert_eq!((error.fault(), classify(error.fault()).billed), (&Fault::Connect, Billed::Nothing));
    drop(socket);
}

#[tokio::test]
async fn a_silent_server_waits_for_the_caller_and_a_dropped_call_hangs_up() {
    let server = Server::start(Say::ThenSilence(Vec::new())).await;
    let client = openai(&server, Dialect::OpenAi);
    let call = call();
    let mut complete = client.complete(&call);
    tokio::select! {
        answer = &mut complete => panic!("{answer:?}"),
        () = server.until(Silence::Waiting) => {}
    }
    assert!(tokio::time::timeout(Duration::ZERO, &mut complete).await.is_err());
    drop(complete);
    server.until(Silence::HungUp).await;
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::saying(200, "", "{}").await;
    for status in [301, 302, 307, 308] {
        let server = Server::saying(status, &format!("Location: {}\r\n", elsewhere.url("/v1")), "").await;
        let error = openai(&server, Dialect::OpenAi).complete(&call()).await.unwrap_err();
        assert!(matches!(error.fault(), Fault::Answered(answer) if answer.status == status));
    }
    assert!(elsewhere.asked().is_empty(), "the key went to another place");
}

#[derive(Debug)]
struct Rebinding;

#[async_trait::async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec!["93.184.216.34".parse().unwrap(), "127.0.0.1".parse().unwrap()])
    }
}

#[tokio::test]
async fn no_hostile_address_is_dialled_in_any_spelling_or_through_a_name() {
    for url in URLS {
        let Ok(parsed) = url.parse() else { continue };
        let made = OpenAiClient::new(HttpOptions::new(parsed, Secret::new(KEY)), Dialect::OpenAi);
        assert!(matches!(made, Err(HttpSetupError::Forbidden(_))), "{url}");
    }
    let options = HttpOptions::new("https://models.example.org:8443/v1".parse().unwrap(), Secret::new(KEY));
    let client = OpenAiClient::new(options.with_resolver(Arc::new(Rebinding)), Dialect::OpenAi).unwrap();
    let error = client.complete(&call()).await.unwrap_err();
    assert_eq!((error.fault(), classify(error.fault()).billed), (&Fault::Forbidden, Billed::Nothing));
}

#[test]
fn a_key_does_not_travel_in_the_clear_and_must_fit_a_header() {
    let made = |url: &str, key: &str| {
        let options = HttpOptions::new(url.parse().unwrap(), Secret::new(key));
        OpenAiClient::new(options.with_policy(EgressPolicy::allowing_loopback()), Dialect::OpenAi).map(|_| ())
    };
    assert!(matches!(made("http://models.example.org/v1", KEY), Err(HttpSetupError::Insecure)));
    assert!(made("http://localhost:8080/v1", KEY).is_ok() && made("http://[::1]:8080/v1", KEY).is_ok());
    for key in ["", "  ", "two\nlines", "\u{0}"] {
        assert!(matches!(made("https://models.example.org/v1", key), Err(HttpSetupError::Key)), "{key:?}");
    }
}

#[tokio::test]
async fn the_key_is_in_no_debug_output_and_no_error() {
    let echo = format!(r#"{{"error":{{"code":"{KEY}","type":"{KEY}","message":"{KEY}"}}}}"#);
    let server = Server::saying(401, &format!("x-request-id: {KEY}\r\n"), &echo).await;
    let (openai, anthropic) = (openai(&server, Dialect::OpenAi), anthropic(&server));
    let errors = [openai.complete(&call()).await.unwrap_err(), anthropic.complete(&call()).await.unwrap_err()];
    let shown = format!("{openai:?} {anthropic:?} {:?} {errors:?} {} {}", options(&server), errors[0], errors[1]);
    assert!(!shown.contains("0123456789"), "{shown}");
}
