//! The run itself: pages become jobs, a worker runs them, the ends are read back.
//!
//! A job's idempotency key is a hash of the page (address, and bytes if it is a file), the schema and this program's
//! version: what was done is found again, what changed is new. Each call has a queue of its own name, so that a worker
//! takes up what this very call left behind, and not the leftovers of another.

use crate::args::{Args, Format};
use crate::fetch::Pages;
use crate::outcome::{Done, State};
use crate::progress::Progress;
use crate::source::{Place, Source, hex};
use crate::{store, write};
use anyhow::{Context, Result, anyhow, bail};
use atlas_config::egress::EgressPolicy;
use atlas_engine::Engine;
use atlas_engine::fetch::{FileFetcher, HttpFetcher};
use atlas_engine::handler::ExtractHandler;
use atlas_jobs::store::JobRef;
use atlas_jobs::{Accepted, JobManager, JobSpec, ManagerError, Worker, WorkerError};
use atlas_schema::{
    ErrorCategory, ExtractionRequest, ExtractionResult, IdempotencyKey, JobId, JobKind, JobRecord, JobStatus,
    QueueName, Usd,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio_util::sync::CancellationToken;

/// A crash is noticed after so long: short, since one user waits for one process.
const LEASE: Duration = Duration::from_secs(5);
/// How long a store that fails is tried again before the run gives up.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long running pages may take to finish after an interruption.
const GRACE: Duration = Duration::from_secs(3);
/// How often the ends are looked for.
const LOOK: Duration = Duration::from_millis(50);
/// Jobs read at a time.
const CHUNK: usize = 64;

/// What `--allow-private` adds: RFC 1918 and RFC 4193, and loopback. Cloud metadata addresses stay refused.
const PRIVATE: [&str; 4] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// What became of the pages.
pub(crate) struct Finished {
    pub(crate) done: Vec<Done>,
    pub(crate) interrupted: bool,
}

/// Files below the folders of this call's pages, and the web by the caller's policy.
pub(crate) fn fetchers(args: &Args, sources: &[Source]) -> Result<Pages> {
    let files: BTreeSet<PathBuf> = sources
        .iter()
        .filter_map(|source| match &source.place {
            Place::File { path, .. } => path.parent().map(PathBuf::from),
            _ => None,
        })
        .collect();
    let policy = if args.allow_private { with_private()? } else { EgressPolicy::public_only() };
    let web = HttpFetcher::builder().with_policy(policy).build().context("the fetcher can't be made")?;
    Ok(Pages {
        files: FileFetcher::new(files).context("the folders of the pages can't be read: check their permissions")?,
        web,
        kept: Arc::default(),
        keep: args.format == Format::Html,
    })
}

/// The policy of `--allow-private`.
fn with_private() -> Result<EgressPolicy> {
    let mut policy = EgressPolicy::allowing_loopback();
    for net in PRIVATE {
        policy = policy.with_allowed(net.parse()?);
    }
    Ok(policy)
}

/// What to try for a page that the policy refused: nothing, if `--allow-private` would not let it pass either.
fn way_out(args: &Args, source: &Source) -> &'static str {
    let passes = |url| with_private().is_ok_and(|policy| policy.check_url(url).is_ok());
    if !args.allow_private && source.url().is_some_and(passes) {
        " (for your own network: --allow-private)"
    } else {
        ""
    }
}

/// What all pages cost, in US dollars: exactly nothing without a model.
pub(crate) fn cost(done: &[Done]) -> String {
    let costs = done.iter().filter_map(|page| page.data()?.cost);
    costs.filter_map(|cost| cost.settled.or(cost.estimated)).sum::<Usd>().to_string()
}

/// Enqueues, runs and reads back.
pub(crate) async fn all(args: &Args, sources: Vec<Source>, pages: Arc<Pages>) -> Result<Finished> {
    let (store, manager) = store::open(&args.db).await?;
    let stop = listen();
    let enqueued = enqueue(args, &sources, &manager, &stop).await?;
    let queues: BTreeSet<QueueName> = enqueued.iter().filter_map(Enqueued::waits_in).collect();
    if !queues.is_empty() && !stop.is_cancelled() {
        work(args, &enqueued, queues, &manager, pages, &stop).await?;
    }
    let done = read_back(args, sources, enqueued, &manager).await?;
    store::close(store, manager).await;
    Ok(Finished { done, interrupted: stop.is_cancelled() })
}

/// A page's place among the jobs.
enum Enqueued {
    /// No job: the page can't be used.
    Not { problem: String },
    /// No job yet: interrupted before it was made.
    Later,
    /// The job was done before this call.
    Before { job: JobId },
    /// The job waits or runs, in this queue.
    Now { job: JobId, queue: QueueName },
}

impl Enqueued {
    fn waits_in(&self) -> Option<QueueName> {
        match self {
            Self::Now { queue, .. } => Some(queue.clone()),
            _ => None,
        }
    }
}

