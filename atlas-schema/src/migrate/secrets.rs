//! Secrets: found by the name of their key or by their form, removed, and reported by place only.
//!
//! What a page said (`data`, `result.data`, `partialResults`, `htmlContent`) is not searched: a field named `token` there is
//! a finding, not a credential. JSON Schemas are not either: they describe a field named `password`, they hold none.

use crate::pointer::JsonPointer;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Removes every secret and returns where they stood.
pub(super) fn remove(map: &mut Map<String, Value>) -> Vec<JsonPointer> {
    search(map, false)
}

/// Puts null in the place of every secret, so that the record keeps its shape, and returns where they stood.
pub(super) fn blank(map: &mut Map<String, Value>) -> Vec<JsonPointer> {
    search(map, true)
}

fn search(map: &mut Map<String, Value>, blank: bool) -> Vec<JsonPointer> {
    let mut search = Search { path: String::new(), removed: Vec::new(), blank };
    // The function's first writer stored the first eight characters of the caller's API key as the user.
    if let Some(user @ Value::String(_)) = map.get_mut("userId") {
        *user = Value::Null;
        search.removed.push(JsonPointer::root().key("userId"));
    }
    search.object(map, Where::Record);
    search.removed
}

#[derive(Clone, Copy, PartialEq)]
enum Where {
    /// Keys and texts are searched.
    Record,
    /// The result: keys are searched, texts of pages are left alone.
    Result,
}

struct Search {
    path: String,
    removed: Vec<JsonPointer>,
    blank: bool,
}

impl Search {
    fn object(&mut self, map: &mut Map<String, Value>, place: Where) {
        let length = self.path.len();
        map.retain(|key, value| {
            self.push(key);
            let keep = self.entry(key, value, place);
            if !keep {
                *value = Value::Null;
                self.report();
            }
            self.path.truncate(length);
            keep || self.blank
        });
    }

    /// Whether the entry stays.
    fn entry(&mut self, key: &str, value: &mut Value, place: Where) -> bool {
        let name = plain_name(key);
        let said_by_page = matches!(self.path.as_str(), "/data" | "/result/data" | "/partialResults" | "/htmlContent");
        if said_by_page || matches!(&*name, "outputschema" | "schema") {
            return true;
        }
        if is_secret_name(&name) && holds_something(value) {
            return false;
        }
        let place = match (self.path.as_str(), key) {
            ("/result", _) => Where::Result,
            (_, "error") => Where::Record,
            _ => place,
        };
        self.value(value, place);
        true
    }

    fn value(&mut self, value: &mut Value, place: Where) {
        match value {
            Value::Object(map) => self.object(map, place),
            Value::Array(items) => {
                let length = self.path.len();
                for (index, item) in items.iter_mut().enumerate() {
                    self.push(&index.to_string());
                    self.value(item, place);
                    self.path.truncate(length);
                }
            }
            Value::String(text) if place == Where::Record => {
                if let Some(clean) = without_secrets(text) {
                    *text = clean;
                    self.report();
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, key: &str) {
        self.path.push('/');
        if key.contains(['~', '/']) {
            self.path.push_str(&key.replace('~', "~0").replace('/', "~1"));
        } else {
            self.path.push_str(key);
        }
    }

    /// The place, or the nearest one around it that a pointer can reach.
    fn report(&mut self) {
        let mut path = self.path.as_str();
        let pointer = loop {
            match JsonPointer::parse(path) {
                Ok(pointer) => break pointer,
                Err(_) => path = path.rsplit_once('/').map_or("", |(outer, _)| outer),
            }
        };
        self.removed.push(pointer);
    }
}

fn holds_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::String(text) => !text.is_empty(),
        Value::Number(_) => true,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

/// Lower case, without `-` and `_`.
fn plain_name(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|b| b.is_ascii_lowercase()) {
        return Cow::Borrowed(key);
    }
    Cow::Owned(key.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect())
}

fn is_secret_name(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "authorization",
        "proxyauthorization",
        "token",
        "xauthtoken",
        "bearer",
        "secret",
        "password",
        "passwd",
        "cookie",
        "cookies",
        "setcookie",
        "credentials",
        "privatekey",
        "awsaccesskeyid",
    ];
    const ENDINGS: [&str; 11] = [
        "apikey",
        "accesstoken",
        "authtoken",
        "bearertoken",
        "refreshtoken",
        "sessiontoken",
        "securitytoken",
        "idtoken",
        "clientsecret",
        "secretkey",
        "secretaccesskey",
    ];
    NAMES.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The text without credentials in addresses and without well-known forms of keys; `None` if it has none.
fn without_secrets(text: &str) -> Option<String> {
    let has_address = text.contains("://");
    let has_key = ["sk-", "AKIA", "earer "].iter().any(|mark| text.contains(mark));
    if !has_address && !has_key {
        return None;
    }
    // Blanks and quotes end a word and are kept as they are.
    let is_end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`');
    let mut clean = String::with_capacity(text.len());
    let mut after_bearer = false;
    for piece in text.split_inclusive(is_end) {
        let word = piece.trim_end_matches(is_end);
        let rest = &piece[word.len()..];
        if (after_bearer && word.len() >= 16) || is_key(word) {
            clean.push_str("[removed]");
        } else if word.contains("://") {
            clean.push_str(&without_credentials(word));
        } else {
            clean.push_str(word);
        }
        clean.push_str(rest);
        after_bearer = word.eq_ignore_ascii_case("bearer") || (after_bearer && word.is_empty());
    }
    (clean != text).then_some(clean)
}

fn is_key(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let body = |rest: &str, min: usize| {
        rest.len() >= min
            && rest.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && rest.bytes().any(|b| b.is_ascii_digit())
    };
    word.strip_prefix("sk-").is_some_and(|rest| body(rest, 16))
        || word.strip_prefix("AKIA").is_some_and(|rest| body(rest, 16))
}

/// An address without user, password and secret query parameters; everything else stays character for character.
fn without_credentials(word: &str) -> Cow<'_, str> {
    let Some((scheme, rest)) = word.split_once("://") else { return Cow::Borrowed(word) };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
    let (before_fragment, fragment) = rest.find('#').map_or((rest, ""), |at| rest.split_at(at));
    let (path, query) = before_fragment.split_once('?').map_or((before_fragment, None), |(p, q)| (p, Some(q)));
    let is_secret = |pair: &&str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        !value.is_empty() && is_secret_name(&plain_name(name))
    };
    let has_secret = query.is_some_and(|query| query.split('&').any(|pair| is_secret(&pair)));
    if host == 0 && !has_secret {
        return Cow::Borrowed(word);
    }
    let mut clean = format!("{scheme}://{}", &path[host.min(path.len())..]);
    let left: Vec<&str> = query.into_iter().flat_map(|q| q.split('&')).filter(|pair| !is_secret(pair)).collect();
    if !left.is_empty() {
        clean.push('?');
        clean.push_str(&left.join("&"));
    }
    clean.push_str(fragment);
    Cow::Owned(clean)
}
