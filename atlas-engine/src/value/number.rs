//! Numbers as people write them: `1,234.56`, `1.234,56`, `1 234,56`, `1'234.5`, `12,34,567`, `½`, `1 1/2`, `٣`, `12 %`.
//!
//! Which sign is the decimal one is settled by the number's own shape where that is unmistakable, else by the language, else
//! by the most common use: `1,234` is one thousand two hundred and thirty-four, `1.234` a little over one. Digits that are
//! shaped like a date, a version or an address (`1.2.3`) are no number.

use super::fold::{self, FIXED_BLANK, Folded, is_word, run_end, skip_blanks};
use super::lexicon::Lexicon;
use super::{Found, Locale};
use rust_decimal::Decimal;
use std::ops::Range;
use std::sync::LazyLock;

/// The first number in the text.
///
/// A percent sign belongs to the range and leaves the value as written: `12 %` is 12. `1.2k` and `3 million` are multiplied
/// out. Thirds and sixths are cut after 28 digits; everything else is exact. Digits that continue a word (`B12`) and numbers of more
/// than 28 digits are passed over.
pub fn parse(text: &str, locale: &Locale) -> Option<Found<Decimal>> {
    if let Some(found) = scientific(text) {
        return Some(found);
    }
    let folded = Folded::new(text)?;
    let token = next(&folded.text, 0, &Reading::plain(locale))?;
    Some(Found { value: token.value, range: folded.source_range(token.range) })
}

/// The first number if it is a whole one: `1,200 ratings` gives 1200, `4.5` nothing.
pub fn parse_integer(text: &str, locale: &Locale) -> Option<Found<i64>> {
    let found = parse(text, locale)?;
    let whole = found.value.fract().is_zero().then(|| i64::try_from(found.value.trunc()).ok())??;
    Some(Found { value: whole, range: found.range })
}

/// A text that is wholly a number in a program's spelling, `1.5e3`.
fn scientific(text: &str) -> Option<Found<Decimal>> {
    let trimmed = text.trim();
    let mantissa = trimmed.find(['e', 'E'])?;
    let plain = |part: &str, points: usize| {
        let digits = part.strip_prefix(['-', '+']).unwrap_or(part);
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
            && digits.bytes().filter(|b| *b == b'.').count() <= points
    };
    if !plain(&trimmed[..mantissa], 1) || !plain(&trimmed[mantissa + 1..], 0) {
        return None;
    }
    let value = Decimal::from_scientific(trimmed.strip_prefix('+').unwrap_or(trimmed)).ok()?;
    let start = text.len() - text.trim_start().len();
    Some(Found { value, range: start..start + trimmed.len() })
}

/// How digits are to be read.
pub(super) struct Reading<'l> {
    language: Option<&'l str>,
    decimal: Option<char>,
    by_blank: bool,
    money: bool,
}

/// Digits of cents.
const MONEY_DECIMALS: usize = 2;

impl<'l> Reading<'l> {
    pub(super) fn plain(locale: &'l Locale) -> Self {
        let (decimal, by_blank) = (locale.decimal_sign(), locale.groups_by_blank());
        Self { language: locale.language(), decimal, by_blank, money: false }
    }

    /// Amounts: letters may touch the digits (`EUR12`), and three digits after the only sign are a thousand's group unless
    /// the language says otherwise.
    pub(super) fn money(locale: &'l Locale) -> Self {
        Self { money: true, ..Self::plain(locale) }
    }
}

/// A number and where it stands in the folded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) value: Decimal,
    pub(super) range: Range<usize>,
    pub(super) percent: bool,
}

/// The first number at or after `from`.
pub(super) fn next(text: &str, from: usize, reading: &Reading<'_>) -> Option<Token> {
    let mut at = from;
    while let Some(offset) = text.get(at..)?.find(|c: char| c.is_ascii_digit() || vulgar(c).is_some()) {
        let start = at + offset;
        let (token, end) = token_at(text, start, reading);
        if let Some(token) = token {
            return Some(token);
        }
        at = end;
    }
    None
}

