//! What the checks have in common: a ledger with scopes and a time of its own.

use crate::catalogue::ModelId;
use crate::ledger::{BudgetLedger, HoldId, Kind, LedgerError, Month, Reserve, Reserved, Scope};
use atlas_schema::{JobId, TenantId, Timestamp, Usd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// How long the checks hold something that is to expire.
const BRIEFLY: Duration = Duration::from_mins(1);

/// A ledger under test, with scopes and a time of its own.
pub(super) struct Bench {
    pub(super) ledger: Arc<dyn BudgetLedger>,
    pub(super) now: Timestamp,
    pub(super) tenant: Scope,
    pub(super) job: Scope,
}

/// Distinct within a process by counting and between processes by the time they began.
pub(super) fn unique() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock").as_nanos();
    let mixed = since ^ (u128::from(std::process::id()) << 96) ^ u128::from(NEXT.fetch_add(1, Ordering::Relaxed)) << 64;
    mixed.to_be_bytes()
}

pub(super) fn id() -> HoldId {
    HoldId::from_bytes(unique())
}

/// So many thousandths of a dollar.
pub(super) fn mills(count: i64) -> Usd {
    Usd::from_nanos(count * 1_000_000)
}

impl Bench {
    pub(super) fn new(ledger: Arc<dyn BudgetLedger>) -> Self {
        let bytes = unique();
        Self {
            ledger,
            // The middle of a month.
            now: Timestamp::from_millis(1_794_744_000_000).expect("a time"),
            tenant: Scope::Tenant(TenantId::new(format!("c{:032x}", u128::from_be_bytes(bytes))).expect("a tenant")),
            job: Scope::Job(JobId::from_bytes(bytes)),
        }
    }

    pub(super) async fn with_limit(ledger: Arc<dyn BudgetLedger>, limit: Usd) -> Self {
        let bench = Self::new(ledger);
        bench.limit(&bench.tenant, Some(limit)).await;
        bench
    }

    pub(super) async fn limit(&self, scope: &Scope, limit: Option<Usd>) {
        self.ledger.limit(vec![(scope.clone(), limit)]).await.expect("a limit");
    }

    pub(super) fn request(&self, amount: Usd) -> Reserve {
        Reserve::new(id(), vec![self.tenant.clone(), self.job.clone()], amount, ModelId::new("m"))
    }

    pub(super) async fn reserve(&self, amount: Usd) -> Result<Reserved, LedgerError> {
        self.ledger.reserve(self.request(amount), self.now).await
    }

    pub(super) async fn held(&self, amount: Usd) -> HoldId {
        self.reserve(amount).await.expect("room").hold.id
    }

    pub(super) async fn sent(&self, amount: Usd) -> HoldId {
        let hold = self.held(amount).await;
        self.ledger.send(hold, self.now).await.expect("a hold to send");
        hold
    }

    /// Held and settled of the tenant.
    pub(super) async fn used(&self) -> (Usd, Usd) {
        let balance = self.ledger.balance(&self.tenant, Month::of(self.now)).await.expect("a balance");
        (balance.held, balance.settled)
    }

    /// When what is held for the usual time has expired. No check sweeps that time: it would refund what others hold.
    pub(super) fn later(&self) -> Timestamp {
        self.now.saturating_add(Duration::from_mins(15))
    }

    /// The same for what is held briefly.
    pub(super) fn soon(&self) -> Timestamp {
        self.now.saturating_add(BRIEFLY)
    }

    /// A request for so short a time that its end can be swept while others hold something.
    pub(super) fn brief(&self, amount: Usd) -> Reserve {
        let mut request = self.request(amount);
        request.expires_in = BRIEFLY;
        request
    }

    pub(super) async fn held_briefly(&self, amount: Usd) -> HoldId {
        self.ledger.reserve(self.brief(amount), self.now).await.expect("room").hold.id
    }
}

pub(super) fn kind<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> Kind {
    result.expect_err("a refusal").kind()
}
