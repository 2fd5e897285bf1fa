//! Lengths of time: `PT1H30M`, `1 hr 20 min`, `1 Std. 20 Min.`, `90 minutes`, `1 h 30`, `1:30 h`, `1時間30分`.

use super::fold::{self, Folded, is_word, run_end, skip_blanks};
use super::number::{self, Reading};
use super::units::{AND_A_HALF, COUNTS, DAY, HOUR, MINUTE, UNFIXED, UNITS};
use super::{Found, Locale};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;
use std::ops::Range;
use std::time::Duration;

/// The shortest and longest time that a text names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationRange {
    /// The shorter one.
    pub low: Duration,
    /// The longer one; equal to `low` unless the text gives a range.
    pub high: Duration,
}

/// The first length of time in the text, in whole seconds.
///
/// Of a range (`20–30 minutes`) the longer end, since that is the time to plan for; [`parse_range`] gives both. A number
/// without a unit is no duration, and months and years, which have no fixed length, make the text none.
pub fn parse(text: &str, locale: &Locale) -> Option<Found<Duration>> {
    parse_range(text, locale).map(|found| found.map(|range| range.high))
}

/// As [`parse`], with both ends.
pub fn parse_range(text: &str, locale: &Locale) -> Option<Found<DurationRange>> {
    let folded = Folded::new(text)?;
    if let Some((seconds, range)) = iso(&folded.text) {
        let at = Duration::from_secs(seconds);
        return Some(Found { value: DurationRange { low: at, high: at }, range: folded.source_range(range) });
    }
    let (low, high, range) = words(&folded.text, locale)?;
    let value = DurationRange { low: Duration::from_secs(low), high: Duration::from_secs(high) };
    Some(Found { value, range: folded.source_range(range) })
}

/// ISO 8601 for any number of seconds: `PT1H30M`, `P1DT2H`, `PT0S`. Days are 24 hours.
pub fn to_iso8601(duration: Duration) -> String {
    use std::fmt::Write as _;
    let seconds = duration.as_secs();
    let parts =
        [('D', seconds / DAY), ('H', seconds % DAY / HOUR), ('M', seconds % HOUR / MINUTE), ('S', seconds % MINUTE)];
    let mut text = "P".to_owned();
    for (unit, count) in parts.into_iter().filter(|(_, count)| *count > 0) {
        if unit != 'D' && !text.contains('T') {
            text.push('T');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{count}{unit}");
    }
    if text.len() == 1 { "PT0S".to_owned() } else { text }
}

/// An ISO duration as pages write it: in any case, with blanks, parts of 0, and hours after a forgotten `T`.
fn iso(text: &str) -> Option<(u64, Range<usize>)> {
    let mut search = 0;
    while let Some(offset) = text.get(search..)?.find('p') {
        let start = search + offset;
        let alone = fold::before(text, start).is_none_or(|c| !c.is_alphanumeric());
        if alone && let Some((seconds, end)) = iso_at(text, start + 1) {
            return Some((seconds, start..end));
        }
        search = start + 1;
    }
    None
}

fn iso_at(text: &str, start: usize) -> Option<(u64, usize)> {
    let (mut at, mut end, mut time, mut total) = (start, start, false, Decimal::ZERO);
    loop {
        at = skip_blanks(text, at);
        if fold::at(text, at) == Some('t') && !time {
            (time, at) = (true, at + 1);
            continue;
        }
        let stop = run_end(text, at, |c| c.is_ascii_digit() || matches!(c, '.' | ','));
        let digits = text.get(at..stop).unwrap_or_default();
        let unit_at = skip_blanks(text, stop);
        let Some(unit) = fold::at(text, unit_at).filter(|_| !digits.is_empty()) else { break };
        let count: Decimal = digits.replace(',', ".").parse().ok()?;
        let seconds = match (unit, time) {
            ('y' | 'm', false) if count.is_zero() => 0,
            ('w', false) => 7 * DAY,
            ('d', false) => DAY,
            ('h', _) => HOUR,
            ('m', true) => MINUTE,
            ('s', _) => 1,
            _ => return None,
        };
        time |= unit == 'h';
        total = total.checked_add(count.checked_mul(Decimal::from(seconds))?)?;
        (at, end) = (unit_at + 1, unit_at + 1);
    }
    let apart = end > start && !fold::at(text, end).is_some_and(is_word);
    apart.then(|| total.round().to_u64()).flatten().map(|seconds| (seconds, end))
}

/// One count with its unit.
struct Part {
    low: Decimal,
    high: Decimal,
    unit: u64,
    range: Range<usize>,
}

/// Counts with units, from the largest unit down: `1 day 2 hours`.
fn words(text: &str, locale: &Locale) -> Option<(u64, u64, Range<usize>)> {
    let mut from = 0;
    let first = loop {
        match part(text, from, locale)? {
            Ok(part) => break part,
            Err(next) => from = next,
        }
    };
    if first.unit == UNFIXED {
        return None;
    }
    let (mut low, mut high) = (first.low * Decimal::from(first.unit), first.high * Decimal::from(first.unit));
    let (start, mut end, mut unit) = (first.range.start, first.range.end, first.unit);
    loop {
        let next_at = past_and(text, end);
        let next = part_at(text, next_at, locale).filter(|part| part.unit < unit && part.range.start == next_at);
        match next {
            Some(part) if part.unit == UNFIXED => return None,
            Some(part) => {
                low = low.checked_add(part.low.checked_mul(Decimal::from(part.unit))?)?;
                high = high.checked_add(part.high.checked_mul(Decimal::from(part.unit))?)?;
                (end, unit) = (part.range.end, part.unit);
            }
            None => break,
        }
    }
    // `1 h 30`: two bare digits after hours are minutes.
    if unit == HOUR {
        let at = skip_blanks(text, end);
        let stop = run_end(text, at, |c| c.is_ascii_digit());
        let follows = fold::at(text, stop)
            .is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | ',' | '/' | ':' | '-' | '\u{2013}'));
        if stop - at == 2
            && follows
            && let Some(minutes) = text.get(at..stop)?.parse::<u64>().ok().filter(|minutes| *minutes < 60)
        {
            low = low.checked_add(Decimal::from(minutes * MINUTE))?;
            high = high.checked_add(Decimal::from(minutes * MINUTE))?;
            end = stop;
        }
    }
    // `1 hour to 2 hours`: another duration after a range sign.
    if let Some(at) = past_until(text, end)
        && let Some(part) = part_at(text, at, locale).filter(|part| part.range.start == at && part.unit != UNFIXED)
    {
        let other = part.high.checked_mul(Decimal::from(part.unit))?;
        if other > high {
            (high, end) = (other, part.range.end);
        }
    }
    Some((low.round().to_u64()?, high.round().to_u64()?, start..end))
}

