//! Ending a run in its middle loses nothing: the same call goes on where it stopped, and does nothing twice.
//!
//! The middle is certain: a server on loopback answers some pages and keeps the next one waiting, so the run is between
//! the two when it is ended, however fast or slow the machine.

use crate::command::{Ran, Scratch, recipe};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Pages that are done before the end, and pages in all.
const DONE: usize = 5;
const PAGES: usize = 12;

/// Answers every page but the one it keeps waiting.
struct Server {
    listener: TcpListener,
    held: Vec<TcpStream>,
    asked: HashMap<String, usize>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self { listener, held: Vec::new(), asked: HashMap::new() }
    }

    fn addresses(&self) -> Vec<String> {
        let host = self.listener.local_addr().expect("bound");
        (0..PAGES).map(|page| format!("http://{host}/{page}")).collect()
    }

    /// Serves one request, or holds it unanswered; gives its path.
    fn serve(&mut self, hold: bool) -> String {
        let (mut stream, _) = self.listener.accept().expect("a caller");
        let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        let request: Vec<String> = lines.collect();
        let path = request.first().and_then(|line| line.split(' ').nth(1)).expect("a path").to_owned();
        let page = recipe(&format!("Tea {path}"));
        *self.asked.entry(path.clone()).or_default() += 1;
        if hold {
            self.held.push(stream);
            return path;
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            page.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(page.as_bytes())).expect("answered");
        path
    }
}

/// A server thread: `DONE` answers, one request held (told through the channel), then answers to all the rest.
fn serve() -> (Vec<String>, Receiver<String>, std::thread::JoinHandle<HashMap<String, usize>>) {
    let mut server = Server::start();
    let addresses = server.addresses();
    let (held, waiting) = channel();
    let thread = std::thread::spawn(move || {
        for _ in 0..DONE {
            server.serve(false);
        }
        let path = server.serve(true);
        held.send(path).expect("the test waits");
        for _ in DONE..PAGES {
            server.serve(false);
        }
        server.asked
    });
    (addresses, waiting, thread)
}

fn call(addresses: &[String]) -> Vec<&str> {
    let options = ["--type", "recipe", "--format", "jsonl", "--allow-private", "--concurrency", "1"];
    options.into_iter().chain(addresses.iter().map(String::as_str)).collect()
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status().expect("`kill` runs");
    assert!(sent.success());
}

/// Waits for what a kill would undo: the worker begins the next page while the store still commits the last one.
fn wait_until_kept(scratch: &Scratch) {
    let db = rusqlite::Connection::open(scratch.path("atlas.db")).expect("a database");
    let done = format!("SELECT count(*) >= {DONE} FROM atlas_jobs_state WHERE finished_at IS NOT NULL");
    let began = Instant::now();
    while !db.query_row(&done, (), |row| row.get::<_, bool>(0)).expect("counted") {
        assert!(began.elapsed() < Duration::from_mins(1), "the pages that are done are kept");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Ends a run by `name` while a page is under way, then runs the same call again.
fn ended_and_resumed(name: &str) -> (Ran, Ran) {
    let scratch = Scratch::new();
    let (addresses, waiting, server) = serve();
    let call = call(&addresses);
    let child =
        scratch.command(&call).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let held = waiting.recv().expect("a page is under way");
    wait_until_kept(&scratch);
    signal(&child, name);
    let first = Ran::of(child.wait_with_output().expect("ended"));
    let second = scratch.run(&call);
    assert_eq!(second.code, Some(0), "{}", second.err);
    let statuses: Vec<_> = second.pages().iter().map(|page| page["status"].clone()).collect();
    assert_eq!(statuses, vec!["complete"; PAGES], "every page, once");
    assert_eq!(second.pages().iter().filter(|page| page["reused"] == true).count(), DONE, "{}", second.out);
    let asked = server.join().expect("the server's count");
    assert_eq!(asked.len(), PAGES);
    for (path, times) in asked {
        assert_eq!(
            times,
            if path == held { 2 } else { 1 },
            "{path}: only the page that was under way is fetched again"
        );
    }
    (first, second)
}

#[test]
fn ctrl_c_keeps_what_is_done_and_the_same_call_goes_on() {
    let (first, _) = ended_and_resumed("INT");
    assert_eq!(first.code, Some(130), "{}", first.err);
    assert!(first.err.contains("Run the same command again"), "{}", first.err);
    let status = |wanted: &str| first.pages().iter().filter(|page| page["status"] == wanted).count();
    assert_eq!((status("complete"), status("waiting")), (DONE, PAGES - DONE), "{}", first.out);
}

#[test]
fn a_polite_signal_to_end_is_taken_like_ctrl_c() {
    let (first, _) = ended_and_resumed("TERM");
    assert_eq!(first.code, Some(130), "{}", first.err);
}

#[test]
fn a_kill_keeps_what_is_done_and_the_same_call_goes_on() {
    let (first, _) = ended_and_resumed("KILL");
    assert_eq!((first.code, first.out.as_str()), (None, ""), "killed: no exit code, nothing half-written");
}
