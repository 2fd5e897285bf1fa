//! Running the engine over pages in memory, on one thread, with the clock on parsing and extracting only.

use anyhow::{Context, Result};
use atlas_engine::Engine;
use atlas_engine::page::{Page, ParseOptions};
use atlas_schema::{ExtractionRequest, ExtractionResult};
use serde_json::Value;
use std::time::{Duration, Instant};
use url::Url;

/// A page in memory.
#[derive(Debug)]
pub(crate) struct Document {
    /// The host, or what stands for it: pages of one group are drawn together.
    pub(crate) group: String,
    pub(crate) url: Url,
    pub(crate) bytes: Vec<u8>,
}

/// One engine, one thread.
pub(crate) struct Runner {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
}

/// What one page gave.
pub(crate) struct Extracted {
    pub(crate) page: Page,
    pub(crate) result: ExtractionResult,
}

/// How long a run took, and how many pages gave an error instead of a result.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    spent: Duration,
    pages: u32,
    pub(crate) failed: u32,
}

impl Clock {
    /// Pages per second of parsing and extracting.
    pub(crate) fn rate(&self) -> Option<f64> {
        let seconds = self.spent.as_secs_f64();
        (seconds > 0.0).then(|| f64::from(self.pages) / seconds)
    }
}

impl Clock {
    /// Says on standard error how many pages were refused, if any were.
    pub(crate) fn report(&self, part: &str, variant: &str) {
        if self.failed > 0 {
            eprintln!(
                "{part} {variant}: {} of {} pages were refused by the engine; they count as missing",
                self.failed, self.pages
            );
        }
    }
}

impl Runner {
    pub(crate) fn new() -> Result<Self> {
        let engine = Engine::builder().build().context("cannot build the engine")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { engine, runtime })
    }

    /// Parses and extracts one page. `None` if the page or the request was refused.
    pub(crate) fn run(&self, document: &Document, schema: &Value, clock: &mut Clock) -> Option<Extracted> {
        let request = ExtractionRequest::new(document.url.as_str(), schema.clone());
        let started = Instant::now();
        let extracted = Page::parse(&document.bytes, &options(document)).ok().and_then(|page| {
            let result = self.runtime.block_on(self.engine.extract_page(&page, &request)).ok()?;
            Some(Extracted { page, result })
        });
        clock.spent += started.elapsed();
        clock.pages += 1;
        clock.failed += u32::from(extracted.is_none());
        extracted
    }

    /// The page without its markup, ready to be run like any other; `None` if it can't be parsed.
    pub(crate) fn stripped(document: &Document) -> Option<Document> {
        let page = Page::parse(&document.bytes, &options(document)).ok()?;
        let html = crate::strip::strip(&page);
        let bytes = [b"\xEF\xBB\xBF", html.as_bytes()].concat();
        Some(Document { group: document.group.clone(), url: document.url.clone(), bytes })
    }
}

fn options(document: &Document) -> ParseOptions {
    ParseOptions::default().with_url(document.url.clone())
}

/// The JSON Schema of a built-in type.
pub(crate) fn builtin(name: &str) -> Result<Value> {
    atlas_engine::types::by_name(name).with_context(|| format!("the engine has no built-in type `{name}`"))
}

/// Runs some pages off the clock, so that the first timed page finds everything in place.
pub(crate) fn warm_up<'d>(runner: &Runner, documents: impl Iterator<Item = &'d Document>, schema: &Value) {
    let mut off = Clock::default();
    for document in documents.take(10) {
        runner.run(document, schema, &mut off);
    }
}
