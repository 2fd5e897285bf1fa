//! Signing and checking messages by the Standard Webhooks specification, version 1.0.0.
//!
//! What is signed is `id.timestamp.body`, with HMAC-SHA256; the header may carry several signatures, so that a secret
//! can be replaced while both are known.

use crate::random::NoEntropy;
use atlas_schema::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;
use std::time::Duration;
use zeroize::Zeroizing;

/// Names the message: the same for every delivery of one event.
pub const ID_HEADER: &str = "webhook-id";
/// When this delivery was signed, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// `v1,` and a signature in base64, several of them with a blank between.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far a message's time may be from the receiver's: the five minutes of the specification's own libraries.
pub const TOLERANCE: Duration = Duration::from_mins(5);

const PREFIX: &str = "whsec_";
const VERSION: &str = "v1,";

/// A secret that a sender shares with a receiver. Wiped from memory when dropped, never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Zeroizing<Vec<u8>>);

/// A text is no secret. Carries the rule, never the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret must be `whsec_` and 24 to 64 bytes in base64")]
pub struct InvalidSecret;

impl WebhookSecret {
    /// Reads the usual spelling: `whsec_` and base64.
    ///
    /// # Errors
    /// [`InvalidSecret`] without the prefix, for what is no base64, and for fewer than 24 or more than 64 bytes: the
    /// limits of the specification.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let bytes = STANDARD.decode(text.strip_prefix(PREFIX).ok_or(InvalidSecret)?).map_err(|_| InvalidSecret)?;
        Self::from_bytes(bytes)
    }

    /// The secret itself, 24 to 64 bytes.
    ///
    /// # Errors
    /// [`InvalidSecret`] for fewer or more.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, InvalidSecret> {
        let bytes = Zeroizing::new(bytes);
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSecret) }
    }

    /// A new secret of 32 random bytes of the operating system.
    ///
    /// # Errors
    /// [`NoEntropy`] where it has none.
    pub fn generate() -> Result<Self, NoEntropy> {
        let mut bytes = Zeroizing::new(vec![0; 32]);
        getrandom::fill(&mut bytes).map_err(|_| NoEntropy)?;
        Ok(Self(bytes))
    }

    /// The usual spelling, for the receiver: the one place where a secret shows.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(&*self.0)))
    }

    fn mac(&self, id: &str, seconds: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes keys of any length; the type of the library can't say so.
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).ok()?;
        for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
            mac.update(part);
        }
        Some(mac)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(hidden)")
    }
}

/// The three headers of a signed message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedHeaders {
    /// The value of [`ID_HEADER`].
    pub id: String,
    /// The value of [`TIMESTAMP_HEADER`].
    pub timestamp: String,
    /// The value of [`SIGNATURE_HEADER`].
    pub signature: String,
}

impl SignedHeaders {
    /// Names and values, as they go over the wire.
    pub fn pairs(&self) -> [(&'static str, &str); 3] {
        [(ID_HEADER, &self.id), (TIMESTAMP_HEADER, &self.timestamp), (SIGNATURE_HEADER, &self.signature)]
    }

    /// The value of a header by its name, in lower case; what [`verify`] asks for.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// Signs a message as sent at `at`, once per secret, in their order.
pub fn sign(id: &str, at: Timestamp, body: &[u8], secrets: &[WebhookSecret]) -> SignedHeaders {
    let timestamp = (at.as_millis() / 1000).to_string();
    let one = |secret: &WebhookSecret| {
        let mac = secret.mac(id, &timestamp, body)?;
        Some(format!("{VERSION}{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    let signature = secrets.iter().filter_map(one).collect::<Vec<_>>().join(" ");
    SignedHeaders { id: id.into(), timestamp, signature }
}

/// Why a message must not be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unverified {
    /// A header is missing.
    #[error("the header `{0}` is missing: this is no signed webhook")]
    MissingHeader(&'static str),
    /// The time is no number of seconds.
    #[error("the header `{TIMESTAMP_HEADER}` must be whole seconds since 1970")]
    Timestamp,
    /// It was signed too long ago: perhaps someone sends an old message again.
    #[error("the message is too old: it may be a replay, or a clock is wrong")]
    TooOld,
    /// It was signed in the future.
    #[error("the message comes from the future: check both clocks")]
    TooNew,
    /// No signature was made with one of the secrets over this id, time and body.
    #[error("no signature matches: check the secret, and that the body is the very bytes that came")]
    Signature,
}

/// Checks a message that was received at `now`.
///
/// `header` gives a header's value by its name in lower case; `body` is the very bytes that came, before any parsing.
/// One matching signature of one secret is enough. The comparison takes the same time wherever signatures differ. Use
/// [`TOLERANCE`] unless clocks are known to be worse. A message may come again within it: keep its id that long.
///
/// # Errors
/// [`Unverified`] says why it must not be believed.
///
/// # Example: a receiver
/// ```
/// use atlas_jobs::webhook::{self, TOLERANCE, Unverified, WebhookSecret};
/// use atlas_schema::Timestamp;
/// use std::time::Duration;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let secret = WebhookSecret::generate()?;
/// let sent = Timestamp::from_millis(1_700_000_000_000)?;
/// let headers = webhook::sign("e:1", sent, b"{}", std::slice::from_ref(&secret));
///
/// let receive = |now| webhook::verify(|name| headers.get(name), b"{}", std::slice::from_ref(&secret), now, TOLERANCE);
/// assert_eq!(receive(sent), Ok(()));
/// assert_eq!(receive(sent.saturating_add(Duration::from_mins(6))), Err(Unverified::TooOld));
/// # Ok(()) }
/// ```
pub fn verify<'h>(
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
    secrets: &[WebhookSecret],
    now: Timestamp,
    tolerance: Duration,
) -> Result<(), Unverified> {
    let get = |name| header(name).ok_or(Unverified::MissingHeader(name));
    let (id, seconds, signatures) = (get(ID_HEADER)?, get(TIMESTAMP_HEADER)?, get(SIGNATURE_HEADER)?);
    let sent: i64 = seconds.parse().map_err(|_| Unverified::Timestamp)?;
    let tolerance = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
    let now = now.as_millis() / 1000;
    if sent.saturating_add(tolerance) < now {
        return Err(Unverified::TooOld);
    }
    if sent.saturating_sub(tolerance) > now {
        return Err(Unverified::TooNew);
    }
    let known = signatures.split(' ').filter_map(|one| STANDARD.decode(one.strip_prefix(VERSION)?).ok());
    for signature in known.take(MAX_SIGNATURES) {
        // The text as it came, not the number: `+5` and `05` were signed as they stand, or not at all.
        let matches = |secret: &WebhookSecret| {
            secret.mac(id, seconds, body).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
        };
        if secrets.iter().any(matches) {
            return Ok(());
        }
    }
    Err(Unverified::Signature)
}

/// A header with more signatures than this is an attack on the receiver's time, not a rotation.
const MAX_SIGNATURES: usize = 16;
