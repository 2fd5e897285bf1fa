//! What is read leniently, and that each leniency is told with its place.

use super::*;
use serde_json::json;

/// A reply, what it says, and its repairs.
type Row<'a> = (&'a str, Value, &'a [(&'a str, RepairKind)]);

#[test]
fn what_models_do_to_json_is_mended_and_told() {
    use RepairKind::*;
    let rows: &[Row<'_>] = &[
        ("```json\n{\"a\": 1}\n```", json!({"a": 1}), &[("", Fence)]),
        ("```\n[1]\n```\n", json!([1]), &[("", Fence)]),
        ("```JSON {\"a\": 1}```", json!({"a": 1}), &[("", Fence)]),
        ("```json\n\"words\"\n```", json!("words"), &[("", Fence)]),
        ("Sure! Here it is:\n{\"a\": 1}\nAnything else?", json!({"a": 1}), &[("", Prose)]),
        ("Sure:\n```json\n{\"a\": 1}\n```\nAs in [1, p. 3] and {b}.", json!({"a": 1}), &[("", Prose)]),
        ("The set {x, y} gives {\"a\": 1}", json!({"a": 1}), &[("", Prose)]),
        ("{\"a\": 1}}", json!({"a": 1}), &[("", Prose)]),
        (
            "{\"a\": 1, // one\n \"b\": /* two */ 2} # done",
            json!({"a": 1, "b": 2}),
            &[("", Comment), ("/b", Comment), ("", Prose)],
        ),
        ("{\"a\": [1, 2,], }", json!({"a": [1, 2]}), &[("/a", TrailingComma), ("", TrailingComma)]),
        ("{\"a\": 1\n \"b\": [1\n2]}", json!({"a": 1, "b": [1, 2]}), &[("", MissingComma), ("/b", MissingComma)]),
        ("{'a': 'it is \"so\"'}", json!({"a": "it is \"so\""}), &[("", SingleQuotes), ("/a", SingleQuotes)]),
        ("{“a”: „so“}", json!({"a": "so"}), &[("", SmartQuotes), ("/a", SmartQuotes)]),
        ("{\"a\": \"he said “so”\"}", json!({"a": "he said “so”"}), &[]),
        ("{a: 1, größe-2: 2}", json!({"a": 1, "größe-2": 2}), &[("/a", UnquotedKey), ("/größe-2", UnquotedKey)]),
        ("[True, None, FALSE]", json!([true, null, false]), &[("/0", Literal), ("/1", Literal), ("/2", Literal)]),
        (
            "[+1, .5, 5., -.5e2 ]",
            json!([1, 0.5, 5.0, -50.0]),
            &[("/0", NumberForm), ("/1", NumberForm), ("/2", NumberForm), ("/3", NumberForm)],
        ),
        ("[\"two\nlines\"]", json!(["two\nlines"]), &[("/0", ControlCharacter)]),
        (
            r#"["C:\dir\u12", "\ud800x", "it\'s"]"#,
            json!(["C:\\dir\\u12", "\\ud800x", "it's"]),
            &[("/0", BadEscape), ("/1", BadEscape), ("/2", BadEscape)],
        ),
        ("{\"a\":\u{a0}1}", json!({"a": 1}), &[("/a", OddSpace)]),
        ("{\"a\": 1, \"a\": 2}", json!({"a": 2}), &[("/a", DuplicateKey)]),
        ("{\"a/b\": {\"~\": [1,]}}", json!({"a/b": {"~": [1]}}), &[("/a~1b/~0", TrailingComma)]),
    ];
    for (text, value, repairs) in rows {
        let (read, told) = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(&read, value, "{text}");
        let told: Vec<_> = told.iter().map(|(pointer, kind)| (pointer.as_str(), *kind)).collect();
        assert_eq!(&told, repairs, "{text}");
    }
}

#[test]
fn what_was_cut_off_is_closed_where_it_stood_and_nothing_half_written_is_kept() {
    let rows = [
        ("{\"a\": [1, 23", json!({"a": [1]}), "/a/1"),
        ("{\"a\": [1, 23 ", json!({"a": [1, 23]}), "/a"),
        ("{\"a\": 1, \"b\": tru", json!({"a": 1}), "/b"),
        ("{\"a\": 1, \"b", json!({"a": 1}), ""),
        ("{\"a\": 1, \"b\"", json!({"a": 1}), ""),
        ("{\"a\": 1, b", json!({"a": 1}), ""),
        ("{\"a\": \"wor", json!({"a": "wor"}), "/a"),
        ("{\"a\": \"wor\\", json!({"a": "wor"}), "/a"),
        ("{\"a\": \"\\ud83d\\ude0", json!({"a": ""}), "/a"),
        ("```json\n{\"a\": [1, 2\n```", json!({"a": [1, 2]}), "/a"),
        ("{", json!({}), ""),
    ];
    for (text, value, place) in rows {
        let (read, told) = read(text).unwrap();
        assert_eq!(read, value, "{text}");
        assert_eq!(
            told.iter().filter(|(_, kind)| *kind == RepairKind::Truncated).collect::<Vec<_>>(),
            [&(place.to_owned(), RepairKind::Truncated)],
            "{text}"
        );
    }
    for text in ["tru", "-", "1e", "```json\nnul"] {
        let error = read(text).unwrap_err();
        assert!(error.is_truncated(), "{text}: {error}");
    }
}

#[test]
fn what_could_mean_two_things_is_refused_with_its_place() {
    let rows = [
        ("{\"a\": \"he said \"so\" to me\"}", 16),
        ("{\"a\": 1 \"b\": 2}", 8),
        ("[1,,2]", 3),
        ("[1, undefined]", 4),
        ("[1, NaN]", 4),
        ("[1, 007]", 4),
        ("[1, +-5]", 4),
        ("[1, 0x1F]", 4),
        ("[1, 1e999]", 4),
        ("[1, 2}", 5),
        // Only a part of what was meant: it must not be taken for the whole.
        ("{\"name\": \"x\" \"address\": {\"city\": \"y\"}}", 13),
        ("{\"v\": NaN, \"next\": {\"v\": 2, \"next\": null}}", 6),
        ("Example: {\"n\": 1}. Answer: {n: N/A}", 31),
    ];
    for (text, at) in rows {
        match read(text).unwrap_err() {
            ReadError::Broken { at: place, .. } => assert_eq!(place, at, "{text}"),
            other => panic!("{text}: {other}"),
        }
    }
    for text in ["", "  \n", "I can't do that.", "The answer is 42.", "Take {x} and [see].", "42 is it"] {
        assert_eq!(read(text).unwrap_err(), ReadError::Nothing, "{text}");
    }
}

#[test]
fn documents_come_in_their_order_and_more_than_can_be_chosen_from_are_refused() {
    let all = documents("First {\"a\": 1} then [2].", &Bounds::default()).unwrap();
    assert_eq!(all.iter().map(|one| one.value.clone()).collect::<Vec<_>>(), [json!({"a": 1}), json!([2])]);
    assert_eq!(documents(&"[1] ".repeat(65), &Bounds::default()).unwrap_err(), ReadError::Several);
}

#[test]
fn nothing_that_was_read_is_shown_by_debug() {
    let shown = format!("{:?}", documents("{name: 'Ada'}", &Bounds::default()).unwrap());
    assert!(!shown.contains("Ada"), "{shown}");
}
