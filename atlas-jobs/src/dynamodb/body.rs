//! Payloads and results: small ones in the job's item, larger ones in an item of their own, the largest in an
//! artifact store.
//!
//! An artifact is written before the transaction that names it, under a name that no other writer has: a late one can
//! overwrite nothing. A result that no job came to know is cleared away with its job's purge. A payload of a job that did not
//! come to be, since its enqueueing failed, stays: who can't tell whether it came to be must not delete its data.

use super::DynamoJobs;
use super::error::{BACKEND, corrupt};
use super::item::{Item, Place, Stored, keyed, text};
use super::keys;
use crate::error::{Kind, StoreError};
use crate::kernel::unreadable;
use atlas_schema::{JobId, JobRecord};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// A payload or a result of so many bytes stays in the job's item, which is then rarely over the 1 KiB that one unit of
/// write capacity pays for.
const INLINE: usize = 384;
/// A larger one goes to the artifact store, if there is one. An item has 400 KB at most, names included.
const ITEM: usize = 200 * 1024;

pub(super) const PAYLOAD: &str = "payload";
pub(super) const RESULT: &str = "result";

/// A body that was put in its place, with the item that goes into the transaction.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) place: Place,
    pub(super) item: Option<Item>,
}

impl DynamoJobs {
    /// Puts a body where its size says. Artifacts are written here and now.
    pub(super) async fn place(
        &self,
        id: JobId,
        incarnation: &str,
        part: &'static str,
        value: &Value,
        operation: &'static str,
    ) -> Result<Placed, StoreError> {
        let json = serde_json::to_string(value).map_err(|_| corrupt(operation, "the value is no JSON"))?;
        let bytes = json.len();
        if bytes <= INLINE {
            return Ok(Placed { place: Place::Inline(json), item: None });
        }
        if let Some(artifacts) = self.artifacts().filter(|_| bytes > ITEM) {
            let folder = folder(self.artifact_prefix(), id, incarnation);
            let name = format!("{folder}{part}-{:016x}.json", self.random().u64());
            let put = artifacts.put(&Path::from(name.as_str()), json.into()).await;
            put.map_err(|error| artifact(operation, &error))?;
            return Ok(Placed { place: Place::Artifact(name), item: None });
        }
        let mut item = keyed(keys::body(id, incarnation, part));
        item.insert("json".into(), text(json));
        Ok(Placed { place: Place::Item, item: Some(item) })
    }

    /// Deletes an artifact that no job names: best effort, its job's purge sees to the rest.
    pub(super) async fn unplace(&self, place: &Place) {
        if let (Some(artifacts), Place::Artifact(name)) = (self.artifacts(), place)
            && let Err(error) = artifacts.delete(&Path::from(name.as_str())).await
        {
            tracing::debug!(kind = ?artifact("unplace", &error).kind(), "an unused artifact was left for the purge");
        }
    }

    /// Deletes every artifact of a job, and none of another that has its id by now.
    pub(super) async fn clear_artifacts(
        &self,
        id: JobId,
        incarnation: &str,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        let Some(artifacts) = self.artifacts() else { return Ok(()) };
        let prefix = Path::from(folder(self.artifact_prefix(), id, incarnation));
        let fail = |error| artifact(operation, &error);
        let names: Vec<Path> =
            artifacts.list(Some(&prefix)).map_ok(|found| found.location).try_collect().await.map_err(fail)?;
        for name in names {
            match artifacts.delete(&name).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(())
    }

    /// The whole records of jobs, in order, and those whose payload or result can't be read.
    pub(super) async fn complete_readable(
        &self,
        jobs: Vec<Stored>,
        operation: &'static str,
    ) -> Result<(Vec<JobRecord>, Vec<Stored>), StoreError> {
        match self.complete(jobs.clone(), operation).await {
            Err(error) if error.is_in_one_row() => {}
            complete => return Ok((complete?.into_iter().flatten().collect(), Vec::new())),
        }
        let (mut found, mut bad) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            match self.complete(vec![job.clone()], operation).await {
                Err(error) if unreadable(&error, &job.id()) => bad.push(job),
                one => found.extend(one?.into_iter().flatten()),
            }
        }
        Ok((found, bad))
    }

