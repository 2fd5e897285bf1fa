//! The HTTP fetcher against servers that behave, misbehave and never end.

use std::io::Write as _;
use std::time::Duration;

use atlas_config::egress::EgressPolicy;
use atlas_engine::fetch::{Document, FetchError, FetchRequest, Fetcher, HttpFetcher, Kind};
use atlas_engine::page::{EncodingSource, ParseOptions};
use atlas_schema::ErrorCategory;
use url::Url;

use crate::fetch_server::{Say, Server, redirect, response};

fn fetcher() -> HttpFetcher {
    HttpFetcher::builder().with_policy(EgressPolicy::allowing_loopback()).build().unwrap()
}

async fn fetch(url: Url) -> Result<Document, FetchError> {
    fetcher().fetch(&FetchRequest::new(url)).await
}

async fn kind(url: Url) -> Kind {
    fetch(url).await.unwrap_err().kind()
}

#[tokio::test]
async fn a_page_comes_with_its_address_status_type_and_charset() {
    let server =
        Server::start(|_, _| response("200 OK", "Content-Type: Text/HTML; Charset=\"utf-8\"\r\n", b"<p>hi")).await;
    let document = fetch(server.url("/a?b#c")).await.unwrap();
    assert_eq!(document.url, server.url("/a?b"));
    assert_eq!(document.status, Some(200));
    assert_eq!(document.media_type.as_deref(), Some("text/html"));
    assert_eq!(document.charset.as_deref(), Some("utf-8"));
    assert_eq!(document.bytes, "<p>hi");
}

#[tokio::test]
async fn redirects_are_followed_and_the_last_address_is_told() {
    let server = Server::start(|path, at| match path {
        "/a" => redirect("/b"),
        "/b" => redirect(&format!("http://{at}/c")),
        _ => response("200 OK", "", b"<p>there"),
    })
    .await;
    assert_eq!(fetch(server.url("/a")).await.unwrap().url, server.url("/c"));
}

#[tokio::test]
async fn redirect_loops_end_at_the_cap() {
    let server = Server::start(|_, _| redirect("/again")).await;
    let request = FetchRequest::new(server.url("/")).with_max_redirects(5);
    let error = fetcher().fetch(&request).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Redirects);
    assert_eq!(server.connections(), 6);
}

#[tokio::test]
async fn a_redirect_without_a_target_is_no_document() {
    let server = Server::start(|_, _| response("301 Moved Permanently", "", b"")).await;
    assert_eq!(kind(server.url("/")).await, Kind::Redirects);
}

#[tokio::test]
async fn an_endless_body_stops_at_the_size_cap() {
    let server = Server::start(|_, _| Say::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'a'; 4096])).await;
    let request = FetchRequest::new(server.url("/")).with_max_bytes(100_000);
    assert_eq!(fetcher().fetch(&request).await.unwrap_err().kind(), Kind::TooLarge);
}

#[tokio::test]
async fn an_endless_header_is_bounded() {
    let server = Server::start(|_, _| Say::Endless(b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'a'; 4096])).await;
    let request = FetchRequest::new(server.url("/")).with_timeout(Duration::from_secs(20));
    let error = fetcher().fetch(&request).await.unwrap_err();
    assert_ne!(error.kind(), Kind::Timeout, "the header's size must end it, long before the clock");
}

#[tokio::test]
async fn a_length_beyond_the_cap_is_refused_before_the_body() {
    let server = Server::start(|_, _| {
        Say::ThenSilence(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nno more".to_vec())
    })
    .await;
    assert_eq!(kind(server.url("/")).await, Kind::TooLarge);
}

#[tokio::test]
async fn a_compressed_body_counts_decompressed() {
    let server = Server::start(|path, _| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        for _ in 0..if path == "/bomb" { 3_000 } else { 1 } {
            encoder.write_all(&[b' '; 10_000]).unwrap();
        }
        let body = encoder.finish().unwrap();
        assert!(body.len() < 200_000);
        response("200 OK", "Content-Encoding: gzip\r\n", &body)
    })
    .await;
    let get = |path| FetchRequest::new(server.url(path)).with_max_bytes(1_000_000);
    assert_eq!(fetcher().fetch(&get("/bomb")).await.unwrap_err().kind(), Kind::TooLarge);
    assert_eq!(fetcher().fetch(&get("/small")).await.unwrap().bytes.len(), 10_000);
}

