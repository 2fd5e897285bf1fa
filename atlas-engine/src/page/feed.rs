//! Feeds a page to html5ever without letting hostile markup take more than its share of time.
//!
//! Two things in the parser grow faster than the page: the tree builder walks its stack of open elements for many tags,
//! and the tokenizer compares each attribute's name with all earlier ones of its tag. The sink counts the first and
//! stops taking tokens when it is too much. The second happens before any token is made, so the page is fed in pieces,
//! and a piece that ends inside one long tag is looked at with [`TagScan`].

use std::cell::Cell;

use html5ever::TokenizerResult;
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};

use super::error::PageError;
use super::sink::{Handle, Limits, Sink};
use super::tagscan::TagScan;

/// Bytes fed at once. A tag within one piece has at most a quarter as many attributes.
const PIECE: usize = 16 * 1024;

/// How many times the limit the scan of an unfinished tag may count. It may count too many where a long value holds
/// something like a tag without an end; the finished tag is counted exactly.
const LEEWAY: usize = 4;

/// Passes tokens on until the sink has had enough.
struct Guard {
    builder: TreeBuilder<Handle, Sink>,
    /// A token came since this was last cleared.
    heard: Cell<bool>,
}

impl TokenSink for Guard {
    type Handle = Handle;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Handle> {
        // Errors are no progress: a tag full of repeated attributes makes one for each.
        if matches!(token, Token::ParseError(_)) {
            return TokenSinkResult::Continue;
        }
        self.heard.set(true);
        if self.builder.sink.has_failed() {
            return TokenSinkResult::Continue;
        }
        self.builder.process_token(token, line)
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Parses `html` into a sink, as a browser with scripting on would: `noscript` holds its source as one text.
pub(super) fn parse(html: &str, limits: Limits) -> Sink {
    let builder = TreeBuilder::new(
        Sink::new(limits, html.len()),
        TreeBuilderOpts { drop_doctype: true, scripting_enabled: true, ..TreeBuilderOpts::default() },
    );
    let tokenizer = Tokenizer::new(Guard { builder, heard: Cell::new(false) }, TokenizerOpts::default());
    let queue = BufferQueue::default();
    // Where the tag that is open now may have begun, and the scan of it once a whole piece has brought no token.
    let (mut at, mut begun, mut scan) = (0, 0, None::<TagScan>);
    while at < html.len() {
        let end = html.floor_char_boundary(at + PIECE);
        let Some(piece) = html.get(at..end) else { break };
        queue.push_back(StrTendril::from(piece));
        tokenizer.sink.heard.set(false);
        drain(&tokenizer, &queue);
        if tokenizer.sink.heard.get() {
            (begun, scan) = (at, None);
        } else {
            let from = if scan.is_some() { at } else { begun };
            let scan = scan.get_or_insert_default();
            scan.feed(html.as_bytes().get(from..end).unwrap_or_default());
            if scan.most_attributes() > limits.attributes.saturating_mul(LEEWAY) {
                tokenizer.sink.builder.sink.fail(PageError::TooManyAttributes { limit: limits.attributes });
            }
        }
        if tokenizer.sink.builder.sink.has_failed() {
            return tokenizer.sink.builder.sink;
        }
        at = end;
    }
    tokenizer.end();
    tokenizer.sink.builder.sink
}

fn drain(tokenizer: &Tokenizer<Guard>, queue: &BufferQueue) {
    // The tokenizer stops where a browser would run a script or change the charset; here neither happens.
    while !matches!(tokenizer.feed(queue), TokenizerResult::Done) {}
}
