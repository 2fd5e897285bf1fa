//! Clients over HTTP, against a server on the loopback interface that says what a test wants it to say.

mod anthropic;
#[cfg(feature = "structured")]
mod bad_input;
mod hostile;
mod openai;
mod responses;
mod server;
mod stream;

use atlas_config::Secret;
use atlas_config::egress::EgressPolicy;
use atlas_router::client::http::{AnthropicClient, Dialect, HttpOptions, OpenAiClient};
use atlas_router::client::{Call, Message, Temperature};
use atlas_router::client::{Format, JsonSchema};
use server::{Say, Server, Silence};

const KEY: &str = "sk-test-0123456789";

fn options(server: &Server) -> HttpOptions {
    HttpOptions::new(server.url("/v1"), Secret::new(KEY)).with_policy(EgressPolicy::allowing_loopback())
}

fn openai(server: &Server, dialect: Dialect) -> OpenAiClient {
    OpenAiClient::new(options(server), dialect).unwrap()
}

fn anthropic(server: &Server) -> AnthropicClient {
    let options = HttpOptions::new(server.url("/"), Secret::new(KEY));
    AnthropicClient::new(options.with_policy(EgressPolicy::allowing_loopback())).unwrap()
}

/// A call with everything in it that both providers know.
fn call() -> Call {
    let messages = vec![Message::system("Answer in one word."), Message::user("What colour is „grün“?")];
    let mut call = Call::new("m-1".into(), messages, 64);
    call.temperature = Temperature::from_thousandths(700);
    call.idempotency_key = Some("00ff".into());
    let schema = serde_json::json!({
        "type": "object",
        "properties": { "colour": { "type": "string" }, "sure": { "type": "boolean" } },
        "required": ["colour"],
    });
    call.format = Format::JsonSchema(JsonSchema::strict("answer", &schema).unwrap());
    call
}

/// Compares as JSON, so that golden files may be laid out for people.
fn same(left: &str, right: &str) {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(left), json(right));
}
