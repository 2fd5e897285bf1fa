//! Reading: the only way bytes become records, and the check before records become bytes.
//!
//! Strict means: what a reader would have to guess, drop or round is refused, with the place and the rule, and all of
//! it at once.
//!
//! | Input | Verdict |
//! |---|---|
//! | unknown field, at any depth of a closed object | refused, named by its pointer |
//! | `"5"` for 5, `1` for true | refused: nothing is coerced |
//! | `5.0` for an integer | the integer 5 (JSON Schema says so); written back as `5` |
//! | `null` for a field that may be absent | absent; not written back |
//! | a key twice in one object, also inside open data | refused |
//! | `NaN`, `Infinity`, `1e400` | refused |
//! | an integer beyond 64 bits | refused; up to 64 bits kept exactly, also in open data |
//! | a decimal in open data | the nearest double, as everywhere in JSON |
//! | nested deeper than [`MAX_DEPTH`], larger than [`MAX_BYTES`] | refused |
//! | not UTF-8, or with a byte order mark | refused |
//! | a `schemaVersion` of the future | refused with [`FaultKind::UnknownVersion`] alone, nothing else judged |
//!
//! Verdicts are those of the published JSON Schema ([`schema`](crate::schema)); the cross-field [`Rule`]s come on top.
//!
//! ```
//! use atlas_schema::{ExtractionRequest, read};
//!
//! let faults = read::from_slice::<ExtractionRequest>(
//!     br#"{"url": "ftp://example.org", "schema": {}, "maxPages": "5", "maxPage": 5}"#,
//! )
//! .unwrap_err();
//! let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.kind.as_str())).collect();
//! assert_eq!(found, [("/maxPage", "unknown_field"), ("/maxPages", "wrong_type"), ("/url", "pattern")]);
//! assert!(!faults.to_string().contains("ftp"));
//! ```

mod checker;
mod compile;
mod fault;
mod parse;
mod path;
mod patterns;
mod rules;

pub use fault::{Fault, FaultKind, Faults};
pub(crate) use parse::parse;
pub use rules::Rule;

use crate::migrate::{Quarantined, SideRecord};
use crate::pointer::JsonPointer;
use crate::schema::json_schema;
use crate::version::SchemaVersion;
use crate::{Alert, AuditEvent, Evidence, ExtractionJob, ExtractionRequest, ExtractionResult, JobRecord};
use checker::Checker;
use path::{Report, Sink, Verdict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::OnceLock;

/// The most bytes a document may have: 64 MiB. A result with a large table stays well under it, and parsing takes a few
/// times as much memory.
pub const MAX_BYTES: usize = 64 << 20;

/// How deep a document may nest: 127 levels, `serde_json`'s own limit.
pub const MAX_DEPTH: usize = 127;

/// A record that can be read strictly. Implemented here only: the rules of a record belong to its format.
pub trait Record: sealed::Sealed + Serialize + DeserializeOwned {}

mod sealed {
    use super::{Checker, ControlFlow, Sink, Value};

    /// What reading needs to know of a record.
    pub trait Sealed {
        /// Where a value of a type unknown to the schema stands.
        const OPEN: &'static str = "";
        /// The compiled schema.
        fn checker() -> &'static Checker;
        /// The cross-field rules.
        fn rules<S: Sink>(value: &Value, sink: &mut S) -> ControlFlow<()>;
    }
}

macro_rules! records {
    ($($record:ty, $rules:path;)*) => {$(
        impl Record for $record {}
        impl sealed::Sealed for $record {
            fn checker() -> &'static Checker {
                static CHECKER: OnceLock<Checker> = OnceLock::new();
                CHECKER.get_or_init(|| Checker::new(&json_schema::<$record>()))
            }
            fn rules<S: Sink>(value: &Value, sink: &mut S) -> ControlFlow<()> {
                $rules(value, sink)
            }
        }
    )*};
}

