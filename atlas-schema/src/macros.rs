//! The one shape of a validated text newtype: `new` checks, serde goes through `new`, the schema states the rule.

/// Declares a text newtype whose values match `[chars]{min,max}`.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, what: $what:literal, min: $min:literal, max: $max:literal, pattern: $pattern:literal, char: $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, schemars::JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(length(min = $min, max = $max), regex(pattern = $pattern))] Box<str>);

        impl $name {
            /// Checks `text` against the rule of this type.
            ///
            /// # Errors
            /// [`InvalidId`](crate::InvalidId) names the rule, never the text.
            pub fn new(text: impl AsRef<str>) -> Result<Self, crate::InvalidId> {
                let text = text.as_ref();
                let ok: fn(u8) -> bool = $ok;
                if ($min..=$max).contains(&text.len()) && text.bytes().all(ok) {
                    Ok(Self(text.into()))
                } else {
                    Err(crate::InvalidId::new($what, $min, $max, $pattern))
                }
            }

            /// The text as given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), &self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&*text).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use text_id;
