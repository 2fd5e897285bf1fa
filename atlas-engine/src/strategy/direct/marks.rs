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

/// The bytes of the counting number `place` at the start of `text`, such as `2. `, `2) `, `Step 2: ` or, before a whole
/// sentence, `2 `.
pub(super) fn counted(text: &str, place: usize) -> Option<usize> {
    let trimmed = text.trim_start();
    let word = trimmed.find(|c: char| c.is_ascii_digit())?;
    let named = trimmed.get(..word)?.trim_end();
    if named.chars().count() > 8 || !named.chars().all(char::is_alphabetic) {
        return None;
    }
    let rest = trimmed.get(word..)?.strip_prefix(place.to_string().as_str())?;
    let signed = rest.strip_prefix(['.', ')', ':']);
    let rest = signed.unwrap_or(rest);
    let entry = rest.trim_start();
    // A number alone may be an amount; a long text behind it is a sentence.
    let clear = signed.is_some() || !named.is_empty() || entry.len() >= SENTENCE;
    (clear && entry.len() < rest.len() && !entry.is_empty()).then(|| text.len() - entry.len())
}

/// A text this long is a sentence, not the name of a thing.
const SENTENCE: usize = 25;

/// The bytes of each entry's counting number, if the entries are counted: all of them, or `most` of at least three where
/// headings and remarks stand between.
pub(super) fn counting(entries: &[&str], most: bool) -> Vec<Option<usize>> {
    let mut next = 1;
    let mut skips = Vec::new();
    for entry in entries {
        let skip = counted(entry, next);
        next += usize::from(skip.is_some());
        skips.push(skip);
    }
    let found = next - 1;
    let enough = (found == entries.len() && found > 1) || (most && found >= 3 && found * 2 > entries.len());
    if enough { skips } else { vec![None; entries.len()] }
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
