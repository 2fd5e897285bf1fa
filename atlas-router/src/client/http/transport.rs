//! One request, one answer, and what went wrong between them.

use super::stream::{Reader, pieces};
use crate::call::{Answer, ErrorCode, Fault, retry_after};
use crate::client::{ClientError, Pieces};
use crate::cost::TokenUsage;
use async_trait::async_trait;
use atlas_config::Secret;
use atlas_config::egress::{Denied, EgressPolicy};
use atlas_schema::Timestamp;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response};
use serde_json::Value;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use url::{Host, Url};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// So much of an error's body is looked at.
const MOST_ERROR_BYTES: usize = 64 * 1024;
/// The type of event streams.
const EVENTS: &str = "text/event-stream";

/// Turns host names into addresses.
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

/// Where a provider is and how it is reached.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    pub(super) base: Url,
    pub(super) key: Secret,
    policy: EgressPolicy,
    resolver: Arc<dyn Resolver>,
    user_agent: String,
    connect_timeout: Duration,
    max_bytes: usize,
}

impl HttpOptions {
    /// A provider at that address, such as `https://api.openai.com/v1`, with the account's key.
    pub fn new(base: Url, key: Secret) -> Self {
        Self {
            base,
            key,
            policy: EgressPolicy::public_only(),
            resolver: Arc::new(SystemResolver),
            user_agent: concat!("atlas-router/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            max_bytes: 8 * 1024 * 1024,
        }
    }

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

    /// Most time for a connection to be made, TLS included. Default 10 seconds. The answer may take as long as the caller waits.
    #[must_use]
    pub const fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Most bytes of an answer, after decompression; of a stream, of its text and of each of its events. Default 8 MiB.
    #[must_use]
    pub const fn with_max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// A client could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpSetupError {
    /// The policy does not allow the address, as far as it shows before anything is resolved.
    #[error("the policy does not allow the provider's address: allow it, or give another")]
    Forbidden(#[source] BoxError),
    /// The key would travel in the clear.
    #[error("the provider's address is not https, so the key would travel in the clear: only loopback may do without")]
    Insecure,
    /// The key can't be sent.
    #[error("the key is empty or holds characters that no header can carry: check it for line breaks")]
    Key,
    /// The client can't be made.
    #[error("the client could not be set up: check its user agent and the TLS library")]
    Client(#[source] BoxError),
}

/// Sends requests to one address.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client,
    policy: Arc<EgressPolicy>,
    url: Url,
    max_bytes: usize,
}

/// A whole answer that says yes.
pub(super) struct Answered {
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

/// An answer that says yes, whole or as it comes.
pub(super) enum Coming {
    Whole(Answered),
    Pieces(Pieces),
}

impl Transport {
    /// For the path under the provider's base.
    pub(super) fn new(options: HttpOptions, path: &[&str]) -> Result<Self, HttpSetupError> {
        let mut url = options.base;
        url.set_query(None);
        url.set_fragment(None);
        options.policy.check_url(&url).map_err(|denied| HttpSetupError::Forbidden(denied.into()))?;
        let is_loopback = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if url.scheme() != "https" && !is_loopback {
            return Err(HttpSetupError::Insecure);
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let failed = |error: BoxError| HttpSetupError::Client(error);
        let policy = Arc::new(options.policy);
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Guarded { policy: Arc::clone(&policy), resolver: options.resolver })
            .user_agent(options.user_agent)
            .connect_timeout(options.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .no_proxy()
            .build()
            .map_err(|error| failed(error.into()))?;
        Ok(Self { client, policy, url, max_bytes: options.max_bytes })
    }

    /// Sends a body once and reads the answer. `usage` reads what an answer bills, which an error within a success may do, too.
    pub(super) async fn post(
        &self,
        headers: &[(HeaderName, HeaderValue)],
        body: &Value,
        usage: fn(&Value) -> Option<TokenUsage>,
    ) -> Result<Answered, ClientError> {
        self.whole(self.send(headers, body).await?, usage).await
    }

    /// Sends a body once and reads the answer as it comes. A server that knows no streams answers as a whole.
    pub(super) async fn stream(
        &self,
        headers: &[(HeaderName, HeaderValue)],
        body: &Value,
        usage: fn(&Value) -> Option<TokenUsage>,
        read: Reader,
    ) -> Result<Coming, ClientError> {
        let response = self.send(headers, body).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.trim_start().get(..EVENTS.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(EVENTS)) {
            let id = request_id(response.headers());
            return Ok(Coming::Pieces(pieces(response, read, id, self.max_bytes)));
        }
        Ok(Coming::Whole(self.whole(response, usage).await?))
    }

    /// Sends a body once: an answer that says yes, of which only the head was read.
    async fn send(&self, headers: &[(HeaderName, HeaderValue)], body: &Value) -> Result<Response, ClientError> {
        self.policy.check_url(&self.url).map_err(refused)?;
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.body(body.to_string()).send().await.map_err(explain)?;
        if let Some(peer) = response.remote_addr() {
            // Judged before it was dialled, so this is a second look. The request has left, and may be billed.
            self.policy.check_ip(peer.ip()).map_err(|denied| ClientError::new(Fault::Broken).with_source(denied))?;
        }
        let status = response.status().as_u16();
        if !(200..300).contains(&status) {
            let headers = response.headers().clone();
            // An error's body that can't be read names nothing: the status speaks for itself.
            let body = read(response, MOST_ERROR_BYTES).await.ok();
            let body = body.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
            return Err(says_no(status, &headers, &body).with_request_id(request_id(&headers)));
        }
        Ok(response)
    }

    async fn whole(
        &self,
        response: Response,
        usage: fn(&Value) -> Option<TokenUsage>,
    ) -> Result<Answered, ClientError> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let id = request_id(&headers);
        let bytes = read(response, self.max_bytes).await.map_err(|error| error.with_request_id(id.clone()))?;
        let body: Value =
            serde_json::from_slice(&bytes).map_err(|error| garbled(&error).with_request_id(id.clone()))?;
        if body.get("error").is_some_and(|error| !error.is_null()) {
            return Err(says_no(status, &headers, &body).with_usage(usage(&body)).with_request_id(id));
        }
        Ok(Answered { headers, body })
    }
}

/// A secret as a header that is never shown.
pub(super) fn secret(prefix: &str, key: &Secret) -> Result<HeaderValue, HttpSetupError> {
    if key.expose().trim().is_empty() {
        return Err(HttpSetupError::Key);
    }
    let mut value = HeaderValue::from_str(&format!("{prefix}{}", key.expose())).map_err(|_| HttpSetupError::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What a failure of JSON was, without what stood there.
pub(super) fn garbled(error: &serde_json::Error) -> ClientError {
    let place = format!("no valid JSON at line {}, column {}", error.line(), error.column());
    ClientError::new(Fault::Garbled).with_source(place)
}

/// The provider's name for the request.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    ["x-request-id", "request-id"].into_iter().find_map(|name| named(headers.get(name)?.to_str().ok()))
}

/// A text of a provider, if it reads like a name.
pub(super) fn named(text: Option<&str>) -> Option<String> {
    ErrorCode::new(text?).map(|name| name.as_str().to_owned())
}

/// An answer that says no. Of its body only names are kept.
pub(super) fn says_no(status: u16, headers: &HeaderMap, body: &Value) -> ClientError {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let error = body.get("error").unwrap_or(&Value::Null);
    // Some servers put the status they mean into the body of a success, as a number. The real one stays: work may have been done.
    let meant = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let meant = meant.filter(|meant| (400..=599).contains(meant) && (200..300).contains(&status));
    let should_retry = match text("x-should-retry") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let name = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let answer = Answer::new(status).with_meant(meant).with_code(name("code")).with_kind(name("type"));
    let answer = answer.with_should_retry(should_retry);
    let now = Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::MIN);
    ClientError::new(Fault::Answered(answer)).with_retry_after(retry_after(text, now))
}

async fn read(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, ClientError> {
    if response.content_length().is_some_and(|length| length > max_bytes as u64) {
        return Err(ClientError::new(Fault::TooLarge));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(explain)? {
        if bytes.len() + chunk.len() > max_bytes {
            return Err(ClientError::new(Fault::TooLarge));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn refused(denied: Denied) -> ClientError {
    ClientError::new(Fault::Forbidden).with_source(denied)
}

/// What a failure of the client was. The client's message names the address, so that is taken out first.
pub(super) fn explain(error: reqwest::Error) -> ClientError {
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    let mut garbled = false;
    while let Some(one) = cause {
        if let Some(denied) = one.downcast_ref::<Denied>() {
            return refused(*denied);
        }
        // The decompressors report through the standard library's error.
        garbled |= one
            .downcast_ref::<io::Error>()
            .is_some_and(|error| matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
        cause = one.source();
    }
    let fault = if error.is_builder() {
        Fault::Unsupported
    } else if error.is_connect() {
        Fault::Connect
    } else if error.is_timeout() {
        Fault::Timeout
    } else if garbled {
        Fault::Garbled
    } else {
        Fault::Broken
    };
    ClientError::new(fault).with_source(error)
}
