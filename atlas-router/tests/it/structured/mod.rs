//! Structured replies: what is read, what is repaired, what is refused.

mod documents;
mod hostile;
mod keys;
mod property;
mod shape;

use atlas_router::structured::{Bounds, ReadError, RepairKind, documents};
use serde_json::Value;

/// The only document of a text and the repairs, with their places.
fn read(text: &str) -> Result<(Value, Vec<(String, RepairKind)>), ReadError> {
    let mut all = documents(text, &Bounds::default())?;
    assert_eq!(all.len(), 1, "{text}");
    let one = all.remove(0);
    Ok((one.value, one.repairs.listed.into_iter().map(|repair| (repair.pointer, repair.kind)).collect()))
}
