//! Both sides of a comparison in one spelling, as the data's README asks.

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::BufferQueue;
use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use std::cell::RefCell;
use unicode_normalization::UnicodeNormalization;

/// Entities decoded, NFKC, whitespace to one blank, lower case, outer blanks and dots off.
pub(crate) fn text(raw: &str) -> String {
    let folded: String = entities(raw).nfkc().collect::<String>().to_lowercase();
    let joined = folded.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.trim_matches(|c: char| c == '.' || c.is_whitespace()).to_owned()
}

/// Letters and digits only, NFKC, lower case.
pub(crate) fn letters(raw: &str) -> String {
    raw.nfkc().collect::<String>().to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Character references decoded, also those that were encoded twice; anything else is left as it stands.
fn entities(raw: &str) -> String {
    let mut text = raw.to_owned();
    for _ in 0..2 {
        if !text.contains('&') {
            break;
        }
        text = Characters::of(&text.replace('<', "&lt;"));
    }
    text
}

/// A token sink that keeps characters: the parser's own table of references, without a tree.
#[derive(Default)]
struct Characters(RefCell<String>);

impl Characters {
    fn of(html: &str) -> String {
        let tokenizer = Tokenizer::new(Self::default(), TokenizerOpts::default());
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from_slice(html));
        let _ = tokenizer.feed(&queue);
        tokenizer.end();
        tokenizer.sink.0.into_inner()
    }
}

impl TokenSink for Characters {
    type Handle = ();
    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        if let Token::CharacterTokens(text) = token {
            self.0.borrow_mut().push_str(&text);
        }
        TokenSinkResult::Continue
    }
}

/// A number as a decimal: `1,5` and `1.50` are the same.
pub(crate) fn number(raw: &str) -> Option<f64> {
    raw.trim().replace(',', ".").parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The day of a date or date and time, ISO spelling.
pub(crate) fn day(raw: &str) -> Option<String> {
    let day = raw.trim().get(..10)?;
    let shape = day.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    shape.then(|| day.to_owned())
}

/// Whole minutes from a number of minutes or an ISO 8601 duration.
pub(crate) fn minutes(value: &serde_json::Value) -> Option<f64> {
    if let Some(number) = value.as_f64() {
        return Some(number);
    }
    let text = value.as_str()?;
    number(text).or_else(|| iso_minutes(text))
}

fn iso_minutes(text: &str) -> Option<f64> {
    let (mut total, mut digits, mut in_time) = (0.0, String::new(), false);
    for c in text.trim().strip_prefix('P')?.chars() {
        match c {
            'T' => in_time = true,
            '0'..='9' | '.' => digits.push(c),
            unit => {
                let amount: f64 = std::mem::take(&mut digits).parse().ok()?;
                total += amount
                    * match (unit, in_time) {
                        ('W', false) => 10_080.0,
                        ('D', false) => 1440.0,
                        ('H', true) => 60.0,
                        ('M', true) => 1.0,
                        ('S', true) => 1.0 / 60.0,
                        _ => return None,
                    };
            }
        }
    }
    digits.is_empty().then_some(total.floor())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spellings_of_one_text_are_one_text() {
        assert_eq!(text("  Cr&egrave;me\u{a0}Br\u{fb}l\u{e9}e. "), "crème brûlée");
        assert_eq!(text("1 &amp;frac12; cups"), text("1 ½ cups"), "encoded twice");
        assert_eq!(text("a < b & c"), "a < b & c", "what is no reference stays");
        assert_eq!(letters("Chart-Positions\nUK (1)"), "chartpositionsuk1");
    }

    #[test]
    fn times_are_minutes_however_written() {
        for (value, wanted) in
            [(json!(75), 75.0), (json!("75"), 75.0), (json!("PT1H15M"), 75.0), (json!("P1DT1M"), 1441.0)]
        {
            assert_eq!(minutes(&value), Some(wanted));
        }
        assert_eq!(minutes(&json!("soon")), None);
    }
}
