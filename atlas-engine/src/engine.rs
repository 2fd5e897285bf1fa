//! The engine: from a request to the one canonical result.
//!
//! Strategies draft, the engine judges: it checks evidence and schema, decides how much was found, and records every
//! attempt. The rule the rest leans on: no success without data from the page. Empty is empty, failure is failure, and
//! partial is said to be partial.

mod builder;
mod deadline;
mod judge;
mod shapes;

pub use builder::EngineBuilder;

use crate::error::EngineError;
use crate::evidence::Reading;
use crate::fetch::{Document, FetchRequest, Fetcher};
use crate::page::{Page, ParseOptions};
use crate::shape::Shape;
use crate::strategy::{Selection, Strategy, Task, select};
use crate::types::schema_of;
use atlas_schema::{
    Attempt, AttemptOutcome, Cost, ErrorCategory, ExtractionRequest, ExtractionResult, Outcome, PageInfo, StrategyName,
    Timings, Usage, Usd, Warning,
};
use deadline::Deadline;
use judge::Judged;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use shapes::Shapes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use url::Url;

/// Extracts records from pages. Cheap to clone; clones share the cache of compiled schemas.
///
/// ```
/// use atlas_engine::{Engine, page::{Page, ParseOptions}, types};
/// use atlas_schema::{ExtractionRequest, Outcome};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let html = r#"<script type="application/ld+json">
///     {"@type": "Recipe", "name": "Tea", "recipeIngredient": ["1 bag"], "totalTime": "PT5M"}</script>"#;
/// let page = Page::from_html(html, &ParseOptions::default())?;
/// let schema = types::by_name("recipe").ok_or("unknown type")?;
/// let result = Engine::default().extract_page(&page, &ExtractionRequest::new("https://example.com/tea", schema)).await?;
/// assert_eq!(result.outcome, Some(Outcome::Complete));
/// assert_eq!(result.data[0]["total_time"], 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Engine {
    fetcher: Option<Arc<dyn Fetcher>>,
    strategies: Arc<[Arc<dyn Strategy>]>,
    parse: ParseOptions,
    shapes: Arc<Shapes>,
}

impl Default for Engine {
    /// The built-in strategies, no fetcher: for pages the caller has.
    fn default() -> Self {
        EngineBuilder::default().without_checks()
    }
}

/// Records as values of a type, with the result they came from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Typed<T> {
    /// The records that satisfy the schema whole, in page order; those that lack a required field are in `result` only.
    pub values: Vec<T>,
    /// The canonical result, with evidence and attempts.
    pub result: ExtractionResult,
}

impl<T> Typed<T> {
    /// The first record.
    pub fn first(&self) -> Option<&T> {
        self.values.first()
    }
}

impl Engine {
    /// Starts with the built-in strategies and no fetcher.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// The strategies, in the order they were added; the built-in ones come first.
    pub fn strategies(&self) -> Vec<StrategyName> {
        self.strategies.iter().map(|strategy| strategy.name()).collect()
    }

    /// Fetches the page of a request and extracts from it.
    ///
    /// A page without such data gives a result whose outcome is `empty`; a strategy's failure is an attempt in the result.
    ///
    /// `timeout_ms` bounds the whole: a fetch or strategy that waits longer is dropped, and one that works without waiting,
    /// such as `direct`, looks at the time now and then and ends with what it has. Parsing is bounded by
    /// [`ParseOptions`] instead. Data found in time is kept, with the warning `time_ran_out`; judging it may take another
    /// eighth of the time.
    ///
    /// Parsing and `direct` keep the thread busy: where other work shares it, call this inside
    /// `tokio::task::spawn_blocking`, as the job handler does.
    ///
    /// # Errors
    /// [`EngineError`] if the request is wrong, the page cannot be fetched or parsed, or the time runs out before there is
    /// data. Nothing is fetched for a request that is wrong.
    ///
    /// # Panics
    /// If the fetcher or a strategy waits, outside a tokio runtime whose time driver is enabled.
    pub async fn extract(&self, request: &ExtractionRequest) -> Result<ExtractionResult, EngineError> {
        self.extract_unless(request, &|| false).await
    }

