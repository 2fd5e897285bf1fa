//! How a table is used.

use super::error::BACKEND;
use crate::error::{Kind, StoreError};
use atlas_schema::Stage;
use object_store::ObjectStore;
use std::fmt;
use std::sync::Arc;

/// How a table is used. What is pinned with the table's first use stays as it was then.
#[derive(Clone)]
#[non_exhaustive]
pub struct DynamoOptions {
    /// The table's name.
    pub table: String,
    /// The stage whose jobs it keeps; pinned.
    pub stage: Stage,
    /// Over how many partitions of the index the ready jobs of one queue and kind are spread, 1 to 64; pinned. One
    /// keeps claims strictly in order, and carries some 500 jobs per second and queue. Default 1.
    pub queue_shards: u16,
    /// Over how many partitions lists, beats, ends and deadlines are spread, 1 to 64; pinned. Default 4.
    pub spread: u16,
    /// How many requests at a time may count without getting in each other's way, 1 to 1000; pinned. Statistics read
    /// as many items per queue, kind and tenant. Default 16.
    pub lanes: u16,
    /// How many requests one call has under way, 1 to 64. Default 16.
    pub in_flight: usize,
    /// Where payloads and results of over 200 KiB go. Without one, a payload has 256 KiB and a result 384 KiB at most;
    /// with one, 1 MiB and 64 MiB. Default none.
    pub artifacts: Option<Arc<dyn ObjectStore>>,
    /// What the names of artifacts begin with, such as `jobs/`. No two tables may share one. Default `atlas-jobs/`.
    pub artifact_prefix: String,
}

impl fmt::Debug for DynamoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An artifact store may hold credentials, and shows what its author thought fit.
        f.debug_struct("DynamoOptions")
            .field("table", &self.table)
            .field("stage", &self.stage)
            .field("queue_shards", &self.queue_shards)
            .field("spread", &self.spread)
            .field("lanes", &self.lanes)
            .field("in_flight", &self.in_flight)
            .field("artifacts", &self.artifacts.is_some())
            .finish_non_exhaustive()
    }
}

impl DynamoOptions {
    /// A table with the defaults.
    pub fn new(table: impl Into<String>, stage: Stage) -> Self {
        Self {
            table: table.into(),
            stage,
            queue_shards: 1,
            spread: 4,
            lanes: 16,
            in_flight: 16,
            artifacts: None,
            artifact_prefix: "atlas-jobs/".into(),
        }
    }

    /// With more partitions per queue, if the table is new.
    #[must_use]
    pub const fn with_queue_shards(mut self, shards: u16) -> Self {
        self.queue_shards = shards;
        self
    }

    /// With more partitions for all else, if the table is new.
    #[must_use]
    pub const fn with_spread(mut self, spread: u16) -> Self {
        self.spread = spread;
        self
    }

    /// With more lanes, if the table is new.
    #[must_use]
    pub const fn with_lanes(mut self, lanes: u16) -> Self {
        self.lanes = lanes;
        self
    }

    /// With another number of requests at a time.
    #[must_use]
    pub const fn with_in_flight(mut self, requests: usize) -> Self {
        self.in_flight = requests;
        self
    }

    /// With a place for large payloads and results.
    #[must_use]
    pub fn with_artifacts(mut self, artifacts: Arc<dyn ObjectStore>) -> Self {
        self.artifacts = Some(artifacts);
        self
    }

    /// With another beginning for the names of artifacts.
    #[must_use]
    pub fn with_artifact_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.artifact_prefix = prefix.into();
        self
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        let rules = [
            (!self.table.is_empty(), "the table's name must not be empty"),
            ((1..=64).contains(&self.queue_shards), "the shards of a queue must be 1 to 64"),
            ((1..=64).contains(&self.spread), "the spread must be 1 to 64"),
            ((1..=1000).contains(&self.lanes), "the lanes must be 1 to 1000"),
            ((1..=64).contains(&self.in_flight), "the requests under way must be 1 to 64"),
            (
                self.artifact_prefix.is_empty() || self.artifact_prefix.ends_with('/'),
                "the prefix of artifacts must end with a slash",
            ),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(StoreError::new(Kind::InvalidInput, BACKEND, "open").with_source(rule)),
        }
    }
}
