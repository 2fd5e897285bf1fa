//! Evidence: building the proof of a value, and checking it.
//!
//! A check trusts nothing it is told: it reads the source text again, compares the quote character for character at its
//! spans, and applies the named transform to the quote again. The rule the rest leans on: a value whose evidence does
//! not pass is never part of a result.

use crate::facts::Facts;
use crate::facts::labelled::{Labelled, labelled};
use crate::page::Page;
use crate::transform::{CHOICE, Transform, is_choice};
use crate::value::Locale;
use atlas_schema::{Evidence, JsonPointer, Source, Span, Verified};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;
use unicode_normalization::UnicodeNormalization;

/// Longer quotes are not kept, as the record format says; values that need them cannot be proven.
pub const MAX_QUOTE: usize = 20_000;

/// Whether evidence may carry a quote.
pub(crate) fn quotable(quote: &str) -> bool {
    quote.len() <= MAX_QUOTE || quote.chars().nth(MAX_QUOTE).is_none()
}

/// A page being read: what several strategies need of it is computed once, when first asked for.
#[derive(Debug)]
pub struct Reading<'p> {
    page: &'p Page,
    locale: Locale,
    facts: OnceLock<Facts>,
    labelled: OnceLock<HashMap<String, Vec<Labelled>>>,
    visible: OnceLock<String>,
}

impl<'p> Reading<'p> {
    /// Wraps a page. Nothing is computed yet.
    pub fn new(page: &'p Page) -> Self {
        let mut locale = Locale::new();
        if let Some(language) = page.language() {
            locale = locale.with_language(language);
        }
        if let Some(base) = page.base_url() {
            locale = locale.with_base(base.clone());
        }
        Self { page, locale, facts: OnceLock::new(), labelled: OnceLock::new(), visible: OnceLock::new() }
    }

