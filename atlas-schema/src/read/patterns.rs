//! The patterns of our schemas as plain functions: no regular-expression engine in the crate, and no backtracking.
//!
//! Each must accept exactly what its pattern accepts in a JSON Schema validator (ECMA-262, Unicode, `$` only at the very
//! end); a test compares them on generated texts.

use crate::money::{USD_PATTERN, Usd};
use crate::pointer::JsonPointer;

/// A pattern, what it means, and its meaning as code.
#[derive(Debug)]
pub(super) struct Pattern {
    pub source: &'static str,
    pub rule: &'static str,
    pub matches: fn(&str) -> bool,
}

/// The pattern of a schema, `None` if nobody wrote its function yet.
pub(super) fn find(source: &str) -> Option<&'static Pattern> {
    PATTERNS.iter().find(|pattern| pattern.source == source)
}

pub(super) static PATTERNS: &[Pattern] = &[
    Pattern {
        source: "^[a-zA-Z0-9_-]+$",
        rule: "must have letters, digits, `_` and `-` only",
        matches: |text| all(text, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')),
    },
    Pattern {
        source: "^[a-z0-9_.-]+$",
        rule: "must have lower-case letters, digits, `_`, `.` and `-` only",
        matches: |text| all(text, |b| lower(b) || matches!(b, b'_' | b'.' | b'-')),
    },
    Pattern {
        source: "^[a-z0-9_]+$",
        rule: "must have lower-case letters, digits and `_` only",
        matches: |text| all(text, |b| lower(b) || b == b'_'),
    },
    Pattern {
        source: "^[!-~]+$",
        rule: "must have printable ASCII characters only, no blanks",
        matches: |text| all(text, graphic),
    },
    Pattern {
        source: "^https?://[!-~]+$",
        rule: "must be an absolute http or https URL in printable ASCII",
        matches: |text| after_scheme(text, &["http", "https"]),
    },
    Pattern {
        source: "^(https?|file)://[!-~]+$",
        rule: "must be an absolute http, https or file URL in printable ASCII",
        matches: |text| after_scheme(text, &["http", "https", "file"]),
    },
    Pattern {
        source: "^[0-9a-f]{64}$",
        rule: "must be 64 lower-case hex digits",
        matches: |text| text.len() == 64 && all(text, hex),
    },
    Pattern {
        source: "^([0-9a-f]{2})*$",
        rule: "must be pairs of lower-case hex digits",
        matches: |text| text.len() % 2 == 0 && text.bytes().all(hex),
    },
    Pattern {
        source: "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        rule: "must be a lower-case hyphenated UUID",
        matches: |text| {
            let dash = |at| matches!(at, 8 | 13 | 18 | 23);
            text.len() == 36 && text.bytes().enumerate().all(|(at, b)| if dash(at) { b == b'-' } else { hex(b) })
        },
    },
    Pattern {
        source: "^(/([^~/]|~[01])*)*$",
        rule: "must be a JSON Pointer: empty, or `/` before each part, with `~` as `~0` and `/` as `~1`",
        matches: JsonPointer::is_pointer,
    },
    Pattern {
        source: USD_PATTERN,
        rule: "must be US dollars as a decimal string without superfluous zeros, such as `0.0125`",
        matches: Usd::is_canonical,
    },
];

fn all(text: &str, ok: fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(ok)
}

const fn lower(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

const fn graphic(b: u8) -> bool {
    b.is_ascii_graphic()
}

const fn hex(b: u8) -> bool {
    matches!(b, b'0'..=b'9' | b'a'..=b'f')
}

fn after_scheme(text: &str, schemes: &[&str]) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| schemes.contains(&scheme) && all(rest, graphic))
}
