//! Queues by name.

use super::JobManager;
use crate::error::StoreError;
use crate::store::{QueueChange, QueueState};
use atlas_schema::QueueName;

impl JobManager {
    /// Stops the claims of a queue; running jobs go on, and enqueueing too.
    ///
    /// # Errors
    /// The store's; of kind `Unsupported` if it can't pause queues.
    pub async fn pause(&self, queue: QueueName) -> Result<QueueState, StoreError> {
        self.change(QueueChange::new(queue).with_paused(true)).await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// The store's; of kind `Unsupported` if it can't pause queues.
    pub async fn resume(&self, queue: QueueName) -> Result<QueueState, StoreError> {
        self.change(QueueChange::new(queue).with_paused(false)).await
    }

    /// Limits the running jobs and the claims per second of a queue, over all workers. `None` lifts a limit.
    ///
    /// # Errors
    /// The store's; of kind `Unsupported` if it can't limit queues.
    pub async fn limit(
        &self,
        queue: QueueName,
        max_running: Option<u32>,
        max_per_second: Option<u32>,
    ) -> Result<QueueState, StoreError> {
        let change = QueueChange::new(queue).with_max_running(max_running).with_max_per_second(max_per_second);
        self.change(change).await
    }

    /// Every queue that was ever paused or limited, as it is controlled now.
    ///
    /// # Errors
    /// The store's.
    pub async fn queues(&self) -> Result<Vec<QueueState>, StoreError> {
        self.store.queues(Vec::new(), self.clock.now()).await
    }

    async fn change(&self, change: QueueChange) -> Result<QueueState, StoreError> {
        let queue = change.queue.clone();
        let states = self.control(change).await?;
        Ok(states.into_iter().find(|state| state.queue == queue).unwrap_or_else(|| QueueState::new(queue)))
    }
}
