//! A server that keeps what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// What the server sends to every request.
#[derive(Clone)]
pub(super) enum Say {
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// The first bytes, then the second again and again, until the client hangs up.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, then nothing; the connection stays open.
    ThenSilence(Vec<u8>),
}

/// A request as it came: its head, in lower case up to the colons, and its body.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) head: String,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

pub(super) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    silent: watch::Receiver<Silence>,
}

/// How a connection stands to which nothing more is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Silence {
    /// There is none yet.
    NotYet,
    /// All was said, and the client is on the line.
    Waiting,
    /// The client hung up.
    HungUp,
}

impl Server {
    pub(super) async fn start(say: Say) -> Self {
        Self::start_each(vec![say]).await
    }

    /// Says the first to the first connection, and so on; the last one to all that come after.
    pub(super) async fn start_each(mut says: Vec<Say>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (known, (silence, silent)) = (Arc::clone(&asked), watch::channel(Silence::NotYet));
        tokio::spawn(async move {
            says.reverse();
            while let Ok((stream, _)) = listener.accept().await {
                let last = if says.len() > 1 { says.pop() } else { says.last().cloned() };
                let Some(say) = last else { return };
                tokio::spawn(answer(stream, say, Arc::clone(&known), silence.clone()));
            }
        });
        Self { address, asked, silent }
    }

    /// Waits until a connection stands so.
    pub(super) async fn until(&self, silence: Silence) {
        self.silent.clone().wait_for(|now| *now == silence).await.unwrap();
    }

    /// Answers with that status, those header lines and that body.
    pub(super) async fn saying(status: u16, headers: &str, body: &str) -> Self {
        Self::start(response(status, headers, body.as_bytes())).await
    }

    pub(super) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

pub(super) fn response(status: u16, headers: &str, body: &[u8]) -> Say {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
    Say::Bytes([head.as_bytes(), body].concat())
}

/// An event stream of those parts, which come to the client one by one, and without its end if it is cut.
pub(super) fn events<'a>(parts: impl IntoIterator<Item = &'a [u8]>, is_cut: bool) -> Say {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nx-request-id: req_7\r\n\
        Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    if !is_cut {
        bytes.extend(b"0\r\n\r\n");
    }
    Say::Bytes(bytes)
}

async fn answer(mut stream: TcpStream, say: Say, asked: Arc<Mutex<Vec<Asked>>>, silence: watch::Sender<Silence>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let whole = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let asked = Asked { head, body: String::new() };
            let length: usize = asked.header("content-length").map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= at + 4 + length {
                break Asked { body: String::from_utf8(bytes[at + 4..].to_vec()).unwrap(), ..asked };
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    };
    asked.lock().unwrap().push(whole);
    // The client may hang up at any time: that is what is tested.
    let _ = match say {
        Say::Bytes(bytes) => stream.write_all(&bytes).await,
        Say::Endless(start, rest) => {
            let mut result = stream.write_all(&start).await;
            while result.is_ok() {
                result = stream.write_all(&rest).await;
            }
            result
        }
        Say::ThenSilence(bytes) => {
            let _ = stream.write_all(&bytes).await;
            silence.send_replace(Silence::Waiting);
            let end = stream.read(&mut buffer).await.map(|_| ());
            silence.send_replace(Silence::HungUp);
            end
        }
    };
}
