//! Correlation ids: one id from the request through queue, worker, store and response.

use crate::macros::text_id;
use std::fmt;

text_id!(
    /// Ties everything that one request caused: 1 to 64 of `[a-zA-Z0-9_-]`. Safe in headers and log lines.
    CorrelationId, what: "correlation id", min: 1, max: 64, pattern: "^[a-zA-Z0-9_-]+$",
    char: |b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');

impl CorrelationId {
    /// A fresh id from sixteen random bytes: 32 lower-case hex digits, also valid as a W3C trace id.
    pub fn from_random(random: [u8; 16]) -> Self {
        let number = u128::from_be_bytes(random).max(1);
        Self(format!("{number:032x}").into())
    }

    /// The id of a job that has none, made of the job's own id: `mig_` and 16 hex digits of its SHA-256.
    pub(crate) fn derived(job: &crate::ExternalId) -> Self {
        let head = crate::id::digest(job).first_chunk().map_or(0, |head| u64::from_be_bytes(*head));
        Self(format!("mig_{head:016x}").into())
    }

    /// The trace id of a W3C `traceparent` header; `None` if the header is malformed (then start a new trace).
    pub fn from_traceparent(header: &str) -> Option<Self> {
        TraceParent::parse(header).map(|parent| parent.correlation_id())
    }

    /// A hostile inbound text becomes an id only if it is one already; otherwise the fallback made from `random`.
    /// The flag tells whether the given text was replaced.
    pub fn accept_or_replace(inbound: Option<&str>, random: [u8; 16]) -> (Self, bool) {
        match inbound.map(Self::new) {
            Some(Ok(id)) => (id, false),
            Some(Err(_)) => (Self::from_random(random), true),
            None => (Self::from_random(random), false),
        }
    }
}

/// A parsed W3C `traceparent` header (Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace: u128,
    parent: u64,
    flags: u8,
}

impl TraceParent {
    /// Reads `00-<32 hex>-<16 hex>-<2 hex>`, lower case only; versions above 00 are read by their first four fields.
    ///
    /// All-zero ids and version `ff` are invalid. Invalid gives `None`, never an error: the rule is to start a new trace.
    pub fn parse(header: &str) -> Option<Self> {
        let bytes = header.as_bytes();
        if !header.is_ascii() || bytes.len() < 55 {
            return None;
        }
        let version = hex(&header[0..2])?;
        let dashes = bytes[2] == b'-' && bytes[35] == b'-' && bytes[52] == b'-';
        let end = bytes.len() == 55 || (version > 0 && bytes[55] == b'-');
        if version == 0xff || !dashes || !end {
            return None;
        }
        let trace = hex(&header[3..35])?;
        let parent = u64::try_from(hex(&header[36..52])?).ok()?;
        let flags = u8::try_from(hex(&header[53..55])?).ok()?;
        (trace != 0 && parent != 0).then_some(Self { trace, parent, flags })
    }

    /// The trace id as a correlation id: 32 lower-case hex digits.
    pub fn correlation_id(&self) -> CorrelationId {
        CorrelationId(format!("{:032x}", self.trace).into())
    }

    /// Whether the caller samples this trace.
    pub const fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl fmt::Display for TraceParent {
    /// Version 00 of the header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.parent, self.flags)
    }
}

fn hex(text: &str) -> Option<u128> {
    let lower = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if lower { u128::from_str_radix(text, 16).ok() } else { None }
}
