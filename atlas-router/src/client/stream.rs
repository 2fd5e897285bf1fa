//! A reply as it comes, in pieces.

use super::{ClientError, Reply};
use futures_util::{Stream, StreamExt, stream};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A piece of a reply. `Debug` shows sizes, never words.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Piece {
    /// More of what the model says.
    Text(String),
    /// More of the words with which it refuses.
    Refusal(String),
    /// The reply came to its end: the whole of it, with what the provider bills.
    End(Box<Reply>),
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "Text({} bytes)", text.len()),
            Self::Refusal(text) => write!(f, "Refusal({} bytes)", text.len()),
            Self::End(reply) => f.debug_tuple("End").field(reply).finish(),
        }
    }
}

type Source = dyn Stream<Item = Result<Piece, ClientError>> + Send;

/// The pieces of a reply, in order: any number of texts and then either one [`Piece::End`] or one error. Dropping them ends the
/// request as far as the provider can be told.
pub struct Pieces {
    /// `None` once the end or an error was given.
    pieces: Option<Pin<Box<Source>>>,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("is_over", &self.pieces.is_none()).finish()
    }
}

impl Pieces {
    /// Pieces from where they come from. What comes after an end or an error is left out.
    pub fn new(pieces: impl Stream<Item = Result<Piece, ClientError>> + Send + 'static) -> Self {
        Self { pieces: Some(Box::pin(pieces)) }
    }

    /// A reply that is there already.
    pub fn whole(reply: Reply) -> Self {
        let text = Some(reply.text.clone()).filter(|text| !text.is_empty());
        let words = text.map(|text| match reply.finish {
            super::Finish::Refused => Piece::Refusal(text),
            _ => Piece::Text(text),
        });
        Self::new(stream::iter(words.into_iter().chain([Piece::End(Box::new(reply))]).map(Ok)))
    }

    /// The next piece; `None` after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Result<Piece, ClientError>> {
        StreamExt::next(self).await
    }
}

impl Stream for Pieces {
    type Item = Result<Piece, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(pieces) = self.pieces.as_mut() else { return Poll::Ready(None) };
        let next = pieces.as_mut().poll_next(context);
        if matches!(next, Poll::Ready(None | Some(Err(_) | Ok(Piece::End(_))))) {
            self.pieces = None;
        }
        next
    }
}