    /// As [`extract`](Self::extract); ends early, as if the time had run out, once nobody waits any more (`left`).
    pub(crate) async fn extract_unless(
        &self,
        request: &ExtractionRequest,
        left: &(dyn Fn() -> bool + Sync),
    ) -> Result<ExtractionResult, EngineError> {
        let (started, deadline) = (Instant::now(), Deadline::after(request.timeout_ms));
        let (shape, selection) = self.prepare(request)?;
        let url = Url::parse(&request.url).map_err(|_| EngineError::Address { field: "url" })?;
        let base = request.base_url.as_deref().map(Url::parse).transpose();
        let base = base.map_err(|_| EngineError::Address { field: "baseUrl" })?;
        let fetcher = self.fetcher.as_ref().ok_or(EngineError::NoFetcher)?;
        let timeout = Duration::from_millis(request.timeout_ms.into());
        let fetch = FetchRequest::new(url).with_timeout(timeout).with_max_bytes(self.parse.max_bytes);
        let fetching = deadline.bound(fetcher.fetch(&fetch)).await.ok_or(EngineError::Timeout)?;
        let document = fetching.map_err(EngineError::Fetch)?;
        let fetched = started.elapsed();
        if let Some(status) = document.status.filter(|status| !(200..300).contains(status)) {
            return Err(EngineError::Status { status });
        }
        let mut options = self.parse.clone();
        // The caller may know better where the page lives than where it was read, such as a saved file.
        options.charset.clone_from(&document.charset);
        options = options.with_url(base.unwrap_or_else(|| document.url.clone()));
        let page = Page::parse(&document.bytes, &options).map_err(EngineError::Page)?;
        let parsed = started.elapsed();
        let info = page_info(&page, Some(&document), request);
        let mut result = self.run(&page, info, request, (&shape, &selection), deadline, left).await?;
        result.timings = Some(Timings {
            total_ms: millis(started.elapsed()),
            fetch_ms: Some(millis(fetched)),
            parse_ms: Some(millis(parsed.saturating_sub(fetched))),
            extract_ms: Some(millis(started.elapsed().saturating_sub(parsed))),
        });
        Ok(result)
    }

    /// Extracts from a page the caller has. The request's address only names it; `timeout_ms` is as for
    /// [`extract`](Self::extract).
    ///
    /// # Errors
    /// [`EngineError`] if the request is wrong or the time runs out before there is data.
    ///
    /// # Panics
    /// If a strategy waits, outside a tokio runtime whose time driver is enabled. The built-in ones do not.
    pub async fn extract_page(
        &self,
        page: &Page,
        request: &ExtractionRequest,
    ) -> Result<ExtractionResult, EngineError> {
        let (started, deadline) = (Instant::now(), Deadline::after(request.timeout_ms));
        let (shape, selection) = self.prepare(request)?;
        let info = page_info(page, None, request);
        let mut result = self.run(page, info, request, (&shape, &selection), deadline, &|| false).await?;
        let total = millis(started.elapsed());
        result.timings = Some(Timings { total_ms: total, fetch_ms: None, parse_ms: None, extract_ms: Some(total) });
        Ok(result)
    }

    /// Fetches a page and extracts values of a type.
    ///
    /// # Errors
    /// As [`extract`](Self::extract); also [`EngineError::Deserialize`] if the type refuses a record that its own schema
    /// allows.
    pub async fn extract_as<T: DeserializeOwned + JsonSchema>(&self, url: &str) -> Result<Typed<T>, EngineError> {
        let request = ExtractionRequest::new(url, schema_of::<T>());
        let result = self.extract(&request).await?;
        self.typed(result, &request)
    }

    /// Extracts values of a type from a page the caller has.
    ///
    /// # Errors
    /// As [`extract_as`](Self::extract_as), without those of fetching.
    pub async fn extract_page_as<T: DeserializeOwned + JsonSchema>(
        &self,
        page: &Page,
    ) -> Result<Typed<T>, EngineError> {
        let url = page.url().map_or("about:blank", Url::as_str);
        let request = ExtractionRequest::new(url, schema_of::<T>());
        let result = self.extract_page(page, &request).await?;
        self.typed(result, &request)
    }

