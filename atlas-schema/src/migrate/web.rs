//! Addresses: which one a record means, and what counts as one.

use super::note::NoteCode;
use super::outcome::QuarantineReason;
use super::source::{Source, Trace};
use serde_json::Value;
use url::Url;

const MAX_URL: usize = 2048;

/// The address of the job: `url`, else `params.url`, else (`ai`) the one named in the prompt.
///
/// Words such as `pending` that stood in for an address are none. An address that is there and unusable is a reason to
/// quarantine, not to look elsewhere: the record contradicts itself.
pub(super) fn address(
    root: &mut Source,
    params: &mut Source,
    prompt: Option<&str>,
    trace: &mut Trace,
) -> Result<String, QuarantineReason> {
    let top = candidate(root, trace);
    let inner = candidate(params, trace);
    let (text, pointer) = match (top, inner) {
        (Some(top), Some(inner)) => {
            if top != inner {
                trace.note_kept(NoteCode::Conflict, params.pointer("url"), Value::String(inner));
            }
            (top, root.pointer("url"))
        }
        (Some(top), None) => (top, root.pointer("url")),
        (None, Some(inner)) => {
            trace.note(NoteCode::UrlFromParams, params.pointer("url"));
            (inner, params.pointer("url"))
        }
        (None, None) => {
            let named = prompt.and_then(in_prompt).ok_or(QuarantineReason::NoUrl)?;
            trace.note(NoteCode::UrlFromPrompt, root.pointer("prompt"));
            if named.bare {
                trace.note(NoteCode::SchemeAssumed, root.pointer("prompt"));
            }
            return usable(&named.url).map(|(url, _)| url);
        }
    };
    let (url, respelt) = usable(&text)?;
    if respelt {
        trace.note_kept(NoteCode::UrlNormalised, pointer, Value::String(text));
    }
    Ok(url)
}

fn candidate(source: &mut Source, trace: &mut Trace) -> Option<String> {
    let text = source.take_text("url", trace)?;
    if matches!(text.trim(), "" | "pending" | "unknown" | "null" | "undefined") {
        trace.keep(source.pointer("url"), Value::String(text));
        return None;
    }
    Some(text)
}

/// An absolute http(s) address of at most 2048 printable ASCII characters, as written if it is that already.
fn usable(text: &str) -> Result<(String, bool), QuarantineReason> {
    let url = Url::parse(text.trim()).map_err(|_| QuarantineReason::InvalidUrl)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(QuarantineReason::UnsupportedScheme);
    }
    // Credentials spelt as addresses spell them are gone by now; what is left is spelt to hide them.
    if url.host_str().is_none_or(str::is_empty) || !url.username().is_empty() || url.password().is_some() {
        return Err(QuarantineReason::InvalidUrl);
    }
    let as_written = (text.starts_with("http://") || text.starts_with("https://"))
        && text.len() <= MAX_URL
        && text.bytes().all(|b| matches!(b, b'!'..=b'~'));
    if as_written {
        return Ok((text.to_owned(), false));
    }
    let spelt = String::from(url);
    if spelt.len() <= MAX_URL { Ok((spelt, true)) } else { Err(QuarantineReason::InvalidUrl) }
}

#[derive(Debug, PartialEq, Eq)]
struct Named {
    url: String,
    bare: bool,
}

/// The address that a prompt names.
///
/// The rule: the prompt holds exactly one distinct absolute http(s) address; or none, and exactly one distinct host name
/// directly after one of the words from, on, at, of, visit. A host name has two or more labels, of letters, digits and
/// inner hyphens, the last of two or more letters; a path may follow; `https://` is put before it. Punctuation around a
/// word does not count. Anything else is not a statement of which page is meant.
fn in_prompt(prompt: &str) -> Option<Named> {
    let words: Vec<&str> = prompt.split_whitespace().map(trim_punctuation).collect();
    let is_absolute = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
    let absolute = words.iter().copied().filter(is_absolute);
    if let Some(url) = only(absolute.clone()) {
        return Some(Named { url: url.to_owned(), bare: false });
    }
    if absolute.count() > 0 {
        return None;
    }
    let is_lead = |word: &str| ["from", "on", "at", "of", "visit"].iter().any(|lead| word.eq_ignore_ascii_case(lead));
    let after = words.windows(2).filter(|pair| is_lead(pair[0]) && is_host_and_path(pair[1])).map(|pair| pair[1]);
    only(after).map(|host| Named { url: format!("https://{host}"), bare: true })
}

fn only<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let first = words.next()?;
    words.all(|word| word == first).then_some(first)
}

fn trim_punctuation(word: &str) -> &str {
    word.trim_start_matches(['"', '\'', '(', '<', '[', '`'])
        .trim_end_matches(['"', '\'', ')', '>', ']', '`', '.', ',', ';', ':', '!', '?'])
}

fn is_host_and_path(word: &str) -> bool {
    let host = word.split(['/', '?', '#']).next().unwrap_or_default();
    let labels: Vec<&str> = host.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let last = labels.last().copied().unwrap_or_default();
    labels.len() >= 2 && labels.iter().all(is_label) && last.len() >= 2 && last.bytes().all(|b| b.is_ascii_alphabetic())
}
