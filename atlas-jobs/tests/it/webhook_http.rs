//! The HTTP sender against servers on loopback: what may be dialled, what counts as success, what is bounded.

use async_trait::async_trait;
use atlas_config::egress::{EgressPolicy, hostile};
use atlas_jobs::webhook::{
    HttpWebhookSender, Resolver, SendError, SendErrorKind, TOLERANCE, WebhookReply, WebhookRequest, WebhookSecret,
    WebhookSender, sign, verify,
};
use atlas_jobs::{Clock, SystemClock};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that gives one answer, counts its connections, and shows the last request.
struct Server {
    address: String,
    asked: Arc<AtomicUsize>,
    last: tokio::sync::watch::Receiver<String>,
}

async fn server(answer: &'static str) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let asked = Arc::new(AtomicUsize::new(0));
    let (tell, last) = tokio::sync::watch::channel(String::new());
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !text.contains("\"end\"") {
                    let Ok(read @ 1..) = socket.read(&mut buffer).await else { return };
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                tell.send_replace(text);
                if answer == "silence" {
                    std::future::pending::<()>().await;
                }
                let _ = socket.write_all(answer.as_bytes()).await;
                if answer.contains("endless") {
                    while socket.write_all(&[b'x'; 4096]).await.is_ok() {}
                }
            });
        }
    });
    Server { address, asked, last }
}

fn secret() -> WebhookSecret {
    WebhookSecret::from_bytes(vec![7; 32]).unwrap()
}

fn request(url: &str, timeout: Duration) -> WebhookRequest {
    let body = br#"{"type":"end"}"#.to_vec();
    let headers = sign("e:1", SystemClock::new().now().wall, &body, &[secret()]);
    WebhookRequest::new(url.into(), headers, body, timeout)
}

fn local() -> HttpWebhookSender {
    HttpWebhookSender::builder().with_policy(EgressPolicy::allowing_loopback()).build().unwrap()
}

async fn post(sender: &HttpWebhookSender, url: &str) -> Result<WebhookReply, SendError> {
    sender.send(request(url, Duration::from_secs(5))).await
}

#[tokio::test]
async fn a_receiver_gets_the_very_bytes_and_can_verify_them() {
    let server = server("HTTP/1.1 204 No Content\r\n\r\n").await;
    let reply = post(&local(), &format!("http://{}/hooks?x=1", server.address)).await.unwrap();
    assert_eq!(reply.status, 204);
    let text = server.last.borrow().clone();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /hooks?x=1 HTTP/1.1\r\n"));
    let headers: HashMap<String, String> = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    assert_eq!(headers["content-type"], "application/json");
    let header = |name: &str| headers.get(name).map(String::as_str);
    let now = SystemClock::new().now().wall;
    assert_eq!(verify(header, body.as_bytes(), &[secret()], now, TOLERANCE), Ok(()));
}

/// Bad input 67: a webhook URL that is internal, in every spelling.
#[tokio::test]
async fn an_internal_address_is_refused_before_anything_is_dialled() {
    let sender = HttpWebhookSender::builder().build().unwrap();
    for &form in hostile::URLS {
        let failed = post(&sender, form).await.unwrap_err();
        assert!(matches!(failed.kind(), SendErrorKind::Refused | SendErrorKind::InvalidUrl), "{form}: {failed}");
        assert!(failed.is_final());
    }
    let server = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let failed = post(&sender, &format!("http://{}/", server.address)).await.unwrap_err();
    assert_eq!((failed.kind(), server.asked.load(Ordering::SeqCst)), (SendErrorKind::Refused, 0));
}

#[derive(Debug)]
struct Answers(Vec<IpAddr>);

