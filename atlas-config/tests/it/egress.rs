//! Which addresses may be dialled.

use atlas_config::egress::{Denied, EgressPolicy, IpNet, Rule, hostile};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Url;

fn ip(text: &str) -> IpAddr {
    text.parse().expect(text)
}

fn net(text: &str) -> IpNet {
    text.parse().expect(text)
}

fn check(text: &str) -> Result<(), Option<Denied>> {
    let url = Url::parse(text).map_err(|_| None)?;
    EgressPolicy::default().check_url(&url).map_err(Some)
}

#[test]
fn every_hostile_url_is_refused_before_resolution() {
    let passed: Vec<_> = hostile::URLS.iter().filter(|text| check(text).is_ok()).collect();
    assert!(passed.is_empty(), "these would be dialled: {passed:?}");
}

#[test]
fn the_hostile_list_holds_at_least_150_distinct_forms() {
    let forms: std::collections::BTreeSet<_> = hostile::URLS.iter().collect();
    assert_eq!(forms.len(), hostile::URLS.len(), "a form is listed twice");
    assert!(forms.len() >= 150);
}

#[test]
fn every_hostile_answer_is_refused_alone_and_among_public_ones() {
    let policy = EgressPolicy::default();
    for text in hostile::ADDRESSES {
        assert!(policy.check_ip(ip(text)).is_err(), "{text}");
        assert!(policy.check_answers([ip("8.8.8.8"), ip(text)]).is_err(), "{text}");
        assert!(policy.check_answers([ip(text), ip("8.8.8.8")]).is_err(), "{text}");
    }
}

#[test]
fn public_destinations_pass() {
    let policy = EgressPolicy::default();
    for text in hostile::PUBLIC_URLS {
        assert_eq!(check(text), Ok(()), "{text}");
    }
    for text in hostile::PUBLIC_ADDRESSES {
        assert_eq!(policy.check_ip(ip(text)), Ok(()), "{text}");
    }
}

#[test]
fn odd_spellings_of_one_address_meet_one_rule() {
    for (text, rule) in [
        ("http://127.1/", Rule::Loopback),
        ("http://0x7f.1/", Rule::Loopback),
        ("http://017700000001/", Rule::Loopback),
        ("http://2130706433/", Rule::Loopback),
        ("http://[::ffff:169.254.169.254]/", Rule::Metadata),
        ("http://[64:ff9b::a9fe:a9fe]/", Rule::Metadata),
        ("http://[fd00:ec2::254]/", Rule::Metadata),
        ("http://100.100.100.200/", Rule::Metadata),
        ("http://168.63.129.16/", Rule::Metadata),
        ("http://[64:ff9b:1::808:808]/", Rule::Transition),
        ("http://[2002:808:808::1]/", Rule::Transition),
        ("http://[2001::1]/", Rule::Transition),
        ("http://100.64.0.1/", Rule::SharedNat),
        ("http://localhost./", Rule::LocalName),
        ("http://printer.local/", Rule::LocalName),
        ("http://x.invalid/", Rule::ReservedName),
        ("http://a.b.test./", Rule::ReservedName),
        ("http://invalid/", Rule::ReservedName),
        ("http://a@b/", Rule::UserInfo),
        ("gopher://a.org/", Rule::Scheme),
        ("http://a.org:25/", Rule::Port),
    ] {
        assert_eq!(check(text).unwrap_err().unwrap().rule, rule, "{text}");
    }
}

#[test]
fn a_reserved_name_is_said_to_be_reserved_and_no_network_is_offered_as_a_way_out() {
    let denied = EgressPolicy::default().check_host("example.invalid").unwrap_err().to_string();
    assert!(denied.contains("reserved") && !denied.contains("allow"), "{denied}");
    let private = EgressPolicy::default().check_host("10.0.0.1").unwrap_err().to_string();
    assert!(private.contains("allow the network in `EgressPolicy`"), "{private}");
}

#[test]
fn hosts_written_as_text_are_read_like_hosts_of_urls() {
    let policy = EgressPolicy::default();
    assert_eq!(policy.check_host("0x7f.1").unwrap_err().rule, Rule::Loopback);
    assert_eq!(policy.check_host("[::1]").unwrap_err().rule, Rule::Loopback);
    assert_eq!(policy.check_host("LOCALHOST.").unwrap_err().rule, Rule::LocalName);
    assert_eq!(policy.check_host("a b").unwrap_err().rule, Rule::Host);
    assert_eq!(policy.check_host("www.iana.org"), Ok(()));
}

#[test]
fn a_name_without_answers_is_refused() {
    assert_eq!(EgressPolicy::default().check_answers([]).unwrap_err().rule, Rule::NoAddress);
}

#[test]
fn allowing_loopback_allows_nothing_else() {
    let policy = EgressPolicy::allowing_loopback();
    for text in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(policy.check_ip(ip(text)), Ok(()), "{text}");
    }
    assert_eq!(policy.check_url(&Url::parse("http://localhost:4000/").unwrap()), Ok(()));
    for text in hostile::ADDRESSES
        .iter()
        .filter(|text| EgressPolicy::default().check_ip(ip(text)).unwrap_err().rule != Rule::Loopback)
    {
        assert!(policy.check_ip(ip(text)).is_err(), "{text}");
    }
}

