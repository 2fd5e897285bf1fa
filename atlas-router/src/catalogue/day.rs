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
pub struct Day {
    year: i16,
    month: i8,
    day: i8,
}

impl Day {
    /// The day of an instant.
    pub fn of(at: Timestamp) -> Self {
        let date = jiff::Timestamp::from_millisecond(at.as_millis())
            .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        Self { year: date.year(), month: date.month(), day: date.day() }
    }

    /// How many days `later` is after this one; negative if it is before.
    pub fn days_until(self, later: Self) -> i32 {
        match (self.date(), later.date()) {
            (Ok(from), Ok(to)) => from.until(to).map_or(0, |span| span.get_days()),
            _ => 0,
        }
    }

    fn date(self) -> Result<jiff::civil::Date, jiff::Error> {
        jiff::civil::Date::new(self.year, self.month, self.day)
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        // The parser also takes shorter and longer spellings; one day has one.
        let date: jiff::civil::Date = text.parse().map_err(|_| InvalidDay)?;
        let day = Self { year: date.year(), month: date.month(), day: date.day() };
        if text.len() == 10 && day.to_string() == text { Ok(day) } else { Err(InvalidDay) }
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
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
