//! Faults at the boundary to DynamoDB: what the stand-in never does by itself.
//!
//! Each request passes a [`Plan`], which may keep it from the server, lose the answer, deliver it twice, or answer an
//! index query with what stood there a while ago.

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_sdk_dynamodb::error::ConnectorError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It passes.
    None,
    /// It is refused for lack of capacity.
    Throttled,
    /// The service fails before it does anything.
    Down,
    /// Another transaction is writing one of its items: the one of this number.
    Conflict(usize),
    /// It is done, and the answer is lost.
    AnswerLost,
    /// The network delivers it twice; the second answer arrives.
    Twice,
    /// It waits until it is let go.
    Held,
    /// A read of one item does not see it yet.
    Unseen,
    /// A query of what a worker holds sees nothing yet.
    Unlisted,
    /// A read of one item sees what stood there the last time it was read.
    Old,
    /// A query of an index sees what stood there the last time it was asked.
    Stale,
}

/// Decides what happens to each request, by its number and its operation, such as `Query`.
pub(crate) type Plan = dyn Fn(usize, &str) -> Fault + Send + Sync;

/// A client that breaks as planned.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: SharedHttpClient,
    state: Arc<State>,
}

struct State {
    plan: Box<Plan>,
    held: Semaphore,
    gone: Semaphore,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    requests: Vec<(String, bool)>,
    written: usize,
    hit: usize,
    answers: HashMap<String, Vec<u8>>,
}

impl Faulty {
    pub(crate) fn new(inner: SharedHttpClient, plan: impl Fn(usize, &str) -> Fault + Send + Sync + 'static) -> Self {
        let (held, gone) = (Semaphore::new(0), Semaphore::new(0));
        Self { inner, state: Arc::new(State { plan: Box::new(plan), held, gone, seen: Mutex::default() }) }
    }

    /// Waits until a request is held.
    pub(crate) async fn held(&self) {
        let held = tokio::time::timeout(Duration::from_mins(1), self.state.held.acquire()).await;
        held.expect("a request within a minute").expect("it is never closed").forget();
    }

    /// Lets a request go that is held.
    pub(crate) fn let_go(&self) {
        self.state.gone.add_permits(1);
    }

    /// Which requests were made: the operation, and whether it was one of an index.
    pub(crate) fn requests(&self) -> Vec<(String, bool)> {
        self.state.seen.lock().unwrap().requests.clone()
    }

    /// How many items they were to write.
    pub(crate) fn written(&self) -> usize {
        self.state.seen.lock().unwrap().written
    }

    /// How many of them met a fault.
    pub(crate) fn hit(&self) -> usize {
        self.state.seen.lock().unwrap().hit
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl HttpClient for Faulty {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, state: Arc::clone(&self.state) })
    }
}

struct Connector {
    inner: SharedHttpConnector,
    state: Arc<State>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, state) = (self.inner.clone(), Arc::clone(&self.state));
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let body: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
            let number = {
                let mut seen = state.seen.lock().unwrap();
                seen.requests.push((operation.clone(), body.get("IndexName").is_some()));
                seen.written += written(&operation, &body);
                seen.requests.len() - 1
            };
            let fault = applicable((state.plan)(number, &operation), &operation, &body);
            if fault != Fault::None {
                state.seen.lock().unwrap().hit += 1;
            }
            match fault {
                Fault::Throttled => return Ok(refusal("ThrottlingException", json!({}))),
                Fault::Down => return Ok(answer(500, &json!({ "__type": "InternalServerError" }))),
                Fault::Conflict(at) => return Ok(conflict(at, &body)),
                Fault::AnswerLost => {
                    inner.call(request).await?;
                    return Err(ConnectorError::io("the connection broke".into()));
                }
                Fault::Twice => {
                    let again = request.try_clone().expect("a request in memory");
                    whole(inner.call(request).await?).await;
                    return inner.call(again).await;
                }
                Fault::Unseen => return Ok(answer(200, &json!({}))),
                Fault::Unlisted => return Ok(answer(200, &json!({ "Items": [], "Count": 0 }))),
                Fault::Held => {
                    state.held.add_permits(1);
                    state.gone.acquire().await.expect("it is never closed").forget();
                }
                Fault::None | Fault::Stale | Fault::Old => {}
            }
            let of_index = operation == "Query" && body.get("IndexName").is_some();
            if !of_index && operation != "GetItem" {
                return inner.call(request).await;
            }
            // The same question may name another time up to which it asks: an older answer is a stale one.
            let values = &body["ExpressionAttributeValues"];
            let range = [&values[":partition"], &values[":low"], &body["ExclusiveStartKey"]];
            let question = format!("{range:?} {}", body["Key"]);
            let response = inner.call(request).await?;
            let status = response.status();
            let fresh = whole(response).await;
            let mut seen = state.seen.lock().unwrap();
            let before = seen.answers.insert(question, fresh.clone());
            let shown = before.filter(|_| matches!(fault, Fault::Stale | Fault::Old)).unwrap_or(fresh);
            Ok(HttpResponse::new(status, SdkBody::from(shown)))
        })
    }
}

/// How many items a request writes.
fn written(operation: &str, body: &Value) -> usize {
    match operation {
        "PutItem" | "UpdateItem" | "DeleteItem" => 1,
        "BatchWriteItem" => body["RequestItems"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, all)| Some(all.as_array()?.len()))
            .sum(),
        "TransactWriteItems" => body["TransactItems"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|item| item.get("ConditionCheck").is_none())
            .count(),
        _ => 0,
    }
}

/// A fault that can't happen to a request does not.
fn applicable(fault: Fault, operation: &str, body: &Value) -> Fault {
    let conflicts =
        matches!(operation, "TransactWriteItems" | "TransactGetItems" | "PutItem" | "UpdateItem" | "DeleteItem");
    let of_index = body.get("IndexName").is_some();
    let partition = body["ExpressionAttributeValues"][":partition"]["S"].as_str().unwrap_or_default();
    match fault {
        Fault::Conflict(_) if !conflicts => Fault::None,
        Fault::Unseen | Fault::Old if operation != "GetItem" => Fault::None,
        Fault::Unlisted if operation != "Query" || !partition.starts_with("W#") => Fault::None,
        Fault::Stale if operation != "Query" || !of_index => Fault::None,
        fault => fault,
    }
}

async fn whole(response: HttpResponse) -> Vec<u8> {
    ByteStream::new(response.into_body()).collect().await.unwrap().to_vec()
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body.to_string()))
}

fn refusal(code: &str, mut body: Value) -> HttpResponse {
    body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{code}").into();
    // Messages may name values; what the store reports must not.
    body["message"] = "a message that names canary-value".into();
    answer(400, &body)
}

fn conflict(at: usize, body: &Value) -> HttpResponse {
    let Some(items) = body["TransactItems"].as_array() else {
        return refusal("TransactionConflictException", json!({}));
    };
    let at = at % items.len();
    let reasons: Vec<Value> = (0..items.len())
        .map(|item| if item == at { json!({ "Code": "TransactionConflict" }) } else { json!({ "Code": "None" }) })
        .collect();
    refusal("TransactionCanceledException", json!({ "CancellationReasons": reasons }))
}
