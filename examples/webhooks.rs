//! Webhooks from both sides, on loopback: a job ends, its callback is delivered, the receiver verifies it and refuses
//! what it must not believe.

use atlas_config::egress::EgressPolicy;
use atlas_jobs::webhook::{
    HttpWebhookSender, JobEvent, TOLERANCE, Unverified, WebhookDeliverer, WebhookEvent, WebhookSecret, verify,
};
use atlas_jobs::{
    Clock, HandlerError, JobContext, JobManager, JobSpec, Maintenance, MemoryJobs, RetryPolicy, SystemClock, Worker,
    handler_fn,
};
use atlas_schema::{Callback, JobKind, JobStatus, Stage};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

type Error = Box<dyn std::error::Error>;

/// A request as any HTTP library gives it.
#[derive(Debug)]
struct Received {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Reads one request. A host would use its web framework.
async fn read(socket: &mut TcpStream) -> Result<Received, Error> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end])?;
            let fields = head.lines().skip(1).filter_map(|line| line.split_once(": "));
            let headers: BTreeMap<_, _> =
                fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
            let length: usize = headers.get("content-length").ok_or("no length")?.parse()?;
            if bytes.len() >= end + 4 + length {
                return Ok(Received { headers, body: bytes[end + 4..end + 4 + length].to_vec() });
            }
        }
        if bytes.len() > 1 << 20 || socket.read_buf(&mut bytes).await? == 0 {
            return Err("no whole request".into());
        }
    }
}

/// The receiver: verifies, remembers ids, answers. It is down for the first request, so that there is a second.
async fn receive(listener: TcpListener, secret: WebhookSecret) -> Result<(Received, JobEvent), Error> {
    let (mut socket, _) = listener.accept().await?;
    read(&mut socket).await?;
    socket.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await?;
    drop(socket);

    let mut seen = HashSet::new();
    loop {
        let (mut socket, _) = listener.accept().await?;
        let received = read(&mut socket).await?;
        let header = |name: &str| received.headers.get(name).map(String::as_str);
        let now = SystemClock::new().now().wall;
        // Before anything is parsed, and over the very bytes that came.
        if verify(header, &received.body, std::slice::from_ref(&secret), now, TOLERANCE).is_err() {
            socket.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        }
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        // At least once: the same id may come again, and means the same event.
        if seen.insert(header("webhook-id").unwrap_or_default().to_owned()) {
            let event: WebhookEvent = serde_json::from_slice(&received.body)?;
            assert_eq!((event.event_type.as_str(), event.version), ("job.completed", 1));
            return Ok((received, serde_json::from_value(event.data)?));
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let secret = WebhookSecret::generate()?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}/hooks/jobs", listener.local_addr()?);
    let receiver = receive(listener, secret.clone());

    let store = Arc::new(MemoryJobs::new(Stage::Dev));
    let jobs = JobManager::new(store.clone())?;
    let greet = JobKind::new("greet")?;
    let job = jobs.enqueue(JobSpec::new(greet.clone(), &"Ann")?.with_callback(Callback { url })).await?.id();
    let handler =
        handler_fn(|_: JobContext, name: String| async move { Ok::<_, HandlerError>(format!("hello {name}")) });
    let worker = Worker::builder(store.clone()).handler(greet, Arc::new(handler)).stop_when_drained(true).build()?;
    worker.run(CancellationToken::new()).await?;

    // Only public addresses are dialled by default; this receiver is on loopback, which is allowed by hand.
    let sender = HttpWebhookSender::builder().with_policy(EgressPolicy::allowing_loopback()).build()?;
    let deliverer = WebhookDeliverer::builder(store.clone(), Arc::new(sender), vec![secret.clone()])
        .retry(RetryPolicy::new(Duration::from_millis(20), Duration::from_secs(1)))
        .poll_interval(Duration::from_millis(20))
        .with_results_up_to(1024)
        .build()?;
    let shutdown = CancellationToken::new();
    let maintenance = Maintenance::new(store)?.with_webhooks(deliverer);
    let upkeep = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { maintenance.run(shutdown).await }
    });
    let (received, event) = tokio::time::timeout(Duration::from_secs(30), receiver).await??;
    shutdown.cancel();
    let report = upkeep.await?.webhooks;
    assert_eq!((report.delivered, report.failed, report.given_up), (1, 1, 0));
    assert_eq!((event.job_id, event.status), (job, JobStatus::Completed));
    assert_eq!(event.result, Some("hello Ann".into()));
    println!("job {job} is {}: the receiver knows, at the second try", event.status.as_str());

    // The same request again, six minutes later, or with another body, or under another secret.
    let header = |name: &str| received.headers.get(name).map(String::as_str);
    let now = SystemClock::new().now().wall;
    let check =
        |body: &[u8], secret: &WebhookSecret, now| verify(header, body, std::slice::from_ref(secret), now, TOLERANCE);
    let later = now.saturating_add(Duration::from_mins(6));
    assert_eq!(check(&received.body, &secret, now), Ok(()));
    assert_eq!(check(&received.body, &secret, later), Err(Unverified::TooOld));
    assert_eq!(check(b"{}", &secret, now), Err(Unverified::Signature));
    assert_eq!(check(&received.body, &WebhookSecret::generate()?, now), Err(Unverified::Signature));
    println!("a replay after six minutes, another body and another secret are refused");
    Ok(())
}
