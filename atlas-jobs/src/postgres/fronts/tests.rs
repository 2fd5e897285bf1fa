//! How much a process remembers, and when it walks: neither can be seen through the public API.

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
    for (name, kinds) in &mut fronts.lanes.lock().unwrap().known {
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
    let lanes = fronts.lanes.lock().unwrap();
    let fronts: Vec<_> = lanes.known.values().flat_map(HashMap::values).collect();
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
    let look = fronts.look(&queue, &kind, Instant::now());
    found(&fronts, &look, &outcome(Instant::now(), 200_000, true), &[]);
    assert_eq!(from(&fronts, 0), 99_500);
}

/// It may have found nothing since somebody paused the queue after its beat, and it is resumed now.
#[test]
fn one_claim_that_found_nothing_hides_no_job() {
    let fronts = Fronts::default();
    let (queue, kind) = lane();
    let (began, two) = (Instant::now(), Instant::now());
    let whole = fronts.look(&queue, &kind, began);
    found(&fronts, &whole, &outcome(began, 10_000, false), &[at(0, 1000)]);
    let look = fronts.look(&queue, &kind, Instant::now());
    // Two workers' at the same time say no more than one.
    for _ in 0..2 {
        found(&fronts, &look, &outcome(two, 100_000, true), &[]);
        assert_eq!(from(&fronts, 0), 1000);
    }
    found(&fronts, &look, &outcome(Instant::now(), 110_000, false), &[at(0, 1100)]);
    found(&fronts, &look, &outcome(Instant::now(), 120_000, true), &[]);
    assert_eq!(from(&fronts, 0), 1100);
    found(&fronts, &look, &outcome(Instant::now(), 130_000, true), &[]);
    assert_eq!(from(&fronts, 0), 119_500);
}

#[test]
fn claims_of_several_lanes_do_not_keep_the_front_of_an_idle_one_where_it_is() {
    let fronts = Fronts::default();
    let (queue, kind) = lane();
    let began = Instant::now();
    let whole = fronts.look(&queue, &kind, began);
    for (at, all) in [(100_000, true), (110_000, false), (120_000, true)] {
        found(&fronts, &whole, &outcome(Instant::now(), at, all), &[]);
    }
    assert_eq!(from(&fronts, 0), 99_500);
}

#[test]
fn a_claim_that_had_begun_before_all_was_forgotten_makes_no_front() {
    let fronts = Fronts::default();
    let (queue, kind) = lane();
    let began = Instant::now();
    let whole = fronts.look(&queue, &kind, began);
    fronts.forget();
    found(&fronts, &whole, &outcome(began, 100_000, false), &[at(0, 50_000)]);
    assert!(fronts.look(&queue, &kind, Instant::now()).whole);
}

#[test]
fn a_walk_that_had_begun_before_the_doubt_does_not_end_it() {
    let fronts = Fronts::default();
    let (queue, kind) = lane();
    let walk = |began: Instant| {
        let whole = Look { pieces: vec![WHOLE], whole: true };
        let quick = Outcome { cost: Duration::from_secs(1), ..outcome(began, 100_000, false) };
        found(&fronts, &whole, &quick, &[at(0, 50_000)]);
    };
    let is_walked_soon = || fronts.look(&queue, &kind, Instant::now() + Duration::from_secs(11)).whole;
    let began = Instant::now();
    drop(fronts.watch());
    walk(began);
    assert!(is_walked_soon());
    // What caused it may have gone on meanwhile.
    walk(Instant::now());
    assert!(is_walked_soon());
    walk(Instant::now() + LASTS);
    assert!(!is_walked_soon());
}

#[test]
fn a_transaction_that_went_well_and_was_short_leaves_no_doubt() {
    let fronts = Fronts::default();
    fronts.watch().committed();
    fronts.watch().settle();
    assert_eq!(fronts.lanes.lock().unwrap().doubted, None);
    let began = Instant::now().checked_sub(MARGIN).unwrap();
    Watch { fronts: Some(&fronts), began }.committed();
    assert!(fronts.lanes.lock().unwrap().doubted.is_some());
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
