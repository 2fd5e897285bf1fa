//! Where the queues begin, as far as this process knows.
//!
//! Somebody's old snapshot keeps the server from removing the rows of jobs that were taken since: they stay at the front of
//! their queue's index, and every claim would walk over all of them. So a claim starts at the last job that the one before it
//! found, or half a second ago, if that is earlier: jobs come in as late as their transactions took. Now and then it starts at the
//! very beginning: so seldom that the walk costs a hundredth of the time, unless it takes more than three seconds; or a tenth,
//! after an error or a long transaction of ours, by which jobs may have come to be ahead. Until then a job that came in further
//! ahead waits: one from a long transaction, or one that was passed over since somebody held it who then gave it back unchanged.
//! Each priority has a front of its own, and priorities without one are looked at from their beginning, so that a more urgent job
//! is never overlooked.

use atlas_schema::{JobId, JobKind, JobRecord, QueueName, Timestamp};
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Transactions that add jobs may take so long, and their jobs are still found at once.
const MARGIN: Duration = Duration::from_millis(500);
/// The whole queue is walked at most once in so many times of what it costs.
const SELDOM: u32 = 100;
/// Or in so many, if something happened that only a walk makes good: it may go on happening.
const SOON: u32 = 10;
/// And at least this often, whatever it costs: so long may a job that came in further ahead have to wait.
const OFTEN: Duration = Duration::from_mins(5);
/// Priorities of a lane that have a front: each is two pieces of every claim. It is those that claims met last.
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
        Self::at(rank, i64::MIN)
    }

    /// Behind every job of that rank: no time is so late.
    const fn end_of(rank: i32) -> Self {
        Self::at(rank, i64::MAX)
    }

    fn of(job: &JobRecord) -> Self {
        Self { rank: -i32::from(job.priority), run_at: job.run_at.as_millis(), id: job.id }
    }

    const fn at(rank: i32, run_at: i64) -> Self {
        Self { rank, run_at, id: JobId::MIN }
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
    ranks: BTreeMap<i32, Known>,
    walked: Instant,
    cost: Duration,
    /// Something happened that only a walk makes good.
    doubted: bool,
}

/// What it knows of one priority.
struct Known {
    /// All jobs before it were taken.
    from: Place,
    /// When a claim last found one.
    met: Instant,
    /// When a claim last found one further ahead, or the first: those that had begun by then know nothing of what else is there.
    lowered: Instant,
}

impl Front {
    fn is_due(&self, now: Instant) -> bool {
        let times = if self.doubted { SOON } else { SELDOM };
        now.duration_since(self.walked) >= (self.cost * times).min(OFTEN)
    }

    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.ranks.len() * 2 + 1);
        let mut next = Some(i32::MIN);
        for (rank, known) in &self.ranks {
            if let Some(from) = next.filter(|from| from < rank) {
                pieces.push(Piece { from: Place::start_of(from), to: Place::end_of(rank - 1) });
            }
            pieces.push(Piece { from: known.from, to: Place::end_of(*rank) });
            next = rank.checked_add(1);
        }
        if let Some(rank) = next {
            pieces.push(Piece { from: Place::start_of(rank), to: Place::end_of(i32::MAX) });
        }
        pieces
    }
}

impl Known {
    fn moves(&mut self, from: Place, began: Instant, now: Instant) {
        if from < self.from {
            (self.from, self.lowered) = (from, now);
        } else if self.lowered <= began {
            self.from = from;
        }
    }
}

/// What this process knows of all lanes, and of the jobs whose time has not come.
#[derive(Default)]
pub(super) struct Fronts {
    lanes: Mutex<HashMap<QueueName, HashMap<JobKind, Front>>>,
    promoted: Mutex<Option<Promoted>>,
}

/// The last claim that left no job behind that was due.
#[derive(Clone, Copy)]
struct Promoted {
    /// By the server's clock.
    at: Timestamp,
    noted: Instant,
}

/// Where one claim looks.
pub(super) struct Look {
    pub(super) pieces: Vec<Piece>,
    pub(super) whole: bool,
}

/// What one claim of a lane came to.
pub(super) struct Outcome {
    /// Before its transaction.
    pub(super) began: Instant,
    /// What the statement took, and the one before it that made jobs ready.
    pub(super) cost: Duration,
    /// All jobs that were due by then, by the server's clock, were ready when it looked; none, and nothing is known of that.
    pub(super) at: Option<Timestamp>,
    /// It found all there was to find.
    pub(super) all: bool,
}

