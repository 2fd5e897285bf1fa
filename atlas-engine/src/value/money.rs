//! Prices and other amounts of money.
//!
//! A range of prices (`10–20 €`) is not a price: [`parse`] refuses it and [`parse_range`] reads it.

use super::currency::{self, Sign};
use super::fold::{self, Folded, is_word, skip_blanks};
use super::number::{self, Reading};
use super::{Found, Locale};
use rust_decimal::Decimal;
use std::ops::Range;

/// An exact amount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    /// In units of the currency (euros, not cents).
    pub amount: Decimal,
    /// The ISO 4217 code in capitals; `None` if the text does not say, or says `kr` on a page of no known language.
    pub currency: Option<&'static str>,
}

/// Two amounts with the same currency, the first one lower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoneyRange {
    /// The lower end.
    pub low: Money,
    /// The upper end.
    pub high: Money,
}

/// How many numbers of a text are looked at: a price stands near the start of what is given as one.
const MAX_NUMBERS: usize = 32;

/// Words that say that nothing is to be paid.
const FREE: [&str; 18] = [
    "free",
    "for free",
    "free of charge",
    "gratis",
    "kostenlos",
    "kostenfrei",
    "gratuit",
    "gratuito",
    "gratuita",
    "gratuitement",
    "za darmo",
    "zdarma",
    "ilmainen",
    "бесплатно",
    "ucretsiz",
    "無料",
    "免费",
    "무료",
];

/// Words and signs between the ends of a range.
const UNTIL: [&str; 14] =
    ["-", "\u{2013}", "~", "〜", "to", "bis", "a", "al", "tot", "do", "till", "til", "до", "jusqu'a"];

/// The first amount that has a currency; without any currency, the only number of the text.
///
/// Percentages are passed over. `Free` and its like, alone, are zero. Refused: ranges, and several bare numbers.
pub fn parse(text: &str, locale: &Locale) -> Option<Found<Money>> {
    let folded = Folded::new(text)?;
    if let Some(found) = free(&folded) {
        return Some(found);
    }
    let amounts = amounts(&folded, locale);
    let with_currency = amounts.iter().position(|amount| amount.currency.is_some());
    let index = with_currency.or((amounts.len() == 1).then_some(0))?;
    let ranged = |first: usize| amounts.get(first..first + 2).is_some_and(|pair| is_range(&folded, &pair[0], &pair[1]));
    if ranged(index) || index.checked_sub(1).is_some_and(ranged) {
        return None;
    }
    let amount = amounts.into_iter().nth(index)?;
    Some(Found { range: folded.source_range(amount.range.clone()), value: amount.money() })
}

/// The first range of amounts: `$10 - $20`, `10–20 €`, `von 5 bis 7 EUR`.
///
/// At least one end must have a currency, which then holds for both. Refused: ends with different currencies, and a first
/// end above the second.
pub fn parse_range(text: &str, locale: &Locale) -> Option<Found<MoneyRange>> {
    let folded = Folded::new(text)?;
    let amounts = amounts(&folded, locale);
    let pair = amounts.windows(2).find(|pair| is_range(&folded, &pair[0], &pair[1]))?;
    let (mut low, mut high) = (pair[0].clone().money(), pair[1].clone().money());
    low.currency = low.currency.or(high.currency);
    high.currency = high.currency.or(low.currency);
    let range = folded.source_range(pair[0].range.start..pair[1].range.end);
    (low.currency == high.currency && low.amount <= high.amount)
        .then_some(Found { value: MoneyRange { low, high }, range })
}

/// The code of a currency given by itself: `EUR`, `eur`, `€`, `Kč`.
pub fn parse_currency(text: &str, locale: &Locale) -> Option<Found<&'static str>> {
    let folded = Folded::new(text)?;
    let inner = folded.trimmed();
    let code = match currency::known_code(folded.text.get(inner.clone())?) {
        Some(code) => code,
        None => currency::starting_at(&folded, inner.start, locale).filter(|sign| sign.range == inner)?.code?,
    };
    Some(Found { value: code, range: folded.source_range(inner) })
}

#[derive(Debug, Clone)]
struct Amount {
    value: Decimal,
    currency: Option<Sign>,
    range: Range<usize>,
}

impl Amount {
    fn money(self) -> Money {
        Money { amount: self.value, currency: self.currency.and_then(|sign| sign.code) }
    }
}

fn free(folded: &Folded<'_>) -> Option<Found<Money>> {
    let inner = folded.trimmed();
    let words = folded.text.get(inner.clone())?.trim_end_matches(['!', '.']);
    let range = folded.source_range(inner.start..inner.start + words.len());
    FREE.contains(&words).then_some(Found { value: Money { amount: Decimal::ZERO, currency: None }, range })
}

/// The numbers of the text with the currency beside each.
fn amounts(folded: &Folded<'_>, locale: &Locale) -> Vec<Amount> {
    let reading = Reading::money(locale);
    let mut amounts: Vec<Amount> = Vec::new();
    let mut from = 0;
    while let Some(token) = number::next(&folded.text, from, &reading).filter(|_| amounts.len() < MAX_NUMBERS) {
        from = token.range.end;
        if token.percent {
            continue;
        }
        let taken = amounts.last().map_or(0, |amount| amount.range.end);
        if let Some(amount) = amount(folded, &token, taken, locale) {
            from = from.max(amount.range.end);
            amounts.push(amount);
        }
    }
    amounts
}

