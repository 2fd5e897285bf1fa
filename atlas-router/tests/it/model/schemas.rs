//! Schemas that a real server holds a real model to.

use super::*;
use crate::rounds;
use atlas_router::client::JsonSchema;
use atlas_router::run::AskOptions;
use atlas_router::structured::Shape;
use serde::Deserialize;

/// What is allowed anywhere between the parts of a document is white space, and a model so small may write nothing else to its cap.
const ON_ONE_LINE: &str = r#"Answer with one line of JSON, such as {"a":1,"b":[{"c":null}],"d":"x"}."#;

/// One of ours: what is asked, and the schema of the answer.
#[derive(Deserialize)]
struct Case {
    name: String,
    ask: String,
    schema: Value,
}

impl Case {
    fn shape(&self) -> Shape {
        Shape::new(JsonSchema::strict(&self.name, &self.schema).unwrap()).unwrap()
    }
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("schemas.json")).unwrap()
}

#[test]
fn the_fifty_schemas_are_of_the_strict_subset_and_none_is_there_twice() {
    let cases = cases();
    let names: std::collections::BTreeSet<_> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!((cases.len(), names.len()), (50, 50));
    for case in &cases {
        case.shape();
    }
}

testkit::with_model_server! {
    /// `cargo xtask soak router` asks for all fifty; the gate for the first five: a choice of nothing, lists in
    /// lists, a recursion, a choice of objects, and names of other scripts.
    #[tokio::test]
    async fn every_schema_is_answered_with_a_document_that_fits_it() {
        let mut wrong = Vec::new();
        for case in cases().iter().take(usize::try_from(rounds(5, 20_000)).unwrap()) {
            let rig = Rig::new(Dialect::Compatible);
            let shape = case.shape();
            let request = request(vec![Message::system(ON_ONE_LINE), Message::user(&*case.ask)], 400);
            match rig.router.ask(&request, &shape, AskOptions::default(), &CancellationToken::new()).await {
                Ok(answer) => {
                    let oracle = jsonschema::draft202012::new(shape.schema().schema()).unwrap();
                    assert!(oracle.is_valid(&answer.value), "{}: {}", case.name, answer.value);
                    let attempts = &answer.outcome.attempts;
                    assert!(attempts.iter().all(|attempt| !attempt.is_over_bound()), "{}", case.name);
                    println!("{}: {} asks, {:?}: {}", case.name, answer.asks, answer.repairs.listed, answer.value);
                }
                Err(error) => wrong.push(format!("{}: {error}", case.name)),
            }
        }
        assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
    }
}
