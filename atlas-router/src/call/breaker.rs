//! A circuit breaker: a model or an account that keeps failing is left alone for a while.
//!
//! A state machine of a few numbers. Closed, it counts in windows of time; with enough failures in one it opens and lets nothing
//! through until its rest is over; then one call goes through as a probe, and one more after each further rest that passes without
//! news. The first of these to end decides: a call may last longer than a rest. Only they can close it: an answer to a call from
//! before it opened says nothing about now.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// When a breaker opens and how long it rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BreakerRules {
    /// At least so many failures in a window. Default 5.
    pub failures: u32,
    /// And at least so many of 100 calls that ended in it. Default 50.
    pub percent: u32,
    /// How long calls are counted together. Default 60 s.
    pub window: Duration,
    /// The first rest. Default 30 s, that of the predecessor's breaker for models.
    pub rest: Duration,
    /// Each rest after a failed probe doubles, up to this. Also the most that a provider can ask for. Default 10 minutes.
    pub longest_rest: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self {
            failures: 5,
            percent: 50,
            window: Duration::from_mins(1),
            rest: Duration::from_secs(30),
            longest_rest: Duration::from_mins(10),
        }
    }
}

/// How a call ended, as far as the health of its model goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It was answered, or refused for reasons of the request.
    Well,
    /// It failed, and another would likely fail now; `rest` is what the provider asks for.
    Unwell {
        /// No call before this has passed.
        rest: Option<Duration>,
    },
    /// It can't be used for a known while, whatever was counted: a spent quota.
    Out {
        /// For how long.
        rest: Duration,
    },
    /// It ended without saying anything about the model: cancelled, or never sent.
    Silent,
}

/// How a call was let through. Hand it back with its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// As any call.
    Normal,
    /// As the probe numbered so.
    Probe(u32),
}

/// The state. A new one is closed and has seen nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    state: State,
    /// Rests in a row that ended in a failed probe: each doubles the next.
    failed_probes: u32,
    /// The number of the last probe.
    probes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Closed {
        since: Duration,
        ended: u32,
        failed: u32,
    },
    Open {
        until: Duration,
    },
    /// Probes are out, the first of them numbered so; if none has ended by then, another may go.
    Probing {
        until: Duration,
        first: u32,
    },
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { since: Duration::ZERO, ended: 0, failed: 0 }, failed_probes: 0, probes: 0 }
    }
}

impl Breaker {
    /// Lets a call through, or says when to ask again.
    ///
    /// # Errors
    /// The moment from which on a call may go through.
    pub fn admit(&mut self, rules: &BreakerRules, now: Duration) -> Result<Pass, Duration> {
        match self.state {
            State::Closed { .. } => Ok(Pass::Normal),
            State::Open { until } | State::Probing { until, .. } if now < until => Err(until),
            State::Open { .. } | State::Probing { .. } => {
                self.probes = self.probes.wrapping_add(1);
                let first = if let State::Probing { first, .. } = self.state { first } else { self.probes };
                self.state = State::Probing { until: now.saturating_add(rules.rest), first };
                Ok(Pass::Probe(self.probes))
            }
        }
    }

    /// Whether calls are kept from it: when it opens again, or `None`.
    pub const fn rests_until(&self) -> Option<Duration> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until } | State::Probing { until, .. } => Some(until),
        }
    }

    /// Takes note of how a call ended that was let through.
    pub fn record(&mut self, rules: &BreakerRules, pass: Pass, health: Health, now: Duration) {
        let is_probe = self.is_probe(pass);
        match health {
            Health::Out { rest } => self.open(rules, rest, now),
            Health::Silent => self.let_another(pass, now),
            Health::Well if is_probe => {
                (self.state, self.failed_probes) = (State::Closed { since: now, ended: 0, failed: 0 }, 0);
            }
            Health::Unwell { rest } if is_probe => {
                self.failed_probes = self.failed_probes.saturating_add(1);
                self.open(rules, rest.unwrap_or_default().max(self.next_rest(rules)), now);
            }
            Health::Well => {
                self.count(rules, false, now);
            }
            Health::Unwell { rest } => {
                // A rest as long as ours is no hint but a fact: it need not be found out by failing more.
                let known = rest.is_some_and(|rest| rest >= rules.rest) && matches!(self.state, State::Closed { .. });
                if self.count(rules, true, now) || known {
                    self.open(rules, rest.unwrap_or_default().max(self.next_rest(rules)), now);
                } else if let (State::Open { .. }, Some(rest)) = (self.state, rest) {
                    // Late news of a call from before: the longer rest counts, never the shorter.
                    self.open(rules, rest, now);
                }
            }
        }
    }

    /// Whether it was let through as a probe since the breaker last opened.
    const fn is_probe(&self, pass: Pass) -> bool {
        match (pass, self.state) {
            // By distance, since numbers begin again at their end.
            (Pass::Probe(number), State::Probing { first, .. }) => {
                number.wrapping_sub(first) <= self.probes.wrapping_sub(first)
            }
            _ => false,
        }
    }

    /// The last probe ended without news, so another may go at once. Those that are still out decide as before.
    fn let_another(&mut self, pass: Pass, now: Duration) {
        if let (true, State::Probing { until, .. }) = (pass == Pass::Probe(self.probes), &mut self.state) {
            *until = now;
        }
    }

    /// Counts a call that ended while closed, and tells whether that opens the breaker.
    fn count(&mut self, rules: &BreakerRules, failure: bool, now: Duration) -> bool {
        let State::Closed { since, ended, failed } = self.state else { return false };
        let fresh = now.saturating_sub(since) >= rules.window;
        let (since, ended, failed) = if fresh { (now, 0, 0) } else { (since, ended, failed) };
        let (ended, failed) = (ended.saturating_add(1), failed.saturating_add(u32::from(failure)));
        self.state = State::Closed { since, ended, failed };
        failure && failed >= rules.failures && u64::from(failed) * 100 >= u64::from(rules.percent) * u64::from(ended)
    }

    /// The rest that comes next: doubled for each probe that failed in a row.
    fn next_rest(&self, rules: &BreakerRules) -> Duration {
        let factor = 1_u32.checked_shl(self.failed_probes).unwrap_or(u32::MAX);
        rules.rest.saturating_mul(factor)
    }

    fn open(&mut self, rules: &BreakerRules, rest: Duration, now: Duration) {
        let until = now.saturating_add(rest.min(rules.longest_rest));
        let until = if let State::Open { until: before } = self.state { until.max(before) } else { until };
        self.state = State::Open { until };
    }
}
