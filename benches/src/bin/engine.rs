//! Pages a second on one core: parsing alone, and parsing with the direct strategy; extruct beside them if installed.
//!
//! `engine [DIR] [--json]`: every `.html` and `.html.gz` below DIR, in memory and decompressed; without DIR the bundled
//! sample pages. The peer runs by `ATLAS_PEER_PYTHON` (default `python3`) if that can import extruct.

use anyhow::{Context, Result};
use atlas_benches::{Row, report};
use atlas_engine::page::{Page, ParseOptions};
use atlas_engine::{Engine, types};
use atlas_schema::ExtractionRequest;
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The direct strategy's rate may not fall below this share of parsing alone.
const RATIO: f64 = 0.55;
/// Turns that each rival takes.
const ROUNDS: u32 = 3;

fn main() -> Result<ExitCode> {
    let given = std::env::args().skip(1).find(|arg| !arg.starts_with("--"));
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/pages");
    let mut paths = Vec::new();
    collect(Path::new(given.as_deref().unwrap_or(samples)), &mut paths)?;
    paths.sort();
    let pages: Vec<Vec<u8>> = paths.iter().map(|path| load(path)).collect::<Result<_>>()?;
    anyhow::ensure!(!pages.is_empty(), "there are no pages: name a directory with .html or .html.gz files");
    let bytes: usize = pages.iter().map(Vec::len).sum();

    let engine = Engine::default();
    let request = ExtractionRequest::new("https://example.com/", types::by_name("recipe").context("no such type")?);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let options = ParseOptions::default();
    let parse =
        || pages.iter().filter_map(|page| Page::parse(page, &options).ok()).map(|page| page.len()).sum::<usize>();
    let direct = || {
        let read = pages.iter().filter_map(|page| Page::parse(page, &options).ok());
        read.filter_map(|page| runtime.block_on(engine.extract_page(&page, &request)).ok())
            .map(|r| r.data.len())
            .sum::<usize>()
    };
    let (mut parsing, mut reading) = (Duration::MAX, Duration::MAX);
    // The first round warms up; the best turn is the one that other programs disturbed least.
    for round in 0..=ROUNDS {
        let (one, other) = (timed(&parse), timed(&direct));
        if round > 0 {
            parsing = parsing.min(one);
            reading = reading.min(other);
        }
    }
    let rate = |time: Duration| f64::from(u32::try_from(pages.len()).unwrap_or(u32::MAX)) / time.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "a size in megabytes needs no more digits")]
    let megabytes = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    let mut direct_row = Row::new("engine/direct", rate(reading), "pages/s");
    let peer = extruct(&paths)?;
    match peer {
        Some(peer) => direct_row = direct_row.at_least(peer).peer(peer),
        None => eprintln!("peer extruct is not installed: see benches/peers/extruct/requirements.txt"),
    }
    let rows = [
        Row::new("engine/parse-only", rate(parsing), "pages/s"),
        Row::new("engine/parse-only-bytes", megabytes(parsing), "MB/s"),
        direct_row,
        Row::new("engine/direct-bytes", megabytes(reading), "MB/s"),
        Row::new("engine/direct-to-parse", rate(reading) / rate(parsing), "ratio").at_least(RATIO),
    ];
    Ok(report(&rows))
}

fn timed(work: &impl Fn() -> usize) -> Duration {
    let started = Instant::now();
    black_box(work());
    started.elapsed()
}

fn collect(at: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(at).with_context(|| format!("{} cannot be listed", at.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, paths)?;
        } else if is_page(&path) {
            paths.push(path);
        }
    }
    Ok(())
}

fn is_page(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    Path::new(name).extension().is_some_and(|end| end == "html")
}

fn load(path: &Path) -> Result<Vec<u8>> {
    let raw = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if path.extension().is_none_or(|end| end != "gz") {
        return Ok(raw);
    }
    let mut page = Vec::new();
    flate2::read::MultiGzDecoder::new(raw.as_slice()).read_to_end(&mut page)?;
    Ok(page)
}

/// The peer's rate on the same pages; `None` if it is not installed.
fn extruct(paths: &[PathBuf]) -> Result<Option<f64>> {
    let python = std::env::var("ATLAS_PEER_PYTHON").unwrap_or_else(|_| "python3".into());
    let installed = Command::new(&python).args(["-c", "import extruct"]).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/extruct/bench.py");
    let mut child = Command::new(&python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        for path in paths {
            writeln!(stdin, "{}", path.display())?;
        }
    }
    let output = child.wait_with_output()?;
    anyhow::ensure!(output.status.success(), "the peer ended with an error");
    Ok(Some(String::from_utf8_lossy(&output.stdout).trim().parse()?))
}