impl Fronts {
    /// Where a claim of this lane should look at `now`.
    pub(super) fn look(&self, queue: &QueueName, kind: &JobKind, now: Instant) -> Look {
        match self.lanes().get_mut(queue).and_then(|kinds| kinds.get_mut(kind)) {
            Some(front) if !front.is_due(now) => Look { pieces: front.pieces(), whole: false },
            front => {
                if let Some(front) = front {
                    // One at a time.
                    (front.walked, front.doubted) = (now, false);
                }
                Look { pieces: vec![WHOLE], whole: true }
            }
        }
    }

    /// What a claim of this lane found: the last job of each priority, at least.
    pub(super) fn found<'a>(
        &self,
        (queue, kind): (&QueueName, &JobKind),
        look: &Look,
        outcome: &Outcome,
        jobs: impl Iterator<Item = &'a JobRecord>,
    ) {
        let mut known = self.lanes();
        let now = Instant::now();
        if look.whole {
            // What was walked so long ago is walked anew before it is used again: it only takes room.
            known.retain(|_, kinds| {
                kinds.retain(|_, front| now.duration_since(front.walked) < OFTEN);
                !kinds.is_empty()
            });
            let new = Front { ranks: BTreeMap::new(), walked: now, cost: outcome.cost, doubted: false };
            let front = known.entry(queue.clone()).or_default().entry(kind.clone()).or_insert(new);
            (front.walked, front.cost) = (now, outcome.cost);
        }
        // Forgotten since it looked.
        let Some(front) = known.get_mut(queue).and_then(|kinds| kinds.get_mut(kind)) else { return };
        let late = outcome.at.map_or(i64::MIN, |at| before(at.as_millis()));
        let mut last: BTreeMap<i32, Place> = BTreeMap::new();
        for place in jobs.map(Place::of) {
            last.entry(place.rank).and_modify(|last| *last = place.max(*last)).or_insert(place);
        }
        for (rank, place) in last {
            let from = if outcome.all { Place::at(rank, late) } else { place.min(Place::at(rank, late)) };
            let new = Known { from, met: now, lowered: now };
            let known = front.ranks.entry(rank).or_insert(new);
            known.met = now;
            known.moves(from, outcome.began, now);
        }
        if outcome.all {
            if look.whole {
                // Where nothing waits, too, most jobs that come in are of the usual priority.
                let usual = Known { from: Place::at(0, late), met: now, lowered: now };
                front.ranks.entry(0).or_insert(usual);
            }
            for (rank, known) in &mut front.ranks {
                known.moves(Place::at(*rank, late), outcome.began, now);
            }
        }
        while front.ranks.len() > MOST_RANKS {
            // Of those met at the same time, not the most urgent.
            let stalest = front.ranks.iter().min_by_key(|(rank, known)| (known.met, Reverse(**rank)));
            let stalest = stalest.map(|(rank, _)| *rank);
            stalest.and_then(|rank| front.ranks.remove(&rank));
        }
    }

    /// From when on jobs may have become due since the last claim, in milliseconds. Those before are where their time came long ago,
    /// and were missed: as in the lanes, a whole look finds them.
    pub(super) fn deferred_from(&self, whole: bool) -> i64 {
        self.last_promoted().filter(|_| !whole).map_or(i64::MIN, |last| before(last.as_millis()))
    }

    /// A claim whose transaction began after `began` left none behind of the jobs that were due at `at`, by the server's clock.
    pub(super) fn promoted(&self, began: Instant, at: Timestamp) {
        let mut promoted = self.promoted.lock().unwrap_or_else(PoisonError::into_inner);
        match *promoted {
            // It waited while others did the same.
            Some(last) if began < last.noted => *promoted = Some(Promoted { at: at.max(last.at), ..last }),
            last => {
                // Where the clock was turned back, new jobs are ahead of all fronts.
                if last.is_some_and(|last| at.as_millis() < before(last.at.as_millis())) {
                    self.lanes().clear();
                }
                *promoted = Some(Promoted { at, noted: Instant::now() });
            }
        }
    }

    /// By when all jobs that were due are ready.
    pub(super) fn last_promoted(&self) -> Option<Timestamp> {
        self.promoted.lock().unwrap_or_else(PoisonError::into_inner).map(|last| last.at)
    }

    /// After a transaction of ours that made jobs ready: those of a long one are ahead of where others may have claimed meanwhile.
    pub(super) fn came(&self, began: Instant) {
        if began.elapsed() >= MARGIN {
            self.doubt();
        }
    }

    /// Jobs may have come in further ahead: each lane is walked soon.
    pub(super) fn doubt(&self) {
        for front in self.lanes().values_mut().flat_map(HashMap::values_mut) {
            front.doubted = true;
        }
    }

    /// Jobs were brought that may belong anywhere: nothing is known any more.
    pub(super) fn forget(&self) {
        self.lanes().clear();
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<QueueName, HashMap<JobKind, Front>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
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

    const SOME_TIME: i64 = 1_800_000_000_000;

    fn lane() -> (QueueName, JobKind) {
        (QueueName::new("q").unwrap(), JobKind::new("k").unwrap())
    }

    /// So many milliseconds after some time.
    fn time(millis: i64) -> Timestamp {
        Timestamp::from_millis(SOME_TIME + millis).unwrap()
    }

    /// Of a claim that began at `began`, at `at` by the server's clock.
    fn outcome(began: Instant, at: i64, all: bool) -> Outcome {
        Outcome { began, cost: OFTEN, at: Some(time(at)), all }
    }

    fn at(priority: i16, run_at: i64) -> JobRecord {
        JobRecord { run_at: time(run_at), ..job(priority) }
    }

    /// Where a claim of that priority would start.
    fn from(fronts: &Fronts, rank: i32) -> i64 {
        let (queue, kind) = lane();
        let look = fronts.look(&queue, &kind, Instant::now());
        let place = Place::at(rank, i64::MAX - 1);
        look.pieces
            .iter()
            .find(|piece| piece.from <= place && place < piece.to)
            .unwrap()
            .from
            .run_at
            .saturating_sub(SOME_TIME)
    }

    fn found(fronts: &Fronts, look: &Look, outcome: &Outcome, jobs: &[JobRecord]) {
        let (queue, kind) = lane();
        fronts.found((&queue, &kind), look, outcome, jobs.iter());
    }

    #[test]
    fn priorities_and_lanes_that_nobody_meets_any_more_take_no_room() {
        let fronts = Fronts::default();
        let kind = JobKind::new("k").unwrap();
        let long_ago = Instant::now().checked_sub(OFTEN * 2).unwrap();
        for n in 0..100 {
            let queue = QueueName::new(format!("q{n}")).unwrap();
            let look = fronts.look(&queue, &kind, long_ago);
            fronts.found((&queue, &kind), &look, &outcome(long_ago, 0, false), [job(n), job(-n)].iter());
        }
        let queue = QueueName::new("q1").unwrap();
        for (name, kinds) in fronts.lanes.lock().unwrap().iter_mut() {
            let walked = if *name == queue { Instant::now() } else { long_ago };
            let front = kinds.get_mut(&kind).unwrap();
            (front.walked, front.cost) = (walked, Duration::ZERO);
        }
        let whole = fronts.look(&queue, &kind, Instant::now());
        assert!(whole.whole);
        let now = outcome(Instant::now(), 0, false);
        for priority in 2..100 {
            fronts.found((&queue, &kind), &whole, &now, [job(priority)].iter());
        }
        let known = fronts.lanes.lock().unwrap();
        let fronts: Vec<_> = known.values().flat_map(HashMap::values).collect();
        let met: Vec<i32> = fronts[0].ranks.keys().copied().collect();
        assert_eq!((fronts.len(), met), (1, (-99..=-92).collect()));
    }

    #[test]
    fn a_claim_starts_at_the_last_job_found_but_not_where_jobs_may_still_come_in() {
        let fronts = Fronts::default();
        let (queue, kind) = lane();
        let began = Instant::now();
        let whole = fronts.look(&queue, &kind, began);
        found(&fronts, &whole, &outcome(began, 10_000, false), &[at(0, 1000), at(0, 2000), at(3, 9900)]);
        // The one waited for long, the other came in just now.
        assert_eq!((from(&fronts, 0), from(&fronts, -3)), (2000, 9500));
        assert_eq!((from(&fronts, 1), from(&fronts, -4)), (i64::MIN, i64::MIN));
        // There were no more: nothing is left from before.
        let look = fronts.look(&queue, &kind, Instant::now());
        found(&fronts, &look, &outcome(Instant::now(), 20_000, true), &[at(0, 2100)]);
        assert_eq!((from(&fronts, 0), from(&fronts, -3)), (19_500, 19_500));
    }

    #[test]
    fn a_front_that_was_moved_back_is_not_moved_on_by_a_claim_that_had_begun_before() {
        let fronts = Fronts::default();
        let (queue, kind) = lane();
        let began = Instant::now();
        let whole = fronts.look(&queue, &kind, began);
        found(&fronts, &whole, &outcome(began, 100_000, false), &[at(0, 50_000)]);
        let look = fronts.look(&queue, &kind, Instant::now());
        // A walk of the whole queue finds some that came in far ahead.
        found(&fronts, &whole, &outcome(began, 100_000, false), &[at(0, 1000)]);
        found(&fronts, &look, &outcome(began, 100_000, false), &[at(0, 51_000)]);
        assert_eq!(from(&fronts, 0), 1000);
        let look = fronts.look(&queue, &kind, Instant::now());
        found(&fronts, &look, &outcome(Instant::now(), 100_000, false), &[at(0, 1500)]);
        assert_eq!(from(&fronts, 0), 1500);
    }

    #[test]
    fn a_clock_that_is_turned_back_hides_no_job() {
        let fronts = Fronts::default();
        let (queue, kind) = lane();
        let began = Instant::now();
        let whole = fronts.look(&queue, &kind, began);
        fronts.promoted(began, time(100_000));
        found(&fronts, &whole, &outcome(began, 100_000, false), &[at(0, 50_000)]);
        let known = |fronts: &Fronts| (from(fronts, 0), fronts.deferred_from(false) - SOME_TIME);
        // One that waited for long says nothing of the clock.
        fronts.promoted(began, time(20_000));
        assert_eq!(known(&fronts), (50_000, 99_500));
        fronts.promoted(Instant::now(), time(99_900));
        assert_eq!(known(&fronts), (50_000, 99_400));
        fronts.promoted(Instant::now(), time(20_000));
        assert_eq!(known(&fronts), (i64::MIN, 19_500));
    }

    #[test]
    fn lanes_in_doubt_are_walked_soon_and_once_each() {
        let fronts = Fronts::default();
        let (queue, kind) = lane();
        let began = Instant::now();
        let whole = fronts.look(&queue, &kind, began);
        let quick = Outcome { cost: Duration::from_secs(1), ..outcome(began, 100_000, false) };
        found(&fronts, &whole, &quick, &[at(0, 50_000)]);
        let looks = |fronts: &Fronts| {
            let later = Instant::now() + Duration::from_secs(11);
            [(); 2].map(|()| fronts.look(&queue, &kind, later).whole)
        };
        fronts.came(Instant::now());
        assert_eq!(looks(&fronts), [false, false]);
        fronts.came(Instant::now().checked_sub(MARGIN).unwrap());
        assert!(!fronts.look(&queue, &kind, Instant::now()).whole);
        assert_eq!(looks(&fronts), [true, false]);
    }

    #[test]
    fn a_lane_that_was_found_empty_is_not_walked_by_every_claim() {
        let fronts = Fronts::default();
        let (queue, kind) = lane();
        let began = Instant::now();
        let whole = fronts.look(&queue, &kind, began);
        found(&fronts, &whole, &outcome(began, 100_000, true), &[]);
        assert_eq!(from(&fronts, 0), 99_500);
    }

    /// No job is overlooked, and none comes twice.
    #[test]
    fn each_place_from_the_fronts_on_is_in_one_piece_of_a_claim() {
        for priorities in [vec![], vec![0], vec![3, -3], vec![i16::MAX, i16::MIN, 1, 2]] {
            let fronts = Fronts::default();
            let (queue, kind) = lane();
            let began = Instant::now();
            let whole = fronts.look(&queue, &kind, began);
            let jobs: Vec<JobRecord> = priorities.iter().map(|priority| job(*priority)).collect();
            found(&fronts, &whole, &outcome(began, 100_000, false), &jobs);
            let mut pieces = fronts.look(&queue, &kind, Instant::now()).pieces;
            assert!(pieces.len() <= priorities.len() * 2 + 1, "{pieces:?}");
            pieces.sort_by_key(|piece| piece.from);
            assert!(pieces.windows(2).all(|two| two[0].from < two[0].to && two[0].to <= two[1].from), "{pieces:?}");
            for rank in [i32::MIN, -7, 0, 7, i32::MAX].into_iter().chain(jobs.iter().map(|job| Place::of(job).rank)) {
                let known = jobs.iter().map(Place::of).find(|place| place.rank == rank);
                for place in [known.unwrap_or(Place::start_of(rank)), Place::at(rank, i64::MAX - 1)] {
                    let holds = |piece: &&Piece| piece.from <= place && place < piece.to;
                    assert_eq!(pieces.iter().filter(holds).count(), 1, "{place:?} in {pieces:?}");
                }
            }
        }
    }
}
