//! Time as records carry it: whole milliseconds since 1970-01-01 UTC, always given, never read from a clock here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// A time outside the range records may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a time must be whole milliseconds from 1000000000000 (2001) to 253402300799999 (9999)")]
pub struct InvalidTimestamp;

/// Milliseconds since the epoch, from 2001-09-09 (the original's floor, which tells ms from s) to the end of 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Timestamp(#[schemars(range(min = 1_000_000_000_000_i64, max = 253_402_300_799_999_i64))] i64);

impl Timestamp {
    /// 1 000 000 000 000 ms: 2001-09-09T01:46:40Z.
    pub const MIN: Self = Self(1_000_000_000_000);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// Checks the range.
    ///
    /// # Errors
    /// [`InvalidTimestamp`] outside [`MIN`](Self::MIN)..=[`MAX`](Self::MAX).
    pub const fn from_millis(millis: i64) -> Result<Self, InvalidTimestamp> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 { Err(InvalidTimestamp) } else { Ok(Self(millis)) }
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Later by `by`; stops at [`MAX`](Self::MAX).
    #[must_use]
    pub fn saturating_add(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(by).min(Self::MAX.0))
    }

    /// Earlier by `by`; stops at [`MIN`](Self::MIN).
    #[must_use]
    pub fn saturating_sub(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(by).max(Self::MIN.0))
    }

    /// Time since `earlier`, zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }
}

impl TryFrom<std::time::SystemTime> for Timestamp {
    type Error = InvalidTimestamp;
    fn try_from(at: std::time::SystemTime) -> Result<Self, InvalidTimestamp> {
        let since = at.duration_since(std::time::UNIX_EPOCH).map_err(|_| InvalidTimestamp)?;
        Self::from_millis(i64::try_from(since.as_millis()).map_err(|_| InvalidTimestamp)?)
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, such as `2025-09-04T10:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => at.fmt(f),
            Err(_) => self.0.fmt(f),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_millis(i64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
