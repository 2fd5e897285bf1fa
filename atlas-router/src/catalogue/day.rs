//! Days: when a price was read, when a model ends.

use atlas_schema::Timestamp;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A text that is no day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a day must be written as YYYY-MM-DD and exist in the calendar")]
pub struct InvalidDay;

/// A calendar day in UTC, written `2026-12-11`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(jiff::civil::Date);

impl Day {
    /// The day of an instant.
    pub fn of(at: Timestamp) -> Self {
        // Records carry no time outside what a calendar has.
        let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Self(at.to_zoned(jiff::tz::TimeZone::UTC).date())
    }

    /// How many days `later` is after this one; negative if it is before.
    pub fn days_until(self, later: Self) -> i32 {
        self.0.until(later.0).map_or(0, |span| span.get_days())
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let day = Self(text.parse().map_err(|_| InvalidDay)?);
        // The parser also takes shorter and longer spellings; one day has one.
        if day.to_string() == text { Ok(day) } else { Err(InvalidDay) }
    }
}

impl TryFrom<String> for Day {
    type Error = InvalidDay;
    fn try_from(text: String) -> Result<Self, InvalidDay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
