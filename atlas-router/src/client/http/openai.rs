//! Chat Completions, as `OpenAI` and many others speak it.

use super::responses;
use super::stream::{Draft, Reader, Said};
use super::transport::{Answered, Coming, HttpOptions, HttpSetupError, Transport, named, request_id, secret};
use crate::call::Fault;
use crate::catalogue::Effort;
use crate::client::refs;
use crate::client::{Call, ClientError, Finish, Format, LlmClient, Piece, Pieces, Reply};
use crate::cost::{CacheTime, ServiceTier, TokenUsage};
use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// How far a server follows `OpenAI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Dialect {
    /// All the way: `max_completion_tokens`, service tiers, how long the prompt cache keeps. The default.
    #[default]
    OpenAi,
    /// The common part of servers that are compatible, such as llama.cpp and vLLM: no service tiers, no cache times.
    Compatible,
    /// The same for older ones that know only `max_tokens`.
    Legacy,
    /// The Responses API, which some models are reached by alone. What it would keep is not stored: each call says all that counts.
    Responses,
}

/// Calls models over Chat Completions or Responses. Clones share connections.
///
/// Needs a tokio runtime with I/O and time enabled.
#[derive(Debug, Clone)]
pub struct OpenAiClient {
    transport: Transport,
    authorization: HeaderValue,
    dialect: Dialect,
}

impl OpenAiClient {
    /// A client of the server at `options`' address, `https://api.openai.com/v1` or another; `/chat/completions` is appended, or
    /// `/responses` for that dialect.
    ///
    /// # Errors
    /// [`HttpSetupError`] for an address that the policy refuses or that is not https, a key that no header can carry, or a TLS
    /// library that can't be set up.
    pub fn new(options: HttpOptions, dialect: Dialect) -> Result<Self, HttpSetupError> {
        let authorization = secret("Bearer ", &options.key)?;
        let path: &[&str] = if dialect == Dialect::Responses { &["responses"] } else { &["chat", "completions"] };
        Ok(Self { transport: Transport::new(options, path)?, authorization, dialect })
    }

    fn form(&self) -> Form {
        if self.dialect == Dialect::Responses { responses::FORM } else { Form { decode, usage, event } }
    }

    fn encode(&self, call: &Call) -> Result<Map<String, Value>, ClientError> {
        let body = match self.dialect {
            Dialect::Responses => responses::encode(call),
            dialect => encode(call, dialect),
        };
        body.ok_or_else(|| ClientError::new(Fault::Unsupported))
    }

    fn headers(&self, call: &Call) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![(AUTHORIZATION, self.authorization.clone())];
        if let Some(key) = call.idempotency_key.as_deref().and_then(|key| HeaderValue::from_str(key).ok()) {
            headers.push((HeaderName::from_static("idempotency-key"), key));
        }
        headers
    }
}

/// How answers of an API are read.
pub(super) struct Form {
    pub(super) decode: fn(Answered) -> Result<Reply, ClientError>,
    pub(super) usage: fn(&Value) -> Option<TokenUsage>,
    pub(super) event: Reader,
}

#[async_trait]
impl LlmClient for OpenAiClient {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        let body = self.encode(call)?;
        let form = self.form();
        let reply = (form.decode)(self.transport.post(&self.headers(call), &body.into(), form.usage).await?)?;
        Ok(ended(reply, self.dialect, call.output_cap))
    }

    async fn stream(&self, call: &Call) -> Result<Pieces, ClientError> {
        let mut body = self.encode(call)?;
        body.insert("stream".into(), json!(true));
        if matches!(self.dialect, Dialect::OpenAi | Dialect::Compatible) {
            body.insert("stream_options".into(), json!({ "include_usage": true }));
        }
        let form = self.form();
        let (dialect, cap) = (self.dialect, call.output_cap);
        match self.transport.stream(&self.headers(call), &body.into(), form.usage, form.event).await? {
            Coming::Whole(answer) => (form.decode)(answer).map(|reply| Pieces::whole(ended(reply, dialect, cap))),
            Coming::Pieces(pieces) => Ok(Pieces::new(pieces.map_ok(move |piece| match piece {
                Piece::End(reply) => Piece::End(Box::new(ended(*reply, dialect, cap))),
                piece => piece,
            }))),
        }
    }
}

/// A reply with the reason of its end: of a response that it cut at its cap, llama.cpp says that it was completed.
fn ended(mut reply: Reply, dialect: Dialect, cap: u64) -> Reply {
    let is_full = reply.usage.is_some_and(|usage| usage.completion() == cap);
    if dialect == Dialect::Responses && reply.finish == Finish::Stop && is_full {
        reply.finish = Finish::Length;
    }
    reply
}

