//! Signatures of webhooks: the public vectors, the public library as an oracle, and what a receiver must not believe.

use atlas_jobs::webhook::{
    InvalidSecret, SIGNATURE_HEADER, SignedHeaders, TIMESTAMP_HEADER, TOLERANCE, Unverified, WebhookSecret, sign,
    verify,
};
use atlas_schema::Timestamp;
use proptest::prelude::*;
use std::time::Duration;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000).unwrap()
}

fn secret(text: &str) -> WebhookSecret {
    WebhookSecret::parse(text).unwrap()
}

const ONE: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TWO: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn check(headers: &SignedHeaders, body: &[u8], secrets: &[WebhookSecret], now: Timestamp) -> Result<(), Unverified> {
    verify(|name| headers.get(name), body, secrets, now, TOLERANCE)
}

#[test]
fn the_public_test_vectors_are_signed_as_published() {
    // From the libraries of the Standard Webhooks project and the documentation of its first implementer.
    let vectors = [
        (
            ONE,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            TWO,
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            1_649_367_553,
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ),
    ];
    for (key, id, seconds, body, signature) in vectors {
        let headers = sign(id, at(seconds), body.as_bytes(), &[secret(key)]);
        assert_eq!((headers.signature.as_str(), headers.timestamp), (signature, seconds.to_string()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn the_public_library_makes_the_same_signature(
        key in proptest::collection::vec(any::<u8>(), 24..=64), id in "[a-zA-Z0-9:_-]{1,64}",
        seconds in 1_000_000_000_i64..9_000_000_000, body in ".{0,200}",
    ) {
        let oracle = standardwebhooks::Webhook::from_bytes(key.clone()).unwrap();
        let ours = sign(&id, at(seconds), body.as_bytes(), &[WebhookSecret::from_bytes(key).unwrap()]);
        prop_assert_eq!(ours.signature, oracle.sign(&id, seconds, body.as_bytes()).unwrap());
    }

    #[test]
    fn no_changed_byte_of_a_body_is_believed(body in proptest::collection::vec(any::<u8>(), 1..100), place: prop::sample::Index, bit in 0_u8..8) {
        let headers = sign("e:1", at(1_700_000_000), &body, &[secret(ONE)]);
        prop_assert_eq!(check(&headers, &body, &[secret(ONE)], at(1_700_000_000)), Ok(()));
        let mut changed = body.clone();
        changed[place.index(body.len())] ^= 1 << bit;
        prop_assert_eq!(check(&headers, &changed, &[secret(ONE)], at(1_700_000_000)), Err(Unverified::Signature));
    }
}

/// Bad input 67: a replayed signature.
#[test]
fn a_receiver_rejects_a_six_minute_old_timestamp_and_one_from_the_future() {
    let sent = 1_700_000_000;
    let headers = sign("e:1", at(sent), b"{}", &[secret(ONE)]);
    for (late, verdict) in [(0, Ok(())), (300, Ok(())), (301, Err(Unverified::TooOld)), (360, Err(Unverified::TooOld))]
    {
        assert_eq!(check(&headers, b"{}", &[secret(ONE)], at(sent + late)), verdict, "{late} s");
    }
    assert_eq!(check(&headers, b"{}", &[secret(ONE)], at(sent - 300)), Ok(()));
    assert_eq!(check(&headers, b"{}", &[secret(ONE)], at(sent - 301)), Err(Unverified::TooNew));
    // A fresh time on the old signature is no way round it.
    let mut moved = headers;
    moved.timestamp = (sent + 360).to_string();
    assert_eq!(check(&moved, b"{}", &[secret(ONE)], at(sent + 360)), Err(Unverified::Signature));
}

#[test]
fn while_a_secret_is_replaced_either_one_is_enough() {
    let now = at(1_700_000_000);
    let both = sign("e:1", now, b"{}", &[secret(TWO), secret(ONE)]);
    assert_eq!(both.signature.split(' ').count(), 2);
    assert_eq!(check(&both, b"{}", &[secret(ONE)], now), Ok(()));
    assert_eq!(check(&both, b"{}", &[secret(TWO)], now), Ok(()));
    let old = sign("e:1", now, b"{}", &[secret(ONE)]);
    assert_eq!(check(&old, b"{}", &[secret(TWO), secret(ONE)], now), Ok(()));
    assert_eq!(check(&old, b"{}", &[secret(TWO)], now), Err(Unverified::Signature));
    assert_eq!(check(&old, b"{}", &[], now), Err(Unverified::Signature));
}

#[test]
fn headers_that_are_missing_or_malformed_are_named() {
    let now = at(1_700_000_000);
    let good = sign("e:1", now, b"{}", &[secret(ONE)]);
    for missing in ["webhook-id", TIMESTAMP_HEADER, SIGNATURE_HEADER] {
        let found = verify(|name| good.get(name).filter(|_| name != missing), b"{}", &[secret(ONE)], now, TOLERANCE);
        assert_eq!(found, Err(Unverified::MissingHeader(missing)));
    }
    let with = |timestamp: &str, signature: &str| SignedHeaders {
        id: "e:1".into(),
        timestamp: timestamp.into(),
        signature: signature.into(),
    };
    for time in ["", "now", "1700000000.5", "99999999999999999999", "-"] {
        assert_eq!(
            check(&with(time, &good.signature), b"{}", &[secret(ONE)], now),
            Err(Unverified::Timestamp),
            "{time}"
        );
    }
    let other_version = good.signature.replacen("v1", "v2", 1);
    let cut = &good.signature[..good.signature.len() - 4];
    for signature in ["", "v1,", "v1", "v1,!!!", &other_version, cut, "v1a,AAAA"] {
        let found = check(&with("1700000000", signature), b"{}", &[secret(ONE)], now);
        assert_eq!(found, Err(Unverified::Signature), "{signature}");
    }
    assert_eq!(check(&with("+1700000000", &good.signature), b"{}", &[secret(ONE)], now), Err(Unverified::Signature));
}

#[test]
fn secrets_of_the_wrong_form_are_refused_and_none_ever_shows() {
    let short = "whsec_AAAA";
    let long = format!("whsec_{}", "A".repeat(88));
    for bad in ["", "whsec_", short, &long, &ONE[6..], "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!"] {
        assert_eq!(WebhookSecret::parse(bad).unwrap_err(), InvalidSecret);
    }
    assert_eq!(format!("{:?}", secret(ONE)), "WebhookSecret(hidden)");
    assert_eq!(secret(ONE).reveal().as_str(), ONE);
    let made = WebhookSecret::generate().unwrap();
    assert_eq!(WebhookSecret::parse(&made.reveal()), Ok(made.clone()));
    assert_ne!(WebhookSecret::generate().unwrap(), made);
}

#[test]
fn a_tolerance_of_all_time_overflows_nothing() {
    let headers = sign("e:1", at(1_700_000_000), b"{}", &[secret(ONE)]);
    let found = verify(|name| headers.get(name), b"{}", &[secret(ONE)], at(9_000_000_000), Duration::MAX);
    assert_eq!(found, Ok(()));
}
