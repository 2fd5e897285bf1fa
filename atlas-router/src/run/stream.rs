//! A governed call whose reply is passed on as it comes.
//!
//! Until the first piece is there, failures are tried again or elsewhere as in any call. From then on what was said was said: a
//! stream that breaks off ends with an error. Its hold stays counted at its bound until someone reconciles it, since what was
//! delivered is billed, and nobody has said how much that is.

use super::attempt::{CallAttempt, Outcome};
use super::error::{Kind, RunError};
use super::one::{Answer, Live};
use super::reading::Reading;
use super::request::Request;
use super::time::{Early, Job, after};
use super::trace::Route;
use super::{Arrival, Arrived, How, Router, Tried};
use crate::call::Fault;
use crate::catalogue::ModelId;
use crate::client::{ClientError, Piece, Pieces, Reply};
use crate::select::Decision;
use futures_util::{Stream, stream};
use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

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
    state: State,
}

enum State {
    Open(Box<Open>),
    Ending(Box<Ending>),
    Over,
}

/// More of the reply may come.
struct Open {
    live: Live,
    first: Option<Piece>,
    pieces: Pieces,
    cancel: CancellationToken,
    reading: Reading,
    request: Asked,
}

/// The call has ended and is being settled.
struct Ending {
    settling: Pin<Box<dyn Future<Output = (CallAttempt, Tried)> + Send>>,
    request: Asked,
}

/// The request, as it is told at its end.
struct Asked {
    route: Route,
    model: ModelId,
    decision: Decision,
    attempts: Vec<CallAttempt>,
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").field("is_over", &matches!(self.state, State::Over)).finish()
    }
}

impl Router {
    /// Answers a request as [`run`](Self::run) does, and gives the reply as it comes. It returns once the first piece is there;
    /// until then a failed call is tried again or elsewhere, and after that never.
    ///
    /// `timeout` and `call_timeout` of the request go on until the last piece, and are looked at when one is asked for. The time between
    /// parts is the reader's: `call_timeout` stands still in it, and it says nothing about the health of the model.
    ///
    /// # Errors
    /// [`RunError`] as [`run`](Self::run), here or as the last part: [`Kind::BrokenOff`] if the reply broke off after its first piece.
    pub async fn stream(&self, request: &Request, cancel: &CancellationToken) -> Result<Answering, RunError> {
        let job = Job { request, cancel, deadline: after(request.timeout) };
        let route = Route::of(request);
        let arrived = self.carry_out(&job, self.limits(request), How::Streamed).instrument(route.span()).await;
        let arrived = arrived.and_then(|Arrived { reply, model, decision, attempts }| match reply {
            Arrival::Opened(opened) => Ok((opened, model, decision, attempts)),
            // What is asked for in pieces comes in pieces.
            Arrival::Whole(_) => Err(RunError::new(Kind::BrokenOff, attempts).with_decision(decision)),
        });
        let (opened, model, decision, attempts) = match arrived {
            Ok(arrived) => arrived,
            Err(error) => {
                route.ended(Err(&error));
                return Err(error);
            }
        };
        let Opened { live, first, pieces } = *opened;
        let (cancel, reading) = (cancel.clone(), Reading::new());
        let request = Asked { route, model, decision, attempts };
        let open = Open { live, first: Some(first), pieces, cancel, reading, request };
        Ok(Answering { state: State::Open(Box::new(open)) })
    }
}

impl Answering {
    /// The next part; `None` after the last one. The last one is given once its call is settled. Dropping the future loses nothing: the
    /// next one goes on where it was.
    ///
    /// # Errors
    /// [`RunError`] for a reply that broke off, is cancelled or comes too late, with everything that was tried.
    pub async fn next(&mut self) -> Option<Result<Part, RunError>> {
        if let State::Open(open) = &mut self.state {
            let answer = match open.piece().await {
                Ok(Ok(Piece::Text(text))) => return Some(Ok(Part::Text(text))),
                Ok(Ok(Piece::Refusal(text))) => return Some(Ok(Part::Refusal(text))),
                Ok(Ok(Piece::End(reply))) => Ok(Ok(*reply)),
                Ok(Err(error)) => Ok(Err(error)),
                Err(early) => Err(early),
            };
            let State::Open(open) = std::mem::replace(&mut self.state, State::Over) else { return None };
            self.state = State::Ending(Box::new(open.end(answer)));
        }
        let State::Ending(ending) = &mut self.state else { return None };
        let (attempt, tried) = ending.settling.as_mut().await;
        let State::Ending(ending) = std::mem::replace(&mut self.state, State::Over) else { return None };
        Some(ending.request.ended(attempt, tried))
    }

