//! Which times of a schedule are to be run now: a pure rule.

use super::cron::Cron;
use atlas_schema::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The most times that are caught up at once.
pub const MOST_CAUGHT_UP: u32 = 1000;

/// What becomes of times that passed while nobody looked: every worker was down, or the clock jumped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "missed")]
#[non_exhaustive]
pub enum CatchUp {
    /// They are left out. A time counts as missed once it is more than so many milliseconds ago.
    #[serde(rename_all = "camelCase")]
    Skip {
        /// How late is still on time.
        grace_ms: u64,
    },
    /// The latest of them is run, once. The default.
    #[default]
    Once,
    /// Each is run, up to so many; of more, the latest. At most [`MOST_CAUGHT_UP`].
    All {
        /// So many.
        most: u32,
    },
}

/// What is to be run, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The times to be run, in order.
    pub ticks: Vec<Timestamp>,
    /// The next time; `None` if there is none before the year 9999, or before the schedule's end.
    pub next: Option<Timestamp>,
}

/// The times of `cron` after `last` up to `now` that `catch_up` lets through, and the first one after both.
///
/// A clock that was set back, so that `now` is before `last`, makes nothing due: what is past was seen to.
pub fn due(cron: &Cron, last: Timestamp, now: Timestamp, catch_up: CatchUp) -> Due {
    due_until(cron, last, now, Timestamp::MAX, catch_up)
}

/// The same of a schedule that ends at `until`: its times up to then are due however late it is by now, and none after.
pub(super) fn due_until(cron: &Cron, last: Timestamp, now: Timestamp, until: Timestamp, catch_up: CatchUp) -> Due {
    let most = match catch_up {
        CatchUp::Skip { .. } | CatchUp::Once => 1,
        CatchUp::All { most } => most.min(MOST_CAUGHT_UP),
    };
    let mut ticks = latest(cron, last, now.min(until), usize::try_from(most).unwrap_or(0));
    if let CatchUp::Skip { grace_ms } = catch_up {
        ticks.retain(|tick| now.since(*tick) <= Duration::from_millis(grace_ms));
    }
    Due { ticks: ticks.into(), next: cron.next(last.max(now)).filter(|next| *next <= until) }
}

/// The latest `most` times after `last` up to `now`, in order.
///
/// Looks back further and further, so that years of absence cost no more than the times that are kept.
fn latest(cron: &Cron, last: Timestamp, now: Timestamp, most: usize) -> VecDeque<Timestamp> {
    let mut ticks = VecDeque::new();
    if most == 0 {
        return ticks;
    }
    for hours in [1, 24, 24 * 31, 24 * 366, 24 * 3660, u64::MAX / 3600] {
        let from = now.saturating_sub(Duration::from_hours(hours)).max(last);
        ticks.clear();
        let mut at = from;
        while let Some(tick) = cron.next(at).filter(|tick| *tick <= now) {
            if ticks.len() == most {
                ticks.pop_front();
            }
            ticks.push_back(tick);
            at = tick;
        }
        if ticks.len() == most || from <= last {
            break;
        }
    }
    ticks
}
