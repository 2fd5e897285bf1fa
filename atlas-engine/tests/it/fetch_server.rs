//! A web server on the loopback interface that says exactly what a test wants it to say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// What the server sends for a path.
pub(crate) enum Say {
    /// These bytes, then the connection is closed.
    Bytes(Vec<u8>),
    /// The first bytes, then the second again and again, until the client hangs up.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, then nothing; the connection stays open.
    ThenSilence(Vec<u8>),
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Listens on 127.0.0.1; `say` gets the path and the server's own address.
    pub(crate) async fn start(say: impl Fn(&str, SocketAddr) -> Say + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1".parse().unwrap(), say).await
    }

    pub(crate) async fn start_at(ip: IpAddr, say: impl Fn(&str, SocketAddr) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, say) = (Arc::clone(&connections), Arc::new(say));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, address, Arc::clone(&say)));
            }
        });
        Self { address, connections }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn answer(mut stream: TcpStream, address: SocketAddr, say: Arc<impl Fn(&str, SocketAddr) -> Say>) {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(read) => head.extend_from_slice(&buffer[..read]),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    // The client may hang up at any time: that is what is tested.
    let _ = match say(head.split(' ').nth(1).unwrap_or("/"), address) {
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
            stream.read(&mut buffer).await.map(|_| ())
        }
    };
}

/// A whole response with a length.
pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Say {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    Say::Bytes(bytes)
}

pub(crate) fn redirect(location: &str) -> Say {
    response("302 Found", &format!("Location: {location}\r\n"), b"")
}