    /// The parts as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Part, RunError>> + Send {
        stream::unfold(self, |mut answering| async move {
            let part = answering.next().await?;
            Some((part, answering))
        })
    }
}

impl Open {
    async fn piece(&mut self) -> Answer<Piece> {
        let Self { live, first, pieces, cancel, reading, .. } = self;
        live.ask_again(reading.passed());
        // However this ends, dropped included, it is the reader's time again.
        let asking = Asking(reading);
        if cancel.is_cancelled() {
            return Err(Early::Cancelled);
        }
        // Also of a server that always has more to say.
        if Instant::now() >= live.until {
            return Err(Early::Deadline);
        }
        if let Some(first) = first.take() {
            return Ok(Ok(first));
        }
        let span = live.told.span.clone();
        let next = async { pieces.next().await.unwrap_or_else(|| Err(ClientError::new(Fault::Broken))) };
        let (mut next, mut cancelled) = (pin!(next.instrument(span)), pin!(cancel.cancelled()));
        let mut over = pin!(sleep_until(live.until));
        poll_fn(|context| {
            live.ask_again(asking.0.passed());
            let waker = asking.0.waits(context.waker());
            let context = &mut Context::from_waker(&waker);
            if let Poll::Ready(piece) = next.as_mut().poll(context) {
                if piece.is_ok() {
                    live.says();
                }
                return Poll::Ready(Ok(piece));
            }
            if cancelled.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Early::Cancelled));
            }
            if over.deadline() != live.until {
                over.as_mut().reset(live.until);
            }
            over.as_mut().poll(context).map(|()| Err(Early::Deadline))
        })
        .await
    }

    fn end(self, answer: Answer<Reply>) -> Ending {
        let Self { live, pieces, mut request, .. } = self;
        // The connection is given back, or hung up, before the ledger is waited for.
        drop(pieces);
        // As it stands if nobody waits for its settlement.
        request.attempts.push(live.told.attempt.clone());
        Ending { settling: Box::pin(live.end(answer).instrument(request.route.span())), request }
    }
}

struct Asking<'a>(&'a mut Reading);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.stops();
    }
}

impl Asked {
    /// Its last call was settled.
    fn ended(self, attempt: CallAttempt, tried: Tried) -> Result<Part, RunError> {
        let Self { route, model, decision, mut attempts } = self;
        attempts.pop();
        attempts.push(attempt);
        let end = match tried {
            Tried::Answered(reply) => Ok(Outcome { reply: *reply, model, decision, attempts }),
            Tried::Stopped(kind, source) => {
                Err(RunError::new(kind, attempts).with_decision(decision).caused_by(source))
            }
            _ => Err(RunError::new(Kind::BrokenOff, attempts).with_decision(decision)),
        };
        route.ended(end.as_ref());
        end.map(|outcome| Part::End(Box::new(outcome)))
    }

    /// Nobody waits for its end.
    fn dropped(self) {
        let Self { route, decision, attempts, .. } = self;
        route.ended(Err(&RunError::new(Kind::Cancelled, attempts).with_decision(decision)));
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Open(open) => {
                let Open { mut live, mut reading, mut request, .. } = *open;
                live.ask_again(reading.passed());
                // What it will cost is not known, so that its hold stays as it is.
                request.attempts.push(live.told.tell());
                request.dropped();
            }
            // The guard of its money goes on without it.
            State::Ending(ending) => ending.request.dropped(),
            State::Over => {}
        }
    }
}
