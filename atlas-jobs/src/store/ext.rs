//! Conveniences over any store.

use super::{Filter, HistoryOptions, JobRef, JobStore, ListOptions};
use crate::error::StoreError;
use async_trait::async_trait;
use atlas_schema::{AuditEvent, JobId, JobRecord};

/// What can be built from the methods of [`JobStore`]; `Arc<dyn JobStore>` has it too.
#[async_trait]
pub trait JobStoreExt: JobStore {
    /// One job; `None` if it is not there.
    async fn get_one(&self, reference: JobRef) -> Result<Option<JobRecord>, StoreError> {
        Ok(self.get(vec![reference]).await?.pop().flatten())
    }

    /// All jobs that match, page after page, newest first. For tools and tests: it holds them all in memory.
    async fn list_all(&self, filter: Filter) -> Result<Vec<JobRecord>, StoreError> {
        let mut options = ListOptions::new(filter).with_limit(super::MAX_PAGE);
        let mut all = Vec::new();
        loop {
            let page = self.list(options.clone()).await?;
            all.extend(page.items);
            if page.next.is_none() {
                return Ok(all);
            }
            options.cursor = page.next;
        }
    }

    /// The whole audit trail of a job, oldest first.
    async fn history_all(&self, job: JobId) -> Result<Vec<AuditEvent>, StoreError> {
        let mut options = HistoryOptions::new(job);
        let mut all = Vec::new();
        loop {
            let page = self.history(options.clone()).await?;
            all.extend(page.items);
            if page.next.is_none() {
                return Ok(all);
            }
            options.cursor = page.next;
        }
    }
}

impl<T: JobStore + ?Sized> JobStoreExt for T {}
