//! Numbers in the spellings of many places.

use atlas_engine::value::{Locale, number};

fn locale(tag: &str) -> Locale {
    if tag.is_empty() { Locale::new() } else { Locale::new().with_language(tag) }
}

fn read(text: &str, tag: &str) -> Option<(String, String)> {
    number::parse(text, &locale(tag)).map(|found| (found.value.to_string(), text[found.range].to_owned()))
}

#[track_caller]
fn reads(text: &str, tag: &str, value: &str, quote: &str) {
    assert_eq!(read(text, tag), Some((value.to_owned(), quote.to_owned())), "{text:?} in {tag:?}");
}

#[track_caller]
fn refuses(text: &str, tag: &str) {
    assert_eq!(read(text, tag), None, "{text:?} in {tag:?}");
}

#[test]
fn grouping_and_decimals_follow_the_shape_where_it_is_unmistakable() {
    for (text, value) in [
        ("1,234.56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1 234,56", "1234.56"),
        ("1\u{a0}234\u{a0}567,8", "1234567.8"),
        ("1\u{202f}234", "1234"),
        ("1\u{2009}234.5", "1234.5"),
        ("1'234.5", "1234.5"),
        ("1’234’567.50", "1234567.5"),
        ("12,34,567.89", "1234567.89"),
        ("1,234,567", "1234567"),
        ("1.234.567", "1234567"),
        ("0.125", "0.125"),
        ("0,125", "0.125"),
        ("12,5", "12.5"),
        ("12.50", "12.5"),
        ("1234,567", "1234.567"),
        ("3.14159", "3.14159"),
        ("٣٫٥", "3.5"),
        ("१२३", "123"),
        ("１，２３４", "1234"),
        ("٬", ""),
    ] {
        let found = read(text, "");
        assert_eq!(found.map(|(value, _)| value).unwrap_or_default(), value, "{text:?}");
    }
}

#[test]
fn three_digits_after_the_only_sign_are_read_as_the_language_writes() {
    reads("1.234", "de", "1234", "1.234");
    reads("1,234", "de", "1.234", "1,234");
    reads("1.234", "en", "1.234", "1.234");
    reads("1,234", "en", "1234", "1,234");
    reads("1.234", "de-CH", "1.234", "1.234");
    reads("1.234", "es-MX", "1.234", "1.234");
    reads("1.234", "es-ES", "1234", "1.234");
    reads("1,234", "", "1234", "1,234");
    reads("1.234", "", "1.234", "1.234");
}

#[test]
fn a_blank_groups_thousands_only_where_that_is_usual() {
    reads("2 500 g", "fr", "2500", "2 500");
    reads("2 500 g", "", "2500", "2 500");
    reads("2 500 g", "en", "2", "2");
    reads("4 12 eggs", "fr", "4", "4");
    reads("0 500", "fr", "0", "0");
}

#[test]
fn fractions_are_exact() {
    reads("½ cup", "en", "0.5", "½");
    reads("1½ cups", "en", "1.5", "1½");
    reads("1 ½ cups", "en", "1.5", "1 ½");
    reads("1 1/2 cups", "en", "1.5", "1 1/2");
    reads("1-1/2 cups", "en", "1.5", "1-1/2");
    reads("3/4 tsp", "en", "0.75", "3/4");
    reads("1⁄4 tsp", "en", "0.25", "1⁄4");
    reads(".5 l", "en", "0.5", ".5");
}

#[test]
fn ratings_and_dates_are_no_fractions() {
    reads("4/5", "en", "4", "4");
    reads("4.5/5", "en", "4.5", "4.5");
    reads("1/2/2020", "en", "1", "1");
}

#[test]
fn a_percent_sign_belongs_to_the_quote_and_leaves_the_value() {
    reads("only 12 % left", "en", "12", "12 %");
    reads("12,5%", "de", "12.5", "12,5%");
}

#[test]
fn words_multiply() {
    reads("1.2k ratings", "en", "1200", "1.2k");
    reads("3 million", "en", "3000000", "3 million");
    reads("1,5 Mio. Euro", "de", "1500000", "1,5 Mio.");
    reads("2億円", "ja", "200000000", "2億");
    reads("1,2 mln", "it", "1200000", "1,2 mln");
    reads("5 kg", "en", "5", "5");
}

#[test]
fn signs_count_only_before_a_free_standing_number() {
    reads("-5 °C", "en", "-5", "-5");
    reads("−5 °C", "en", "-5", "−5");
    reads("3-5", "en", "3", "3");
    reads("A-5", "en", "5", "5");
}

#[test]
fn what_is_shaped_otherwise_is_no_number() {
    refuses("1.2.3", "en");
    refuses("12.05.2020", "de");
    refuses("192.168.0.1", "en");
    refuses("B12", "en");
    refuses("no digits", "en");
    refuses("", "en");
    refuses("1234567890123456789012345678901234567890", "en");
    reads("v1.2.3 has 7 parts", "en", "7", "7");
}

#[test]
fn scientific_spelling_counts_when_it_is_the_whole_text() {
    reads(" 1.5e3 ", "", "1500", "1.5e3");
    reads("5E2", "", "500", "5E2");
    reads("5e2 and more", "", "5", "5");
}

#[test]
fn a_number_after_letters_without_blanks_between_words_counts() {
    reads("約30分", "ja", "30", "30");
    reads("총 5개", "ko", "5", "5");
}

#[test]
fn integers_refuse_a_fraction() {
    let en = locale("en");
    assert_eq!(number::parse_integer("1,234 ratings", &en).map(|found| found.value), Some(1234));
    assert_eq!(number::parse_integer("4.5", &en), None);
}
