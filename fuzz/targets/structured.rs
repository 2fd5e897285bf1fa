//! Any text, read as a structured reply: documents or an error, valid JSON just as it stands, and what was cut off told. Never a
//! panic.
#![no_main]

use atlas_router::client::JsonSchema;
use atlas_router::structured::{Bounds, Shape, documents};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::sync::LazyLock;

static SHAPE: LazyLock<Shape> = LazyLock::new(|| {
    let schema = json!({
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "string", "enum": ["x", "Y"]},
            "c": {"type": "array", "items": {"anyOf": [{"type": "number"}, {"$ref": "#"}]}},
        },
    });
    Shape::new(JsonSchema::loose("s", schema).expect("a name")).expect("a schema")
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = documents(text, &Bounds::default());
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        let all = read.as_ref().expect("what serde_json reads is read");
        assert_eq!((all.len(), &all[0].value), (1, &value));
        assert!(all[0].repairs.listed.iter().all(|one| one.kind == atlas_router::structured::RepairKind::DuplicateKey));
    }
    if let Ok(all) = read {
        for one in all {
            // What was read is JSON, and reads as itself.
            let again = documents(&one.value.to_string(), &Bounds::default()).expect("JSON is read");
            assert!(again[0].value == one.value && again[0].repairs.is_empty());
        }
    }
    let _ = SHAPE.read(text);
});
