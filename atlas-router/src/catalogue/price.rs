//! Prices and factors: exact integers read from decimal text.

use atlas_schema::Usd;
use std::fmt;

/// Pico-dollars (10⁻¹² $) per token. A dollar per million tokens is 1 000 000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Rate(u64);

impl Rate {
    /// Costs nothing.
    pub const FREE: Self = Self(0);
    /// 100 000 dollars per million tokens: nothing real comes near it, and sums stay far from overflow.
    pub const MAX: Self = Self(100_000_000_000);

    /// From pico-dollars per token; `None` over [`MAX`](Self::MAX).
    pub const fn from_picos(picos: u64) -> Option<Self> {
        if picos > Self::MAX.0 { None } else { Some(Self(picos)) }
    }

    /// Pico-dollars per token.
    pub const fn as_picos(self) -> u64 {
        self.0
    }

    /// From dollars per million tokens, such as `0.125`: digits with at most six decimals.
    pub(super) fn per_million(text: &str) -> Option<Self> {
        Self::from_picos(decimal(text, 6)?)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 1_000_000, self.0 % 1_000_000);
        if part == 0 {
            return write!(f, "${whole}/M");
        }
        write!(f, "${whole}.{}/M", format!("{part:06}").trim_end_matches('0'))
    }
}

/// What a price is multiplied by, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Factor(u32);

impl Factor {
    /// Leaves a price as it is.
    pub const ONE: Self = Self(1000);
    /// A hundredfold: nothing real comes near it.
    pub const MAX: Self = Self(100_000);

    /// From thousandths; `None` for zero and over [`MAX`](Self::MAX).
    pub const fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths == 0 || thousandths > Self::MAX.0 { None } else { Some(Self(thousandths)) }
    }

    /// Thousandths.
    pub const fn as_thousandths(self) -> u32 {
        self.0
    }

    /// From digits with at most three decimals, such as `1.75`.
    pub(super) fn read(text: &str) -> Option<Self> {
        Self::from_thousandths(u32::try_from(decimal(text, 3)?).ok()?)
    }

    /// So many tokens, times this, rounded up.
    pub(crate) fn of_tokens(self, tokens: u64) -> u64 {
        let product = u128::from(tokens) * u128::from(self.0);
        u64::try_from(product.div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

/// An amount of money while it is summed: pico-dollars times a million, since two factors in thousandths may apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Amount(u128);

impl Amount {
    const SCALE: u128 = 1_000_000;

    /// So many tokens at a rate, times a factor on the tokens' kind (such as the long-context tier).
    pub(crate) fn tokens(count: u64, rate: Rate, factor: Factor) -> Self {
        Self(u128::from(count) * u128::from(rate.0) * u128::from(factor.0) * 1000)
    }

    /// A fee that no factor touches.
    pub(crate) fn fee(nanos: u64) -> Self {
        Self(u128::from(nanos) * 1000 * Self::SCALE)
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The sum times both factors of a request. What is below a millionth of a pico-dollar is
    /// rounded up.
    pub(crate) fn times(self, one: Factor, two: Factor) -> Self {
        let product = self.0.saturating_mul(u128::from(one.0)).saturating_mul(u128::from(two.0));
        Self(product.div_ceil(1_000_000))
    }

    /// In whole nano-dollars, rounded up; held at [`Usd::MAX`].
    pub(crate) fn round_up(self) -> Usd {
        let nanos = self.0.div_ceil(1000 * Self::SCALE);
        Usd::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// Digits with at most so many decimals, as an integer of that scale.
pub(super) fn decimal(text: &str, decimals: usize) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || whole.len() > 10 || part.len() > decimals {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(decimals).ok()?);
    let part: u64 = format!("{part:0<decimals$}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(part)
}
