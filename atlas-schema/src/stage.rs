//! The deployment stage. A record belongs to one stage and no store of another takes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A text that names no stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stage must be one of dev, preview, staging, production")]
pub struct InvalidStage;

/// Where a thing is deployed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// A developer's machine or a test.
    Dev,
    /// A preview deployment.
    Preview,
    /// The rehearsal of production.
    Staging,
    /// Production.
    Production,
}

impl Stage {
    /// Every stage, from the least to the most protected.
    pub const ALL: [Self; 4] = [Self::Dev, Self::Preview, Self::Staging, Self::Production];

    /// The lower-case name, as it appears in resource names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Preview => "preview",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = InvalidStage;

    /// Exactly the lower-case name: `PROD`, ` dev` and `../prod` are refused.
    fn from_str(text: &str) -> Result<Self, InvalidStage> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or(InvalidStage)
    }
}