/// Enqueues in batches; stops early, with the rest as it was, when interrupted.
async fn enqueue(
    args: &Args,
    sources: &[Source],
    manager: &JobManager,
    stop: &CancellationToken,
) -> Result<Vec<Enqueued>> {
    let queue = queue_of(sources)?;
    let fresh = if args.fresh { format!("{:?}", SystemTime::now()) } else { String::new() };
    let mut enqueued = Vec::with_capacity(sources.len());
    for batch in sources.chunks(CHUNK) {
        if stop.is_cancelled() {
            enqueued.extend(batch.iter().map(|source| match &source.place {
                Place::Unusable { problem } => Enqueued::Not { problem: problem.clone() },
                _ => Enqueued::Later,
            }));
            continue;
        }
        let mut specs = Vec::new();
        for source in batch {
            specs.extend(spec(args, source, &fresh, &queue)?);
        }
        let accepted = manager.enqueue_many(specs).await.map_err(|error| failed(error, args))?;
        let mut accepted = accepted.into_iter();
        for source in batch {
            enqueued.push(match (&source.place, source.url().and_then(|_| accepted.next())) {
                (Place::Unusable { problem }, _) => Enqueued::Not { problem: problem.clone() },
                (_, Some(accepted)) => resume(args, accepted, &queue, manager).await?,
                (_, None) => bail!("the job database answered for fewer pages than it was given: run again"),
            });
        }
    }
    Ok(enqueued)
}

/// The job of a page; none for a page that can't be used.
fn spec(args: &Args, source: &Source, fresh: &str, queue: &QueueName) -> Result<Option<JobSpec>> {
    let Some(url) = source.url() else { return Ok(None) };
    let mut request = ExtractionRequest::new(url.as_str(), source.shape.schema.clone());
    request.timeout_ms = args.timeout.saturating_mul(1000);
    let mut bytes = "";
    if let Place::File { sha256, published, .. } = &source.place {
        bytes = sha256;
        request.base_url = published.as_ref().map(ToString::to_string);
    }
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update(serde_json::to_vec(&request)?);
    for part in [bytes, fresh] {
        hash.update([0]);
        hash.update(part);
    }
    let key = IdempotencyKey::new(format!("extract:{}", hex(&hash.finalize())))?;
    let spec = ExtractHandler::job(&request)?.with_max_attempts(3).with_queue(queue.clone());
    Ok(Some(spec.with_idempotency_key(key)))
}

/// What there is to do for a job: nothing if it was done before; a failed one goes round again.
async fn resume(
    args: &Args,
    accepted: Result<Accepted, ManagerError>,
    queue: &QueueName,
    manager: &JobManager,
) -> Result<Enqueued> {
    let job = match accepted {
        Ok(Accepted::Created(job)) => return Ok(Enqueued::Now { job, queue: queue.clone() }),
        // The same page was part of another call: its job waits in that call's queue.
        Ok(Accepted::Existing(job)) | Err(ManagerError::Conflict { existing: job, differs: "queue" }) => job,
        Err(ManagerError::Rejected(reject)) => return Ok(Enqueued::Not { problem: reject.to_string() }),
        Err(error) => return Err(failed(error, args)),
    };
    let record = read(args, &[job], manager).await?.pop().flatten();
    let record = record.context("a job vanished from the database: run again")?;
    if record.status == JobStatus::Completed {
        return Ok(Enqueued::Before { job });
    }
    if record.status.is_terminal() {
        // It failed then; whatever was in the way may be gone.
        manager.redrive(job, "asked for again").await.map_err(|error| failed(error, args))?;
    }
    Ok(Enqueued::Now { job, queue: record.queue })
}

/// A queue of this call's own: the same pages and shapes give the same name.
fn queue_of(sources: &[Source]) -> Result<QueueName> {
    let mut hash = Sha256::new();
    for source in sources {
        hash.update(source.url().map(url::Url::as_str).unwrap_or_default());
        hash.update([0]);
        hash.update(&source.shape.name);
        hash.update([0]);
    }
    Ok(QueueName::new(format!("extract-{}", &hex(&hash.finalize())[..16]))?)
}

/// Runs a worker until every job has an end, or until `interrupt` fires.
async fn work(
    args: &Args,
    enqueued: &[Enqueued],
    queues: BTreeSet<QueueName>,
    manager: &JobManager,
    pages: Arc<Pages>,
    interrupt: &CancellationToken,
) -> Result<()> {
    let engine = Engine::builder().fetcher(pages).build().context("the engine can't be made")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let concurrency = args.concurrency.map_or(cores, usize::from);
    let mut builder = Worker::builder(manager.store().clone())
        .handler(JobKind::new(ExtractHandler::KIND)?, Arc::new(ExtractHandler::new(engine)))
        .concurrency(concurrency)
        .lease(LEASE)
        .patience(PATIENCE)
        .grace(GRACE);
    for queue in queues {
        builder = builder.queue(queue);
    }
    let worker = builder.build()?;
    let stop = CancellationToken::new();
    let mut running = tokio::spawn({
        let stop = stop.clone();
        async move { worker.run(stop).await }
    });
    let ended = tokio::select! {
        ended = ends(args, enqueued, manager) => ended,
        () = interrupt.cancelled() => Ok(()),
        // It ends by itself only when the store does not answer any more.
        result = &mut running => {
            let error = result.map_err(anyhow::Error::from).and_then(|result| result.map_err(anyhow::Error::from));
            return Err(match error {
                Err(error) => error.context(format!("the work stopped; what is done is in {}", args.db.display())),
                Ok(_) => anyhow!("the worker stopped early: run the same command again"),
            });
        },
    };
    stop.cancel();
    running.await?.map_err(|error| worker_failed(error, args))?;
    ended
}

