//! What is tried next, and when it is enough: one budget of attempts, time and money over all retries and fallbacks.
//!
//! A [`Plan`] is a value. Something happens, [`Plan::step`] takes note of it and says what to do; whoever carries it out sleeps and
//! calls. It only goes forward through its targets: a target that failed for good is not tried again, and rests are waited for
//! only so often. So a plan ends after at most `2 x (attempts + targets)` steps and one, whatever happens.

use super::backoff::Backoff;
use super::classify::{Class, Reason, Verdict};
use super::hedge::{Hedge, HedgeTo};
use crate::catalogue::{ModelId, Provider};
use atlas_schema::Usd;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A model that may be called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Target {
    /// Which.
    pub model: ModelId,
    /// Whose account.
    pub provider: Provider,
    /// The most that one call can cost.
    pub bound: Usd,
    /// The most tokens of a prompt that it takes.
    pub window: u64,
}

impl Target {
    /// A model with what a call there can cost, and its window.
    pub const fn new(model: ModelId, provider: Provider, bound: Usd, window: u64) -> Self {
        Self { model, provider, bound, window }
    }
}

/// How much may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// At most so many calls over all models. Default 6.
    pub attempts: u32,
    /// At most so many more calls of the same model. Default 2, as `openai-python`.
    pub retries: u32,
    /// No single wait is longer: a model that asks for more is left for the next. Default 60 s.
    pub longest_wait: Duration,
    /// The waits between calls of the same model.
    pub backoff: Backoff,
    /// What all calls together may cost at most, each counted at its cost, or at its bound where that is not known.
    pub max_spend: Option<Usd>,
    /// Nothing is begun at this moment or later.
    pub deadline: Option<Duration>,
    /// When a slow call gets another beside it; streams never do. Default: never.
    #[serde(default)]
    pub hedge: Option<Hedge>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attempts: 6,
            retries: 2,
            longest_wait: Duration::from_mins(1),
            backoff: Backoff::default(),
            max_spend: None,
            deadline: None,
            hedge: None,
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// Nothing yet.
    Begin,
    /// The call that the last step asked for was made and failed.
    Failed {
        /// What that means.
        verdict: Verdict,
        /// How long the provider asks to wait.
        retry_after: Option<Duration>,
        /// What it cost, or its bound if that is not known.
        spent: Usd,
    },
    /// It was not made: the target's breaker is open until then.
    Resting {
        /// When it may be asked again.
        until: Duration,
    },
    /// It was not made and can't be: no room in a budget, no client for the provider.
    Barred,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Wait so long, then call the target of that index.
    Call {
        /// The index into [`Plan::targets`].
        at: usize,
        /// How long to wait before.
        wait: Duration,
    },
    /// It is enough.
    Stop(GiveUp),
}

/// Why it is enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GiveUp {
    /// The last failure is one that no other model mends.
    #[error("no other model mends this failure")]
    Final,
    /// All attempts were used.
    #[error("all attempts were used: raise the limit of attempts or try later")]
    Attempts,
    /// No model is left that may be tried.
    #[error("no model is left to try")]
    Models,
    /// What is left would come too late.
    #[error("no time is left for another try: raise the deadline or try later")]
    Deadline,
    /// All that is left asks for a longer wait than allowed.
    #[error("every model that is left rests for longer than may be waited: try later")]
    Resting,
    /// What is left could cost more than may be spent.
    #[error("no money is left for another try: raise what may be spent")]
    Spend,
}

/// Where a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// It may be called from that moment on.
    Ready(Duration),
    /// It may not.
    Done,
}

/// The state of a call over all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    targets: Vec<Target>,
    limits: Limits,
    standing: Vec<Standing>,
    /// The target that the last step asked for.
    at: Option<usize>,
    /// Calls so far of each target.
    tries: Vec<u32>,
    attempts: u32,
    /// How often a target was found resting.
    rests: u32,
    spent: Usd,
    stopped: Option<GiveUp>,
}

impl Plan {
    /// Nothing tried yet. Targets are in order of preference; a model that stands twice is tried at its first place only.
    pub fn new(targets: Vec<Target>, limits: Limits) -> Self {
        let mut targets = targets;
        let mut seen = std::collections::BTreeSet::new();
        targets.retain(|target| seen.insert(target.model.clone()));
        let standing = vec![Standing::Ready(Duration::ZERO); targets.len()];
        let tries = vec![0; targets.len()];
        Self { targets, limits, standing, at: None, tries, attempts: 0, rests: 0, spent: Usd::ZERO, stopped: None }
    }

    /// What may be called.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Calls that were made.
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// What they cost, each at its bound where its cost is not known.
    pub const fn spent(&self) -> Usd {
        self.spent
    }

    /// Takes note of what happened and says what to do. `now` never falls; `random` is any number, all equally likely.
    ///
    /// A plan that has stopped stays so.
    pub fn step(&mut self, event: Event, now: Duration, random: u64) -> Step {
        if let Some(why) = self.stopped {
            return Step::Stop(why);
        }
        let step = self.decide(event, now, random);
        match step {
            Step::Call { at, .. } => self.at = Some(at),
            Step::Stop(why) => self.stopped = Some(why),
        }
        step
    }

