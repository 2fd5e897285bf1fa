//! What was seen of a call that failed: facts only, for [`classify`](super::classify()) to judge.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// What a provider called its error, such as `insufficient_quota`.
///
/// Kept only if it reads like a name: at most 64 ASCII letters, digits, `_`, `-` and `.`. So nothing of a prompt or a key that a
/// hostile answer repeats gets into messages this way. Reading it back holds to the same rule.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct ErrorCode(String);

impl<'de> Deserialize<'de> for ErrorCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let refused = || D::Error::custom("a name of at most 64 of A-Z a-z 0-9 _ - . that is no key is needed");
        Self::new(&String::deserialize(deserializer)?).ok_or_else(refused)
    }
}

impl ErrorCode {
    /// The name, or `None` if the text does not read like one.
    pub fn new(text: &str) -> Option<Self> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        // A key of an account reads like a name, too; providers' names have no such beginning and are not that long.
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(letter) && !text.starts_with("sk-");
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An answer of a provider that says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The HTTP status. 200 for an error that came in the body of a success.
    pub status: u16,
    /// The status that such a body says it means instead: that tells why, and `status` whether work was done.
    pub meant: Option<u16>,
    /// The error's `code`.
    pub code: Option<ErrorCode>,
    /// The error's `type`.
    pub kind: Option<ErrorCode>,
    /// What the header `x-should-retry` says.
    pub should_retry: Option<bool>,
}

impl Answer {
    /// A bare status.
    pub const fn new(status: u16) -> Self {
        Self { status, meant: None, code: None, kind: None, should_retry: None }
    }

    /// With the status that the body of a success says it means.
    #[must_use]
    pub const fn with_meant(mut self, status: Option<u16>) -> Self {
        self.meant = status;
        self
    }

    /// With the error's `code`, if it reads like one.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = ErrorCode::new(code);
        self
    }

    /// With the error's `type`, if it reads like one.
    #[must_use]
    pub fn with_kind(mut self, kind: &str) -> Self {
        self.kind = ErrorCode::new(kind);
        self
    }

    /// With what `x-should-retry` says.
    #[must_use]
    pub const fn with_should_retry(mut self, should: Option<bool>) -> Self {
        self.should_retry = should;
        self
    }
}

/// How a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The address may not be dialled. Nothing left.
    Forbidden,
    /// The client can't put this call in its provider's form. Nothing left.
    Unsupported,
    /// No connection was made. Nothing left.
    Connect,
    /// The connection broke after the request left and before the answer was whole.
    Broken,
    /// No whole answer in time.
    Timeout,
    /// The answer is larger than the client reads.
    TooLarge,
    /// An answer that says yes and can't be understood.
    Garbled,
    /// Someone asked for it to stop after the request left.
    Cancelled,
    /// An answer that says no.
    Answered(Answer),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden => f.write_str("the policy does not allow the address"),
            Self::Unsupported => f.write_str("the client can't put this call in its provider's form"),
            Self::Connect => f.write_str("no connection was made"),
            Self::Broken => f.write_str("the connection broke before the answer was whole"),
            Self::Timeout => f.write_str("no whole answer came in time"),
            Self::TooLarge => f.write_str("the answer is larger than allowed"),
            Self::Garbled => f.write_str("the answer can't be understood"),
            Self::Cancelled => f.write_str("it was cancelled"),
            Self::Answered(Answer { status, meant, code, kind, .. }) => {
                write!(f, "the provider answered with status {status}")?;
                if let Some(meant) = meant {
                    write!(f, ", meaning {meant}")?;
                }
                match code.as_ref().or(kind.as_ref()) {
                    Some(name) => write!(f, " and {name}"),
                    None => Ok(()),
                }
            }
        }
    }
}
