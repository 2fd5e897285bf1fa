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
    use std::sync::{Arc, LazyLock};
    use tempfile::TempDir;

    /// One file for all checks: a ledger need not be empty.
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

    async fn fresh() -> Arc<dyn BudgetLedger> {
        Arc::new(SqliteLedger::open(FOLDER.path().join("ledger.db"), atlas_schema::Stage::Dev).unwrap())
    }

    atlas_router::budget_ledger_conformance!(fresh);
}
