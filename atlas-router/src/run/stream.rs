//! A governed call whose reply is passed on as it comes.
//!
//! Until the first piece is there, failures are tried again or elsewhere as in any call. From then on what was said was said: a
//! stream that breaks off ends with an error. Its hold stays counted at its bound until someone reconciles it, since what was
//! delivered is billed, and nobody has said how much that is.

use super::attempt::{CallAttempt, Outcome};
use super::error::{Kind, RunError};
use super::one::Live;
use super::request::Request;
use super::time::{Early, Job, after};
use super::{Arrival, Arrived, How, Router, Tried, trace};
use crate::call::Fault;
use crate::catalogue::ModelId;
use crate::client::{ClientError, Piece, Pieces};
use crate::select::Decision;
use futures_util::{Stream, stream};
use std::fmt;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

/// A call whose first piece is there.
pub(super) struct Opened {
    pub(super) live: Live,
    pub(super) first: Piece,
    pub(super) pieces: Pieces,
}

/// A part of an answer. `Debug` shows sizes, never words.
#[non_exhaustive]
pub enum Part {
    /// More of what the model says.
    Text(String),
    /// More of the words with which it refuses.
    Refusal(String),
    /// That was all: the whole reply, paid for, with everything that was tried.
    End(Box<Outcome>),
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Refusal(text) => write!(f, "Refusal({} bytes)", text.len()),
            Self::End(outcome) => f.debug_tuple("End").field(outcome).finish(),
        }
    }
}

/// An answer as it comes: any number of texts and then either one [`Part::End`] or one error.
///
/// It has its place among the concurrent calls of its account until it ends or is dropped, and takes no more from the provider than
/// it is asked for. Dropped before its end it hangs up, and its hold stays counted at its bound: the provider may bill what it wrote.
pub struct Answering {
    state: Option<State>,
}

struct State {
    live: Live,
    first: Option<Piece>,
    pieces: Pieces,
    cancel: CancellationToken,
    span: Span,
    model: ModelId,
    decision: Decision,
    attempts: Vec<CallAttempt>,
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").field("is_over", &self.state.is_none()).finish()
    }
}

impl Router {
    /// Answers a request as [`run`](Self::run) does, and gives the reply as it comes. It returns once the first piece is there;
    /// until then a failed call is tried again or elsewhere, and after that never.
    ///
    /// `timeout` and `call_timeout` of the request go on until the last piece, and are looked at when one is asked for.
    ///
    /// # Errors
    /// [`RunError`] as [`run`](Self::run), here or as the last part: [`Kind::BrokenOff`] if the reply broke off after its first piece.
    pub async fn stream(&self, request: &Request, cancel: &CancellationToken) -> Result<Answering, RunError> {
        let job = Job { request, cancel, deadline: after(request.timeout) };
        let span = trace::request(request);
        let arrived = self.carry_out(&job, self.limits(request), How::Streamed).instrument(span.clone()).await;
        let failed = |error: RunError| {
            trace::ended(&span, Err(&error));
            error
        };
        let Arrived { reply, model, decision, attempts } = arrived.map_err(failed)?;
        let Arrival::Opened(opened) = reply else {
            // What is asked for in pieces comes in pieces.
            return Err(failed(RunError::new(Kind::BrokenOff, attempts).with_decision(decision)));
        };
        let Opened { live, first, pieces } = *opened;
        let cancel = cancel.clone();
        let state = State { live, first: Some(first), pieces, cancel, span, model, decision, attempts };
        Ok(Answering { state: Some(state) })
    }
}

impl Answering {
    /// The next part; `None` after the last one. The last one is given once its call is settled. Dropping the future loses no text;
    /// while the call is being settled it loses the last part, and the settlement goes on without it.
    ///
    /// # Errors
    /// [`RunError`] for a reply that broke off, is cancelled or comes too late, with everything that was tried.
    pub async fn next(&mut self) -> Option<Result<Part, RunError>> {
        let state = self.state.as_mut()?;
        let answer = match state.piece().await {
            Ok(Ok(Piece::Text(text))) => return Some(Ok(Part::Text(text))),
            Ok(Ok(Piece::Refusal(text))) => return Some(Ok(Part::Refusal(text))),
            Ok(Ok(Piece::End(reply))) => Ok(Ok(*reply)),
            Ok(Err(error)) => Ok(Err(error)),
            Err(early) => Err(early),
        };
        let State { live, pieces, span, model, decision, mut attempts, .. } = self.state.take()?;
        // The connection is given back, or hung up, before the ledger is waited for.
        drop(pieces);
        let (attempt, tried) = live.end(answer).instrument(span.clone()).await;
        attempts.push(attempt);
        let end = match tried {
            Tried::Answered(reply) => Ok(Outcome { reply: *reply, model, decision, attempts }),
            Tried::Stopped(kind, source) => {
                Err(RunError::new(kind, attempts).with_decision(decision).caused_by(source))
            }
            _ => Err(RunError::new(Kind::BrokenOff, attempts).with_decision(decision)),
        };
        trace::ended(&span, end.as_ref());
        Some(end.map(|outcome| Part::End(Box::new(outcome))))
    }

    /// The parts as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Part, RunError>> + Send {
        stream::unfold(self, |mut answering| async move {
            let part = answering.next().await?;
            Some((part, answering))
        })
    }
}

impl State {
    async fn piece(&mut self) -> Result<Result<Piece, ClientError>, Early> {
        if self.cancel.is_cancelled() {
            return Err(Early::Cancelled);
        }
        // Also of a server that always has more to say.
        if Instant::now() >= self.live.until {
            return Err(Early::Deadline);
        }
        if let Some(first) = self.first.take() {
            return Ok(Ok(first));
        }
        let span = self.live.span.clone();
        let next = async { self.pieces.next().await.unwrap_or_else(|| Err(ClientError::new(Fault::Broken))) };
        tokio::select! {
            biased;
            piece = next.instrument(span) => Ok(piece),
            () = self.cancel.cancelled() => Err(Early::Cancelled),
            () = sleep_until(self.live.until) => Err(Early::Deadline),
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(State { live, span, decision, mut attempts, .. }) = self.state.take() {
            attempts.push(live.abandon());
            trace::ended(&span, Err(&RunError::new(Kind::Cancelled, attempts).with_decision(decision)));
        }
    }
}
