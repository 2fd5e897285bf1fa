//! Faults between a ledger and DynamoDB: what the stand-in never does by itself.

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
use std::fmt;
use std::sync::Arc;

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It passes.
    None,
    /// It is refused for lack of capacity.
    Throttled,
    /// The service fails before it does anything.
    Down,
    /// If it is a transaction: another one is writing its first item.
    Conflict,
    /// Nothing comes back, not even an end.
    Silent,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// The network delivers it twice; the second answer arrives.
    Twice,
}

/// Decides what happens to each request, by its operation, such as `Query`.
type Plan = dyn Fn(&str) -> Fault + Send + Sync;

/// A client that breaks as planned.
#[derive(Clone)]
pub(super) struct Faulty {
    inner: SharedHttpClient,
    plan: Arc<Plan>,
}

impl Faulty {
    pub(super) fn new(plan: impl Fn(&str) -> Fault + Send + Sync + 'static) -> Self {
        Self { inner: aws_smithy_http_client::Builder::new().build_http(), plan: Arc::new(plan) }
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
        SharedHttpConnector::new(Connector { inner, plan: Arc::clone(&self.plan) })
    }
}

struct Connector {
    inner: SharedHttpConnector,
    plan: Arc<Plan>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (inner, plan) = (self.inner.clone(), Arc::clone(&self.plan));
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            // The service's own limit, which the stand-in does not know.
            if operation == "TransactWriteItems" && items(&request) > 100 {
                return Ok(refusal("ValidationException", json!({})));
            }
            match plan(&operation) {
                Fault::Throttled => Ok(refusal("ThrottlingException", json!({}))),
                Fault::Down => Ok(answer(500, &json!({ "__type": "InternalServerError" }))),
                Fault::Conflict if operation == "TransactWriteItems" => Ok(conflict(&request)),
                Fault::Silent => std::future::pending().await,
                Fault::AnswerLost => {
                    inner.call(request).await?;
                    Err(ConnectorError::io("the connection broke".into()))
                }
                Fault::Twice => {
                    let again = request.try_clone().expect("a request in memory");
                    let first = inner.call(request).await?;
                    ByteStream::new(first.into_body()).collect().await.unwrap();
                    inner.call(again).await
                }
                Fault::None | Fault::Conflict => inner.call(request).await,
            }
        })
    }
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body.to_string()))
}

fn refusal(code: &str, mut body: Value) -> HttpResponse {
    body["__type"] = format!("com.amazonaws.dynamodb.v20120810#{code}").into();
    // Messages may name values; what the ledger reports must not.
    body["message"] = "a message that names canary-value".into();
    answer(400, &body)
}

/// How many items a transaction has.
fn items(request: &HttpRequest) -> usize {
    let body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
    body["TransactItems"].as_array().unwrap().len()
}

fn conflict(request: &HttpRequest) -> HttpResponse {
    let reason = |at| json!({ "Code": if at == 0 { "TransactionConflict" } else { "None" } });
    let reasons: Vec<Value> = (0..items(request)).map(reason).collect();
    refusal("TransactionCanceledException", json!({ "CancellationReasons": reasons }))
}
