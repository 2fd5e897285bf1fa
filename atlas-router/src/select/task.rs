//! What is to be done, and the situation it is done in: all that a selection may depend on.

use crate::catalogue::{Day, Effort, ModelId, Structured};
use crate::cost::Billing;
use atlas_schema::{ExtractionRequest, ExtractionType, Stage, Usd};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What a completion is wanted for. `Debug` shows the sizes of its words and its address, never their text.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Task {
    /// What is wanted, in words.
    pub instructions: String,
    /// The page's address, if there is one.
    pub url: Option<String>,
    /// How it was asked for.
    pub kind: ExtractionType,
    /// At most so many pages.
    pub max_pages: u32,
    /// At most so many links deep.
    pub max_depth: u32,
    /// How many such tasks are expected to follow.
    pub estimated_volume: u32,
    /// Whether the caller knows that it takes reasoning.
    pub requires_reasoning: bool,
    /// What form of reply is needed.
    pub structured: Structured,
    /// The model or tier that the caller insists on, by name.
    pub wanted: Option<String>,
    /// The most that one call may cost.
    pub max_cost: Option<Usd>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Every field by its name, so that a new one is not shown, nor left out, unasked.
        let Self {
            instructions,
            url,
            kind,
            max_pages,
            max_depth,
            estimated_volume,
            requires_reasoning,
            structured,
            wanted,
            max_cost,
        } = self;
        f.debug_struct("Task")
            .field("instructions", &format_args!("{} bytes", instructions.len()))
            .field("url", &format_args!("{} bytes", url.as_ref().map_or(0, String::len)))
            .field("kind", kind)
            .field("max_pages", max_pages)
            .field("max_depth", max_depth)
            .field("estimated_volume", estimated_volume)
            .field("requires_reasoning", requires_reasoning)
            .field("structured", structured)
            .field("wanted", wanted)
            .field("max_cost", max_cost)
            .finish()
    }
}

impl Task {
    /// A task of so many words and nothing else said.
    pub fn new(instructions: impl Into<String>) -> Self {
        Self { instructions: instructions.into(), max_pages: 1, max_depth: 1, ..Self::default() }
    }

    /// Insists on the model or tier of that name.
    #[must_use]
    pub fn wanting(mut self, name: impl Into<String>) -> Self {
        self.wanted = Some(name.into());
        self
    }
}

impl From<&ExtractionRequest> for Task {
    fn from(request: &ExtractionRequest) -> Self {
        Self {
            instructions: request.instructions.clone().unwrap_or_default(),
            url: Some(request.base_url.as_ref().unwrap_or(&request.url).clone()),
            kind: request.kind,
            max_pages: request.max_pages,
            max_depth: request.max_depth,
            structured: Structured::JsonSchema,
            wanted: request.model.clone(),
            max_cost: request.cost_cap,
            ..Self::default()
        }
    }
}

/// Which generations a selection may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// The newest generation: `gpt5_preview` of the settings.
    Preview,
    /// The stable family: `gpt4_stable` of the settings.
    Stable,
    /// Stable in staging and production, the newest elsewhere.
    #[default]
    Auto,
}

/// What is true at the moment of a selection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Situation {
    /// Where it runs.
    pub stage: Stage,
    /// The day in UTC: models past their shutdown are not taken.
    pub day: Day,
    /// Which generations are to be taken.
    pub strategy: Strategy,
    /// Only the stable family, whatever else is said.
    pub force_stable: bool,
    /// Where a call that begins with other models falls back to none of the stable family.
    #[serde(default)]
    pub no_stable_fallback: bool,
    /// Models whose breaker is open: taken last, and only if they must be.
    pub resting: BTreeSet<ModelId>,
    /// The call, as far as its price goes, with the prompt counted in `input_tokens`. `None`: costs and windows are not looked at.
    pub billing: Option<Billing>,
    /// The effort that the call will ask for.
    pub effort: Option<Effort>,
}

impl Situation {
    /// That stage on that day, by the stage's own strategy, with every model well.
    pub const fn new(stage: Stage, day: Day) -> Self {
        Self {
            stage,
            day,
            strategy: Strategy::Auto,
            force_stable: false,
            no_stable_fallback: false,
            resting: BTreeSet::new(),
            billing: None,
            effort: None,
        }
    }

    /// Whether only the stable family may be taken.
    pub const fn is_stable(&self) -> bool {
        self.force_stable
            || match self.strategy {
                Strategy::Stable => true,
                Strategy::Preview => false,
                Strategy::Auto => matches!(self.stage, Stage::Staging | Stage::Production),
            }
    }
}
