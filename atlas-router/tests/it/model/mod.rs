//! Governed calls of a real model: llama.cpp's server, with a model so small that it says little of use, in the form that is asked for.

// Without a server, nothing uses the helpers: their tests are shown as ignored.
#![allow(dead_code, unused_imports)]

mod refusals;
#[cfg(feature = "structured")]
mod schemas;
mod words;

use atlas_config::Secret;
use atlas_config::egress::EgressPolicy;
use atlas_router::catalogue::Catalogue;
use atlas_router::client::http::{Dialect, HttpOptions, OpenAiClient};
use atlas_router::client::{Message, Temperature};
use atlas_router::cost::TokenUsage;
use atlas_router::ledger::{Balance, BudgetLedger, MemoryLedger, Month, Scope};
use atlas_router::run::{Clock, Request, Router};
use atlas_router::select::Task;
use atlas_router::tokens::ByteCounter;
use atlas_schema::{Stage, Timestamp, Usd};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use testkit::model::{Endpoint, shared};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

/// A thousand nano-dollars for a token of prompt, four thousand for one of reply. The window is larger than the server's, so that
/// the server is the one to refuse. The marks of its chat template are no tokens of their own but texts: hence so many around words.
const MODELS: &str = r#"
version = "local"

[sources]
here = "https://example.org/prices"

[[model]]
id = "gemma-270m"
provider = "local"
family = "gemma-3"
encoding = "bytes"
around = { prompt = 9, message = 15 }
max_input = 1_000_000
max_output = 2_048
price = { input = "1", output = "4", source = "here", day = "2026-11-27" }
"#;

const fn price(prompt: u64, reply: u64) -> Usd {
    Usd::from_nanos((1000 * prompt + 4000 * reply).cast_signed())
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_694_400_000).unwrap()
    }
}

struct Rig {
    router: Router,
    ledger: Arc<MemoryLedger>,
}

impl Rig {
    fn new(dialect: Dialect) -> Self {
        Self::with_key(dialect, &shared().key)
    }

    fn with_key(dialect: Dialect, key: &str) -> Self {
        let base = format!("{}/v1", shared().url).parse().unwrap();
        let options = HttpOptions::new(base, Secret::new(key)).with_policy(EgressPolicy::allowing_loopback());
        let client = OpenAiClient::new(options, dialect).unwrap();
        let ledger = Arc::new(MemoryLedger::new(Stage::Dev));
        let router = Router::builder(Catalogue::read(MODELS).unwrap(), ledger.clone())
            .with_client("local", Arc::new(client))
            .with_counter(ByteCounter::new())
            .with_clock(Arc::new(Noon))
            .with_seed(7)
            .build()
            .unwrap();
        Self { router, ledger }
    }

    async fn balance(&self) -> Balance {
        self.ledger.balance(&Scope::Stage(Stage::Dev), Month::of(Noon.now())).await.unwrap()
    }
}

/// A request whose reply is the same each time. Its time limits are for machines that have much else to do.
fn request(messages: Vec<Message>, output_cap: u64) -> Request {
    let task = Task::new("answer").wanting("gemma-270m");
    let mut request = Request::new(task, messages, output_cap, vec![Scope::Stage(Stage::Dev)]);
    request.temperature = Some(Temperature::ZERO);
    (request.timeout, request.call_timeout) = (Duration::from_mins(30), Duration::from_mins(10));
    request
}

/// The least that a dialect takes as its cap and that is enough for a test: each token costs time.
fn short(dialect: Dialect) -> u64 {
    if dialect == Dialect::Responses { 16 } else { 4 }
}

/// The bound of a request in tokens of its prompt.
fn bound(rig: &Rig, request: &Request) -> u64 {
    let bound = rig.router.plan(request).unwrap().targets[0].bound;
    (bound.as_nanos().cast_unsigned() - 4000 * request.output_cap) / 1000
}

/// The tokens of a prompt, as the server counts them.
async fn counted(messages: &[Message]) -> u64 {
    let said = |message: &Message| json!({ "role": message.role, "content": message.text });
    let prompt = post("/apply-template", &json!({ "messages": messages.iter().map(said).collect::<Vec<_>>() })).await;
    tokens(prompt["prompt"].as_str().unwrap(), true).await
}

/// The tokens of a text; `is_prompt` if what reads like a mark of the chat template is one.
async fn tokens(text: &str, is_prompt: bool) -> u64 {
    let body = json!({ "content": text, "add_special": is_prompt, "parse_special": is_prompt });
    post("/tokenize", &body).await["tokens"].as_array().unwrap().len() as u64
}

/// Asks the server for what no client of ours does.
async fn post(path: &str, body: &Value) -> Value {
    let Endpoint { url, key } = shared();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(head.split(' ').nth(1), Some("200"), "{answer}");
    serde_json::from_str(body).unwrap()
}
