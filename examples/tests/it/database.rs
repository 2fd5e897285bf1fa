//! A job database that can't be used: exit code 3, a message that says what to do, nothing half-written.

use crate::command::{Ran, Scratch, recipe};
use rusqlite::Connection;

const CALL: [&str; 7] = ["--type", "recipe", "--format", "html", "--out", "report.html", "a.html"];

/// A folder with a page that is done, and the database it is in.
fn kept() -> (Scratch, Connection) {
    let scratch = Scratch::new();
    let ran = scratch.file("a.html", recipe("Tea")).run(&["--type", "recipe", "--format", "jsonl", "a.html"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let db = Connection::open(scratch.path("atlas.db")).expect("a database");
    (scratch, db)
}

fn refused(scratch: &Scratch, ran: &Ran) {
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.err.contains("the job database atlas.db"), "it is named: {}", ran.err);
    assert!(!scratch.path("report.html").exists(), "nothing is half-written");
}

#[test]
fn a_database_that_another_program_holds_says_so_and_is_whole_afterwards() {
    let (scratch, db) = kept();
    db.execute_batch("BEGIN EXCLUSIVE").expect("held");
    scratch.file("a.html", recipe("Mint tea"));
    let ran = scratch.run(&CALL);
    refused(&scratch, &ran);
    assert!(ran.err.contains("another process holds it"), "{}", ran.err);
    db.execute_batch("COMMIT").expect("let go");
    assert_eq!(scratch.run(&CALL).code, Some(0), "as soon as it is free, it works");
}

#[test]
fn a_database_of_a_newer_release_is_left_alone() {
    let (scratch, db) = kept();
    let changed = db.execute("UPDATE atlas_jobs_meta SET value = '999' WHERE key = 'version'", ()).expect("written");
    assert_eq!(changed, 1);
    let ran = scratch.run(&CALL);
    refused(&scratch, &ran);
    assert!(ran.err.contains("newer release") && ran.err.contains("upgrade"), "{}", ran.err);
    let jobs: i64 = db.query_row("SELECT count(*) FROM atlas_jobs_job", (), |row| row.get(0)).expect("counted");
    assert_eq!(jobs, 1);
}

/// Files may not grow beyond a few blocks: what a full disk looks like to a writer, without a disk to fill.
#[cfg(target_os = "linux")]
#[test]
fn a_database_that_cannot_grow_ends_the_run_and_loses_nothing() {
    let (scratch, db) = kept();
    let names: Vec<String> = (0..300).map(|i| format!("p{i}.html")).collect();
    for name in &names {
        scratch.file(name, recipe(name));
    }
    let pages = names.iter().map(String::as_str);
    let call: Vec<&str> = ["--type", "recipe", "--format", "jsonl"].into_iter().chain(pages).collect();
    // Ignored, the signal that goes with the limit leaves a plain error, as a full disk gives.
    let limited = "trap '' XFSZ; ulimit -f 512; exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited]).arg(crate::command::program()).args(&call).current_dir(scratch.dir.path());
    let ran = Ran::of(command.output().expect("sh runs"));
    assert_eq!((ran.code, ran.out.as_str()), (Some(3), ""), "{}", ran.err);
    let whole: String = db.query_row("PRAGMA integrity_check", (), |row| row.get(0)).expect("checked");
    assert_eq!(whole, "ok");
    let again = scratch.run(&call);
    assert_eq!((again.code, again.pages().len()), (Some(0), 300), "with room, it goes on: {}", again.err);
}
