//! Whose money, and of which month.

use atlas_schema::{CorrelationId, JobId, Stage, TenantId, Timestamp, Usd};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something that money is counted for. A reservation names all that it counts in, such as its stage, tenant and job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// All of a stage.
    Stage(Stage),
    /// A tenant.
    Tenant(TenantId),
    /// A job.
    Job(JobId),
    /// All that one request caused.
    Correlation(CorrelationId),
}

impl fmt::Display for Scope {
    /// The key under which ledgers keep it: `tenant/acme`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stage(stage) => write!(f, "stage/{stage}"),
            Self::Tenant(tenant) => write!(f, "tenant/{}", tenant.as_str()),
            Self::Job(job) => write!(f, "job/{job}"),
            Self::Correlation(id) => write!(f, "correlation/{}", id.as_str()),
        }
    }
}

/// A calendar month in UTC, written `2026-11`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Month(u32);

impl Month {
    /// The month of an instant.
    pub fn of(at: Timestamp) -> Self {
        // Records carry no time outside what a calendar has.
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        Self(u32::try_from(date.year()).unwrap_or(0) * 12 + u32::try_from(date.month()).unwrap_or(1) - 1)
    }

    /// Months since the year zero: how ledgers keep it.
    pub const fn as_number(self) -> u32 {
        self.0
    }

    /// From months since the year zero.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0 / 12, self.0 % 12 + 1)
    }
}

/// What a scope has used in a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Balance {
    /// The limit, if it has one.
    pub limit: Option<Usd>,
    /// Reserved and not settled, at upper bounds.
    pub held: Usd,
    /// Settled.
    pub settled: Usd,
    /// The highest of [`ALERT_PERCENT`](super::ALERT_PERCENT) that an alert was raised for; 0 for none.
    pub alerted: u8,
}

impl Balance {
    /// Held and settled together.
    pub fn used(&self) -> Usd {
        self.held.saturating_add(self.settled)
    }
}
