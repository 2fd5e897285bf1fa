//! Money: exact integers, no float anywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, iter::Sum, str::FromStr};

/// A text that is not a US dollar amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an amount must be a decimal string of US dollars with at most 9 decimals and under 1000000000, such as \"0.0125\""
)]
pub struct InvalidUsd;

/// US dollars in whole nano-dollars (10⁻⁹ $), under a billion dollars either way: from −999 999 999.999 999 999 to
/// +999 999 999.999 999 999.
///
/// In JSON a decimal string without superfluous zeros: `"0.0125"`, `"-3"`, `"0"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(i64);

/// Canonical spelling: no leading or trailing zeros, no plus, no minus zero.
pub(crate) const USD_PATTERN: &str = r"^(0|-?[1-9][0-9]{0,8}|-?(0|[1-9][0-9]{0,8})\.[0-9]{0,8}[1-9])$";

impl Usd {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// 999 999 999.999 999 999 dollars, the most that a record can state.
    pub const MAX: Self = Self(999_999_999_999_999_999);
    /// The same below zero.
    pub const MIN: Self = Self(-Self::MAX.0);
    const NANOS: i64 = 1_000_000_000;

    /// From nano-dollars, held at [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub const fn from_nanos(nanos: i64) -> Self {
        if nanos > Self::MAX.0 {
            Self::MAX
        } else if nanos < Self::MIN.0 {
            Self::MIN
        } else {
            Self(nanos)
        }
    }

    /// From nano-dollars, `None` past the range.
    const fn within(nanos: Option<i64>) -> Option<Self> {
        match nanos {
            Some(nanos) if nanos >= Self::MIN.0 && nanos <= Self::MAX.0 => Some(Self(nanos)),
            _ => None,
        }
    }

    /// Whether the text is the one spelling of an amount.
    pub(crate) fn is_canonical(text: &str) -> bool {
        Self::from_str(text).is_ok_and(|usd| usd.to_string() == text)
    }

    /// From whole dollars, `None` past the range.
    pub const fn from_dollars(dollars: i64) -> Option<Self> {
        Self::within(dollars.checked_mul(Self::NANOS))
    }

    /// Nano-dollars.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// The sum, `None` past the range.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        Self::within(self.0.checked_add(other.0))
    }

    /// The difference, `None` past the range.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        Self::within(self.0.checked_sub(other.0))
    }

    /// The sum, held at the end of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self::from_nanos(self.0.saturating_add(other.0))
    }
}

impl Sum for Usd {
    /// Held at the ends of the range.
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Self::saturating_add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (abs, nanos) = (self.0.unsigned_abs(), Self::NANOS.unsigned_abs());
        let (whole, part) = (abs / nanos, abs % nanos);
        let sign = if self.0 < 0 { "-" } else { "" };
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{part:09}").trim_end_matches('0'))
    }
}

impl fmt::Debug for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Usd({self})")
    }
}

impl FromStr for Usd {
    type Err = InvalidUsd;

    /// Reads digits with at most nine decimals; more decimals are refused, not rounded.
    fn from_str(text: &str) -> Result<Self, InvalidUsd> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, part) = digits.split_once('.').map_or((digits, None), |(w, p)| (w, Some(p)));
        let part = part.unwrap_or("0");
        let is_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(part) || whole.len() > 10 || part.len() > 9 {
            return Err(InvalidUsd);
        }
        let whole: i64 = whole.parse().map_err(|_| InvalidUsd)?;
        let part: i64 = format!("{part:0<9}").parse().map_err(|_| InvalidUsd)?;
        let nanos = whole.checked_mul(Self::NANOS).and_then(|n| n.checked_add(part)).ok_or(InvalidUsd)?;
        Self::within(Some(if negative { -nanos } else { nanos })).ok_or(InvalidUsd)
    }
}

impl Serialize for Usd {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let usd = Self::from_str(&text).map_err(serde::de::Error::custom)?;
        // One spelling per amount, so that equal records are equal bytes.
        if usd.to_string() == *text { Ok(usd) } else { Err(serde::de::Error::custom(InvalidUsd)) }
    }
}

impl JsonSchema for Usd {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "maxLength": 20, "pattern": USD_PATTERN })
    }
}