records! {
    Alert, no_rules;
    AuditEvent, rules::audit_event;
    Evidence, rules::evidence;
    ExtractionJob, rules::extraction_job;
    ExtractionRequest, rules::extraction_request;
    ExtractionResult, rules::extraction_result;
    Quarantined, no_rules;
    SideRecord, no_rules;
}

fn no_rules<S: Sink>(_: &Value, _: &mut S) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl<P: Serialize + DeserializeOwned> Record for JobRecord<P> {}
impl<P: Serialize + DeserializeOwned> sealed::Sealed for JobRecord<P> {
    const OPEN: &'static str = "payload";
    fn checker() -> &'static Checker {
        static CHECKER: OnceLock<Checker> = OnceLock::new();
        CHECKER.get_or_init(|| Checker::new(&json_schema::<JobRecord>()))
    }
    fn rules<S: Sink>(value: &Value, sink: &mut S) -> ControlFlow<()> {
        rules::job_record(value, sink)
    }
}

/// Reads one record from the bytes of one JSON document.
///
/// # Errors
/// Every fault of the document, see the [module page](self). What is not JSON at all has one fault.
pub fn from_slice<T: Record>(bytes: &[u8]) -> Result<T, Faults> {
    from_value(parse::parse(bytes)?)
}

/// Reads one record from parsed JSON. Keys given twice and rounded numbers no longer show: prefer [`from_slice`].
///
/// # Errors
/// Every fault of the document.
pub fn from_value<T: Record>(mut value: Value) -> Result<T, Faults> {
    known_version::<T>(&value)?;
    let mut verdict = Verdict::default();
    let refused = walk::<T, _>(&value, &mut verdict).is_break();
    if refused || verdict.integral_floats {
        let mut report = Report::default();
        let _ = walk::<T, _>(&value, &mut report);
        if let Some(faults) = Faults::collected(report.faults, report.total) {
            return Err(faults);
        }
        report.integral_floats.iter().for_each(|at| respell(&mut value, at));
    }
    T::deserialize(value).map_err(|_| {
        // The schema and the rules hold, so what is left is a payload type of the host's. Its message may quote values.
        let at = if T::OPEN.is_empty() { JsonPointer::root() } else { JsonPointer::root().key(T::OPEN) };
        let fault = Fault::new(at, FaultKind::Payload, "does not fit the type it is read as: check the job's kind");
        Faults::of(fault)
    })
}

/// Checks parsed JSON against the schema and the rules of a record, without building it.
///
/// # Errors
/// Every fault of the document.
pub fn validate<T: Record>(value: &Value) -> Result<(), Faults> {
    known_version::<T>(value)?;
    if walk::<T, _>(value, &mut Verdict::default()).is_continue() {
        return Ok(());
    }
    let mut report = Report::default();
    let _ = walk::<T, _>(value, &mut report);
    Faults::collected(report.faults, report.total).map_or(Ok(()), Err)
}

/// Whether parsed JSON is valid by the published JSON Schema of a record. The cross-field rules are not asked.
///
/// One difference: what nests deeper than [`MAX_DEPTH`] is refused.
pub fn matches_schema<T: Record>(value: &Value) -> bool {
    T::checker().check(value, &mut Verdict::default()).is_continue()
}

/// Checks a record in memory, such as before it is stored: what passes can be read back.
///
/// # Errors
/// Every fault of the record as it would be written.
pub fn check<T: Record>(record: &T) -> Result<(), Faults> {
    validate::<T>(&to_value(record)?)
}

/// The canonical bytes of a record: no blanks, keys sorted at every level, fields without a value absent, integers
/// without a fraction. Equal records give equal bytes, and [`from_slice`] of these bytes gives the record again.
///
/// Nothing is checked; [`check`] does.
///
/// # Errors
/// If a payload type of the host's cannot be written as JSON, such as a map with keys that are not strings.
pub fn to_canonical_vec<T: Record>(record: &T) -> Result<Vec<u8>, Faults> {
    let mut value = to_value(record)?;
    // Without `preserve_order` maps are sorted already and this does nothing.
    value.sort_all_objects();
    serde_json::to_vec(&value).map_err(|_| unwritable())
}