    /// The target of a second call beside the one that the last step asked for, which is still out after the time that
    /// [`Limits::hedge`] names; `None` if attempts, money or time have no room for both, or there is no such target. Make it, and tell
    /// [`fell_out`](Self::fell_out) of the first of the two that fails, and [`step`](Self::step) of the last.
    pub fn hedge(&self, now: Duration) -> Option<usize> {
        let (hedge, at) = (self.limits.hedge?, self.at?);
        let both = self.spent.checked_add(self.targets[at].bound)?;
        let affords = |other: usize| {
            let sum = both.checked_add(self.targets[other].bound);
            self.limits.max_spend.is_none_or(|most| sum.is_some_and(|sum| sum <= most))
        };
        let may = |other: usize| {
            matches!(self.standing[other], Standing::Ready(from) if from <= now) && affords(other) && self.in_time(now)
        };
        if self.stopped.is_some() || self.attempts.saturating_add(2) > self.limits.attempts {
            return None;
        }
        match hedge.to {
            HedgeTo::Same => Some(at).filter(|at| self.tries[*at] < self.limits.retries && may(*at)),
            HedgeTo::Next => {
                (0..self.targets.len()).find(|other| *other != at && self.tries[*other] == 0 && may(*other))
            }
        }
    }

    /// Of two calls beside each other, the one at `failed` has failed and the one at `left` is still out: the next step is told of that.
    pub fn fell_out(&mut self, failed: usize, left: usize, verdict: Verdict, spent: Usd) {
        self.attempts = self.attempts.saturating_add(1);
        self.tries[failed] = self.tries[failed].saturating_add(1);
        self.spent = self.spent.saturating_add(spent);
        // Another one is being tried already.
        if failed != left || verdict.class != Class::Retry {
            self.leave(failed, verdict);
        }
        self.at = Some(left);
    }

    fn decide(&mut self, event: Event, now: Duration, random: u64) -> Step {
        match (event, self.at) {
            (Event::Begin, _) | (_, None) => {}
            (Event::Failed { verdict, retry_after, spent }, Some(at)) => {
                self.attempts = self.attempts.saturating_add(1);
                self.tries[at] = self.tries[at].saturating_add(1);
                self.spent = self.spent.saturating_add(spent);
                if verdict.class == Class::GiveUp {
                    return Step::Stop(GiveUp::Final);
                }
                if self.attempts >= self.limits.attempts {
                    return Step::Stop(GiveUp::Attempts);
                }
                match self.same_again(at, verdict, retry_after, random) {
                    Some(wait) => {
                        let from = now.saturating_add(wait);
                        if self.affords(at) && self.in_time(from) {
                            return Step::Call { at, wait };
                        }
                        // Neither money nor time comes back, so this only tells why there is no other try.
                        self.standing[at] = Standing::Ready(from);
                    }
                    None => self.leave(at, verdict),
                }
            }
            (Event::Resting { until }, Some(at)) => {
                self.rests = self.rests.saturating_add(1);
                if self.rests as usize > self.limits.attempts as usize + self.targets.len() {
                    return Step::Stop(GiveUp::Resting);
                }
                self.standing[at] = Standing::Ready(until);
            }
            (Event::Barred, Some(at)) => self.standing[at] = Standing::Done,
        }
        self.forward(now)
    }

    /// The wait before the same model is tried again, if it is.
    fn same_again(&self, at: usize, verdict: Verdict, retry_after: Option<Duration>, random: u64) -> Option<Duration> {
        let tries = self.tries[at];
        if verdict.class != Class::Retry || tries > self.limits.retries || self.standing[at] == Standing::Done {
            return None;
        }
        let wait = self.limits.backoff.wait(tries.saturating_sub(1), random);
        let wait = wait.max(retry_after.unwrap_or_default());
        (wait <= self.limits.longest_wait).then_some(wait)
    }

    /// Strikes out the targets that the failure speaks against.
    fn leave(&mut self, at: usize, verdict: Verdict) {
        let failed = &self.targets[at];
        for (target, standing) in self.targets.iter().zip(&mut self.standing) {
            let same_account = verdict.class == Class::NextProvider && target.provider == failed.provider;
            let too_small = verdict.reason == Reason::TooLong && target.window <= failed.window;
            if target.model == failed.model || same_account || too_small {
                *standing = Standing::Done;
            }
        }
    }

    /// The first target that may be called now, or the one that may be called soonest. If there is none, the reason is told that the
    /// caller can do most about: money before time, and time before rest.
    fn forward(&self, now: Duration) -> Step {
        let (mut best, mut why): (Option<(Duration, usize)>, GiveUp) = (None, GiveUp::Models);
        for (at, standing) in self.standing.iter().enumerate() {
            let Standing::Ready(from) = *standing else { continue };
            let from = from.max(now);
            if !self.affords(at) {
                why = GiveUp::Spend;
            } else if from.saturating_sub(now) > self.limits.longest_wait {
                why = if why == GiveUp::Models { GiveUp::Resting } else { why };
            } else if !self.in_time(from) {
                why = if why == GiveUp::Spend { why } else { GiveUp::Deadline };
            } else if best.is_none_or(|(soonest, _)| from < soonest) {
                best = Some((from, at));
            }
        }
        match best {
            _ if self.limits.attempts == 0 => Step::Stop(GiveUp::Attempts),
            Some((from, at)) => Step::Call { at, wait: from.saturating_sub(now) },
            None => Step::Stop(why),
        }
    }

    fn affords(&self, at: usize) -> bool {
        let Some(most) = self.limits.max_spend else { return true };
        self.spent.checked_add(self.targets[at].bound).is_some_and(|sum| sum <= most)
    }

    fn in_time(&self, at: Duration) -> bool {
        self.limits.deadline.is_none_or(|deadline| at < deadline)
    }
}
