//! A router as atlas-config's settings say: they are read and checked there, and here each becomes what it means.

use super::{RouterBuilder, SetupError};
use crate::catalogue::{Catalogue, Tier};
use crate::ledger::{BudgetLedger, LedgerError, Scope};
use crate::select::{Choice, DefaultPolicy, Policy, Situation, Strategy, Task};
use atlas_config::Settings;
use atlas_config::settings::{ModelSize, ModelStrategy};

impl RouterBuilder {
    /// Takes over what settings say of models. What is set after this wins.
    ///
    /// | Setting | Becomes |
    /// |---|---|
    /// | `ATLAS_DEFAULT_MODEL_STRATEGY`, `ATLAS_GPT5_ENABLED` | [`with_strategy`](Self::with_strategy): the preview generation only where it is enabled |
    /// | `ATLAS_FORCE_GPT4` | [`with_force_stable`](Self::with_force_stable) |
    /// | `ATLAS_GPT5_MODEL_SELECTION` | [`with_policy`](Self::with_policy): a [`SizedPolicy`] |
    /// | `ATLAS_GPT5_FALLBACK_ENABLED` | [`with_stable_fallback`](Self::with_stable_fallback) |
    /// | `ATLAS_GPT5_REASONING_ENABLED` | [`with_reasoning`](Self::with_reasoning) |
    /// | `ATLAS_COST_ALERTS_ENABLED` | if not, nobody is told whom [`with_alerts`](Self::with_alerts) has named before |
    /// | `ATLAS_MONTHLY_BUDGET` | a limit of the ledger's: see [`limit_stage`] |
    /// | `ATLAS_OPENAI_API_KEY` | what the host gives to its client |
    ///
    /// # From the environment to a router
    /// ```
    /// use atlas_config::Settings;
    /// use atlas_router::catalogue::Catalogue;
    /// use atlas_router::ledger::{BudgetLedger, MemoryLedger};
    /// use atlas_router::run::{Router, limit_stage};
    /// use std::sync::Arc;
    ///
    /// # async fn set_up() -> Result<(), Box<dyn std::error::Error>> {
    /// let settings = Settings::from_map([("ATLAS_STAGE", "preview"), ("ATLAS_MONTHLY_BUDGET", "50")])?;
    /// let ledger: Arc<dyn BudgetLedger> = Arc::new(MemoryLedger::new(settings.stage()));
    /// limit_stage(&*ledger, &settings).await?;
    /// let builder = Router::builder(Catalogue::built_in()?, ledger).with_settings(&settings)?;
    /// // Then its clients, and `build`.
    /// # let _ = builder;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SetupError::WrongStage`] if the ledger is of another stage.
    pub fn with_settings(self, settings: &Settings) -> Result<Self, SetupError> {
        if self.stage() != settings.stage() {
            return Err(SetupError::WrongStage);
        }
        let models = settings.models();
        let strategy = match models.strategy {
            ModelStrategy::Auto | ModelStrategy::Gpt5Preview if models.gpt5_enabled => Strategy::Preview,
            // Also for what a later release of the settings may know.
            _ => Strategy::Stable,
        };
        let builder = if models.cost_alerts_enabled { self } else { self.without_alerts() };
        Ok(builder
            .with_strategy(strategy)
            .with_force_stable(models.force_gpt4)
            .with_policy(SizedPolicy::new(models.gpt5_model_selection))
            .with_stable_fallback(models.gpt5_fallback_enabled)
            .with_reasoning(models.gpt5_reasoning_enabled))
    }
}

/// Limits the stage of a ledger to the monthly budget of the settings. A budget that was raised or lowered holds from then on.
///
/// # Errors
/// As [`BudgetLedger::limit`]; [`Kind::WrongStage`](crate::ledger::Kind::WrongStage) if the ledger is of another stage.
pub async fn limit_stage(ledger: &dyn BudgetLedger, settings: &Settings) -> Result<(), LedgerError> {
    ledger.limit(vec![(Scope::Stage(settings.stage()), Some(settings.models().monthly_budget))]).await
}

/// [`DefaultPolicy`], with one size for all that the preview generation does. What is stable stays as it is.
#[derive(Debug, Clone, Copy)]
pub struct SizedPolicy {
    size: ModelSize,
}

impl SizedPolicy {
    /// With that size; [`ModelSize::Auto`] leaves it to the task.
    pub const fn new(size: ModelSize) -> Self {
        Self { size }
    }

    /// The tier, the policy's name and the rule's.
    const fn fixed(self) -> Option<(&'static str, &'static str, &'static str)> {
        match self.size {
            ModelSize::Nano => Some(("nano", "sized/nano", "preview_sized_nano")),
            ModelSize::Mini => Some(("mini", "sized/mini", "preview_sized_mini")),
            ModelSize::Full => Some(("full", "sized/full", "preview_sized_full")),
            _ => None,
        }
    }
}

impl Policy for SizedPolicy {
    fn name(&self) -> &str {
        self.fixed().map_or_else(|| "default", |(_, name, _)| name)
    }

    fn choose(&self, task: &Task, situation: &Situation, catalogue: &Catalogue) -> Choice {
        let choice = DefaultPolicy::new().choose(task, situation, catalogue);
        match self.fixed() {
            Some((tier, _, rule)) if !situation.is_stable() => {
                Choice { tier: Tier::new(tier), rule: rule.into(), ..choice }
            }
            _ => choice,
        }
    }
}
