//! `OpenAI`'s Responses.

use super::openai::{Form, effort_name};
use super::stream::{Draft, Said};
use super::transport::{Answered, named, request_id, says_no};
use crate::call::Fault;
use crate::client::{Call, ClientError, Finish, Format, Reply};
use crate::cost::{CacheTime, TokenUsage};
use serde_json::{Map, Value, json};

pub(super) const FORM: Form = Form { decode, usage, event };

/// Less than this is refused as a cap of the output, by the reference of `max_output_tokens`.
const LEAST_OUTPUT: u64 = 16;

/// The request's body; `None` if the API does not take it.
pub(super) fn encode(call: &Call) -> Option<Map<String, Value>> {
    // More than was asked for would not be held for.
    if call.output_cap < LEAST_OUTPUT {
        return None;
    }
    let input: Vec<Value> =
        call.messages.iter().map(|message| json!({ "role": message.role, "content": message.text })).collect();
    let mut body = Map::new();
    body.insert("model".into(), json!(call.model));
    body.insert("input".into(), input.into());
    body.insert("max_output_tokens".into(), json!(call.output_cap));
    // Kept by default, for thirty days.
    body.insert("store".into(), json!(false));
    // Left out it means `auto`, which is whatever the project is set to: not what was priced.
    body.insert("service_tier".into(), json!(call.service_tier.as_str()));
    match &call.format {
        Format::Text => {}
        Format::JsonObject => {
            body.insert("text".into(), json!({ "format": { "type": "json_object" } }));
        }
        Format::JsonSchema(schema) => {
            let (name, is_strict) = (schema.name(), schema.is_strict());
            let format = json!({ "type": "json_schema", "name": name, "schema": schema.schema(), "strict": is_strict });
            body.insert("text".into(), json!({ "format": format }));
        }
    }
    if let Some(effort) = call.effort {
        body.insert("reasoning".into(), json!({ "effort": effort_name(effort) }));
    }
    if let Some(temperature) = call.temperature {
        body.insert("temperature".into(), json!(f64::from(temperature.as_thousandths()) / 1000.0));
    }
    if call.cache_time == CacheTime::Long {
        body.insert("prompt_cache_retention".into(), json!("24h"));
    }
    Some(body)
}

fn decode(answer: Answered) -> Result<Reply, ClientError> {
    let Answered { headers, body } = answer;
    let (usage, id) = (usage(&body), request_id(&headers));
    if body.get("status").and_then(Value::as_str) == Some("failed") {
        return Err(says_no(200, &headers, &body).with_usage(usage).with_request_id(id));
    }
    let reply =
        reply(&body).ok_or_else(|| ClientError::new(Fault::Garbled).with_usage(usage).with_request_id(id.clone()));
    Ok(reply?.with_request_id(id))
}

/// The reply in a response that has come to its end.
fn reply(body: &Value) -> Option<Reply> {
    Some(reply_of(body, body.get("output")?.as_array()?))
}

fn reply_of(body: &Value, output: &[Value]) -> Reply {
    let of = |item: &Value, kind: &str| item.get("type").and_then(Value::as_str) == Some(kind);
    let messages = output.iter().filter(|item| of(item, "message"));
    let parts = || messages.clone().filter_map(|item| item.get("content")?.as_array()).flatten();
    let text = |kind: &str, key: &str| -> String {
        parts().filter(|part| of(part, kind)).filter_map(|part| part.get(key)?.as_str()).collect()
    };
    let refusal = text("refusal", "refusal");
    let finish = match (refusal.is_empty(), body.get("status").and_then(Value::as_str)) {
        (false, _) => Finish::Refused,
        (true, Some("completed")) => Finish::Stop,
        (true, Some("incomplete")) => match body.pointer("/incomplete_details/reason").and_then(Value::as_str) {
            Some("max_output_tokens") => Finish::Length,
            Some("content_filter") => Finish::Filtered,
            _ => Finish::Other,
        },
        _ => Finish::Other,
    };
    let words = if refusal.is_empty() { text("output_text", "text") } else { refusal };
    let mut reply = Reply::new(words, usage(body)).with_finish(finish);
    reply.service_tier = named(body.get("service_tier").and_then(Value::as_str));
    reply.model = named(body.get("model").and_then(Value::as_str));
    reply
}

/// The end of a stream. Some servers leave the output out there: then it is what came before.
fn ended(draft: &mut Draft, body: &Value) -> Said {
    let has_output = body.get("output").and_then(Value::as_array).is_some_and(|output| !output.is_empty());
    if has_output || (draft.text.is_empty() && draft.refusal.is_empty()) {
        return reply(body).map_or_else(|| Said::Garbled(usage(body)), |reply| Said::Whole(Box::new(reply)));
    }
    let mut reply = reply_of(body, &[]);
    if draft.refusal.is_empty() {
        reply.text = std::mem::take(&mut draft.text);
    } else {
        (reply.text, reply.finish) = (std::mem::take(&mut draft.refusal), Finish::Refused);
    }
    Said::Whole(Box::new(reply))
}

/// An event of a response. The last one has the whole of it.
fn event(draft: &mut Draft, event: &Value) -> Said {
    let delta = || event.get("delta").and_then(Value::as_str).unwrap_or_default().to_owned();
    match event.get("type").and_then(Value::as_str) {
        Some("response.output_text.delta") => Said::Text(delta()),
        Some("response.refusal.delta") => Said::Refusal(delta()),
        Some("response.completed" | "response.incomplete") => {
            event.get("response").map_or(Said::Garbled(None), |body| ended(draft, body))
        }
        Some("response.failed") => {
            let body = event.get("response");
            Said::Failed(body.and_then(|body| body.get("error")).cloned(), body.and_then(usage))
        }
        Some(_) => Said::Nothing,
        None => Said::Garbled(None),
    }
}

/// Usage as it is billed; `None` unless both counts are there.
fn usage(body: &Value) -> Option<TokenUsage> {
    let usage = body.get("usage")?;
    let count = |pointer: &str| usage.pointer(pointer).and_then(Value::as_u64);
    let part = |pointer: &str| count(pointer).unwrap_or(0);
    let (usage, _) = TokenUsage::of_wholes(
        count("/input_tokens")?,
        part("/input_tokens_details/cached_tokens"),
        part("/input_tokens_details/cache_write_tokens"),
        count("/output_tokens")?,
        part("/output_tokens_details/reasoning_tokens"),
    );
    Some(usage)
}
