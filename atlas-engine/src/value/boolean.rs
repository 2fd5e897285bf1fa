//! Yes and no.

use super::fold::Folded;
use super::lexicon::Lexicon;
use super::{Found, Locale};
use std::sync::LazyLock;

/// The truth value of a text that says nothing else: `yes`, `Ja.`, `否`, `true`, `✓`.
///
/// A sentence that contains such a word is not read.
pub fn parse(text: &str, locale: &Locale) -> Option<Found<bool>> {
    let folded = Folded::new(text)?;
    let inner = folded.trimmed();
    let word = folded.text.get(inner.clone())?.trim_end_matches(['.', '!']);
    let value = WORDS.get(word, locale.language())?;
    Some(Found { value, range: folded.source_range(inner.start..inner.start + word.len()) })
}

static WORDS: LazyLock<Lexicon<bool>> = LazyLock::new(|| {
    Lexicon::new(&[
        ("", true, "true|1|on|✓|✔|☑|✅|https://schema.org/true|http://schema.org/true"),
        ("", false, "false|0|off|✗|✘|☒|❌|✕|https://schema.org/false|http://schema.org/false"),
        ("en", true, "yes|y|enabled|included|available"),
        ("en", false, "no|n|none|disabled|not included|not available"),
        ("de", true, "ja|wahr|vorhanden|inklusive"),
        ("de", false, "nein|falsch|nicht vorhanden|keine|kein"),
        ("fr", true, "oui|vrai"),
        ("fr", false, "non|faux"),
        ("es", true, "sí|verdadero"),
        ("es", false, "no|falso"),
        ("it", true, "sì|vero"),
        ("it", false, "no|falso"),
        ("pt", true, "sim|verdadeiro"),
        ("pt", false, "não|falso"),
        ("nl", true, "ja|waar"),
        ("nl", false, "nee|neen|onwaar"),
        ("sv", true, "ja"),
        ("sv", false, "nej"),
        ("da", true, "ja"),
        ("da", false, "nej"),
        ("no", true, "ja"),
        ("no", false, "nei"),
        ("fi", true, "kyllä|on"),
        ("fi", false, "ei"),
        ("pl", true, "tak|prawda"),
        ("pl", false, "nie|fałsz"),
        ("cs", true, "ano"),
        ("cs", false, "ne"),
        ("sk", true, "áno"),
        ("sk", false, "nie"),
        ("hr", true, "da"),
        ("hr", false, "ne"),
        ("hu", true, "igen"),
        ("hu", false, "nem"),
        ("ro", true, "da"),
        ("ro", false, "nu"),
        ("ru", true, "да|есть"),
        ("ru", false, "нет"),
        ("uk", true, "так|є"),
        ("uk", false, "ні"),
        ("bg", true, "да"),
        ("bg", false, "не"),
        ("el", true, "ναι"),
        ("el", false, "όχι"),
        ("tr", true, "evet|var"),
        ("tr", false, "hayır|yok"),
        ("ja", true, "はい|有り|あり|有"),
        ("ja", false, "いいえ|無し|なし|無"),
        ("zh", true, "是|有|对"),
        ("zh", false, "否|不是|没有|無"),
        ("ko", true, "예|네|있음"),
        ("ko", false, "아니요|아니오|없음"),
        ("ar", true, "نعم"),
        ("ar", false, "لا"),
        ("he", true, "כן"),
        ("he", false, "לא"),
        ("th", true, "ใช่"),
        ("vi", true, "có"),
        ("vi", false, "không"),
        ("id", true, "ya"),
        ("id", false, "tidak"),
    ])
});
