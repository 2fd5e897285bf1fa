//! Batches: jobs that belong together, with a rule for when the whole is done.
//!
//! A batch is a job of kind `batch` that no worker takes, and its children are jobs of any kind that name it as their
//! parent. [`JobManager::batch`](crate::JobManager::batch) enqueues both; [`decide`] says, from counts alone, when the
//! batch ends; [`BatchKeeper`] makes it so. Nothing is counted anywhere but in the store, so that a keeper that dies
//! loses nothing, and any number of them may run.

mod decide;
mod enqueue;
mod keeper;
mod progress;

pub use decide::{BatchRule, Counts, Decision, decide};
pub(crate) use enqueue::make;
pub use enqueue::{Batch, BatchError, BatchSpec, Child};
pub use keeper::{BatchKeeper, KeeperReport};
pub use progress::BatchProgress;

use serde::{Deserialize, Serialize};

/// The payload of a job of kind `batch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Plan {
    pub(crate) children: u64,
    pub(crate) rule: BatchRule,
    pub(crate) fail_fast: bool,
    pub(crate) cancel_rest: bool,
}
