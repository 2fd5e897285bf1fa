//! Budgets: our ledgers keep every promise of the trait, in one process and in several.

mod memory {
    use atlas_router::ledger::{BudgetLedger, MemoryLedger};
    use std::sync::Arc;

    async fn fresh() -> Arc<dyn BudgetLedger> {
        Arc::new(MemoryLedger::new(atlas_schema::Stage::Dev))
    }

    atlas_router::budget_ledger_conformance!(fresh);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use atlas_router::ledger::{BudgetLedger, SqliteLedger};
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, LazyLock};
    use tempfile::TempDir;

    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static NEXT: AtomicU64 = AtomicU64::new(0);

    /// A file for each check: one that sweeps the time to come refunds what others hold at that moment.
    async fn fresh() -> Arc<dyn BudgetLedger> {
        let file = format!("{}.db", NEXT.fetch_add(1, Ordering::Relaxed));
        Arc::new(SqliteLedger::open(FOLDER.path().join(file), atlas_schema::Stage::Dev).unwrap())
    }

    atlas_router::budget_ledger_conformance!(fresh);
}
