//! A hold as ledgers outside this process keep it: numbers and texts, which others may have written.

use super::error::{Kind, LedgerError};
use super::hold::{Hold, HoldId, HoldState};
use super::scope::Month;
use crate::catalogue::ModelId;
use atlas_schema::{CorrelationId, StrategyName, Timestamp, Usd};

/// States as they are stored.
pub(super) const fn number(state: HoldState) -> i64 {
    match state {
        HoldState::Held => 0,
        HoldState::Sent => 1,
        HoldState::Settled => 2,
        HoldState::Released => 3,
    }
}

/// Money that was counted: less than nothing is damage.
pub(super) fn counted(nanos: i64, backend: &'static str, operation: &'static str) -> Result<Usd, LedgerError> {
    let corrupt = || LedgerError::new(Kind::Corrupt, backend, operation).with_source("an amount is negative");
    (nanos >= 0).then(|| Usd::from_nanos(nanos)).ok_or_else(corrupt)
}

/// A row or an item.
pub(super) struct StoredHold {
    pub(super) id: [u8; 16],
    pub(super) month: u32,
    /// JSON.
    pub(super) scopes: String,
    pub(super) amount: i64,
    pub(super) state: i64,
    pub(super) cost: i64,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) model: String,
    pub(super) strategy: Option<String>,
    pub(super) correlation_id: Option<String>,
}

impl StoredHold {
    pub(super) fn of(hold: &Hold, backend: &'static str, operation: &'static str) -> Result<Self, LedgerError> {
        let scopes = serde_json::to_string(&hold.scopes)
            .map_err(|error| LedgerError::new(Kind::Internal, backend, operation).with_source(error))?;
        Ok(Self {
            id: *hold.id.as_bytes(),
            month: hold.month.as_number(),
            scopes,
            amount: hold.amount.as_nanos(),
            state: number(hold.state),
            cost: hold.cost.as_nanos(),
            created_at: hold.created_at.as_millis(),
            expires_at: hold.expires_at.as_millis(),
            model: hold.model.as_str().to_owned(),
            strategy: hold.strategy.as_ref().map(|name| name.as_str().to_owned()),
            correlation_id: hold.correlation_id.as_ref().map(|id| id.as_str().to_owned()),
        })
    }

    pub(super) fn check(self, backend: &'static str, operation: &'static str) -> Result<Hold, LedgerError> {
        let corrupt = || LedgerError::new(Kind::Corrupt, backend, operation);
        Ok(Hold {
            id: HoldId::from_bytes(self.id),
            month: Month::from_number(self.month),
            scopes: serde_json::from_str(&self.scopes).map_err(|_| corrupt())?,
            amount: counted(self.amount, backend, operation)?,
            state: HoldState::ALL.into_iter().find(|one| number(*one) == self.state).ok_or_else(corrupt)?,
            cost: counted(self.cost, backend, operation)?,
            created_at: Timestamp::from_millis(self.created_at).map_err(|_| corrupt())?,
            expires_at: Timestamp::from_millis(self.expires_at).map_err(|_| corrupt())?,
            model: ModelId::new(self.model),
            strategy: self.strategy.map(StrategyName::new).transpose().map_err(|_| corrupt())?,
            correlation_id: self.correlation_id.map(CorrelationId::new).transpose().map_err(|_| corrupt())?,
        })
    }
}
