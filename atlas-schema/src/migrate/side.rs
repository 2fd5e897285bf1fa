//! The side record: what a legacy record said and a job has no home for.

use super::outcome::{QuarantineReason, Quarantined};
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

    /// Puts the record of a page or sub-task, quarantined as an orphan, beside the job it is part of.
    ///
    /// It goes to `/parts/<its id>`, without its secrets. The same part twice is the same as once, and the order of parts
    /// does not matter. The job's own result is left as it is: where the parent ended well it holds the parts' data already.
    ///
    /// # Errors
    /// [`AttachError`] if it is no orphan or another job's; the record is then unchanged.
    pub fn attach(&mut self, part: &Quarantined) -> Result<(), AttachError> {
        let QuarantineReason::Orphan { parent } = &part.reason else { return Err(AttachError::NotAPart) };
        if *parent != self.job {
            return Err(AttachError::AnotherJob);
        }
        let value: Value = serde_json::from_slice(&part.original).map_err(|_| AttachError::NotAPart)?;
        let (map, _) = match value {
            Value::Object(map) => super::item::unmarshal(map).map_err(|_| AttachError::NotAPart)?,
            _ => return Err(AttachError::NotAPart),
        };
        let id = map.get("id").or_else(|| map.get("jobId")).and_then(Value::as_str).ok_or(AttachError::NotAPart)?;
        let pointer = JsonPointer::root().key("parts").key(id);
        self.entries.insert(pointer, Value::Object(map));
        Ok(())
    }
}

/// Why a part can't be put beside a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It was not quarantined as an orphan.
    #[error("the record is not part of another job: see its own reason")]
    NotAPart,
    /// It is part of another job than this side record's.
    #[error("the part belongs to another job: attach it to the job it names")]
    AnotherJob,
}
