//! Patterns: what a schema's regular expressions may cost.

/// Longer patterns are refused.
const MAX_BYTES: usize = 1000;
/// The product of nested repetition counts; `(a{1,100}){1,10}` is 1,000.
const MAX_REPETITION: u64 = 1000;
/// The compiled size in bytes that a single pattern may have.
pub(super) const SIZE_LIMIT: usize = 1 << 20;
/// What all patterns of a schema may weigh together: compiled, a unit is some tens of bytes, so a few megabytes.
const MAX_WEIGHT: u64 = 50_000;

/// What a pattern costs however short it is.
const EACH: u64 = 100;
/// A class of many ranges, such as `.`, `\s` or a negated one.
const WIDE: u64 = 20;
/// A Unicode property: hundreds of ranges.
const PROPERTY: u64 = 500;

/// What the patterns of one schema may still cost.
#[derive(Debug)]
pub(super) struct Budget {
    left: Option<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { left: Some(MAX_WEIGHT) }
    }
}

impl Budget {
    /// Why a pattern is refused before it is compiled, if it is. That all patterns together cost too much is said once.
    ///
    /// The check is linear in the pattern and does not judge its grammar: the compiler does that.
    pub(super) fn refusal(&mut self, pattern: &str) -> Option<&'static str> {
        let weight = match weight(pattern) {
            Ok(weight) => weight,
            Err(why) => return Some(why),
        };
        let left = self.left?;
        self.left = left.checked_sub(weight);
        self.left.is_none().then_some(
            "use fewer or simpler patterns: from here on, those of the schema together cost too much to compile",
        )
    }
}

/// An open group: what it holds so far.
#[derive(Debug, Default)]
struct Group {
    /// The highest product of repetition counts inside.
    most: u64,
    /// What its finished parts weigh.
    weight: u64,
}

/// The weight of a pattern with its repetitions written out.
fn weight(pattern: &str) -> Result<u64, &'static str> {
    if pattern.len() > MAX_BYTES {
        return Err("use a pattern of at most 1000 bytes");
    }
    let mut groups = vec![Group::default()];
    // The last atom, to which a repetition count applies: how often it is repeated inside, and what it weighs.
    let (mut most, mut atom) = (1_u64, 0_u64);
    let mut rest = pattern.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'*' | b'+' | b'?' => continue,
            b'{' => {
                if let Some((count, length)) = repetition(after) {
                    rest = after.get(length..).unwrap_or_default();
                    most = most.saturating_mul(count);
                    atom = atom.saturating_mul(count);
                    if most > MAX_REPETITION {
                        return Err("lower the repetition counts: nested ones multiply to over 1000");
                    }
                    if let Some(group) = groups.last_mut() {
                        group.most = group.most.max(most);
                    }
                    continue;
                }
            }
            _ => {}
        }
        if let Some(group) = groups.last_mut() {
            group.weight = group.weight.saturating_add(atom);
        }
        (most, atom) = (1, 1);
        match byte {
            b'(' => {
                groups.push(Group::default());
                atom = 0;
            }
            b')' => {
                let closed = groups.pop().unwrap_or_default();
                if groups.is_empty() {
                    groups.push(Group::default());
                }
                (most, atom) = (closed.most.max(1), closed.weight.saturating_add(1));
                if let Some(group) = groups.last_mut() {
                    group.most = group.most.max(most);
                }
            }
            b'\\' => {
                atom = escape(rest.first());
                rest = rest.get(1..).unwrap_or_default();
            }
            b'.' => atom = WIDE,
            b'[' => (atom, rest) = class(rest),
            _ => {}
        }
    }
    let open: u64 = groups.iter().fold(atom, |sum, group| sum.saturating_add(group.weight));
    Ok(open.saturating_add(EACH))
}

/// The higher count of `m}`, `m,}` or `m,n}`, at least 1, and the length up to and with the brace.
fn repetition(after: &[u8]) -> Option<(u64, usize)> {
    let end = after.iter().position(|byte| *byte == b'}')?;
    let counts = std::str::from_utf8(after.get(..end)?).ok()?;
    let mut highest = None;
    for count in counts.split(',').map(str::trim).filter(|count| !count.is_empty()) {
        // A count too large for the type is as good as endless; anything else than digits is no count.
        if !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        highest = highest.max(Some(count.parse().unwrap_or(u64::MAX)));
    }
    highest.map(|count: u64| (count.max(1), end + 1))
}

fn escape(byte: Option<&u8>) -> u64 {
    match byte {
        Some(b'p' | b'P') => PROPERTY,
        Some(b'd' | b'D' | b'w' | b'W' | b's' | b'S') => WIDE,
        _ => 1,
    }
}

/// The weight of a class, and what follows it.
fn class(mut rest: &[u8]) -> (u64, &[u8]) {
    let mut weight = if rest.first() == Some(&b'^') { WIDE } else { 1 };
    let mut first = true;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b']' if !first => break,
            b'\\' => {
                weight += escape(rest.first());
                rest = rest.get(1..).unwrap_or_default();
            }
            _ => weight += 1,
        }
        first = first && byte == b'^';
    }
    (weight, rest)
}
