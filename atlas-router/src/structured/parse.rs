//! One value, read leniently from where it begins: one pass, each byte looked at a bounded number of times.
//!
//! What is not JSON is accepted only where it can mean one thing, and is noted. Where it could mean two, reading stops.

use super::Bounds;
use super::repairs::{RepairKind, Repairs, Step};
use serde_json::{Map, Number, Value};

/// Why reading a value stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// What stands there is of no JSON.
    Broken { at: usize, rule: &'static str },
    /// It nests deeper than is allowed.
    Deep { max: usize },
    /// It has more values than are allowed.
    Many { max: usize },
}

/// A value and where it ends; `None` if the text ended before there was any.
pub(super) struct Read {
    pub(super) value: Option<Value>,
    pub(super) end: usize,
    pub(super) repairs: Repairs,
    /// The place of a text that the reply ended in.
    pub(super) half: Option<Vec<Step>>,
}

/// A value that was not read.
pub(super) struct Unread {
    pub(super) stop: Stop,
    /// A key and its colon, or an element was read before: so it was meant as JSON.
    pub(super) has_content: bool,
}

/// Reads the value that begins at `at`, which is on a character boundary. `values` counts over all values of a text.
pub(super) fn value(text: &str, at: usize, bounds: &Bounds, values: &mut usize) -> Result<Read, Unread> {
    let mut parser = Parser {
        text,
        at,
        bounds,
        values: *values,
        path: Vec::new(),
        repairs: Repairs::default(),
        has_content: false,
        half: None,
    };
    let read = parser.value();
    *values = parser.values;
    match read {
        Ok(value) => Ok(Read { value, end: parser.at, repairs: parser.repairs, half: parser.half }),
        Err(stop) => Err(Unread { stop, has_content: parser.has_content }),
    }
}

/// Skips spaces of all kinds.
pub(super) fn spaces(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_start_matches(is_space).len()
}

pub(super) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || letter == '\u{feff}'
}

pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    bounds: &'a Bounds,
    values: usize,
    path: Vec<Step>,
    repairs: Repairs,
    has_content: bool,
    half: Option<Vec<Step>>,
}

/// What stands between two tokens.
struct Gap {
    has_line_break: bool,
    next: Option<char>,
}

