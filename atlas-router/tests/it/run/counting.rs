//! How often a prompt is counted.

use super::*;
use crate::with;
use atlas_router::catalogue::Encoding;
use atlas_router::client::{Format, JsonSchema};
use atlas_router::tokens::{Count, TokenCounter};
use std::sync::Mutex;

/// Counts bytes, and knows in which encodings it was asked.
#[derive(Debug, Clone, Default)]
struct Asked(Arc<Mutex<Vec<Encoding>>>);

impl TokenCounter for Asked {
    fn count(&self, encoding: Encoding, text: &str) -> Count {
        self.0.lock().unwrap().push(encoding);
        ByteCounter::new().count(encoding, text)
    }
}

#[test]
fn a_prompt_is_counted_once_for_all_models_that_share_an_encoding_whatever_their_margins() {
    let (catalogue, asked) = (Catalogue::built_in().unwrap(), Asked::default());
    let router = Router::builder(catalogue.clone(), Arc::new(MemoryLedger::new(Stage::Dev)))
        .with_clock(Arc::new(Noon))
        .with_counter(asked.clone())
        .with_client("openai", Arc::new(ScriptedLlm::new([])))
        .build()
        .unwrap();
    let mut request = request();
    request.task = Task::new("say hi").wanting("mini");
    let planned = router.plan(&request).unwrap();
    let models: Vec<_> = planned.targets.iter().filter_map(|target| catalogue.model(target.model.as_str())).collect();
    let shared = |margin: bool| {
        models
            .iter()
            .filter(|one| one.encoding == Encoding::O200kBase && one.encoding_margin.is_some() == margin)
            .count()
    };
    assert!(shared(true) > 0 && shared(false) > 0, "the chain tells nothing: {:?}", planned.targets);
    let times = asked.0.lock().unwrap().iter().filter(|encoding| **encoding == Encoding::O200kBase).count();
    assert_eq!(times, 1);
}

#[tokio::test]
async fn a_schema_that_refers_to_its_root_is_bound_as_it_is_written() {
    let about = "what this part of a longer chain of parts is about and where it leads; ".repeat(4);
    let schema = |part: &str| {
        let next = serde_json::json!({ "$ref": part });
        serde_json::json!({ "type": "object", "description": about, "properties": { "next": next }, "$defs": { "a": {} } })
    };
    let bound = |format: Format| {
        let rig = Rig::new([], []);
        rig.router.plan(&with(request(), |request| request.format = format)).unwrap().targets[0].bound.as_nanos()
    };
    let of = |part: &str| bound(Format::JsonSchema(JsonSchema::loose("chain", schema(part)).unwrap()));
    let (none, once, twice) = (bound(Format::Text), of("#/$defs/a"), of("#"));
    assert!(twice - none >= (once - none) * 19 / 10, "{none} {once} {twice}");
}
