//! Words with a meaning, by language.

use super::fold::{fold, is_unspaced};
use std::collections::HashMap;

/// One row of a word table: the language the words belong to, their meaning, the words with `|` between them.
///
/// A language that starts with `=` keeps its words to itself: they mean something else elsewhere (Danish `time` is an
/// hour). An empty language stands for all.
pub(super) type Row<T> = (&'static str, T, &'static str);

/// Folded words to meanings. Lookup prefers the page's own language; otherwise all languages that know the word must agree.
pub(super) struct Lexicon<T: 'static> {
    words: HashMap<String, Vec<(&'static str, T)>>,
    longest: usize,
}

impl<T: Copy + PartialEq> Lexicon<T> {
    pub(super) fn new(rows: &[Row<T>]) -> Self {
        let mut words: HashMap<String, Vec<(&'static str, T)>> = HashMap::new();
        for (language, meaning, list) in rows {
            for word in list.split('|') {
                words.entry(fold(word)).or_default().push((language, *meaning));
            }
        }
        let longest = words.keys().map(String::len).max().unwrap_or_default();
        Self { words, longest }
    }

    /// What a folded word means to a reader of `language`.
    pub(super) fn get(&self, folded: &str, language: Option<&str>) -> Option<T> {
        let senses = self.words.get(folded)?;
        let own = senses.iter().find(|(of, _)| language.is_some_and(|language| of.trim_start_matches('=') == language));
        if let Some((_, meaning)) = own {
            return Some(*meaning);
        }
        let mut shared = senses.iter().filter(|(of, _)| !of.starts_with('=')).map(|(_, meaning)| *meaning);
        let first = shared.next()?;
        shared.all(|meaning| meaning == first).then_some(first)
    }

    /// The word that starts at `at`: the whole run of letters, or for scripts without blanks the longest known beginning.
    /// Gives the meaning and where the word ends.
    pub(super) fn at(&self, text: &str, at: usize, language: Option<&str>) -> Option<(T, usize)> {
        let rest = text.get(at..)?;
        let first = rest.chars().next()?;
        if !is_unspaced(first) {
            let len = rest.find(|c: char| !c.is_alphabetic() || is_unspaced(c)).unwrap_or(rest.len());
            let meaning = self.get(rest.get(..len)?, language)?;
            return Some((meaning, at + len));
        }
        let ends = rest.char_indices().map(|(start, c)| start + c.len_utf8()).take_while(|end| *end <= self.longest);
        let known = ends.filter_map(|end| Some((self.get(rest.get(..end)?, language)?, at + end)));
        known.last()
    }
}
