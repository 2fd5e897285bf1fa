//! What can be seen of a request from outside: names by the conventions, no words.

use super::*;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Mutex;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Spans in the order of their beginning: name, the number of the one around it, and fields.
type Spans = Vec<(String, Option<u64>, BTreeMap<String, String>)>;

#[derive(Debug, Clone, Default)]
struct Watcher {
    spans: Arc<Mutex<Spans>>,
    inside: Arc<Mutex<Vec<u64>>>,
}

struct Fields<'a>(&'a mut BTreeMap<String, String>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name().into(), format!("{value:?}").trim_matches('"').into());
    }
}

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("atlas_router")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = BTreeMap::new();
        attributes.record(&mut Fields(&mut fields));
        let mut spans = self.spans.lock().unwrap();
        let around = self.inside.lock().unwrap().last().copied();
        spans.push((attributes.metadata().name().into(), around, fields));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let at = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut Fields(&mut self.spans.lock().unwrap()[at].2));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, span: &Id) {
        self.inside.lock().unwrap().push(span.into_u64());
    }

    fn exit(&self, _: &Id) {
        self.inside.lock().unwrap().pop();
    }
}

/// Set in the process in which the child test is alone.
const ALONE: &str = "ATLAS_TEST_SPANS";

#[test]
fn a_request_and_its_calls_are_spans_with_the_names_of_the_conventions_and_without_words() {
    // Whether a span is watched is remembered for the whole process by whichever thread makes it first, so that tests beside
    // this one would hide it.
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "run::spans::child_watches_a_request"])
        .env(ALONE, "yes")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&child.stderr));
}

/// Not a test by itself.
#[tokio::test(start_paused = true)]
async fn child_watches_a_request() {
    if std::env::var_os(ALONE).is_none() {
        return;
    }
    let watcher = Watcher::default();
    let _watching = tracing::subscriber::set_default(watcher.clone());
    let rig = Rig::new([Turn::status(503), Turn::text("the patient is called Ada", 8, 5)], []);
    let mut request = request();
    request.correlation_id = Some(atlas_schema::CorrelationId::from_random([7; 16]));
    request.messages = vec![Message::user("I am Ada")];
    rig.router.run(&request, &CancellationToken::new()).await.unwrap();
    let spans = watcher.spans.lock().unwrap().clone();
    let names: Vec<_> = spans.iter().map(|(name, around, _)| (name.as_str(), *around)).collect();
    assert_eq!(names, [("atlas.route", None), ("chat", Some(1)), ("chat", Some(1))]);
    let field = |at: usize, name: &str| spans[at].2.get(name).map(String::as_str);
    let id = request.correlation_id.as_ref().map(atlas_schema::CorrelationId::as_str);
    assert_eq!((field(0, "atlas.correlation_id"), field(2, "atlas.correlation_id")), (id, id));
    assert_eq!((field(0, "atlas.attempts"), field(0, "atlas.spent_usd")), (Some("2"), Some("0.000000058")));
    assert_eq!((field(1, "error.type"), field(1, "atlas.cost_usd")), (Some("Overloaded"), Some("0")));
    assert_eq!(field(1, "gen_ai.usage.input_tokens"), None);
    for (name, value) in [
        ("otel.name", "chat a1"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "a"),
        ("gen_ai.request.model", "a1"),
        ("gen_ai.request.max_tokens", "100"),
        ("gen_ai.response.finish_reasons", "stop"),
        ("gen_ai.usage.input_tokens", "8"),
        ("gen_ai.usage.output_tokens", "5"),
        ("atlas.cost_usd", "0.000000058"),
    ] {
        assert_eq!(field(2, name), Some(value), "{name}");
    }
    assert!(!format!("{spans:?}").contains("Ada"));
}
