//! The JSON Schemas (draft 2020-12), generated from the types.
//!
//! The types are the definition. The files under `schemas/` are what [`published`] gives, written out for readers who
//! have no Rust; a test keeps them equal. [`read`](crate::read) checks records against the same schemas.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of any type that has one, as reading sees it.
///
/// Integer widths such as `uint32` are left out of `format`: draft 2020-12 does not know them and strict validators
/// refuse unknown formats. Bounds say what a width would.
pub fn json_schema<T: JsonSchema + ?Sized>() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(drop_integer_width).transform(&mut schema);
    schema.to_value()
}

fn drop_integer_width(schema: &mut Schema) {
    let width = |format: &str| format.starts_with("int") || format.starts_with("uint");
    if schema.get("format").and_then(Value::as_str).is_some_and(width) {
        schema.remove("format");
    }
}

/// A published schema: the file `schemas/{name}.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The record's name, such as `ExtractionJob`.
    pub name: &'static str,
    /// Its schema.
    pub schema: Value,
}

/// The schemas of the records that leave the process, in alphabetical order.
pub fn published() -> Vec<Published> {
    vec![
        Published { name: "Alert", schema: json_schema::<crate::Alert>() },
        Published { name: "AuditEvent", schema: json_schema::<crate::AuditEvent>() },
        Published { name: "Evidence", schema: json_schema::<crate::Evidence>() },
        Published { name: "ExtractionJob", schema: json_schema::<crate::ExtractionJob>() },
        Published { name: "ExtractionRequest", schema: json_schema::<crate::ExtractionRequest>() },
        Published { name: "ExtractionResult", schema: json_schema::<crate::ExtractionResult>() },
        Published { name: "JobRecord", schema: json_schema::<crate::JobRecord>() },
        Published { name: "Quarantined", schema: json_schema::<crate::migrate::Quarantined>() },
        Published { name: "SideRecord", schema: json_schema::<crate::migrate::SideRecord>() },
    ]
}
