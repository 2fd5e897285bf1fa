//! Names that are local or reserved by definition, whatever a resolver answers, and ports that no web server uses.

/// Domains that are reserved so that they never name a host of the web, each with all names below it.
///
/// RFC 6761 (invalid, test), RFC 7686 (onion), RFC 9476 (alt).
const RESERVED_DOMAINS: &[&str] = &["invalid", "test", "onion", "alt"];

/// Domains that name neighbours and never a public host, each with all names below it.
///
/// RFC 6761 (localhost), RFC 6762 (local), RFC 8375 (home.arpa), ICANN board resolutions 2018-02-04 (home, corp,
/// mail) and 2024-07-29 (internal), and the customary local domains of routers, clusters and container hosts.
const LOCAL_DOMAINS: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "internal",
    "intranet",
    "lan",
    "home",
    "corp",
    "mail",
    "private",
    "home.arpa",
    "svc",
    "cluster",
    "consul",
    "docker",
    "workgroup",
    "localhost6",
    "localdomain6",
];

/// WHATWG Fetch, "bad port" (read in its 2025 form), in ascending order.
const BAD_PORTS: &[u16] = &[
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531,
    532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060,
    5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

pub(super) enum Name {
    Public,
    /// `localhost` and everything below it.
    Localhost,
    Local,
    Reserved,
    Invalid,
}

/// Judges a host name as [`url::Host`] spells it: lower case, punycode.
pub(super) fn judge(name: &str) -> Name {
    // One trailing dot only roots the name (`localhost.` is `localhost`).
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name.is_empty() || name.len() > 253 || name.split('.').any(|label| !is_label(label)) {
        return Name::Invalid;
    }
    let below = |domain: &str| name == domain || name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    if below("localhost") {
        return Name::Localhost;
    }
    if RESERVED_DOMAINS.iter().any(|domain| below(domain)) {
        return Name::Reserved;
    }
    // A single label goes through the machine's search list, so it always means a neighbour.
    if !name.contains('.') || LOCAL_DOMAINS.iter().any(|domain| below(domain)) { Name::Local } else { Name::Public }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

pub(super) fn is_bad_port(port: u16) -> bool {
    BAD_PORTS.binary_search(&port).is_ok()
}