fn to_value<T: Record>(record: &T) -> Result<Value, Faults> {
    serde_json::to_value(record).map_err(|_| unwritable())
}

fn unwritable() -> Faults {
    Faults::one(FaultKind::Payload, "cannot be written as JSON: check the payload type's `Serialize`")
}

fn walk<T: Record, S: Sink>(value: &Value, sink: &mut S) -> ControlFlow<()> {
    T::checker().check(value, sink)?;
    T::rules(value, sink)
}

/// A format of the future is refused before anything else is judged: its rules are not known here.
fn known_version<T: Record>(value: &Value) -> Result<(), Faults> {
    match value.get("schemaVersion").and_then(Value::as_str) {
        Some(version) if T::checker().has_field("schemaVersion") && !SchemaVersion::is_known(version) => {
            let current = SchemaVersion::CURRENT.as_str();
            let rule = format!("is a format that this release does not know: it reads {current}, upgrade it");
            Err(Faults::of(Fault::new(JsonPointer::root().key("schemaVersion"), FaultKind::UnknownVersion, rule)))
        }
        _ => Ok(()),
    }
}

/// Turns an integral double, already known to be within its integer's range, into that integer.
fn respell(value: &mut Value, at: &JsonPointer) {
    let Some(place) = value.pointer_mut(at.as_str()) else { return };
    if let Some(integer) = place.as_f64().and_then(|double| format!("{double:.0}").parse::<i64>().ok()) {
        *place = integer.into();
    }
}

#[cfg(test)]
mod tests {
    use super::{Checker, patterns::PATTERNS, sealed::Sealed};
    use proptest::prelude::{any, prop_oneof, proptest};
    use proptest::strategy::Strategy;
    use serde_json::json;

    #[test]
    fn every_keyword_of_the_published_schemas_is_compiled() {
        for one in crate::schema::published() {
            assert_eq!(Checker::new(&one.schema).unknown_keywords(), Vec::<String>::new(), "{}", one.name);
        }
    }

    #[test]
    fn an_unknown_keyword_fails_closed() {
        for schema in [
            json!({"type": "string", "contentEncoding": "base64"}),
            json!({"type": "integer", "minimum": 0}),
            json!({"type": "string", "pattern": "^x$"}),
            json!({"$ref": "#"}),
            json!({"anyOf": [{"type": "string"}, {"type": "boolean"}]}),
        ] {
            let checker = Checker::new(&schema);
            assert_ne!(checker.unknown_keywords(), Vec::<String>::new(), "{schema}");
            assert!(checker.check(&json!("x"), &mut super::Verdict::default()).is_break());
        }
        assert!(<crate::Alert as Sealed>::checker().unknown_keywords().is_empty());
    }

    /// Texts near the patterns: their own characters, long enough for the longest.
    fn near() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-zA-Z0-9_.~/:!-]{0,8}",
            "(https?|file|ftp|HTTP)?(://)?[!-~]{0,6}[ \n\t\u{e9}]?",
            "-?(0|[0-9]{1,11})(\\.[0-9]{0,10})?\n?",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-fA-F]{4}-[0-9a-f]{4}-[0-9a-f]{11,13}",
            "[0-9a-f]{63,65}",
            "(/([a-z]|~[012]|\n|\u{1f600}){0,3}){0,3}",
            any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn each_pattern_function_agrees_with_its_regular_expression(text in near()) {
            for pattern in PATTERNS {
                let oracle = jsonschema::is_valid(&json!({"pattern": pattern.source}), &json!(text));
                assert_eq!((pattern.matches)(&text), oracle, "{} on {text:?}", pattern.source);
            }
        }
    }
}