#[tokio::test]
async fn a_trickling_body_ends_at_the_deadline_and_a_silent_one_before() {
    let server =
        Server::start(|_, _| Say::ThenSilence(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na".to_vec())).await;
    let request = FetchRequest::new(server.url("/")).with_timeout(Duration::from_millis(100));
    let error = fetcher().fetch(&request).await.unwrap_err();
    assert_eq!((error.kind(), error.category(), error.is_retryable()), (Kind::Timeout, ErrorCategory::Timeout, true));

    let hasty = HttpFetcher::builder()
        .with_policy(EgressPolicy::allowing_loopback())
        .with_idle_timeout(Duration::from_millis(50))
        .build()
        .unwrap();
    assert_eq!(hasty.fetch(&FetchRequest::new(server.url("/"))).await.unwrap_err().kind(), Kind::Timeout);
}

#[tokio::test]
async fn a_body_cut_short_is_a_failure_not_a_document() {
    let server =
        Server::start(|_, _| Say::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<p>half".to_vec())).await;
    let error = fetch(server.url("/")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Network, true));
}

#[tokio::test]
async fn a_broken_compression_is_the_servers_fault_and_not_retried() {
    let server = Server::start(|_, _| {
        response("200 OK", "Content-Encoding: gzip\r\n", b"this is no gzip at all, whatever it says")
    })
    .await;
    let error = fetch(server.url("/")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (Kind::Protocol, false));
}

#[tokio::test]
async fn a_refused_connection_is_a_network_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let error = fetch(url).await.unwrap_err();
    assert_eq!((error.kind(), error.category()), (Kind::Network, ErrorCategory::Network));
}

#[tokio::test]
async fn each_error_status_has_its_kind_and_none_is_a_document() {
    let server = Server::start(|path, _| response(&format!("{} X", &path[1..]), "", b"<h1>sorry</h1>")).await;
    for (status, expected, retryable) in [
        (404, Kind::NotFound, false),
        (410, Kind::NotFound, false),
        (401, Kind::Denied, false),
        (403, Kind::Denied, false),
        (429, Kind::RateLimited, true),
        (500, Kind::Status(500), true),
        (503, Kind::Status(503), true),
        (501, Kind::Status(501), false),
    ] {
        let error = fetch(server.url(&format!("/{status}"))).await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (expected, retryable), "status {status}");
    }
}

#[tokio::test]
async fn retry_after_is_read_in_both_forms_and_capped_at_a_day() {
    let server = Server::start(|path, _| {
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let after = match path {
            "/seconds" => "120",
            "/date" => "Sun, 06 Nov 1994 08:50:37 GMT",
            "/past" => "Sun, 06 Nov 1994 08:00:00 GMT",
            "/decade" => "315360000",
            _ => "soon",
        };
        response("429 Too Many Requests", &format!("{date}Retry-After: {after}\r\n"), b"")
    })
    .await;
    for (path, seconds) in
        [("/seconds", Some(120)), ("/date", Some(60)), ("/past", Some(0)), ("/decade", Some(86_400)), ("/no", None)]
    {
        let wait = fetch(server.url(path)).await.unwrap_err().retry_after();
        assert_eq!(wait, seconds.map(Duration::from_secs), "{path}");
    }
}

#[tokio::test]
async fn a_picture_is_refused_before_its_body() {
    let server =
        Server::start(|_, _| Say::ThenSilence(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n".to_vec())).await;
    assert_eq!(kind(server.url("/")).await, Kind::Unsupported);
}

#[tokio::test]
async fn a_lying_charset_header_does_not_garble_the_page() {
    let server = Server::start(|_, _| {
        response("200 OK", "Content-Type: text/html; charset=utf-8\r\n", b"<p>Pur\xe9e, cr\xe8me, p\xe2t\xe9")
    })
    .await;
    let page = fetch(server.url("/")).await.unwrap().to_page(&ParseOptions::default()).unwrap();
    assert_eq!(page.text(), "Purée, crème, pâté");
    assert_eq!(page.encoding().source, EncodingSource::Detected);
    assert_eq!(page.url(), Some(&server.url("/")));
}

#[tokio::test]
async fn failures_show_neither_query_nor_credentials_of_an_address() {
    let server = Server::start(|_, _| response("404 Not Found", "", b"")).await;
    let error = fetch(server.url("/page?token=hush#hush")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("fetching http://{}/page failed: there is no such document (check the address)", server.address)
    );
    let error = fetch("http://user:hush@127.0.0.1:9/?hush".parse().unwrap()).await.unwrap_err();
    let request = FetchRequest::new(server.url("/?token=hush"));
    let document = Document::new(server.url("/?hush"), "hush");
    for shown in [format!("{error} {error:?}"), format!("{request:?}"), format!("{document:?}")] {
        assert!(!shown.contains("hush"), "{shown}");
    }
}