    fn typed<T: DeserializeOwned>(
        &self,
        result: ExtractionResult,
        request: &ExtractionRequest,
    ) -> Result<Typed<T>, EngineError> {
        let shape = self.shapes.get(request.schema.as_ref().ok_or(EngineError::NoSchema)?)?;
        let whole = result.data.iter().enumerate().filter(|(_, record)| shape.accepts(record));
        let values = whole
            .map(|(index, record)| T::deserialize(record).map_err(|source| EngineError::Deserialize { index, source }));
        Ok(Typed { values: values.collect::<Result<_, _>>()?, result })
    }

    /// Everything that can be wrong with a request, before anything is fetched.
    fn prepare(&self, request: &ExtractionRequest) -> Result<(Arc<Shape>, Selection), EngineError> {
        let candidates: Vec<_> =
            self.strategies.iter().map(|strategy| (strategy.name(), strategy.fit(request))).collect();
        let selection = select(&candidates, request.strategy.as_ref())
            .ok_or_else(|| EngineError::UnknownStrategy { known: self.strategies() })?;
        let shape = self.shapes.get(request.schema.as_ref().ok_or(EngineError::NoSchema)?)?;
        Ok((shape, selection))
    }

    async fn run(
        &self,
        page: &Page,
        info: PageInfo,
        request: &ExtractionRequest,
        (shape, selection): (&Shape, &Selection),
        deadline: Deadline,
        left: &(dyn Fn() -> bool + Sync),
    ) -> Result<ExtractionResult, EngineError> {
        let reading = Reading::new(page);
        let mut attempts: Vec<Attempt> = Vec::new();
        let mut best: Option<(usize, Judged)> = None;
        let mut usage = Usage { pages: 1, ..Usage::default() };
        let mut settled: Option<Usd> = None;
        let mut late = false;
        // A strategy that was told to end may have left things unread.
        let told = AtomicBool::new(false);
        let stop = || {
            let stop = deadline.passed() || left();
            told.fetch_or(stop, Ordering::Relaxed);
            stop
        };
        let judging = deadline.for_judging();
        let stop_judging = || judging.passed() || left();
        for choice in &selection.chain {
            let Some(strategy) = self.strategies.get(choice.index) else { continue };
            if deadline.passed() {
                late = true;
                break;
            }
            let started = Instant::now();
            let task = Task::new(request, shape, &reading).with_stop(&stop);
            let drafted = deadline.bound(strategy.extract(&task)).await;
            let mut attempt = Attempt {
                strategy: choice.name.clone(),
                outcome: AttemptOutcome::Failed,
                category: None,
                reason: Some(clipped(&choice.reason)),
                model: None,
                usage: None,
                cost: None,
                duration_ms: Some(millis(started.elapsed())),
            };
            match drafted {
                None => {
                    attempt.category = Some(ErrorCategory::Timeout);
                    attempt.reason = Some(clipped(&format!("{}; failed: {}", choice.reason, EngineError::Timeout)));
                    attempts.push(attempt);
                    late = true;
                    break;
                }
                Some(Err(error)) => {
                    attempt.category = Some(error.category());
                    attempt.reason = Some(clipped(&format!("{}; failed: {error}", choice.reason)));
                    attempts.push(attempt);
                }
                Some(Ok(draft)) => {
                    usage = added(usage, draft.usage);
                    settled = draft.cost.and_then(|cost| cost.settled).map_or(settled, |more| {
                        Some(settled.map_or(more, |before| before.checked_add(more).unwrap_or(before)))
                    });
                    attempt.model.clone_from(&draft.model);
                    attempt.usage = Some(draft.usage).filter(|usage| *usage != Usage::default());
                    attempt.cost = draft.cost;
                    let judged = judge::judge(draft, shape, &reading, &stop_judging);
                    attempt.outcome = match judged.outcome {
                        Outcome::Complete | Outcome::Partial => AttemptOutcome::Insufficient,
                        Outcome::Empty | Outcome::Failed => AttemptOutcome::Empty,
                    };
                    attempts.push(attempt);
                    let better = best.as_ref().is_none_or(|(_, before)| judged.beats(before));
                    let complete = judged.outcome == Outcome::Complete;
                    if better {
                        best = Some((attempts.len() - 1, judged));
                    }
                    if told.load(Ordering::Relaxed) || stop_judging() {
                        late = true;
                        break;
                    }
                    if complete {
                        break;
                    }
                }
            }
        }
        if late && !best.as_ref().is_some_and(|(_, judged)| judged.has_data()) {
            return Err(EngineError::Timeout);
        }
        let ran = attempts.len();
        let why = if late { "the time allowed ran out" } else { "an earlier strategy gave everything asked for" };
        let unused = selection.chain.iter().skip(ran).map(|choice| (choice, why));
        let skipped = selection.skipped.iter().map(|choice| (choice, choice.reason.as_str()));
        attempts.extend(unused.chain(skipped).map(|(choice, reason)| judge::skipped(choice, reason)));
        let mut result = judge::result(best, attempts);
        result.warnings.extend(doubts(page));
        result.pages = vec![info];
        result.usage = Some(usage);
        result.cost = settled.map(|settled| Cost { estimated: None, settled: Some(settled) });
        if late {
            let message = "the time allowed ran out before everything was tried: raise `timeoutMs` for more";
            result.warnings.push(Warning { code: "time_ran_out".into(), pointer: None, message: message.into() });
        }
        Ok(result)
    }
}

