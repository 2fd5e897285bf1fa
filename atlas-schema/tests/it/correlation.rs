//! Correlation ids: hostile inbound texts are replaced, and a malformed `traceparent` starts a new trace.

use atlas_schema::{CorrelationId, TraceParent};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn a_traceparent_gives_its_trace_id() {
    let parent = TraceParent::parse(GOOD).unwrap();
    assert_eq!(parent.correlation_id().as_str(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(parent.is_sampled());
    assert_eq!(parent.to_string(), GOOD);
    let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-the-future-will-be-like";
    let later = TraceParent::parse(later).expect("a later version is read by its first four fields");
    assert!(!later.is_sampled());
    assert_eq!(TraceParent::parse(&format!("cc{}", &GOOD[2..])).map(|p| p.is_sampled()), Some(true));
}

#[test]
fn bad_input_40_twenty_malformed_traceparents_start_a_new_trace() {
    let malformed = [
        String::new(),
        "00".to_owned(),
        GOOD[..54].to_owned(),
        format!("{GOOD}0"),
        format!("{GOOD}-00"),
        format!(" {GOOD}"),
        format!("{GOOD} "),
        format!("{GOOD}\n"),
        GOOD.replace("00-4b", "ff-4b"),
        GOOD.replace("00-4b", "0g-4b"),
        GOOD.replace("4bf92f", "4BF92F"),
        GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        GOOD.replace("00f067aa0ba902b7", &"0".repeat(16)),
        GOOD.replace("00f067aa0ba902b7", "00f067aa0ba902bx"),
        GOOD.replace('-', "_"),
        GOOD.replace("-01", "-0x"),
        GOOD.replace("-01", "-+1"),
        GOOD.replace("4b", "\u{e9}"),
        GOOD.replace("00-4bf9", "0\u{1f600}"),
        GOOD.repeat(200),
    ];
    assert_eq!(malformed.len(), 20);
    for header in malformed {
        assert_eq!(CorrelationId::from_traceparent(&header), None, "{header:?}");
    }
}

#[test]
fn bad_input_39_a_hostile_id_is_replaced() {
    for hostile in ["a\r\nset-cookie: x", "a b", "", "\u{1f600}", &"x".repeat(10_240), "a\0", "../x", "<script>"] {
        let (id, replaced) = CorrelationId::accept_or_replace(Some(hostile), [7; 16]);
        assert!(replaced);
        assert_eq!(id, CorrelationId::from_random([7; 16]));
    }
    let (kept, replaced) = CorrelationId::accept_or_replace(Some("corr_1756970000000_a1b2c3d4"), [7; 16]);
    assert_eq!((kept.as_str(), replaced), ("corr_1756970000000_a1b2c3d4", false));
    assert!(!CorrelationId::accept_or_replace(None, [7; 16]).1, "none was given, so none was replaced");
}

#[test]
fn a_fresh_id_is_a_valid_trace_id_even_from_zeros() {
    let id = CorrelationId::from_random([0; 16]);
    assert_eq!(id.as_str(), "00000000000000000000000000000001");
}

proptest! {
    #[test]
    fn any_header_is_a_trace_or_none_and_what_is_read_is_written_back(text in any::<String>(), near in "0[0-2]-[0-9a-f]{31,33}-[0-9a-f]{16}-0[01](-x)?") {
        for header in [text, near] {
            if let Some(parent) = TraceParent::parse(&header) {
                prop_assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
                prop_assert!(CorrelationId::new(parent.correlation_id().as_str()).is_ok());
            }
        }
    }

    #[test]
    fn an_accepted_id_is_safe_in_headers_and_log_lines(text in any::<String>(), random in any::<[u8; 16]>()) {
        let (id, _) = CorrelationId::accept_or_replace(Some(&text), random);
        prop_assert!(id.as_str().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        prop_assert!((1..=64).contains(&id.as_str().len()));
    }
}
