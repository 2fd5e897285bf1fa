//! Money: exact, one spelling per amount, no float on the way.

use atlas_schema::Usd;
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use serde_json::json;

#[test]
fn a_million_ten_cent_calls_cost_exactly_a_hundred_thousand_dollars() {
    let cents: Usd = "0.1".parse().unwrap();
    let total: Usd = std::iter::repeat_n(cents, 1_000_000).sum();
    assert_eq!(total.to_string(), "100000");
}

#[test]
fn amounts_beyond_a_billion_are_refused_not_wrapped() {
    assert_eq!(Usd::MAX.to_string(), "999999999.999999999");
    assert_eq!(Usd::MIN.to_string(), "-999999999.999999999");
    assert_eq!(Usd::from_dollars(1_000_000_000), None);
    assert_eq!(Usd::from_dollars(i64::MAX), None);
    assert_eq!(Usd::MAX.checked_add(Usd::from_nanos(1)), None);
    assert_eq!(Usd::MIN.checked_sub(Usd::from_nanos(1)), None);
    assert_eq!(Usd::MAX.saturating_add(Usd::MAX), Usd::MAX);
    assert_eq!((Usd::from_nanos(i64::MAX), Usd::from_nanos(i64::MIN)), (Usd::MAX, Usd::MIN));
    for text in ["1000000000", "9223372036.854775807", "-1000000000", "99999999999"] {
        assert!(text.parse::<Usd>().is_err(), "{text}");
    }
}

#[test]
fn only_decimal_digits_are_an_amount() {
    for text in
        ["", "-", ".", "1.", ".5", "+1", "1e3", "1,5", " 1", "1 ", "0x1", "$1", "--1", "1.0000000001", "NaN", "\u{661}"]
    {
        assert!(text.parse::<Usd>().is_err(), "{text:?}");
    }
    assert_eq!("007.50".parse::<Usd>().unwrap().to_string(), "7.5", "a person may write zeros");
}

#[test]
fn json_has_one_spelling_per_amount_and_no_number() {
    for bad in [json!("007"), json!("7.50"), json!("-0"), json!("0.0"), json!(7), json!(7.5), json!(null)] {
        assert!(serde_json::from_value::<Usd>(bad.clone()).is_err(), "{bad}");
    }
    assert_eq!(serde_json::to_value("0.0125".parse::<Usd>().unwrap()).unwrap(), json!("0.0125"));
}

proptest! {
    #[test]
    fn an_amount_survives_text_and_json(nanos in any::<i64>()) {
        let usd = Usd::from_nanos(nanos);
        prop_assert_eq!(usd.to_string().parse(), Ok(usd));
        let json = serde_json::to_string(&usd).unwrap();
        prop_assert_eq!(serde_json::from_str::<Usd>(&json).unwrap(), usd);
    }

    #[test]
    fn sums_are_those_of_integers_or_nothing(a in any::<i64>(), b in any::<i64>()) {
        let (a, b) = (Usd::from_nanos(a), Usd::from_nanos(b));
        let fits = |nanos: i128| i64::try_from(nanos).ok().filter(|n| n.abs() <= Usd::MAX.as_nanos()).map(Usd::from_nanos);
        prop_assert_eq!(a.checked_add(b), fits(i128::from(a.as_nanos()) + i128::from(b.as_nanos())));
        prop_assert_eq!(a.checked_sub(b), fits(i128::from(a.as_nanos()) - i128::from(b.as_nanos())));
    }

    #[test]
    fn order_of_amounts_is_order_of_nanos(a in any::<i64>(), b in any::<i64>()) {
        prop_assert_eq!(Usd::from_nanos(a) <= Usd::from_nanos(b), Usd::from_nanos(a).as_nanos() <= Usd::from_nanos(b).as_nanos());
    }

    #[test]
    fn any_text_is_an_amount_or_an_error(text in "[-+0-9.e ]{0,24}") {
        if let Ok(usd) = text.parse::<Usd>() {
            prop_assert!(usd <= Usd::MAX && usd >= Usd::MIN);
        }
    }
}
