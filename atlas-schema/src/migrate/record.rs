//! A legacy record, opened, becomes a job: the rules of each field, in one place.

use super::note::NoteCode;
use super::number::{self, Range};
use super::outcome::QuarantineReason;
use super::shape::{self, Shape};
use super::source::{Source, Trace};
use super::{clock, logs, result, web};
use crate::correlation::CorrelationId;
use crate::extraction::{ExtractionJob, ExtractionParams, ExtractionType, ModelOverride};
use crate::id::ExternalId;
use crate::job::JobStatus;
use crate::pointer::JsonPointer;
use crate::version::SchemaVersion;
use serde_json::{Map, Value};

/// Builds the job. What has no home is in `trace` afterwards.
pub(super) fn job(map: Map<String, Value>, shape: Shape, trace: &mut Trace) -> Result<ExtractionJob, QuarantineReason> {
    let mut root = Source::new(JsonPointer::root(), map);
    let id = id(&mut root, shape, trace)?;
    root.take("schemaVersion");
    let params = match root.take("params") {
        None => Map::new(),
        Some(Value::Object(map)) => map,
        Some(Value::String(text)) if text.trim().is_empty() => Map::new(),
        Some(_) => return Err(QuarantineReason::InvalidParams),
    };
    let mut params = Source::new(root.pointer("params"), params);
    let status = status(&mut root, shape, trace)?;
    let (kind, operation) = kind(&mut root, shape, trace)?;
    let prompt = root.text("prompt").or_else(|| params.text("prompt")).map(str::to_owned);
    let prompt = prompt.filter(|_| kind == ExtractionType::AiProcess);
    let url = web::address(&mut root, &mut params, prompt.as_deref(), trace)?;
    let params_out = limits(&mut root, &mut params, trace);
    let instructions = instructions(&mut root, &mut params, trace)
        .or_else(|| {
            let named = operation.filter(|_| shape.runs_without_instructions())?;
            trace.note(NoteCode::InstructionsFromType, root.pointer("type"));
            Some(named.to_owned())
        })
        .ok_or(QuarantineReason::NoInstructions)?;
    if instructions.chars().nth(MAX_INSTRUCTIONS).is_some() {
        return Err(QuarantineReason::InstructionsTooLong);
    }
    let times = clock::times(&mut root, id.as_str(), shape, trace)?;
    let found = result::find(&mut root, trace)?;
    let mut job = ExtractionJob {
        kind,
        status,
        url,
        params: ExtractionParams { extraction_instructions: instructions, ..params_out },
        result: None,
        error: result::error_text(&mut root, trace),
        created_at: times.created,
        updated_at: times.updated,
        logs: logs::logs(&mut root, trace),
        correlation_id: Some(correlation(&mut root, &id, trace)),
        schema_version: SchemaVersion::CURRENT,
        id,
    };
    result::settle(&mut job, found, trace);
    params.keep_rest(trace);
    root.keep_rest(trace);
    Ok(job)
}

const MAX_INSTRUCTIONS: usize = 10_000;

/// `id`, else `jobId`. A part of another job names that job instead.
fn id(root: &mut Source, shape: Shape, trace: &mut Trace) -> Result<ExternalId, QuarantineReason> {
    let id = match (root.take("id"), root.take("jobId")) {
        (Some(id), job_id) => {
            // A `jobId` that is another text has been refused as ambiguous.
            if let Some(other) = job_id.filter(|other| *other != id) {
                trace.unreadable(root.pointer("jobId"), other);
            }
            id
        }
        (None, Some(id)) => {
            trace.note(NoteCode::IdFromJobId, root.pointer("jobId"));
            id
        }
        (None, None) => return Err(QuarantineReason::NoId),
    };
    let Value::String(text) = id else { return Err(QuarantineReason::InvalidId) };
    let invalid = |_| QuarantineReason::InvalidId;
    if shape.is_part()
        && let Some(parent) = shape::parent(&text)
    {
        return Err(QuarantineReason::Orphan { parent: ExternalId::new(parent).map_err(invalid)? });
    }
    ExternalId::new(&text).map_err(invalid)
}

fn status(root: &mut Source, shape: Shape, trace: &mut Trace) -> Result<JobStatus, QuarantineReason> {
    let pointer = root.pointer("status");
    let text = match root.take("status") {
        Some(Value::String(text)) => text,
        Some(_) => return Err(QuarantineReason::UnknownStatus),
        None if shape.is_message() => {
            trace.note(NoteCode::StatusAssumed, pointer);
            return Ok(JobStatus::Pending);
        }
        None => return Err(QuarantineReason::NoStatus),
    };
    let status = match text.as_str() {
        "pending" | "queued" => JobStatus::Pending,
        "processing" | "running" => JobStatus::Processing,
        "completed" | "complete" | "done" | "success" => JobStatus::Completed,
        "failed" | "error" => JobStatus::Failed,
        "cancelled" | "canceled" => JobStatus::Cancelled,
        "timeout" => JobStatus::Timeout,
        _ => return Err(QuarantineReason::UnknownStatus),
    };
    if status.as_str() != text {
        trace.note(NoteCode::StatusMapped, pointer);
    }
    Ok(status)
}

