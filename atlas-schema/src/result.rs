//! The one canonical result, whichever strategy ran.

use crate::category::ErrorCategory;
use crate::evidence::Evidence;
use crate::id::StrategyName;
use crate::money::Usd;
use crate::pointer::JsonPointer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an extraction gave.
///
/// `success`, `data` and `error` are the original's; its metadata found typed homes: `processingMethod` is `strategy`,
/// `modelUsed` is `model`, `processingTime` is `timings.totalMs`, `pagesProcessed` is `usage.pages`, `cost` is `cost`,
/// `totalItems` is the length of `data`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtractionResult {
    /// Whether data was extracted.
    pub success: bool,
    /// The records. Each is valid by the requested schema; when `outcome` is `partial`, a record may lack required
    /// members at its top, and breaks no other rule: the warnings `required_missing` name what is missing.
    pub data: Vec<Value>,
    /// Why there is no (or not all) data. Present when `success` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5000))]
    pub error: Option<String>,
    /// How much of what was asked for is there. Absent in migrated records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Evidence of each value, by its pointer in `data`, such as `/0/name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = { "maxLength": 1024 }))]
    pub evidence: BTreeMap<JsonPointer, Vec<Evidence>>,
    /// The strategy that produced the data: the one that ran, never the one that was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<StrategyName>,
    /// The model used, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// Every attempt in order, so that a fallback shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// The documents read. Evidence points here by index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<PageInfo>,
    /// What was used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timings: Option<Timings>,
    /// What a reader of the result should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

/// How much of what was asked for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every record has every required field.
    Complete,
    /// There is data, and something that was asked for is missing.
    Partial,
    /// The page holds no such data.
    Empty,
    /// It did not work.
    Failed,
}

/// One strategy's try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Attempt {
    /// The strategy that ran.
    pub strategy: StrategyName,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What sort of failure, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<ErrorCategory>,
    /// What happened and why it was chosen or left, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub reason: Option<String>,
    /// The model called, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// What this try used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What this try cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub duration_ms: Option<u64>,
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// Its data is the result's.
    Used,
    /// It gave some data, which a later attempt was needed to complete or replace.
    Insufficient,
    /// It found nothing.
    Empty,
    /// It failed.
    Failed,
    /// It was not run, for the reason given.
    Skipped,
}

/// A document that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PageInfo {
    /// Its address after redirects.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// The HTTP status, if it came by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// Its media type, such as `text/html`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub media_type: Option<String>,
    /// The character encoding it was read in, such as `windows-1252`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub encoding: Option<String>,
    /// Its language (BCP 47), as the page states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub language: Option<String>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub title: Option<String>,
    /// Its size in bytes, decompressed.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub bytes: u64,
    /// SHA-256 of its bytes, 64 lower-case hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 64, max = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

/// What was used up. Token counts count each token once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Usage {
    /// Pages read.
    #[schemars(range(max = 4_294_967_295_u64))]
    pub pages: u32,
    /// Calls to a model.
    #[schemars(range(max = 4_294_967_295_u64))]
    pub requests: u32,
    /// Prompt tokens that were not read from a cache.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub input_tokens: u64,
    /// Prompt tokens read from a cache.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub cached_input_tokens: u64,
    /// Prompt tokens written to a cache.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub cache_write_tokens: u64,
    /// Reply tokens without the reasoning.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub output_tokens: u64,
    /// Reasoning tokens.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub reasoning_tokens: u64,
}

/// What it cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cost {
    /// Expected before the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimated: Option<Usd>,
    /// Settled from the provider's usage after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Usd>,
}

/// How long it took, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Timings {
    /// From request to result.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub total_ms: u64,
    /// Fetching.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub fetch_ms: Option<u64>,
    /// Decoding and parsing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub parse_ms: Option<u64>,
    /// Extracting and checking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    pub extract_ms: Option<u64>,
}

/// Something a reader of the result should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Warning {
    /// A stable code, such as `value_dropped_unverified`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z0-9_]+$"))]
    pub code: String,
    /// Which value, if one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<JsonPointer>,
    /// What happened, in words, without page text.
    #[schemars(length(max = 1000))]
    pub message: String,
}
