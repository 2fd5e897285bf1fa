//! Documents over HTTP and HTTPS, with every address checked where it is dialled.
//!
//! The policy is asked three times: about each URL before anything is resolved (which catches addresses in any spelling),
//! about all answers of the resolver at the moment of dialling (which catches rebinding), and about the peer that
//! answered. Redirects are followed here, one by one, not by the client. Proxies of the environment are not used, and no
//! global is installed: the TLS provider is handed over explicitly.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use atlas_config::egress::{Denied, EgressPolicy, Rule};
use bytes::BytesMut;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};
use url::Url;

use super::{Document, FetchError, FetchRequest, Fetcher, Kind};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Turns host names into addresses, for [`HttpFetcher`].
///
/// # Contract
///
/// All addresses of the name are given, not a choice: one that the policy refuses refuses the name. Nothing is cached
/// beyond what the name's records allow.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync + 'static {
    /// The addresses of `host`, a name in lower case and punycode.
    ///
    /// # Errors
    /// If the name can't be resolved; an empty answer counts as that.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver: the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// The resolver as the client sees it: answers are judged when they are about to be dialled.
#[derive(Debug, Clone)]
struct Guarded {
    policy: Arc<EgressPolicy>,
    resolver: Arc<dyn Resolver>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let answers = this.resolver.resolve(name.as_str()).await?;
            this.policy.check_answers(answers.iter().copied())?;
            let addresses: Addrs = Box::new(answers.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok::<_, BoxError>(addresses)
        })
    }
}

/// Fetches over HTTP and HTTPS under an egress policy. Clones share connections.
///
/// Needs a tokio runtime with I/O and time enabled. Sends no cookies and no credentials.
#[derive(Debug, Clone)]
pub struct HttpFetcher {
    client: Client,
    policy: Arc<EgressPolicy>,
}

/// How an [`HttpFetcher`] is set up.
#[derive(Debug, Clone)]
pub struct HttpFetcherBuilder {
    policy: EgressPolicy,
    resolver: Arc<dyn Resolver>,
    user_agent: String,
    connect_timeout: Duration,
    idle_timeout: Duration,
}

impl HttpFetcher {
    /// The default set-up: public addresses only, 10 seconds to connect, 15 seconds of silence.
    pub fn builder() -> HttpFetcherBuilder {
        HttpFetcherBuilder {
            policy: EgressPolicy::public_only(),
            resolver: Arc::new(SystemResolver),
            user_agent: concat!("atlas-engine/", env!("CARGO_PKG_VERSION"), " (+", env!("CARGO_PKG_REPOSITORY"), ")")
                .to_owned(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(15),
        }
    }
}

impl HttpFetcherBuilder {
    /// Which addresses may be dialled. Default: public unicast only.
    #[must_use]
    pub fn with_policy(mut self, policy: EgressPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Who resolves names. Default: [`SystemResolver`].
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = resolver;
        self
    }

