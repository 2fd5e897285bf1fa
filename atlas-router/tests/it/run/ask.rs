//! Structured replies, asked for again within the one budget.

use super::*;
use crate::with;
use atlas_router::call::{GiveUp, Limits};
use atlas_router::client::{Finish, JsonSchema, Reply, Role};
use atlas_router::run::{Answer, AskOptions, Kind};
use atlas_router::structured::{Rejected, RepairKind, Shape, Why};
use atlas_schema::ErrorCategory;
use serde_json::json;

fn shape() -> Shape {
    let schema = json!({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]});
    Shape::new(JsonSchema::strict("person", &schema).unwrap()).unwrap()
}

const GOOD: &str = "```json\n{\"age\": \"36\"}\n```";
const BAD: &str = "{\"age\": \"Ada Lovelace\"}";

fn says(text: &str) -> Turn {
    Turn::text(text, 8, 5)
}

async fn ask_with(rig: &Rig, request: &Request, options: AskOptions) -> Result<Answer, RunError> {
    rig.router.ask(request, &shape(), options, &CancellationToken::new()).await
}

async fn ask(rig: &Rig) -> Result<Answer, RunError> {
    ask_with(rig, &request(), AskOptions::default()).await
}

fn rejected(error: &RunError) -> &Rejected {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_fits_is_asked_for_once_and_its_repairs_are_told() {
    let rig = Rig::new([says(GOOD)], []);
    let answer = ask(&rig).await.unwrap();
    assert_eq!((answer.value, answer.asks), (json!({"age": 36}), 1));
    let kinds: Vec<_> = answer.repairs.listed.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [RepairKind::Fence, RepairKind::TextAsNumber]);
    assert_eq!(rig.a.calls()[0].format.needs(), atlas_router::catalogue::Structured::JsonSchema);
    assert_eq!(rig.money().await, (Usd::ZERO, cost()));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_fit_is_asked_for_again_with_what_was_wrong_and_each_ask_is_held_and_paid() {
    let rig = Rig::new([says("I can't say."), says(BAD), says(GOOD)], []);
    let answer = ask(&rig).await.unwrap();
    assert_eq!((answer.value, answer.asks, answer.outcome.attempts.len()), (json!({"age": 36}), 3, 3));
    let paid = cost().saturating_add(cost()).saturating_add(cost());
    assert_eq!((answer.outcome.spent(), rig.money().await), (paid, (Usd::ZERO, paid)));
    let holds: std::collections::BTreeSet<_> = answer.outcome.attempts.iter().map(|one| one.hold.unwrap()).collect();
    assert_eq!(holds.len(), 3);
    let calls = rig.a.calls();
    let said: Vec<_> = calls.iter().map(|call| call.messages.iter().map(|one| one.role).collect::<Vec<_>>()).collect();
    assert_eq!(said[0], [Role::User]);
    assert_eq!((&said[1], &said[2]), (&vec![Role::User, Role::Assistant, Role::User], &said[1]), "it does not pile up");
    assert!(calls[1].messages[2].text.contains("it holds no JSON document"));
    assert!(
        calls[2].messages[2].text.contains("/age: must satisfy type: \"integer\""),
        "{}",
        calls[2].messages[2].text
    );
    assert_eq!(calls[2].messages[1].text, BAD);
    let bounds: Vec<_> = answer.outcome.attempts.iter().map(|one| one.bound).collect();
    assert!(bounds[1] > bounds[0], "what was wrong is part of the prompt that is held for");
}

#[tokio::test(start_paused = true)]
async fn after_so_many_asks_the_error_tells_what_was_wrong_last_and_all_that_was_paid() {
    let rig = Rig::new((0..3).map(|_| says(BAD)), []);
    let error = ask(&rig).await.unwrap_err();
    assert_eq!((error.kind(), error.category()), (Kind::Unusable, ErrorCategory::SchemaMismatch));
    assert_eq!((error.attempts().len(), rig.a.calls().len()), (3, 3));
    assert!(matches!(rejected(&error).why, Why::Unfit { .. }));
    assert!(!format!("{error} {error:?}").contains("Lovelace"));
    let rig = Rig::new([says(BAD)], []);
    let once = with(AskOptions::default(), |options| options.asks = 0);
    assert_eq!(ask_with(&rig, &request(), once).await.unwrap_err().attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn all_asks_have_one_limit_of_attempts_and_one_of_money() {
    let rig = Rig::with(
        Arc::new(MemoryLedger::new(Stage::Dev)),
        [Turn::status(500), says(BAD), Turn::status(500), says(GOOD)],
        [],
        |builder| builder.with_limits(with(Limits::default(), |limits| limits.attempts = 3)),
    );
    let error = ask(&rig).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (Kind::Stopped(GiveUp::Attempts), 3));
    assert_eq!(error.spent(), cost());

    let rig = Rig::new([says(BAD), says(GOOD)], []);
    let first = rig.router.plan(&with(request(), |request| {
        request.format = atlas_router::client::Format::JsonSchema(shape().schema().clone());
    }));
    let bound = first.unwrap().targets[0].bound;
    let request = with(request(), |request| request.max_spend = Some(bound));
    let error = ask_with(&rig, &request, AskOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), rig.a.calls().len()), (Kind::Stopped(GiveUp::Spend), 1), "the first ask has its share");
    assert_eq!(rig.money().await, (Usd::ZERO, cost()));
}