/// The number that starts with the digit at `start`, if it is one, and where to look on if it is not.
fn token_at(text: &str, start: usize, reading: &Reading<'_>) -> (Option<Token>, usize) {
    let (groups, mut end) = groups_at(text, start, reading.by_blank || reading.money);
    // Who writes in another language's way still writes one amount: it is read where its decimals show that, else passed over
    // as a whole. Any part of it would be a wrong amount.
    if !reading.by_blank && groups.iter().any(|(sign, _)| *sign == Some(' ')) {
        let shown = groups.last().is_some_and(|(sign, last)| *sign != Some(' ') && last.len() == MONEY_DECIMALS);
        if !shown {
            return (None, end);
        }
    }
    let (mut start, before) = (start, fold::before(text, start));
    if before.is_some_and(is_word) && !reading.money {
        return (None, end.max(start + 1).max(run_end(text, start, |c| vulgar(c).is_some())));
    }
    let Some(mut value) = (if groups.is_empty() { Some(Decimal::ZERO) } else { read(text, &groups, reading) }) else {
        return (None, end);
    };
    let whole = groups.len() <= 1;
    if whole && before.is_some_and(|c| c == '.' || c == ',') && !groups.is_empty() {
        // `.5`, but not the end of a sentence glued to a number.
        let sign_at = start - 1;
        let outside = fold::before(text, sign_at)
            .is_none_or(|c| c.is_whitespace() || matches!(c, '-' | '+' | '(' | '$' | '€' | '£'));
        if outside {
            let digits = text.get(start..end).unwrap_or_default();
            if let Some(fraction) = format!("0.{digits}").parse::<Decimal>().ok().filter(|_| digits.len() <= 28) {
                value = fraction;
                start = sign_at;
            }
        }
    } else if whole {
        match fraction_after(text, start, end, !groups.is_empty()) {
            Some(Fraction::Of { value: part, end: stop }) => (value, end) = (part, stop),
            Some(Fraction::Added { value: part, end: stop }) => (value, end) = (value + part, stop),
            None if groups.is_empty() => return (None, end.max(start + 1)),
            None => {}
        }
    }
    let sign = fold::before(text, start).filter(|c| matches!(c, '-' | '+'));
    if let Some(sign) = sign {
        let outside = fold::before(text, start - 1).is_none_or(|c| c.is_whitespace() || c == '(');
        if outside {
            start -= 1;
            value = if sign == '-' { -value } else { value };
        }
    }
    if let Some((factor, stop)) = magnitude(text, end, reading.language) {
        match value.checked_mul(Decimal::from(factor)) {
            Some(product) => (value, end) = (product, stop),
            None => return (None, stop),
        }
    }
    let sign_at = skip_blanks(text, end);
    let percent = matches!(fold::at(text, sign_at), Some('%' | '٪' | '﹪'));
    if percent {
        end = sign_at + fold::at(text, sign_at).map_or(0, char::len_utf8);
    }
    (Some(Token { value: value.normalize(), range: start..end, percent }), end)
}

/// The sign before a run of digits, if it is not the first, and the run.
type Group = (Option<char>, Range<usize>);

/// Runs of digits with the sign before each (none before the first), and where the last one ends.
fn groups_at(text: &str, start: usize, by_blank: bool) -> (Vec<Group>, usize) {
    let digits = |at: usize| run_end(text, at, |c| c.is_ascii_digit());
    let mut end = digits(start);
    if end == start {
        return (Vec::new(), start);
    }
    let mut groups = vec![(None, start..end)];
    while let Some(sign) = fold::at(text, end) {
        let next = end + sign.len_utf8();
        let stop = digits(next);
        // `1 299:-` is an amount, `1 200:30` a time.
        let no_cents = fold::at(text, stop) == Some(':') && fold::at(text, stop + 1) == Some('-');
        let three = stop - next == 3
            && (no_cents || fold::at(text, stop).is_none_or(|c| vulgar(c).is_none() && c != '/' && c != ':'));
        let head = groups.first().is_some_and(|(_, first)| first.len() <= 3 && !text[first.clone()].starts_with('0'));
        let tail = groups.iter().skip(1).all(|(sign, group)| group.len() == 3 && !matches!(sign, Some('.' | ',')));
        let joins = match sign {
            '.' | ',' | '٫' | '٬' => stop > next,
            '\'' => three,
            FIXED_BLANK => three && head && tail,
            ' ' => by_blank && three && head && tail,
            _ => false,
        };
        if !joins {
            break;
        }
        groups.push((Some(sign), next..stop));
        end = stop;
    }
    (groups, end)
}