/// How it was asked for, and the operation in words for writers that took no instructions.
fn kind(
    root: &mut Source,
    shape: Shape,
    trace: &mut Trace,
) -> Result<(ExtractionType, Option<&'static str>), QuarantineReason> {
    let pointer = root.pointer("type");
    let by_shape = if shape.ran_inline() { ExtractionType::Sync } else { ExtractionType::Async };
    let text = match root.take("type") {
        Some(Value::String(text)) => text,
        Some(_) => return Err(QuarantineReason::UnknownType),
        None => {
            trace.note(NoteCode::Defaulted, pointer);
            return Ok((by_shape, None));
        }
    };
    let operation = match text.as_str() {
        "sync" => return Ok((ExtractionType::Sync, None)),
        "async" => return Ok((ExtractionType::Async, None)),
        "ai-process" => return Ok((ExtractionType::AiProcess, None)),
        "batch" => return Ok((ExtractionType::Batch, None)),
        "webhook" => return Ok((ExtractionType::Webhook, None)),
        "ai_process" => {
            trace.note(NoteCode::TypeMapped, pointer);
            return Ok((ExtractionType::AiProcess, None));
        }
        "extract" => "extract the data of the page",
        "scrape" => "scrape the page",
        "search" => "search the site",
        "crawl" => "crawl the site",
        "map" => "map the site",
        _ => return Err(QuarantineReason::UnknownType),
    };
    // `extract` is what every job does now; the other operations are worth remembering.
    if text != "extract" {
        trace.keep(pointer.clone(), Value::String(text));
    }
    trace.note(NoteCode::TypeMapped, pointer);
    Ok((by_shape, Some(operation)))
}

/// The first that says something: `extractionInstructions`, `params.extractionInstructions`, `params.prompt`, `prompt`,
/// `params.input`. Later ones that say something else go to the side record.
fn instructions(root: &mut Source, params: &mut Source, trace: &mut Trace) -> Option<String> {
    let places = [
        (true, "extractionInstructions"),
        (false, "extractionInstructions"),
        (false, "prompt"),
        (true, "prompt"),
        (false, "input"),
    ];
    let mut found: Option<String> = None;
    for (at_top, key) in places {
        let source = if at_top { &mut *root } else { &mut *params };
        let Some(text) = source.take_text(key, trace) else { continue };
        let pointer = source.pointer(key);
        match &found {
            None if text.trim().is_empty() => trace.keep(pointer, Value::String(text)),
            None => {
                if key != "extractionInstructions" {
                    trace.note(NoteCode::InstructionsMoved, pointer);
                }
                found = Some(text);
            }
            Some(first) if *first == text => trace.note(NoteCode::Redundant, pointer),
            Some(_) => trace.note_kept(NoteCode::Conflict, pointer, Value::String(text)),
        }
    }
    found
}

/// The limits and switches; the instructions are filled in later.
fn limits(root: &mut Source, params: &mut Source, trace: &mut Trace) -> ExtractionParams {
    let defaults = ExtractionParams::new("");
    let range = |min, max, default| Range { min, max, default };
    let as_is = |written| (written, None);
    let max_pages = number::bounded("maxPages", range(1, 100, defaults.max_pages), as_is, (root, params), trace);
    let max_depth = number::bounded("maxDepth", range(1, 10, defaults.max_depth), as_is, (root, params), trace);
    // The function's writers counted seconds, the format counts milliseconds, and no job was allowed 1000 seconds or
    // given less than one: under 1000 it is seconds.
    let to_millis = |written| match written {
        0..1000 => (written * 1000, Some(NoteCode::SecondsToMillis)),
        _ => (written, None),
    };
    let timeout = number::bounded("timeout", range(1000, 300_000, defaults.timeout), to_millis, (root, params), trace);
    let unified = number::switch("UNIFIED_EXTRACTOR_ENABLED", true, params, trace);
    let gpt5 = number::switch("GPT5_ENABLED", false, params, trace);
    let model_override = model_override(params, trace);
    ExtractionParams {
        max_pages,
        max_depth,
        timeout,
        unified_extractor_enabled: unified,
        gpt5_enabled: gpt5,
        model_override,
        ..defaults
    }
}

fn model_override(params: &mut Source, trace: &mut Trace) -> Option<ModelOverride> {
    let pointer = params.pointer("modelOverride");
    let value = params.take("modelOverride")?;
    let known = serde_json::from_value(value.clone()).ok();
    if known.is_none() {
        trace.unreadable(pointer, value);
    }
    known
}

/// The record's own correlation id if it is one, else one made of the job's id, so that every run gives the same.
fn correlation(root: &mut Source, id: &ExternalId, trace: &mut Trace) -> CorrelationId {
    let pointer = root.pointer("correlationId");
    match root.take("correlationId") {
        Some(Value::String(text)) => {
            if let Ok(id) = CorrelationId::new(&text) {
                return id;
            }
            trace.keep(pointer.clone(), Value::String(text));
        }
        Some(other) => trace.keep(pointer.clone(), other),
        None => {}
    }
    trace.note(NoteCode::CorrelationDerived, pointer);
    CorrelationId::derived(id)
}
