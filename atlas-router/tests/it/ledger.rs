//! Budgets: our ledgers keep every promise of the trait, in one process and in several.

mod memory {
    use atlas_router::ledger::{BudgetLedger, MemoryLedger};
    use std::sync::{Arc, LazyLock};

    static SHARED: LazyLock<MemoryLedger> = LazyLock::new(|| MemoryLedger::new(atlas_schema::Stage::Dev));

    /// One for all checks.
    async fn fresh() -> Arc<dyn BudgetLedger> {
        Arc::new(SHARED.clone())
    }

    atlas_router::budget_ledger_conformance!(fresh);
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use atlas_router::ledger::{BudgetLedger, SqliteLedger};
    use std::sync::{Arc, LazyLock};
    use tempfile::TempDir;

    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

    /// One file for all checks, with a connection for each: what one sweeps, no other holds.
    async fn fresh() -> Arc<dyn BudgetLedger> {
        Arc::new(SqliteLedger::open(FOLDER.path().join("shared.db"), atlas_schema::Stage::Dev).unwrap())
    }

    atlas_router::budget_ledger_conformance!(fresh);
}

#[cfg(feature = "postgres")]
testkit::with_postgres! {
    mod postgres {
        use atlas_router::ledger::{BudgetLedger, PostgresLedger};
        use std::sync::{Arc, LazyLock};

        static SCHEMA: LazyLock<String> = LazyLock::new(crate::postgres::unused_schema);

        /// One schema for all checks, with a pool for each, since each has a runtime of its own.
        async fn fresh() -> Arc<dyn BudgetLedger> {
            let pool = crate::postgres::pool(&testkit::postgres::shared(), &SCHEMA, 4).await;
            Arc::new(PostgresLedger::open(pool, atlas_schema::Stage::Dev).await.unwrap())
        }

        atlas_router::budget_ledger_conformance!(fresh);
    }
}

#[cfg(feature = "dynamodb")]
testkit::with_dynamodb! {
    mod dynamodb {
        use atlas_router::ledger::BudgetLedger;
        use std::sync::{Arc, LazyLock};

        static TABLE: LazyLock<String> = LazyLock::new(crate::dynamo::unused_table);

        /// One table for all checks, with a client for each, since each has a runtime of its own.
        async fn fresh() -> Arc<dyn BudgetLedger> {
            Arc::new(crate::dynamo::open(&TABLE).await)
        }

        atlas_router::budget_ledger_conformance!(fresh);
    }
}