/// The value of the groups, if their shape is that of a number.
fn read(text: &str, groups: &[Group], reading: &Reading<'_>) -> Option<Decimal> {
    let decimals = decimal_group(groups, text, reading)?;
    let mut digits = String::with_capacity(32);
    for (index, (_, group)) in groups.iter().enumerate() {
        if Some(index) == decimals {
            digits.push('.');
        }
        digits.push_str(text.get(group.clone())?);
    }
    // `Decimal` rounds beyond 28 digits; a number that long is an identifier, not a quantity.
    let count = digits.trim_start_matches('0').bytes().filter(u8::is_ascii_digit).count();
    if count > 28 { None } else { digits.parse().ok() }
}

/// Which group holds the decimals: `Some(None)` for none, `None` if the shape is no number's.
#[allow(clippy::option_option)] // Three answers: no number, a whole number, decimals in that group.
fn decimal_group(groups: &[Group], text: &str, reading: &Reading<'_>) -> Option<Option<usize>> {
    let last = groups.len() - 1;
    let signs: Vec<char> = groups.iter().filter_map(|(sign, _)| *sign).collect();
    let Some(&final_sign) = signs.last() else { return Some(None) };
    let grouped = |upto: usize| {
        let mut kinds = signs[..upto].iter();
        let first = kinds.next();
        first.is_none_or(|first| kinds.all(|sign| sign == first)) && grouping(&groups[..=upto])
    };
    let candidate = matches!(final_sign, '.' | ',' | '٫');
    let unique = signs.iter().filter(|sign| **sign == final_sign).count() == 1;
    if !candidate || !unique {
        return grouped(last).then_some(None);
    }
    if signs.len() > 1 {
        // Another sign groups before it, so this one can only start the decimals.
        return grouped(last - 1).then_some(Some(last));
    }
    let head = &groups[0].1;
    let ambiguous =
        groups[last].1.len() == 3 && head.len() <= 3 && !text[head.clone()].starts_with('0') && final_sign != '٫';
    if !ambiguous {
        return Some(Some(last));
    }
    let decimal = match reading.decimal {
        Some(decimal) => decimal == final_sign,
        None => final_sign == '.' && !reading.money,
    };
    Some(decimal.then_some(last))
}

/// If the groups are thousands (`1,234,567`) or lakhs and crores (`12,34,567`).
fn grouping(groups: &[Group]) -> bool {
    let Some(((_, head), rest)) = groups.split_first() else { return false };
    let Some(((_, last), middle)) = rest.split_last() else { return true };
    let thousands = head.len() <= 3 && middle.iter().all(|(_, group)| group.len() == 3);
    let lakhs = head.len() <= 2 && middle.iter().all(|(_, group)| group.len() == 2);
    last.len() == 3 && (thousands || lakhs)
}

enum Fraction {
    /// The digits before are the numerator.
    Of { value: Decimal, end: usize },
    /// The digits before are whole ones.
    Added { value: Decimal, end: usize },
}

/// A fraction that goes on from whole digits in `start..end`, or stands alone there.
fn fraction_after(text: &str, start: usize, end: usize, digits: bool) -> Option<Fraction> {
    if digits && let Some((value, stop)) = slash_fraction(text, start, end) {
        return Some(Fraction::Of { value, end: stop });
    }
    let next = if digits { skip_blanks(text, end) } else { end };
    if let Some(value) = fold::at(text, next).and_then(vulgar) {
        let stop = next + fold::at(text, next).map_or(0, char::len_utf8);
        return Some(Fraction::Added { value, end: stop });
    }
    if !digits || text.get(start..end)?.len() > 3 {
        return None;
    }
    // `1 1/2` and `1-1/2`
    let next = if fold::at(text, end) == Some('-') { end + 1 } else { next };
    let numerator_end = run_end(text, next, |c| c.is_ascii_digit());
    let (value, stop) = (next > end).then(|| slash_fraction(text, next, numerator_end))??;
    Some(Fraction::Added { value, end: stop })
}

