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
        self.keep_within(outgoing, MOST, MOST_BYTES)
    }

    fn keep_within(&mut self, outgoing: Outgoing, most: usize, most_bytes: usize) -> Option<Outgoing> {
        let own = match &outgoing.ack.action {
            AckAction::Complete { result } => json_len(result),
            _ => 0,
        };
        let room = self.bytes == 0 || self.bytes.saturating_add(own) <= most_bytes;
        if !room || self.outcomes.len() >= most {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Ack;
    use atlas_schema::JobId;

    fn outcome(bytes: usize) -> Outgoing {
        let result = "x".repeat(bytes - 2).into();
        Outgoing::new(Ack { job: JobId::MIN, epoch: 1, action: AckAction::Complete { result } }, true)
    }

    #[test]
    fn kept_outcomes_never_grow_beyond_their_bytes_but_for_one_that_is_larger_by_itself() {
        let mut kept = Kept::default();
        let mut keeps = |bytes| kept.keep_within(outcome(bytes), 4, 100).is_none();
        assert!(keeps(60) && keeps(40), "as many as there is room for");
        assert!(!keeps(2), "there is no room left");
        assert_eq!(kept.take().len(), 2);
        let mut keeps = |bytes| kept.keep_within(outcome(bytes), 4, 100).is_none();
        assert!(keeps(1000) && !keeps(2), "a large one is kept alone");
        kept.take();
        let mut keeps = || kept.keep_within(outcome(2), 4, 100).is_none();
        assert!((0..4).all(|_| keeps()) && !keeps(), "and no more than so many");
    }
}
