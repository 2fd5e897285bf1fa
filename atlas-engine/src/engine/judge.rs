//! Judging drafts: which values stand, which records, and how much that is of what was asked for.

use crate::evidence::{Reading, derived};
use crate::shape::{Shape, Violation};
use crate::strategy::{Choice, Draft, DraftRecord};
use atlas_schema::{Attempt, AttemptOutcome, Evidence, ExtractionResult, JsonPointer, Outcome, Source, Warning};
use serde_json::Value;
use std::collections::BTreeMap;

/// Warnings kept of one result.
const MAX_WARNINGS: usize = 200;

/// A draft after judgement.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    data: Vec<Value>,
    evidence: BTreeMap<JsonPointer, Vec<Evidence>>,
    warnings: Vec<Warning>,
    model: Option<String>,
}

impl Judged {
    /// Whether a record stands, whole or not.
    pub(super) fn has_data(&self) -> bool {
        !self.data.is_empty()
    }

    /// Whether this is more than `other`: a better outcome, else more values.
    pub(super) fn beats(&self, other: &Self) -> bool {
        let rank = |judged: &Self| match judged.outcome {
            Outcome::Complete => 3,
            Outcome::Partial => 2,
            Outcome::Empty => 1,
            Outcome::Failed => 0,
        };
        (rank(self), self.evidence.len()) > (rank(other), other.evidence.len())
    }
}

/// Drops every value whose evidence does not pass or that the schema does not allow, each with a warning.
///
/// A record that is not judged whole when `stop` says so is left out, and so are those after it.
pub(super) fn judge(draft: Draft, shape: &Shape, reading: &Reading<'_>, stop: &(dyn Fn() -> bool + Sync)) -> Judged {
    let mut judged = Judged {
        outcome: Outcome::Complete,
        data: Vec::new(),
        evidence: BTreeMap::new(),
        warnings: draft.warnings,
        model: draft.model,
    };
    for record in draft.records {
        let Some((data, evidence, missing)) =
            self::record(record, shape, reading, judged.data.len(), &mut judged.warnings, stop)
        else {
            if stop() {
                break;
            }
            continue;
        };
        if missing {
            judged.outcome = Outcome::Partial;
        }
        let at = JsonPointer::root().index(judged.data.len());
        for (pointer, pieces) in evidence {
            if let Ok(pointer) = JsonPointer::parse(&format!("{at}{pointer}")) {
                judged.evidence.insert(pointer, pieces.into_iter().map(|piece| based(piece, &at)).collect());
            }
        }
        judged.data.push(data);
    }
    if judged.data.is_empty() {
        judged.outcome = Outcome::Empty;
    }
    judged.warnings.truncate(MAX_WARNINGS);
    judged
}

/// Inputs of derived values are relative to the record in a draft, to all data in a result.
fn based(mut evidence: Evidence, at: &JsonPointer) -> Evidence {
    if let Source::Derived { inputs } = &mut evidence.source {
        for input in inputs {
            if let Ok(pointer) = JsonPointer::parse(&format!("{at}{input}")) {
                *input = pointer;
            }
        }
    }
    evidence
}

/// The pointer, or of one too long for a record its nearest container: a warning that points near is better than one
/// that points nowhere.
fn nearest(mut pointer: String) -> Option<JsonPointer> {
    loop {
        if let Ok(short) = JsonPointer::parse(&pointer) {
            return Some(short);
        }
        pointer.truncate(pointer.rfind('/')?);
    }
}

type Proven = BTreeMap<JsonPointer, Vec<Evidence>>;

/// One record with what stands of it, and whether a required field is missing; `None` if nothing stands.
fn record(
    draft: DraftRecord,
    shape: &Shape,
    reading: &Reading<'_>,
    index: usize,
    warnings: &mut Vec<Warning>,
    stop: &(dyn Fn() -> bool + Sync),
) -> Option<(Value, Proven, bool)> {
    let mut data = draft.data;
    let mut proven = Proven::new();
    let (computed, seen): (Vec<_>, Vec<_>) =
        draft.evidence.into_iter().partition(|(_, piece)| matches!(piece.source, Source::Derived { .. }));
    for (pointer, mut piece) in seen {
        if stop() {
            return None;
        }
        if let Some(value) = data.pointer(pointer.as_str()) {
            piece.verified = reading.check(&piece, value);
            if piece.verified.source {
                let pieces = proven.entry(pointer).or_default();
                // A page that states a value twice at one place proves it once.
                if !pieces.contains(&piece) {
                    pieces.push(piece);
                }
            }
        }
    }
    for (pointer, mut piece) in computed {
        let Some(value) = data.pointer(pointer.as_str()) else { continue };
        let Source::Derived { inputs } = &piece.source else { continue };
        let stand = inputs.iter().all(|input| proven.contains_key(input));
        if stand && derived(&piece, &data, value) {
            piece.verified.source = true;
            piece.verified.visible = inputs
                .iter()
                .all(|input| proven.get(input).is_some_and(|pieces| pieces.iter().any(|piece| piece.verified.visible)));
            proven.entry(pointer).or_default().push(piece);
        }
    }
    let mut warn = |code: &str, pointer: &JsonPointer, message: &str| {
        let pointer = nearest(format!("/{index}{pointer}"));
        warnings.push(Warning { code: code.into(), pointer, message: message.into() });
    };
    let mut unproven = Vec::new();
    leaves(&data, &JsonPointer::root(), &mut |pointer| {
        // Evidence of a result is found by pointers of a bounded length.
        let reachable = JsonPointer::parse(&format!("/{index}{pointer}")).is_ok();
        if !reachable || !proven.contains_key(pointer) {
            unproven.push((pointer.clone(), reachable));
        }
    });
    for (pointer, reachable) in unproven.iter().rev() {
        remove(&mut data, &mut proven, pointer);
        let message = if *reachable {
            "the value's evidence does not stand in its source, so it was left out"
        } else {
            "the names on the way to the value are too long for a pointer, so it was left out"
        };
        warn("value_dropped_unverified", pointer, message);
    }
    // Dropping one value can break a rule on its container, so the check repeats; each round removes something.
    for _ in 0..16 {
        let mut dropped = Vec::new();
        for Violation { pointer, .. } in shape.violations(&data) {
            if !pointer.as_str().is_empty() && !dropped.contains(&pointer) {
                dropped.push(pointer);
            }
        }
        if dropped.is_empty() {
            break;
        }
        dropped.sort();
        for pointer in dropped.iter().rev() {
            remove(&mut data, &mut proven, pointer);
            warn("value_dropped_schema", pointer, "the schema does not allow the value found, so it was left out");
        }
    }
    let map = data.as_object().filter(|map| !map.is_empty())?;
    if proven.is_empty() {
        return None;
    }
    let required = shape.fields(shape.root()).iter().filter(|field| field.required && !map.contains_key(&field.name));
    for field in required {
        let pointer = JsonPointer::root().key(&field.name);
        warn("required_missing", &pointer, "the page does not give this required field, or not in a readable form");
    }
    let whole = shape.accepts(&data);
    if !whole && !shape.lacks_only_required(&data) {
        let message = "the record as a whole does not satisfy the schema, so it was left out";
        warn("record_dropped_schema", &JsonPointer::root(), message);
        return None;
    }
    Some((data, proven, !whole))
}

