//! Calling a model once: the contract that clients of providers keep, and what goes in and comes out.
//!
//! A client puts a [`Call`] into its provider's form, sends it and reads the answer. When to try again, which model is next and
//! what it may cost is decided elsewhere ([`run`](crate::run)). The rule the rest leans on: a client reports what happened to a
//! request, in a [`Fault`](crate::call::Fault), so that its money is accounted for.

mod cassette;
mod error;
#[cfg(feature = "http-llm")]
pub mod http;
mod message;
pub(crate) mod refs;
#[cfg(feature = "mock")]
mod scripted;
mod stream;
mod strict;

pub use cassette::{Cassette, CassetteError, Player, Recorder};
pub use error::ClientError;
pub use message::{Call, Finish, Format, JsonSchema, Message, Reply, Role, Temperature};
#[cfg(feature = "mock")]
pub use scripted::{ScriptedLlm, Turn};
pub use stream::{Piece, Pieces};
pub use strict::{SchemaError, SchemaFault};

use async_trait::async_trait;
use std::fmt::Debug;

/// Calls models of one provider, implemented by this crate's clients or by the host.
///
/// # Contract
///
/// - **Once.** A call is at most one request to the provider: no retries, no redirects, no second model.
/// - **Capped.** The request carries [`Call::output_cap`] as a limit that covers reasoning, asks for one reply and for the service
///   tier of the call. What can't be said to the provider is [`Fault::Unsupported`](crate::call::Fault::Unsupported), before
///   anything leaves.
/// - **Honest about what left.** [`Fault::Connect`](crate::call::Fault::Connect), `Forbidden` and `Unsupported` mean that nothing
///   left; anything else may cost money.
/// - **Usage as billed.** [`Reply::usage`] is what the provider says, each token counted once; `None` if it says nothing, never a
///   guess.
/// - **Cancel safe.** Dropping the future ends the request as far as the provider can be told; the caller counts it as sent.
/// - **Quiet.** Errors, `Debug` and logs hold no prompt, reply or secret.
///
/// Time limits are the caller's: it drops the future. Calls are independent and may run at once.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LlmClient: Debug + Send + Sync + 'static {
    /// Sends the call and gives the whole reply.
    ///
    /// # Errors
    /// [`ClientError`] with what happened to the request.
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError>;

    /// Sends the call and gives the reply as it comes: the texts of all pieces put together are the text of the reply at their end.
    ///
    /// A reply that does not come to its end ends with an error, and that error has no usage unless it is what is billed for all of
    /// it: a count from the beginning of a stream is not. The default waits for the whole reply.
    ///
    /// # Errors
    /// [`ClientError`] with what happened to the request, here or as the last piece.
    async fn stream(&self, call: &Call) -> Result<Pieces, ClientError> {
        self.complete(call).await.map(Pieces::whole)
    }
}