#[test]
fn a_wide_allowance_does_not_open_the_metadata_address() {
    let wide = EgressPolicy::default().with_allowed(net("0.0.0.0/0")).with_allowed(net("::/0"));
    assert_eq!(wide.check_ip(ip("10.1.2.3")), Ok(()));
    assert_eq!(wide.check_ip(ip("169.254.169.254")).unwrap_err().rule, Rule::Metadata);
    assert_eq!(wide.check_ip(ip("fd00:ec2::254")).unwrap_err().rule, Rule::Metadata);
    assert_eq!(wide.with_allowed(net("169.254.169.254/32")).check_ip(ip("169.254.169.254")), Ok(()));
}

#[test]
fn a_refused_network_stays_refused_however_it_is_reached() {
    let policy = EgressPolicy::default().with_allowed(net("10.0.0.0/8")).with_denied(net("10.9.0.0/16"));
    assert_eq!(policy.check_ip(ip("10.8.0.1")), Ok(()));
    assert_eq!(policy.check_ip(ip("::ffff:10.9.0.1")).unwrap_err().rule, Rule::DeniedByHost);
    let own_nat64 = EgressPolicy::default().with_denied(net("2a00:64::/96"));
    assert_eq!(own_nat64.check_ip(ip("2a00:64::7f00:1")).unwrap_err().rule, Rule::DeniedByHost);
}

#[test]
fn a_refusal_never_repeats_the_destination() {
    for text in hostile::URLS.iter().filter(|text| text.len() > 12) {
        if let Err(Some(denied)) = check(text) {
            let host = Url::parse(text).unwrap().host_str().unwrap_or("-none-").to_owned();
            let shown = format!("{denied} {denied:?}");
            assert!(!shown.contains(text.trim()), "{shown}");
            assert!(host.len() < 4 || !shown.contains(&host), "{shown}");
        }
    }
}

/// The standard library's own classification: a second opinion that shares no table with ours.
fn std_says_private(v4: Ipv4Addr) -> bool {
    v4.is_loopback()
        || v4.is_private()
        || v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_multicast()
        || v4.is_broadcast()
        || v4.is_documentation()
}

proptest! {
    #![proptest_config(crate::cases(4096))]

    #[test]
    fn whatever_the_standard_library_calls_private_is_refused(bits: u32) {
        let v4 = Ipv4Addr::from_bits(bits);
        prop_assert!(!std_says_private(v4) || EgressPolicy::default().check_ip(v4.into()).is_err());
    }

    #[test]
    fn wrapping_an_address_never_changes_the_verdict_for_the_better(bits: u32) {
        let policy = EgressPolicy::default();
        let v4 = Ipv4Addr::from_bits(bits);
        let [a, b, c, d] = v4.octets();
        let low = [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])];
        let direct = policy.check_ip(v4.into());
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, low[0], low[1]);
        let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, low[0], low[1]);
        prop_assert_eq!(policy.check_ip(mapped.into()), direct);
        prop_assert_eq!(policy.check_ip(nat64.into()), direct);
        for wrapped in [
            Ipv6Addr::new(0, 0, 0, 0, 0, 0, low[0], low[1]),
            Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, low[0], low[1]),
            Ipv6Addr::new(0x2002, low[0], low[1], 0, 0, 0, 0, 1),
            Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, low[0], low[1]),
            Ipv6Addr::new(0x2a00, 1, 2, 3, 0, 0x5efe, low[0], low[1]),
        ] {
            prop_assert!(policy.check_ip(wrapped.into()).is_err());
        }
    }

    #[test]
    fn every_spelling_of_an_ipv4_address_gets_its_verdict(bits: u32) {
        let policy = EgressPolicy::default();
        let direct = policy.check_ip(Ipv4Addr::from_bits(bits).into());
        let [a, b, c, d] = bits.to_be_bytes();
        for host in [
            format!("{bits}"), format!("{bits:#x}"), format!("0{bits:o}"), format!("{a:#x}.0{b:o}.{c}.{d:#X}"),
            format!("{a}.{}", bits & 0x00ff_ffff), format!("{a}.{b}.{}", bits & 0xffff), format!("{a}。{b}．{c}｡{d}"),
        ] {
            prop_assert_eq!(policy.check_host(&host.replace("0X", "0x")), direct);
        }
    }

    #[test]
    fn only_global_unicast_ipv6_passes(bits: u128) {
        let v6 = Ipv6Addr::from_bits(bits);
        if EgressPolicy::default().check_ip(v6.into()).is_ok() {
            let head = v6.segments()[0];
            prop_assert!(head & 0xe000 == 0x2000 || v6.to_ipv4_mapped().is_some() || head == 0x64);
        }
    }

    #[test]
    fn no_text_makes_the_check_panic(text in "\\PC{0,40}") {
        let _ = EgressPolicy::default().check_host(&text);
        let _ = check(&format!("http://{text}/"));
    }
}
