//! How hard a task is and how much its price matters, in whole numbers.
//!
//! The factors and weights are the predecessor's. Mended: keywords count as words, not as pieces of other words ("biological"
//! is no "logic"), and so do the shop words of an address ("workshop" is no shop).

use super::task::{Situation, Task};
use atlas_schema::{ExtractionType, Stage};
use serde::{Deserialize, Serialize};

/// One hundredth of a percent: 10 000 are the whole.
pub type BasisPoints = u32;

/// What a task scored, and for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Score {
    /// How hard it is: 0 to 10 000.
    pub complexity: BasisPoints,
    /// How much the price matters: 0 to 100.
    pub cost_sensitivity: u32,
    /// What added to it, in the order in which it is looked at. Only what added something.
    pub factors: Vec<Factored>,
}

/// One reason of a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Factored {
    /// What it is.
    pub factor: Factor,
    /// How much it added, of 10 000 for complexity and of 100 for sensitivity.
    pub points: u32,
}

/// What can add to a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Factor {
    /// Complexity: long instructions, in full at 1 000 characters.
    Length,
    /// Complexity: words that speak of thinking, in full at three different ones.
    Keywords,
    /// Complexity: more than five pages.
    Pages,
    /// Complexity: more than two links deep.
    Depth,
    /// Complexity: the address is one of a shop.
    Shop,
    /// Sensitivity: what everything has.
    Base,
    /// Sensitivity: a batch, or more than ten pages.
    Bulk,
    /// Sensitivity: the stage of developers.
    Development,
    /// Sensitivity: more than a hundred such tasks are to come.
    Volume,
}

/// The predecessor's fifteen: analyze, reasoning, complex, detailed, comprehensive, multi-step, relationship, pattern, structure,
/// logic, compare, contrast, evaluate, synthesize and infer, each as the beginnings of its words, without the last `e` and with `s`
/// for `z`.
const KEYWORDS: [&[&str]; 15] = [
    &["analys"],
    &["reasoning"],
    &["complex"],
    &["detailed"],
    &["comprehensiv"],
    &["multi", "step"],
    &["relationship"],
    &["pattern"],
    &["structur"],
    &["logic"],
    &["compar"],
    &["contrast"],
    &["evaluat"],
    &["synthesis"],
    &["infer"],
];
const SHOPS: [&str; 6] = ["shop", "shops", "store", "stores", "product", "products"];

/// Scores a task.
pub fn score(task: &Task, situation: &Situation) -> Score {
    let mut score = Score { complexity: 0, cost_sensitivity: 0, factors: Vec::new() };
    let length = u32::try_from(task.instructions.chars().take(1000).count()).unwrap_or(1000);
    let keywords = u32::try_from(keywords(&task.instructions).min(3)).unwrap_or(3);
    let shop = task.url.as_deref().is_some_and(is_shop);
    let complexity = [
        (Factor::Length, length * 3),
        (Factor::Keywords, keywords * 1000),
        (Factor::Pages, if task.max_pages > 5 { 2000 } else { 0 }),
        (Factor::Depth, if task.max_depth > 2 { 1000 } else { 0 }),
        (Factor::Shop, if shop { 1000 } else { 0 }),
    ];
    let bulk = task.kind == ExtractionType::Batch || task.max_pages > 10;
    let sensitivity = [
        (Factor::Base, 50),
        (Factor::Bulk, if bulk { 30 } else { 0 }),
        (Factor::Development, if situation.stage == Stage::Dev { 20 } else { 0 }),
        (Factor::Volume, if task.estimated_volume > 100 { 20 } else { 0 }),
    ];
    score.complexity = complexity.iter().map(|(_, points)| points).sum::<u32>().min(10_000);
    score.cost_sensitivity = sensitivity.iter().map(|(_, points)| points).sum::<u32>().min(100);
    let added = complexity.into_iter().chain(sensitivity).filter(|(_, points)| *points > 0);
    score.factors = added.map(|(factor, points)| Factored { factor, points }).collect();
    score
}

/// What may follow the beginning of a keyword, in another form of the same word.
const ENDINGS: [&str; 17] =
    ["", "e", "es", "ed", "ing", "s", "d", "al", "ally", "ity", "ities", "ly", "red", "ring", "ison", "isons", "ive"];

/// How many different keywords a text has, in whatever form of the word and in either spelling of `-ize`.
fn keywords(text: &str) -> usize {
    let lower = text.to_lowercase().replace('z', "s");
    // Of each keyword, which of its words were found, a bit each.
    let mut found = [0_u8; KEYWORDS.len()];
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        for (found, beginnings) in found.iter_mut().zip(KEYWORDS) {
            for (at, beginning) in beginnings.iter().enumerate() {
                // The first byte tells nearly all words apart, at a fraction of what comparing texts costs.
                let alike = word.as_bytes().first() == beginning.as_bytes().first();
                if alike && word.strip_prefix(beginning).is_some_and(|ending| ENDINGS.contains(&ending)) {
                    *found |= 1 << at;
                }
            }
        }
    }
    found.iter().zip(KEYWORDS).filter(|(found, words)| found.count_ones() as usize == words.len()).count()
}

/// Whether the host or the path of an address says shop, store or product in a word of its own.
fn is_shop(address: &str) -> bool {
    let Ok(url) = url::Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default();
    let mut words = host.split(|c: char| !c.is_alphanumeric()).chain(url.path().split(|c: char| !c.is_alphanumeric()));
    words.any(|word| SHOPS.iter().any(|shop| shop.eq_ignore_ascii_case(word)))
}
