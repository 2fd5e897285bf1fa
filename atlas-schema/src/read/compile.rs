//! From a generated JSON Schema to the nodes of a [`Checker`](super::checker::Checker).

use super::checker::{Bounds, Node, Object, Others, Text, Type};
use super::patterns;
use serde_json::{Map, Value};

/// Deeper than any schema of ours: a cycle of references ends here.
const MAX_SCHEMA_DEPTH: usize = 32;

/// Keywords that say nothing about which values are valid.
const NOTES: [&str; 6] = ["$schema", "$defs", "title", "description", "default", "examples"];

/// Compiles one schema; `root` holds the definitions it refers to.
pub(super) fn node(schema: &Value, root: &Value, depth: usize) -> Node {
    let schema = match schema {
        Value::Bool(true) => return Node::Any,
        Value::Object(schema) if depth < MAX_SCHEMA_DEPTH => schema,
        Value::Object(_) => return Node::Never("$ref".into()),
        _ => return Node::Never("false".into()),
    };
    let schema = Keywords(schema);
    let (root, depth) = (root, depth + 1);
    match () {
        () if schema.0.contains_key("$ref") => schema.only(&["$ref"], |s| reference(s, root, depth)),
        () if schema.0.contains_key("anyOf") => schema.only(&["anyOf"], |s| nullable(s, root, depth)),
        () if schema.0.contains_key("oneOf") => schema.only(&["oneOf"], |s| one_of(s, root, depth)),
        () if schema.0.contains_key("enum") => schema.only(&["enum", "type"], words),
        () if schema.0.contains_key("const") => schema.only(&["const", "type"], |s| {
            s.get("const").and_then(Value::as_str).map(|word| Node::Words([word.into()].into()))
        }),
        () => match schema.0.get("type") {
            None => schema.only(&[], |_| Some(Node::Any)),
            Some(Value::String(name)) => typed(name, &schema, root, depth),
            Some(Value::Array(names)) => types(names, &schema, root, depth),
            Some(_) => Node::Never("type".into()),
        },
    }
}

struct Keywords<'a>(&'a Map<String, Value>);

impl Keywords<'_> {
    /// Builds the node unless there is a keyword beyond `known` that it would pass over.
    fn only(&self, known: &[&str], build: impl FnOnce(&Map<String, Value>) -> Option<Node>) -> Node {
        let odd = self.0.keys().find(|key| !known.contains(&key.as_str()) && !NOTES.contains(&key.as_str()));
        match odd {
            Some(odd) => Node::Never(odd.clone()),
            None => build(self.0).unwrap_or_else(|| Node::Never(known.join(" "))),
        }
    }
}

fn reference(schema: &Map<String, Value>, root: &Value, depth: usize) -> Option<Node> {
    let target = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
    Some(node(root.pointer(target)?, root, depth))
}

/// `anyOf: [X, null]`, the only use our types make of `anyOf`.
fn nullable(schema: &Map<String, Value>, root: &Value, depth: usize) -> Option<Node> {
    match schema.get("anyOf")?.as_array()?.as_slice() {
        [inner, null] if matches!(node(null, root, depth), Node::Null) => {
            Some(Node::Nullable(Box::new(node(inner, root, depth))))
        }
        _ => None,
    }
}

/// Either all branches are words, or all are objects that one required word tells apart: then "exactly one" is "the one".
fn one_of(schema: &Map<String, Value>, root: &Value, depth: usize) -> Option<Node> {
    let branches: Vec<Node> = schema.get("oneOf")?.as_array()?.iter().map(|s| node(s, root, depth)).collect();
    let words = |nodes: &[Node]| {
        let lists = nodes.iter().map(|one| if let Node::Words(words) = one { Some(words.clone()) } else { None });
        lists.collect::<Option<Vec<_>>>().map(|lists| lists.into_iter().flatten().collect::<Vec<_>>())
    };
    if let Some(words) = words(&branches) {
        return distinct(words).map(|words| Node::Words(words.into()));
    }
    let objects: Option<Vec<Object>> =
        branches.into_iter().map(|one| if let Node::Object(it) = one { Some(it) } else { None }).collect();
    let objects = objects?;
    let tag = objects.first()?.fields.iter().find(|(_, node)| single_word(node).is_some())?.0.clone();
    let tagged = objects.into_iter().map(|object| {
        let index = object.fields.iter().position(|(name, _)| *name == tag)?;
        let word = single_word(&object.fields[index].1)?;
        (object.required >> index & 1 == 1).then_some((word, object))
    });
    let branches: Vec<(Box<str>, Object)> = tagged.collect::<Option<_>>()?;
    distinct(branches.iter().map(|(word, _)| word.clone()).collect())?;
    Some(Node::Tagged { tag, branches: branches.into() })
}

