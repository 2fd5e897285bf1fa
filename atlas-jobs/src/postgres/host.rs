//! Enqueueing and ending jobs within a transaction of the host's.
//!
//! What the host writes and what happens to the job are committed together, or not at all. From other drivers and languages
//! the SQL function `atlas_jobs_enqueue` does the same: see `sql/v3.sql`.

use super::PostgresJobs;
use super::enqueue::{CHUNK, Way, parts};
use super::error::BACKEND;
use super::session::Session;
use crate::error::{Kind, StoreError};
use crate::spec::NewJob;
use crate::store::{Ack, AckOutcome, Enqueued};
use atlas_schema::WorkerId;

impl PostgresJobs {
    /// Adds up to 1000 jobs within `transaction`, as [`enqueue`](crate::JobStore::enqueue) does: they are there, and can be
    /// claimed, once the host commits. [`JobManager::prepare`](crate::JobManager::prepare) makes a job of a spec. A key that another
    /// transaction is just taking is waited for. One of deadpool's transactions is given as `&transaction`.
    ///
    /// Jobs of a transaction that took over half a second may come after later ones: claims start where the last one ended, and
    /// find them at their next look at the whole queue. That is soon, but up to five minutes where somebody's old snapshot makes
    /// it long.
    ///
    /// # Errors
    /// As [`enqueue`](crate::JobStore::enqueue), and [`Kind::InvalidInput`] for more than 1000 jobs. After any other error
    /// than these two kinds the transaction can only be rolled back: that is PostgreSQL's rule.
    pub async fn enqueue_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        jobs: Vec<NewJob>,
    ) -> Result<Vec<Enqueued>, StoreError> {
        const OPERATION: &str = "enqueue_in";
        self.db.check_stage(&jobs, OPERATION)?;
        if jobs.len() > CHUNK {
            let rule = format!("at most {CHUNK} jobs go into one call");
            return Err(StoreError::new(Kind::InvalidInput, BACKEND, OPERATION).with_source(rule));
        }
        let mut answers = Vec::with_capacity(jobs.len());
        for part in parts(jobs) {
            answers.extend(self.db.add(Session::new(transaction, OPERATION), part, Way::Within).await?);
        }
        Ok(answers)
    }

    /// Hands in the outcome of an attempt within `transaction`: what the handler wrote there and the end of its job are one.
    /// Until the host commits or rolls back, nobody else can end the job or take it.
    ///
    /// The answer counts only once the commit has succeeded. The worker's own acknowledgement of the same epoch is then
    /// [`Repeated`](AckOutcome::Repeated), if both are completions.
    ///
    /// # Errors
    /// As [`exchange`](crate::JobStore::exchange). The transaction can only be rolled back then.
    pub async fn complete_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        worker: &WorkerId,
        ack: Ack,
    ) -> Result<AckOutcome, StoreError> {
        let session = Session::new(transaction, "complete_in");
        let mut locked = self.db.lock(session, &[ack.job]).await?;
        let outcome = self.db.acknowledge(&mut locked, &ack, worker)?;
        locked.finish(session).await?;
        Ok(outcome)
    }
}
