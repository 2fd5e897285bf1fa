//! No address that the policy refuses is ever dialled: not directly, not by redirect, not by a resolver that lies.

use std::collections::VecDeque;
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use atlas_config::egress::{EgressPolicy, hostile};
use atlas_engine::fetch::{FetchError, FetchRequest, Fetcher, HttpFetcher, Kind, Resolver};
use atlas_schema::ErrorCategory;
use url::Url;

use crate::fetch_server::{Server, redirect, response};

/// Gives prepared answers, one set a call, and nothing when they are used up.
#[derive(Debug, Default)]
struct Answers(Mutex<VecDeque<Vec<IpAddr>>>);

impl Answers {
    fn new(answers: &[&[&str]]) -> Arc<Self> {
        let sets = answers.iter().map(|set| set.iter().map(|ip| ip.parse().unwrap()).collect()).collect();
        Arc::new(Self(Mutex::new(sets)))
    }
}

#[async_trait]
impl Resolver for Answers {
    async fn resolve(&self, _: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(self.0.lock().unwrap().pop_front().unwrap_or_default())
    }
}

/// Allows 127.0.0.1 alone; what stands at 127.0.0.2 is out of bounds.
fn fetcher(resolver: Arc<Answers>) -> HttpFetcher {
    let policy = EgressPolicy::public_only().with_allowed("127.0.0.1/32".parse().unwrap());
    HttpFetcher::builder().with_policy(policy).with_resolver(resolver).build().unwrap()
}

async fn canary() -> Server {
    Server::start_at("127.0.0.2".parse().unwrap(), |_, _| response("200 OK", "", b"<p>secret")).await
}

async fn failure(fetcher: &HttpFetcher, url: Url) -> FetchError {
    fetcher.fetch(&FetchRequest::new(url)).await.unwrap_err()
}

#[tokio::test]
async fn bad_input_55_hostile_addresses_are_refused_without_a_lookup() {
    // No answers are prepared, and the default policy is used: a lookup would give "name without an address".
    let fetcher = HttpFetcher::builder().with_resolver(Answers::new(&[])).build().unwrap();
    let mut tried = 0;
    for text in hostile::URLS {
        let Ok(url) = Url::parse(text) else { continue };
        let error = failure(&fetcher, url).await;
        assert!(matches!(error.kind(), Kind::Forbidden | Kind::Unsupported), "{text}: {error}");
        tried += 1;
    }
    assert!(tried > 100, "only {tried} forms were tried");
}

#[tokio::test]
async fn bad_input_56_a_redirect_to_a_refused_address_stops_at_any_hop() {
    let canary = canary().await;
    let target = canary.url("/");
    for hops in 0..4 {
        let target = target.clone();
        let server = Server::start(move |path, _| {
            let hop: usize = path[1..].parse().unwrap();
            if hop == hops { redirect(target.as_str()) } else { redirect(&format!("/{}", hop + 1)) }
        })
        .await;
        let error = failure(&fetcher(Answers::new(&[])), server.url("/0")).await;
        assert_eq!((error.kind(), error.category()), (Kind::Forbidden, ErrorCategory::Forbidden));
        assert!(!error.is_retryable());
        assert_eq!(server.connections(), hops + 1);
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn bad_input_56_redirects_to_hostile_forms_are_refused() {
    let locations: Arc<Vec<String>> = Arc::new(
        hostile::URLS
            .iter()
            .filter(|text| Url::parse(text).is_ok() && text.is_ascii() && !text.contains(' '))
            .map(ToString::to_string)
            .collect(),
    );
    let list = Arc::clone(&locations);
    let server = Server::start(move |path, _| redirect(&list[path[1..].parse::<usize>().unwrap()])).await;
    let policy = EgressPolicy::public_only().with_allowed("127.0.0.1/32".parse().unwrap());
    let fetcher = HttpFetcher::builder().with_policy(policy.clone()).with_resolver(Answers::new(&[])).build().unwrap();
    for (index, text) in locations.iter().enumerate() {
        if policy.check_url(&Url::parse(text).unwrap()).is_ok() {
            // Spellings of the one address that this test's server needs.
            continue;
        }
        let error = failure(&fetcher, server.url(&format!("/{index}"))).await;
        assert!(matches!(error.kind(), Kind::Forbidden | Kind::Unsupported), "{text}: {error}");
    }
}

#[tokio::test]
async fn bad_input_57_a_name_that_rebinds_is_refused_when_it_is_dialled() {
    let canary = canary().await;
    let port = canary.address.port();
    let server = Server::start(move |_, _| redirect(&format!("http://rebind.example.com:{port}/"))).await;
    // First the allowed address, for the redirecting server; then the canary's.
    let fetcher = fetcher(Answers::new(&[&["127.0.0.1"], &["127.0.0.2"]]));
    let url: Url = format!("http://rebind.example.com:{}/", server.address.port()).parse().unwrap();
    assert_eq!(failure(&fetcher, url).await.kind(), Kind::Forbidden);
    assert_eq!((server.connections(), canary.connections()), (1, 0));
}

#[tokio::test]
async fn bad_input_57_one_refused_answer_among_allowed_ones_refuses_the_name() {
    let server = Server::start(|_, _| response("200 OK", "", b"<p>hi")).await;
    let url: Url = format!("http://mixed.example.com:{}/", server.address.port()).parse().unwrap();
    for answers in [&["127.0.0.1", "127.0.0.2"][..], &["127.0.0.2", "127.0.0.1"], &["127.0.0.1", "::1"], &[]] {
        assert_eq!(
            failure(&fetcher(Answers::new(&[answers])), url.clone()).await.kind(),
            Kind::Forbidden,
            "{answers:?}"
        );
    }
    assert_eq!(server.connections(), 0);
    let fine = fetcher(Answers::new(&[&["127.0.0.1"]])).fetch(&FetchRequest::new(url)).await.unwrap();
    assert_eq!(fine.bytes, "<p>hi");
}

#[tokio::test]
async fn bad_input_57_every_address_of_the_hostile_list_is_refused_after_resolution() {
    for address in hostile::ADDRESSES {
        let fetcher = HttpFetcher::builder().with_resolver(Answers::new(&[&[address]])).build().unwrap();
        let error = failure(&fetcher, "http://innocent.example.com/".parse().unwrap()).await;
        assert_eq!(error.kind(), Kind::Forbidden, "{address}: {error}");
    }
}

#[tokio::test]
async fn bad_input_58_other_schemes_are_not_served() {
    let fetcher = fetcher(Answers::new(&[]));
    for text in ["file:///etc/hostname", "gopher://127.0.0.1/", "data:text/html,hi", "ftp://127.0.0.1/", "javascript:1"]
    {
        assert_eq!(failure(&fetcher, text.parse().unwrap()).await.kind(), Kind::Unsupported, "{text}");
    }
    let server = Server::start(|_, _| redirect("file:///etc/hostname")).await;
    assert_eq!(failure(&fetcher, server.url("/")).await.kind(), Kind::Unsupported);
}

#[tokio::test]
async fn an_unreachable_or_private_address_says_what_to_do() {
    let error = failure(&fetcher(Answers::new(&[])), "http://10.1.2.3/".parse().unwrap()).await;
    assert_eq!(
        error.to_string(),
        "fetching http://10.1.2.3/ failed: the policy does not allow this address (use a public http(s) URL, or allow the network \
         in `EgressPolicy`)"
    );
    let because = error.source().unwrap();
    assert_eq!(because.to_string(), "private address", "the advice is not said twice");
    assert!(because.source().is_none());
}
