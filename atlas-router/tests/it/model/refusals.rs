//! What a real server refuses: told apart by what it says, tried once, and paid with nothing.

use super::*;
use atlas_router::call::{Billed, Fault, Reason};
use atlas_router::client::{Format, JsonSchema};
use atlas_router::run::{End, RunError};

/// Whole and streamed: one call, of nothing, that failed for that reason.
async fn refused(rig: &Rig, request: &Request, status: u16, reason: Reason) {
    let whole = rig.router.run(request, &CancellationToken::new()).await.unwrap_err();
    let streamed = rig.router.stream(request, &CancellationToken::new()).await.unwrap_err();
    for error in [whole, streamed] {
        let [attempt] = error.attempts() else { panic!("{error}") };
        let End::Failed { fault: Fault::Answered(answer), verdict, .. } = &attempt.end else { panic!("{error}") };
        assert_eq!((answer.status, verdict.reason, verdict.billed), (status, reason, Billed::Nothing), "{error}");
        assert_eq!(error.spent(), Usd::ZERO);
    }
    let balance = rig.balance().await;
    assert_eq!((balance.held, balance.settled), (Usd::ZERO, Usd::ZERO));
}

fn words() -> Vec<Message> {
    vec![Message::user("Name a colour.")]
}

testkit::with_model_server! {
    #[tokio::test]
    async fn a_schema_that_is_none_is_malformed() {
        let mut request = request(words(), 16);
        let schema = json!({ "type": "object", "properties": { "a": { "$ref": "#/$defs/absent" } } });
        request.format = Format::JsonSchema(JsonSchema::loose("none", schema).unwrap());
        // This server looks at no schema of the Responses API.
        refused(&Rig::new(Dialect::Compatible), &request, 400, Reason::Malformed).await;
    }

    #[tokio::test]
    async fn a_prompt_that_the_window_does_not_hold_is_too_long() {
        for dialect in [Dialect::Compatible, Dialect::Responses] {
            let rig = Rig::new(dialect);
            let request = request(vec![Message::user("one two three ".repeat(800))], 16);
            refused(&rig, &request, 400, Reason::TooLong).await;
        }
    }

    #[tokio::test]
    async fn a_wrong_key_is_no_key() {
        for dialect in [Dialect::Compatible, Dialect::Responses] {
            let rig = Rig::with_key(dialect, "sk-of-somebody-else");
            refused(&rig, &request(words(), 16), 401, Reason::Authentication).await;
        }
    }
}
