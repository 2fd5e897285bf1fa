//! Which model: a pure function of the task, the situation and the catalogue, which explains itself.
//!
//! [`select`] asks a [`Policy`] for a tier, takes the catalogue's chain from there and leaves out, each with its reason, what
//! must not or can't be used: models past their day, generations that are not allowed, windows too small, replies of a form
//! they can't be held to, costs over the cap. What the caller insists on is taken or refused, never replaced. Time comes
//! in as a day; nothing here calls anything.

mod decision;
mod policy;
mod score;
mod task;

pub use decision::{Decision, Link, Notice, SelectError, Skip, Skipped, replay};
pub use policy::{Choice, DefaultPolicy, Policy};
pub use score::{BasisPoints, Factor as ScoreFactor, Factored, Score, score};
pub use task::{Situation, Strategy, Task};

use crate::catalogue::{Catalogue, Model, Tier};
use crate::cost::upper_bound;

/// A model that ends within so many days is taken with a notice.
const NOTICE_DAYS: i32 = 60;

/// Chooses the models to try, in order.
///
/// # Errors
/// [`SelectError`] if what the caller insists on is unknown, past its day, or not allowed here, or if no model is left. It says
/// for each model why.
pub fn select(
    catalogue: &Catalogue,
    policy: &dyn Policy,
    task: &Task,
    situation: &Situation,
) -> Result<Decision, SelectError> {
    let choice = policy.choose(task, situation, catalogue);
    let wanted = task.wanted.as_deref();
    if let Some(name) = wanted {
        wanted_is_allowed(catalogue, situation, name)?;
    }
    let from = wanted.unwrap_or(choice.tier.as_str());
    if catalogue.tier(from).is_none() && catalogue.model(from).is_none() {
        return Err(SelectError::UnknownName { name: from.into() });
    }
    let (mut chain, mut resting, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    // Who insists on a model has asked for no other.
    let candidates = match wanted.and_then(|name| catalogue.model(name)) {
        Some(model) => vec![model],
        None => catalogue.chain(from),
    };
    let stays = situation.no_stable_fallback
        && !situation.is_stable()
        && !from.starts_with(STABLE)
        && catalogue.model(from).is_none();
    for model in candidates {
        if stays && is_stable(catalogue, model) {
            skipped.push(Skipped { model: model.id.clone(), reason: Skip::StableFallback });
            continue;
        }
        match judge(catalogue, task, situation, model, wanted.is_some()) {
            Err(reason) => skipped.push(Skipped { model: model.id.clone(), reason }),
            Ok(link) if situation.resting.contains(&model.id) => resting.push(link),
            Ok(link) => chain.push(link),
        }
    }
    // A model that failed of late is better than none, but after all others.
    chain.append(&mut resting);
    if chain.is_empty() {
        return Err(SelectError::NoModel { from: from.into(), skipped });
    }
    Ok(Decision {
        catalogue: catalogue.version().clone(),
        policy: policy.name().into(),
        rule: if wanted.is_some() { "wanted".into() } else { choice.rule },
        tier: if wanted.is_some() { Tier::new(from) } else { choice.tier },
        score: choice.score,
        chain,
        skipped,
        task: task.clone(),
        situation: situation.clone(),
    })
}

/// How the names of the stable family's tiers begin.
const STABLE: &str = "stable";

/// The stable family: what the catalogue binds to the tiers whose names begin so.
fn is_stable(catalogue: &Catalogue, model: &Model) -> bool {
    let stable = |tier: &&Tier| tier.as_str().starts_with(STABLE);
    catalogue
        .tiers()
        .filter(stable)
        .filter_map(|tier| catalogue.tier(tier.as_str()))
        .flatten()
        .any(|one| one.id == model.id)
}

fn wanted_is_allowed(catalogue: &Catalogue, situation: &Situation, name: &str) -> Result<(), SelectError> {
    let Some(model) = catalogue.model(name) else {
        return match catalogue.tier(name) {
            Some(_) => Ok(()),
            None => Err(SelectError::UnknownName { name: name.into() }),
        };
    };
    if !model.lives_on(situation.day) {
        let successor = catalogue.successor(model, situation.day).map(|model| model.id.clone());
        let shutdown = model.shutdown.unwrap_or(situation.day);
        return Err(SelectError::Retired { model: model.id.clone(), shutdown, successor });
    }
    if situation.is_stable() && !is_stable(catalogue, model) {
        return Err(SelectError::Forbidden { model: model.id.clone() });
    }
    Ok(())
}

/// A link of the chain, or why it is none.
fn judge(catalogue: &Catalogue, task: &Task, situation: &Situation, model: &Model, wanted: bool) -> Result<Link, Skip> {
    if !model.lives_on(situation.day) {
        let successor = catalogue.successor(model, situation.day).map(|model| model.id.clone());
        return Err(Skip::Retired { successor });
    }
    if situation.is_stable() && !is_stable(catalogue, model) {
        return Err(Skip::NotStable);
    }
    if model.structured < task.structured {
        return Err(Skip::Structured { can: model.structured });
    }
    if let Some(effort) = situation.effort
        && !model.efforts.contains(&effort)
        && (wanted || !model.efforts.is_empty())
    {
        return Err(Skip::Effort);
    }
    let mut bound = None;
    if let Some(billing) = &situation.billing {
        let most = upper_bound(model, billing).map_err(|error| Skip::Unpriced { why: error.to_string() })?;
        if task.max_cost.is_some_and(|cap| most > cap) {
            return Err(Skip::OverCap { bound: most });
        }
        bound = Some(most);
    }
    let notice = model.shutdown.map(|shutdown| (shutdown, situation.day.days_until(shutdown)));
    let notice = notice.filter(|(_, left)| *left <= NOTICE_DAYS).map(|(shutdown, days_left)| {
        let successor = catalogue.successor(model, shutdown).map(|model| model.id.clone());
        Notice { shutdown, days_left, successor }
    });
    Ok(Link { model: model.id.clone(), provider: model.provider.clone(), bound, notice })
}
