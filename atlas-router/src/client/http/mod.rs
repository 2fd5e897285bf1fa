//! Clients over HTTP: [`OpenAiClient`] for Chat Completions and Responses, [`AnthropicClient`] for Messages.
//!
//! Each provider's form is put together and read by pure functions; one transport sends. The policy is asked about the address
//! before anything is resolved, about all answers of the resolver at the moment of dialling, and about the peer that answered.
//! Redirects are not followed, nothing is sent twice, proxies of the environment are not used, and no global is installed.
//! Answers are read up to a limit, and of an error's body only names are kept.

mod anthropic;
mod openai;
mod responses;
mod sse;
mod stream;
mod transport;

pub use anthropic::AnthropicClient;
pub use openai::{Dialect, OpenAiClient};
pub use transport::{HttpOptions, HttpSetupError, Resolver, SystemResolver};
