//! Reports, for ledgers that have the holds themselves and no language to ask in.

use super::hold::{Hold, HoldState};
use super::{GroupBy, Line};
use crate::catalogue::Day;
use atlas_schema::Usd;
use std::borrow::Borrow;
use std::collections::BTreeMap;

/// The lines of some holds, by name. Sums stop at the end of the range of money.
pub(super) fn add_up(holds: impl IntoIterator<Item = impl Borrow<Hold>>, by: GroupBy) -> Vec<Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for hold in holds {
        let hold = hold.borrow();
        if hold.state == HoldState::Released {
            continue;
        }
        let name = match by {
            GroupBy::CorrelationId => hold.correlation_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
            GroupBy::Model => hold.model.to_string(),
            GroupBy::Strategy => hold.strategy.as_ref().map(|name| name.as_str().to_owned()).unwrap_or_default(),
            GroupBy::Day => Day::of(hold.created_at).to_string(),
        };
        let line = lines.entry(name.clone()).or_insert(Line { name, calls: 0, settled: Usd::ZERO, held: Usd::ZERO });
        if hold.state == HoldState::Settled {
            line.calls += 1;
            line.settled = line.settled.saturating_add(hold.cost);
        } else {
            line.held = line.held.saturating_add(hold.amount);
        }
    }
    lines.into_values().collect()
}
