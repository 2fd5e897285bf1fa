//! Calendar dates and moments.
//!
//! Read are ISO 8601, RFC 2822, dates with month names in some thirty languages, Chinese, Japanese and Korean dates, and
//! numeric dates. Which of two numbers is the month follows from the language and region; where they leave both
//! readings open (`03/04/2021` on a page that is just English), the text is refused. So are dates that no calendar has.
//! The calendar is the Gregorian one.

use super::fold::{self, FIXED_BLANK, Folded, is_word, run_end, skip_blanks};
use super::months::MONTHS;
use super::{Found, Locale};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;
use std::fmt;
use std::ops::Range;

mod clock;

/// A date as precise as the text gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum When {
    /// A day.
    Day(Date),
    /// A day and a time by the clocks of a place that the text does not name.
    Local(DateTime),
    /// A moment, with the offset from UTC that it was written in.
    Moment(Timestamp, Offset),
}

impl When {
    /// The day as written, in the text's own offset.
    pub fn date(self) -> Date {
        match self {
            Self::Day(date) => date,
            Self::Local(time) => time.date(),
            Self::Moment(at, offset) => offset.to_datetime(at).date(),
        }
    }

    /// The moment, if the text gives one.
    pub fn timestamp(self) -> Option<Timestamp> {
        match self {
            Self::Moment(at, _) => Some(at),
            Self::Day(_) | Self::Local(_) => None,
        }
    }
}

/// ISO 8601: `2021-05-12`, `2021-05-12T10:30:00`, `2021-05-12T10:30:00+02:00`. A moment is RFC 3339.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Day(date) => date.fmt(f),
            Self::Local(time) => time.fmt(f),
            Self::Moment(at, offset) if *offset == Offset::UTC => at.fmt(f),
            Self::Moment(at, offset) => {
                let seconds = offset.seconds();
                let sign = if seconds < 0 { '-' } else { '+' };
                let minutes = seconds.abs() / 60;
                write!(f, "{}{sign}{:02}:{:02}", offset.to_datetime(*at), minutes / 60, minutes % 60)
            }
        }
    }
}

/// Years that a date on a page can have. Other numbers of four digits are something else.
const YEARS: Range<i16> = 1000..2200;

/// The first date in the text, with the time beside it if there is one.
///
/// Years of two digits are read only as `12.05.21` or `5/12/21`, and mean 1969 to 2068 (POSIX `%y`). A date
/// without a year, or without a day, is none.
pub fn parse(text: &str, locale: &Locale) -> Option<Found<When>> {
    let folded = Folded::new(text)?;
    let text = folded.text.as_str();
    let mut at = 0;
    while let Some(offset) = text.get(at..)?.find(char::is_alphanumeric) {
        let start = at + offset;
        let glued = fold::before(text, start).is_some_and(|c| is_word(c) || c.is_ascii_digit());
        if !glued && let Some((date, end)) = date_at(text, start, locale) {
            let (when, end) = clock::after(text, date, end).unwrap_or((When::Day(date), end));
            return Some(Found { value: when, range: folded.source_range(start..end) });
        }
        at = start + fold::at(text, start).map_or(1, char::len_utf8);
        if fold::before(text, at).is_some_and(|c| c.is_ascii_digit()) {
            at = run_end(text, at, |c| c.is_ascii_digit());
        }
    }
    None
}

/// The date that starts at `start`, and where it ends.
fn date_at(text: &str, start: usize, locale: &Locale) -> Option<(Date, usize)> {
    let first = number(text, start);
    match first {
        Some((year, end)) if end - start == 4 => year_first(text, year, end, locale),
        Some((_, end)) if end - start == 8 => compact(text, start, end),
        Some((first, end)) if end - start <= 2 => {
            day_month_name(text, first, end, locale).or_else(|| numeric(text, start, locale))
        }
        Some(_) => None,
        None => month_name_day(text, start, locale),
    }
}

/// Digits from `at`: their value and end.
fn number(text: &str, at: usize) -> Option<(i16, usize)> {
    let end = run_end(text, at, |c| c.is_ascii_digit());
    let digits = text.get(at..end).filter(|digits| !digits.is_empty())?;
    // Eight digits are looked at by themselves; their value is not needed.
    Some((digits.parse().ok().or_else(|| (digits.len() == 8).then_some(0))?, end))
}

/// A number of at most two digits.
fn small(text: &str, at: usize) -> Option<(i8, usize)> {
    let (value, end) = number(text, at)?;
    (end - at <= 2).then(|| Some((i8::try_from(value).ok()?, end)))?
}

