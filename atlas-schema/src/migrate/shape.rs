//! Which of the legacy writers wrote a record, by the fields only it wrote.

use crate::pointer::JsonPointer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::outcome::QuarantineReason;

/// Which writer's record it was. The numbers L1 to L18 are those of the predecessor's inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shape {
    /// The current format: left as it is.
    Canonical,
    /// Tagged 1.0.0 by the predecessor's job manager, which checked less than its schema said.
    Original,
    /// L1: accepted by the function, params as text.
    LambdaAccepted,
    /// L2: finished inline; its creation time was reset to the finish.
    LambdaFinished,
    /// L3: failed inline, the error only in the result.
    LambdaFailed,
    /// L4: finished inline in the plan era: evidence and error in the result, often null.
    LambdaPlan,
    /// L5: queued, early: no type, no params, times as text.
    QueuedEarly,
    /// L6: queued, with a type; params only in the message.
    Queued,
    /// L7: queued words for the AI, address `pending`.
    QueuedAi,
    /// L8: made by the AI from words.
    AiCreated,
    /// L9: any of these after a worker wrote to it.
    WorkerUpdated,
    /// L10: a page or sub-task of another job.
    SubRecord,
    /// L11: native maps, no success flag, `completedAt` as a number.
    HandlerMaps,
    /// L12: bare: address and instructions only in the params text.
    LambdaBare,
    /// L13: the heartbeat worker: log times as text, timeouts recorded as completed.
    HeartbeatWorker,
    /// L14: the worker of partial results, which cut texts at 400 000 characters.
    PartialWorker,
    /// L15: the Redis server: `jobId`, `data`, times as text.
    RedisServer,
    /// L16: the Supabase server: snake-case columns.
    SupabaseServer,
    /// L17: the core library's job result.
    CoreResult,
    /// L18: the flat old format of the predecessor's migrator.
    OldFormat,
    /// A queue message for an extraction.
    QueueMessage,
    /// A queue message for the AI, once with an API key.
    AiQueueMessage,
    /// None of these by its fields, and yet it reads by the same rules.
    Other,
}

impl Shape {
    /// Whether the caller waited while it ran: then the job is `sync`, else `async`.
    pub(super) const fn ran_inline(self) -> bool {
        matches!(
            self,
            Self::Canonical
                | Self::Original
                | Self::LambdaAccepted
                | Self::LambdaFinished
                | Self::LambdaFailed
                | Self::LambdaPlan
                | Self::HandlerMaps
                | Self::OldFormat
                | Self::Other
        )
    }

    /// Whether its writer replaced the creation time by the finish time.
    pub(super) const fn resets_created(self) -> bool {
        matches!(self, Self::LambdaFinished | Self::LambdaFailed | Self::LambdaPlan)
    }

    /// Whether its writer ran operations that took no instructions.
    pub(super) const fn runs_without_instructions(self) -> bool {
        matches!(self, Self::HandlerMaps | Self::RedisServer | Self::SupabaseServer | Self::CoreResult)
    }

    pub(super) const fn is_message(self) -> bool {
        matches!(self, Self::QueueMessage | Self::AiQueueMessage)
    }

    /// Whether its id may end in `_page_N`, `_extract` or `_crawl` and name a part of a job.
    pub(super) const fn is_part(self) -> bool {
        matches!(self, Self::SubRecord)
    }
}

/// Keys that a record tagged 1.0.0 can't have: each belongs to an older format.
const OLDER_KEYS: [&str; 12] = [
    "jobId",
    "created",
    "updated",
    "created_at",
    "updated_at",
    "completed_at",
    "completedAt",
    "user_id",
    "data",
    "prompt",
    "extractionInstructions",
    "partialResults",
];

