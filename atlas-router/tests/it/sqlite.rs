//! The ledger in an SQLite file, where other connections and the database itself get in its way.

use crate::spend::{PRICE, budget, month, now, scopes};
use atlas_router::catalogue::ModelId;
use atlas_router::ledger::{BudgetLedger, HoldId, HoldState, Kind, MAX_WAITING, Reserve, SqliteLedger};
use atlas_schema::Stage;
use rusqlite::Connection;
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

fn request(n: u8, model: &str) -> Reserve {
    Reserve::new(HoldId::from_bytes([n; 16]), scopes(), PRICE, ModelId::new(model))
}

#[test]
fn many_open_a_new_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..8 {
        let path = folder.path().join(format!("{file}.db"));
        let barrier = Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    SqliteLedger::open(&path, Stage::Dev).unwrap();
                });
            }
        });
    }
}

/// As a full disk does: a trigger undoes the whole transaction in the midst of a call.
#[tokio::test]
async fn calls_of_a_commit_that_the_database_undid_are_to_be_repeated_and_left_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let ledger = SqliteLedger::open(&path, Stage::Dev).unwrap();
    let other = Connection::open(&path).unwrap();
    let trigger = "CREATE TRIGGER undo BEFORE INSERT ON atlas_router_hold WHEN new.model = 'undo'
        BEGIN SELECT RAISE(ROLLBACK, 'undone'); END";
    other.execute_batch(trigger).unwrap();
    // While it waits for the lock the calls gather.
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let requests: Vec<Reserve> = (0..12).map(|n| request(n, if n % 3 == 2 { "undo" } else { "m" })).collect();
    let calls: Vec<_> = requests
        .iter()
        .map(|request| {
            let (ledger, request) = (ledger.clone(), request.clone());
            let mut call = Box::pin(async move { ledger.reserve(request, now()).await });
            assert!(call.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending());
            call
        })
        .collect();
    other.execute_batch("COMMIT").unwrap();
    let mut undone = 0;
    for (call, request) in calls.into_iter().zip(&requests) {
        let answer = call.await;
        let stored = ledger.hold(request.id).await.unwrap();
        assert_eq!(answer.is_ok(), stored.is_some(), "{answer:?}");
        if let Err(error) = answer {
            assert!(error.is_retryable(), "{error}");
            undone += 1;
        }
    }
    assert!(undone > 4, "all undid themselves only: {undone}");
    ledger.reserve(request(0, "m"), now()).await.unwrap();
}

#[tokio::test]
async fn damaged_holds_keep_no_other_from_its_refund_and_damaged_sums_fail_closed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let ledger = SqliteLedger::open(&path, Stage::Dev).unwrap();
    for n in 0..4 {
        ledger.reserve(request(n, "m"), now()).await.unwrap();
    }
    for n in 2..4 {
        ledger.send(request(n, "m").id, now()).await.unwrap();
    }
    let other = Connection::open(&path).unwrap();
    other.execute("UPDATE atlas_router_hold SET scopes = 'x' WHERE id = ?1", [[0_u8; 16]]).unwrap();
    other.execute("UPDATE atlas_router_hold SET amount = -1 WHERE id = ?1", [[2_u8; 16]]).unwrap();
    let later = now().saturating_add(Duration::from_hours(1));
    assert_eq!(ledger.sweep(later, 10).await.unwrap(), 1);
    assert_eq!(ledger.balance(&scopes()[0], month()).await.unwrap().held, budget(3));
    let listed = ledger.unreconciled(later, 10).await.unwrap();
    assert_eq!(listed.iter().map(|hold| hold.id).collect::<Vec<_>>(), [request(3, "m").id]);
    other.execute("UPDATE atlas_router_balance SET held = -1", []).unwrap();
    assert_eq!(ledger.reserve(request(9, "m"), now()).await.unwrap_err().kind(), Kind::Corrupt);
}

#[tokio::test]
async fn a_purge_deletes_no_hold_whose_state_this_release_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let ledger = SqliteLedger::open(&path, Stage::Dev).unwrap();
    for n in 0..2 {
        ledger.reserve(request(n, "m"), now()).await.unwrap();
        ledger.release(request(n, "m").id, now()).await.unwrap();
    }
    let other = Connection::open(&path).unwrap();
    other.execute("UPDATE atlas_router_hold SET state = 9 WHERE id = ?1", [[0_u8; 16]]).unwrap();
    let later = now().saturating_add(Duration::from_hours(24 * 40));
    assert_eq!(ledger.purge(month(), later, 10).await.unwrap(), 1);
    assert_eq!(ledger.hold(request(0, "m").id).await.unwrap_err().kind(), Kind::Corrupt, "it is still there");
}

#[tokio::test]
async fn a_refused_reservation_leaves_its_refunds() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = SqliteLedger::open(folder.path().join("l.db"), Stage::Dev).unwrap();
    ledger.limit(vec![(scopes()[1].clone(), Some(budget(2)))]).await.unwrap();
    ledger.reserve(request(1, "m"), now()).await.unwrap();
    let mut too_much = request(2, "m");
    too_much.amount = budget(3);
    let later = now().saturating_add(Duration::from_hours(1));
    assert_eq!(ledger.reserve(too_much, later).await.unwrap_err().kind(), Kind::Exceeded);
    assert_eq!(ledger.hold(request(1, "m").id).await.unwrap().unwrap().state, HoldState::Released);
}

#[tokio::test]
async fn a_file_that_others_keep_is_waited_for_by_so_many_and_what_was_begun_can_still_be_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.db");
    let ledger = SqliteLedger::open(&path, Stage::Dev).unwrap();
    ledger.reserve(request(1, "m"), now()).await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut waiting = Vec::new();
    let refused = loop {
        let mut id = [2; 16];
        id[..8].copy_from_slice(&(waiting.len() as u64).to_be_bytes());
        let request = Reserve::new(HoldId::from_bytes(id), scopes(), PRICE, ModelId::new("m"));
        let mut call = ledger.reserve(request, now());
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => break answer.unwrap_err(),
            Poll::Pending => waiting.push(call),
        }
        assert!(waiting.len() < 10_000, "nobody is refused");
    };
    assert_eq!((refused.kind(), refused.is_retryable()), (Kind::Unavailable, true));
    assert!(refused.had_no_effect());
    // The thread has taken up one group at most.
    assert!((MAX_WAITING..=MAX_WAITING + 256).contains(&waiting.len()), "{}", waiting.len());
    // The first of them is given up before it was begun.
    drop(waiting.remove(0));
    let mut release = ledger.release(request(1, "m").id, now());
    assert!(release.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    other.execute_batch("COMMIT").unwrap();
    release.await.unwrap();
    let taken = waiting.len();
    let given_up = HoldId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2]);
    assert!(ledger.hold(given_up).await.unwrap().is_none());
    for call in waiting {
        call.await.unwrap();
    }
    let held = ledger.balance(&scopes()[0], month()).await.unwrap().held;
    assert_eq!(held, budget(i64::try_from(taken).unwrap()), "those that waited were served");
    ledger.reserve(request(3, "m"), now()).await.unwrap();
}
