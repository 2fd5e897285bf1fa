//! Deleting jobs whose records can't be read any more.
//!
//! Nothing leads from such a job to its names, its places in lists and its count but what can be made out of the damaged text
//! and of the attributes beside it. A place in a list that is left names nobody, and is passed over as that of any job that
//! is gone; a name that is left stays taken, and a count too high.

use super::DynamoJobs;
use super::change::Change;
use super::item::{Item, Reader, Stored, keyed};
use super::keys::{self, ListScope};
use super::read::string;
use super::write::{Shared, Written};
use crate::error::StoreError;
use crate::kernel::unreadable;
use atlas_schema::{ExternalId, IdempotencyKey, JobId, JobKind, JobStatus, QueueName, TenantId, Timestamp};
use serde::de::DeserializeOwned;
use std::time::Duration;

const OPERATION: &str = "purge";

/// A damaged record's text.
#[derive(Clone, Copy)]
struct Traces<'a>(&'a str);

impl Traces<'_> {
    /// The first value of this name, if it can still be read. In texts within the record quotation marks are escaped, so that none of
    /// them is taken for a name.
    fn find<T: DeserializeOwned>(self, name: &str) -> Option<T> {
        let name = format!("\"{name}\":");
        let (_, rest) = self.0.split_once(name.as_str())?;
        serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()
    }
}

impl DynamoJobs {
    /// Deletes those of these jobs whose records can't be read, and gives how many.
    pub(super) async fn discard(&self, ids: Vec<JobId>) -> Result<usize, StoreError> {
        let items = self.read_all(ids.iter().copied().map(keys::job).collect(), OPERATION).await?;
        let mut changes = Vec::new();
        for id in ids {
            let Some(item) = items.get(&keys::job(id)) else { continue };
            if Stored::read(item, OPERATION).is_err_and(|error| unreadable(&error, &id)) {
                changes.push(self.removal(id, item).await?);
            }
        }
        let outcomes = self.write(changes, &Shared::default(), OPERATION).await?;
        Ok(outcomes.iter().filter(|outcome| matches!(outcome, Written::Done)).count())
    }

    async fn removal(&self, id: JobId, item: &Item) -> Result<Change, StoreError> {
        let spread = self.shards().spread;
        let traces = Traces(string(item, "rec").unwrap_or_default());
        let status = status_of(item);
        let mut change = Change::default();
        change.delete_damaged(keys::job(id), item.get("rec").cloned());
        let tenant = traces.find::<TenantId>("tenant");
        let parent = traces.find::<JobId>("parent").map(ListScope::Parent);
        if let Some(at) = traces.find::<Timestamp>("createdAt") {
            let shard = keys::shard(id.as_bytes(), spread);
            for scope in [Some(ListScope::All), tenant.as_ref().map(ListScope::Tenant), parent].into_iter().flatten() {
                change.delete((keys::list(&scope, shard), keys::list_place(at, id)));
            }
        }
        if let Some(tenant) = &tenant {
            let key =
                traces.find::<IdempotencyKey>("idempotencyKey").map(|key| keys::idempotency(tenant, key.as_str()));
            let external = traces.find::<ExternalId>("externalId").map(|id| keys::external(tenant, id.as_str()));
            let names: Vec<keys::Key> = key.into_iter().chain(external).collect();
            let own = self
                .read_all(names, OPERATION)
                .await?
                .into_iter()
                .filter(|(_, item)| string(item, "id").is_some_and(|holder| holder == id.to_string()));
            for (name, _) in own {
                change.delete(name);
            }
        }
        if let Some(incarnation) = string(item, "inc") {
            let shard = keys::shard(id.as_bytes(), spread);
            change.put(keyed((keys::litter(shard), keys::litter_place(id, incarnation))));
        }
        let named = (traces.find::<QueueName>("queue"), traces.find::<JobKind>("kind"), tenant, status);
        if let (Some(queue), Some(kind), Some(tenant), Some(status)) = named {
            let times = traces.find::<Timestamp>("finishedAt").zip(traces.find::<Timestamp>("startedAt"));
            let processing = times.map_or(Duration::ZERO, |(finished, started)| finished.since(started));
            change.count_out(format!("{queue}#{kind}#{tenant}"), status, processing);
            if Reader::new(item, OPERATION).flag("slot") {
                change.slot(&queue, -1);
            }
        } else {
            tracing::error!(%id, "nothing says where a damaged job was counted: it stays in the statistics");
        }
        Ok(change)
    }

    /// Whether a job whose record can't be read may still be leased in `epoch`, by the attributes beside it.
    pub(super) async fn may_hold(&self, id: JobId, epoch: u64, operation: &'static str) -> Result<bool, StoreError> {
        let Some(item) = self.read_one(keys::job(id), operation).await? else { return Ok(false) };
        let raised = matches!(Reader::new(&item, operation).maybe_number::<u64>("epoch"), Ok(Some(now)) if now > epoch);
        // A status that is none says nothing.
        Ok(!raised && status_of(&item).is_none_or(|status| status == JobStatus::Processing))
    }
}

fn status_of(item: &Item) -> Option<JobStatus> {
    let text = string(item, "stat")?;
    JobStatus::ALL.into_iter().find(|status| status.as_str() == text)
}
