//! The money of one call, from hold to settlement, whatever becomes of the future that carries it.
//!
//! | The future is dropped | The hold |
//! |---|---|
//! | before the request may have left | is given back by a task of its own; without a runtime it expires and is refunded |
//! | after that | stays counted at its bound until it is reconciled: the provider may bill it |
//! | once the cost is known | is settled by a task of its own; without a runtime it stays counted at its bound |

use super::Alerts;
use super::clock::Clock;
use crate::ledger::{BudgetLedger, HoldId, Kind, LedgerError, Reserve};
use atlas_schema::Usd;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Most time for one answer of the ledger.
const ANSWER: Duration = Duration::from_secs(10);
/// The waits between tries double from the first.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// While a caller waits, a settlement is tried so often: over 40 s at most.
const TRIES: u32 = 4;
/// In a task of its own what is left to do is tried so often: over a minute and a half at least, which is longer than a ledger waits
/// for others that hold it (30 s in our own).
const PATIENT_TRIES: u32 = 12;

/// What is needed to keep accounts.
#[derive(Clone)]
pub(super) struct Purse {
    pub(super) ledger: Arc<dyn BudgetLedger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) alerts: Option<Alerts>,
}

pub(super) struct Money {
    purse: Purse,
    hold: HoldId,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Unsent,
    Sent,
    Known(Usd),
    Closed,
}

async fn answer<T>(
    operation: &'static str,
    asked: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    match timeout(ANSWER, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(LedgerError::new(Kind::Busy, "given", operation)),
    }
}

/// Asks so often until there is an answer.
async fn again<T, F: Future<Output = Result<T, LedgerError>>>(
    tries: u32,
    mut ask: impl FnMut() -> F,
) -> Result<T, LedgerError> {
    let mut wait = FIRST_WAIT;
    for _ in 1..tries {
        match ask().await {
            Err(error) if error.is_retryable() => sleep(wait).await,
            other => return other,
        }
        wait *= 2;
    }
    ask().await
}

impl Purse {
    fn raise(&self, alerts: Vec<atlas_schema::Alert>) {
        if let Some(sink) = &self.alerts {
            for alert in alerts {
                sink(alert);
            }
        }
    }

    async fn settle(&self, hold: HoldId, cost: Usd, tries: u32) -> Result<(), LedgerError> {
        let settle = || answer("settle", self.ledger.settle(hold, cost, self.clock.now()));
        again(tries, settle).await.map(|alerts| self.raise(alerts))
    }

    /// Gives back a hold whose request never left. It may be marked as sent all the same, or not be there at all.
    async fn give_back(&self, hold: HoldId) -> Result<(), LedgerError> {
        let release = || answer("release", self.ledger.release(hold, self.clock.now()));
        match again(PATIENT_TRIES, release).await {
            Err(error) if error.kind() == Kind::NotHeld => self.settle(hold, Usd::ZERO, PATIENT_TRIES).await,
            Err(error) if error.kind() == Kind::NotFound => Ok(()),
            other => other,
        }
    }
}

impl Money {
    pub(super) async fn reserve(purse: Purse, request: Reserve) -> Result<Self, LedgerError> {
        // Made before it is asked for: if the answer is lost, the hold may be there.
        let mut money = Self { hold: request.id, state: State::Unsent, purse };
        match answer("reserve", money.purse.ledger.reserve(request, money.purse.clock.now())).await {
            Ok(reserved) => {
                money.purse.raise(reserved.alerts);
                Ok(money)
            }
            Err(error) => {
                if error.had_no_effect() {
                    money.state = State::Closed;
                }
                Err(error)
            }
        }
    }

    /// Marks it as sent. If that fails, nothing may leave and the hold is given back.
    pub(super) async fn send(&mut self) -> Result<(), LedgerError> {
        answer("send", self.purse.ledger.send(self.hold, self.purse.clock.now())).await?;
        self.state = State::Sent;
        Ok(())
    }

    /// It was marked as sent and nothing left after all: it is given back when this is dropped, which is now.
    pub(super) fn take_back(mut self) {
        self.state = State::Unsent;
    }

    /// Settles it. If that fails, it is tried again, and longer, when this is dropped.
    pub(super) async fn settle(mut self, cost: Usd) -> Result<(), LedgerError> {
        self.state = State::Known(cost);
        self.purse.settle(self.hold, cost, TRIES).await?;
        self.state = State::Closed;
        Ok(())
    }
}

impl Drop for Money {
    fn drop(&mut self) {
        let (purse, hold, state) = (self.purse.clone(), self.hold, self.state);
        let finish = async move {
            let ended = match state {
                State::Known(cost) => purse.settle(hold, cost, PATIENT_TRIES).await,
                State::Unsent => purse.give_back(hold).await,
                State::Sent | State::Closed => Ok(()),
            };
            if let Err(error) = ended {
                tracing::warn!(%error, %hold, "the money of a dropped call stays counted, at most at its bound");
            }
        };
        if matches!(state, State::Known(_) | State::Unsent)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(finish);
        }
    }
}
