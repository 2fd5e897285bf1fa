//! The time of day beside a date.

use super::{Time, When, fold, is_word, run_end, skip_blanks, small};
use jiff::civil::Date;
use jiff::tz::Offset;

/// Words and signs between a date and its time, folded.
const BEFORE_TIME: [&str; 22] = [
    "t", "at", "um", "a las", "alle ore", "alle", "ore", "kl.", "kl", "klo", "o", "om", "la", "v", "\u{e0}", "a", "as",
    "в", "ve", "saat", "|", "\u{b7}",
];

/// The time that follows a date ending at `end`, with its zone. `None` if no time stands there.
pub(super) fn after(text: &str, date: Date, end: usize) -> Option<(When, usize)> {
    let (time, stop) = time_at(text, past_joint(text, end)?)?;
    let local = date.to_datetime(time);
    if let Some((offset, stop)) = zone(text, stop) {
        let at = offset.to_timestamp(local).ok()?;
        return Some((When::Moment(at, offset), stop));
    }
    Some((When::Local(local), stop))
}

/// Where the time may start. It must be apart from the date.
fn past_joint(text: &str, end: usize) -> Option<usize> {
    let signs = |at: usize| run_end(text, at, |c| c.is_whitespace() || matches!(c, ',' | '-' | '\u{2013}' | '(' | '.'));
    let at = signs(end);
    let rest = text.get(at..)?;
    let words = BEFORE_TIME.iter().filter(|word| {
        let after = fold::at(text, at + word.len());
        rest.starts_with(**word)
            && after.is_some_and(|c| c.is_whitespace() || (c.is_ascii_digit() && (**word == "t" || !is_word_end(word))))
    });
    let next = words.map(|word| word.len()).max().map_or(at, |len| signs(at + len));
    (next > end).then_some(next)
}

fn is_word_end(word: &str) -> bool {
    word.chars().next_back().is_some_and(is_word)
}

/// `10:30`, `10:30:05.25`, `10.30 Uhr`, `10h30`, `5 pm`, `5:30 p.m.`
fn time_at(text: &str, at: usize) -> Option<(Time, usize)> {
    let (hour, end) = small(text, at)?;
    let sign = fold::at(text, end);
    let minutes = match sign {
        Some(':' | 'h' | '.') => small(text, end + 1).filter(|(_, stop)| stop - end == 3),
        _ => None,
    };
    let (minute, mut stop) = minutes.unwrap_or((0, end));
    let (mut second, mut nanosecond) = (0, 0);
    if minutes.is_some()
        && sign == Some(':')
        && fold::at(text, stop) == Some(':')
        && let Some((value, end)) = small(text, stop + 1).filter(|(_, end)| end - stop == 3)
    {
        (second, stop) = (value, end);
        (nanosecond, stop) = fraction(text, stop);
    }
    // A leap second is the second before it here: no calendar type holds it.
    let second = if second == 60 { 59 } else { second };
    if let Some((afternoon, end)) = half_day(text, stop) {
        let hour = match (hour, afternoon) {
            (12, false) => 0,
            (1..=11, true) => hour + 12,
            (1..=12, _) => hour,
            _ => return None,
        };
        return Some((Time::new(hour, minute, second, nanosecond).ok()?, end));
    }
    let word_at = skip_blanks(text, stop);
    let clock_word = ["uhr", "h", "uur", "час"].iter().find(|word| {
        text.get(word_at..).is_some_and(|rest| rest.starts_with(**word))
            && !fold::at(text, word_at + word.len()).is_some_and(is_word)
    });
    if let Some(word) = clock_word {
        stop = word_at + word.len();
    } else if minutes.is_none() || sign == Some('.') {
        // A bare number, or `10.30`, could be anything.
        return None;
    }
    Some((Time::new(hour, minute, second, nanosecond).ok()?, stop))
}

fn fraction(text: &str, at: usize) -> (i32, usize) {
    if !matches!(fold::at(text, at), Some('.' | ',')) {
        return (0, at);
    }
    let end = run_end(text, at + 1, |c| c.is_ascii_digit());
    let digits = text.get(at + 1..end).unwrap_or_default();
    if digits.is_empty() {
        return (0, at);
    }
    let nanos =
        digits.bytes().chain(std::iter::repeat(b'0')).take(9).fold(0, |sum, digit| sum * 10 + i32::from(digit - b'0'));
    (nanos, end)
}

/// `am`, `p.m.`: if it is after noon, and where the word ends.
fn half_day(text: &str, at: usize) -> Option<(bool, usize)> {
    let start = skip_blanks(text, at);
    let rest = text.get(start..)?;
    let forms = [("a.m.", false), ("p.m.", true), ("am", false), ("pm", true), ("a.m", false), ("p.m", true)];
    let (word, afternoon) = forms.into_iter().find(|(word, _)| rest.starts_with(word))?;
    let end = start + word.len();
    (!fold::at(text, end).is_some_and(is_word)).then_some((afternoon, end))
}

/// `Z`, `+02:00`, `+0200`, `GMT`, `UTC+2` and the letters of RFC 2822 and central Europe.
fn zone(text: &str, at: usize) -> Option<(Offset, usize)> {
    let start = skip_blanks(text, at);
    let word_end = run_end(text, start, char::is_alphabetic);
    let hours = match text.get(start..word_end)? {
        "" => return numeric_zone(text, start, start == at),
        "z" | "gmt" | "utc" | "ut" => {
            let detail = numeric_zone(text, word_end, true);
            return detail.or(Some((Offset::UTC, word_end)));
        }
        "wet" => 0,
        "cet" | "mez" | "bst" => 1,
        "cest" | "mesz" | "eet" => 2,
        "eest" | "msk" => 3,
        "ist" => return Some((Offset::from_seconds(19_800).ok()?, word_end)),
        "jst" | "kst" => 9,
        "edt" => -4,
        "est" | "cdt" => -5,
        "cst" | "mdt" => -6,
        "mst" | "pdt" => -7,
        "pst" => -8,
        _ => return None,
    };
    Some((Offset::from_hours(hours).ok()?, word_end))
}

/// `+02:00`, `-0500`, `+2`. `touching`: nothing stands between it and what comes before, so one digit is enough.
fn numeric_zone(text: &str, at: usize, touching: bool) -> Option<(Offset, usize)> {
    let sign = match fold::at(text, at)? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let end = run_end(text, at + 1, |c| c.is_ascii_digit());
    let digits = text.get(at + 1..end)?;
    let (hours, minutes, stop) = match digits.len() {
        4 => (digits.get(..2)?.parse::<i32>().ok()?, digits.get(2..)?.parse::<i32>().ok()?, end),
        1 | 2 if touching || fold::at(text, end) == Some(':') => {
            let hours = digits.parse::<i32>().ok()?;
            let minutes = (fold::at(text, end) == Some(':')).then(|| small(text, end + 1)).flatten();
            minutes
                .filter(|(_, stop)| stop - end == 3)
                .map_or((hours, 0, end), |(minutes, stop)| (hours, i32::from(minutes), stop))
        }
        _ => return None,
    };
    if hours > 14 || minutes > 59 {
        return None;
    }
    Some((Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()?, stop))
}