    /// The page.
    pub const fn page(&self) -> &'p Page {
        self.page
    }

    /// What the page says about its language, region and address.
    pub const fn locale(&self) -> &Locale {
        &self.locale
    }

    /// What the page states as data.
    pub fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| Facts::read(self.page))
    }

    /// What the page shows under a label, given folded; the surest layout first.
    pub(crate) fn labelled(&self, label: &str) -> &[Labelled] {
        let pairs = self.labelled.get_or_init(|| {
            let mut pairs: HashMap<String, Vec<Labelled>> = HashMap::new();
            for pair in labelled(self.page) {
                let label = folded(self.page.text().get(pair.label.clone()).unwrap_or_default());
                pairs.entry(label).or_default().push(pair);
            }
            for pairs in pairs.values_mut() {
                pairs.sort_by_key(|pair| pair.layout);
            }
            pairs
        });
        pairs.get(label).map_or(&[], Vec::as_slice)
    }

    /// Whether the page's visible text holds `text`, letter case, Unicode form and blanks aside.
    ///
    /// A text must not be part of a longer number or word there, in scripts that part words by blanks.
    pub fn shows(&self, text: &str) -> bool {
        let needle = folded(text);
        let needle = needle.trim_matches(|c: char| c == ' ' || c == '.');
        if needle.is_empty() {
            return false;
        }
        let visible = self.visible.get_or_init(|| folded(self.page.text()));
        let runs_on = |before: Option<char>, after: Option<char>| match (before, after) {
            (Some(before), Some(after)) => {
                before.is_ascii_digit() && after.is_ascii_digit() || is_lettered(before) && is_lettered(after)
            }
            _ => false,
        };
        memchr::memmem::find_iter(visible.as_bytes(), needle.as_bytes()).take(1000).any(|at| {
            let before = visible.get(..at).and_then(|text| text.chars().next_back());
            let after = visible.get(at + needle.len()..).and_then(|text| text.chars().next());
            !runs_on(before, needle.chars().next()) && !runs_on(needle.chars().next_back(), after)
        })
    }

    /// Checks one piece of evidence of `value`. Derived values are checked by `derived`.
    pub fn check(&self, evidence: &Evidence, value: &Value) -> Verified {
        let gives = match evidence.transform.as_deref() {
            Some(CHOICE) => is_choice(value, &evidence.quote),
            _ => transformed(evidence, &self.locale).as_ref() == Some(value),
        };
        let source = gives && self.stands(evidence);
        Verified { source, visible: source && self.is_visible(evidence, value) }
    }

    fn stands(&self, evidence: &Evidence) -> bool {
        let text = match &evidence.source {
            Source::VisibleText {} => Some(Cow::Borrowed(self.page.text())),
            Source::HiddenText {} => Some(Cow::Borrowed(self.page.hidden_text())),
            Source::Attribute { name } => {
                let node = evidence.node.and_then(|node| self.page.node_by_index(node));
                node.and_then(|node| self.page.attr(node, name)).map(Cow::Borrowed)
            }
            Source::Embedded { pointer, .. } => evidence.node.and_then(|node| self.facts().embedded(node, pointer)),
            Source::Url {} => self.page.url().map(|url| Cow::Borrowed(url.as_str())),
            _ => None,
        };
        let Some(text) = text.filter(|_| !evidence.spans.is_empty() && quotable(&evidence.quote)) else { return false };
        let piece = |span: &Span| text.get(span.start as usize..span.end as usize);
        let mut rest = evidence.quote.as_str();
        for (at, span) in evidence.spans.iter().enumerate() {
            let separator = if at == 0 { "" } else { " " };
            let after = piece(span).and_then(|piece| rest.strip_prefix(separator)?.strip_prefix(piece));
            match after {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// A value read from visible text is visible; another must be found there, as itself or as its quote.
    fn is_visible(&self, evidence: &Evidence, value: &Value) -> bool {
        if evidence.source == (Source::VisibleText {}) {
            return true;
        }
        if self.shows(&evidence.quote) {
            return true;
        }
        let transform = evidence.transform.as_deref().and_then(Transform::by_name);
        let spellings = match (value, transform) {
            (value, Some(transform)) => transform.spellings(value),
            (Value::String(text), None) => vec![text.clone()],
            _ => Vec::new(),
        };
        spellings.iter().any(|spelling| self.shows(spelling))
    }
}

/// Whether a character is a letter of a script that parts words by blanks. Marks, which folding sets apart, go with their letter.
fn is_lettered(c: char) -> bool {
    let unparted = matches!(u32::from(c), 0x0E00..=0x0FFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0xA4CF | 0xAC00..=0xD7FF | 0xF900..=0xFAFF | 0x1100..=0x11FF | 0x2_0000..);
    c.is_alphabetic() && !unparted || ('\u{300}'..='\u{36f}').contains(&c)
}

/// The value that a quote gives by the transform its evidence names.
fn transformed(evidence: &Evidence, locale: &Locale) -> Option<Value> {
    match &evidence.transform {
        None => Some(Value::String(evidence.quote.clone())),
        Some(name) => Transform::by_name(name)?.read(&evidence.quote, locale).map(|(value, _)| value),
    }
}

/// Checks a value computed from others of the same record: the inputs exist and the named transform gives the value.
pub(crate) fn derived(evidence: &Evidence, record: &Value, value: &Value) -> bool {
    let Source::Derived { inputs } = &evidence.source else { return false };
    let numbers: Option<Vec<i64>> = inputs.iter().map(|input| record.pointer(input.as_str())?.as_i64()).collect();
    match (evidence.transform.as_deref(), numbers) {
        (Some(SUM), Some(numbers)) if !numbers.is_empty() => {
            numbers.iter().try_fold(0_i64, |sum, number| sum.checked_add(*number)) == value.as_i64()
        }
        _ => false,
    }
}

/// The transform of a value that is the sum of others.
pub(crate) const SUM: &str = "sum";

/// Evidence for a value that is the sum of others of the same record, at `inputs` relative to it.
pub(crate) fn sum_of(inputs: Vec<JsonPointer>) -> Evidence {
    Evidence {
        source: Source::Derived { inputs },
        document: 0,
        node: None,
        spans: Vec::new(),
        quote: String::new(),
        transform: Some(SUM.into()),
        verified: Verified::default(),
    }
}

/// Compatibility-decomposed, lower case, every run of blanks one blank, quotation marks and dashes in one form.
///
/// Letter by letter, so that both sides of a comparison fold alike wherever they are cut.
pub(crate) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut blank = true;
    for c in text.chars() {
        if c.is_ascii_graphic() {
            folded.push(c.to_ascii_lowercase());
            blank = false;
        } else if c.is_whitespace() || c.is_control() {
            if !blank {
                folded.push(' ');
            }
            blank = true;
        } else {
            match c {
                '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => continue,
                '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2032}' => folded.push('\''),
                '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{2033}' => folded.push('"'),
                '\u{2010}'..='\u{2015}' | '\u{2212}' => folded.push('-'),
                c => folded.extend(std::iter::once(c).nfkd().flat_map(char::to_lowercase)),
            }
            blank = false;
        }
    }
    while folded.ends_with(' ') {
        folded.pop();
    }
    folded
}
