//! Feeds a page to html5ever without letting hostile markup take more than its share of time.
//!
//! Two things in the parser grow faster than the page: the tree builder walks its stack of open elements for many tags,
//! and the tokenizer compares each attribute's name with all earlier ones of its tag. The sink counts the first and
//! stops taking tokens when it is too much. The second happens before any token is made, so the page is fed in pieces,
//! and a piece that ends inside one long tag is looked at with [`TagScan`].
//!
//! The content of scripts and styles, often most of a page, does not go through the tokenizer: [`rawtext`] finds its end,
//! and it is handed to the tree builder as it stands.

use std::cell::Cell;

use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{StartTag, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{TreeBuilder, TreeBuilderOpts};
use html5ever::{TokenizerResult, local_name};

use super::error::PageError;
use super::rawtext::{self, Raw};
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
    /// The tokenizer was stopped because this content comes next.
    raw: Cell<Option<Raw>>,
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
        let raw = match &token {
            Token::TagToken(tag) if tag.kind == StartTag => match tag.name {
                local_name!("script") => Some(Raw::Script),
                local_name!("style") => Some(Raw::Text("style")),
                local_name!("noscript") => Some(Raw::Text("noscript")),
                local_name!("iframe") => Some(Raw::Text("iframe")),
                _ => None,
            },
            _ => None,
        };
        match (self.builder.process_token(token, line), raw) {
            // The tree builder decides whether it is such an element here: in SVG it is not.
            (TokenSinkResult::RawData(RawKind::ScriptData | RawKind::Rawtext), Some(raw)) => {
                self.raw.set(Some(raw));
                // Stops the tokenizer, and has it go on with markup: the end tag.
                TokenSinkResult::Script(Handle::DOCUMENT)
            }
            (result, _) => result,
        }
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
    let guard = Guard { builder, heard: Cell::new(false), raw: Cell::new(None) };
    let tokenizer = Tokenizer::new(guard, TokenizerOpts::default());
    let guard = &tokenizer.sink;
    // Pieces share this one buffer.
    let whole = StrTendril::from(html);
    // Pages are at most 3 GiB of text, so both numbers fit.
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    let piece = |from: usize, to: usize| {
        whole.try_subtendril(number(from), number(to.saturating_sub(from))).unwrap_or_default()
    };
    // Where the tag that is open now may have begun, and the scan of it once a whole piece has brought no token.
    let (mut at, mut begun, mut scan) = (0, 0, None::<TagScan>);
    while at < html.len() && !guard.builder.sink.has_failed() {
        let end = html.floor_char_boundary(at + PIECE);
        guard.heard.set(false);
        let left = run(&tokenizer, piece(at, end));
        if guard.heard.get() {
            (begun, scan) = (at, None);
        } else {
            let from = if scan.is_some() { at } else { begun };
            let scan = scan.get_or_insert_default();
            scan.feed(html.as_bytes().get(from..end).unwrap_or_default());
            if scan.most_attributes() > limits.attributes.saturating_mul(LEEWAY) {
                guard.builder.sink.fail(PageError::TooManyAttributes { limit: limits.attributes });
            }
        }
        at = end - left;
        if let Some(raw) = guard.raw.take() {
            let content = at + rawtext::content_len(html.get(at..).unwrap_or_default(), raw);
            hand_over(guard, piece(at, content));
            at = content;
        }
    }
    if !guard.builder.sink.has_failed() {
        tokenizer.end();
    }
    tokenizer.sink.builder.sink
}

/// Runs the tokenizer over a piece. Gives how many bytes are left because raw content comes next.
fn run(tokenizer: &Tokenizer<Guard>, piece: StrTendril) -> usize {
    let queue = BufferQueue::default();
    queue.push_back(piece);
    // The tokenizer stops also where a browser would run a script or change the charset; here neither happens.
    while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {
        if tokenizer.sink.raw.get().is_some() {
            return std::iter::from_fn(|| queue.pop_front()).map(|rest| rest.len()).sum();
        }
    }
    0
}

/// Hands raw content to the tree builder as the tokenizer would: line ends made one, NUL replaced.
fn hand_over(guard: &Guard, content: StrTendril) {
    let content = if content.as_bytes().contains(&b'\r') || content.as_bytes().contains(&0) {
        StrTendril::from(content.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}"))
    } else {
        content
    };
    if !content.is_empty() {
        // Characters of raw content are taken as they are; they never ask the tokenizer for anything.
        let _: TokenSinkResult<Handle> = guard.builder.process_token(Token::CharacterTokens(content), 1);
    }
}