#[tokio::test(start_paused = true)]
async fn all_asks_have_one_limit_of_time() {
    let slow = |turn: Turn| turn.after(std::time::Duration::from_secs(40));
    let rig = Rig::new([slow(says(BAD)), slow(says(GOOD))], []);
    let request = with(request(), |request| request.timeout = std::time::Duration::from_mins(1));
    let error = ask_with(&rig, &request, AskOptions::default()).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts().len()), (Kind::Deadline, 2));
    assert!(error.spent() > cost(), "the second may have to be paid");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_cut_off_is_no_answer_unless_the_caller_takes_it() {
    let cut = || Turn::reply(Reply::new("{\"age\": 36 ", None).with_finish(Finish::Length));
    let rig = Rig::new([cut(), says(GOOD)], []);
    assert_eq!(ask(&rig).await.unwrap().asks, 2);
    assert!(rig.a.calls()[1].messages[2].text.contains("must be shorter"));
    let rig = Rig::new([cut()], []);
    let taken = with(AskOptions::default(), |options| options.accept_truncated = true);
    let answer = ask_with(&rig, &request(), taken).await.unwrap();
    assert_eq!((answer.value, answer.repairs.is_truncated), (json!({"age": 36}), true));
    let rig = Rig::new((0..3).map(|_| cut()), []);
    assert_eq!(rejected(&ask(&rig).await.unwrap_err()).why, Why::Truncated);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_a_draft_or_go_on_is_no_answer_of_a_reply_that_came_to_its_limit() {
    let asks = async |text: &str, shape: &Shape| {
        let rig = Rig::new([Turn::reply(Reply::new(text, None).with_finish(Finish::Length)), says(text)], []);
        rig.router.ask(&request(), shape, AskOptions::default(), &CancellationToken::new()).await.unwrap().asks
    };
    assert_eq!(asks("{\"age\": 36}", &shape()).await, 1, "it is whole");
    assert_eq!(asks("A draft: {\"age\": 36}. Now the", &shape()).await, 2);
    let number = Shape::new(JsonSchema::loose("n", json!({"type": "integer"})).unwrap()).unwrap();
    assert_eq!(asks("36", &number).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_paid_and_not_asked_again() {
    for finish in [Finish::Refused, Finish::Filtered] {
        let usage = TokenUsage { input: 8, output: 5, ..TokenUsage::default() };
        let rig = Rig::new([Turn::reply(Reply::new("I can't.", Some(usage)).with_finish(finish))], []);
        let error = ask(&rig).await.unwrap_err();
        assert_eq!((error.kind(), error.spent(), rig.a.calls().len()), (Kind::Refused, cost(), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_reply_is_not_shown_to_the_model_again_and_what_was_wrong_is_bounded() {
    let long =
        format!("{{\"age\": 1, {}}}", (0..1000).map(|at| format!("\"{at:0>40}\": 1")).collect::<Vec<_>>().join(", "));
    let rig = Rig::with(Arc::new(MemoryLedger::new(Stage::Dev)), [says(&long), says(GOOD)], [], |builder| builder);
    let _ = ask(&rig).await;
    let calls = rig.a.calls();
    assert_eq!(calls[1].messages.len(), 2, "only what was wrong is told");
    assert!(calls[1].messages[1].text.len() < 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_model_made_up_is_told_to_the_model_in_part_and_to_nobody_else() {
    let schema = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let shape = Shape::new(JsonSchema::loose("s", schema).unwrap()).unwrap();
    let key = format!("Ada\n\u{202e}\"{}", "x".repeat(20_000));
    let bad = json!({key: "many"}).to_string();
    let rig = Rig::with(Arc::new(MemoryLedger::new(Stage::Dev)), [says(&bad), says(&bad)], [], |builder| builder);
    let options = with(AskOptions::default(), |options| options.asks = 2);
    let error = rig.router.ask(&request(), &shape, options, &CancellationToken::new()).await.unwrap_err();
    let complaint = &rig.a.calls()[1].messages[1].text;
    assert!(complaint.contains("/Ada\\n\\u{202e}\\\"xxx"), "escaped: {complaint}");
    assert!(complaint.len() < 400, "and bounded: {complaint}");
    let shown = format!("{error} {error:?} {}", rejected(&error));
    assert!(!shown.contains("Ada") && shown.contains("/*: must satisfy type"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_shows_nothing_of_what_it_says() {
    let schema = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let shape = Shape::new(JsonSchema::loose("s", schema).unwrap()).unwrap();
    let rig = Rig::new([says("{\"Ada\": 36, \"b\": \"Lovelace\"}")], []);
    let answer = rig.router.ask(&request(), &shape, AskOptions::default(), &CancellationToken::new()).await.unwrap();
    assert_eq!(answer.value, json!({"Ada": "36", "b": "Lovelace"}));
    let shown = format!("{answer:?}");
    assert!(!shown.contains("Ada") && !shown.contains("Lovelace") && shown.contains("NumberAsText"), "{shown}");
}
