//! Where the queues begin, as far as this process knows.
//!
//! Somebody's old snapshot keeps the server from removing the rows of jobs that were taken since: they stay at the front of
//! their queue's index, and every claim would walk over all of them. So a claim starts at the last job that the one before it
//! found, or half a second ago, if that is earlier: jobs come in as late as their transactions took. Now and then it starts at the
//! very beginning: so seldom that the walk costs a hundredth of the time, unless it takes more than three seconds; or a tenth,
//! for a while after an error or a long transaction of ours, by which jobs may have come to be ahead. Until then a job that came in further
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
/// So long something that only a walk makes good may go on happening: the server ends a transaction whose client is gone within
/// ten seconds.
const LASTS: Duration = Duration::from_secs(15);
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
    /// When the last walk that is over began.
    since: Instant,
    /// When a claim last found nothing at all, and up to where it would have looked. Perhaps it did not look: somebody may have paused
    /// the queue in that very moment. The next one knows.
    emptied: Option<(Instant, i64)>,
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
    fn is_due(&self, now: Instant, doubted: Option<Instant>) -> bool {
        let times = if doubted.is_some_and(|until| self.since <= until) { SOON } else { SELDOM };
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
    lanes: Mutex<Lanes>,
    promoted: Mutex<Option<Promoted>>,
}

#[derive(Default)]
struct Lanes {
    known: HashMap<QueueName, HashMap<JobKind, Front>>,
    /// Claims that had begun by then know nothing.
    forgotten: Option<Instant>,
    /// Walks that had begun by then may have come too early.
    doubted: Option<Instant>,
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
        let mut lanes = self.lanes();
        let doubted = lanes.doubted;
        match lanes.known.get_mut(queue).and_then(|kinds| kinds.get_mut(kind)) {
            Some(front) if !front.is_due(now, doubted) => Look { pieces: front.pieces(), whole: false },
            front => {
                if let Some(front) = front {
                    // One at a time.
                    front.walked = now;
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
        let mut lanes = self.lanes();
        if lanes.forgotten.is_some_and(|at| outcome.began <= at) {
            return;
        }
        let known = &mut lanes.known;
        let now = Instant::now();
        if look.whole {
            // What was walked so long ago is walked anew before it is used again: it only takes room.
            known.retain(|_, kinds| {
                kinds.retain(|_, front| now.duration_since(front.walked) < OFTEN);
                !kinds.is_empty()
            });
            let (cost, since) = (outcome.cost, outcome.began);
            let new = Front { ranks: BTreeMap::new(), walked: now, cost, since, emptied: None };
            let front = known.entry(queue.clone()).or_default().entry(kind.clone()).or_insert(new);
            (front.walked, front.cost, front.since) = (now, cost, since);
        }
        // Forgotten since it looked.
        let Some(front) = known.get_mut(queue).and_then(|kinds| kinds.get_mut(kind)) else { return };
        let late = outcome.at.map_or(i64::MIN, |at| before(at.as_millis()));
        let mut last: BTreeMap<i32, Place> = BTreeMap::new();
        for place in jobs.map(Place::of) {
            last.entry(place.rank).and_modify(|last| *last = place.max(*last)).or_insert(place);
        }
        // Up to where nothing is left, if there is such a place.
        let empty = match front.emptied {
            _ if !outcome.all => None,
            _ if !last.is_empty() => Some(late),
            Some((noted, late)) if noted <= outcome.began => Some(late),
            _ => None,
        };
        if !last.is_empty() {
            front.emptied = None;
        } else if outcome.all && (empty.is_some() || front.emptied.is_none()) {
            front.emptied = Some((now, late));
        }
        for (rank, place) in last {
            let from = if outcome.all { Place::at(rank, late) } else { place.min(Place::at(rank, late)) };
            let new = Known { from, met: now, lowered: now };
            let known = front.ranks.entry(rank).or_insert(new);
            known.met = now;
            known.moves(from, outcome.began, now);
        }
        if let Some(empty) = empty {
            // Where nothing waits, too, most jobs that come in are of the usual priority.
            if front.ranks.len() < MOST_RANKS {
                let usual = Known { from: Place::at(0, empty), met: now, lowered: now };
                front.ranks.entry(0).or_insert(usual);
            }
            for (rank, known) in &mut front.ranks {
                known.moves(Place::at(*rank, empty), outcome.began, now);
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
                    self.forget();
                }
                *promoted = Some(Promoted { at, noted: Instant::now() });
            }
        }
    }

    /// By when all jobs that were due are ready.
    pub(super) fn last_promoted(&self) -> Option<Timestamp> {
        self.promoted.lock().unwrap_or_else(PoisonError::into_inner).map(|last| last.at)
    }

    /// Before a transaction of ours that holds jobs which are ready, or makes some ready. Jobs of one that is undone were passed over by
    /// others meanwhile; those of a long one are ahead of where others claimed.
    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { fronts: Some(self), began: Instant::now() }
    }

    /// After a transaction of ours that made jobs ready.
    pub(super) fn came(&self, began: Instant) {
        if began.elapsed() >= MARGIN {
            self.doubt();
        }
    }

    /// Jobs may have come in further ahead: each lane is walked soon.
    pub(super) fn doubt(&self) {
        self.lanes().doubted = Some(Instant::now() + LASTS);
    }

    /// Jobs were brought that may belong anywhere: nothing is known any more.
    pub(super) fn forget(&self) {
        let mut lanes = self.lanes();
        lanes.known.clear();
        lanes.forgotten = Some(Instant::now());
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transaction of ours that is under way. Dropped before it is told that all went well, it leaves the fronts in doubt.
pub(super) struct Watch<'a> {
    fronts: Option<&'a Fronts>,
    began: Instant,
}

impl Watch<'_> {
    /// It is committed.
    pub(super) fn committed(mut self) {
        if let Some(fronts) = self.fronts.take() {
            fronts.came(self.began);
        }
    }

    /// Nothing came of it that others could have passed over.
    pub(super) fn settle(mut self) {
        self.fronts = None;
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if let Some(fronts) = self.fronts {
            fronts.doubt();
        }
    }
}

#[cfg(test)]
mod tests;
