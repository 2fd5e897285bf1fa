//! Rows as the rules know them.

use super::error::{BACKEND, failed};
use crate::ledger::error::LedgerError;
use crate::ledger::hold::{Hold, HoldId};
use crate::ledger::scope::Balance;
use crate::ledger::stored::{StoredHold, counted};
use atlas_schema::Usd;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

pub(super) const COLUMNS: &str =
    "id, month, scopes, amount, state, cost, created_at, expires_at, model, strategy, correlation_id";

pub(super) fn most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize, operation: &'static str) -> Result<T, LedgerError> {
    row.try_get(at).map_err(|error| failed(operation, &error))
}

fn bytes(row: &Row, at: usize, operation: &'static str) -> Result<[u8; 16], LedgerError> {
    let bytes: &[u8] = get(row, at, operation)?;
    bytes.try_into().map_err(|_| super::error::corrupt(operation, "the id of a hold has 16 bytes"))
}

pub(super) fn id(row: &Row, at: usize, operation: &'static str) -> Result<HoldId, LedgerError> {
    bytes(row, at, operation).map(HoldId::from_bytes)
}

/// A hold of the columns in [`COLUMNS`].
pub(super) fn hold(row: &Row, operation: &'static str) -> Result<Hold, LedgerError> {
    let stored = StoredHold {
        id: bytes(row, 0, operation)?,
        month: get::<i32>(row, 1, operation)?.unsigned_abs(),
        scopes: get(row, 2, operation)?,
        amount: get(row, 3, operation)?,
        state: get(row, 4, operation)?,
        cost: get(row, 5, operation)?,
        created_at: get(row, 6, operation)?,
        expires_at: get(row, 7, operation)?,
        model: get(row, 8, operation)?,
        strategy: get(row, 9, operation)?,
        correlation_id: get(row, 10, operation)?,
    };
    stored.check(BACKEND, operation)
}

/// A balance of three columns from that one on.
pub(super) fn balance(
    row: &Row,
    at: usize,
    limit: Option<i64>,
    operation: &'static str,
) -> Result<Balance, LedgerError> {
    Ok(Balance {
        limit: limit.map(Usd::from_nanos),
        held: counted(get(row, at, operation)?, BACKEND, operation)?,
        settled: counted(get(row, at + 1, operation)?, BACKEND, operation)?,
        alerted: u8::try_from(get::<i16>(row, at + 2, operation)?)
            .map_err(|_| super::error::corrupt(operation, "a share is at most 100 percent"))?,
    })
}
