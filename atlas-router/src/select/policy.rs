//! From a score to a tier: the rules, as a trait, so that a host can bring its own.

use super::score::{Score, score};
use super::task::{Situation, Task};
use crate::catalogue::{Catalogue, Tier};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a policy chose, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The tier to take a model from.
    pub tier: Tier,
    /// The rule that chose it, such as `preview_full`: short, the same for the same rule.
    pub rule: String,
    /// What the task scored.
    pub score: Score,
}

/// Chooses a tier for a task.
///
/// # Contract
///
/// - **Pure.** The same task, situation and catalogue give the same choice: no clock, no randomness, no memory. Decisions
///   are replayed.
/// - **Total.** There is a choice for every task. What can't be taken is refused later, with its reason.
/// - **A tier, never a model.** Which model that is today, the catalogue says.
pub trait Policy: fmt::Debug + Send + Sync + 'static {
    /// The policy's name, as decisions carry it.
    fn name(&self) -> &str;

    /// The choice for a task.
    fn choose(&self, task: &Task, situation: &Situation, catalogue: &Catalogue) -> Choice;
}

/// The predecessor's rules.
///
/// Stable generations only: `stable-large` from a complexity of 70 % on outside production, else `stable`. Otherwise `full` from
/// 80 % on or if reasoning is required, from 40 % on `full` or, where the price matters much (70 or more), `mini`; `mini` from
/// 20 % on; else `nano`.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct DefaultPolicy;

impl DefaultPolicy {
    /// The rules.
    pub const fn new() -> Self {
        Self
    }
}

impl Policy for DefaultPolicy {
    fn name(&self) -> &'static str {
        "default"
    }

    fn choose(&self, task: &Task, situation: &Situation, _: &Catalogue) -> Choice {
        let score = score(task, situation);
        let (complexity, sensitivity) = (score.complexity, score.cost_sensitivity);
        let (tier, rule) = if situation.is_stable() {
            match complexity {
                7000.. if situation.stage != atlas_schema::Stage::Production => ("stable-large", "stable_hard"),
                _ => ("stable", "stable"),
            }
        } else if task.requires_reasoning {
            ("full", "preview_reasoning")
        } else {
            match complexity {
                8000.. => ("full", "preview_hard"),
                4000.. if sensitivity >= 70 => ("mini", "preview_medium_thrifty"),
                4000.. => ("full", "preview_medium"),
                2000.. => ("mini", "preview_light"),
                _ => ("nano", "preview_trivial"),
            }
        };
        Choice { tier: Tier::new(tier), rule: rule.into(), score }
    }
}
