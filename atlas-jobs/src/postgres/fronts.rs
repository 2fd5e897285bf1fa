//! Where the queues begin, as far as this process knows.
//!
//! Somebody's old snapshot keeps the server from removing the rows of jobs that were taken since: they stay at the front of
//! their queue's index, and every claim would walk over all of them. So a claim starts at the last job that the one before it
//! found, and looks a little ahead of it, for jobs whose transactions took their time, only if there is not enough behind it,
//! or once a second. Now and then it starts at the very beginning: so seldom that the walk costs a fiftieth of the time,
//! unless it takes more than six seconds. Until then a job that came in further ahead waits: one from a long transaction, or
//! one given back by a worker whose connection broke. Each priority has a front of its own, and priorities without one are
//! looked at from their beginning, so that a more urgent job is never overlooked.

use atlas_schema::{JobId, JobKind, JobRecord, QueueName, Timestamp};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Transactions that add jobs may take so long, and their jobs are still found at once.
const MARGIN: Duration = Duration::from_millis(500);
/// Or so much later, where jobs behind the front leave no time to look ahead of it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The whole queue is walked at most once in so many times of what it costs.
const SELDOM: u32 = 50;
/// And at least this often, whatever it costs: so long may a job that came in further ahead have to wait.
const OFTEN: Duration = Duration::from_mins(5);
/// Priorities of a lane that have a front: each is three pieces of every claim. It is those that claims met last.
const MOST_RANKS: usize = 8;

/// A place in a lane's index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) rank: i32,
    pub(super) run_at: i64,
    pub(super) id: JobId,
}

impl Place {
    const fn start_of(rank: i32) -> Self {
        Self { rank, run_at: i64::MIN, id: JobId::MIN }
    }

    /// Behind every job of that rank: no time is so late.
    const fn end_of(rank: i32) -> Self {
        Self { rank, run_at: i64::MAX, id: JobId::MIN }
    }

    fn of(job: &JobRecord) -> Self {
        Self { rank: -i32::from(job.priority), run_at: job.run_at.as_millis(), id: job.id }
    }

    /// For whose transaction took its time.
    fn ahead(self) -> Self {
        Self { run_at: before(self.run_at), id: JobId::MIN, ..self }
    }
}

fn before(millis: i64) -> i64 {
    millis.saturating_sub(i64::try_from(MARGIN.as_millis()).unwrap_or(i64::MAX))
}

/// A piece of a lane's index: `from` is part of it, `to` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: Place,
    pub(super) to: Place,
}

const WHOLE: Piece = Piece { from: Place::start_of(i32::MIN), to: Place::end_of(i32::MAX) };

/// What this process knows of one lane.
struct Front {
    /// By rank: the last job found, and when.
    last: BTreeMap<i32, (Place, Instant)>,
    walked: Instant,
    cost: Duration,
    looked_ahead: Instant,
}

impl Front {
    /// In the order in which they are looked at, until there are jobs enough.
    fn pieces(&self, ahead_first: bool) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.last.len() * 3 + 1);
        let mut next = Some(i32::MIN);
        for (rank, (place, _)) in &self.last {
            if let Some(from) = next.filter(|from| from < rank) {
                pieces.push(Piece { from: Place::start_of(from), to: Place::end_of(rank - 1) });
            }
            let (ahead, end) = (place.ahead(), Place::end_of(*rank));
            if ahead_first {
                pieces.push(Piece { from: ahead, to: end });
            } else {
                pieces.push(Piece { from: *place, to: end });
                pieces.push(Piece { from: ahead, to: *place });
            }
            next = rank.checked_add(1);
        }
        if let Some(rank) = next {
            pieces.push(Piece { from: Place::start_of(rank), to: Place::end_of(i32::MAX) });
        }
        pieces
    }
}

/// What this process knows of all lanes, and of the jobs whose time has not come.
pub(super) struct Fronts {
    lanes: Mutex<HashMap<QueueName, HashMap<JobKind, Front>>>,
    /// Those that were due by then were made ready.
    promoted: AtomicI64,
}

impl Default for Fronts {
    fn default() -> Self {
        Self { lanes: Mutex::default(), promoted: AtomicI64::new(i64::MIN) }
    }
}

/// Where one claim looks.
pub(super) struct Look {
    pub(super) pieces: Vec<Piece>,
    pub(super) whole: bool,
}

impl Fronts {
    /// Where a claim of this lane should look at `now`.
    pub(super) fn look(&self, queue: &QueueName, kind: &JobKind, now: Instant) -> Look {
        let mut known = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get_mut(queue).and_then(|kinds| kinds.get_mut(kind)) {
            Some(front) if now.duration_since(front.walked) < (front.cost * SELDOM).min(OFTEN) => {
                let ahead_first = now.duration_since(front.looked_ahead) >= PATIENCE;
                if ahead_first {
                    front.looked_ahead = now;
                }
                Look { pieces: front.pieces(ahead_first), whole: false }
            }
            _ => Look { pieces: vec![WHOLE], whole: true },
        }
    }

