//! A second attempt beside one that is slow.
//!
//! It costs what a call costs: the slow one may be billed all the same. So it is off unless someone turns it on, and it has no
//! budget of its own: attempts, money and time are those of the one plan.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a call that is not answered gets another beside it. Whichever is answered first is taken, the other is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hedge {
    /// After so long, from when the call was sent. Best a time in which nearly all calls of the model are answered: then it costs little.
    pub after: Duration,
    /// Who is asked then.
    pub to: HedgeTo,
}

/// Who is asked beside a slow model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HedgeTo {
    /// The next model of the plan that may be called now.
    Next,
    /// The same model once more: counts as one of its retries.
    Same,
}

impl Hedge {
    /// A second attempt after so long, at the next model.
    pub const fn new(after: Duration) -> Self {
        Self { after, to: HedgeTo::Next }
    }

    /// A second attempt after so long, at the same model.
    pub const fn same(after: Duration) -> Self {
        Self { after, to: HedgeTo::Same }
    }
}
