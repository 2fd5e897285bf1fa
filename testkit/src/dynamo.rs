//! A server that speaks DynamoDB's protocol, in memory, on a free port of this machine.
//!
//! A shell stands between the test and the server and reads a pipe that only the test holds: whenever the test's
//! process ends, even killed, the pipe closes and the shell stops the server.

use crate::dynamo_program;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Names a running server instead: its address, such as `http://127.0.0.1:8000`.
pub const VARIABLE: &str = "ATLAS_TEST_DYNAMODB";

/// What the shell runs: `$1` is the program, `$2` the port. It prints a line once the server has ended.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
"$1" --host 127.0.0.1 --port "$2" --log quiet >/dev/null 2>&1 &
server=$!
(wait_for_end() { while kill -0 "$server" 2>/dev/null; do sleep 0.2; done; echo ended; }; wait_for_end) &
watcher=$!
read -r order
kill -9 "$server" "$watcher" 2>/dev/null
"#;

/// A server of our own.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    input: Option<ChildStdin>,
    child: Child,
}

impl Server {
    /// Starts one, in a few hundredths of a second. Panics with what is missing if it can't.
    pub fn start() -> Self {
        let program = dynamo_program::path();
        assert!(program.is_file(), "{} is not there: `cargo xtask test` builds it", program.display());
        // Between finding a free port and the server's taking it, someone else may: then another one is tried.
        (0..5).find_map(|_| Self::try_start(&program)).expect("a server of DynamoDB on a free port")
    }

    fn try_start(program: &Path) -> Option<Self> {
        let free = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = free.local_addr().expect("its address");
        drop(free);
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "atlas-dynamodb"]).arg(program).arg(address.port().to_string()).current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let input = child.stdin.take();
        let output = child.stdout.take().expect("its output");
        let server = Self { address, input, child };
        let (ended, has_ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut word = String::new();
            let _ = BufReader::new(output).read_line(&mut word);
            let _ = ended.send(());
        });
        // Started under load it may take a while; what has ended never answers.
        for _ in 0..600 {
            if answers(address) {
                return Some(server);
            }
            if has_ended.recv_timeout(Duration::from_millis(50)).is_ok() {
                return None;
            }
        }
        None
    }

    /// Its address, for the endpoint of a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Whether what listens there speaks HTTP.
fn answers(address: SocketAddr) -> bool {
    let talk = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok(&start == b"HTTP/")
    };
    talk().unwrap_or(false)
}

/// The address of a server: the one that [`VARIABLE`] names, or one for this process, started by the first call.
pub fn shared() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    match std::env::var(VARIABLE) {
        Ok(url) => url,
        Err(_) => SHARED.get_or_init(Server::start).url(),
    }
}

/// Whether tests can have a server.
pub fn is_available() -> bool {
    std::env::var_os(VARIABLE).is_some() || dynamo_program::path().is_file()
}

#[cfg(test)]
mod tests {
    crate::with_dynamodb! {
        #[test]
        fn a_server_answers_and_ends_with_its_owner() {
            let server = super::Server::start();
            let address = server.address;
            assert!(super::answers(address));
            drop(server);
            assert!(!super::answers(address));
        }
    }
}
