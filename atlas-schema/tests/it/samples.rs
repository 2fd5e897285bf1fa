//! One valid record of each type, for tests to spoil.

use serde_json::{Value, json};

pub(crate) fn evidence() -> Value {
    json!({
        "source": {"kind": "visible_text"}, "document": 0, "node": 41,
        "spans": [{"start": 10, "end": 14}], "quote": "Soup", "verified": {"source": true, "visible": true},
    })
}

pub(crate) fn result() -> Value {
    json!({
        "success": true, "data": [{"name": "Soup", "a/b~c": [1, 2]}], "outcome": "complete", "strategy": "direct",
        "evidence": {"/0/name": [evidence()], "/0/a~1b~0c/1": [evidence()]},
        "attempts": [
            {"strategy": "plan", "outcome": "failed", "category": "schema_mismatch"},
            {"strategy": "direct", "outcome": "used", "cost": {"estimated": "0", "settled": "0"}},
        ],
        "pages": [{"url": "https://example.org/soup", "bytes": 5120}],
    })
}

pub(crate) fn job() -> Value {
    json!({
        "id": "extract_1756970000000_a1b2c3d4e", "type": "sync", "status": "completed",
        "url": "https://example.org/soup", "params": {"extractionInstructions": "names"},
        "result": result(), "createdAt": 1_756_970_000_000_i64, "updatedAt": 1_756_970_004_000_i64,
    })
}

pub(crate) fn request() -> Value {
    json!({"url": "https://example.org/soup", "schema": {"type": "object"}, "maxPages": 5})
}

pub(crate) fn record() -> Value {
    json!({
        "schemaVersion": "1.0.0", "id": "01991234-5678-7abc-8def-0123456789ab", "kind": "extract", "queue": "default",
        "tenant": "default", "stage": "dev", "status": "processing", "version": 2, "epoch": 1, "attempt": 1,
        "maxAttempts": 3, "priority": 0, "runAt": 1_756_970_000_000_i64, "correlationId": "abc",
        "lease": {"worker": "w1", "expiresAt": 1_756_970_060_000_i64}, "startedAt": 1_756_970_001_000_i64,
        "createdAt": 1_756_970_000_000_i64, "updatedAt": 1_756_970_001_000_i64, "payload": request(),
    })
}

pub(crate) fn event() -> Value {
    json!({
        "job": "01991234-5678-7abc-8def-0123456789ab", "version": 3, "epoch": 1, "attempt": 1,
        "at": 1_756_970_001_000_i64, "actor": {"kind": "worker", "id": "w1"}, "kind": "failed",
        "from": "processing", "to": "failed", "correlationId": "abc",
        "error": {"category": "network", "message": "connection refused"},
    })
}

pub(crate) fn alert() -> Value {
    json!({
        "key": "budget/default/2026-11/80", "severity": "warning", "stage": "production",
        "kind": {"kind": "budget", "percent": 80, "used": "800.5", "limit": "1000"},
        "at": 1_756_970_001_000_i64, "message": "80 % of the budget is used",
    })
}

/// `sample` with the value at `pointer` replaced; the parent must exist.
pub(crate) fn with(mut sample: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    match sample.pointer_mut(parent).unwrap() {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        parent => parent[key] = value,
    }
    sample
}

/// `sample` without the field at `pointer`.
pub(crate) fn without(mut sample: Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    sample.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
    sample
}

pub(crate) fn quarantined() -> Value {
    json!({
        "schemaVersion": "1.0.0", "reason": {"reason": "orphan", "parent": "crawl_1"},
        "original": {"encoding": "utf8", "text": "{\"id\": \"crawl_1_page_0\"}"},
        "secrets": {"state": "removed", "at": ["/params/apiKey"]},
        "notes": [{"code": "text_parsed", "pointer": "/params"}],
    })
}

pub(crate) fn side() -> Value {
    json!({
        "schemaVersion": "1.0.0", "job": "crawl_1", "shape": "redis_server",
        "entries": {"/params/formats": ["markdown"], "/userId": "u1"},
    })
}