impl Parser<'_> {
    pub(super) fn note(&mut self, kind: RepairKind) {
        self.repairs.note(kind, &self.path);
    }

    /// The text ended in the middle. Only the innermost place is told: all around it are cut as well.
    pub(super) fn cut(&mut self) {
        if !self.repairs.is_truncated {
            self.note(RepairKind::Truncated);
        }
    }

    pub(super) fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn broken<T>(&self, rule: &'static str) -> Result<T, Stop> {
        Err(Stop::Broken { at: self.at, rule })
    }

    /// Skips spaces and comments. The end of the text and a closing fence are no next character.
    fn gap(&mut self) -> Gap {
        let mut has_line_break = false;
        loop {
            let rest = self.rest();
            let Some(next) = rest.chars().next() else { return Gap { has_line_break, next: None } };
            match next {
                ' ' | '\t' | '\r' => self.at += 1,
                '\n' => {
                    has_line_break = true;
                    self.at += 1;
                }
                // Without a space it may as well be a value such as `#fff`.
                '#' if rest.starts_with("# ") => self.comment("#", "\n"),
                '/' if rest.starts_with("//") => self.comment("//", "\n"),
                '/' if rest.starts_with("/*") => self.comment("/*", "*/"),
                '`' if rest.starts_with("```") => return Gap { has_line_break, next: None },
                odd if is_space(odd) => {
                    self.note(RepairKind::OddSpace);
                    self.at = spaces(self.text, self.at);
                }
                next => return Gap { has_line_break, next: Some(next) },
            }
        }
    }

    fn comment(&mut self, open: &str, close: &str) {
        self.note(RepairKind::Comment);
        self.at += open.len();
        let rest = self.rest();
        self.at += match rest.find(close) {
            // A line break belongs to what comes after the comment.
            Some(at) if close == "\n" => at,
            Some(at) => at + close.len(),
            None => rest.len(),
        };
    }

    /// A value; `None` if the text ends before it is certain what it is.
    fn value(&mut self) -> Result<Option<Value>, Stop> {
        self.values += 1;
        if self.values > self.bounds.max_values {
            return Err(Stop::Many { max: self.bounds.max_values });
        }
        let Some(next) = self.gap().next else {
            self.cut();
            return Ok(None);
        };
        match next {
            '{' | '[' if self.path.len() >= self.bounds.max_depth => Err(Stop::Deep { max: self.bounds.max_depth }),
            '{' => self.object(),
            '[' => self.array(),
            '-' | '+' | '.' | '0'..='9' => self.number(),
            letter if letter.is_ascii_alphabetic() => self.literal(),
            _ => match self.quoted() {
                Some((text, is_whole)) => {
                    if !is_whole {
                        self.half = Some(self.path.clone());
                    }
                    Ok(Some(Value::String(text)))
                }
                None => self.broken("must be a value"),
            },
        }
    }

    fn array(&mut self) -> Result<Option<Value>, Stop> {
        self.at += 1;
        let (mut all, mut after_comma) = (Vec::new(), false);
        loop {
            match self.gap().next {
                None => {
                    self.cut();
                    break;
                }
                Some(']') => {
                    if after_comma {
                        self.note(RepairKind::TrailingComma);
                    }
                    self.at += 1;
                    break;
                }
                Some(_) => {}
            }
            self.path.push(Step::At(all.len()));
            let value = self.value()?;
            self.path.pop();
            let Some(value) = value else { break };
            all.push(value);
            self.has_content = true;
            after_comma = self.separator(|next| !matches!(next, ']' | '}' | ':'))?;
        }
        Ok(Some(Value::Array(all)))
    }

    fn object(&mut self) -> Result<Option<Value>, Stop> {
        self.at += 1;
        let (mut all, mut after_comma) = (Map::new(), false);
        loop {
            match self.gap().next {
                None => {
                    self.cut();
                    break;
                }
                Some('}') => {
                    if after_comma {
                        self.note(RepairKind::TrailingComma);
                    }
                    self.at += 1;
                    break;
                }
                Some(_) => {}
            }
            let Some((key, is_bare)) = self.key()? else { break };
            match self.gap().next {
                None => {
                    self.cut();
                    break;
                }
                Some(':') => self.at += 1,
                Some(_) => return self.broken("must be a colon"),
            }
            // What follows may be broken, and what is within it must not be taken for the whole.
            self.has_content = true;
            self.path.push(Step::Key(key));
            if is_bare {
                self.note(RepairKind::UnquotedKey);
            }
            let value = self.value()?;
            if let (Some(Step::Key(key)), Some(value)) = (self.path.last(), value) {
                // As in every reader of JSON, the last one counts.
                if all.contains_key(key) {
                    self.note(RepairKind::DuplicateKey);
                }
                if let Some(Step::Key(key)) = self.path.pop() {
                    all.insert(key, value);
                }
            } else {
                self.path.pop();
                break;
            }
            after_comma = self.separator(|next| !matches!(next, ']' | '}' | ':' | '{' | '['))?;
        }
        Ok(Some(Value::Object(all)))
    }

    /// What stands behind a member or an element: whether a comma. Closing brackets are left to the caller.
    fn separator(&mut self, may_begin: fn(char) -> bool) -> Result<bool, Stop> {
        let gap = self.gap();
        match gap.next {
            Some(',') => {
                self.at += 1;
                Ok(true)
            }
            None | Some(']' | '}') => Ok(false),
            // Within a line it could as well be a text with quotes in it.
            Some(next) if gap.has_line_break && may_begin(next) => {
                self.note(RepairKind::MissingComma);
                Ok(false)
            }
            Some(_) => self.broken("must be a comma or a closing bracket"),
        }
    }

    /// A key and whether it is bare; `None` if the text ends within it.
    fn key(&mut self) -> Result<Option<(String, bool)>, Stop> {
        if let Some((key, is_whole)) = self.quoted() {
            return Ok(is_whole.then_some((key, false)));
        }
        let rest = self.rest();
        let letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '$');
        let length = rest.find(|one| !letter(one)).unwrap_or(rest.len());
        if length == 0 {
            return self.broken("must be a key");
        }
        if length == rest.len() {
            self.cut();
            return Ok(None);
        }
        let key = rest.get(..length).unwrap_or_default().to_owned();
        self.at += length;
        Ok(Some((key, true)))
    }

    fn literal(&mut self) -> Result<Option<Value>, Stop> {
        const KNOWN: [(&str, Value); 3] =
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
        let rest = self.rest();
        let length = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        let known = KNOWN.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        let known = known.or_else(|| (word == "None").then_some(("None", Value::Null)));
        if let Some((known, value)) = known {
            if known != word || known == "None" {
                self.note(RepairKind::Literal);
            }
            self.at += length;
            return Ok(Some(value));
        }
        let begins = |known: &str| known.get(..length).is_some_and(|begin| begin.eq_ignore_ascii_case(word));
        if length == rest.len() && ["true", "false", "null", "none"].into_iter().any(begins) {
            self.at += length;
            self.cut();
            return Ok(None);
        }
        self.broken("must be a value")
    }

    /// A number that has ended; one that goes up to the end of the text may go on, unless it is all there is.
    fn number(&mut self) -> Result<Option<Value>, Stop> {
        let rest = self.rest();
        let part = |letter: char| letter.is_ascii_digit() || matches!(letter, '-' | '+' | '.' | 'e' | 'E');
        let length = rest.find(|one| !part(one)).unwrap_or(rest.len());
        let written = rest.get(..length).unwrap_or_default();
        let is_open = length == rest.len();
        if !is_open && rest.get(length..).is_some_and(|rest| rest.starts_with(|one: char| one.is_alphanumeric())) {
            return self.broken("must be a number");
        }
        let read: Option<Number> = written.parse().ok();
        let (number, is_odd) = match read {
            Some(number) => (number, false),
            None if is_open => return Ok(self.unfinished(length)),
            None => match usual(written).and_then(|usual| usual.parse().ok()) {
                Some(number) => (number, true),
                None => return self.broken("must be a number"),
            },
        };
        if is_open && !self.path.is_empty() {
            return Ok(self.unfinished(length));
        }
        self.at += length;
        if is_odd {
            self.note(RepairKind::NumberForm);
        }
        Ok(Some(Value::Number(number)))
    }

    fn unfinished(&mut self, length: usize) -> Option<Value> {
        self.at += length;
        self.cut();
        None
    }
}

/// A number of JavaScript or Python as JSON writes it.
fn usual(written: &str) -> Option<String> {
    let (sign, rest) = match written.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", written.strip_prefix('+').unwrap_or(written)),
    };
    if rest.starts_with('-') {
        return None;
    }
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let (digits, exponent) = match fraction.find(['e', 'E']) {
        Some(at) => fraction.split_at(at),
        None => (fraction, ""),
    };
    if whole.is_empty() && digits.is_empty() {
        return None;
    }
    let or_zero = |digits: &str| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() };
    // A sign in the middle, leading zeros and the like stay, and are no number to whoever reads this.
    if rest.contains('.') {
        Some(format!("{sign}{}.{}{exponent}", or_zero(whole), or_zero(digits)))
    } else {
        Some(format!("{sign}{rest}"))
    }
}