/// `3/4`, for the denominators that kitchens and workshops use: `4/5` is as likely a rating, `11/12` a date.
fn slash_fraction(text: &str, start: usize, end: usize) -> Option<(Decimal, usize)> {
    let slash = fold::at(text, end).filter(|c| matches!(c, '/' | '⁄' | '∕'))?;
    let bottom_start = end + slash.len_utf8();
    let stop = run_end(text, bottom_start, |c| c.is_ascii_digit());
    let top: u32 = text.get(start..end)?.parse().ok()?;
    let bottom: u32 = text.get(bottom_start..stop)?.parse().ok()?;
    let usual = matches!(bottom, 2 | 3 | 4 | 8 | 16 | 32) || (top == 1 && matches!(bottom, 5 | 6));
    let goes_on = fold::at(text, stop).is_some_and(|c| matches!(c, '/' | '⁄' | '.' | ',' | '-'))
        && fold::at(text, stop + 1).is_some_and(|c| c.is_ascii_digit());
    let apart = fold::before(text, start).is_none_or(|c| !matches!(c, '/' | '⁄' | '.' | ','));
    (0 < top && top < bottom && usual && !goes_on && apart).then(|| (Decimal::from(top) / Decimal::from(bottom), stop))
}

/// The value of a one-character fraction.
fn vulgar(c: char) -> Option<Decimal> {
    let (top, bottom) = match c {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        _ => return None,
    };
    Some(Decimal::from(top) / Decimal::from(bottom))
}

/// A word after the number that multiplies it, and where it ends.
fn magnitude(text: &str, end: usize, language: Option<&str>) -> Option<(i64, usize)> {
    let at = skip_blanks(text, end);
    if at == end && fold::at(text, end) == Some('k') && fold::at(text, end + 1).is_none_or(|c| !c.is_alphanumeric()) {
        return Some((1_000, end + 1));
    }
    let (factor, stop) = MAGNITUDES.at(text, at, language)?;
    let dot =
        fold::at(text, stop) == Some('.') && matches!(text.get(at..stop), Some("mio" | "mrd" | "tsd" | "mln" | "mld"));
    Some((factor, if dot { stop + 1 } else { stop }))
}

static MAGNITUDES: LazyLock<Lexicon<i64>> = LazyLock::new(|| {
    const THOUSAND: i64 = 1_000;
    const MILLION: i64 = 1_000_000;
    const BILLION: i64 = 1_000_000_000;
    Lexicon::new(&[
        ("en", THOUSAND, "thousand"),
        ("de", THOUSAND, "tausend|tsd"),
        ("es", THOUSAND, "mil"),
        ("=fr", THOUSAND, "mille"),
        ("ru", THOUSAND, "тысяч|тысячи|тыс"),
        ("en", MILLION, "million|millions"),
        ("de", MILLION, "mio|millionen"),
        ("es", MILLION, "millones|millón"),
        ("it", MILLION, "milioni|milione|mln"),
        ("pt", MILLION, "milhões|milhão"),
        ("nl", MILLION, "miljoen"),
        ("sv", MILLION, "miljoner|miljon"),
        ("da", MILLION, "millioner"),
        ("pl", MILLION, "miliony|milionów"),
        ("ru", MILLION, "млн|миллион|миллиона|миллионов"),
        ("tr", MILLION, "milyon"),
        ("en", BILLION, "billion|billions"),
        ("de", BILLION, "mrd|milliarde|milliarden"),
        ("fr", BILLION, "milliard|milliards"),
        ("it", BILLION, "miliardi|miliardo|mld"),
        ("nl", BILLION, "miljard"),
        ("=de", 1_000_000_000_000, "billion|billionen"),
        ("ru", BILLION, "млрд|миллиард|миллиарда|миллиардов"),
        ("ja", 10_000, "万"),
        ("zh", 10_000, "萬"),
        ("ja", 100_000_000, "億"),
        ("zh", 100_000_000, "亿"),
        ("ko", 10_000, "만"),
        ("ko", 100_000_000, "억"),
        ("hi", 100_000, "lakh|lakhs"),
        ("hi", 10_000_000, "crore|crores"),
    ])
});