/// Waits until all jobs have an end, and shows how far they are.
async fn ends(args: &Args, enqueued: &[Enqueued], manager: &JobManager) -> Result<()> {
    let mut open: VecDeque<JobId> = VecDeque::new();
    open.extend(enqueued.iter().filter_map(|job| if let Enqueued::Now { job, .. } = job { Some(*job) } else { None }));
    let mut failed = enqueued.iter().filter(|job| matches!(job, Enqueued::Not { .. })).count();
    let mut progress = Progress::new(enqueued.len());
    let mut tick = tokio::time::interval(LOOK);
    while !open.is_empty() {
        tick.tick().await;
        // Jobs run in order, so the ends are near the front; only those are looked at.
        loop {
            let front: Vec<JobId> = open.iter().take(CHUNK).copied().collect();
            let before = open.len();
            for record in read(args, &front, manager).await?.into_iter().flatten() {
                if record.status.is_terminal() {
                    open.retain(|job| *job != record.id);
                    failed += usize::from(record.status != JobStatus::Completed);
                }
            }
            progress.at(enqueued.len() - open.len(), failed);
            if open.is_empty() || before - open.len() < front.len() {
                break;
            }
        }
    }
    progress.end();
    Ok(())
}

async fn read(args: &Args, jobs: &[JobId], manager: &JobManager) -> Result<Vec<Option<JobRecord>>> {
    let references = jobs.iter().map(|job| JobRef::Id(*job)).collect();
    manager.store().get(references).await.map_err(|error| store::explain(&error, &args.db))
}

/// Fires at the first Ctrl-C or polite signal to end. The second does not wait: leases run out by themselves.
fn listen() -> CancellationToken {
    let stop = CancellationToken::new();
    let fires = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = interrupted().await {
            write::note(&format!("note: Ctrl-C ends this run at once ({error}); a later run resumes it all the same"));
            return;
        }
        let grace = GRACE.as_secs();
        write::note(&format!("Stopping: pages under way get {grace} seconds. Ctrl-C again stops at once."));
        fires.cancel();
        if interrupted().await.is_ok() {
            std::process::exit(i32::from(crate::INTERRUPTED));
        }
    });
    stop
}

async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            signal = tokio::signal::ctrl_c() => signal?,
            _ = terminate.recv() => {},
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await?;
    Ok(())
}

async fn read_back(
    args: &Args,
    sources: Vec<Source>,
    enqueued: Vec<Enqueued>,
    manager: &JobManager,
) -> Result<Vec<Done>> {
    let mut done = Vec::with_capacity(sources.len());
    for (source, enqueued) in sources.into_iter().zip(enqueued) {
        let state = match enqueued {
            Enqueued::Not { problem } => State::Failed { job: None, reason: problem },
            Enqueued::Later => State::Waiting { job: None },
            Enqueued::Before { job } | Enqueued::Now { job, .. } => {
                let record = read(args, &[job], manager).await?.pop().flatten();
                let record = record.context("a job vanished from the database: run again")?;
                state(record, matches!(enqueued, Enqueued::Before { .. }), way_out(args, &source))
            }
        };
        done.push(Done { source, state });
    }
    Ok(done)
}

fn state(record: JobRecord, reused: bool, way_out: &str) -> State {
    let job = record.id;
    match (record.status, record.result) {
        (JobStatus::Completed, Some(result)) => match serde_json::from_value::<ExtractionResult>(result) {
            Ok(result) => State::Result { job, result: Box::new(result), reused },
            Err(_) => State::Failed { job: Some(job), reason: "its stored result can't be read: use --fresh".into() },
        },
        (JobStatus::Pending | JobStatus::Processing, _) => State::Waiting { job: Some(job) },
        (status, _) => {
            let reason = match record.error {
                Some(error) if error.category == ErrorCategory::Forbidden => {
                    format!("{}{way_out}", error.message)
                }
                Some(error) => error.message,
                None => format!("the job ended as {}", status.as_str()),
            };
            State::Failed { job: Some(job), reason }
        }
    }
}

fn failed(error: ManagerError, args: &Args) -> anyhow::Error {
    match error {
        ManagerError::Store(error) => store::explain(&error, &args.db),
        error => error.into(),
    }
}

fn worker_failed(error: WorkerError, args: &Args) -> anyhow::Error {
    anyhow::Error::from(error).context(format!("the work stopped; what is done is in {}", args.db.display()))
}
