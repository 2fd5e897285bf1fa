//! Webhooks over HTTP and HTTPS, with every address judged where it is dialled.
//!
//! The policy is asked about the URL before anything is resolved, about all answers of the resolver at the moment of
//! dialling, and about the peer that answered. Redirects are not followed, proxies of the environment are not used, and
//! no global is installed: the TLS provider is handed over explicitly.

use super::sender::{SendError, SendErrorKind, WebhookReply, WebhookRequest, WebhookSender};
use async_trait::async_trait;
use atlas_config::egress::{Denied, EgressPolicy};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// So much of an answer is read, so that its connection can serve again. The rest is dropped with the connection.
const MOST_ANSWER_BYTES: usize = 16 * 1024;

/// Turns host names into addresses, for [`HttpWebhookSender`].
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

/// Sends webhooks over HTTP and HTTPS under an egress policy. Clones share connections.
///
/// Needs a tokio runtime with I/O and time enabled.
#[derive(Debug, Clone)]
pub struct HttpWebhookSender {
    client: Client,
    policy: Arc<EgressPolicy>,
}

/// How an [`HttpWebhookSender`] is set up.
#[derive(Debug, Clone)]
pub struct HttpWebhookSenderBuilder {
    policy: EgressPolicy,
    resolver: Arc<dyn Resolver>,
    user_agent: String,
    connect_timeout: Duration,
}

/// An [`HttpWebhookSender`] could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("the webhook sender could not be set up: check its user agent and the TLS library")]
pub struct SenderSetupError(#[source] BoxError);

impl HttpWebhookSender {
    /// The default set-up: public addresses only, 5 seconds to connect.
    pub fn builder() -> HttpWebhookSenderBuilder {
        HttpWebhookSenderBuilder {
            policy: EgressPolicy::public_only(),
            resolver: Arc::new(SystemResolver),
            user_agent: concat!("atlas-jobs/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

impl HttpWebhookSenderBuilder {
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

    /// The `User-Agent` sent. Default: this crate and its version.
    #[must_use]
    pub fn with_user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// Most time for a connection to be made, TLS included. Default 5 seconds.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Makes the sender.
    ///
    /// # Errors
    /// If the user agent is no valid header value or TLS can't be set up.
    pub fn build(self) -> Result<HttpWebhookSender, SenderSetupError> {
        let policy = Arc::new(self.policy);
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| SenderSetupError(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Guarded { policy: Arc::clone(&policy), resolver: self.resolver })
            .user_agent(self.user_agent)
            .connect_timeout(self.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .http1_only()
            .no_proxy()
            .build()
            .map_err(|error| SenderSetupError(error.without_url().into()))?;
        Ok(HttpWebhookSender { client, policy })
    }
}

#[async_trait]
impl WebhookSender for HttpWebhookSender {
    async fn send(&self, request: WebhookRequest) -> Result<WebhookReply, SendError> {
        let late = || Err(SendError::new(SendErrorKind::Timeout));
        let (reply, rest) =
            tokio::time::timeout(request.timeout, self.post(request)).await.unwrap_or_else(|_| late())?;
        // The receiver has taken it, whatever becomes of a body that is slow to end.
        let _ = tokio::time::timeout(MOST_DRAINING, drain(rest)).await;
        Ok(reply)
    }
}

impl HttpWebhookSender {
    async fn post(&self, request: WebhookRequest) -> Result<(WebhookReply, Response), SendError> {
        let url =
            Url::parse(&request.url).map_err(|error| SendError::new(SendErrorKind::InvalidUrl).with_source(error))?;
        self.policy.check_url(&url).map_err(refused)?;
        let mut post = self.client.post(url).header(CONTENT_TYPE, "application/json");
        for (name, value) in request.headers.pairs() {
            post = post.header(name, value);
        }
        let response = post.body(request.body).send().await.map_err(explain)?;
        if let Some(peer) = response.remote_addr() {
            self.policy.check_ip(peer.ip()).map_err(refused)?;
        }
        let status = response.status();
        let kind = match status.as_u16() {
            code @ 200..=299 => return Ok((WebhookReply::new(code), response)),
            300..=399 => SendErrorKind::Redirected,
            410 => SendErrorKind::Gone,
            code => SendErrorKind::Status(code),
        };
        let wait = matches!(status.as_u16(), 429 | 503).then(|| retry_after(response.headers())).flatten();
        Err(SendError::new(kind).with_retry_after(wait))
    }
}

/// How long an answer's body is read, so that its connection can be used again.
const MOST_DRAINING: Duration = Duration::from_millis(250);

/// Reads a short answer to its end. The status has decided already: what breaks here changes nothing.
async fn drain(mut response: Response) {
    let mut left = MOST_ANSWER_BYTES;
    while let Ok(Some(chunk)) = response.chunk().await {
        match left.checked_sub(chunk.len()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3) in seconds. A date is not taken: it would have to be compared with a clock
/// that the receiver has set, and the backoff waits anyway.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn refused(denied: Denied) -> SendError {
    SendError::new(SendErrorKind::Refused).with_source(denied)
}

/// What a failure of the client was. The client's message names the address, so that is taken out first.
fn explain(error: reqwest::Error) -> SendError {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(one) = cause {
        if let Some(denied) = one.downcast_ref::<Denied>() {
            return refused(*denied);
        }
        cause = one.source();
    }
    let kind = if error.is_timeout() { SendErrorKind::Timeout } else { SendErrorKind::Network };
    SendError::new(kind).with_source(error)
}
