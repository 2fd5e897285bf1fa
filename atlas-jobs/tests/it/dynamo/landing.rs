//! Claims without an answer, which may have been decided and not be done on all their items.

use super::audit::audit;
use super::faults::Fault;
use super::layout::Table;
use atlas_jobs::store::Exchanged;
use atlas_jobs::{JobStore, Kind, StoreError};
use std::sync::atomic::{AtomicUsize, Ordering};

impl Table {
    /// A table whose first claim, of so many jobs, meets `fault`. `later` says what happens to the requests after it, by how many
    /// transactions were read before.
    async fn of_a_lost_claim(
        jobs: usize,
        fault: Fault,
        later: impl Fn(usize, &str) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let (writes, reads) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // The first transaction adds the jobs, the second takes them.
        let mut table = Self::with(move |_, operation| {
            let write = usize::from(operation == "TransactWriteItems");
            let read = usize::from(operation == "TransactGetItems");
            match writes.fetch_add(write, Ordering::SeqCst) {
                1 if write == 1 => fault,
                0 | 1 => Fault::None,
                _ => later(reads.fetch_add(read, Ordering::SeqCst), operation),
            }
        })
        .await;
        table.enqueue(jobs).await;
        let claim = table.exchange(jobs, Vec::new());
        table.store.exchange(claim).await.unwrap_err();
        table
    }

    async fn reconcile(&mut self) -> Result<Exchanged, StoreError> {
        let exchange = self.exchange(0, Vec::new()).with_reconcile(true);
        self.store.exchange(exchange).await
    }

    fn transactions_read(&self) -> usize {
        self.faulty.requests().iter().filter(|(operation, _)| operation == "TransactGetItems").count()
    }
}

testkit::with_dynamodb! {
    #[tokio::test]
    async fn a_claim_that_is_still_landing_when_its_worker_reconciles_does_not_stay_leased() {
        // Until it has landed, its list does not show, and a transaction that reads it meets it. It lands after the first one.
        let landing = |reads: usize, operation: &str| match operation {
            "Query" if reads < 2 => Fault::Unlisted,
            "TransactGetItems" if reads == 0 => Fault::Conflict(0),
            _ => Fault::None,
        };
        let mut table = Table::of_a_lost_claim(5, Fault::AnswerLost, landing).await;
        assert_eq!(table.reconcile().await.unwrap_err().kind(), Kind::Busy, "what it holds is not known yet");
        assert_eq!(table.reconcile().await.unwrap().reconciled, 5);
        let claimed = table.trade(5, Vec::new()).await.claimed;
        assert_eq!(claimed.iter().map(|job| job.epoch).collect::<Vec<_>>(), [2; 5]);
        audit(&table.client, &table.name).await;
    }

    #[tokio::test]
    async fn a_claim_whose_list_shows_before_its_job_does_not_stay_leased() {
        let old = |reads: usize, operation: &str| match operation {
            "GetItem" if reads == 1 => Fault::Old,
            _ => Fault::None,
        };
        let mut table = Table::of_a_lost_claim(1, Fault::AnswerLost, old).await;
        assert_eq!(table.reconcile().await.unwrap().reconciled, 1);
        audit(&table.client, &table.name).await;
    }

    #[tokio::test]
    async fn a_claim_that_never_landed_is_looked_for_until_that_is_known_and_then_no_more() {
        let down = |reads: usize, operation: &str| match operation {
            "TransactGetItems" if reads == 0 => Fault::Down,
            _ => Fault::None,
        };
        let mut table = Table::of_a_lost_claim(5, Fault::Down, down).await;
        assert_eq!(table.reconcile().await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(table.reconcile().await.unwrap().reconciled, 0);
        assert_eq!(table.transactions_read(), 2);
        assert_eq!(table.reconcile().await.unwrap().reconciled, 0);
        assert_eq!(table.transactions_read(), 2);
        assert_eq!(table.trade(5, Vec::new()).await.claimed.len(), 5);
    }

    #[tokio::test]
    async fn a_claim_with_an_answer_is_not_looked_for() {
        let mut table = Table::of_a_lost_claim(5, Fault::Throttled, |_, _| Fault::None).await;
        table.reconcile().await.unwrap();
        let before = table.transactions_read();
        assert_eq!(table.trade(5, Vec::new()).await.claimed.len(), 5);
        assert_eq!(table.reconcile().await.unwrap().reconciled, 5);
        assert_eq!(table.transactions_read(), before);
    }
}
