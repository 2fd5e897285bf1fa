//! Anthropic's Messages.

use super::transport::{Answered, HttpOptions, HttpSetupError, Transport, named, request_id, secret};
use crate::call::Fault;
use crate::client::{Call, ClientError, Finish, Format, LlmClient, Reply, Role};
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
}

#[async_trait]
impl LlmClient for AnthropicClient {
    async fn complete(&self, call: &Call) -> Result<Reply, ClientError> {
        let body = encode(call).ok_or_else(|| ClientError::new(Fault::Unsupported))?;
        let headers = [
            (HeaderName::from_static("x-api-key"), self.key.clone()),
            (HeaderName::from_static("anthropic-version"), VERSION),
        ];
        decode(self.transport.post(&headers, &body, usage).await?)
    }
}

/// The request's body; `None` for what the API can't say.
fn encode(call: &Call) -> Option<Value> {
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
    Some(Value::Object(body))
}

fn decode(answer: Answered) -> Result<Reply, ClientError> {
    let Answered { headers, body } = answer;
    let (usage, id) = (usage(&body), request_id(&headers));
    let garbled = || ClientError::new(Fault::Garbled).with_usage(usage).with_request_id(id.clone());
    let parts = body.get("content").and_then(Value::as_array).ok_or_else(garbled)?;
    let texts = parts.iter().filter(|part| part.get("type").and_then(Value::as_str) == Some("text"));
    let text: String = texts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    let finish = match body.get("stop_reason").and_then(Value::as_str) {
        Some("end_turn" | "stop_sequence") => Finish::Stop,
        Some("max_tokens" | "model_context_window_exceeded") => Finish::Length,
        Some("refusal") => Finish::Refused,
        _ => Finish::Other,
    };
    let mut reply = Reply::new(text, usage).with_finish(finish).with_request_id(id);
    reply.service_tier = named(body.pointer("/usage/service_tier").and_then(Value::as_str));
    reply.model = named(body.get("model").and_then(Value::as_str));
    Ok(reply)
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
