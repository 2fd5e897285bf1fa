//! A client that answers as its script says, for tests of hosts and our own.

use super::{Call, ClientError, LlmClient, Reply};
use crate::call::{Answer, Fault};
use crate::cost::TokenUsage;
use async_trait::async_trait;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a script does with one call.
#[derive(Clone)]
pub struct Turn {
    after: Duration,
    act: Act,
}

#[derive(Clone)]
enum Act {
    Reply(Box<Reply>),
    Fail(Fault, Option<Duration>, Option<TokenUsage>),
    Hang,
}

impl Turn {
    /// Answers.
    pub fn reply(reply: Reply) -> Self {
        Self { after: Duration::ZERO, act: Act::Reply(Box::new(reply)) }
    }

    /// Answers with that text and that usage.
    pub fn text(text: impl Into<String>, input: u64, output: u64) -> Self {
        Self::reply(Reply::new(text, Some(TokenUsage { input, output, ..TokenUsage::default() })))
    }

    /// Fails.
    pub const fn fault(fault: Fault) -> Self {
        Self { after: Duration::ZERO, act: Act::Fail(fault, None, None) }
    }

    /// Fails with an answer of that status.
    pub const fn status(status: u16) -> Self {
        Self::fault(Fault::Answered(Answer::new(status)))
    }

    /// Never answers.
    pub const fn hang() -> Self {
        Self { after: Duration::ZERO, act: Act::Hang }
    }

    /// Asks to wait; only of use with a failure.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        if let Act::Fail(_, asked, _) = &mut self.act {
            *asked = Some(wait);
        }
        self
    }

    /// Bills a failure all the same.
    #[must_use]
    pub fn billing(mut self, billed: TokenUsage) -> Self {
        if let Act::Fail(_, _, usage) = &mut self.act {
            *usage = Some(billed);
        }
        self
    }

    /// Does so after that time, on tokio's clock.
    #[must_use]
    pub const fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            Act::Reply(reply) => write!(f, "{reply:?} after {:?}", self.after),
            Act::Fail(fault, ..) => write!(f, "{fault:?} after {:?}", self.after),
            Act::Hang => f.write_str("silence"),
        }
    }
}

/// A client that takes one [`Turn`] of its script for each call and remembers the calls. Clones share script and memory.
///
/// A call past the end of the script is [`Fault::Unsupported`]. Give it the last word with [`or_else`](Self::or_else).
#[derive(Debug, Clone, Default)]
pub struct ScriptedLlm {
    inner: Arc<Mutex<Scripted>>,
}

#[derive(Debug, Default)]
struct Scripted {
    turns: VecDeque<Turn>,
    last: Option<Turn>,
    calls: Vec<Call>,
}

impl ScriptedLlm {
    /// A client with that script.
    pub fn new(turns: impl IntoIterator<Item = Turn>) -> Self {
        let turns = turns.into_iter().collect();
        Self { inner: Arc::new(Mutex::new(Scripted { turns, ..Scripted::default() })) }
    }

    /// What it does when the script is over, as often as it is asked.
    #[must_use]
    pub fn or_else(self, turn: Turn) -> Self {
        self.lock().last = Some(turn);
        self
    }

    /// The calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Whatever was written before a panic elsewhere is whole.
    fn lock(&self) -> MutexGuard<'_, Scripted> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LlmClient for ScriptedLlm {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        let turn = {
            let mut script = self.lock();
            script.calls.push(call.clone());
            script.turns.pop_front().or_else(|| script.last.clone())
        };
        let Some(turn) = turn else { return Err(ClientError::new(Fault::Unsupported)) };
        if turn.after > Duration::ZERO {
            tokio::time::sleep(turn.after).await;
        }
        match turn.act {
            Act::Reply(reply) => Ok(*reply),
            Act::Fail(fault, wait, usage) => Err(ClientError::new(fault).with_retry_after(wait).with_usage(usage)),
            Act::Hang => std::future::pending().await,
        }
    }
}
