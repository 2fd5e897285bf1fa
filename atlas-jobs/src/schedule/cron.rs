//! Cron expressions in a time zone: which moments they name.

use atlas_schema::Timestamp;
use cronexpr::{Crontab, MakeTimestamp};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp as Instant};
use std::fmt;

/// The five fields, and what may stand in each.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31, L, or a day with W"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT, a day with L or #1 to #5"),
];

/// Longer expressions are refused: no person wrote them.
const MOST_BYTES: usize = 256;

/// Why an expression names no times. Carries the field and the rule, never the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// There are not five fields.
    #[error("a cron expression has five fields (minute, hour, day of month, month, day of week), not {found}")]
    Fields {
        /// How many there are.
        found: usize,
    },
    /// It is longer than 256 bytes.
    #[error("a cron expression has at most {MOST_BYTES} bytes")]
    TooLong,
    /// A field is wrong.
    #[error("the field `{field}` must be `*` or {values}, with lists (1,2), ranges (1-5) and steps (*/5)")]
    Field {
        /// Which one.
        field: &'static str,
        /// What may stand there.
        values: &'static str,
    },
    /// There is no such time zone.
    #[error("there is no such time zone: give a name of the IANA database, such as `Europe/Berlin` or `UTC`")]
    TimeZone,
    /// No day matches, such as the 30th of February.
    #[error("the expression never comes true: check the days of its months")]
    Never,
}

/// A cron expression in a time zone.
///
/// The usual five fields: minute, hour, day of month, month, day of week, with `*`, lists, ranges, steps, names, and `L`,
/// `W` and `#`. If both day fields are set, either is enough, as in Vixie's cron.
///
/// # When clocks change
///
/// An expression that names hours means local time: each such time of a day counts once. A time that is skipped counts at
/// the end of the gap, and of a time that comes twice only the first counts. An expression whose hour field begins with
/// `*` means real time: it goes on through both.
///
/// # Example: half past two, once a day
/// ```
/// use atlas_jobs::schedule::Cron;
/// use atlas_schema::Timestamp;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let cron = Cron::new("30 2 * * *", "Europe/Berlin")?;
/// // Before the night of 29 March 2026, in which clocks go from 02:00 to 03:00.
/// let before = Timestamp::from_millis(1_774_738_800_000)?;
/// let next = cron.next(before).ok_or("there is always another day")?;
/// assert_eq!(next.to_string(), "2026-03-29T01:00:00Z");
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Cron {
    expression: String,
    zone_name: String,
    zone: TimeZone,
    /// Over local times as if they were UTC.
    local: Crontab,
    /// The expression means real time.
    real: bool,
}

impl Cron {
    /// Reads an expression and the IANA name of a time zone.
    ///
    /// # Errors
    /// [`CronError`] says which field is wrong and what may stand there.
    pub fn new(expression: &str, time_zone: &str) -> Result<Self, CronError> {
        if expression.len() > MOST_BYTES {
            return Err(CronError::TooLong);
        }
        let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
        if fields.len() != FIELDS.len() {
            return Err(CronError::Fields { found: fields.len() });
        }
        // One by one, so that the error can name the field.
        for (at, (field, values)) in FIELDS.into_iter().enumerate() {
            let mut one = ["*"; 5];
            one[at] = fields[at];
            if cronexpr::parse_crontab(&format!("{} UTC", one.join(" "))).is_err() {
                return Err(CronError::Field { field, values });
            }
        }
        let named = time_zone.bytes().all(|byte| byte.is_ascii_graphic()) && !time_zone.is_empty();
        let zone = TimeZone::get(time_zone).ok().filter(|_| named).ok_or(CronError::TimeZone)?;
        let expression = fields.join(" ");
        let local = cronexpr::parse_crontab(&format!("{expression} UTC")).map_err(|_| CronError::Never)?;
        let real = fields[1].starts_with('*');
        let cron = Self { expression, zone_name: time_zone.into(), zone, local, real };
        cron.next(Timestamp::MIN).ok_or(CronError::Never)?;
        Ok(cron)
    }

    /// The expression, with one blank between fields.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The name of the time zone.
    pub fn time_zone(&self) -> &str {
        &self.zone_name
    }

    /// The first time after `after`; `None` if there is none before the year 9999.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let from = Instant::from_millisecond(after.as_millis()).ok()?;
        let found = if self.real { self.next_real(from)? } else { self.next_local(from)? };
        Timestamp::from_millis(found.as_millisecond()).ok()
    }

    /// Between two changes of the clocks local time runs as real time does. The library would do this by itself, but it never
    /// comes past a night in which clocks go back by less than an hour.
    fn next_real(&self, after: Instant) -> Option<Instant> {
        let utc = TimeZone::UTC;
        let mut from = after;
        // What stands at `after` is over; what stands at a change itself counts.
        let mut just_before = SignedDuration::ZERO;
        for _ in 0..MOST_CHANGES {
            let local = utc.to_timestamp(self.zone.to_datetime(from)).ok()?;
            let found = find(&self.local, local.checked_sub(just_before).ok()?)?;
            let moment = from.checked_add(found.duration_since(local)).ok()?;
            match self.zone.following(from).next().map(|change| change.timestamp()) {
                Some(change) if change <= moment => from = change,
                _ => return Some(moment),
            }
            just_before = SignedDuration::from_secs(1);
        }
        None
    }

    fn next_local(&self, after: Instant) -> Option<Instant> {
        let utc = TimeZone::UTC;
        let mut local = utc.to_timestamp(self.zone.to_datetime(after)).ok()?;
        // Local times that come twice, or not at all, lead to moments that are over: at most a day's worth of minutes.
        for _ in 0..2 * 24 * 60 {
            local = find(&self.local, local)?;
            let moment = self.moment(utc.to_datetime(local))?;
            if moment > after {
                return Some(moment);
            }
        }
        None
    }

    /// The moment of a local time: the first if it comes twice, the end of the gap if it is skipped.
    fn moment(&self, local: DateTime) -> Option<Instant> {
        match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(local).ok()
            }
            AmbiguousOffset::Gap { before, .. } => {
                let beyond = before.to_timestamp(local).ok()?.checked_add(SignedDuration::from_secs(1)).ok()?;
                self.zone.preceding(beyond).next().map(|transition| transition.timestamp())
            }
        }
    }
}

/// So many changes of the clocks may pass before a match: twelve years, as [`find`] looks ahead, of four a year and more.
const MOST_CHANGES: usize = 100;

/// The next match. The library looks four years ahead; the 29th of February may be eight years away.
fn find(crontab: &Crontab, after: Instant) -> Option<Instant> {
    const FOUR_YEARS: SignedDuration = SignedDuration::from_hours(24 * 1461);
    let mut from = after;
    for _ in 0..3 {
        if let Ok(found) = crontab.find_next(MakeTimestamp(from)) {
            return Some(found.timestamp());
        }
        from = from.checked_add(FOUR_YEARS).ok()?;
    }
    None
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.expression == other.expression && self.zone_name == other.zone_name
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.expression, self.zone_name)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({self})")
    }
}