/// The next part at or after `from`; `Err` tells where to look on when a count there has no unit; `None` at the end.
fn part(text: &str, from: usize, locale: &Locale) -> Option<Result<Part, usize>> {
    let mut at = from;
    loop {
        let offset = text.get(at..)?.find(|c: char| c.is_alphanumeric() || c.is_numeric())?;
        let start = at + offset;
        if fold::before(text, start).is_none_or(|c| !is_word(c))
            && let Some(found) = part_at(text, start, locale)
        {
            return Some(Ok(found));
        }
        // On to the next word or number.
        let first = fold::at(text, start)?;
        at = if is_word(first) {
            run_end(text, start, is_word)
        } else if first.is_ascii_digit() {
            run_end(text, start, |c| c.is_ascii_digit())
        } else {
            start + first.len_utf8()
        };
        if at > from + 4_096 {
            // A length of time stands near the start of the text that gives one.
            return None;
        }
    }
}

/// The part whose count starts exactly at `start`.
fn part_at(text: &str, start: usize, locale: &Locale) -> Option<Part> {
    let language = locale.language();
    if let Some(part) = clock(text, start, language) {
        return Some(part);
    }
    let reading = Reading::plain(locale);
    let first = fold::at(text, start)?;
    let (mut low, mut end) = if first.is_numeric() {
        let token = number::next(text, start, &reading).filter(|token| token.range.start == start && !token.percent)?;
        (token.value, token.range.end)
    } else {
        let (hundredths, end) = COUNTS.at(text, start, language)?;
        (Decimal::new(i64::try_from(hundredths).ok()?, 2), end)
    };
    // `half an hour`, `eine halbe Stunde`
    if !first.is_numeric()
        && let Some((hundredths, stop)) = COUNTS.at(text, skip_blanks(text, end), language)
        && (hundredths == 100 || low == Decimal::ONE)
    {
        (low, end) = (low * Decimal::new(i64::try_from(hundredths).ok()?, 2), stop);
    }
    let mut high = low;
    if let Some(at) = past_until(text, end)
        && let Some(token) = number::next(text, at, &reading).filter(|token| token.range.start == at && !token.percent)
        && token.value >= low
    {
        (high, end) = (token.value, token.range.end);
    }
    let unit_at = run_end(text, end, |c| c.is_whitespace() || c == '-' || c == '\'');
    let (unit, mut stop) = UNITS.at(text, unit_at, language)?;
    // A letter alone is a unit only beside its number, and only in small spaces: `5 m`.
    if fold::at(text, stop) == Some('.') {
        stop += 1;
    }
    let half_at = skip_blanks(text, stop);
    let half = AND_A_HALF.iter().find(|half| {
        text.get(half_at..).is_some_and(|rest| rest.starts_with(**half))
            && !fold::at(text, half_at + half.len()).is_some_and(is_word)
    });
    if let Some(half) = half {
        (low, high, stop) = (low + Decimal::new(5, 1), high + Decimal::new(5, 1), half_at + half.len());
    }
    if low.is_sign_negative() {
        return None;
    }
    Some(Part { low, high, unit, range: start..stop })
}

