//! Marks: the signs in front of list entries that are not part of them.

/// Signs that start an entry.
const BULLETS: [char; 15] = ['•', '·', '▪', '▢', '□', '☐', '◦', '●', '○', '‣', '*', '-', '–', '—', '»'];

/// The bytes of a bullet and its blank at the start of `text`.
pub(super) fn bullet(text: &str) -> Option<usize> {
    let trimmed = text.trim_start();
    let rest = trimmed.strip_prefix(BULLETS)?;
    let entry = rest.trim_start();
    (entry.len() < rest.len() && !entry.is_empty()).then(|| text.len() - entry.len())
}

/// The bytes of the counting number `place` at the start of `text`, such as `2. ` or `2) `.
pub(super) fn counted(text: &str, place: usize) -> Option<usize> {
    let rest = text.trim_start().strip_prefix(place.to_string().as_str())?;
    let rest = rest.strip_prefix(['.', ')', ':'])?;
    let entry = rest.trim_start();
    (entry.len() < rest.len() && !entry.is_empty()).then(|| text.len() - entry.len())
}

/// Whether a folded text only says which entry comes, such as `2`, `step 2` or `schritt2`.
///
/// The word is of at most eight letters of any language; the number need only be near `place`, since headings count apart.
pub(super) fn is_ordinal(text: &str, place: usize) -> bool {
    let word = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = text.get(word.len()..).unwrap_or("");
    let letters = word.trim().trim_end_matches(['.', '#']).trim();
    let near = |number: usize| number <= place + 1 && number > 0;
    number.parse().is_ok_and(near) && letters.chars().count() <= 8 && letters.chars().all(char::is_alphabetic)
}
