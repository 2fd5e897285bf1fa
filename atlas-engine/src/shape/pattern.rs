//! Patterns: what a schema's regular expressions may cost.

/// Longer patterns are refused.
const MAX_BYTES: usize = 1000;
/// The product of nested repetition counts; `(a{1,100}){1,10}` is 1,000.
const MAX_REPETITION: u64 = 1000;
/// The compiled size in bytes that a single pattern may have.
pub(super) const SIZE_LIMIT: usize = 1 << 20;

/// Why a pattern is refused before it is compiled, if it is.
///
/// The check is linear in the pattern and does not judge its grammar: the compiler does that.
pub(super) fn refusal(pattern: &str) -> Option<&'static str> {
    if pattern.len() > MAX_BYTES {
        return Some("use a pattern of at most 1000 bytes");
    }
    // Each open group collects the costliest repetition inside it; its own count multiplies that.
    let mut inner = vec![1_u64];
    let mut last = 1_u64;
    let mut bytes = pattern.bytes().enumerate();
    let mut in_class = false;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
                last = 1;
            }
            b'[' => in_class = true,
            b']' => {
                in_class = false;
                last = 1;
            }
            _ if in_class => {}
            b'(' => inner.push(1),
            b')' => {
                last = inner.pop().unwrap_or(1);
                if inner.is_empty() {
                    inner.push(1);
                }
            }
            b'{' => {
                let Some(counts) = pattern.get(at + 1..).and_then(|rest| rest.split('}').next()) else { continue };
                let highest = counts.split(',').filter_map(|count| count.trim().parse::<u64>().ok()).max();
                if let Some(count) = highest {
                    last = last.saturating_mul(count.max(1));
                    if last > MAX_REPETITION {
                        return Some("lower the repetition counts: nested ones multiply to over 1000");
                    }
                    if let Some(group) = inner.last_mut() {
                        *group = (*group).max(last);
                    }
                }
            }
            _ => last = 1,
        }
    }
    None
}