/// What makes a page's text doubtful, whatever was found on it.
fn doubts(page: &Page) -> Vec<Warning> {
    let encoding = page.encoding();
    let cut =
        "the page ends in the middle of an element: it was cut off, and data may be missing; fetch or save it again";
    let garbled = format!(
        "some bytes of the page mean nothing in {} and were replaced: check the charset it declares",
        encoding.name
    );
    let overruled = format!("the page's bytes contradict the charset it declares; it was read as {}", encoding.name);
    let all = [
        (page.is_cut_short(), "page_cut_short", cut.to_owned()),
        (encoding.had_errors, "page_garbled", garbled),
        (encoding.overruled, "charset_overruled", overruled),
    ];
    let warnings = all.into_iter().filter(|(holds, ..)| *holds);
    warnings.map(|(_, code, message)| Warning { code: code.into(), pointer: None, message }).collect()
}

fn page_info(page: &Page, document: Option<&Document>, request: &ExtractionRequest) -> PageInfo {
    let url = document.map(|document| document.url.as_str()).or_else(|| page.url().map(Url::as_str));
    PageInfo {
        url: url.unwrap_or(&request.url).chars().take(2048).collect(),
        status: document.and_then(|document| document.status),
        media_type: document
            .and_then(|document| document.media_type.clone())
            .filter(|media| (1..=128).contains(&media.len())),
        encoding: Some(page.encoding().name.to_ascii_lowercase()).filter(|name| !name.is_empty()),
        language: page.language().map(str::to_owned).filter(|language| (1..=64).contains(&language.len())),
        title: page.title().map(|title| title.chars().take(1000).collect()),
        bytes: u64::try_from(page.byte_len()).unwrap_or(u64::MAX),
        // Only of what was fetched: hashing a page in hand would cost callers time for bytes they know.
        sha256: document.map(|document| hex(&Sha256::digest(&document.bytes))),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn added(one: Usage, other: Usage) -> Usage {
    Usage {
        pages: one.pages.saturating_add(other.pages),
        requests: one.requests.saturating_add(other.requests),
        input_tokens: one.input_tokens.saturating_add(other.input_tokens),
        cached_input_tokens: one.cached_input_tokens.saturating_add(other.cached_input_tokens),
        cache_write_tokens: one.cache_write_tokens.saturating_add(other.cache_write_tokens),
        output_tokens: one.output_tokens.saturating_add(other.output_tokens),
        reasoning_tokens: one.reasoning_tokens.saturating_add(other.reasoning_tokens),
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(1000).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
