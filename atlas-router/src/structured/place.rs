//! Where in a document: keys that a model made up may be words of a page or of someone who means harm, so that only the schema's own
//! are told.

use super::check::short;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Of a key that is not the schema's, the model itself is shown so many characters.
const MOST_HINTED: usize = 24;

/// The names that a schema gives to properties, wherever in it.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<BTreeSet<String>>);

/// A place, as a JSON Pointer.
pub(super) struct Place {
    /// With `*` for each key that is not the schema's.
    pub(super) told: String,
    /// With the beginning of such a key, escaped: for the model that wrote it.
    pub(super) hint: String,
}

impl Names {
    pub(super) fn of(schema: &Value) -> Self {
        let mut names = BTreeSet::new();
        collect(schema, &mut names);
        Self(Arc::new(names))
    }

    /// The place of a pointer into a document.
    pub(super) fn place(&self, pointer: &str, mut value: &Value) -> Place {
        let (mut told, mut hint) = (String::new(), String::new());
        for step in pointer.split('/').skip(1) {
            let key = step.replace("~1", "/").replace("~0", "~");
            let is_own = match value {
                Value::Object(members) => {
                    value = members.get(&key).unwrap_or(&Value::Null);
                    self.0.contains(&key)
                }
                Value::Array(items) => {
                    value = key.parse().ok().and_then(|at: usize| items.get(at)).unwrap_or(&Value::Null);
                    true
                }
                _ => false,
            };
            for (place, foreign) in [(&mut told, "*".to_owned()), (&mut hint, hinted(step))] {
                place.push('/');
                place.push_str(if is_own { step } else { &foreign });
            }
        }
        Place { told: short(&told), hint: short(&hint) }
    }
}

/// The beginning of a key, with everything escaped that does not print.
fn hinted(key: &str) -> String {
    let mut hint: String = key.chars().take(MOST_HINTED).flat_map(char::escape_debug).collect();
    if key.chars().nth(MOST_HINTED).is_some() {
        hint.push_str("...");
    }
    hint
}

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            for (keyword, under) in map {
                match (keyword.as_str(), under) {
                    ("properties" | "dependentSchemas" | "dependentRequired", Value::Object(properties)) => {
                        names.extend(properties.keys().cloned());
                        properties.values().for_each(|one| collect(one, names));
                    }
                    ("required", Value::Array(required)) => {
                        names.extend(required.iter().filter_map(Value::as_str).map(str::to_owned));
                    }
                    _ => collect(under, names),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| collect(one, names)),
        _ => {}
    }
}
