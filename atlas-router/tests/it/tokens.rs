//! Token counts: exact where the encoding is known, never too few where it is not.

use crate::built_in;
use atlas_router::catalogue::{Catalogue, Encoding};
use atlas_router::tokens::{ByteCounter, Part, TokenCounter, prompt};

#[test]
fn bytes_bound_the_tokens_of_an_unknown_encoding() {
    let count = ByteCounter::new().count(Encoding::Bytes, "Größe 寸法");
    assert_eq!((count.tokens, count.exact), (14, false));
}

#[test]
fn a_prompt_counts_what_is_around_its_messages() {
    let catalogue = built_in();
    let claude = catalogue.model("claude-haiku-5-5").unwrap();
    let parts = [Part::Message { name: None, text: "abc" }, Part::Message { name: Some("me"), text: "" }];
    let tokens = prompt(&ByteCounter::new(), claude, &parts);
    assert_eq!((tokens.counted, tokens.most, tokens.exact), (3 + 3 + 2 + 3 + 1 + 3, 15, false));
    assert_eq!(prompt(&ByteCounter::new(), claude, &[]).most, 3);
    assert!(prompt(&ByteCounter::new(), claude, &[Part::Definition("{}")]).most > 5);
}

#[test]
fn a_chat_template_of_more_marks_is_counted_as_its_row_says() {
    let text = "sources = { here = \"https://example.org/\" }\n[[model]]\nid = \"m\"\nprovider = \"p\"\nfamily = \"f\"\n\
        max_input = 1000\nmax_output = 100\naround = { prompt = 4, message = 5 }\n\
        price = { input = \"1\", output = \"2\", source = \"here\", day = \"2026-11-27\" }\n";
    let catalogue = Catalogue::read(text).unwrap();
    let part = Part::Message { name: None, text: "a" };
    let tokens = prompt(&ByteCounter::new(), catalogue.model("m").unwrap(), &[part, part]);
    assert_eq!((tokens.counted, tokens.most), (4 + 2 * (5 + 1), 16));
}

#[cfg(feature = "tokenizer")]
mod exact {
    use super::*;
    use crate::{Rng, rounds};
    use atlas_router::tokens::BpeCounter;

    #[test]
    fn an_assumed_encoding_is_counted_for_the_estimate_and_bounded_with_a_margin_never_over_its_bytes() {
        let catalogue = built_in();
        let (known, assumed) = (catalogue.model("gpt-4o").unwrap(), catalogue.model("gpt-6-luna").unwrap());
        let parts = [Part::Message { name: None, text: "The quick brown fox jumps over the lazy dog." }];
        let (known, assumed) = (prompt(&BpeCounter::new(), known, &parts), prompt(&BpeCounter::new(), assumed, &parts));
        assert_eq!((known.counted, known.most, known.exact), (16, 16, true));
        assert_eq!((assumed.counted, assumed.most, assumed.exact), (16, 21, false));
        let dense = [Part::Message { name: None, text: "\u{1}\u{2}\u{3}" }];
        let luna = catalogue.model("gpt-6-luna").unwrap();
        assert_eq!(prompt(&BpeCounter::new(), luna, &dense).most, 3 + 3 + 3);
    }

    /// A text of pieces that tokenizers find hard.
    fn text(rng: &mut Rng) -> String {
        let pieces = [
            "the ",
            "Größe",
            "寸法を測る",
            "\r\n",
            "    ",
            "\u{1f468}\u{200d}\u{1f469}",
            "12345",
            "'ll",
            "<|endoftext|>",
            "aaaaaaaa",
            "\u{0}",
            "é",
            "e\u{301}",
            "\u{feff}",
            "{\"a\":1}",
            "ﷺ",
            "https://e.org/?q=1",
            "\t",
            "नमस्ते",
            "!!!",
            " \u{a0}",
        ];
        (0..rng.below(40)).map(|_| *rng.pick(&pieces)).collect()
    }

    #[test]
    fn counts_are_those_of_tiktoken() {
        let oracles = [
            (Encoding::O200kBase, tiktoken_rs::o200k_base().unwrap()),
            (Encoding::Cl100kBase, tiktoken_rs::cl100k_base().unwrap()),
        ];
        let mut rng = Rng::new(4);
        for case in 0..rounds(3000, 10) {
            let text = text(&mut rng);
            for (encoding, oracle) in &oracles {
                let tokens = oracle.encode_ordinary(&text).len() as u64;
                assert_eq!(BpeCounter::new().count(*encoding, &text).tokens, tokens, "case {case}: {text:?}");
                assert!(tokens <= text.len() as u64);
            }
        }
    }

    #[test]
    fn a_text_of_one_letter_over_and_over_is_counted_in_reasonable_time() {
        assert_eq!(BpeCounter::new().count(Encoding::O200kBase, &"a".repeat(200_000)).tokens, 25_000);
    }
}
