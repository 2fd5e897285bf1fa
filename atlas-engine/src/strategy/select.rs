//! Selection: which strategies run, in which order, and why.

use super::Fit;
use atlas_schema::StrategyName;

/// The decision: what runs, and what does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// What to try, in this order, until the outcome is complete.
    pub chain: Vec<Choice>,
    /// What does not run.
    pub skipped: Vec<Choice>,
}

/// One strategy's place in a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which: an index into the candidates.
    pub index: usize,
    /// Its name.
    pub name: StrategyName,
    /// Its score.
    pub score: u8,
    /// Why it stands here.
    pub reason: String,
}

/// Orders candidates by how well they suit; ties keep the given order. Pure.
///
/// With `only`, that one runs however badly it suits, and no other: a caller who insists is not second-guessed.
/// `None` if `only` names no candidate.
pub fn select(candidates: &[(StrategyName, Fit)], only: Option<&StrategyName>) -> Option<Selection> {
    let choices = candidates.iter().enumerate().map(|(index, (name, fit))| Choice {
        index,
        name: name.clone(),
        score: fit.score,
        reason: fit.reason.clone(),
    });
    if let Some(only) = only {
        let (mut chain, mut skipped): (Vec<_>, Vec<_>) = choices.partition(|choice| choice.name == *only);
        if chain.is_empty() {
            return None;
        }
        for choice in &mut chain {
            choice.reason = format!("asked for by name; {}", choice.reason);
        }
        for choice in &mut skipped {
            choice.reason = "the request names another strategy".into();
        }
        return Some(Selection { chain, skipped });
    }
    let (mut chain, skipped): (Vec<_>, Vec<_>) = choices.partition(|choice| choice.score > 0);
    chain.sort_by_key(|choice| std::cmp::Reverse(choice.score));
    Some(Selection { chain, skipped })
}