fn amount(folded: &Folded<'_>, token: &number::Token, taken: usize, locale: &Locale) -> Option<Amount> {
    let text = folded.text.as_str();
    let (mut value, mut range) = (token.value, token.range.clone());
    let before = currency::ending_at(folded, range.start, locale).filter(|sign| sign.range.start >= taken);
    let glued = fold::before(text, range.start).is_some_and(is_word);
    if glued && before.is_none() {
        return None;
    }
    // `$-5`: the minus stands between the sign and the digits.
    let turned = (before.is_none() && value.is_sign_positive() && fold::before(text, range.start) == Some('-'))
        .then(|| {
            currency::ending_at(folded, range.start - 1, locale)
                .filter(|sign| sign.range.end + 1 == range.start && sign.range.start >= taken)
        })
        .flatten();
    if turned.is_some() {
        value = -value;
        range.start -= 1;
    }
    let before = before.or(turned);
    // `$1.2M`, `$1e3`: more than an amount.
    let goes_on = fold::at(text, range.end).is_some_and(|c| matches!(c, 'm' | 'b' | 'e'));
    if goes_on && before.is_some() && currency::starting_at(folded, range.end, locale).is_none() {
        return None;
    }
    if value.fract().is_zero()
        && let Some((cents, end)) = raised_cents(folded, range.end, before.is_some(), locale)
    {
        value = value.checked_add(Decimal::new(cents, 2))?;
        range.end = end;
    }
    if before.is_none()
        && let Some(end) = only_cents(text, range.end)
    {
        return Some(Amount {
            value: value.checked_div(Decimal::ONE_HUNDRED)?,
            currency: None,
            range: range.start..end,
        });
    }
    range.end = no_cents(text, range.end);
    let mut after = currency::starting_at(folded, range.end, locale);
    // `5€99`
    if let Some(sign) = after.as_ref().filter(|_| value.fract().is_zero()) {
        let cents_end = fold::run_end(text, sign.range.end, |c| c.is_ascii_digit());
        if cents_end - sign.range.end == 2 && sign.range.start == range.end && !sign.exact {
            let cents: i64 = text.get(sign.range.end..cents_end)?.parse().ok()?;
            value = value.checked_add(Decimal::new(cents, 2))?;
            range.end = cents_end;
        }
    }
    // `10 $20`: the sign after belongs to the next number, unless it is the only one.
    let next_number = |sign: &Sign| {
        let next = skip_blanks(text, sign.range.end);
        sign.range.end > range.end && fold::at(text, next).is_some_and(|c| c.is_ascii_digit())
    };
    if before.is_some() || after.as_ref().is_some_and(|sign| sign.range.start > range.end) {
        after = after.filter(|sign| !next_number(sign));
    }
    let sign = match (before, after) {
        (Some(before), Some(after)) if after.exact && !before.exact => {
            range = before.range.start..after.range.end;
            Some(after)
        }
        (Some(before), after) => {
            range.start = before.range.start;
            if let Some(after) = after.filter(|after| after.code == before.code) {
                range.end = range.end.max(after.range.end);
            }
            Some(before)
        }
        (None, Some(after)) => {
            range.end = range.end.max(after.range.end);
            Some(after)
        }
        (None, None) => None,
    };
    if taken == 0 && sign.as_ref().is_some_and(|sign| sign.range.start < token.range.start) {
        let minus = text.get(..range.start).unwrap_or_default();
        if minus.ends_with('-') && minus[..minus.len() - 1].chars().next_back().is_none_or(char::is_whitespace) {
            value = -value;
            range.start -= 1;
        }
    }
    Some(Amount { value, currency: sign, range })
}

/// Cents set smaller beside the amount, which text shows as two digits after a blank: `$12 99`, `12 99 €`.
fn raised_cents(folded: &Folded<'_>, end: usize, signed: bool, locale: &Locale) -> Option<(i64, usize)> {
    let text = folded.text.as_str();
    let start = end + 1;
    let stop = fold::run_end(text, start, |c| c.is_ascii_digit());
    if fold::at(text, end) != Some(' ') || stop != start + 2 {
        return None;
    }
    let rest = text.get(stop..)?.trim_start();
    let ends = rest.is_empty() || rest.starts_with(['\n', ')', '|', '/', '*']);
    let followed = currency::starting_at(folded, stop, locale).is_some();
    let fits = if signed { ends } else { followed };
    fits.then(|| Some((text.get(start..stop)?.parse().ok()?, stop))).flatten()
}

/// Past a sign or word that says that the amount counts cents: `99¢`, `49 Cent`.
fn only_cents(text: &str, end: usize) -> Option<usize> {
    let at = skip_blanks(text, end);
    let rest = text.get(at..)?;
    let word = ["¢", "cents", "cent"].into_iter().find(|word| rest.starts_with(word))?;
    let stop = at + word.len();
    (word == "¢" || !fold::at(text, stop).is_some_and(is_word)).then_some(stop)
}

/// Past the dash that stands for no cents: `12,-`, `12.–`, `299:-`, `5,--`.
fn no_cents(text: &str, end: usize) -> usize {
    if !matches!(fold::at(text, end), Some('.' | ',' | ':')) {
        return end;
    }
    let stop = fold::run_end(text, end + 1, |c| matches!(c, '-' | '\u{2013}'));
    // `5.-6` goes on.
    let goes_on = fold::at(text, stop).is_some_and(|c| c.is_ascii_digit());
    if stop > end + 1 && !goes_on { stop } else { end }
}

fn is_range(folded: &Folded<'_>, first: &Amount, second: &Amount) -> bool {
    let between = folded.text.get(first.range.end..second.range.start).map(str::trim);
    let currency = first.currency.is_some() || second.currency.is_some();
    currency && between.is_some_and(|between| UNTIL.contains(&between))
}