    /// What a claim of this lane, begun at `began`, found: the last job of each priority, at least.
    pub(super) fn found<'a>(
        &self,
        (queue, kind): (&QueueName, &JobKind),
        look: &Look,
        began: Instant,
        jobs: impl Iterator<Item = &'a JobRecord>,
    ) {
        let mut known = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
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
            last: BTreeMap::new(),
            walked: now,
            cost: Duration::ZERO,
            looked_ahead: began,
        });
        if look.whole {
            (front.walked, front.cost, front.looked_ahead) = (now, now.duration_since(began), began);
        }
        let mut found: BTreeMap<i32, Place> = BTreeMap::new();
        for place in jobs.map(Place::of) {
            found.entry(place.rank).and_modify(|last| *last = place.max(*last)).or_insert(place);
        }
        front.last.extend(found.into_iter().map(|(rank, place)| (rank, (place, now))));
        while front.last.len() > MOST_RANKS {
            let stalest = front.last.iter().min_by_key(|(_, (_, met))| *met).map(|(rank, _)| *rank);
            stalest.and_then(|rank| front.last.remove(&rank));
        }
    }

    /// From when on jobs may have become due since the last claim, in milliseconds. Those before are where their time came long ago,
    /// and were missed: as in the lanes, a whole look finds them.
    pub(super) fn deferred_from(&self, whole: bool) -> i64 {
        if whole { i64::MIN } else { before(self.promoted.load(Ordering::Relaxed)) }
    }

    /// A claim made all ready that were due at `now`, by the server's clock: also if that was turned back.
    pub(super) fn promoted(&self, now: Timestamp) {
        self.promoted.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Forgets everything: jobs may have come in anywhere.
    pub(super) fn forget(&self) {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.promoted.store(i64::MIN, Ordering::Relaxed);
    }
}

// How much a process remembers can't be seen through the public API.
#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::random::Random;
    use crate::spec::{JobSpec, NewJob};
    use atlas_schema::Stage;

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
        for (name, kinds) in fronts.lanes.lock().unwrap().iter_mut() {
            let walked = if *name == queue { Instant::now() } else { long_ago };
            let front = kinds.get_mut(&kind).unwrap();
            (front.walked, front.cost) = (walked, Duration::ZERO);
        }
        let whole = fronts.look(&queue, &kind, Instant::now());
        assert!(whole.whole);
        for priority in 2..100 {
            fronts.found((&queue, &kind), &whole, Instant::now(), [job(priority)].iter());
        }
        let known = fronts.lanes.lock().unwrap();
        let fronts: Vec<_> = known.values().flat_map(HashMap::values).collect();
        let met: Vec<i32> = fronts[0].last.keys().copied().collect();
        assert_eq!((fronts.len(), met), (1, (-99..=-92).collect()));
    }

    /// Each place of a lane is in one piece, whatever is known of it: no job is overlooked, and none comes twice.
    #[test]
    fn the_pieces_of_a_lane_cover_what_may_be_new_and_overlap_nowhere() {
        for priorities in [vec![], vec![0], vec![3, -3], vec![i16::MAX, i16::MIN, 1, 2]] {
            let fronts = Fronts::default();
            let (queue, kind) = (QueueName::new("q").unwrap(), JobKind::new("k").unwrap());
            let now = Instant::now();
            let whole = fronts.look(&queue, &kind, now);
            let jobs: Vec<JobRecord> = priorities.iter().map(|priority| job(*priority)).collect();
            fronts.found((&queue, &kind), &whole, now.checked_sub(OFTEN).unwrap(), jobs.iter());
            for later in [Duration::ZERO, PATIENCE, PATIENCE] {
                let look = fronts.look(&queue, &kind, now + later);
                let mut pieces = look.pieces;
                assert!(!look.whole && pieces.len() <= priorities.len() * 3 + 1, "{pieces:?}");
                pieces.sort_by_key(|piece| piece.from);
                assert!(pieces.windows(2).all(|two| two[0].from < two[0].to && two[0].to <= two[1].from), "{pieces:?}");
                for rank in
                    [i32::MIN, -7, 0, 7, i32::MAX].into_iter().chain(jobs.iter().map(|job| -i32::from(job.priority)))
                {
                    let known = jobs.iter().map(Place::of).find(|place| place.rank == rank);
                    let first = known.map_or(Place::start_of(rank), Place::ahead);
                    let last = Place { run_at: i64::MAX - 1, ..Place::end_of(rank) };
                    for place in [first, last].into_iter().chain(known) {
                        let holds = |piece: &&Piece| piece.from <= place && place < piece.to;
                        assert_eq!(pieces.iter().filter(holds).count(), 1, "{place:?} in {pieces:?}");
                    }
                }
            }
        }
    }
}
