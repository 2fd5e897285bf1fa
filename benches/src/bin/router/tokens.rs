//! Bytes counted into tokens per second of CPU, beside tiktoken's Rust port, whose counts must be the same.

use crate::prompts::prompts;
use crate::turns::{Turns, WithPeer};
use anyhow::{Result, ensure};
use atlas_benches::{Row, cpu};
use atlas_router::catalogue::Encoding;
use atlas_router::tokens::{BpeCounter, TokenCounter};

/// About so many bytes are counted for each figure.
const BYTES: usize = 2_000_000;

/// Texts and the names of their figures, ours and the peer's.
fn texts() -> Result<[(&'static str, &'static str, Vec<String>); 3]> {
    let markdown = ["ARCHITECTURE.md", "CHANGELOG.md", "benches/README.md"].map(std::fs::read_to_string);
    let markdown = markdown.into_iter().collect::<Result<String, _>>()?;
    Ok([
        ("tokens-prompts", "tiktoken-prompts", prompts().to_vec()),
        ("tokens-markdown", "tiktoken-markdown", vec![markdown]),
        // What no word boundary divides.
        ("tokens-one-letter", "tiktoken-one-letter", vec!["a".repeat(200_000)]),
    ])
}

/// Measures both, in this process and on this thread.
pub(crate) fn turn(turns: &mut Turns) -> Result<()> {
    let peer = tiktoken_rs::o200k_base_singleton();
    for (ours, theirs, texts) in texts()? {
        let (our_rate, our_count) =
            rate(&texts, |text| usize::try_from(BpeCounter::new().count(Encoding::O200kBase, text).tokens))?;
        let (their_rate, their_count) = rate(&texts, |text| Ok::<_, anyhow::Error>(peer.encode_ordinary(text).len()))?;
        ensure!(our_count == their_count, "{ours}: {our_count} tokens, and {their_count} by tiktoken");
        turns.add(ours, our_rate);
        turns.add(theirs, their_rate);
    }
    Ok(())
}

/// MB per second of CPU, and the tokens of all texts once.
fn rate<E>(texts: &[String], count: impl Fn(&str) -> Result<usize, E>) -> Result<(f64, usize)>
where
    anyhow::Error: From<E>,
{
    let bytes: usize = texts.iter().map(String::len).sum();
    let times = (BYTES / bytes).clamp(1, 100);
    let (tokens, cpu) = cpu::during(|| {
        let mut tokens = 0;
        for text in texts.iter().cycle().take(texts.len() * times) {
            tokens += count(text)?;
        }
        Ok(tokens)
    })?;
    // Microseconds for a byte turned round are bytes for a microsecond.
    Ok((cpu::per_job(cpu, bytes * times).recip(), tokens / times))
}

/// The rows of both.
pub(crate) fn rows(turns: &Turns) -> Vec<Row> {
    ["prompts", "markdown", "one-letter"]
        .into_iter()
        .map(|name| turns.row(&format!("tokens-{name}"), "MB/s").with_peer(turns, &format!("tiktoken-{name}")))
        .collect()
}
