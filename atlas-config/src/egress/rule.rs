//! Why a destination is refused. Nothing here holds the destination itself, so nothing can print it.

use std::fmt;

/// The rule that refuses a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// The scheme is not `http` or `https`.
    Scheme,
    /// The URL carries a user name or a password.
    UserInfo,
    /// The URL has no host, or the host is no valid name or address.
    Host,
    /// The port belongs to a service that is not the web (WHATWG Fetch, "bad port").
    Port,
    /// The name is local by definition: `localhost`, one label, or a private-use domain.
    LocalName,
    /// The name is reserved and never names a host of the web: below `invalid`, `test` (RFC 6761), `onion` (RFC 7686) or
    /// `alt` (RFC 9476).
    ReservedName,
    /// A name resolved to no address at all.
    NoAddress,
    /// `0.0.0.0/8` or `::`: "this host on this network".
    Unspecified,
    /// `127.0.0.0/8` or `::1`.
    Loopback,
    /// RFC 1918 or unique-local (`fc00::/7`) space.
    Private,
    /// `100.64.0.0/10`, shared by carriers (RFC 6598).
    SharedNat,
    /// `169.254.0.0/16`, `fe80::/10` or the deprecated site-local `fec0::/10`.
    LinkLocal,
    /// An address where a cloud hands out credentials.
    Metadata,
    /// Documentation and benchmarking ranges, which no real host uses.
    Documentation,
    /// Multicast or broadcast.
    Multicast,
    /// Reserved, or set aside for protocols.
    Reserved,
    /// An address that wraps another one and may lead anywhere: 6to4, Teredo, ISATAP, local NAT64, SIIT.
    Transition,
    /// A network that the host application refused itself.
    DeniedByHost,
}

impl Rule {
    /// What was met, as a lower-case fragment.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheme => "scheme other than http or https",
            Self::UserInfo => "user name or password in the URL",
            Self::Host => "missing or invalid host",
            Self::Port => "port of a service that is not the web",
            Self::LocalName => "local host name",
            Self::ReservedName => "name reserved by a standard, which no host of the web has",
            Self::NoAddress => "name without an address",
            Self::Unspecified => "unspecified address",
            Self::Loopback => "loopback address",
            Self::Private => "private address",
            Self::SharedNat => "carrier-shared address",
            Self::LinkLocal => "link-local address",
            Self::Metadata => "cloud metadata address",
            Self::Documentation => "documentation or benchmarking address",
            Self::Multicast => "multicast or broadcast address",
            Self::Reserved => "reserved address",
            Self::Transition => "address that wraps another address",
            Self::DeniedByHost => "network refused by the host application",
        }
    }

    /// What to do about it, as a lower-case fragment.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Scheme => "use an http or https URL",
            Self::UserInfo => "leave the user name and the password out",
            Self::Host => "correct the host",
            Self::Port => "use the port of a web server",
            Self::LocalName => "use a public name, or an address of a network that `EgressPolicy` allows",
            Self::ReservedName => "correct the name: no policy makes it lead anywhere",
            Self::NoAddress => "check the name",
            Self::Metadata | Self::DeniedByHost => "use a public http(s) URL",
            _ => "use a public http(s) URL, or allow the network in `EgressPolicy`",
        }
    }
}

impl std::error::Error for Rule {}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A destination that must not be dialled. Carries the rule, never the URL, name or address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the egress policy refuses this destination ({rule}); {}", rule.advice())]
#[non_exhaustive]
pub struct Denied {
    /// The first rule that refused.
    pub rule: Rule,
}

impl Denied {
    pub(super) const fn by(rule: Rule) -> Self {
        Self { rule }
    }
}
