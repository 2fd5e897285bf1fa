//! A client that answers as its script says, for tests of hosts and our own.

use super::{Call, ClientError, LlmClient, Piece, Pieces, Reply};
use crate::call::{Answer, Fault};
use crate::cost::TokenUsage;
use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
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
    Pieces(Vec<String>, Box<Act>),
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

    /// Says these pieces to whoever asks for a stream, and then does as `then` does. To whoever asks for the whole it does only that.
    pub fn pieces<T: Into<String>>(pieces: impl IntoIterator<Item = T>, then: Self) -> Self {
        let pieces = pieces.into_iter().map(Into::into).collect();
        Self { after: then.after, act: Act::Pieces(pieces, Box::new(then.act)) }
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
            Act::Pieces(pieces, _) => write!(f, "{} pieces after {:?}", pieces.len(), self.after),
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

impl ScriptedLlm {
    /// What the script does with that call, once it is time.
    async fn act(&self, call: &Call) -> Result<Act, ClientError> {
        let turn = {
            let mut script = self.lock();
            script.calls.push(call.clone());
            script.turns.pop_front().or_else(|| script.last.clone())
        };
        let turn = turn.ok_or_else(|| ClientError::new(Fault::Unsupported))?;
        if turn.after > Duration::ZERO {
            tokio::time::sleep(turn.after).await;
        }
        Ok(turn.act)
    }
}

impl Act {
    async fn end(self) -> Result<Reply, ClientError> {
        let mut act = self;
        while let Self::Pieces(_, then) = act {
            act = *then;
        }
        match act {
            Self::Reply(reply) => Ok(*reply),
            Self::Fail(fault, wait, usage) => Err(ClientError::new(fault).with_retry_after(wait).with_usage(usage)),
            Self::Hang | Self::Pieces(..) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl LlmClient for ScriptedLlm {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        self.act(call).await?.end().await
    }

    async fn stream(&self, call: &Call) -> Result<Pieces, ClientError> {
        match self.act(call).await? {
            Act::Pieces(pieces, then) => {
                let said = stream::iter(pieces.into_iter().map(|text| Ok(Piece::Text(text))));
                let end = stream::once(async move { then.end().await.map(|reply| Piece::End(Box::new(reply))) });
                Ok(Pieces::new(said.chain(end)))
            }
            act => act.end().await.map(Pieces::whole),
        }
    }
}