fn single_word(node: &Node) -> Option<Box<str>> {
    match node {
        Node::Words(words) => match &**words {
            [word] => Some(word.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn distinct(words: Vec<Box<str>>) -> Option<Vec<Box<str>>> {
    let mut sorted: Vec<&str> = words.iter().map(|word| &**word).collect();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() == words.len() { Some(words) } else { None }
}

fn words(schema: &Map<String, Value>) -> Option<Node> {
    let words = schema.get("enum")?.as_array()?.iter().map(|word| word.as_str().map(Box::from));
    words.collect::<Option<Vec<Box<str>>>>().map(|words| Node::Words(words.into()))
}

/// `[X, "null"]` with X's own keywords, or bare types.
fn types(names: &[Value], schema: &Keywords<'_>, root: &Value, depth: usize) -> Node {
    if let [Value::String(name), Value::String(null)] = names
        && null == "null"
    {
        return Node::Nullable(Box::new(typed(name, schema, root, depth)));
    }
    schema.only(&["type"], |_| {
        let kinds = names.iter().map(|name| match name.as_str() {
            Some("null") => Some(Type::Null),
            Some("boolean") => Some(Type::Bool),
            Some("object") => Some(Type::Object),
            Some("array") => Some(Type::Array),
            _ => None,
        });
        kinds.collect::<Option<Vec<_>>>().map(|kinds| Node::Types(kinds.into()))
    })
}

fn typed(name: &str, schema: &Keywords<'_>, root: &Value, depth: usize) -> Node {
    match name {
        "null" => schema.only(&["type"], |_| Some(Node::Null)),
        "boolean" => schema.only(&["type"], |_| Some(Node::Bool)),
        "integer" => schema.only(&["type", "minimum", "maximum"], bounds),
        "string" => schema.only(&["type", "minLength", "maxLength", "pattern"], |s| text(s).map(Node::Text)),
        "array" => schema.only(&["type", "items"], |s| {
            Some(Node::Array(Box::new(s.get("items").map_or(Node::Any, |items| node(items, root, depth)))))
        }),
        "object" => {
            let known =
                ["type", "properties", "required", "additionalProperties", "patternProperties", "propertyNames"];
            schema.only(&known, |s| object(s, root, depth).map(Node::Object))
        }
        other => Node::Never(format!("type {other}")),
    }
}

fn bounds(schema: &Map<String, Value>) -> Option<Node> {
    let (min, max) = (schema.get("minimum")?, schema.get("maximum")?);
    Some(Node::Integer(Bounds {
        min: min.as_i64()?,
        max: max.as_i64()?,
        min_double: min.as_f64()?,
        max_double: max.as_f64()?,
    }))
}

fn text(schema: &Map<String, Value>) -> Option<Text> {
    let length = |key: &str, absent| match schema.get(key) {
        None => Some(absent),
        Some(length) => length.as_u64().and_then(|length| usize::try_from(length).ok()),
    };
    let pattern = match schema.get("pattern") {
        None => None,
        Some(source) => Some(patterns::find(source.as_str()?)?),
    };
    Some(Text { min: length("minLength", 0)?, max: length("maxLength", usize::MAX)?, pattern })
}

fn object(schema: &Map<String, Value>, root: &Value, depth: usize) -> Option<Object> {
    let none = Map::new();
    let properties = schema.get("properties").map_or(Some(&none), Value::as_object)?;
    let mut fields: Vec<(Box<str>, Node)> =
        properties.iter().map(|(name, schema)| (name.as_str().into(), node(schema, root, depth))).collect();
    fields.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    if fields.len() > 64 {
        return None;
    }
    let mut required = 0;
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        required |= 1 << fields.iter().position(|(field, _)| Some(&**field) == name.as_str())?;
    }
    Some(Object { fields: fields.into(), required, others: others(schema, root, depth)? })
}

fn others(schema: &Map<String, Value>, root: &Value, depth: usize) -> Option<Others> {
    let none = Map::new();
    let keyed = schema.get("patternProperties").map(|keyed| keyed.as_object().map(|k| k.iter().collect::<Vec<_>>()));
    let names = schema.get("propertyNames").map(|names| names.as_object());
    match (schema.get("additionalProperties"), keyed) {
        (Some(Value::Bool(false)), None) if names.is_none() => Some(Others::Refused),
        (None | Some(Value::Bool(true)), None) if names.is_none() => Some(Others::Open),
        // The keys of a map: a pattern that says which, `propertyNames` for their length.
        (Some(Value::Bool(false)), Some(Some(keyed))) => match keyed.as_slice() {
            [(pattern, values)] if !schema.contains_key("properties") => {
                let mut keys = text(names.unwrap_or(Some(&none))?)?;
                if keys.pattern.replace(patterns::find(pattern)?).is_some() {
                    return None;
                }
                Some(Others::Keyed { keys, values: Box::new(node(values, root, depth)) })
            }
            _ => None,
        },
        _ => None,
    }
}
