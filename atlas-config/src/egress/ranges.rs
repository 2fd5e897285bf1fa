//! The address tables.
//!
//! Sources: IANA IPv4 Special-Purpose Address Registry and IANA IPv6 Special-Purpose Address Registry (RFC 6890,
//! RFC 8190), the IPv4 and IPv6 multicast and reserved space of RFC 1112 and RFC 4291, and the vendors' pages for
//! metadata addresses. IPv4 lists what is refused; IPv6 allows only `2000::/3`, the one block that IANA assigns as
//! global unicast, and refuses inside it. Ranges that a registry calls globally reachable but that serve no web page
//! (AS112, AMT, ORCHID) are refused with the rest.

use super::Rule;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `(network, prefix length, rule)`; the first match wins, so the narrow rows come first.
const V4: &[([u8; 4], u32, Rule)] = &[
    ([169, 254, 169, 254], 32, Rule::Metadata), // AWS, Azure, Google, Oracle, DigitalOcean, OpenStack
    ([169, 254, 170, 2], 32, Rule::Metadata),   // AWS ECS task credentials
    ([169, 254, 170, 23], 32, Rule::Metadata),  // AWS EKS pod identity
    ([169, 254, 0, 23], 32, Rule::Metadata),    // Tencent
    ([100, 100, 100, 200], 32, Rule::Metadata), // Alibaba
    ([192, 0, 0, 192], 32, Rule::Metadata),     // Oracle classic
    ([168, 63, 129, 16], 32, Rule::Metadata),   // Azure host agent: routable space, only ever local
    ([0, 0, 0, 0], 8, Rule::Unspecified),       // RFC 791
    ([10, 0, 0, 0], 8, Rule::Private),          // RFC 1918
    ([100, 64, 0, 0], 10, Rule::SharedNat),     // RFC 6598
    ([127, 0, 0, 0], 8, Rule::Loopback),        // RFC 1122
    ([169, 254, 0, 0], 16, Rule::LinkLocal),    // RFC 3927
    ([172, 16, 0, 0], 12, Rule::Private),       // RFC 1918
    ([192, 0, 0, 0], 24, Rule::Reserved),       // RFC 6890
    ([192, 0, 2, 0], 24, Rule::Documentation),  // RFC 5737
    ([192, 31, 196, 0], 24, Rule::Reserved),    // RFC 7535, AS112
    ([192, 52, 193, 0], 24, Rule::Reserved),    // RFC 7450, AMT
    ([192, 88, 99, 0], 24, Rule::Transition),   // RFC 7526, 6to4 relay
    ([192, 168, 0, 0], 16, Rule::Private),      // RFC 1918
    ([192, 175, 48, 0], 24, Rule::Reserved),    // RFC 7534, AS112
    ([198, 18, 0, 0], 15, Rule::Documentation), // RFC 2544, benchmarking
    ([198, 51, 100, 0], 24, Rule::Documentation), // RFC 5737
    ([203, 0, 113, 0], 24, Rule::Documentation), // RFC 5737
    ([224, 0, 0, 0], 4, Rule::Multicast),       // RFC 5771
    ([255, 255, 255, 255], 32, Rule::Multicast), // RFC 919
    ([240, 0, 0, 0], 4, Rule::Reserved),        // RFC 1112
];

/// As [`V4`], with the network as its eight groups.
const V6: &[([u16; 8], u32, Rule)] = &[
    ([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254], 128, Rule::Metadata), // AWS
    ([0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023], 128, Rule::Metadata), // AWS EKS pod identity
    ([0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254], 128, Rule::Metadata), // Google
    ([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128, Rule::Metadata), // OpenStack
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, Rule::Unspecified),             // RFC 4291
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Rule::Loopback),                // RFC 4291
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, Rule::Transition),               // RFC 4291, IPv4-compatible
    ([0, 0, 0, 0, 0xffff, 0, 0, 0], 96, Rule::Transition),          // RFC 7915, IPv4-translated (SIIT)
    ([0x0064, 0xff9b, 1, 0, 0, 0, 0, 0], 48, Rule::Transition),     // RFC 8215, local-use NAT64
    ([0x0100, 0, 0, 0, 0, 0, 0, 0], 64, Rule::Reserved),            // RFC 6666, discard only
    ([0x0100, 0, 0, 1, 0, 0, 0, 0], 64, Rule::Reserved),            // RFC 9780, dummy prefix
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, Rule::Transition),          // RFC 4380, Teredo
    ([0x2001, 0x0002, 0, 0, 0, 0, 0, 0], 48, Rule::Documentation),  // RFC 5180, benchmarking
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Rule::Reserved),            // RFC 2928, protocol assignments
    ([0x2001, 0x0db8, 0, 0, 0, 0, 0, 0], 32, Rule::Documentation),  // RFC 3849
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, Rule::Transition),          // RFC 3056, 6to4
    ([0x2620, 0x004f, 0x8000, 0, 0, 0, 0, 0], 48, Rule::Reserved),  // RFC 7534, AS112
    ([0x3ffe, 0, 0, 0, 0, 0, 0, 0], 16, Rule::Reserved),            // RFC 3701, 6bone, returned
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Rule::Documentation),       // RFC 9637
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, Rule::Reserved),            // RFC 9602, SRv6 SIDs
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Rule::Private),              // RFC 4193
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Rule::LinkLocal),           // RFC 4291
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Rule::LinkLocal),           // RFC 3879, site-local
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Rule::Multicast),            // RFC 4291
];

/// The rule that an address falls under; `None` means public unicast. `ip` is already [`canonical`].
pub(super) fn rule(ip: IpAddr) -> Option<Rule> {
    match ip {
        IpAddr::V4(ip) => v4_rule(ip),
        IpAddr::V6(ip) => v6_rule(ip),
    }
}

/// The address that a dial to `ip` reaches: IPv4-mapped (`::ffff:0:0/96`) and well-known NAT64 (`64:ff9b::/96`,
/// RFC 6052) are unwrapped, because there the inner address is where the packets go.
pub(super) fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => ip,
    }
}

fn v4_rule(ip: Ipv4Addr) -> Option<Rule> {
    let holds =
        |net: [u8; 4], length: u32| (ip.to_bits() ^ u32::from_be_bytes(net)).checked_shr(32 - length).unwrap_or(0) == 0;
    V4.iter().find(|(net, length, _)| holds(*net, *length)).map(|(_, _, rule)| *rule)
}

fn v6_rule(ip: Ipv6Addr) -> Option<Rule> {
    let holds = |net: [u16; 8], length: u32| {
        (ip.to_bits() ^ Ipv6Addr::from(net).to_bits()).checked_shr(128 - length).unwrap_or(0) == 0
    };
    if let Some((_, _, rule)) = V6.iter().find(|(net, length, _)| holds(*net, *length)) {
        return Some(*rule);
    }
    let groups = ip.segments();
    if groups[0] & 0xe000 != 0x2000 {
        return Some(Rule::Reserved);
    }
    // ISATAP (RFC 5214): any prefix may carry an IPv4 address behind this interface id.
    (groups[4] & 0xfdff == 0 && groups[5] == 0x5efe).then_some(Rule::Transition)
}
