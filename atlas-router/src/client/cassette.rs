//! A cassette: real calls recorded once and replayed as often as wanted, without a network.
//!
//! A tape holds replies and failures, and of each call only its fingerprint: neither prompts nor keys get onto it. What a
//! reply must not keep is named when it is recorded, and taken out. A host writes the tape's JSON where it likes.

use super::{Call, ClientError, LlmClient, Piece, Pieces, Reply};
use crate::call::Fault;
use crate::catalogue::ModelId;
use crate::cost::TokenUsage;
use async_trait::async_trait;
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The form of tapes that this release writes and reads.
const VERSION: u32 = 1;
/// What stands where something was taken out.
const REMOVED: &str = "[REMOVED]";

/// A text that is no tape.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CassetteError {
    /// It is not the JSON of a tape.
    #[error("no tape: line {line}, column {column} is not what a tape holds; record it again")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// Another release wrote it.
    #[error("the tape is of version {version} and this release reads version {VERSION}: record it again")]
    Version {
        /// Its version.
        version: u32,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tape {
    version: u32,
    entries: VecDeque<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// SHA-256 of all of the call but its key and its correlation id, in hex.
    call: String,
    /// For people who look for an entry.
    model: ModelId,
    end: End,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum End {
    Reply(Box<Reply>),
    Failure { fault: Fault, retry_after_ms: Option<u64>, usage: Option<TokenUsage> },
}

/// A tape. Clones share it.
#[derive(Clone)]
pub struct Cassette {
    tape: Arc<Mutex<Tape>>,
}

impl fmt::Debug for Cassette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cassette").field("entries", &self.lock().entries.len()).finish()
    }
}

impl Default for Cassette {
    fn default() -> Self {
        Self::new()
    }
}

impl Cassette {
    /// An empty tape.
    pub fn new() -> Self {
        Self { tape: Arc::new(Mutex::new(Tape { version: VERSION, entries: VecDeque::new() })) }
    }

    /// A tape from its JSON.
    ///
    /// # Errors
    /// [`CassetteError`] for a text that is no tape, or one of another release.
    pub fn from_json(text: &str) -> Result<Self, CassetteError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let malformed =
            |error: serde_json::Error| CassetteError::Malformed { line: error.line(), column: error.column() };
        let Version { version } = serde_json::from_str(text).map_err(malformed)?;
        if version != VERSION {
            return Err(CassetteError::Version { version });
        }
        Ok(Self { tape: Arc::new(Mutex::new(serde_json::from_str(text).map_err(malformed)?)) })
    }

    /// The tape as JSON, laid out for people, with a line break at its end.
    pub fn to_json(&self) -> String {
        // Texts, numbers and lists of them: there is nothing that JSON can't say.
        let mut text = serde_json::to_string_pretty(&*self.lock()).unwrap_or_default();
        text.push('\n');
        text
    }

    /// A client that passes calls on and records how they end.
    pub fn recorder(&self, client: Arc<dyn LlmClient>) -> Recorder {
        Recorder { cassette: self.clone(), client, secrets: Arc::default() }
    }

    /// A client that answers from the tape, from its beginning. Same calls get their ends in the order in which they were
    /// recorded, each once; a call that is not, or no longer, on the tape is [`Fault::Unsupported`].
    pub fn player(&self) -> Player {
        Player { left: Arc::new(Mutex::new(self.lock().clone())) }
    }

    /// Entries are added whole, so a panic elsewhere leaves none in half.
    fn lock(&self) -> MutexGuard<'_, Tape> {
        self.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records.
pub struct Recorder {
    cassette: Cassette,
    client: Arc<dyn LlmClient>,
    secrets: Arc<Vec<String>>,
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("cassette", &self.cassette)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl Recorder {
    /// Takes that text out of replies before they are recorded; the caller still gets it. An empty one is ignored.
    #[must_use]
    pub fn without(mut self, secret: impl Into<String>) -> Self {
        let secret = Some(secret.into()).filter(|secret: &String| !secret.is_empty());
        Arc::make_mut(&mut self.secrets).extend(secret);
        self
    }
}

impl Cassette {
    /// Records how a call ended, without the secrets.
    fn record(&self, fingerprint: String, model: ModelId, secrets: &[String], answer: Result<&Reply, &ClientError>) {
        let clean = |text: &str| secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, REMOVED));
        let end = match answer {
            Ok(reply) => {
                let mut reply = reply.clone();
                reply.text = clean(&reply.text);
                for field in [&mut reply.service_tier, &mut reply.model, &mut reply.request_id] {
                    *field = field.take().map(|text| clean(&text));
                }
                End::Reply(Box::new(reply))
            }
            Err(error) => End::Failure {
                fault: error.fault().clone(),
                retry_after_ms: error.retry_after().map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
                usage: error.usage(),
            },
        };
        self.lock().entries.push_back(Entry { call: fingerprint, model, end });
    }
}

#[async_trait]
impl LlmClient for Recorder {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        let answer = self.client.complete(call).await;
        self.cassette.record(fingerprint(call), call.model.clone(), &self.secrets, answer.as_ref());
        answer
    }

    /// Records the reply at its end: one that is dropped before that is not on the tape. It is replayed whole.
    async fn stream(&self, call: &Call) -> Result<Pieces, ClientError> {
        let (name, model) = (fingerprint(call), call.model.clone());
        let (cassette, secrets) = (self.cassette.clone(), Arc::clone(&self.secrets));
        let pieces = match self.client.stream(call).await {
            Ok(pieces) => pieces,
            Err(error) => {
                cassette.record(name, model, &secrets, Err(&error));
                return Err(error);
            }
        };
        Ok(Pieces::new(pieces.inspect(move |piece| match piece {
            Ok(Piece::End(reply)) => cassette.record(name.clone(), model.clone(), &secrets, Ok(reply)),
            Err(error) => cassette.record(name.clone(), model.clone(), &secrets, Err(error)),
            Ok(_) => {}
        })))
    }
}

/// Replays.
#[derive(Clone)]
pub struct Player {
    left: Arc<Mutex<Tape>>,
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player").field("left", &self.left()).finish()
    }
}

impl Player {
    /// How many entries were not played yet.
    pub fn left(&self) -> usize {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).entries.len()
    }
}

#[async_trait]
impl LlmClient for Player {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        let name = fingerprint(call);
        let entry = {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            let at = left.entries.iter().position(|entry| entry.call == name);
            at.and_then(|at| left.entries.remove(at))
        };
        match entry.map(|entry| entry.end) {
            Some(End::Reply(reply)) => Ok(*reply),
            Some(End::Failure { fault, retry_after_ms, usage }) => {
                let wait = retry_after_ms.map(Duration::from_millis);
                Err(ClientError::new(fault).with_retry_after(wait).with_usage(usage))
            }
            None => Err(ClientError::new(Fault::Unsupported)
                .with_source(format!("no call {name} of {} is left on the tape: record it again", call.model))),
        }
    }
}

/// What two calls have in common that ask for the same: not the key, nor whose request it is.
fn fingerprint(call: &Call) -> String {
    let mut call = call.clone();
    (call.idempotency_key, call.correlation_id) = (None, None);
    // As for the tape itself, there is nothing here that JSON can't say.
    let text = serde_json::to_vec(&call).unwrap_or_default();
    Sha256::digest(&text).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a text can't fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