/// Calls `each` with the pointer of every value that is neither object nor array. Drafts are as deep as schemas, not pages.
fn leaves(value: &Value, at: &JsonPointer, each: &mut impl FnMut(&JsonPointer)) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| leaves(inner, &at.key(key), each)),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, inner)| leaves(inner, &at.index(index), each)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => each(at),
    }
}

/// Takes a value out, and its evidence; entries after it move up, and containers left empty go too.
fn remove(data: &mut Value, proven: &mut Proven, pointer: &JsonPointer) {
    let Some((_, last)) = pointer.as_str().rsplit_once('/') else { return };
    let parts: Vec<String> = pointer.parts().collect();
    let above = parts.iter().take(parts.len() - 1).fold(JsonPointer::root(), |above, part| above.key(part));
    let emptied = match data.pointer_mut(above.as_str()) {
        Some(Value::Object(map)) => {
            map.remove(&last.replace("~1", "/").replace("~0", "~"));
            map.is_empty()
        }
        Some(Value::Array(list)) => {
            if let Some(index) = last.parse().ok().filter(|index| *index < list.len()) {
                list.remove(index);
                let length = list.len();
                forget(proven, pointer);
                for moved in index..length {
                    rename(proven, &above.index(moved + 1), &above.index(moved));
                }
            }
            list.is_empty()
        }
        _ => false,
    };
    if !matches!(data.pointer(above.as_str()), Some(Value::Array(_))) {
        forget(proven, pointer);
    }
    if emptied && !above.as_str().is_empty() {
        remove(data, proven, &above);
    }
}

fn within(pointer: &JsonPointer, outer: &JsonPointer) -> bool {
    pointer.as_str().strip_prefix(outer.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn forget(proven: &mut Proven, pointer: &JsonPointer) {
    proven.retain(|known, _| !within(known, pointer));
}

fn rename(proven: &mut Proven, from: &JsonPointer, to: &JsonPointer) {
    let moved: Vec<JsonPointer> = proven.keys().filter(|known| within(known, from)).cloned().collect();
    for known in moved {
        let rest = known.as_str().get(from.as_str().len()..).unwrap_or("");
        if let (Ok(renamed), Some(pieces)) = (JsonPointer::parse(&format!("{to}{rest}")), proven.remove(&known)) {
            proven.insert(renamed, pieces);
        }
    }
}

/// The attempt of a strategy that did not run.
pub(super) fn skipped(choice: &Choice, reason: &str) -> Attempt {
    Attempt {
        strategy: choice.name.clone(),
        outcome: AttemptOutcome::Skipped,
        category: None,
        reason: Some(reason.chars().take(1000).collect()),
        model: None,
        usage: None,
        cost: None,
        duration_ms: None,
    }
}

/// The canonical result of the best draft, if any.
pub(super) fn result(best: Option<(usize, Judged)>, mut attempts: Vec<Attempt>) -> ExtractionResult {
    let mut result = ExtractionResult::default();
    match best {
        Some((at, judged)) if !judged.data.is_empty() => {
            if let Some(attempt) = attempts.get_mut(at) {
                attempt.outcome = AttemptOutcome::Used;
                result.strategy = Some(attempt.strategy.clone());
            }
            result.success = true;
            result.outcome = Some(judged.outcome);
            result.data = judged.data;
            result.evidence = judged.evidence;
            result.warnings = judged.warnings;
            result.model = judged.model;
            if judged.outcome == Outcome::Partial {
                result.error = Some("required fields are missing: see the warnings".into());
            }
        }
        Some((_, judged)) => {
            result.outcome = Some(Outcome::Empty);
            result.warnings = judged.warnings;
            result.error = Some("the page holds no such data that could be read: compare the names of the schema with what the page shows".into());
        }
        None => {
            result.outcome = Some(Outcome::Failed);
            result.error = Some("every strategy failed: see the attempts".into());
        }
    }
    result.attempts = attempts;
    result
}
