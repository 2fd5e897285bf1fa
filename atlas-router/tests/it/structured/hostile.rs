//! Replies that mean harm: depth, size, and traps for readers that look at a byte more than a few times.

use super::*;
use serde_json::json;

fn stop(text: &str) -> ReadError {
    documents(text, &Bounds::default()).unwrap_err()
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(128)).is_ok());
    assert_eq!(stop(&nested(129)), ReadError::TooDeep { max: 128 });
    assert_eq!(stop(&"{\"a\":".repeat(200_000)), ReadError::TooDeep { max: 128 });
    assert_eq!(stop(&format!("[{}]", "0,".repeat(1_000_001))), ReadError::TooMany { max: 1_000_000 });
    assert_eq!(stop(&" ".repeat(16 * 1024 * 1024 + 1)), ReadError::TooLarge { max: 16 * 1024 * 1024 });
    let mut bounds = Bounds::default();
    bounds.max_depth = usize::MAX;
    let error = documents(&"[".repeat(1_000_000), &bounds).unwrap_err();
    assert_eq!(error, ReadError::TooDeep { max: 256 }, "the stack is safe whatever is asked for");
}

#[test]
fn ten_megabytes_are_read_whole() {
    let words = "x".repeat(1000);
    let text = format!("[{}]", vec![format!("{{a: '{words}',}}"); 10_000].join(","));
    assert!(text.len() > 10_000_000);
    let all = documents(&text, &Bounds::default()).unwrap();
    assert_eq!(all[0].value.as_array().unwrap().len(), 10_000);
    let repairs = &all[0].repairs;
    assert_eq!((repairs.listed.len(), repairs.unlisted), (256, 30_000 - 256), "the report is bounded, and says so");
}

/// Each of these takes a reader that begins again at every bracket, quote or fence minutes.
#[test]
fn traps_for_readers_that_begin_again_are_read_in_one_pass() {
    let many = |part: &str| part.repeat(300_000 / part.len());
    for trap in [
        many("{"),
        many("{ "),
        many("[a"),
        many("{\"a\" "),
        many("```"),
        many("`"),
        many("```json\n"),
        many("``` {x} "),
        many("```{\""),
        many("/*"),
        many("[/*"),
        many("\""),
        many("{\"\\u"),
        many("{'"),
        many("“"),
        format!("[\"{}", many("\\ud800")),
        format!("[{}", many("1e")),
        format!("{{{}", many("a")),
        format!("[1{}", many(" ")),
        format!("{}{}", many("```"), many("{")),
        many("[1] [2 "),
    ] {
        // Whatever comes of it, it ends.
        let _ = documents(&trap, &Bounds::default());
    }
}

#[test]
fn a_report_of_long_places_is_bounded_in_bytes_and_still_tells_the_cut() {
    let key = "k".repeat(60_000);
    let all = documents(&format!("{{\"{key}\": {{\"{key}\": [{}", "True,".repeat(1000)), &Bounds::default()).unwrap();
    let repairs = &all[0].repairs;
    assert!(repairs.listed.iter().map(|one| one.pointer.len()).sum::<usize>() <= 64 * 1024);
    assert!(repairs.is_truncated && repairs.unlisted >= 1000);
}

#[test]
fn odd_bytes_of_all_kinds_do_no_harm() {
    for text in [
        "\u{0}",
        "{\u{0}",
        "[\"\u{0}",
        "\u{feff}[1]",
        "{\"\u{10ffff}\":1}",
        "[1]\u{0}",
        "{\u{202e}a:1}",
        "'",
        "[\\u0041]",
    ] {
        let _ = documents(text, &Bounds::default());
    }
    assert_eq!(read("\u{feff}[1]").unwrap().0, json!([1]));
}
