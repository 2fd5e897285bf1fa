//! The side record: what a legacy record said and a job has no home for.

use super::shape::Shape;
use crate::id::ExternalId;
use crate::pointer::JsonPointer;
use crate::version::SchemaVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a legacy record said and its job has no home for, kept beside the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SideRecord {
    /// The format of this record.
    pub schema_version: SchemaVersion,
    /// The job it belongs to.
    pub job: ExternalId,
    /// Which writer's record it was.
    pub shape: Shape,
    /// The values, each by its pointer in the legacy record. A value may be an object or a list.
    #[schemars(extend("propertyNames" = { "maxLength": 1024 }))]
    pub entries: BTreeMap<JsonPointer, Value>,
}

impl SideRecord {
    /// How many values without a home were kept. Keys under the same unmapped object count as one.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
