//! The version of the record format.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The record format. A reader refuses a version it does not know and never writes it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
pub enum SchemaVersion {
    /// `1.0.0`, the first canonical format.
    #[default]
    #[serde(rename = "1.0.0")]
    V1_0_0,
}

impl SchemaVersion {
    /// The format written by this release.
    pub const CURRENT: Self = Self::V1_0_0;

    /// Whether this release reads records of the format with this name.
    pub fn is_known(name: &str) -> bool {
        name == Self::V1_0_0.as_str()
    }

    /// As it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_0_0 => "1.0.0",
        }
    }
}