/// The request's body; `None` for what the dialect can't say.
fn encode(call: &Call, dialect: Dialect) -> Option<Map<String, Value>> {
    let messages: Vec<Value> =
        call.messages.iter().map(|message| json!({ "role": message.role, "content": message.text })).collect();
    let mut body = Map::new();
    body.insert("model".into(), json!(call.model));
    body.insert("messages".into(), messages.into());
    let cap = if dialect == Dialect::Legacy { "max_tokens" } else { "max_completion_tokens" };
    body.insert(cap.into(), json!(call.output_cap));
    match &call.format {
        Format::Text => {}
        Format::JsonObject => {
            body.insert("response_format".into(), json!({ "type": "json_object" }));
        }
        Format::JsonSchema(schema) => {
            let written = match dialect {
                Dialect::Compatible | Dialect::Legacy => refs::without_root(schema.schema()),
                Dialect::OpenAi | Dialect::Responses => Cow::Borrowed(schema.schema()),
            };
            let schema = json!({ "name": schema.name(), "schema": written, "strict": schema.is_strict() });
            body.insert("response_format".into(), json!({ "type": "json_schema", "json_schema": schema }));
        }
    }
    if let Some(effort) = call.effort {
        body.insert("reasoning_effort".into(), json!(effort_name(effort)));
    }
    if let Some(temperature) = call.temperature {
        body.insert("temperature".into(), json!(f64::from(temperature.as_thousandths()) / 1000.0));
    }
    match (dialect, &call.service_tier, call.cache_time) {
        // Left out it means `auto`, which is whatever the project is set to: not what was priced.
        (Dialect::OpenAi, tier, cache) => {
            body.insert("service_tier".into(), json!(tier.as_str()));
            if cache == CacheTime::Long {
                body.insert("prompt_cache_retention".into(), json!("24h"));
            }
        }
        (_, ServiceTier::Default, CacheTime::Short) => {}
        _ => return None,
    }
    Some(body)
}

pub(super) const fn effort_name(effort: Effort) -> &'static str {
    match effort {
        Effort::None => "none",
        Effort::Minimal => "minimal",
        Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::Xhigh => "xhigh",
        Effort::Max => "max",
    }
}

fn decode(answer: Answered) -> Result<Reply, ClientError> {
    let Answered { headers, body } = answer;
    let (usage, id) = (usage(&body), request_id(&headers));
    let garbled = || ClientError::new(Fault::Garbled).with_usage(usage).with_request_id(id.clone());
    let choice = body.get("choices").and_then(|choices| choices.get(0)).ok_or_else(garbled)?;
    let message = choice.get("message").filter(|message| message.is_object()).ok_or_else(garbled)?;
    let refusal = message.get("refusal").and_then(Value::as_str).filter(|words| !words.is_empty());
    let text = match (message.get("content"), refusal) {
        (_, Some(refusal)) => refusal.to_owned(),
        (Some(Value::String(text)), None) => text.clone(),
        (Some(Value::Null) | None, None) => String::new(),
        (Some(_), None) => return Err(garbled()),
    };
    let finish = match refusal {
        Some(_) => Finish::Refused,
        None => finish(choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default()),
    };
    let mut reply = Reply::new(text, usage).with_finish(finish).with_request_id(id);
    reply.service_tier = named(body.get("service_tier").and_then(Value::as_str));
    reply.model = named(body.get("model").and_then(Value::as_str));
    Ok(reply)
}

fn finish(reason: &str) -> Finish {
    match reason {
        "stop" => Finish::Stop,
        "length" => Finish::Length,
        "content_filter" => Finish::Filtered,
        _ => Finish::Other,
    }
}

/// A piece of a reply. The last ones are one with the reason of its end and one, without a choice, with its usage.
fn event(draft: &mut Draft, chunk: &Value) -> Said {
    let text = |pointer: &str| chunk.pointer(pointer).and_then(Value::as_str);
    draft.model = named(text("/model")).or(draft.model.take());
    draft.service_tier = named(text("/service_tier")).or(draft.service_tier.take());
    if let Some(reason) = text("/choices/0/finish_reason") {
        draft.finish = Some(finish(reason));
    }
    // Some servers count as they go: before its end that is not what the reply costs.
    if draft.finish.is_some() {
        draft.usage = usage(chunk).or(draft.usage);
    }
    match (text("/choices/0/delta/content"), text("/choices/0/delta/refusal")) {
        (_, Some(words)) if !words.is_empty() => Said::Refusal(words.to_owned()),
        (Some(words), _) => Said::Text(words.to_owned()),
        _ if chunk.get("choices").is_some_and(Value::is_array) => Said::Nothing,
        _ => Said::Garbled(None),
    }
}

/// Usage as it is billed; `None` unless both counts are there.
fn usage(body: &Value) -> Option<TokenUsage> {
    let usage = body.get("usage")?;
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let part = |of: &str, name: &str| usage.get(of).and_then(|parts| parts.get(name)).and_then(Value::as_u64);
    let (usage, _) = TokenUsage::of_wholes(
        count("prompt_tokens")?,
        part("prompt_tokens_details", "cached_tokens").unwrap_or(0),
        part("prompt_tokens_details", "cache_write_tokens").unwrap_or(0),
        count("completion_tokens")?,
        part("completion_tokens_details", "reasoning_tokens").unwrap_or(0),
    );
    Some(usage)
}
