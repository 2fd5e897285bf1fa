//! Prices in the spellings of many shops.

use atlas_engine::value::{Locale, money};

fn locale(tag: &str) -> Locale {
    if tag.is_empty() { Locale::new() } else { Locale::new().with_language(tag) }
}

fn read(text: &str, tag: &str) -> Option<(String, Option<&'static str>, String)> {
    let found = money::parse(text, &locale(tag))?;
    Some((found.value.amount.to_string(), found.value.currency, text[found.range].to_owned()))
}

#[track_caller]
fn reads(text: &str, tag: &str, amount: &str, currency: &str, quote: &str) {
    let currency = (!currency.is_empty()).then_some(currency);
    let found = read(text, tag);
    let found = found.as_ref().map(|(amount, currency, quote)| (amount.as_str(), *currency, quote.as_str()));
    assert_eq!(found, Some((amount, currency, quote)), "{text:?} in {tag:?}");
}

#[test]
fn signs_codes_and_words_stand_before_or_after() {
    reads("€ 12,50", "de", "12.5", "EUR", "€ 12,50");
    reads("12,50 €", "de", "12.5", "EUR", "12,50 €");
    reads("Preis: 1.299,00 EUR inkl. MwSt.", "de", "1299", "EUR", "1.299,00 EUR");
    reads("EUR12.50", "en", "12.5", "EUR", "EUR12.50");
    reads("USD 1,299.99", "en", "1299.99", "USD", "USD 1,299.99");
    reads("£9.99", "en-GB", "9.99", "GBP", "£9.99");
    reads("¥1,500", "ja", "1500", "JPY", "¥1,500");
    reads("1,500円", "ja", "1500", "JPY", "1,500円");
    reads("¥99.00", "zh", "99", "CNY", "¥99.00");
    reads("₹ 1,29,999", "hi", "129999", "INR", "₹ 1,29,999");
    reads("Rs. 499", "en-IN", "499", "INR", "Rs. 499");
    reads("1 299 Kč", "cs", "1299", "CZK", "1 299 Kč");
    reads("1 299,90 zł", "pl", "1299.9", "PLN", "1 299,90 zł");
    reads("990 руб.", "ru", "990", "RUB", "990 руб.");
    reads("R$ 1.299,90", "pt-BR", "1299.9", "BRL", "R$ 1.299,90");
    reads("CHF 1'299.95", "de-CH", "1299.95", "CHF", "CHF 1'299.95");
    reads("15 euros", "fr", "15", "EUR", "15 euros");
    reads("2.990 Ft", "hu", "2990", "HUF", "2.990 Ft");
    reads("12,90 TL", "tr", "12.9", "TRY", "12,90 TL");
    reads("₩12,000", "ko", "12000", "KRW", "₩12,000");
}

#[test]
fn a_dollar_is_the_regions_own() {
    reads("$5", "en-US", "5", "USD", "$5");
    reads("$5", "en-AU", "5", "AUD", "$5");
    reads("$5", "en-CA", "5", "CAD", "$5");
    reads("$5", "es-MX", "5", "MXN", "$5");
    reads("$5", "", "5", "USD", "$5");
    reads("US$5", "en-AU", "5", "USD", "US$5");
    reads("A$5", "en", "5", "AUD", "A$5");
    reads("$12 CAD", "en", "12", "CAD", "$12 CAD");
}

#[test]
fn a_country_domain_tells_the_region() {
    let shop = Locale::new().with_language("en").with_base("https://shop.example.com.au/x".parse().unwrap());
    assert_eq!(money::parse("$5", &shop).unwrap().value.currency, Some("AUD"));
}

#[test]
fn a_crown_needs_its_country() {
    reads("299 kr", "sv", "299", "SEK", "299 kr");
    reads("299 kr.", "da", "299", "DKK", "299 kr.");
    reads("kr 299", "nb", "299", "NOK", "kr 299");
    reads("299 kr", "", "299", "", "299 kr");
}

