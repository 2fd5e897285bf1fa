//! What holds for every document: valid ones stay as they are, and beginnings of them lead to nothing that is not in them.

use super::*;
use crate::{Rng, cases};
use serde_json::{Map, Number, json};

/// A text of whatever stands in texts, with what readers trip over.
fn text(rng: &mut Rng) -> String {
    const PARTS: [&str; 22] = [
        "a", "Z", " ", "\n", "\t", "\"", "\\", "/", "{", "}", "[", "]", ",", ":", "'", "“", "”", "é", "😀", "```",
        "//", "\u{0}",
    ];
    (0..rng.below(8)).map(|_| *rng.pick(&PARTS)).collect()
}

fn number(rng: &mut Rng) -> Number {
    match rng.below(5) {
        0 => Number::from(rng.next()),
        1 => Number::from(-i64::try_from(rng.next() >> 1).unwrap()),
        2 => Number::from(rng.below(100)),
        _ => Number::from_f64(f64::from_bits(rng.next())).unwrap_or_else(|| Number::from(0)),
    }
}

fn document(rng: &mut Rng, depth: u64) -> Value {
    match rng.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => Value::Bool(rng.below(2) == 0),
        2 | 3 => Value::Number(number(rng)),
        4 => Value::String(text(rng)),
        5 => (0..rng.below(5)).map(|_| document(rng, depth - 1)).collect(),
        _ => (0..rng.below(5)).map(|_| (text(rng), document(rng, depth - 1))).collect::<Map<_, _>>().into(),
    }
}

fn written(rng: &mut Rng, value: &Value) -> String {
    if rng.below(2) == 0 { value.to_string() } else { serde_json::to_string_pretty(value).unwrap() }
}

/// Whether `part` is what the beginning of a text of `whole` may be read as.
fn begins(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::String(part), Value::String(whole)) => whole.starts_with(part.as_str()),
        (Value::Array(part), Value::Array(whole)) => {
            part.len() <= whole.len() && part.iter().zip(whole).all(|(part, whole)| begins(part, whole))
        }
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| begins(part, whole)))
        }
        _ => part == whole,
    }
}

#[test]
fn a_valid_document_is_read_as_it_stands_and_nothing_is_reported() {
    let mut rng = Rng::new(41);
    for case in 0..cases(3000) {
        let value = document(&mut rng, 4);
        let text = written(&mut rng, &value);
        assert_eq!(read(&text).unwrap(), (serde_json::from_str(&text).unwrap(), vec![]), "case {case}: {text}");
    }
}

#[test]
fn the_beginning_of_a_document_is_told_as_such_and_says_nothing_that_the_whole_does_not() {
    let mut rng = Rng::new(42);
    for case in 0..cases(300) {
        let value = document(&mut rng, 4);
        let text = written(&mut rng, &value);
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let part = &text[..end];
            if serde_json::from_str::<Value>(part).is_ok() {
                // Such as `1` of `12`: nobody can see that there was more.
                continue;
            }
            match documents(part, &Bounds::default()) {
                Ok(all) => {
                    assert_eq!(all.len(), 1, "case {case}: {part}");
                    assert!(all[0].repairs.is_truncated, "case {case}: {part}");
                    assert!(begins(&all[0].value, &value), "case {case}: {part}");
                }
                Err(error) => {
                    let is_empty = part.trim().is_empty() && error == ReadError::Nothing;
                    assert!(error.is_truncated() || is_empty, "case {case}: {part}: {error}");
                }
            }
        }
    }
}

#[test]
fn prose_and_fences_around_a_document_change_nothing_of_it() {
    let mut rng = Rng::new(43);
    for case in 0..cases(1000) {
        let value = json!([document(&mut rng, 3)]);
        let text = written(&mut rng, &value);
        for around in [format!("Here you are:\n{text}\nThanks."), format!("Here:\n```json\n{text}\n```\nThanks [1].")] {
            let (read, told) = read(&around).unwrap();
            assert_eq!(
                (read, told),
                (value.clone(), vec![(String::new(), RepairKind::Prose)]),
                "case {case}: {around}"
            );
        }
    }
}

#[test]
fn no_change_of_a_byte_makes_it_panic() {
    let mut rng = Rng::new(44);
    for _ in 0..cases(3000) {
        let mut bytes = document(&mut rng, 3).to_string().into_bytes();
        for _ in 0..=rng.below(3) {
            let at = usize::try_from(rng.below(bytes.len() as u64)).unwrap();
            bytes[at] = *rng.pick(b"{}[]\",:'\\u0n-+.e`/*# \n\xe2");
        }
        let _ = documents(&String::from_utf8_lossy(&bytes), &Bounds::default());
    }
}
