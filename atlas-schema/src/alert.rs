//! Alerts: what an operator should see.

use crate::correlation::CorrelationId;
use crate::money::Usd;
use crate::stage::Stage;
use crate::time::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something an operator should see. `key` names the condition, so that a sink can raise it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Alert {
    /// The condition, such as `budget/tenant-a/2026-11/80`. Equal keys are the same alert.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
    /// How grave.
    pub severity: Severity,
    /// What it is about.
    pub kind: AlertKind,
    /// Which stage.
    pub stage: Stage,
    /// When it was raised.
    pub at: Timestamp,
    /// What happened and what to do, in words.
    #[schemars(length(min = 1, max = 2000))]
    pub message: String,
    /// Which request, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<CorrelationId>,
}

/// How grave an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

/// What an alert is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum AlertKind {
    /// A budget passed a threshold.
    Budget {
        /// The threshold in percent, such as 80 or 95.
        #[schemars(range(min = 1, max = 100))]
        percent: u8,
        /// Spent and held so far.
        used: Usd,
        /// The budget.
        limit: Usd,
    },
    /// Too many failures.
    ErrorRate {
        /// Failures per thousand.
        #[schemars(range(max = 1000))]
        per_mille: u16,
    },
    /// Jobs ended as dead letters.
    DeadLetters {
        /// How many.
        #[schemars(range(max = 9_007_199_254_740_991_u64))]
        count: u64,
    },
    /// Leases are past their time and nobody took them.
    StuckLeases {
        /// How many.
        #[schemars(range(max = 9_007_199_254_740_991_u64))]
        count: u64,
    },
    /// A health check failed.
    Health {
        /// Which check.
        #[schemars(length(min = 1, max = 64))]
        check: String,
    },
}
