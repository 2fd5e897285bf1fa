//! Reading JSON as pages write it: comments, raw control characters, trailing commas, wrappers, several documents.
//!
//! Only spelling is forgiven; numbers stay as written. A text that breaks off keeps what was complete before the break: in such
//! a text a quotation mark that nothing of JSON follows is part of its string, and a value that more text follows is dropped.
//! Time is linear in the text and nesting is bounded, so that no page can make it expensive.

use super::tree::{Json, Step, Tree};

/// Deeper nesting ends the reading, as in `serde_json`.
const MAX_DEPTH: u32 = 128;

/// Reads `text`; several documents in a row become entries of one array. `None` if not one value could be read.
pub(crate) fn parse(text: &str) -> Option<Tree> {
    let mut count = 0;
    let mut probe = Reader::new(text);
    while probe.skip_to_document() && probe.value(None, Step::Root, 0, 0).is_some() {
        count += 1;
        if count > 1 {
            break;
        }
    }
    let mut reader = Reader::new(text);
    let mut tree = Tree::default();
    match count {
        0 => return partial(text),
        1 => {
            reader.skip_to_document();
            reader.value(Some(&mut tree), Step::Root, 0, 0)?;
        }
        _ => {
            let root = tree.push(Step::Root, 0, Json::Array);
            let mut index = 0;
            while reader.skip_to_document() && reader.value(Some(&mut tree), Step::Index(index), root, 0).is_some() {
                index += 1;
            }
            tree.close(root);
        }
    }
    Some(tree)
}

/// A document that breaks off: its complete members are kept.
fn partial(text: &str) -> Option<Tree> {
    let mut reader = Reader { torn: true, ..Reader::new(text) };
    let mut tree = Tree::default();
    (reader.skip_to_document() && reader.value(Some(&mut tree), Step::Root, 0, 0).is_some()).then_some(tree)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// Whether a fault inside a container ends that container instead of the reading.
    torn: bool,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, torn: false }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    /// Blanks of any sort, comments and byte order marks.
    fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
            self.at += rest.len() - trimmed.len();
            let end = if trimmed.starts_with("//") {
                trimmed.find('\n').unwrap_or(trimmed.len())
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map_or(trimmed.len(), |end| end + 2)
            } else {
                return;
            };
            self.at += end;
        }
    }

    /// Past wrappers such as `<!--`, `<![CDATA[` and `;` to the next `{` or `[`.
    fn skip_to_document(&mut self) -> bool {
        loop {
            self.skip_blank();
            let rest = self.rest();
            if rest.starts_with("<![CDATA[") {
                self.at += "<![CDATA[".len();
                continue;
            }
            match rest.bytes().next() {
                None => return false,
                Some(b'{' | b'[') => return true,
                Some(_) => self.at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
    }

    fn value(&mut self, mut tree: Option<&mut Tree>, step: Step, parent: u32, depth: u32) -> Option<()> {
        self.skip_blank();
        match self.byte()? {
            b'{' if depth < MAX_DEPTH => {
                self.at += 1;
                let at = tree.as_deref_mut().map_or(0, |tree| tree.push(step, parent, Json::Object));
                let whole = self.members(tree.as_deref_mut(), at, depth);
                if let Some(tree) = tree {
                    tree.close(at);
                }
                self.kept(whole)
            }
            b'[' if depth < MAX_DEPTH => {
                self.at += 1;
                let at = tree.as_deref_mut().map_or(0, |tree| tree.push(step, parent, Json::Array));
                let whole = self.entries(tree.as_deref_mut(), at, depth);
                if let Some(tree) = tree {
                    tree.close(at);
                }
                self.kept(whole)
            }
            quote @ (b'"' | b'\'') => {
                let text = self.string(quote, tree.is_some())?;
                push(tree, step, parent, Json::Text(text.into()));
                Some(())
            }
            _ => {
                let rest = self.rest();
                let end = rest
                    .find(|c: char| matches!(c, ',' | '}' | ']' | ':' | '"' | '/') || c.is_whitespace())
                    .unwrap_or(rest.len());
                let word = rest.get(..end)?;
                let json = match word {
                    "null" | "undefined" | "NaN" => Json::Null,
                    "true" | "True" => Json::Bool(true),
                    "false" | "False" => Json::Bool(false),
                    _ => {
                        // Words such as `inf` parse as well.
                        let digits =
                            word.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
                        word.parse::<f64>().ok().filter(|_| digits)?;
                        Json::Number(word.trim_start_matches('+').into())
                    }
                };
                self.at += end;
                push(tree, step, parent, json);
                Some(())
            }
        }
    }

    /// What a fault inside a container means for the container. In a torn document the reading ends there for good:
    /// going on in each enclosing container would try the same fault again at every level.
    fn kept(&mut self, whole: Option<()>) -> Option<()> {
        if whole.is_none() && self.torn {
            self.at = self.text.len();
            return Some(());
        }
        whole
    }

    fn members(&mut self, mut tree: Option<&mut Tree>, at: u32, depth: u32) -> Option<()> {
        loop {
            self.skip_blank();
            match self.byte()? {
                b'}' => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                quote @ (b'"' | b'\'') => {
                    let key = self.string(quote, tree.is_some())?;
                    self.skip_blank();
                    if self.byte()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    self.skip_blank();
                    // `"key": ,` and `"key": }` state nothing.
                    if matches!(self.byte()?, b',' | b'}') {
                        continue;
                    }
                    let before = tree.as_deref().map(Tree::len);
                    self.value(tree.as_deref_mut(), Step::Key(key.into()), at, depth + 1)?;
                    self.skip_blank();
                    if self.torn && !matches!(self.byte(), Some(b',' | b'}')) {
                        // Whatever the value is, it is not what ends here.
                        if let (Some(tree), Some(before)) = (tree, before) {
                            tree.drop_leaf(before);
                        }
                        return None;
                    }
                }
                _ => return None,
            }
        }
    }

    fn entries(&mut self, mut tree: Option<&mut Tree>, at: u32, depth: u32) -> Option<()> {
        let mut index = 0;
        loop {
            self.skip_blank();
            match self.byte()? {
                b']' => {
                    self.at += 1;
                    return Some(());
                }
                b',' => self.at += 1,
                _ => {
                    self.value(tree.as_deref_mut(), Step::Index(index), at, depth + 1)?;
                    index += 1;
                }
            }
        }
    }

    /// A string, raw control characters and line ends included.
    fn string(&mut self, quote: u8, keep: bool) -> Option<String> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().position(|b| b == quote || b == b'\\')?;
            if keep {
                text.push_str(rest.get(..plain)?);
            }
            self.at += plain;
            if self.byte()? == quote {
                self.at += 1;
                if !self.torn || self.ends_string() {
                    return Some(text);
                }
                if keep {
                    text.push(char::from(quote));
                }
                continue;
            }
            self.at += 1;
            let escaped = self.rest().chars().next()?;
            self.at += escaped.len_utf8();
            match escaped {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'b' | 'f' => text.push(' '),
                'u' => text.push(self.unicode()),
                other => text.push(other),
            }
        }
    }

    /// Whether what follows a quotation mark can follow a string.
    fn ends_string(&self) -> bool {
        let next = self.rest().trim_start_matches(|c: char| c.is_whitespace() || c.is_control());
        next.is_empty() || next.starts_with([',', ':', '}', ']', '/'])
    }

    /// The character after `\u`; a lone surrogate or a malformed escape is U+FFFD.
    fn unicode(&mut self) -> char {
        let Some(first) = self.hex() else { return char::REPLACEMENT_CHARACTER };
        if (0xD800..0xDC00).contains(&first) && self.rest().starts_with("\\u") {
            let before = self.at;
            self.at += 2;
            if let Some(second) = self.hex().filter(|second| (0xDC00..0xE000).contains(second)) {
                let joined = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER);
            }
            self.at = before;
        }
        char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.rest().get(..4)?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        self.at += 4;
        Some(value)
    }
}