#[test]
fn a_dash_stands_for_no_cents() {
    reads("1.299,- €", "de", "1299", "EUR", "1.299,- €");
    reads("€ 12,--", "nl", "12", "EUR", "€ 12,--");
    reads("CHF 12.–", "de-CH", "12", "CHF", "CHF 12.–");
    reads("299:-", "sv", "299", "", "299:-");
}

#[test]
fn three_digits_after_the_only_sign_are_thousands_in_an_unknown_language() {
    reads("€1.299", "", "1299", "EUR", "€1.299");
    reads("€1,299", "", "1299", "EUR", "€1,299");
    reads("$3.459", "en-US", "3.459", "USD", "$3.459");
}

#[test]
fn cents_may_follow_the_sign() {
    reads("5€99", "fr", "5.99", "EUR", "5€99");
}

#[test]
fn the_number_with_a_currency_is_the_price() {
    reads("2 for $5", "en", "5", "USD", "$5");
    reads("500 g: 3,99 €", "de", "3.99", "EUR", "3,99 €");
    reads("20% off: now $15", "en", "15", "USD", "$15");
    reads("Price: 12.50", "en", "12.5", "", "12.50");
    reads("-$5.00", "en", "-5", "USD", "-$5.00");
}

#[test]
fn free_is_zero_when_it_stands_alone() {
    reads("Free", "en", "0", "", "Free");
    reads("kostenlos!", "de", "0", "", "kostenlos");
    assert_eq!(read("Free shipping", "en"), None);
}

#[test]
fn a_range_is_no_price_and_is_read_as_a_range() {
    for text in ["$10 - $20", "10–20 €", "10 € bis 20 €", "€10-€20"] {
        assert_eq!(read(text, "en"), None, "{text:?}");
        let found = money::parse_range(text, &locale("en")).expect(text);
        assert_eq!(
            (found.value.low.amount.to_string(), found.value.high.amount.to_string()),
            ("10".into(), "20".into())
        );
        assert_eq!(found.value.low.currency, found.value.high.currency);
        assert_eq!(&text[found.range], text);
    }
    assert_eq!(money::parse_range("$20 - $10", &locale("en")), None);
    assert_eq!(money::parse_range("$10 - €20", &locale("en")), None);
}

#[test]
fn several_bare_numbers_and_words_are_no_price() {
    for text in ["10 x 5", "", "call us", "B12", "5 %"] {
        assert_eq!(read(text, "en"), None, "{text:?}");
    }
}

#[test]
fn a_currency_alone_is_read_as_its_code() {
    let en = locale("en");
    for (text, code) in [("EUR", "EUR"), (" usd ", "USD"), ("€", "EUR"), ("Kč", "CZK"), ("£", "GBP")] {
        assert_eq!(money::parse_currency(text, &en).map(|found| found.value), Some(code), "{text:?}");
    }
    assert_eq!(money::parse_currency("XXX", &en), None);
    assert_eq!(money::parse_currency("€5", &en), None);
}

#[test]
fn an_amount_written_in_another_languages_way_is_read_whole_or_passed_over() {
    reads("1 299.00 USD", "en", "1299", "USD", "1 299.00 USD");
    reads("EUR 1 299,50", "en", "1299.5", "EUR", "EUR 1 299,50");
    assert_eq!(read("US$ 1 299", "en"), None);
    reads("1 299:-", "sv", "1299", "", "1 299:-");
}

#[test]
fn cents_set_smaller_beside_the_amount_are_its_cents() {
    reads("$12 99", "en", "12.99", "USD", "$12 99");
    reads("12 99 €", "de", "12.99", "EUR", "12 99 €");
    reads("$12 99 ratings", "en", "12", "USD", "$12");
}

#[test]
fn an_amount_of_cents_is_no_amount_of_dollars() {
    reads("99¢", "en", "0.99", "", "99¢");
    reads("49 Cent", "de", "0.49", "", "49 Cent");
}

#[test]
fn an_amount_that_goes_on_in_letters_is_not_read_as_its_beginning() {
    assert_eq!(read("$1.2M", "en"), None);
    assert_eq!(read("$1e3", "en"), None);
    reads("$-5.00", "en", "-5", "USD", "$-5.00");
}