/// A year of four digits that no digit follows.
fn year(text: &str, at: usize) -> Option<(i16, usize)> {
    let (value, end) = number(text, at)?;
    (end - at == 4 && YEARS.contains(&value)).then_some((value, end))
}

fn day(year: i16, month: i8, day: i8) -> Option<Date> {
    YEARS.contains(&year).then(|| Date::new(year, month, day).ok())?
}

/// `20210512`
fn compact(text: &str, start: usize, end: usize) -> Option<(Date, usize)> {
    let part = |from: usize, to: usize| text.get(start + from..start + to)?.parse::<i16>().ok();
    let (year, month, dom) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    // Eight digits are more often an article's number: only recent years pass.
    let date =
        (1970..2100).contains(&year).then(|| day(year, i8::try_from(month).ok()?, i8::try_from(dom).ok()?))??;
    Some((date, end))
}

/// `2021-05-12`, `2021/5/12`, `2021. 5. 12.`, `2021年5月12日`, `2021 May 12`, `2021. május 12.`
fn year_first(text: &str, year: i16, end: usize, locale: &Locale) -> Option<(Date, usize)> {
    if !YEARS.contains(&year) {
        return None;
    }
    let sign = fold::at(text, end)?;
    if matches!(sign, '年' | '년') {
        return east_asian(text, year, end + sign.len_utf8());
    }
    if matches!(sign, '-' | '/' | '.' | '\u{2013}') {
        let next = if sign == '.' { skip_blanks(text, end + 1) } else { end + sign.len_utf8() };
        if let Some((month, month_end)) = small(text, next) {
            let (dom, day_end) = after_same_sign(text, month_end, sign)?;
            return Some((day(year, month, dom)?, day_end));
        }
    }
    let month_at = run_end(text, end, |c| c.is_whitespace() || matches!(c, '.' | ',' | '-' | '/'));
    let (month, month_end) = MONTHS.at(text, month_at, locale.language()).filter(|_| month_at > end)?;
    let day_at = run_end(text, month_end, |c| c.is_whitespace() || matches!(c, '.' | '-' | '/'));
    let (dom, day_end) = small(text, day_at).filter(|_| day_at > month_end)?;
    Some((day(year, month, dom)?, day_end))
}

fn after_same_sign(text: &str, end: usize, sign: char) -> Option<(i8, usize)> {
    let at = (fold::at(text, end) == Some(sign)).then(|| end + sign.len_utf8())?;
    let at = if sign == '.' { skip_blanks(text, at) } else { at };
    small(text, at)
}

fn east_asian(text: &str, year: i16, at: usize) -> Option<(Date, usize)> {
    let (month, end) = small(text, skip_blanks(text, at))?;
    let sign = fold::at(text, end).filter(|c| matches!(c, '月' | '월'))?;
    let (dom, end) = small(text, skip_blanks(text, end + sign.len_utf8()))?;
    let sign = fold::at(text, end).filter(|c| matches!(c, '日' | '号' | '號' | '일'))?;
    Some((day(year, month, dom)?, end + sign.len_utf8()))
}

/// Words and signs between the day and the month, folded.
const BEFORE_MONTH: [&str; 8] = ["de", "d'", "of", "di", "ta'", "il", "thang", "del"];
/// What may follow the digits of a day, folded.
const ORDINALS: [&str; 12] = ["st", "nd", "rd", "th", "er", "o", "a", "e", "\u{ba}", "\u{aa}", "\u{b0}", "ος"];
/// Words between the month and the year, folded.
const BEFORE_YEAR: [&str; 6] = ["de", "del", "of", "d'", "am", "г."];

fn skip_signs(text: &str, at: usize) -> usize {
    run_end(text, at, |c| c == ' ' || c == FIXED_BLANK || matches!(c, '.' | ',' | '-' | '/' | '\u{2013}'))
}

/// Past one of the words, if one stands there by itself.
fn skip_word(text: &str, at: usize, words: &[&str]) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let fits = words.iter().filter(|word| {
        let ends = word.ends_with('\'') || word.ends_with('.') || !fold::at(text, at + word.len()).is_some_and(is_word);
        rest.starts_with(**word) && ends
    });
    fits.map(|word| word.len()).max().map_or(at, |len| skip_signs(text, at + len))
}

