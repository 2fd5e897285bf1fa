//! Lengths of time in many spellings.

use atlas_engine::value::{Locale, duration};
use std::time::Duration;

fn locale(tag: &str) -> Locale {
    if tag.is_empty() { Locale::new() } else { Locale::new().with_language(tag) }
}

fn minutes(text: &str, tag: &str) -> Option<(u64, String)> {
    let found = duration::parse(text, &locale(tag))?;
    assert_eq!(found.value.as_secs() % 60, 0, "{text:?}");
    Some((found.value.as_secs() / 60, text[found.range].to_owned()))
}

#[track_caller]
fn reads(text: &str, tag: &str, expected: u64, quote: &str) {
    assert_eq!(minutes(text, tag), Some((expected, quote.to_owned())), "{text:?} in {tag:?}");
}

#[test]
fn iso_durations_are_read_as_pages_write_them() {
    for (text, expected) in [
        ("PT1H30M", 90),
        ("PT90M", 90),
        ("pt1h", 60),
        ("P0DT1H", 60),
        ("P1D", 1440),
        ("P1DT2H", 1560),
        ("PT1H 30 M", 90),
        ("PT 45 M", 45),
        ("P0Y0M0DT0H35M0.000S", 35),
        ("PT1.5H", 90),
        ("PT0S", 0),
        ("PT3600S", 60),
        ("P1H30M", 90),
        ("P2W", 20_160),
    ] {
        reads(text, "", expected, text);
    }
    for text in ["P", "PT", "P1M", "P1Y", "PT1X", "Part 5", "P30M"] {
        assert_eq!(minutes(text, "xx"), None, "{text:?}");
    }
}

#[test]
fn words_are_read_in_many_languages() {
    for (tag, text, expected) in [
        ("en", "1 hr 20 min", 80),
        ("en", "1 hour and 20 minutes", 80),
        ("en", "90 minutes", 90),
        ("en", "90mins", 90),
        ("en", "2 hrs", 120),
        ("en", "1.5 hours", 90),
        ("en", "1 1/2 hours", 90),
        ("en", "1½ hours", 90),
        ("en", "1 day 2 hours", 1560),
        ("en", "30-minute", 30),
        ("en", "an hour", 60),
        ("en", "half an hour", 30),
        ("en", "1 hour and a half", 90),
        ("de", "1 Std. 20 Min.", 80),
        ("de", "1,5 Stunden", 90),
        ("de", "eine halbe Stunde", 30),
        ("de", "2 Tage", 2880),
        ("fr", "1 h 30 min", 90),
        ("fr", "1 heure et demie", 90),
        ("fr", "1 h 30", 90),
        ("fr", "1h30", 90),
        ("es", "1 hora y 15 minutos", 75),
        ("es", "1 hora y media", 90),
        ("it", "1 ora e 30 minuti", 90),
        ("pt", "2 horas e 10 minutos", 130),
        ("nl", "1 uur en 20 minuten", 80),
        ("nl", "1 u 20 min", 80),
        ("sv", "1 timme 20 minuter", 80),
        ("da", "1 time og 20 minutter", 80),
        ("no", "2 timer", 120),
        ("fi", "1 tunti 20 minuuttia", 80),
        ("fi", "1 t 20 min", 80),
        ("pl", "1 godzina 20 minut", 80),
        ("cs", "1 hodina 20 minut", 80),
        ("sk", "2 hodiny", 120),
        ("hu", "1 óra 20 perc", 80),
        ("ro", "1 oră 20 minute", 80),
        ("ru", "1 час 20 минут", 80),
        ("ru", "2 ч. 5 мин.", 125),
        ("uk", "2 години", 120),
        ("el", "1 ώρα 20 λεπτά", 80),
        ("tr", "1 saat 20 dakika", 80),
        ("ja", "1時間30分", 90),
        ("zh", "1小时30分钟", 90),
        ("ko", "1시간 30분", 90),
        ("he", "2 שעות", 120),
        ("vi", "2 giờ", 120),
        ("id", "2 jam 10 menit", 130),
    ] {
        reads(text, tag, expected, text);
    }
}

#[test]
fn a_clock_with_a_unit_is_a_duration() {
    reads("1:30 h", "", 90, "1:30 h");
    reads("01:30:00", "", 90, "01:30:00");
    assert_eq!(minutes("1:30", ""), None);
    assert_eq!(minutes("at 10:30:00 today", ""), None);
}

#[test]
fn the_quote_is_the_part_that_says_it() {
    reads("Prep time: 20 minutes, then rest", "en", 20, "20 minutes");
    reads("約30分で完成", "ja", 30, "30分");
    reads("Serves 4 in 30 min", "en", 30, "30 min");
}

#[test]
fn a_range_gives_its_longer_end_and_both_on_demand() {
    reads("20-30 minutes", "en", 30, "20-30 minutes");
    reads("20 – 30 Min.", "de", 30, "20 – 30 Min.");
    reads("20 bis 30 Minuten", "de", 30, "20 bis 30 Minuten");
    reads("1 to 2 hours", "en", 120, "1 to 2 hours");
    reads("45 min to 1 hour", "en", 60, "45 min to 1 hour");
    let both = duration::parse_range("20-30 minutes", &locale("en")).unwrap().value;
    assert_eq!((both.low, both.high), (Duration::from_mins(20), Duration::from_mins(30)));
}

#[test]
fn a_number_without_a_unit_and_a_unit_without_fixed_length_are_none() {
    for text in ["45", "2 months", "1 year 2 days", "minutes", "", "-5 minutes", "5 minuscule", "2 years"] {
        assert_eq!(minutes(text, "en"), None, "{text:?}");
    }
}

#[test]
fn an_english_time_is_not_a_danish_hour() {
    assert_eq!(minutes("1 time", "en"), None);
    reads("1 time", "da", 60, "1 time");
}

#[test]
fn written_durations_are_canonical() {
    for (seconds, text) in [(0, "PT0S"), (5400, "PT1H30M"), (93_600, "P1DT2H"), (86_400, "P1D"), (61, "PT1M1S")] {
        assert_eq!(duration::to_iso8601(Duration::from_secs(seconds)), text);
    }
}