    /// The `User-Agent` sent: say who you are and where you can be reached. Default: this crate and its repository.
    #[must_use]
    pub fn with_user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// Most time for a connection to be made, TLS included. Default 10 seconds.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Most time without a byte from the server. Default 15 seconds.
    #[must_use]
    pub const fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Makes the fetcher.
    ///
    /// # Errors
    /// If the user agent is no valid header value or TLS can't be set up.
    pub fn build(self) -> Result<HttpFetcher, HttpSetupError> {
        let policy = Arc::new(self.policy);
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| HttpSetupError(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Guarded { policy: Arc::clone(&policy), resolver: self.resolver })
            .user_agent(self.user_agent)
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .http1_only()
            .no_proxy()
            .build()
            .map_err(|error| HttpSetupError(error.into()))?;
        Ok(HttpFetcher { client, policy })
    }
}

/// An [`HttpFetcher`] could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the HTTP fetcher could not be set up: check its user agent and the TLS library")]
pub struct HttpSetupError(#[source] BoxError);

#[async_trait]
impl Fetcher for HttpFetcher {
    async fn fetch(&self, request: &FetchRequest) -> Result<Document, FetchError> {
        tokio::time::timeout(request.timeout, self.follow(request)).await.unwrap_or_else(|_| {
            Err(FetchError::new(Kind::Timeout, &request.url)
                .with_advice("raise the time limit of the request or try later"))
        })
    }
}

impl HttpFetcher {
    /// One request after the other until a document comes.
    async fn follow(&self, request: &FetchRequest) -> Result<Document, FetchError> {
        let mut url = request.url.clone();
        for _ in 0..=request.max_redirects {
            url.set_fragment(None);
            let response = self.send(&url).await?;
            if !response.status().is_redirection() {
                return read(response, url, request.max_bytes).await;
            }
            url = target(&response, &url)?;
        }
        Err(FetchError::new(Kind::Redirects, &request.url)
            .with_advice("give the address it finally leads to, if there is one"))
    }

    async fn send(&self, url: &Url) -> Result<Response, FetchError> {
        self.policy.check_url(url).map_err(|denied| refused(denied, url))?;
        let accept = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.5";
        let response =
            self.client.get(url.clone()).header(ACCEPT, accept).send().await.map_err(|error| explain(error, url))?;
        if let Some(peer) = response.remote_addr() {
            self.policy.check_ip(peer.ip()).map_err(|denied| refused(denied, url))?;
        }
        Ok(response)
    }
}

/// Where a redirect leads.
fn target(response: &Response, url: &Url) -> Result<Url, FetchError> {
    response
        .headers()
        .get(LOCATION)
        .and_then(|location| url.join(std::str::from_utf8(location.as_bytes()).ok()?).ok())
        .ok_or_else(|| FetchError::new(Kind::Redirects, url))
}

/// The document that a final response carries.
async fn read(mut response: Response, url: Url, max_bytes: usize) -> Result<Document, FetchError> {
    let status = response.status();
    if !status.is_success() {
        let kind = kind_of(status);
        let failure = FetchError::new(kind, &url).with_retry_after(retry_after(response.headers()));
        return Err(match kind {
            Kind::NotFound => failure.with_advice("check the address"),
            Kind::Denied => failure.with_advice("it wants a login, or no programs: ask whoever runs it"),
            Kind::RateLimited => failure.with_advice("try later, or ask for fewer pages at a time"),
            Kind::Status(500..) => failure.with_advice("the server is at fault: try later"),
            _ => failure,
        });
    }
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut document =
        Document::new(url, bytes::Bytes::new()).with_status(status.as_u16()).with_content_type(content_type);
    if document.media_type.as_deref().is_some_and(is_no_text) {
        return Err(FetchError::new(Kind::Unsupported, &document.url)
            .with_advice("it is a picture, sound, film or font: give a page"));
    }
    let too_large = |url: &Url| FetchError::new(Kind::TooLarge, url).with_advice("raise the size limit of the request");
    if response.content_length().is_some_and(|length| length > max_bytes as u64) {
        return Err(too_large(&document.url));
    }
    let mut bytes = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(error, &document.url))? {
        if bytes.len() + chunk.len() > max_bytes {
            return Err(too_large(&document.url));
        }
        bytes.extend_from_slice(&chunk);
    }
    document.bytes = bytes.freeze();
    Ok(document)
}

fn is_no_text(media_type: &str) -> bool {
    ["image/", "audio/", "video/", "font/"].iter().any(|group| media_type.starts_with(group))
        && media_type != "image/svg+xml"
}

const fn kind_of(status: StatusCode) -> Kind {
    match status.as_u16() {
        404 | 410 => Kind::NotFound,
        401 | 403 | 407 => Kind::Denied,
        429 => Kind::RateLimited,
        status => Kind::Status(status),
    }
}

/// Longest wait that is taken from a server: a day.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date that is compared with the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let value = text(RETRY_AFTER)?;
    let wait = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let instant = |text| jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp());
        let seconds = instant(value)?.as_second() - instant(text(DATE)?)?.as_second();
        Duration::from_secs(seconds.try_into().unwrap_or(0))
    };
    Some(wait.min(LONGEST_WAIT))
}

fn refused(denied: Denied, url: &Url) -> FetchError {
    let kind = if denied.rule == Rule::Scheme { Kind::Unsupported } else { Kind::Forbidden };
    FetchError::new(kind, url).with_advice(denied.rule.advice()).with_source(denied.rule)
}

/// What a failure of the client was. The client's message names the address, so that is taken out first.
fn explain(error: reqwest::Error, url: &Url) -> FetchError {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut garbled = false;
    while let Some(one) = cause {
        if let Some(denied) = one.downcast_ref::<Denied>() {
            return refused(*denied, url);
        }
        // The decompressors report through the standard library's error.
        garbled |= one
            .downcast_ref::<io::Error>()
            .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
        cause = one.source();
    }
    let (kind, advice) = if error.is_timeout() {
        (Kind::Timeout, "the server is slow or away: try later")
    } else if garbled {
        (Kind::Protocol, "the server sent a broken compression")
    } else if error.is_connect() {
        (Kind::Network, "check the name and that the server is up")
    } else {
        (Kind::Network, "the connection broke: try again")
    };
    FetchError::new(kind, url).with_advice(advice).with_source(error)
}
