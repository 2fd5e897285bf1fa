//! Which calls fail, and how: a matter of numbers, decided before anything fails.

use crate::error::Kind;
use crate::random::Random;
use std::collections::BTreeMap;
use std::time::Duration;

/// A method of [`JobStore`](crate::JobStore) that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// `enqueue`
    Enqueue,
    /// `exchange`
    Exchange,
    /// `command`
    Command,
    /// `get`
    Get,
    /// `list`
    List,
    /// `history`
    History,
    /// `outbox`
    Outbox,
    /// `sweep`
    Sweep,
    /// `statistics`
    Statistics,
    /// `purge`
    Purge,
    /// `queues`
    Queues,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 11] = [
        Self::Enqueue,
        Self::Exchange,
        Self::Command,
        Self::Get,
        Self::List,
        Self::History,
        Self::Outbox,
        Self::Sweep,
        Self::Statistics,
        Self::Purge,
        Self::Queues,
    ];

    /// The name of the method.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Exchange => "exchange",
            Self::Command => "command",
            Self::Get => "get",
            Self::List => "list",
            Self::History => "history",
            Self::Outbox => "outbox",
            Self::Sweep => "sweep",
            Self::Statistics => "statistics",
            Self::Purge => "purge",
            Self::Queues => "queues",
        }
    }
}

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call never reaches the store.
    Before(Kind),
    /// The call takes effect, and its answer is lost. The kind must be one that leaves the effect open (`Unavailable`
    /// or `Busy`); another one would be a lie that the contract forbids.
    After(Kind),
    /// The call is delivered twice; the caller gets the first answer.
    Twice,
    /// The call is delivered, its answer is lost on the way, and a layer between repeats it: the caller gets the second
    /// answer.
    Repeated,
    /// The call is delivered, and once more after so many later calls of any operation.
    Late(u32),
    /// The call reaches the store so much later.
    Delay(Duration),
    /// The answer comes so much later.
    Lag(Duration),
    /// A read answers what it answered to the same question before, and the truth the first time; whatever takes
    /// (`exchange`, `outbox`, `sweep`) finds nothing, as where an index lags behind. Other calls pass.
    Stale,
}

/// How often each sort of fault strikes, in calls per thousand. Together at most 1000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultRates {
    /// [`Fault::Before`] of kind `Unavailable` or `Busy`.
    pub before: u16,
    /// [`Fault::Before`] of kind `Conflict`, as of a transaction that met another.
    pub conflict: u16,
    /// [`Fault::After`].
    pub after: u16,
    /// [`Fault::Twice`].
    pub twice: u16,
    /// [`Fault::Repeated`].
    pub repeated: u16,
    /// [`Fault::Late`], after 1 to 4 calls.
    pub late: u16,
    /// [`Fault::Delay`], up to the plan's longest.
    pub delay: u16,
    /// [`Fault::Lag`], up to the plan's longest.
    pub lag: u16,
    /// [`Fault::Stale`].
    pub stale: u16,
}

impl FaultRates {
    /// Each sort of fault strikes so many calls per thousand: at most 111.
    pub const fn each(per_thousand: u16) -> Self {
        let n = per_thousand;
        Self { before: n, conflict: n, after: n, twice: n, repeated: n, late: n, delay: n, lag: n, stale: n }
    }

    /// What strikes a call, by 64 random bits for whether and 64 for how.
    fn draw(self, whether: u64, how: u64, longest: Duration) -> Option<Fault> {
        let kind = if how & 1 == 0 { Kind::Unavailable } else { Kind::Busy };
        let most = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX).max(1);
        let wait = Duration::from_millis(1 + how % most);
        let sorts = [
            (self.before, Fault::Before(kind)),
            (self.conflict, Fault::Before(Kind::Conflict)),
            (self.after, Fault::After(kind)),
            (self.twice, Fault::Twice),
            (self.repeated, Fault::Repeated),
            (self.late, Fault::Late(1 + u32::try_from(how % 4).unwrap_or(0))),
            (self.delay, Fault::Delay(wait)),
            (self.lag, Fault::Lag(wait)),
            (self.stale, Fault::Stale),
        ];
        let mut at = whether % 1000;
        for (rate, fault) in sorts {
            match at.checked_sub(u64::from(rate)) {
                None => return Some(fault),
                Some(left) => at = left,
            }
        }
        None
    }
}

/// Which calls fail, and how. The default is that none does.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    rates: BTreeMap<Operation, FaultRates>,
    script: BTreeMap<(Operation, u64), Fault>,
    longest: Duration,
}

impl Default for FaultPlan {
    fn default() -> Self {
        Self { rates: BTreeMap::new(), script: BTreeMap::new(), longest: Duration::from_millis(100) }
    }
}

impl FaultPlan {
    /// Nothing fails.
    pub fn none() -> Self {
        Self::default()
    }

    /// Faults strike these operations at random.
    #[must_use]
    pub fn with_rates(mut self, operations: &[Operation], rates: FaultRates) -> Self {
        self.rates.extend(operations.iter().map(|operation| (*operation, rates)));
        self
    }

    /// The longest [`Delay`](Fault::Delay) and [`Lag`](Fault::Lag) that are drawn. Default 100 ms.
    #[must_use]
    pub const fn with_longest_delay(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// `fault` strikes call number `call` of `operation`, counted from 1 over the life of the store. It goes before
    /// what would have been drawn.
    #[must_use]
    pub fn with_fault(mut self, operation: Operation, call: u64, fault: Fault) -> Self {
        self.script.insert((operation, call), fault);
        self
    }

    /// What strikes call number `call` of `operation`. Draws the same number of bits whatever comes of it, so that two
    /// plans with one seed differ only where they say so.
    pub(super) fn strike(&self, operation: Operation, call: u64, random: &Random) -> Option<Fault> {
        let rates = self.rates.get(&operation);
        let drawn = rates.and_then(|rates| rates.draw(random.u64(), random.u64(), self.longest));
        self.script.get(&(operation, call)).copied().or(drawn)
    }

    /// Whether an earlier answer of `operation` may be wanted.
    pub(super) fn may_be_stale(&self, operation: Operation) -> bool {
        self.rates.get(&operation).is_some_and(|rates| rates.stale > 0)
            || self.script.iter().any(|((of, _), fault)| *of == operation && *fault == Fault::Stale)
    }
}
