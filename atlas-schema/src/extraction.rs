//! What is asked for: the request the engine takes, and the canonical job document the outside reads and writes.

use crate::correlation::CorrelationId;
use crate::id::{ExternalId, StrategyName};
use crate::job::JobStatus;
use crate::money::Usd;
use crate::result::ExtractionResult;
use crate::time::Timestamp;
use crate::version::SchemaVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How an extraction was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtractionType {
    /// The caller waits.
    #[default]
    Sync,
    /// The caller polls.
    Async,
    /// Plain words become the shape first.
    AiProcess,
    /// Part of a batch.
    Batch,
    /// Delivery of a result.
    Webhook,
}

/// The canonical extraction job, format 1.0.0: the document the API of the original showed, with its gaps closed.
///
/// It is a view of a [`JobRecord`](crate::JobRecord) of kind `extract`. Cross-field rules are checked on reading: see
/// [`read`](crate::read).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtractionJob {
    /// The id the outside knows.
    pub id: ExternalId,
    /// How it was asked for.
    #[serde(rename = "type")]
    pub kind: ExtractionType,
    /// Where it stands.
    pub status: JobStatus,
    /// The page: an absolute `http` or `https` address.
    #[schemars(length(min = 8, max = 2048), regex(pattern = "^https?://[!-~]+$"))]
    pub url: String,
    /// What to extract and within which limits.
    pub params: ExtractionParams,
    /// What it gave. A completed job has one.
    #[serde(default)]
    pub result: Option<ExtractionResult>,
    /// Why it failed. A failed job has one.
    #[serde(default)]
    #[schemars(length(max = 5000))]
    pub error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed, not before `createdAt`.
    pub updated_at: Timestamp,
    /// What happened to it, oldest first.
    #[serde(default)]
    pub logs: Vec<LogEntry>,
    /// Ties it to the request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<CorrelationId>,
    /// The format of this document.
    #[serde(default)]
    pub schema_version: SchemaVersion,
}

/// What to extract and within which limits. The names are the original's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtractionParams {
    /// What is wanted, in words: 1 to 10 000 characters.
    #[schemars(length(min = 1, max = 10_000))]
    pub extraction_instructions: String,
    /// At most so many pages: 1 to 100, default 10.
    #[serde(default = "default_max_pages")]
    #[schemars(range(min = 1, max = 100))]
    pub max_pages: u32,
    /// At most so many links away from the first page: 1 to 10, default 2.
    #[serde(default = "default_max_depth")]
    #[schemars(range(min = 1, max = 10))]
    pub max_depth: u32,
    /// Milliseconds for the whole: 1 000 to 300 000, default 120 000.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1000, max = 300_000))]
    pub timeout: u32,
    /// Whether the unified extractor may run: default true.
    #[serde(rename = "UNIFIED_EXTRACTOR_ENABLED", default = "yes")]
    pub unified_extractor_enabled: bool,
    /// Whether GPT-5 models may be used: default false.
    #[serde(rename = "GPT5_ENABLED", default)]
    pub gpt5_enabled: bool,
    /// A model the caller insists on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_override: Option<ModelOverride>,
}

const fn default_max_pages() -> u32 {
    10
}
const fn default_max_depth() -> u32 {
    2
}
const fn default_timeout() -> u32 {
    120_000
}
const fn yes() -> bool {
    true
}

impl ExtractionParams {
    /// The defaults around the given instructions (not checked here: reading does).
    pub fn new(instructions: impl Into<String>) -> Self {
        Self {
            extraction_instructions: instructions.into(),
            max_pages: default_max_pages(),
            max_depth: default_max_depth(),
            timeout: default_timeout(),
            unified_extractor_enabled: true,
            gpt5_enabled: false,
            model_override: None,
        }
    }
}

/// The models that format 1.0.0 lets a caller insist on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ModelOverride {
    /// `gpt-4`
    #[serde(rename = "gpt-4")]
    Gpt4,
    /// `gpt-4-turbo`
    #[serde(rename = "gpt-4-turbo")]
    Gpt4Turbo,
    /// `gpt-4o`
    #[serde(rename = "gpt-4o")]
    Gpt4o,
    /// `gpt-5`
    #[serde(rename = "gpt-5")]
    Gpt5,
    /// `gpt-5-mini`
    #[serde(rename = "gpt-5-mini")]
    Gpt5Mini,
    /// `gpt-5-nano`
    #[serde(rename = "gpt-5-nano")]
    Gpt5Nano,
}

impl ModelOverride {
    /// As it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gpt4 => "gpt-4",
            Self::Gpt4Turbo => "gpt-4-turbo",
            Self::Gpt4o => "gpt-4o",
            Self::Gpt5 => "gpt-5",
            Self::Gpt5Mini => "gpt-5-mini",
            Self::Gpt5Nano => "gpt-5-nano",
        }
    }
}

/// One line of a job's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogEntry {
    /// When.
    pub timestamp: Timestamp,
    /// How grave.
    pub level: LogLevel,
    /// What: at most 1 000 characters.
    #[schemars(length(max = 1000))]
    pub message: String,
    /// Which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<CorrelationId>,
    /// Details; open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
}

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    /// For a developer.
    Debug,
    /// For an operator.
    Info,
    /// Something is off.
    Warn,
    /// Something failed.
    Error,
}

/// What the engine is asked: a page and the shape of the data wanted. The payload of jobs of kind `extract`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtractionRequest {
    /// The page: an absolute address. `http` and `https` always; `file` where the host's fetcher serves files.
    #[schemars(length(min = 8, max = 2048), regex(pattern = "^(https?|file)://[!-~]+$"))]
    pub url: String,
    /// How it was asked for.
    #[serde(rename = "type", default)]
    pub kind: ExtractionType,
    /// The JSON Schema of one record (draft 2020-12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("type" = ["object", "boolean", "null"]))]
    pub schema: Option<Value>,
    /// What is wanted, in words. A request has a schema, instructions or both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10_000))]
    pub instructions: Option<String>,
    /// The address to resolve links against and to read hints from, when `url` is not where the page lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = "^https?://[!-~]+$"))]
    pub base_url: Option<String>,
    /// Use this strategy and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// At most so many pages: 1 to 100, default 10.
    #[serde(default = "default_max_pages")]
    #[schemars(range(min = 1, max = 100))]
    pub max_pages: u32,
    /// At most so many links away from the first page: 1 to 10, default 2.
    #[serde(default = "default_max_depth")]
    #[schemars(range(min = 1, max = 10))]
    pub max_depth: u32,
    /// Milliseconds for the whole: 1 000 to 300 000, default 120 000.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1000, max = 300_000))]
    pub timeout_ms: u32,
    /// At most so much money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_cap: Option<Usd>,
    /// A model the caller insists on; the router checks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
}

impl ExtractionRequest {
    /// A request with the defaults for a page and the JSON Schema of one record.
    pub fn new(url: impl Into<String>, schema: Value) -> Self {
        Self {
            url: url.into(),
            kind: ExtractionType::Sync,
            schema: Some(schema),
            instructions: None,
            base_url: None,
            strategy: None,
            max_pages: default_max_pages(),
            max_depth: default_max_depth(),
            timeout_ms: default_timeout(),
            cost_cap: None,
            model: None,
        }
    }
}
