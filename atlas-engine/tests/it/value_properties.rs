//! What holds for any text: no panic, quotes inside the text, values that survive being written and read.

use atlas_engine::value::{Found, Locale, availability, boolean, date, duration, money, number, url};
use proptest::prelude::*;
use std::time::Duration;

/// Texts near what the parsers look for, so that more than their first line is reached.
fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[0-9.,' \u{a0}/:-]{1,12}",
        prop::sample::select(vec![
            "€",
            "$",
            "kr",
            "EUR",
            "US$",
            " ",
            "½",
            "1/2",
            "May",
            "Mai",
            "12",
            "2021",
            "年",
            "月",
            "日",
            "T",
            "Z",
            "PT",
            "H",
            "M",
            "min",
            "Std.",
            "hour",
            "-",
            "–",
            "%",
            "k",
            "Mio.",
            "in stock",
            "nicht",
            "auf Lager",
            "ja",
            "no",
            "İ",
            "ß",
            "e\u{301}",
            "٣",
            "\u{301}",
            "\u{200b}",
            "5\u{301}",
            "ﷺ",
            "tháng",
            "uhr",
            "pm",
            "+02:00",
            "to",
            "bis",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn locales() -> impl Strategy<Value = Locale> {
    let tags = ["", "en", "en-US", "de", "fr", "ja", "sv", "tr", "hi", "en-CA", "hr", "vi"];
    prop::sample::select(tags.to_vec()).prop_map(|tag| Locale::new().with_language(tag))
}

fn sound<T>(text: &str, found: Option<Found<T>>) -> bool {
    found.is_none_or(|found| text.get(found.range).is_some_and(|quote| !quote.is_empty()))
}

/// If reading the quote alone gives the same value again: that is how evidence is checked.
fn steady<T: PartialEq>(text: &str, locale: &Locale, parse: impl Fn(&str, &Locale) -> Option<Found<T>>) -> bool {
    parse(text, locale).is_none_or(|found| {
        let again = text.get(found.range).and_then(|quote| parse(quote, locale));
        again.is_some_and(|again| again.value == found.value)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_nothing_or_a_quote_from_it(text in texts(), locale in locales()) {
        prop_assert!(sound(&text, number::parse(&text, &locale)));
        prop_assert!(sound(&text, money::parse(&text, &locale)));
        prop_assert!(sound(&text, money::parse_range(&text, &locale)));
        prop_assert!(sound(&text, money::parse_currency(&text, &locale)));
        prop_assert!(sound(&text, date::parse(&text, &locale)));
        prop_assert!(sound(&text, duration::parse(&text, &locale)));
        prop_assert!(sound(&text, availability::parse(&text, &locale)));
        prop_assert!(sound(&text, boolean::parse(&text, &locale)));
        prop_assert!(sound(&text, url::parse(&text, &locale)));
        prop_assert!(sound(&text, url::parse_srcset(&text, &locale)));
    }

    #[test]
    fn a_quote_read_again_gives_the_same_value(text in texts(), locale in locales()) {
        prop_assert!(steady(&text, &locale, number::parse));
        prop_assert!(steady(&text, &locale, money::parse));
        prop_assert!(steady(&text, &locale, money::parse_range));
        prop_assert!(steady(&text, &locale, date::parse));
        prop_assert!(steady(&text, &locale, duration::parse_range));
        prop_assert!(steady(&text, &locale, availability::parse));
        prop_assert!(steady(&text, &locale, boolean::parse));
        prop_assert!(steady(&text, &locale, url::parse));
    }

    #[test]
    fn written_numbers_read_back(units in any::<i32>(), cents in 0_i64..100, style in 0..4) {
        let amount = rust_decimal::Decimal::new(i64::from(units.unsigned_abs()) * 100 + cents, 2);
        let plain = format!("{amount:.2}");
        let (whole, cents) = plain.split_once('.').unwrap();
        let grouped = |sign: &str| {
            let digits = whole.as_bytes().rchunks(3).rev().map(|chunk| std::str::from_utf8(chunk).unwrap());
            digits.collect::<Vec<_>>().join(sign)
        };
        let (text, tag) = match style {
            0 => (format!("{},{cents}", grouped(".")), "de"),
            1 => (format!("{}.{cents}", grouped(",")), "en"),
            2 => (format!("{},{cents}", grouped("\u{202f}")), "fr"),
            _ => (format!("{}.{cents}", grouped("’")), "de-CH"),
        };
        let locale = Locale::new().with_language(tag);
        let found = number::parse(&text, &locale);
        prop_assert_eq!(found.map(|found| (found.value, found.range)), Some((amount.normalize(), 0..text.len())));
        let price = format!("{text} €");
        let found = money::parse(&price, &locale).unwrap();
        prop_assert_eq!((found.value.amount, found.value.currency), (amount.normalize(), Some("EUR")));
        prop_assert_eq!(found.range, 0..price.len());
    }

    #[test]
    fn written_dates_read_back(days in 0_i32..80_000) {
        let day = jiff::civil::date(1980, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap_or(jiff::civil::date(2000, 1, 1));
        let names = ["Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"];
        let name = names[usize::try_from(day.month() - 1).unwrap()];
        let german = Locale::new().with_language("de");
        for text in [
            day.to_string(),
            format!("{}.{}.{}", day.day(), day.month(), day.year()),
            format!("{}. {name} {}", day.day(), day.year()),
            format!("{}年{}月{}日", day.year(), day.month(), day.day()),
        ] {
            let found = date::parse(&text, &german);
            prop_assert_eq!(found.map(|found| (found.value.date(), found.range)), Some((day, 0..text.len())), "{}", text);
        }
    }

    #[test]
    fn written_durations_read_back(seconds in 0_u64..10_000_000) {
        let text = duration::to_iso8601(Duration::from_secs(seconds));
        let found = duration::parse(&text, &Locale::new()).unwrap();
        prop_assert_eq!((found.value.as_secs(), found.range), (seconds, 0..text.len()));
    }
}