    /// The whole records of jobs, in order. `None` for a job that was deleted meanwhile.
    pub(super) async fn complete(
        &self,
        jobs: Vec<Stored>,
        operation: &'static str,
    ) -> Result<Vec<Option<JobRecord>>, StoreError> {
        let mut beside = Vec::new();
        for job in &jobs {
            for (part, place) in [(PAYLOAD, Some(&job.payload)), (RESULT, job.result.as_ref())] {
                if place == Some(&Place::Item) {
                    beside.push(keys::body(job.id(), &job.incarnation, part));
                }
            }
        }
        let items = if beside.is_empty() { HashMap::new() } else { self.read_all(beside, operation).await? };
        let whole = jobs.into_iter().map(|job| self.whole(job, &items, operation));
        futures_util::stream::iter(whole).buffered(self.in_flight()).try_collect().await
    }

    async fn whole(
        &self,
        job: Stored,
        items: &HashMap<keys::Key, Item>,
        operation: &'static str,
    ) -> Result<Option<JobRecord>, StoreError> {
        let Some(payload) = self.body(&job, PAYLOAD, &job.payload, items, operation).await? else { return Ok(None) };
        let result = match &job.result {
            None => None,
            Some(place) => match self.body(&job, RESULT, place, items, operation).await? {
                None => return Ok(None),
                some => some,
            },
        };
        let mut record = job.record.map_payload(|()| payload);
        record.result = result;
        Ok(Some(record))
    }

    async fn body(
        &self,
        job: &Stored,
        part: &'static str,
        place: &Place,
        items: &HashMap<keys::Key, Item>,
        operation: &'static str,
    ) -> Result<Option<Value>, StoreError> {
        let bad = || corrupt(operation, "a stored payload or result is not one that this release writes").in_one_row();
        match place {
            Place::Inline(json) => serde_json::from_str(json).map(Some).map_err(|_| bad()),
            Place::Item => {
                let Some(item) = items.get(&keys::body(job.id(), &job.incarnation, part)) else {
                    return self.gone(job, operation).await;
                };
                let json = item.get("json").and_then(|json| json.as_s().ok()).ok_or_else(bad)?;
                serde_json::from_str(json).map(Some).map_err(|_| bad())
            }
            Place::Artifact(name) => {
                let Some(artifacts) = self.artifacts() else {
                    let advice = "the job's data is in an artifact store: open this store with it";
                    return Err(StoreError::new(Kind::Unsupported, BACKEND, operation).with_source(advice));
                };
                let found = match artifacts.get(&Path::from(name.as_str())).await {
                    Ok(found) => found.bytes().await,
                    Err(error) => Err(error),
                };
                match found {
                    Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|_| bad()),
                    Err(object_store::Error::NotFound { .. }) => self.gone(job, operation).await,
                    Err(error) => Err(artifact(operation, &error)),
                }
            }
        }
    }

    /// A body is missing: either its job was purged since its item was read, or data is lost.
    async fn gone(&self, job: &Stored, operation: &'static str) -> Result<Option<Value>, StoreError> {
        let now = self.load(job.id(), operation).await?;
        if now.is_some_and(|now| now.incarnation == job.incarnation) {
            return Err(corrupt(operation, "the payload or the result of a job is missing").in_one_row());
        }
        Ok(None)
    }
}

fn folder(prefix: &str, id: JobId, incarnation: &str) -> String {
    format!("{prefix}{id}/{incarnation}/")
}

/// What an artifact store's error means. Its message may hold addresses with credentials: it is left out.
fn artifact(operation: &'static str, error: &object_store::Error) -> StoreError {
    use object_store::Error as E;
    let (kind, source) = match error {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            (Kind::PermissionDenied, "the artifact store refuses this process")
        }
        E::NotFound { .. } => (Kind::NotFound, "the artifact store has no such object"),
        E::NotSupported { .. } | E::NotImplemented { .. } => (Kind::Unsupported, "the artifact store can't do that"),
        _ => (Kind::Unavailable, "the artifact store failed"),
    };
    StoreError::new(kind, BACKEND, operation).with_source(source)
}

/// The largest payload and result with and without an artifact store.
pub(super) const fn largest(artifacts: Option<&Arc<dyn ObjectStore>>) -> (usize, usize) {
    match artifacts {
        Some(_) => (1024 * 1024, 64 * 1024 * 1024),
        // An item of a payload or a result has some 150 bytes of keys and names beside it.
        None => (256 * 1024, 384 * 1024),
    }
}
