//! How long is waited: what providers ask for, and what is waited unasked.

use crate::{Rng, cases};
use atlas_router::call::{Backoff, LONGEST_WAIT, retry_after};
use atlas_schema::Timestamp;
use std::time::Duration;

/// 2026-11-26T12:00:00Z, a Thursday.
fn noon() -> Timestamp {
    Timestamp::from_millis(1_795_694_400_000).unwrap()
}

fn asked(headers: &[(&str, &str)]) -> Option<Duration> {
    retry_after(|name| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value), noon())
}

fn millis(wait: u64) -> Duration {
    Duration::from_millis(wait)
}

/// Names and values, and what they ask for.
type Row<'a> = (&'a [(&'a str, &'a str)], Option<Duration>);

#[test]
fn each_form_of_retry_after_is_understood() {
    let rows: &[Row<'_>] = &[
        (&[], None),
        (&[("retry-after", "2")], Some(millis(2000))),
        (&[("retry-after", " 2 ")], Some(millis(2000))),
        (&[("retry-after", "0")], Some(millis(0))),
        (&[("retry-after", "1.5")], Some(millis(1500))),
        (&[("retry-after", "0.0001")], Some(Duration::from_micros(100))),
        (&[("retry-after-ms", "1250")], Some(millis(1250))),
        (&[("retry-after-ms", "1250"), ("retry-after", "9")], Some(millis(1250))),
        (&[("retry-after-ms", "soon"), ("retry-after", "9")], Some(millis(9000))),
        (&[("x-ms-retry-after-ms", "40")], Some(millis(40))),
        (&[("retry-after", "Thu, 26 Nov 2026 12:00:30 GMT")], Some(millis(30_000))),
        (&[("retry-after", "Thursday, 26-Nov-26 12:00:30 GMT")], Some(millis(30_000))),
        (&[("retry-after", "Thu Nov 26 12:00:30 2026")], Some(millis(30_000))),
        (&[("retry-after", "Sun Nov  1 12:00:30 2026")], Some(millis(0))),
        (&[("retry-after", "Sunday, 06-Nov-94 08:49:37 GMT")], Some(millis(0))),
        // The provider's clock is an hour behind ours: its own date counts.
        (
            &[("retry-after", "Thu, 26 Nov 2026 11:00:30 GMT"), ("date", "Thu, 26 Nov 2026 11:00:10 GMT")],
            Some(millis(20_000)),
        ),
        (&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "12ms")], Some(millis(12))),
        (&[("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6m0s")], Some(millis(360_000))),
        (&[("x-ratelimit-remaining-tokens", "17"), ("x-ratelimit-reset-tokens", "6m0s")], None),
        (&[("x-ratelimit-remaining-tokens", "-1"), ("x-ratelimit-reset-tokens", "0")], None),
        (
            &[
                ("x-ratelimit-remaining-requests", "0"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-remaining-tokens", "0"),
                ("x-ratelimit-reset-tokens", "3s"),
            ],
            Some(millis(3000)),
        ),
    ];
    for (headers, wait) in rows {
        assert_eq!(asked(headers), *wait, "{headers:?}");
    }
}

#[test]
fn hostile_waits_are_capped_or_taken_for_none() {
    for text in ["86401", "99999999999999999999999999", "1000000000000.5", "Wed, 29 Dec 9999 23:59:59 GMT"] {
        assert_eq!(asked(&[("retry-after", text)]), Some(LONGEST_WAIT), "{text}");
    }
    for text in ["-1", "nan", "inf", "1e9", "0x10", "", "1.", ".5", "1.2.3", "+3", "tomorrow", "١٢"] {
        assert_eq!(asked(&[("retry-after", text)]), None, "{text}");
    }
}

#[test]
fn no_header_breaks_the_parser_or_asks_for_more_than_a_day() {
    let mut rng = Rng::new(21);
    let pieces = [
        "0",
        "9",
        "86400",
        ".",
        "-",
        " ",
        "Thu, ",
        "26 Nov 2026 ",
        "12:00:00",
        " GMT",
        "ms",
        "h",
        "m",
        "s",
        "é",
        "-Nov-",
    ];
    for _ in 0..cases(20_000) {
        let text: String = (0..rng.below(8)).map(|_| *rng.pick(&pieces)).collect();
        let name = *rng.pick(&["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens"]);
        let wait = asked(&[(name, &text), ("date", &text), ("x-ratelimit-remaining-tokens", "0")]);
        assert!(wait.is_none_or(|wait| wait <= LONGEST_WAIT), "{name}: {text}");
    }
}

#[test]
fn seconds_are_taken_to_the_microsecond_and_never_shortened() {
    let mut rng = Rng::new(22);
    for _ in 0..cases(20_000) {
        let micros = rng.below(86_400_000_000);
        let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
        assert_eq!(asked(&[("retry-after", &text)]), Some(Duration::from_micros(micros)));
        let longer = asked(&[("retry-after", &format!("{text}1"))]).unwrap();
        assert_eq!(longer, Duration::from_micros(micros + 1).min(LONGEST_WAIT));
        let ms = asked(&[("retry-after-ms", &format!("{}.{:03}", micros / 1000, micros % 1000))]);
        assert_eq!(ms, Some(Duration::from_micros(micros)));
    }
}

#[test]
fn backoff_doubles_up_to_its_cap_and_jitters_over_the_whole_of_it() {
    let backoff = Backoff::default();
    let ceilings: Vec<u64> = (0..6).map(|retry| backoff.ceiling(retry).as_millis().try_into().unwrap()).collect();
    assert_eq!(ceilings, [500, 1000, 2000, 4000, 8000, 8000]);
    assert_eq!(backoff.ceiling(u32::MAX), backoff.cap);
    for retry in 0..40 {
        let most = backoff.ceiling(retry);
        assert_eq!(backoff.wait(retry, 0), Duration::ZERO);
        assert!(
            backoff.wait(retry, u64::MAX) + Duration::from_nanos(1) >= most && backoff.wait(retry, u64::MAX) <= most
        );
        assert_eq!(backoff.wait(retry, 1 << 63), most / 2);
    }
    let endless = Backoff::new(Duration::MAX, Duration::MAX);
    assert!(endless.wait(9, u64::MAX) <= Duration::MAX);
}
