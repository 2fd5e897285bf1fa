//! A reply as it comes over HTTP: events put together, and what a stream that ends too early was.
//!
//! Usage counts only once a reply has its end: what a provider bills before that is less than what it bills in the end, so a
//! stream that is cut off has none.

use super::sse::{Events, Fault as Odd};
use super::transport::{explain, garbled, says_no};
use crate::call::Fault;
use crate::client::{ClientError, Finish, Piece, Pieces, Reply};
use crate::cost::TokenUsage;
use futures_util::stream;
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::{Map, Value};
use std::collections::VecDeque;

/// A reply so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) refusal: String,
    /// Why it ended, once it has: then it is whole.
    pub(super) finish: Option<Finish>,
    /// What is billed for the whole.
    pub(super) usage: Option<TokenUsage>,
    pub(super) service_tier: Option<String>,
    pub(super) model: Option<String>,
    /// What the reader of one provider's events keeps of their usage.
    pub(super) billed: Map<String, Value>,
    request_id: Option<String>,
}

/// What an event says.
pub(super) enum Said {
    /// Nothing that anyone waits for.
    Nothing,
    /// More text.
    Text(String),
    /// More of a refusal.
    Refusal(String),
    /// That was all.
    Done,
    /// The whole reply, in a form that says more than its pieces.
    Whole(Box<Reply>),
    /// The provider failed, with that error, and bills that.
    Failed(Option<Value>, Option<TokenUsage>),
    /// The event is none of that provider's; what it bills, if it is the last one and says so.
    Garbled(Option<TokenUsage>),
}

/// Reads one event of a provider into the draft.
pub(super) type Reader = fn(&mut Draft, &Value) -> Said;

impl Draft {
    fn reply(self) -> Reply {
        let is_refusal = !self.refusal.is_empty();
        let text = if is_refusal { self.refusal } else { self.text };
        let finish = if is_refusal { Finish::Refused } else { self.finish.unwrap_or(Finish::Other) };
        let mut reply = Reply::new(text, self.usage).with_finish(finish).with_request_id(self.request_id);
        (reply.service_tier, reply.model) = (self.service_tier, self.model);
        reply
    }
}

struct Streaming {
    response: Response,
    headers: HeaderMap,
    events: Events,
    draft: Draft,
    read: Reader,
    max_bytes: usize,
    ready: VecDeque<Result<Piece, ClientError>>,
    is_over: bool,
}

/// The pieces of an answer that says yes and is an event stream.
pub(super) fn pieces(response: Response, read: Reader, id: Option<String>, max_bytes: usize) -> Pieces {
    let headers = response.headers().clone();
    let draft = Draft { request_id: id, ..Draft::default() };
    let events = Events::new(max_bytes);
    let ready = VecDeque::new();
    let state = Streaming { response, headers, events, draft, read, max_bytes, ready, is_over: false };
    Pieces::new(stream::unfold(state, |mut state| async move {
        let piece = state.next().await?;
        Some((piece, state))
    }))
}

impl Streaming {
    async fn next(&mut self) -> Option<Result<Piece, ClientError>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.is_over {
                return None;
            }
            match self.response.chunk().await {
                Ok(Some(bytes)) => self.take(&bytes),
                Ok(None) => self.end(ClientError::new(Fault::Broken)),
                Err(error) => self.end(explain(error)),
            }
        }
    }

    /// No more will come. A reply that has its end is whole, whatever is missing behind it.
    fn end(&mut self, error: ClientError) {
        if self.draft.finish.is_some() { self.finish() } else { self.fail(error) }
    }

    fn finish(&mut self) {
        let reply = std::mem::take(&mut self.draft).reply();
        self.ready.push_back(Ok(Piece::End(Box::new(reply))));
        self.is_over = true;
    }

    fn fail(&mut self, error: ClientError) {
        self.ready.push_back(Err(error.with_request_id(self.draft.request_id.clone())));
        self.is_over = true;
    }

    fn take(&mut self, bytes: &[u8]) {
        let events = match self.events.push(bytes) {
            Ok(events) => events,
            Err(Odd::TooLarge) => return self.fail(ClientError::new(Fault::TooLarge)),
            Err(Odd::Garbled) => return self.fail(ClientError::new(Fault::Garbled)),
        };
        for event in events {
            if self.is_over {
                return;
            }
            self.event(&event.name, &event.data);
        }
    }

    fn event(&mut self, name: &str, data: &str) {
        let data = data.trim();
        if data.is_empty() {
            // Some keep the connection open with it.
            return;
        }
        if data == "[DONE]" {
            return self.finish();
        }
        let data: Value = match serde_json::from_str(data) {
            Ok(data) => data,
            Err(error) => return self.fail(garbled(&error)),
        };
        let is_error = name == "error" || data.get("type").and_then(Value::as_str) == Some("error");
        if is_error || data.get("error").is_some_and(|error| !error.is_null()) {
            // Some give the error bare, in an event of that name.
            let body = if data.get("error").is_some() { data } else { serde_json::json!({ "error": data }) };
            return self.fail(says_no(200, &self.headers, &body));
        }
        match (self.read)(&mut self.draft, &data) {
            Said::Nothing => {}
            Said::Text(text) if text.is_empty() => {}
            Said::Refusal(text) if text.is_empty() => {}
            Said::Text(text) => {
                self.draft.text.push_str(&text);
                self.ready.push_back(Ok(Piece::Text(text)));
            }
            Said::Refusal(text) => {
                self.draft.refusal.push_str(&text);
                self.ready.push_back(Ok(Piece::Refusal(text)));
            }
            Said::Done => self.finish(),
            Said::Whole(reply) => {
                let reply = reply.with_request_id(self.draft.request_id.clone());
                self.ready.push_back(Ok(Piece::End(Box::new(reply))));
                self.is_over = true;
            }
            Said::Failed(error, usage) => {
                let body = serde_json::json!({ "error": error });
                self.fail(says_no(200, &self.headers, &body).with_usage(usage));
            }
            Said::Garbled(usage) => self.fail(ClientError::new(Fault::Garbled).with_usage(usage)),
        }
        if self.draft.text.len() + self.draft.refusal.len() > self.max_bytes {
            self.fail(ClientError::new(Fault::TooLarge));
        }
    }
}
