//! Parts: records of pages and sub-tasks, which belong beside the job they name.

use super::outcome::{Migrated, QuarantineReason, Quarantined};
use super::side::SideRecord;
use crate::pointer::JsonPointer;
use crate::version::SchemaVersion;
use serde_json::Value;
use std::collections::BTreeMap;

impl Migrated {
    /// Puts the record of a page or sub-task, quarantined as an orphan, beside the job it is part of.
    ///
    /// It goes to `/parts/<its id>` of the side record, without its secrets. The same part twice is the same as once, and
    /// the order of parts does not matter. The job itself is left as it is: one that ended well holds its parts' data
    /// already, and one that did not must not look as if it had.
    ///
    /// # Errors
    /// [`AttachError`] if it is no orphan or another job's; nothing is changed then.
    pub fn attach(&mut self, part: &Quarantined) -> Result<(), AttachError> {
        let QuarantineReason::Orphan { parent } = &part.reason else { return Err(AttachError::NotAPart) };
        if *parent != self.job.id {
            return Err(AttachError::AnotherJob);
        }
        let Ok(Value::Object(map)) = serde_json::from_slice(&part.original) else { return Err(AttachError::NotAPart) };
        let (map, _) = super::item::unmarshal(map).map_err(|_| AttachError::NotAPart)?;
        let id = map.get("id").or_else(|| map.get("jobId")).and_then(Value::as_str).ok_or(AttachError::NotAPart)?;
        let pointer = JsonPointer::root().key("parts").key(id);
        if !pointer.is_short() {
            return Err(AttachError::NotAPart);
        }
        let side = self.side.get_or_insert_with(|| SideRecord {
            schema_version: SchemaVersion::CURRENT,
            job: self.job.id.clone(),
            shape: self.shape,
            entries: BTreeMap::new(),
        });
        side.entries.insert(pointer, Value::Object(map));
        Ok(())
    }
}

/// Why a part can't be put beside a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachError {
    /// It was not quarantined as an orphan, or its id is too long to point at.
    #[error("the record is not part of another job: see its own reason")]
    NotAPart,
    /// It is part of another job.
    #[error("the part belongs to another job: attach it to the job it names")]
    AnotherJob,
}
