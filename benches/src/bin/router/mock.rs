//! A provider on the loopback interface: this program, started once more, that gives the same reply to every request.

use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What starts the program as the provider.
pub(crate) const ARG: &str = "mock";

/// The provider's process. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Mock {
    child: Child,
    url: String,
}

impl Mock {
    /// Starts it and waits for its address.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg(ARG).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        BufReader::new(child.stdout.take().context("the mock's words")?).read_line(&mut url)?;
        Ok(Self { child, url: url.trim_end().to_owned() })
    }

    /// Its base address, such as `http://127.0.0.1:4000/v1`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        // One that has ended can't be killed, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves until whoever started it has ended.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}/v1", listener.local_addr()?);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client may hang up whenever it likes.
                tokio::spawn(async move { drop(answer(stream).await) });
            }
        });
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        Ok(())
    })
}

/// As a provider replies: some fields that nobody reads, and usage that is below what the prompts were counted at.
fn reply() -> Vec<u8> {
    let body = serde_json::json!({
        "id": "chatcmpl-BenchBenchBenchBenchBenchBench",
        "object": "chat.completion",
        "created": 1_795_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "There are 14 products on the page; two of them have no price and were left out.",
                "refusal": null,
                "annotations": [],
            },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 180,
            "completion_tokens": 19,
            "total_tokens": 199,
            "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
            "completion_tokens_details": {
                "reasoning_tokens": 0,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0000000000",
    })
    .to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_bench\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head, body].concat().into_bytes()
}

async fn answer(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let (reply, mut bytes) = (reply(), Vec::with_capacity(16 * 1024));
    loop {
        let (body, length) = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break (at + 4, length(&bytes[..at]));
            }
            more(&mut stream, &mut bytes).await?;
        };
        while bytes.len() < body + length {
            more(&mut stream, &mut bytes).await?;
        }
        bytes.drain(..body + length);
        stream.write_all(&reply).await?;
    }
}

async fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<()> {
    let read = stream.read_buf(bytes).await?;
    anyhow::ensure!(read > 0, "the client hung up");
    Ok(())
}

/// How long the body is that belongs to a head.
fn length(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head);
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    head.lines().find_map(field).unwrap_or(0)
}
