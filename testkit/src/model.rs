//! A server that speaks `OpenAI`'s protocol over a small model: llama.cpp's, on one thread and a free port of this machine.
//!
//! A shell stands between the test and the server and reads a pipe that only the test holds: whenever the test's
//! process ends, even killed, the pipe closes and the shell stops the server.

use crate::model_program;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

/// Names a running server instead: its address, such as `http://127.0.0.1:8080`. It must serve the same model.
pub const VARIABLE: &str = "ATLAS_TEST_MODEL_SERVER";
/// The key of the server that [`VARIABLE`] names. Default: [`KEY`].
pub const KEY_VARIABLE: &str = "ATLAS_TEST_MODEL_KEY";
/// Names the server that a test run has started for all of its processes: see [`shared`].
pub const OF_THE_RUN: &str = "ATLAS_TESTKIT_MODEL_SERVER";
/// The key of our servers. It protects nothing: they listen on the loopback interface only.
pub const KEY: &str = "sk-atlas-local";
/// The name of the model.
pub const MODEL: &str = "gemma-270m";

/// What Python runs.
const PROGRAM: &str = include_str!("../model/server.py");

/// What the shell runs: `$1` is Python, `$2` its program, the rest its arguments. Only the server holds the shell's output, so that
/// the output ends with it.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
python=$1
shift
"$python" -c "$@" &
exec >/dev/null
read -r order
kill -9 "$!" 2>/dev/null
wait "$!" 2>/dev/null
"#;

/// Loading takes seconds; on a crowded machine it takes more.
const START: Duration = Duration::from_mins(5);

/// Where a server is and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Its address, such as `http://127.0.0.1:8080`: `OpenAI`'s paths are under `/v1` there.
    pub url: String,
    /// Its key.
    pub key: String,
}

/// A server of our own.
#[derive(Debug)]
pub struct Server {
    url: String,
    input: Option<ChildStdin>,
    child: Child,
    /// Ends when the server does.
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts one on a free port, in some seconds. Panics with what is missing if it can't.
    pub fn start() -> Self {
        Self::start_on(0)
    }

    /// Starts one on that port; 0 is a free one.
    pub fn start_on(port: u16) -> Self {
        let folder = model_program::folder();
        assert!(model_program::is_there(), "{} is not there: `cargo xtask test` fetches it", folder.display());
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "atlas-model"]).arg(model_program::python(&folder)).arg(PROGRAM);
        command.arg(model_program::model(&folder)).arg(port.to_string()).current_dir("/").env("ATLAS_MODEL_KEY", KEY);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let (told, tells) = channel();
        let reader = std::thread::spawn(move || {
            // To its end, so that the server never waits for somebody to read.
            for line in output.lines().map_while(Result::ok) {
                if let Some(url) = line.strip_prefix("listening ") {
                    let _ = told.send(url.to_owned());
                }
            }
        });
        let mut server = Self { url: String::new(), input: child.stdin.take(), child, reader: Some(reader) };
        server.url = tells.recv_timeout(START).expect("the model server did not start: see above");
        server
    }

    /// Where it is.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.url.clone(), key: KEY.to_owned() }
    }

    /// Waits until it ends by itself.
    pub fn wait(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// The server that [`VARIABLE`] names.
pub fn named() -> Option<Endpoint> {
    let url = std::env::var(VARIABLE).ok()?;
    Some(Endpoint { url, key: std::env::var(KEY_VARIABLE).unwrap_or_else(|_| KEY.to_owned()) })
}

/// A server that tests share: the one that [`VARIABLE`] names, or that of the test run, or one for this process, started by the
/// first call.
pub fn shared() -> Endpoint {
    static SHARED: OnceLock<Server> = OnceLock::new();
    let of_the_run = || Some(Endpoint { url: std::env::var(OF_THE_RUN).ok()?, key: KEY.to_owned() });
    named().or_else(of_the_run).unwrap_or_else(|| SHARED.get_or_init(Server::start).endpoint())
}

/// Whether tests can have a server.
pub fn is_available() -> bool {
    std::env::var_os(VARIABLE).is_some() || model_program::is_there()
}

#[cfg(test)]
mod tests {
    crate::with_model_server! {
        #[test]
        fn a_server_answers_and_ends_with_its_owner() {
            let server = super::Server::start();
            let address = server.url.strip_prefix("http://").expect("an address of HTTP").to_owned();
            let connects = || std::net::TcpStream::connect(&address).is_ok();
            assert!(connects());
            drop(server);
            assert!(!connects());
        }
    }
}
