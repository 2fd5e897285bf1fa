//! Dates in many languages, and what is no date.

use atlas_engine::value::{Locale, date};

fn locale(tag: &str) -> Locale {
    if tag.is_empty() { Locale::new() } else { Locale::new().with_language(tag) }
}

fn read(text: &str, tag: &str) -> Option<(String, String)> {
    date::parse(text, &locale(tag)).map(|found| (found.value.to_string(), text[found.range].to_owned()))
}

#[track_caller]
fn reads(text: &str, tag: &str, value: &str, quote: &str) {
    assert_eq!(read(text, tag), Some((value.to_owned(), quote.to_owned())), "{text:?} in {tag:?}");
}

#[test]
fn iso_dates_and_times_are_read() {
    for (text, value) in [
        ("2021-05-12", "2021-05-12"),
        ("2021-5-2", "2021-05-02"),
        ("20210512", "2021-05-12"),
        ("2021/05/12", "2021-05-12"),
        ("2021-05-12T10:30", "2021-05-12T10:30:00"),
        ("2021-05-12 10:30:05", "2021-05-12T10:30:05"),
        ("2021-05-12T10:30:05Z", "2021-05-12T10:30:05Z"),
        ("2021-05-12T10:30:05.250Z", "2021-05-12T10:30:05.25Z"),
        ("2021-05-12T10:30:05+02:00", "2021-05-12T10:30:05+02:00"),
        ("2021-05-12T10:30:05-0500", "2021-05-12T10:30:05-05:00"),
        ("2021-05-12 10:30 UTC", "2021-05-12T10:30:00Z"),
    ] {
        reads(text, "", value, text);
    }
}

#[test]
fn a_moment_keeps_the_day_of_its_own_offset() {
    let found = date::parse("2021-05-12T00:30:00+02:00", &Locale::new()).unwrap();
    assert_eq!(found.value.date().to_string(), "2021-05-12");
    assert_eq!(found.value.timestamp().unwrap().to_string(), "2021-05-11T22:30:00Z");
}

#[test]
fn rfc_2822_dates_are_read() {
    reads("Wed, 12 May 2021 10:30:05 +0200", "", "2021-05-12T10:30:05+02:00", "12 May 2021 10:30:05 +0200");
    reads("Wed, 12 May 2021 10:30:05 GMT", "", "2021-05-12T10:30:05Z", "12 May 2021 10:30:05 GMT");
    reads("12 May 2021 10:30 EST", "", "2021-05-12T10:30:00-05:00", "12 May 2021 10:30 EST");
}

#[test]
fn month_names_are_read_in_many_languages() {
    for (tag, text) in [
        ("en", "May 12, 2021"),
        ("en", "12th of May 2021"),
        ("en", "May 12th, 2021"),
        ("en", "12-May-2021"),
        ("de", "12. Mai 2021"),
        ("fr", "12 mai 2021"),
        ("es", "12 de mayo de 2021"),
        ("es", "12 de mayo del 2021"),
        ("it", "12 maggio 2021"),
        ("pt", "12 de maio de 2021"),
        ("nl", "12 mei 2021"),
        ("sv", "12 maj 2021"),
        ("da", "12. maj 2021"),
        ("no", "12. mai 2021"),
        ("fi", "12. toukokuuta 2021"),
        ("pl", "12 maja 2021"),
        ("cs", "12. května 2021"),
        ("sk", "12. mája 2021"),
        ("hr", "12. svibnja 2021"),
        ("hu", "2021. május 12"),
        ("ro", "12 mai 2021"),
        ("ru", "12 мая 2021"),
        ("uk", "12 травня 2021"),
        ("bg", "12 май 2021"),
        ("el", "12 Μαΐου 2021"),
        ("tr", "12 Mayıs 2021"),
        ("ca", "12 de maig de 2021"),
        ("id", "12 Mei 2021"),
        ("vi", "12 tháng 5, 2021"),
        ("vi", "12 tháng 5 năm 2021"),
        ("ja", "2021年5月12日"),
        ("zh", "2021年05月12日"),
        ("ko", "2021년 5월 12일"),
        ("ar", "12 مايو 2021"),
        ("he", "12 במאי 2021"),
        ("th", "12 พฤษภาคม 2021"),
    ] {
        reads(text, tag, "2021-05-12", text);
    }
    reads("Le 1er mars 2020", "fr", "2020-03-01", "1er mars 2020");
    reads("Veröffentlicht: 3. März 2020, 14:05 Uhr", "de", "2020-03-03T14:05:00", "3. März 2020, 14:05 Uhr");
    reads("Feb. 3, 2020", "en", "2020-02-03", "Feb. 3, 2020");
    reads("Sept 3 2020 5:30 p.m.", "en", "2020-09-03T17:30:00", "Sept 3 2020 5:30 p.m.");
}

#[test]
fn a_name_that_languages_share_means_what_the_pages_language_says() {
    reads("3 listopada 2020", "pl", "2020-11-03", "3 listopada 2020");
    reads("3. listopada 2020", "hr", "2020-10-03", "3. listopada 2020");
    assert_eq!(read("3 listopada 2020", ""), None);
}

#[test]
fn numeric_dates_follow_the_place() {
    reads("03.04.2021", "", "2021-04-03", "03.04.2021");
    reads("3. 4. 2021", "cs", "2021-04-03", "3. 4. 2021");
    reads("03/04/2021", "en-US", "2021-03-04", "03/04/2021");
    reads("03/04/2021", "en-GB", "2021-04-03", "03/04/2021");
    reads("03/04/2021", "fr", "2021-04-03", "03/04/2021");
    reads("03-04-2021", "nl", "2021-04-03", "03-04-2021");
    reads("12.05.21", "de", "2021-05-12", "12.05.21");
    reads("5/12/98", "en-US", "1998-05-12", "5/12/98");
}

#[test]
fn an_undecidable_order_is_refused_and_a_decidable_one_read() {
    assert_eq!(read("03/04/2021", "en"), None);
    assert_eq!(read("03/04/2021", ""), None);
    assert_eq!(read("03/04/2021", "en-CA"), None);
    reads("13/04/2021", "", "2021-04-13", "13/04/2021");
    reads("04/13/2021", "", "2021-04-13", "04/13/2021");
    reads("04/04/2021", "", "2021-04-04", "04/04/2021");
}

#[test]
fn what_no_calendar_has_is_no_date() {
    for text in [
        "2021-02-29",
        "31.04.2021",
        "2021-13-01",
        "30 February 2020",
        "00.00.2020",
        "2021-05-32",
        "99991231",
        "0000-00-00",
    ] {
        assert_eq!(read(text, "de"), None, "{text:?}");
    }
    reads("29 February 2020", "en", "2020-02-29", "29 February 2020");
}

#[test]
fn what_lacks_a_part_is_no_date() {
    for text in ["May 2021", "12 May", "2021", "1.2.3", "10:30", "12345678", "192.168.10.20", "today", ""] {
        assert_eq!(read(text, "en"), None, "{text:?}");
    }
}
