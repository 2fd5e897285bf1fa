//! From text to a typed value: whole or not at all.

use super::field::Rule;
use crate::{Secret, egress::IpNet};
use atlas_schema::{Stage, Usd};
use std::{path::PathBuf, time::Duration};
use url::Url;

/// A type that a setting can have.
pub(super) trait Setting: Sized {
    /// `None` if `text` is no value under `rule`.
    fn parse(text: &str, rule: &Rule) -> Option<Self>;

    /// The value for an absent setting; `None` if the type has none.
    fn absent() -> Option<Self> {
        None
    }

    /// A stand-in after a fault has been reported, so that the other faults are found too. It never leaves the loader.
    fn stand_in() -> Self;
}

impl<T: Setting> Setting for Option<T> {
    fn parse(text: &str, rule: &Rule) -> Option<Self> {
        T::parse(text, rule).map(Some)
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn stand_in() -> Self {
        None
    }
}

impl Setting for bool {
    fn parse(text: &str, _: &Rule) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => Some(true),
            "false" | "0" | "no" => Some(false),
            _ => None,
        }
    }
    fn stand_in() -> Self {
        false
    }
}

fn whole(text: &str, rule: &Rule) -> Option<(u64, &'static str)> {
    let Rule::Whole { min, max, unit } = *rule else { return None };
    // `str::parse` takes `+5` and `007`; a setting is written one way.
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = if plain { text.parse().ok()? } else { return None };
    (min..=max).contains(&number).then_some((number, unit))
}

macro_rules! whole_setting {
    ($($type:ty),+) => {$(
        impl Setting for $type {
            fn parse(text: &str, rule: &Rule) -> Option<Self> {
                whole(text, rule)?.0.try_into().ok()
            }
            fn stand_in() -> Self {
                1
            }
        }
    )+};
}
whole_setting!(u16, u32, u64, usize);

impl Setting for Duration {
    /// The rule's unit is `ms` or `s`.
    fn parse(text: &str, rule: &Rule) -> Option<Self> {
        match whole(text, rule)? {
            (number, "ms") => Some(Self::from_millis(number)),
            (number, "s") => Some(Self::from_secs(number)),
            _ => None,
        }
    }
    fn stand_in() -> Self {
        Self::from_secs(1)
    }
}

impl Setting for Usd {
    fn parse(text: &str, rule: &Rule) -> Option<Self> {
        let Rule::Dollars { min, max } = *rule else { return None };
        let amount: Self = text.parse().ok()?;
        (Self::from_dollars(min)? <= amount && amount <= Self::from_dollars(max)?).then_some(amount)
    }
    fn stand_in() -> Self {
        Self::ZERO
    }
}

impl Setting for String {
    fn parse(text: &str, rule: &Rule) -> Option<Self> {
        let good = match *rule {
            Rule::Text(max) => text.len() <= max,
            Rule::Digits(count) => text.len() == count && text.bytes().all(|b| b.is_ascii_digit()),
            _ => false,
        };
        good.then(|| text.to_owned())
    }
    fn stand_in() -> Self {
        Self::new()
    }
}

impl Setting for PathBuf {
    fn parse(text: &str, rule: &Rule) -> Option<Self> {
        String::parse(text, rule).map(Self::from)
    }
    fn stand_in() -> Self {
        Self::new()
    }
}

impl Setting for Secret {
    fn parse(text: &str, _: &Rule) -> Option<Self> {
        Some(Self::new(text))
    }
    fn stand_in() -> Self {
        Self::new("")
    }
}

impl Setting for Stage {
    fn parse(text: &str, _: &Rule) -> Option<Self> {
        text.parse().ok()
    }
    fn stand_in() -> Self {
        Self::Dev
    }
}

impl Setting for Vec<IpNet> {
    fn parse(text: &str, _: &Rule) -> Option<Self> {
        text.split(',').map(|net| net.trim().parse().ok()).collect()
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
    fn stand_in() -> Self {
        Self::new()
    }
}

impl Setting for Option<Url> {
    fn parse(text: &str, rule: &Rule) -> Option<Self> {
        let Rule::Url(schemes) = *rule else { return None };
        let url = Url::parse(text).ok()?;
        let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
        (plain && schemes.contains(&url.scheme())).then_some(Some(url))
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
    fn stand_in() -> Self {
        None
    }
}

/// Settings whose type is a `choice!`.
macro_rules! choice_setting {
    ($($type:ty = $stand_in:expr),+ $(,)?) => {$(
        impl $crate::settings::value::Setting for $type {
            fn parse(text: &str, _: &$crate::settings::field::Rule) -> Option<Self> {
                Self::from_name(text)
            }
            fn stand_in() -> Self {
                $stand_in
            }
        }
    )+};
}
pub(super) use choice_setting;
