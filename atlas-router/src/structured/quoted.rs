//! Texts in quotes.

use super::parse::Parser;
use super::repairs::RepairKind;

/// Which quotes close what which quotes open.
const DOUBLE: &[char] = &['\u{201c}', '\u{201d}'];
const SINGLE: &[char] = &['\u{2018}', '\u{2019}'];

/// An escape that was read.
enum Escape {
    /// It stands for this.
    Means(char),
    /// It stands for nothing: a line that goes on.
    Nothing,
    /// It is none.
    None,
    /// The text ends within it.
    Cut,
}

impl Parser<'_> {
    /// A text in quotes and whether it came to its end; `None` if there are no quotes here.
    pub(super) fn quoted(&mut self) -> Option<(String, bool)> {
        let open = self.rest().chars().next()?;
        let (close, kind): (&[char], _) = match open {
            '"' => (&['"'], None),
            '\'' => (&['\''], Some(RepairKind::SingleQuotes)),
            '\u{201c}'..='\u{201f}' => (DOUBLE, Some(RepairKind::SmartQuotes)),
            '\u{2018}'..='\u{201b}' => (SINGLE, Some(RepairKind::SmartQuotes)),
            _ => return None,
        };
        if let Some(kind) = kind {
            self.note(kind);
        }
        self.at += open.len_utf8();
        let (mut text, mut has_control, mut has_odd) = (String::new(), false, false);
        let is_whole = loop {
            let rest = self.rest();
            let plain = rest.find(|one: char| one == '\\' || close.contains(&one)).unwrap_or(rest.len());
            let run = rest.get(..plain).unwrap_or_default();
            has_control |= run.bytes().any(|byte| byte < 0x20);
            text.push_str(run);
            let next = rest.get(plain..).and_then(|rest| rest.chars().next());
            self.at += plain;
            match next {
                None => break false,
                Some('\\') => {
                    let (escape, length) = escape(self.rest());
                    match escape {
                        Escape::Means(letter) => {
                            // JSON knows no escape of it.
                            has_odd |= letter == '\'';
                            text.push(letter);
                        }
                        Escape::Nothing => has_odd = true,
                        Escape::None => {
                            has_odd = true;
                            text.push('\\');
                        }
                        Escape::Cut => {
                            self.at = self.text.len();
                            break false;
                        }
                    }
                    self.at += length;
                }
                Some(end) => {
                    self.at += end.len_utf8();
                    break true;
                }
            }
        };
        if has_control {
            self.note(RepairKind::ControlCharacter);
        }
        if has_odd {
            self.note(RepairKind::BadEscape);
        }
        if !is_whole {
            self.cut();
        }
        Some((text, is_whole))
    }
}

/// What a backslash at the beginning of `rest` begins, and its length.
fn escape(rest: &str) -> (Escape, usize) {
    let Some(letter) = rest.chars().nth(1) else { return (Escape::Cut, 0) };
    let means = match letter {
        '"' | '\\' | '/' | '\'' => letter,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '\n' => return (Escape::Nothing, 2),
        'u' => return unicode(rest),
        _ => return (Escape::None, 1),
    };
    (Escape::Means(means), 2)
}

/// An escape with four hexadecimal digits, or two of them for one character.
fn unicode(rest: &str) -> (Escape, usize) {
    let first = match digits(rest) {
        Ok(code) => code,
        Err(escape) => return (escape, 1),
    };
    if let Some(letter) = char::from_u32(first) {
        return (Escape::Means(letter), 6);
    }
    if !(0xd800..0xdc00).contains(&first) {
        return (Escape::None, 1);
    }
    let second = rest.get(6..).unwrap_or_default();
    if second.is_empty() || second == "\\" {
        return (Escape::Cut, 0);
    }
    if !second.starts_with("\\u") {
        return (Escape::None, 1);
    }
    match digits(second) {
        Ok(low @ 0xdc00..0xe000) => {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(code).map_or((Escape::None, 1), |letter| (Escape::Means(letter), 12))
        }
        Err(Escape::Cut) => (Escape::Cut, 0),
        _ => (Escape::None, 1),
    }
}

/// The code after `\u`.
fn digits(rest: &str) -> Result<u32, Escape> {
    let digits = rest.get(2..).unwrap_or_default();
    let length = digits.bytes().take(4).take_while(u8::is_ascii_hexdigit).count();
    match digits.get(..length) {
        Some(hex) if length == 4 => u32::from_str_radix(hex, 16).map_err(|_| Escape::None),
        Some(_) if length == digits.len() => Err(Escape::Cut),
        _ => Err(Escape::None),
    }
}
