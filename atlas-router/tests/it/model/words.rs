//! What is billed: exactly what the server counts, never more than was held, and never less than was passed on.

use super::*;
use crate::{Rng, rounds};
use atlas_router::client::Finish;
use atlas_router::run::{Answering, Charge, End, Outcome, Part};

fn question() -> Vec<Message> {
    vec![Message::system("Answer in one word."), Message::user("What colour is grass („grün“)?")]
}

/// A chat of words, letters of all lengths, spaces, and what the chat template itself writes.
fn chat(rng: &mut Rng) -> Vec<Message> {
    let pieces = [
        "the ",
        "a",
        "Größe",
        "東京",
        "\n\n",
        "    ",
        "🚲",
        "12345",
        "<end_of_turn>",
        "<bos>",
        "\u{1}",
        "ﷺ",
        "é",
        "नमस्ते",
        "\t",
    ];
    let mut text = || (0..rng.below(8)).map(|_| *rng.pick(&pieces)).collect::<String>();
    let (first, more) = (Message::user(text()), text().len() % 3);
    let more = (0..more).flat_map(|_| [Message::assistant(text()), Message::user(text())]);
    let chat: Vec<_> = std::iter::once(first).chain(more).collect();
    if text().is_empty() { [vec![Message::system(text())], chat].concat() } else { chat }
}

/// The whole reply, once all its parts were passed on.
async fn ended(mut answering: Answering) -> Outcome {
    let mut text = String::new();
    loop {
        match answering.next().await.unwrap().unwrap() {
            Part::Text(more) => text.push_str(&more),
            Part::End(outcome) => {
                assert_eq!(text, outcome.reply.text);
                return *outcome;
            }
            other => panic!("{other:?}"),
        }
    }
}

testkit::with_model_server! {
    #[tokio::test]
    async fn a_reply_is_paid_as_the_server_counts_it_and_within_its_bound_in_every_dialect() {
        let prompt = counted(&question()).await;
        for dialect in [Dialect::Compatible, Dialect::Legacy, Dialect::Responses] {
            let rig = Rig::new(dialect);
            let request = request(question(), short(dialect));
            let whole = rig.router.run(&request, &CancellationToken::new()).await.unwrap();
            let streamed = ended(rig.router.stream(&request, &CancellationToken::new()).await.unwrap()).await;
            let mut sum = Usd::ZERO;
            for outcome in [&whole, &streamed] {
                let attempt = &outcome.attempts[0];
                let Some(usage) = attempt.usage else {
                    // An old dialect can't ask for it in a stream: then the bound is paid.
                    assert_eq!((dialect, attempt.charge), (Dialect::Legacy, Charge::Settled(attempt.bound)));
                    sum = sum.saturating_add(attempt.bound);
                    continue;
                };
                assert_eq!((outcome.attempts.len(), usage.prompt()), (1, prompt), "{dialect:?}");
                assert!((1..=short(dialect)).contains(&usage.completion()), "{dialect:?}: {usage:?}");
                let cost = price(prompt, usage.completion());
                assert_eq!(attempt.charge, Charge::Settled(cost), "{dialect:?}");
                assert!(cost <= attempt.bound, "{dialect:?}: {cost} of {}", attempt.bound);
                sum = sum.saturating_add(cost);
            }
            assert_eq!(whole.reply.text, streamed.reply.text, "{dialect:?}");
            let balance = rig.balance().await;
            assert_eq!((balance.settled, balance.held), (sum, Usd::ZERO), "{dialect:?}");
        }
    }

    #[tokio::test]
    async fn a_reply_that_comes_to_its_cap_has_as_many_tokens_and_says_so() {
        for dialect in [Dialect::Compatible, Dialect::Responses] {
            let rig = Rig::new(dialect);
            let request = request(vec![Message::user("Count from one to a hundred.")], short(dialect));
            let whole = rig.router.run(&request, &CancellationToken::new()).await.unwrap();
            let streamed = ended(rig.router.stream(&request, &CancellationToken::new()).await.unwrap()).await;
            for outcome in [whole, streamed] {
                let usage = outcome.attempts[0].usage.unwrap();
                assert_eq!((usage.completion(), outcome.reply.finish), (short(dialect), Finish::Length), "{dialect:?}");
            }
        }
    }

    #[tokio::test]
    async fn no_prompt_has_more_tokens_than_its_bound_and_each_is_billed_as_counted() {
        let rig = Rig::new(Dialect::Compatible);
        let mut rng = Rng::new(9);
        let short = [
            vec![Message::user("a")],
            vec![Message::system("."), Message::user("?")],
            vec![Message::user("1"), Message::assistant("2"), Message::user("3")],
        ];
        let chats: Vec<_> = short.into_iter().chain((0..rounds(20, 5000)).map(|_| chat(&mut rng))).collect();
        // Each call costs the time of its prompt.
        let billed = usize::try_from(rounds(3, 5000)).unwrap();
        for (case, chat) in chats.into_iter().enumerate() {
            let (request, tokens) = (request(chat.clone(), 1), counted(&chat).await);
            assert!(tokens <= bound(&rig, &request), "case {case}: {tokens} tokens of {chat:?}");
            if case < billed {
                let outcome = rig.router.run(&request, &CancellationToken::new()).await.unwrap();
                assert_eq!(outcome.attempts[0].usage.unwrap().prompt(), tokens, "case {case}");
                assert!(!outcome.attempts[0].is_over_bound(), "case {case}");
            }
        }
    }

    #[tokio::test]
    async fn a_stream_that_is_dropped_midway_stays_counted_at_no_less_than_was_passed_on() {
        let words = vec![Message::user("Tell a long story about a ferry.")];
        for dialect in [Dialect::Compatible, Dialect::Responses] {
            let rig = Rig::new(dialect);
            let request = request(words.clone(), 400);
            let mut answering = rig.router.stream(&request, &CancellationToken::new()).await.unwrap();
            let mut text = String::new();
            for _ in 0..4 {
                match answering.next().await.unwrap().unwrap() {
                    Part::Text(more) => text.push_str(&more),
                    other => panic!("{dialect:?}: {other:?}"),
                }
            }
            drop(answering);
            let balance = rig.balance().await;
            let passed_on = price(counted(&words).await, tokens(&text, false).await);
            assert!(balance.held >= passed_on && !text.is_empty(), "{dialect:?}: {} for {passed_on}", balance.held);
            assert_eq!((balance.held, balance.settled), (rig.router.plan(&request).unwrap().targets[0].bound, Usd::ZERO));
        }
    }
}
