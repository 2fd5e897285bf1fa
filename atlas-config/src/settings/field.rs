//! What a field of the settings table states.

use atlas_schema::Stage;
use std::fmt;

/// One setting, as the table states it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Field {
    /// Its name, with the prefix `ATLAS_`.
    pub name: &'static str,
    /// Names under which the predecessor read it. Two names for one setting must agree.
    pub aliases: &'static [&'static str],
    /// Which texts are values.
    pub rule: Rule,
    /// The value where none is given.
    pub preset: Preset,
    /// Where absence is an error.
    pub required: Option<Required>,
    /// What it decides.
    pub doc: &'static str,
}

impl Field {
    /// Whether values are never shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self.rule, Rule::Secret)
    }
}

/// Which texts are values of a setting. Nothing is trimmed, cut or rounded: a text is a value or an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// `true`, `1`, `yes` or `false`, `0`, `no`, in any case.
    Bool,
    /// A whole number in decimal digits, without sign, leading zeros or exponent.
    Whole {
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
        /// What is counted, such as `ms`.
        unit: &'static str,
    },
    /// US dollars as a decimal with at most nine decimals.
    Dollars {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
    },
    /// One of these texts, exactly.
    OneOf(&'static [&'static str]),
    /// Any text of at most so many bytes.
    Text(usize),
    /// Exactly so many digits.
    Digits(usize),
    /// Any text; never shown.
    Secret,
    /// An absolute URL with one of these schemes and without user name or password.
    Url(&'static [&'static str]),
    /// Networks such as `10.1.0.0/16`, separated by commas.
    Networks,
}

impl fmt::Display for Rule {
    /// What a value must be, as the end of a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true, 1, yes, false, 0 or no"),
            Self::Whole { min, max, unit } => {
                write!(f, "a whole number ({unit}) from {min} to {max}, in digits only")
            }
            Self::Dollars { min, max } => write!(f, "US dollars from {min} to {max}, such as 1000 or 99.50"),
            Self::OneOf(names) => write!(f, "one of {}", names.join(", ")),
            Self::Text(max) => write!(f, "a text of at most {max} bytes"),
            Self::Digits(count) => write!(f, "{count} digits"),
            Self::Secret => f.write_str("a text"),
            Self::Url(schemes) => {
                write!(f, "an absolute URL ({}) without user name or password", schemes.join(" or "))
            }
            Self::Networks => f.write_str("networks such as 10.1.0.0/16, separated by commas"),
        }
    }
}

/// The value of a setting that is not given, as text that its own rule reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Preset {
    /// None: the setting stays absent.
    Absent,
    /// The same in every stage.
    All(&'static str),
    /// One per stage, in the order of [`Stage::ALL`].
    PerStage([&'static str; 4]),
}

impl Preset {
    /// The preset of one stage.
    pub const fn of(self, stage: Stage) -> Option<&'static str> {
        match self {
            Self::Absent => None,
            Self::All(text) => Some(text),
            Self::PerStage([dev, preview, staging, production]) => Some(match stage {
                Stage::Dev => dev,
                Stage::Preview => preview,
                Stage::Staging => staging,
                Stage::Production => production,
            }),
        }
    }
}

/// Where a setting must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Required {
    /// In these stages.
    pub stages: &'static [Stage],
    /// If the host embeds this part.
    pub part: Part,
}

/// A part of Atlas that a host may leave out, and with it what that part needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// The HTTP service, guarded by a key.
    Service,
    /// Language models, paid by a key.
    Models,
}

/// Declares an enum whose variants have fixed names.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub(crate) const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name, as it is written in a setting.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            pub(crate) fn from_name(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use choice;
