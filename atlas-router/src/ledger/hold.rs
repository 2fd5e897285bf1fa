//! A hold: money set aside for one call.

use super::scope::{Month, Scope};
use crate::catalogue::ModelId;
use atlas_schema::{CorrelationId, StrategyName, Timestamp, Usd};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Names a hold: 16 bytes that the caller draws at random, so that a repeated reservation is known again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HoldId([u8; 16]);

impl HoldId {
    /// From random bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoldId({self})")
    }
}

/// What is to be reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reserve {
    /// The hold's name.
    pub id: HoldId,
    /// In which scopes it counts: 1 to 8, each once.
    pub scopes: Vec<Scope>,
    /// The call's upper bound: not negative.
    pub amount: Usd,
    /// After so long an unsent hold is refunded and a sent one is listed as unreconciled: 1 second to 1 day, default 15 minutes.
    pub expires_in: Duration,
    /// The model that will be called.
    pub model: ModelId,
    /// The strategy that calls.
    pub strategy: Option<StrategyName>,
    /// The request that causes the call.
    pub correlation_id: Option<CorrelationId>,
}

impl Reserve {
    /// A hold for a call of a model in some scopes, for 15 minutes.
    pub const fn new(id: HoldId, scopes: Vec<Scope>, amount: Usd, model: ModelId) -> Self {
        let expires_in = Duration::from_mins(15);
        Self { id, scopes, amount, expires_in, model, strategy: None, correlation_id: None }
    }
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldState {
    /// The request has not left.
    Held,
    /// The request has left, or may have.
    Sent,
    /// The cost is known.
    Settled,
    /// Given back: released, or expired before it was sent.
    Released,
}

impl HoldState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Held, Self::Sent, Self::Settled, Self::Released];

    /// Whether its amount counts as held.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Sent)
    }
}

/// Money set aside for one call, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hold {
    /// Its name.
    pub id: HoldId,
    /// The month it counts in: that of the reservation.
    pub month: Month,
    /// The scopes it counts in.
    pub scopes: Vec<Scope>,
    /// What was set aside.
    pub amount: Usd,
    /// Where it stands.
    pub state: HoldState,
    /// What the call cost; zero until it is settled.
    pub cost: Usd,
    /// When it was reserved.
    pub created_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The model.
    pub model: ModelId,
    /// The strategy.
    pub strategy: Option<StrategyName>,
    /// The request.
    pub correlation_id: Option<CorrelationId>,
}
