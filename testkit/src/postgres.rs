//! A PostgreSQL server in a temporary folder.
//!
//! It listens on a Unix socket only, so no port is taken. A shell stands between the test and the server and reads a
//! pipe that only the test holds: whenever the test's process ends, even killed, the pipe closes, the shell stops the
//! server and removes its folder.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Names a running server instead: a connection string, such as `host=/run/postgresql user=postgres dbname=postgres`.
pub const VARIABLE: &str = "ATLAS_TEST_POSTGRES";

/// Names the server that a test run has started for all of its processes: see [`shared`].
pub const OF_THE_RUN: &str = "ATLAS_TESTKIT_POSTGRES";

/// Settings of our servers. Durable, as in production; a little more room than the defaults, so that checkpoints do not
/// come in the middle of what is measured.
const SETTINGS: &str = "listen_addresses = ''
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
checkpoint_timeout = 30min
";

/// What the shell runs. `$1` binaries, `$2` settings. It prints its folder once the server answers.
const SCRIPT: &str = r#"
set -eu
folder=$(mktemp -d "${TMPDIR:-/tmp}/atlas-pg.XXXXXX")
trap 'rm -rf "$folder"' EXIT
trap '' INT TERM HUP
cd "$folder"
"$1/initdb" -D data -A trust -U postgres --no-sync --no-locale -E UTF8 >init.log 2>&1 || { cat init.log >&2; exit 1; }
printf '%s' "$2" >>data/postgresql.conf
start() { "$1/pg_ctl" -D data -l server.log -w -t 60 -o "-k $folder" "$2" -m immediate >ctl.log 2>&1 || { cat ctl.log server.log >&2; exit 1; }; }
start "$1" start
echo "$folder"
while read -r order; do
  case "$order" in
    restart) start "$1" restart; echo done ;;
    stop) "$1/pg_ctl" -D data -m immediate stop >ctl.log 2>&1 || true; echo done ;;
    start) start "$1" start; echo done ;;
    pid) head -1 data/postmaster.pid ;;
  esac
done
"$1/pg_ctl" -D data -m immediate stop >/dev/null 2>&1 || true
"#;

/// A server of our own.
#[derive(Debug)]
pub struct Server {
    folder: PathBuf,
    shell: Mutex<(Option<ChildStdin>, BufReader<std::process::ChildStdout>)>,
    child: Mutex<Child>,
}

impl Server {
    /// Starts one, in a second or two. Panics with what is missing if it can't.
    pub fn start() -> Self {
        let binaries = binaries().expect("PostgreSQL is not installed (Debian: apt-get install postgresql)");
        let mut command = shell();
        command.args(["-c", SCRIPT, "atlas-postgres"]).arg(binaries).arg(SETTINGS).current_dir("/");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell");
        let input = child.stdin.take().expect("its input");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let folder = line(&mut output);
        assert!(!folder.is_empty(), "the server did not start: see above");
        Self { folder: folder.into(), shell: Mutex::new((Some(input), output)), child: Mutex::new(child) }
    }

    /// How to connect to it, to its database `postgres`, as its superuser.
    pub fn url(&self) -> String {
        format!("host={} user=postgres dbname=postgres", self.folder.display())
    }

    /// The folder of its socket, its data (`data`) and its log (`server.log`).
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Kills it and starts it again: it recovers as after a power cut.
    pub fn restart_immediately(&self) {
        assert_eq!(self.order("restart"), "done", "the server did not come back: see above");
    }

    /// Kills it.
    pub fn stop_immediately(&self) {
        assert_eq!(self.order("stop"), "done");
    }

    /// Starts it after [`stop_immediately`](Self::stop_immediately).
    pub fn start_again(&self) {
        assert_eq!(self.order("start"), "done", "the server did not come back: see above");
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.order("pid").parse().expect("a process id")
    }

    fn order(&self, order: &str) -> String {
        let mut shell = self.shell.lock().expect("no test panicked in here");
        writeln!(shell.0.as_ref().expect("open until dropped"), "{order}").expect("the shell lives");
        line(&mut shell.1)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let (Ok(shell), Ok(child)) = (self.shell.get_mut(), self.child.get_mut()) {
            // The end of its input ends the shell's loop.
            drop(shell.0.take());
            let _ = child.wait();
        }
    }
}

fn line(output: &mut BufReader<std::process::ChildStdout>) -> String {
    let mut text = String::new();
    output.read_line(&mut text).expect("the shell's word");
    text.trim().to_owned()
}

/// How to connect to a server that tests share: the one that [`VARIABLE`] names, or that of the test run, or one for this
/// process, started by the first call.
pub fn shared() -> String {
    static SHARED: OnceLock<Server> = OnceLock::new();
    let named = std::env::var(VARIABLE).or_else(|_| std::env::var(OF_THE_RUN));
    named.unwrap_or_else(|_| SHARED.get_or_init(Server::start).url())
}

/// Whether tests can have a server.
pub fn is_available() -> bool {
    std::env::var_os(VARIABLE).is_some() || binaries().is_some()
}

/// The folder of the server's programs: Debian keeps them out of the path.
pub fn binaries() -> Option<PathBuf> {
    let packaged = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = packaged.map(|version| version.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    folders.into_iter().find(|folder| ["initdb", "postgres", "pg_ctl"].iter().all(|name| folder.join(name).is_file()))
}

/// A shell as a user that the server accepts: it refuses root.
fn shell() -> Command {
    let output = Command::new("id").arg("-u").output().expect("`id`");
    if output.stdout.trim_ascii() != b"0" {
        return Command::new("sh");
    }
    let known = |user: &str| Command::new("id").arg(user).output().is_ok_and(|output| output.status.success());
    let user = if known("postgres") { "postgres" } else { "nobody" };
    let mut command = Command::new("runuser");
    command.args(["-u", user, "--", "sh"]);
    command
}

#[cfg(test)]
mod tests {
    crate::with_postgres! {
        #[test]
        fn a_server_answers_restarts_and_leaves_nothing_behind() {
            let server = super::Server::start();
            let first = server.pid();
            server.restart_immediately();
            assert_ne!(server.pid(), first);
            let folder = server.folder().to_path_buf();
            assert!(folder.is_dir());
            drop(server);
            assert!(!folder.exists());
        }
    }
}