#[async_trait]
impl Resolver for Answers {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_an_internal_address_is_refused_where_it_is_dialled() {
    let server = server("HTTP/1.1 200 OK\r\n\r\n").await;
    let port = server.address.rsplit(':').next().unwrap();
    for answers in [vec!["127.0.0.1"], vec!["93.184.215.14", "127.0.0.1"], vec!["::ffff:10.0.0.1"], vec![]] {
        let answers = answers.iter().map(|text| text.parse().unwrap()).collect();
        let sender = HttpWebhookSender::builder().with_resolver(Arc::new(Answers(answers))).build().unwrap();
        let failed = post(&sender, &format!("http://receiver.example:{port}/")).await.unwrap_err();
        assert_eq!(failed.kind(), SendErrorKind::Refused);
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 0);
}

/// Bad input 67: a webhook URL that redirects.
#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let target = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let answer: &'static str =
        format!("HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", target.address)
            .leak();
    let first = server(answer).await;
    let failed = post(&local(), &format!("http://{}/", first.address)).await.unwrap_err();
    assert_eq!((failed.kind(), failed.is_final()), (SendErrorKind::Redirected, false));
    assert_eq!(target.asked.load(Ordering::SeqCst), 0);
}

/// Bad input 67: a receiver that does not answer.
#[tokio::test]
async fn a_silent_receiver_costs_no_more_than_the_timeout() {
    let server = server("silence").await;
    let began = std::time::Instant::now();
    let slow = request(&format!("http://{}/", server.address), Duration::from_millis(200));
    let failed = local().send(slow).await.unwrap_err();
    assert_eq!(failed.kind(), SendErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn an_endless_answer_is_dropped_and_counts_as_what_its_status_says() {
    let server = server("HTTP/1.1 200 OK\r\nx-body: endless\r\n\r\n").await;
    assert_eq!(post(&local(), &format!("http://{}/", server.address)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_receiver_that_says_yes_and_is_slow_to_end_has_taken_it() {
    let server = server("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await;
    let quick = request(&format!("http://{}/", server.address), Duration::from_millis(400));
    assert_eq!(local().send(quick).await.unwrap().status, 200);
}

#[tokio::test]
async fn each_status_means_what_it_says() {
    let hour = Some(Duration::from_hours(24 * 365 * 10));
    for (answer, kind, last, wait) in [
        ("HTTP/1.1 410 Gone\r\n\r\n", SendErrorKind::Gone, true, None),
        ("HTTP/1.1 500 Oops\r\nretry-after: 7\r\n\r\n", SendErrorKind::Status(500), false, None),
        (
            "HTTP/1.1 429 Busy\r\nretry-after: 7\r\n\r\n",
            SendErrorKind::Status(429),
            false,
            Some(Duration::from_secs(7)),
        ),
        ("HTTP/1.1 503 Down\r\nretry-after: 315360000\r\n\r\n", SendErrorKind::Status(503), false, hour),
        ("HTTP/1.1 503 Down\r\nretry-after: -5\r\n\r\n", SendErrorKind::Status(503), false, None),
        (
            "HTTP/1.1 503 Down\r\nretry-after: Thu, 26 Nov 2026 10:00:00 GMT\r\n\r\n",
            SendErrorKind::Status(503),
            false,
            None,
        ),
        ("nonsense\r\n\r\n", SendErrorKind::Network, false, None),
    ] {
        let server = server(answer).await;
        let failed = post(&local(), &format!("http://{}/", server.address)).await.unwrap_err();
        assert_eq!((failed.kind(), failed.is_final(), failed.retry_after()), (kind, last, wait), "{answer}");
    }
}

#[tokio::test]
async fn errors_name_no_path_and_no_query() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let failed = post(&local(), &format!("http://127.0.0.1:{port}/path?token=hidden")).await.unwrap_err();
    assert_eq!(failed.kind(), SendErrorKind::Network);
    let mut text = format!("{failed:?} ");
    let mut cause: Option<&dyn std::error::Error> = Some(&failed);
    while let Some(one) = cause {
        text.push_str(&one.to_string());
        cause = one.source();
    }
    assert!(!text.contains("hidden") && !text.contains("/path"), "{text}");
}
