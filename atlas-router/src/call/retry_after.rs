//! How long a provider asks to wait, in each form that is sent.

use atlas_schema::Timestamp;
use jiff::SignedDuration;
use std::time::Duration;

/// Longest wait that is taken from an answer: a day. What a caller waits in fact is up to [`Limits`](super::Limits).
pub const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// How long the headers of an answer ask to wait, at most [`LONGEST_WAIT`]. `header` gives the value of a header by its name in
/// lower case; `now` is our own clock, for dates in answers that carry no `Date`.
///
/// In this order: `retry-after-ms` and `x-ms-retry-after-ms` (milliseconds), `retry-after` (RFC 9110, section 10.2.3: seconds, here also
/// with decimals, or a date in any of its three forms, taken from the answer's own `Date` where there is one), and, if requests
/// or tokens are used up, when `OpenAI` says they come back (`x-ratelimit-reset-requests` and `-tokens`, such as `6m0s`). A value that
/// is no such thing, a negative one included, counts as absent; a date that has passed is no wait.
pub fn retry_after<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Option<Duration> {
    let header = |name: &str| header(name).map(str::trim);
    let milliseconds = |name: &str| decimal(header(name)?, 3);
    let wait = milliseconds("retry-after-ms")
        .or_else(|| milliseconds("x-ms-retry-after-ms"))
        .or_else(|| header("retry-after").and_then(|text| decimal(text, 0).or_else(|| until(text, &header, now))))
        .or_else(|| {
            let resets = ["requests", "tokens"].map(|what| {
                let left = header(&format!("x-ratelimit-remaining-{what}"))?;
                let reset = header(&format!("x-ratelimit-reset-{what}"))?;
                if left == "0" { Duration::try_from(reset.parse::<SignedDuration>().ok()?).ok() } else { None }
            });
            resets.into_iter().flatten().max()
        })?;
    Some(wait.min(LONGEST_WAIT))
}

/// Digits with at most one point, in units of 10^-`shift` seconds, rounded up to a whole microsecond. More digits than any wait
/// needs are taken as the longest wait.
fn decimal(text: &str, shift: u32) -> Option<Duration> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    if whole.len() > 12 {
        return Some(LONGEST_WAIT);
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Six decimals are kept; whatever follows rounds up.
    let kept = format!("{part:0<6}");
    let (kept, rest) = kept.split_at(6);
    let millionths = kept.parse::<u64>().ok()? + u64::from(rest.bytes().any(|digit| digit != b'0'));
    let micros = u128::from(whole) * 1_000_000 + u128::from(millionths);
    let micros = micros.div_ceil(10_u128.pow(shift));
    Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
}

/// The time from the answer's date, or from ours, to a date.
fn until<'a>(text: &str, header: &impl Fn(&str) -> Option<&'a str>, now: Timestamp) -> Option<Duration> {
    let then = http_date(text, now)?;
    let since = header("date").and_then(|text| http_date(text, now));
    let since = since.or_else(|| jiff::Timestamp::from_millisecond(now.as_millis()).ok())?;
    // A date that has passed is no wait at all.
    Some(Duration::try_from(then.duration_since(since)).unwrap_or(Duration::ZERO))
}

/// A date of RFC 9110, section 5.6.7: the present form, and the two old ones that must still be understood.
fn http_date(text: &str, now: Timestamp) -> Option<jiff::Timestamp> {
    use jiff::civil::DateTime;
    if let Ok(date) = jiff::fmt::rfc2822::parse(text) {
        return Some(date.timestamp());
    }
    let civil = DateTime::strptime("%A, %d-%b-%y %H:%M:%S GMT", text)
        .map(|date| nearest_century(date, now))
        .or_else(|_| DateTime::strptime("%a %b %e %H:%M:%S %Y", text))
        .ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

/// Two digits of a year that seem to lie more than 50 years ahead mean the past (same section).
fn nearest_century(date: jiff::civil::DateTime, now: Timestamp) -> jiff::civil::DateTime {
    let this = jiff::Timestamp::from_millisecond(now.as_millis())
        .map_or(2000, |now| now.to_zoned(jiff::tz::TimeZone::UTC).year());
    let mut year = this - this % 100 + date.year() % 100;
    if year > this + 50 {
        year -= 100;
    }
    date.with().year(year).build().unwrap_or(date)
}