/// `12 May 2021`, `12. Mai 2021`, `1er mai 2021`, `12 de mayo de 2021`, `12-May-2021`, `ngày 12 tháng 5, 2021`
fn day_month_name(text: &str, dom: i16, end: usize, locale: &Locale) -> Option<(Date, usize)> {
    let after_day = ORDINALS
        .iter()
        .filter(|word| text.get(end..).is_some_and(|rest| rest.starts_with(**word)))
        .map(|word| end + word.len())
        .filter(|stop| !fold::at(text, *stop).is_some_and(is_word))
        .max()
        .unwrap_or(end);
    let month_at = skip_word(text, skip_signs(text, after_day), &BEFORE_MONTH);
    let (month, month_end) = match MONTHS.at(text, month_at, locale.language()) {
        Some(found) => found,
        // Vietnamese numbers its months: the word before was `tháng`.
        None => small(text, month_at)
            .filter(|_| text.get(..month_at).is_some_and(|head| head.trim_end().ends_with("thang")))?,
    };
    let year_at = skip_word(text, skip_signs(text, month_end), &BEFORE_YEAR);
    let (year, year_end) = year(text, skip_word(text, year_at, &["nam"]))?;
    Some((day(year, month, i8::try_from(dom).ok()?)?, year_end))
}

/// `May 12, 2021`, `Mai 12th 2021`
fn month_name_day(text: &str, start: usize, locale: &Locale) -> Option<(Date, usize)> {
    let (month, month_end) = MONTHS.at(text, start, locale.language())?;
    let (dom, day_end) = small(text, skip_signs(text, month_end))?;
    let after_day = skip_word(text, day_end, &ORDINALS);
    let year_at = skip_word(text, skip_signs(text, after_day), &BEFORE_YEAR);
    let (year, year_end) = year(text, year_at).filter(|_| year_at > day_end)?;
    Some((day(year, month, dom)?, year_end))
}

/// `12.05.2021`, `12/05/2021`, `12-05-2021`, `12. 5. 2021`, `12.05.21`
fn numeric(text: &str, start: usize, locale: &Locale) -> Option<(Date, usize)> {
    let (first, end) = small(text, start)?;
    let sign = fold::at(text, end).filter(|c| matches!(c, '.' | '/' | '-' | '\u{2013}'))?;
    let (second, second_end) = {
        let at = if sign == '.' { skip_blanks(text, end + 1) } else { end + sign.len_utf8() };
        small(text, at)?
    };
    let year_at = (fold::at(text, second_end) == Some(sign)).then(|| second_end + sign.len_utf8())?;
    let year_at = if sign == '.' { skip_blanks(text, year_at) } else { year_at };
    let (year, year_end) = match year(text, year_at) {
        Some(found) => found,
        None => short_year(text, year_at, sign, locale)?,
    };
    // A version or an address goes on.
    let goes_on = fold::at(text, year_end).is_some_and(|c| c == sign || is_word(c))
        && fold::at(text, year_end + 1).is_some_and(|c| c.is_ascii_digit());
    if goes_on {
        return None;
    }
    let date = match order(sign, locale) {
        Order::DayFirst => day(year, second, first),
        Order::MonthFirst => day(year, first, second),
        Order::Open => match (day(year, second, first), day(year, first, second)) {
            (Some(one), Some(other)) => (one == other).then_some(one),
            (one, other) => one.or(other),
        },
    };
    Some((date?, year_end))
}

/// A year of two digits, in dates that do not start with the year.
fn short_year(text: &str, at: usize, sign: char, locale: &Locale) -> Option<(i16, usize)> {
    let (value, end) = number(text, at)?;
    let year_first = matches!(locale.language(), Some("ja" | "zh" | "ko" | "hu" | "sv" | "lt"));
    if end - at != 2 || year_first || !matches!(sign, '.' | '/') {
        return None;
    }
    Some((if value < 69 { 2000 + value } else { 1900 + value }, end))
}

enum Order {
    DayFirst,
    MonthFirst,
    Open,
}

/// The usual order by place (Unicode CLDR short dates): month first in the United States and a few more, day first elsewhere.
fn order(sign: char, locale: &Locale) -> Order {
    if sign == '.' {
        return Order::DayFirst;
    }
    let region = locale.region();
    match (locale.language(), region.as_deref()) {
        (_, Some("US" | "PH" | "FM" | "MH" | "PW" | "GU" | "PR" | "AS")) => Order::MonthFirst,
        (None | Some("en" | "zh" | "ja" | "ko" | "hu" | "sv" | "lt"), None)
        | (_, Some("CA" | "ZA" | "KE" | "CN" | "TW" | "JP" | "KR" | "HU")) => Order::Open,
        _ => Order::DayFirst,
    }
}
