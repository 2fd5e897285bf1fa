//! Egress: which addresses may be dialled.
//!
//! Pure rules, no resolver and no socket. A dialler (page fetcher, webhook sender) calls [`EgressPolicy::check_url`] on
//! each URL it is given or redirected to, resolves the name itself, calls [`EgressPolicy::check_answers`] on what the
//! resolver said, and then connects to exactly those addresses. Checking a name and connecting to it later is not
//! enough: the second answer may differ from the first (DNS rebinding). The invariant: nothing is dialled that is not
//! public unicast, unless the host application allowed that network by hand.
//!
//! The feature `test-vectors` exports [`hostile`], one list of forms that every dialler must withstand.

#[cfg(any(test, feature = "test-vectors"))]
pub mod hostile;
mod name;
mod ranges;
mod rule;

pub use ipnet::IpNet;
pub use rule::{Denied, Rule};

use name::Name;
use std::net::IpAddr;
use url::{Host, Url};

/// Which destinations may be dialled. The default allows public unicast addresses and web ports only.
///
/// ```
/// use atlas_config::egress::{EgressPolicy, Rule};
/// use url::Url;
///
/// let policy = EgressPolicy::default();
/// assert!(policy.check_url(&Url::parse("https://www.iana.org/")?).is_ok());
///
/// let odd = Url::parse("http://0x7f.1/")?;
/// assert_eq!(policy.check_url(&odd).unwrap_err().rule, Rule::Loopback);
/// # Ok::<(), url::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EgressPolicy {
    loopback: bool,
    allowed: Vec<IpNet>,
    denied: Vec<IpNet>,
}

impl EgressPolicy {
    /// The default: public unicast only.
    pub const fn public_only() -> Self {
        Self { loopback: false, allowed: Vec::new(), denied: Vec::new() }
    }

    /// The default plus loopback addresses and `localhost`: for tests and local services.
    pub const fn allowing_loopback() -> Self {
        Self { loopback: true, allowed: Vec::new(), denied: Vec::new() }
    }

    /// Also allows `net`, such as a host's own intranet.
    ///
    /// Cloud metadata addresses stay refused unless `net` is exactly that one address: a wide allowance must not hand
    /// out credentials.
    #[must_use]
    pub fn with_allowed(mut self, net: IpNet) -> Self {
        self.allowed.push(net);
        self
    }

    /// Also refuses `net`; stronger than any allowance. Networks with a NAT64 prefix of their own name it here.
    #[must_use]
    pub fn with_denied(mut self, net: IpNet) -> Self {
        self.denied.push(net);
        self
    }

    /// Judges one address, as a resolver gave it or as it is about to be dialled.
    ///
    /// # Errors
    /// [`Denied`] names the rule that refuses it.
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Denied> {
        let target = ranges::canonical(ip);
        if self.denied.iter().any(|net| net.contains(&ip) || net.contains(&target)) {
            return Err(Denied::by(Rule::DeniedByHost));
        }
        let Some(rule) = ranges::rule(target) else { return Ok(()) };
        let allowed = match rule {
            Rule::Metadata => {
                self.allowed.iter().any(|net| net.addr() == target && net.prefix_len() == net.max_prefix_len())
            }
            Rule::Loopback if self.loopback => true,
            _ => self.allowed.iter().any(|net| net.contains(&target)),
        };
        if allowed { Ok(()) } else { Err(Denied::by(rule)) }
    }

    /// Judges all answers of a resolver. One refused address refuses the name, because an attacker who mixes a private
    /// answer among public ones only has to wait for the dialler to pick it.
    ///
    /// # Errors
    /// [`Denied`] with the first refused address's rule, or [`Rule::NoAddress`] for no answers.
    pub fn check_answers(&self, answers: impl IntoIterator<Item = IpAddr>) -> Result<(), Denied> {
        let mut any = false;
        for ip in answers {
            self.check_ip(ip)?;
            any = true;
        }
        if any { Ok(()) } else { Err(Denied::by(Rule::NoAddress)) }
    }

    /// Judges a URL before anything is resolved: scheme, credentials, port, and a host that is already an address (in
    /// any spelling that URL parsing knows) or a local or reserved name.
    ///
    /// A pass is not enough to dial a *name*: its answers go through [`check_answers`](Self::check_answers).
    ///
    /// # Errors
    /// [`Denied`] names the first rule that refuses it.
    pub fn check_url(&self, url: &Url) -> Result<(), Denied> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Denied::by(Rule::Scheme));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Denied::by(Rule::UserInfo));
        }
        if url.port_or_known_default().is_none_or(name::is_bad_port) {
            return Err(Denied::by(Rule::Port));
        }
        match url.host() {
            Some(Host::Ipv4(ip)) => self.check_ip(ip.into()),
            Some(Host::Ipv6(ip)) => self.check_ip(ip.into()),
            Some(Host::Domain(name)) => self.check_name(name),
            None => Err(Denied::by(Rule::Host)),
        }
    }

    /// Judges a host written as text, with the same spellings as in a URL: `127.1`, `[::1]`, `bücher.example`.
    ///
    /// # Errors
    /// [`Denied`] names the rule; [`Rule::Host`] for text that is no host.
    pub fn check_host(&self, host: &str) -> Result<(), Denied> {
        match Host::parse(host) {
            Ok(Host::Ipv4(ip)) => self.check_ip(ip.into()),
            Ok(Host::Ipv6(ip)) => self.check_ip(ip.into()),
            Ok(Host::Domain(name)) => self.check_name(&name),
            Err(_) => Err(Denied::by(Rule::Host)),
        }
    }

    fn check_name(&self, name: &str) -> Result<(), Denied> {
        match name::judge(name) {
            Name::Public => Ok(()),
            Name::Localhost if self.loopback => Ok(()),
            Name::Localhost | Name::Local => Err(Denied::by(Rule::LocalName)),
            Name::Reserved => Err(Denied::by(Rule::ReservedName)),
            Name::Invalid => Err(Denied::by(Rule::Host)),
        }
    }
}