/// Decides by the tag, else by the first row of this table whose fields are there.
pub(super) fn classify(map: &Map<String, Value>) -> Result<Shape, QuarantineReason> {
    let fields = |keys: &[&str]| keys.iter().map(|key| JsonPointer::root().key(key)).collect();
    let has = |key: &str| map.get(key).is_some_and(|value| !value.is_null());
    let text = |key: &str| map.get(key).and_then(Value::as_str);
    if has("schemaVersion") {
        let older: Vec<&str> = OLDER_KEYS.into_iter().filter(|key| has(key)).collect();
        if older.is_empty() {
            return Ok(Shape::Original);
        }
        let mut fields: Vec<JsonPointer> = fields(&older);
        fields.push(JsonPointer::root().key("schemaVersion"));
        return Err(QuarantineReason::AmbiguousVersion { fields });
    }
    if let (Some(id), Some(job)) = (text("id"), text("jobId"))
        && id != job
    {
        return Err(QuarantineReason::AmbiguousVersion { fields: fields(&["id", "jobId"]) });
    }
    if has("result") && has("data") {
        return Err(QuarantineReason::AmbiguousVersion { fields: fields(&["result", "data"]) });
    }
    Ok(shape(map, has, text))
}

fn shape<'a>(map: &'a Map<String, Value>, has: impl Fn(&str) -> bool, text: impl Fn(&str) -> Option<&'a str>) -> Shape {
    let any = |keys: &[&str]| keys.iter().any(|key| has(key));
    let ai = matches!(text("type"), Some("ai_process" | "ai-process"));
    let number = |key: &str| map.get(key).and_then(Value::as_i64);
    let id = text("id").or_else(|| text("jobId")).unwrap_or_default();
    let status = text("status").unwrap_or_default();
    if has("jobId") && !has("status") {
        return if ai { Shape::AiQueueMessage } else { Shape::QueueMessage };
    }
    if !any(&["url", "type", "params", "createdAt", "created"]) && parent(id).is_some() {
        return Shape::SubRecord;
    }
    if any(&["user_id", "credits_used", "completed_at"]) {
        return Shape::SupabaseServer;
    }
    if any(&["created_at", "updated_at", "extractionInstructions"]) {
        return Shape::OldFormat;
    }
    if has("jobId") && (text("createdAt").is_some() || has("data")) {
        return if super::clock::millis_in(id).is_some() { Shape::CoreResult } else { Shape::RedisServer };
    }
    if any(&["partialResults", "progress"]) {
        return Shape::PartialWorker;
    }
    let timed_out = map.get("result").and_then(|result| result.get("_timeout")).is_some();
    if timed_out || any(&["heartbeat", "logs"]) {
        return Shape::HeartbeatWorker;
    }
    if has("userId") || number("completedAt").is_some() {
        return Shape::HandlerMaps;
    }
    let ended = matches!(status, "processing" | "running" | "completed" | "failed" | "cancelled" | "timeout");
    if any(&["aiGenerated", "created", "updated", "prompt"]) {
        return match () {
            () if ended => Shape::WorkerUpdated,
            () if has("aiGenerated") => Shape::AiCreated,
            () if ai => Shape::QueuedAi,
            () if has("type") => Shape::Queued,
            () => Shape::QueuedEarly,
        };
    }
    if !has("url") && has("params") {
        return Shape::LambdaBare;
    }
    if !(has("url") && has("params") && number("createdAt").is_some()) {
        return Shape::Other;
    }
    if !ended {
        return Shape::LambdaAccepted;
    }
    // Finishing inline wrote both times at once; a worker later wrote only the second.
    if number("createdAt") != number("updatedAt") {
        return Shape::WorkerUpdated;
    }
    let result = map.get("result").and_then(Value::as_object);
    match result {
        Some(result) if result.contains_key("evidence") => Shape::LambdaPlan,
        _ if status == "failed" => Shape::LambdaFailed,
        Some(_) => Shape::LambdaFinished,
        None => Shape::WorkerUpdated,
    }
}

/// The id of the job that this id names a part of: without `_page_N`, `_extract` and `_crawl` at its end.
pub(super) fn parent(id: &str) -> Option<&str> {
    let mut rest = id;
    while let Some(shorter) = without_suffix(rest) {
        rest = shorter;
    }
    (rest.len() < id.len() && !rest.is_empty()).then_some(rest)
}

fn without_suffix(id: &str) -> Option<&str> {
    if let Some(rest) = id.strip_suffix("_extract").or_else(|| id.strip_suffix("_crawl")) {
        return Some(rest);
    }
    let (rest, page) = id.rsplit_once("_page_")?;
    (!page.is_empty() && page.bytes().all(|b| b.is_ascii_digit())).then_some(rest)
}
