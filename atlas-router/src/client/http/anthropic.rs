//! Anthropic's Messages.

use super::stream::{Draft, Said};
use super::transport::{Answered, Coming, HttpOptions, HttpSetupError, Transport, named, request_id, secret};
use crate::call::Fault;
use crate::client::{Call, ClientError, Finish, Format, LlmClient, Pieces, Reply, Role};
use crate::cost::{CacheTime, ServiceTier, TokenUsage};
use async_trait::async_trait;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

/// The version of the API that this client speaks.
const VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// Calls models over Anthropic's Messages. Clones share connections.
///
/// It holds models to a JSON Schema, not to JSON of any form; it knows the normal service tier and `auto`, and no cache times.
///
/// Needs a tokio runtime with I/O and time enabled.
#[derive(Debug, Clone)]
pub struct AnthropicClient {
    transport: Transport,
    key: HeaderValue,
}

impl AnthropicClient {
    /// A client of the server at `options`' address, `https://api.anthropic.com` or another; `/v1/messages` is appended.
    ///
    /// # Errors
    /// As [`OpenAiClient::new`](super::OpenAiClient::new).
    pub fn new(options: HttpOptions) -> Result<Self, HttpSetupError> {
        let key = secret("", &options.key)?;
        Ok(Self { transport: Transport::new(options, &["v1", "messages"])?, key })
    }

    fn headers(&self) -> [(HeaderName, HeaderValue); 2] {
        let version = (HeaderName::from_static("anthropic-version"), VERSION);
        [(HeaderName::from_static("x-api-key"), self.key.clone()), version]
    }
}

#[async_trait]
impl LlmClient for AnthropicClient {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        let body = encode(call).ok_or_else(|| ClientError::new(Fault::Unsupported))?;
        decode(self.transport.post(&self.headers(), &body.into(), usage).await?)
    }

    async fn stream(&self, call: &Call) -> Result<Pieces, ClientError> {
        let mut body = encode(call).ok_or_else(|| ClientError::new(Fault::Unsupported))?;
        body.insert("stream".into(), json!(true));
        match self.transport.stream(&self.headers(), &body.into(), usage, event).await? {
            Coming::Whole(answer) => decode(answer).map(Pieces::whole),
            Coming::Pieces(pieces) => Ok(pieces),
        }
    }
}

/// The request's body; `None` for what the API can't say.
fn encode(call: &Call) -> Option<Map<String, Value>> {
    let of = |role: Role| call.messages.iter().filter(move |message| message.role == role);
    let system: Vec<&str> = of(Role::System).map(|message| message.text.as_str()).collect();
    let said = call.messages.iter().filter(|message| message.role != Role::System);
    let messages: Vec<Value> = said.map(|message| json!({ "role": message.role, "content": message.text })).collect();
    let mut body = Map::new();
    body.insert("model".into(), json!(call.model));
    body.insert("max_tokens".into(), json!(call.output_cap));
    body.insert("messages".into(), messages.into());
    if !system.is_empty() {
        body.insert("system".into(), json!(system.join("\n\n")));
    }
    match &call.format {
        Format::Text => {}
        Format::JsonSchema(schema) if schema.is_strict() => {
            let format = json!({ "type": "json_schema", "schema": schema.schema() });
            body.insert("output_config".into(), json!({ "format": format }));
        }
        Format::JsonObject | Format::JsonSchema(_) => return None,
    }
    match call.temperature.map(crate::client::Temperature::as_thousandths) {
        None => {}
        // Its scale ends at 1.
        Some(thousandths @ 0..=1000) => {
            body.insert("temperature".into(), json!(f64::from(thousandths) / 1000.0));
        }
        Some(_) => return None,
    }
    match &call.service_tier {
        ServiceTier::Default => body.insert("service_tier".into(), json!("standard_only")),
        ServiceTier::Auto => body.insert("service_tier".into(), json!("auto")),
        ServiceTier::Named(_) => return None,
    };
    // Efforts are of no row of the catalogue yet, and long cache times have another meaning there.
    if call.effort.is_some() || call.cache_time != CacheTime::Short {
        return None;
    }
    Some(body)
}

fn decode(answer: Answered) -> Result<Reply, ClientError> {
    let Answered { headers, body } = answer;
    let (usage, id) = (usage(&body), request_id(&headers));
    let garbled = || ClientError::new(Fault::Garbled).with_usage(usage).with_request_id(id.clone());
    let parts = body.get("content").and_then(Value::as_array).ok_or_else(garbled)?;
    let texts = parts.iter().filter(|part| part.get("type").and_then(Value::as_str) == Some("text"));
    let text: String = texts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    let finish = finish(body.get("stop_reason").and_then(Value::as_str).unwrap_or_default());
    let mut reply = Reply::new(text, usage).with_finish(finish).with_request_id(id);
    reply.service_tier = named(body.pointer("/usage/service_tier").and_then(Value::as_str));
    reply.model = named(body.get("model").and_then(Value::as_str));
    Ok(reply)
}

fn finish(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::Refused,
        _ => Finish::Other,
    }
}

/// A piece of a message. Its usage begins in `message_start`, whose count of the reply means nothing yet, and `message_delta` has
/// what became of it.
fn event(draft: &mut Draft, event: &Value) -> Said {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let counts = |pointer: &str| event.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
    match text("/type") {
        Some("message_start") => {
            draft.model = named(text("/message/model"));
            draft.billed = counts("/message/usage");
            draft.service_tier = named(text("/message/usage/service_tier"));
            draft.billed.remove("output_tokens");
            Said::Nothing
        }
        Some("content_block_start") => said(text("/content_block/text")),
        Some("content_block_delta") => said(text("/delta/text")),
        Some("message_delta") => {
            let known = counts("/usage").into_iter().filter(|(_, count)| !count.is_null());
            draft.billed.extend(known);
            if let Some(reason) = text("/delta/stop_reason") {
                draft.finish = Some(finish(reason));
                draft.usage = usage(&json!({ "usage": draft.billed }));
            }
            Said::Nothing
        }
        Some("message_stop") => Said::Done,
        // There may be more of them in time, its documents say.
        Some(_) => Said::Nothing,
        None => Said::Garbled(None),
    }
}

fn said(text: Option<&str>) -> Said {
    text.map_or(Said::Nothing, |text| Said::Text(text.to_owned()))
}

/// Usage as it is billed; `None` unless both counts are there. Here the prompt's count leaves out what went through the cache.
fn usage(body: &Value) -> Option<TokenUsage> {
    let usage = body.get("usage")?;
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
    let part = |pointer: &str| count(pointer).unwrap_or(0);
    let mut usage = TokenUsage::of_parts(
        count("/input_tokens")?,
        part("/cache_read_input_tokens"),
        part("/cache_creation_input_tokens"),
        count("/output_tokens")?,
    );
    usage.web_searches = part("/server_tool_use/web_search_requests");
    Some(usage)
}
