//! Outcomes of jobs whose rows can't be read: they are kept, and handed in again with each heartbeat, until the rows are mended.

use super::trip::Outgoing;
use crate::kernel::json_len;
use crate::store::AckAction;

/// The most outcomes that are kept: more damage than this is no accident of single rows.
const MOST: usize = 1000;
/// And about the most bytes of results in them. One that is larger by itself is kept alone: no store takes more than so many.
const MOST_BYTES: usize = 64 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Kept {
    outcomes: Vec<Outgoing>,
    bytes: usize,
}

impl Kept {
    pub(super) const fn is_empty(&self) -> bool {
        self.outcomes.is_empty()
    }

    /// Keeps it, or gives it back if there is no room.
    pub(super) fn keep(&mut self, outgoing: Outgoing) -> Option<Outgoing> {
        let own = match &outgoing.ack.action {
            AckAction::Complete { result } => json_len(result),
            _ => 0,
        };
        let room = self.bytes == 0 || self.bytes.saturating_add(own) <= MOST_BYTES;
        if !room || self.outcomes.len() >= MOST {
            return Some(outgoing);
        }
        self.bytes = self.bytes.saturating_add(own);
        self.outcomes.push(outgoing);
        None
    }

    /// All of them.
    pub(super) fn take(&mut self) -> Vec<Outgoing> {
        self.bytes = 0;
        std::mem::take(&mut self.outcomes)
    }
}
