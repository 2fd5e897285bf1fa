//! A batch with live progress bars. Ctrl-C stops it and loses nothing: the same command goes on where it was.
//!
//! `cargo run --example jobs_batch -- [FILE]` keeps its jobs in FILE, default a temporary one. Without a terminal there
//! are no bars, and the example interrupts itself once to show that nothing is lost.

use atlas_jobs::batch::{Batch, BatchRule, BatchSpec, Child};
use atlas_jobs::{
    HandlerError, JobContext, JobManager, JobSpec, Maintenance, SqliteJobs, Worker, WorkerReport, handler_fn,
};
use atlas_schema::{IdempotencyKey, JobKind, JobStatus, Stage};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

type Error = Box<dyn std::error::Error>;

const CITIES: [(&str, u32); 3] = [("Lisbon", 30), ("Tallinn", 20), ("Kyoto", 25)];
const PAGES: u32 = 75;

/// One batch per city, and one over them: three of three must be complete.
fn plan() -> Result<BatchSpec, Error> {
    let mut cities = Vec::new();
    for (city, pages) in CITIES {
        let page = |n| JobSpec::new(JobKind::new("page")?, &format!("{city}/{n}")).map_err(Error::from);
        let pages: Result<Vec<_>, Error> = (0..pages).map(page).collect();
        let spec = BatchSpec::new(IdempotencyKey::new(format!("crawl:{city}"))?, pages?);
        // Some pages of a city may fail; most of them must not.
        let most = u64::try_from(spec.children.len() * 9 / 10)?;
        cities.push(Child::from(spec.with_rule(BatchRule::AtLeast(most))));
    }
    Ok(BatchSpec::new(IdempotencyKey::new("crawl")?, cities))
}

/// Works on the batch until it is over, `stop` fires, or `enough` pages have ended.
async fn run(file: &Path, stop: CancellationToken, enough: u64) -> Result<(JobStatus, WorkerReport), Error> {
    // A short lease: what a crash left behind is taken up again after a second.
    let store = Arc::new(SqliteJobs::open(file, Stage::Dev).await?);
    let jobs = JobManager::new(store.clone())?;
    // Made once, found by every later run.
    let batch = jobs.batch(plan()?).await?;
    let handler = handler_fn(|job: JobContext, page: String| async move {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(20)) => Ok(page.len()),
            () = job.cancelled().cancelled() => Err(HandlerError::cancelled()),
        }
    });
    let worker = Worker::builder(store.clone())
        .handler(JobKind::new("page")?, Arc::new(handler))
        .concurrency(8)
        .lease(Duration::from_secs(1))
        .poll_interval(Duration::from_millis(50))
        .grace(Duration::from_millis(100))
        .build()?;
    let done = stop.child_token();
    let maintenance = Maintenance::new(store)?.with_batches(Some(Duration::from_millis(50)));
    let working = tokio::spawn({
        let done = done.clone();
        async move { worker.run(done).await }
    });
    let upkeep = tokio::spawn({
        let done = done.clone();
        async move { maintenance.run(done).await }
    });
    let status = watch(&jobs, &batch, &stop, enough).await?;
    done.cancel();
    let report = working.await??;
    upkeep.await?;
    Ok((status, report))
}

/// Shows one bar per city until the whole is over or stopped.
async fn watch(jobs: &JobManager, whole: &Batch, stop: &CancellationToken, enough: u64) -> Result<JobStatus, Error> {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{prefix:>8} {bar:30} {pos}/{len} {msg}")?;
    let bar = |(name, pages): &(&'static str, u32)| {
        let bar = bars.add(ProgressBar::new(u64::from(*pages)).with_style(style.clone()).with_prefix(*name));
        if stderr().is_terminal() { bar } else { ProgressBar::hidden() }
    };
    let city_bars: Vec<ProgressBar> = CITIES.iter().map(bar).collect();
    loop {
        let mut ended = 0;
        for (city, bar) in whole.children.iter().zip(&city_bars) {
            if let Some(progress) = jobs.batch_progress(*city).await? {
                ended += progress.counts.ended();
                bar.set_position(progress.counts.ended());
                bar.set_message(format!("{} run", progress.counts.processing));
            }
        }
        let status = jobs.get(whole.id).await?.map_or(JobStatus::Pending, |job| job.status);
        if status.is_terminal() || stop.is_cancelled() || ended >= enough {
            bars.clear()?;
            return Ok(status);
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(50)) => {}
            () = stop.cancelled() => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let folder = tempfile::tempdir()?;
    let file = std::env::args_os().nth(1).map_or_else(|| folder.path().join("batch.db"), PathBuf::from);
    if !stderr().is_terminal() {
        // What Ctrl-C does, by itself: some of the work is done, none is lost.
        let (status, report) = run(&file, CancellationToken::new(), 10).await?;
        println!("interrupted after {} of {PAGES} pages", report.completed);
        assert!(status == JobStatus::Pending && report.completed >= 10);
    }
    let stop = CancellationToken::new();
    let signal = tokio::spawn({
        let stop = stop.clone();
        async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                stop.cancel();
            }
        }
    });
    let (status, _) = run(&file, stop.clone(), u64::MAX).await?;
    signal.abort();
    if stop.is_cancelled() {
        println!("stopped; run the same command again to go on");
        return Ok(());
    }
    assert_eq!(status, JobStatus::Completed);
    let jobs = JobManager::new(Arc::new(SqliteJobs::open(&file, Stage::Dev).await?))?;
    let whole = jobs.batch(plan()?).await?;
    assert!(!whole.created);
    let mut completed = 0;
    for city in whole.children {
        let progress = jobs.batch_progress(city).await?.ok_or("each city is a batch")?;
        assert_eq!((progress.missing(), progress.counts.failed), (0, 0));
        completed += progress.counts.completed;
    }
    println!("the batch is complete: {completed} of {PAGES} pages when it was decided, none twice");
    Ok(())
}