/// `1:30 h` and `01:30:00`.
fn clock(text: &str, start: usize, language: Option<&str>) -> Option<Part> {
    let field = |at: usize| {
        let end = run_end(text, at, |c| c.is_ascii_digit());
        let value: u64 = text.get(at..end)?.parse().ok()?;
        Some((value, end))
    };
    let (hours, end) = field(start).filter(|(_, end)| end - start <= 3)?;
    let next = (fold::at(text, end) == Some(':')).then_some(end + 1)?;
    let (minutes, end) = field(next).filter(|(minutes, end)| end - next == 2 && *minutes < 60)?;
    if fold::at(text, end) == Some(':') {
        let next = end + 1;
        let (seconds, end) = field(next).filter(|(seconds, end)| end - next == 2 && *seconds < 60)?;
        let alone = text.get(..start)?.trim().is_empty() && text.get(end..)?.trim().is_empty();
        let total = Decimal::from(hours * HOUR + minutes * MINUTE + seconds);
        return alone.then_some(Part { low: total, high: total, unit: 1, range: start..end });
    }
    let (unit, mut stop) = UNITS.at(text, skip_blanks(text, end), language)?;
    if fold::at(text, stop) == Some('.') {
        stop += 1;
    }
    let total = match unit {
        HOUR => hours * HOUR + minutes * MINUTE,
        MINUTE => hours * MINUTE + minutes,
        _ => return None,
    };
    Some(Part { low: Decimal::from(total), high: Decimal::from(total), unit: 1, range: start..stop })
}

/// Past the words between two parts of one duration.
fn past_and(text: &str, end: usize) -> usize {
    let at = run_end(text, end, |c| c.is_whitespace() || c == ',');
    let rest = text.get(at..).unwrap_or_default();
    let words = ["and", "und", "et", "y", "e", "en", "och", "og", "ja", "i", "a", "и", "ve", "&", "+"];
    let word =
        words.iter().filter(|word| rest.strip_prefix(**word).is_some_and(|rest| rest.starts_with(char::is_whitespace)));
    word.map(|word| word.len()).max().map_or(at, |len| skip_blanks(text, at + len))
}

/// Past the sign or word of a range, if one stands there.
fn past_until(text: &str, end: usize) -> Option<usize> {
    let at = skip_blanks(text, end);
    let rest = text.get(at..)?;
    if let Some(sign) = fold::at(text, at).filter(|c| matches!(c, '-' | '\u{2013}' | '~' | '〜' | '～')) {
        return Some(skip_blanks(text, at + sign.len_utf8()));
    }
    let words = ["to", "bis", "a", "à", "al", "tot", "do", "till", "til", "до", "or", "oder", "ou", "o", "of"];
    let word =
        words.iter().filter(|word| rest.strip_prefix(**word).is_some_and(|rest| rest.starts_with(char::is_whitespace)));
    word.map(|word| word.len()).max().map(|len| skip_blanks(text, at + len))
}