fn push(tree: Option<&mut Tree>, step: Step, parent: u32, json: Json) {
    if let Some(tree) = tree {
        tree.push(step, parent, json);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Json, Tree, parse};
    use proptest::prelude::*;
    use serde_json::Value;

    /// Everything a tree holds, in document order, numbers by value.
    fn flat(tree: &Tree, at: u32, all: &mut Vec<(String, String)>) {
        let text = match tree.json(at) {
            Json::Number(number) => format!("{:?}", number.parse::<f64>().unwrap() + 0.0),
            other => format!("{other:?}"),
        };
        all.push((tree.pointer(at), text));
        tree.children(at).for_each(|child| flat(tree, child, all));
    }

    fn facts(tree: &Tree) -> Vec<(String, String)> {
        let mut all = Vec::new();
        flat(tree, 0, &mut all);
        all
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = r#"[a-z"'\\/{}\[\],:<>!* \n\té日𝒳\u{7f}-]{0,12}"#;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e12_f64..1e12).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        let inner = leaf.prop_recursive(5, 40, 5, move |inner| {
            let members = prop::collection::vec((text, inner.clone()), 0..5);
            prop_oneof![
                members.prop_map(|members| Value::Object(members.into_iter().collect())),
                prop::collection::vec(inner, 0..5).prop_map(Value::Array),
            ]
        });
        prop::collection::vec(inner, 0..4).prop_map(Value::Array)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

        #[test]
        fn valid_json_reads_as_the_strict_reader_reads_it(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(facts(&parse(&text).unwrap()), facts(&Tree::parse(&text).unwrap()));
        }

        #[test]
        fn any_text_is_read_or_left(text in r#"([{}\[\]:,"'\\/*<>!u0-9a-fA-F\-\. \n]|null|true|//|/\*|\*/|<!--|\\ud83d|é|\PC){0,60}"#) {
            if let Some(tree) = parse(&text) {
                facts(&tree);
            }
        }

        #[test]
        fn json_that_breaks_off_anywhere_is_read_or_left(value in json(), cut in any::<prop::sample::Index>()) {
            let text: Vec<char> = value.to_string().chars().collect();
            let torn: String = text.iter().take(cut.index(text.len())).collect();
            if let Some(tree) = parse(&torn) {
                facts(&tree);
            }
        }
    }
}
