//! Where the content of `script`, `style` and the like ends.
//!
//! Such content is most of many pages, and a tokenizer goes through it character by character only to find its end. This
//! finds the end by search, under the same rules.

/// What kind of content it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Raw {
    /// Of a `script`: a comment in it may hold a whole script again.
    Script,
    /// Of an element that ends at the first end tag of its name, which is this.
    Text(&'static str),
}

/// The length of the content at the start of `html`: up to its end tag, or all of it.
pub(super) fn content_len(html: &str, raw: Raw) -> usize {
    match raw {
        Raw::Script => script_len(html),
        Raw::Text(name) => {
            let mut at = 0;
            while let Some(found) = html.get(at..).and_then(|rest| rest.find('<')) {
                at += found;
                if html.as_bytes().get(at + 1) == Some(&b'/') && names(html.as_bytes(), at + 2, name) {
                    return at;
                }
                at += 1;
            }
            html.len()
        }
    }
}

/// Where in a script the search stands, after the WHATWG's "script data" states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Plain.
    Code,
    /// After `<!--`.
    Comment,
    /// After `<script` in a comment: one `</script` belongs to it.
    Nested,
}

fn script_len(html: &str) -> usize {
    let bytes = html.as_bytes();
    let starts = |at: usize, prefix: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(prefix));
    let (mut at, mut depth) = (0, Depth::Code);
    loop {
        let Some(rest) = html.get(at..) else { return html.len() };
        let Some(found) = (if depth == Depth::Code { rest.find('<') } else { rest.find(['<', '-']) }) else {
            return html.len();
        };
        at += found;
        match depth {
            Depth::Code if starts(at, b"<!--") => {
                depth = Depth::Comment;
                // Its two dashes may already be those of `-->`.
                at += 2;
            }
            Depth::Comment | Depth::Nested if starts(at, b"-->") => {
                depth = Depth::Code;
                at += 3;
            }
            Depth::Code | Depth::Comment if starts(at, b"</") && names(bytes, at + 2, "script") => return at,
            Depth::Comment if names(bytes, at + 1, "script") && starts(at, b"<") => {
                depth = Depth::Nested;
                at += 7;
            }
            Depth::Nested if starts(at, b"</") && names(bytes, at + 2, "script") => {
                depth = Depth::Comment;
                at += 8;
            }
            _ => at += 1,
        }
    }
}

/// Whether the tag name `name` stands at `at` and ends there.
fn names(bytes: &[u8], at: usize, name: &str) -> bool {
    let end = at + name.len();
    bytes.get(at..end).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()))
        && bytes.get(end).is_some_and(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | b' ' | b'/' | b'>'))
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use html5ever::buffer_queue::BufferQueue;
    use html5ever::tendril::StrTendril;
    use html5ever::tokenizer::states::{RawData, RawKind};
    use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
    use proptest::prelude::*;

    use super::*;

    /// What html5ever's own tokenizer takes for the content.
    #[derive(Default)]
    struct Oracle {
        content: RefCell<String>,
        ended: Cell<bool>,
    }

    impl TokenSink for Oracle {
        type Handle = ();

        fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
            match token {
                Token::CharacterTokens(text) if !self.ended.get() => self.content.borrow_mut().push_str(&text),
                Token::TagToken(_) => self.ended.set(true),
                _ => {}
            }
            TokenSinkResult::Continue
        }
    }

    fn oracle(html: &str, kind: RawKind, name: &str) -> String {
        let options = TokenizerOpts {
            initial_state: Some(RawData(kind)),
            last_start_tag_name: Some(name.to_owned()),
            discard_bom: false,
            ..TokenizerOpts::default()
        };
        let tokenizer = Tokenizer::new(Oracle::default(), options);
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from(html));
        let _ = tokenizer.feed(&queue);
        tokenizer.end();
        tokenizer.sink.content.into_inner()
    }

    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "<!--",
            "-->",
            "--",
            "-",
            ">",
            "!",
            "<",
            "</",
            "<!",
            "<!-",
            "<script",
            "</script",
            "<SCRIPT>",
            "</Script>",
            "</script ",
            "</script/",
            "<script\n",
            "</style>",
            "</STYLE",
            "</scripts>",
            "script",
            "x",
            " ",
            "é",
        ]);
        prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_096, ..ProptestConfig::default() })]

        #[test]
        fn scripts_end_where_the_tokenizer_ends_them(html in pieces()) {
            let expected = oracle(&html, RawKind::ScriptData, "script");
            // A tag that the page ends in is dropped by the tokenizer, so then only what is before it can be compared.
            let found = &html[..content_len(&html, Raw::Script)];
            let cut = found.len() < html.len() && !html[found.len()..].contains('>');
            prop_assert!(found == expected || cut && expected.starts_with(found), "{found:?} {expected:?}");
        }

        #[test]
        fn styles_end_where_the_tokenizer_ends_them(html in pieces()) {
            let expected = oracle(&html, RawKind::Rawtext, "style");
            let found = &html[..content_len(&html, Raw::Text("style"))];
            let cut = found.len() < html.len() && !html[found.len()..].contains('>');
            prop_assert!(found == expected || cut && expected.starts_with(found), "{found:?} {expected:?}");
        }
    }
}
