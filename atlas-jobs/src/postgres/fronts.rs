//! Where the queues begin, as far as this process knows.
//!
//! Somebody's old snapshot keeps the server from removing the rows of jobs that were taken since: they stay at the front of
//! their queue's index, and every claim would walk over all of them. So a claim starts where the last one found its first
//! job, a little earlier for jobs whose transactions took their time, and only now and then at the very beginning: so seldom
//! that the walk costs a twentieth of the time, unless it takes more than three seconds. Until then a job that came in further
//! ahead waits: one from a long transaction, or one given back by a worker whose connection broke. Each priority has a front of
//! its own, and priorities without one are looked at from their beginning, so that a more urgent job is never overlooked.

use atlas_schema::{JobKind, JobRecord, QueueName};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Transactions that add jobs may take so long, in milliseconds, and their jobs are still found at once.
const MARGIN: i64 = 500;
/// The whole queue is walked at most once in so many times of what it costs.
const SELDOM: u32 = 20;
/// And at least this often, whatever it costs: so long may a job that came in further ahead have to wait.
const OFTEN: Duration = Duration::from_mins(1);

/// A piece of a lane's index: ranks up to `to`, from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) rank: i32,
    pub(super) run_at: i64,
    pub(super) to: i32,
}

const WHOLE: Piece = Piece { rank: i32::MIN, run_at: i64::MIN, to: i32::MAX };

/// What this process knows of one lane.
struct Front {
    /// By rank.
    first: BTreeMap<i32, i64>,
    walked: Instant,
    cost: Duration,
}

impl Front {
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.first.len() * 2 + 1);
        let mut next = Some(i32::MIN);
        for (rank, run_at) in &self.first {
            if let Some(from) = next.filter(|from| from < rank) {
                pieces.push(Piece { rank: from, run_at: i64::MIN, to: rank - 1 });
            }
            pieces.push(Piece { rank: *rank, run_at: *run_at, to: *rank });
            next = rank.checked_add(1);
        }
        if let Some(rank) = next {
            pieces.push(Piece { rank, run_at: i64::MIN, to: i32::MAX });
        }
        pieces
    }
}

/// What this process knows of all lanes.
#[derive(Default)]
pub(super) struct Fronts(Mutex<HashMap<QueueName, HashMap<JobKind, Front>>>);

/// Where one claim looks.
pub(super) struct Look {
    pub(super) pieces: Vec<Piece>,
    whole: bool,
}

impl Fronts {
    /// Where a claim of this lane should look at `now`.
    pub(super) fn look(&self, queue: &QueueName, kind: &JobKind, now: Instant) -> Look {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let front = known.get(queue).and_then(|kinds| kinds.get(kind));
        match front {
            Some(front) if now.duration_since(front.walked) < (front.cost * SELDOM).min(OFTEN) => {
                Look { pieces: front.pieces(), whole: false }
            }
            _ => Look { pieces: vec![WHOLE], whole: true },
        }
    }

    /// What a claim of this lane, begun at `began`, found: the first job of each priority, at least.
    pub(super) fn found<'a>(
        &self,
        (queue, kind): (&QueueName, &JobKind),
        look: &Look,
        began: Instant,
        jobs: impl Iterator<Item = &'a JobRecord>,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if look.whole {
            // What was walked so long ago is walked anew before it is used again: it only takes room.
            known.retain(|_, kinds| {
                kinds.retain(|_, front| now.duration_since(front.walked) < OFTEN);
                !kinds.is_empty()
            });
        }
        let kinds = known.entry(queue.clone()).or_default();
        let front = kinds.entry(kind.clone()).or_insert_with(|| Front {
            first: BTreeMap::new(),
            walked: now,
            cost: Duration::ZERO,
        });
        if look.whole {
            (front.walked, front.cost) = (now, now.duration_since(began));
            // Nor does it say anything of priorities that no claim has met since: each would be two pieces of every claim.
            front.first.clear();
        }
        let mut seen = std::collections::HashSet::new();
        for job in jobs {
            let rank = -i32::from(job.priority);
            if seen.insert(rank) {
                front.first.insert(rank, job.run_at.as_millis().saturating_sub(MARGIN));
            }
        }
    }

    /// Forgets everything: jobs may have come in anywhere.
    pub(super) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

// How much a process remembers can't be seen through the public API.
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::random::Random;
    use crate::spec::{JobSpec, NewJob};
    use atlas_schema::{Stage, Timestamp};

    fn job(priority: i16) -> JobRecord {
        let random = Random::seeded(1);
        let spec = JobSpec::new(JobKind::new("k").unwrap(), &1).unwrap().with_priority(priority);
        let job = NewJob::new(spec, Stage::Dev, random.job_id(Timestamp::MIN), random.correlation_id());
        job.record().clone()
    }

    #[test]
    fn priorities_and_lanes_that_nobody_meets_any_more_take_no_room() {
        let fronts = Fronts::default();
        let kind = JobKind::new("k").unwrap();
        let long_ago = Instant::now().checked_sub(OFTEN * 2).unwrap();
        for n in 0..100 {
            let queue = QueueName::new(format!("q{n}")).unwrap();
            let look = fronts.look(&queue, &kind, long_ago);
            fronts.found((&queue, &kind), &look, long_ago, [job(n), job(-n)].iter());
        }
        let queue = QueueName::new("q1").unwrap();
        for (name, kinds) in fronts.0.lock().unwrap().iter_mut() {
            let walked = if *name == queue { Instant::now() } else { long_ago };
            let front = kinds.get_mut(&kind).unwrap();
            (front.walked, front.cost) = (walked, Duration::ZERO);
        }
        let whole = fronts.look(&queue, &kind, Instant::now());
        assert!(whole.whole);
        fronts.found((&queue, &kind), &whole, Instant::now(), [job(7)].iter());
        let known = fronts.0.lock().unwrap();
        let fronts: Vec<_> = known.values().flat_map(HashMap::values).collect();
        assert_eq!((fronts.len(), fronts[0].first.keys().copied().collect::<Vec<_>>()), (1, vec![-7]));
    }
}
